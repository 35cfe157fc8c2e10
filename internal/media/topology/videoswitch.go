package topology

import (
	"slices"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/rtcp"
	"parley/internal/media/stream"
)

// VideoSwitch is the video-switching MCU (RFC 7667, section 3.8): it passes one
// selected sender under that sender's own SSRC. Discouraged: receivers' reports
// tell senders that are not selected that they vanished; "switch" is the cure.
//
//	who ends RTCP          nobody: reports cross between the endpoints
//	who owns SSRC, CSRC    the selected sender; ours only asks for keyframes
//	sequence, timestamp    untouched; payload types are common to all
//	SR                     the selected sender's pass; of others only the blocks
//	congestion control     broken by design
//	NACK, PLI, FIR, TMMBR  pass
type VideoSwitch struct {
	ssrc   uint32 // ours, for requests
	cname  string
	legs   []*viewer
	inputs []*candidate
	buf    []byte
	to     outlet
}

// viewer is a leg and whom it is shown.
type viewer struct {
	leg      graph.LegID
	selected *candidate
	wanted   *candidate // selected as soon as its keyframe comes
}

// Candidate is what a leg sends.
type Candidate struct {
	Leg      graph.LegID
	SSRC     uint32 // 0 until heard
	Src      *stream.Source
	PLI, FIR bool
}

type candidate struct {
	Candidate
	seq   uint8 // FIR command number
	asked clock.Time
}

// requestEvery is the pause between requests that were not answered.
const requestEvery = 500 * time.Millisecond

// NewVideoSwitch makes a recipe without legs; ssrc and cname are ours.
func NewVideoSwitch(ssrc uint32, cname string) *VideoSwitch {
	return &VideoSwitch{ssrc: ssrc, cname: cname, to: asItCame{}}
}

var _ graph.Element = (*VideoSwitch)(nil)

// Select shows every leg but its own a source; Show shows one leg a source.
func (v *VideoSwitch) Select(now clock.Time, t graph.TrackID, out *graph.Batch) {
	for _, l := range v.legs {
		if x := v.input(t); x != nil && x.Leg != l.leg {
			l.want(x)
		}
	}
	v.Tick(now, out)
}

// Show asks a source for a keyframe and passes it to a leg from there on; the
// one before stays until then.
func (v *VideoSwitch) Show(now clock.Time, leg graph.LegID, t graph.TrackID, out *graph.Batch) {
	if l, x := v.viewer(leg), v.input(t); l != nil && x != nil {
		l.want(x)
	}
	v.Tick(now, out)
}

func (l *viewer) want(x *candidate) {
	switch {
	case x == l.wanted:
	case x == l.selected:
		l.wanted = nil
	case !x.Src.Video():
		l.selected, l.wanted = x, nil
	default:
		l.wanted = x
	}
}

// request asks for a keyframe: by FIR, where agreed, since it is a switch (rule
// C10). A repeated command keeps its number.
func (v *VideoSwitch) request(now clock.Time, x *candidate, out *graph.Batch) {
	fresh := x.asked == 0
	x.asked = now
	if v.to.keyframe(now, x.Src.ID) {
		return
	}
	b := rtcp.AppendSDES(rtcp.AppendRR(v.buf[:0], v.ssrc, nil), v.ssrc, v.cname)
	switch {
	case x.FIR:
		if fresh {
			x.seq++
		}
		b = rtcp.AppendFIR(b, v.ssrc, x.SSRC, x.seq)
	case x.PLI:
		b = rtcp.AppendPLI(b, v.ssrc, x.SSRC)
	default:
		return
	}
	v.to.control(now, x.Leg, b, out)
	v.buf = b
}

// HandleBatch implements [graph.Element].
func (v *VideoSwitch) HandleBatch(now clock.Time, in []graph.Packet, out *graph.Batch) {
	for i := range in {
		p := &in[i]
		x := v.input(p.Track)
		if x == nil {
			continue
		}
		rtx := x.Src.Info != nil && x.Src.Info.Retransmits(p.Hdr.PayloadType)
		if !rtx {
			x.SSRC = p.Hdr.SSRC
			x.Src.Classify(p)
		}
		if p.Keyframe {
			x.asked = 0
		}
		for _, l := range v.legs {
			if x == l.wanted && p.Keyframe {
				l.selected, l.wanted = x, nil
			}
			if x == l.selected && x.Leg != l.leg {
				v.to.media(now, l.leg, p, out)
			}
		}
	}
}

// HandleFeedback implements [graph.Element]: all crosses, but for the sender
// reports of those whom the receiver is not shown.
func (v *VideoSwitch) HandleFeedback(now clock.Time, leg graph.LegID, b []byte, out *graph.Batch) {
	if v.viewer(leg) == nil || !wellFormed(b) {
		return
	}
	for _, l := range v.legs {
		if l.leg != leg {
			v.to.control(now, l.leg, v.crossing(l, leg, b), out)
		}
	}
}

// Tick implements [graph.Element]: a request that was not answered is repeated.
func (v *VideoSwitch) Tick(now clock.Time, out *graph.Batch) (next clock.Time) {
	for _, l := range v.legs {
		x := l.wanted
		if x == nil {
			continue
		}
		if x.asked == 0 || now.Sub(x.asked) >= requestEvery {
			v.request(now, x, out)
		}
		next = clock.Earliest(next, max(x.asked.Add(requestEvery), now.Add(time.Millisecond)))
	}
	return next
}

func (v *VideoSwitch) viewer(leg graph.LegID) *viewer {
	for _, l := range v.legs {
		if l.leg == leg {
			return l
		}
	}
	return nil
}

func (v *VideoSwitch) input(t graph.TrackID) *candidate {
	for _, x := range v.inputs {
		if x.Src.ID == t {
			return x
		}
	}
	return nil
}

// AddLeg lets a leg take part; RemoveLeg ends that, and what it sent.
func (v *VideoSwitch) AddLeg(leg graph.LegID) {
	if v.viewer(leg) == nil {
		v.legs = append(v.legs, &viewer{leg: leg})
	}
}

// RemoveLeg undoes AddLeg.
func (v *VideoSwitch) RemoveLeg(leg graph.LegID) {
	v.legs = slices.DeleteFunc(v.legs, func(l *viewer) bool { return l.leg == leg })
	for _, x := range slices.Clone(v.inputs) {
		if x.Leg == leg {
			v.RemoveInput(x.Src.ID)
		}
	}
}

// AddInput makes a source known.
func (v *VideoSwitch) AddInput(c Candidate) {
	if v.input(c.Src.ID) == nil {
		v.inputs = append(v.inputs, &candidate{Candidate: c})
	}
}

// RemoveInput ends a source.
func (v *VideoSwitch) RemoveInput(t graph.TrackID) {
	x := v.input(t)
	v.inputs = slices.DeleteFunc(v.inputs, func(y *candidate) bool { return y == x })
	for _, l := range v.legs {
		if l.selected == x {
			l.selected = nil
		}
		if l.wanted == x {
			l.wanted = nil
		}
	}
}
