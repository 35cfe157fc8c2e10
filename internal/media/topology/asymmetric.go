package topology

import (
	"slices"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/rtp"
	"parley/internal/media/stream"
)

// Asymmetric is the non-symmetric mixer/translator (RFC 7667, section 3.11):
// a group whose legs are relayed to each other hears the outer legs as they are
// (translator), the outer legs hear a mix of the group (mixer; the mix itself is
// made elsewhere and arrives as a track). Discouraged; "hybrid" is the cure.
//
//	who ends RTCP          group and group: nobody; outer legs: this server
//	who owns SSRC          outer to group: the sender; to outer: the mixer
//	who owns CSRC          the mixer, as the mix says
//	SR of an outer leg     passes; its blocks give way to our own reception
//	RR of the group        on an outer leg: folded into the mixer's report
//	SR of the mixer        goes to its outer leg only
//	congestion control     each cloud's own, ill-defined across
//	PLI, FIR               of the group for an outer source: ours, coalesced
type Asymmetric struct {
	env    Env
	group  []graph.LegID
	outers []*outerLeg
	tracks map[graph.TrackID]graph.LegID
	out    outlet
}

// Outer is a leg that is heard as it is and hears a mix.
type Outer struct {
	Leg   graph.LegID
	Track graph.TrackID // what it sends
	Mix   graph.TrackID // what it hears, under SSRC
	SSRC  uint32        // the mixer's on this leg
	CNAME string        // the mixer's on this leg
	Clock uint32        // of the mix, Hz
}

type outerLeg struct {
	Outer
	source  uint32 // SSRC the leg sends with, 0 until heard
	packets uint32 // of the mix
	octets  uint32
	ts      uint32 // of the last packet of the mix
	at      clock.Time
	due     clock.Time // next report
	ask     clock.Time // no keyframe request before
	heard   []*stream.Receiver
	folds   map[uint32]*fold // by the SSRC of who reports
}

// NewAsymmetric makes a recipe without legs.
func NewAsymmetric(e Env) *Asymmetric {
	return &Asymmetric{env: e, tracks: map[graph.TrackID]graph.LegID{}, out: asItCame{}}
}

var _ graph.Element = (*Asymmetric)(nil)

// AddMember makes a leg part of the group; t is what it sends.
func (a *Asymmetric) AddMember(leg graph.LegID, t graph.TrackID) {
	if !slices.Contains(a.group, leg) {
		a.group = append(a.group, leg)
	}
	a.tracks[t] = leg
}

// AddOuter adds a leg of the other side; with now zero its reports are planned
// at the next Tick.
func (a *Asymmetric) AddOuter(now clock.Time, o Outer) {
	x := &outerLeg{Outer: o, folds: map[uint32]*fold{}}
	if now != 0 {
		a.plan(now, x)
	}
	a.outers = append(a.outers, x)
}

// Remove takes a leg of either side off. What others know of its sources ends
// with its BYE, or by timeout.
func (a *Asymmetric) Remove(leg graph.LegID) {
	a.group = slices.DeleteFunc(a.group, func(l graph.LegID) bool { return l == leg })
	a.outers = slices.DeleteFunc(a.outers, func(o *outerLeg) bool { return o.Leg == leg })
	for t, l := range a.tracks {
		if l == leg {
			delete(a.tracks, t)
		}
	}
}

// HandleBatch implements [graph.Element].
func (a *Asymmetric) HandleBatch(now clock.Time, in []graph.Packet, out *graph.Batch) {
	for i := range in {
		p := &in[i]
		if leg, ok := a.tracks[p.Track]; ok {
			for _, o := range a.outers { // each keeps its own account, as if it had heard it
				o.receive(now, &p.Hdr)
			}
			a.toGroup(now, p, leg, out)
		}
		for _, o := range a.outers {
			switch p.Track {
			case o.Track:
				o.source = p.Hdr.SSRC
				a.toGroup(now, p, o.Leg, out)
			case o.Mix:
				o.hear(now, p, out)
			}
		}
	}
}

// toGroup passes a packet to the members but the one it comes from.
func (a *Asymmetric) toGroup(now clock.Time, p *graph.Packet, from graph.LegID, out *graph.Batch) {
	for _, l := range a.group {
		if l != from {
			a.out.media(now, l, p, out)
		}
	}
}

func (a *Asymmetric) outer(leg graph.LegID) *outerLeg {
	for _, o := range a.outers {
		if o.Leg == leg {
			return o
		}
	}
	return nil
}

// hear sends the leg a packet of its mix.
func (o *outerLeg) hear(now clock.Time, p *graph.Packet, out *graph.Batch) {
	if p.Hdr.SSRC != o.SSRC {
		return // a mix is one SSRC
	}
	o.packets++
	o.octets += uint32(p.Hdr.PayloadEnd - p.Hdr.PayloadOff)
	o.ts, o.at = p.Hdr.TS, now
	whole(out, o.Leg, p.Buf)
}

// receive accounts for a packet of a member.
func (o *outerLeg) receive(now clock.Time, h *rtp.Header) {
	r := o.account(h.SSRC)
	if r == nil {
		if len(o.heard) == relaySSRCs {
			return
		}
		r = &stream.Receiver{SSRC: h.SSRC, Clock: o.Clock}
		o.heard = append(o.heard, r)
	}
	r.Packet(now, h.Seq, h.TS, false)
}

func (o *outerLeg) account(ssrc uint32) *stream.Receiver {
	for _, r := range o.heard {
		if r.SSRC == ssrc {
			return r
		}
	}
	return nil
}
