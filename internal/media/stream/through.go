package stream

import (
	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/payload"
	"parley/internal/media/rtp"
)

// Through sends a packet under its own SSRC, number and time (relay and video
// switch, RFC 7667, sections 3.5.1 and 3.8): what changes is what a leg has for
// itself, payload type and header extensions (rule C8). False if the leg cannot
// take it.
func (p *Projection) Through(now clock.Time, in *graph.Packet, s *Source, out *graph.Batch) bool {
	e := p.leg
	if !e.Ready || p.paused || p.Dead || p.sect == nil || s.Info == nil {
		return false
	}
	pt, ok := p.table(s).Any(in.Hdr.PayloadType)
	if !ok || !e.once(in.Hdr.SSRC, in.Hdr.Seq, s) {
		return false
	}
	f := rtp.Fields{Marker: in.Hdr.Marker, PayloadType: pt, Seq: in.Hdr.Seq, TS: in.Hdr.TS, SSRC: in.Hdr.SSRC}
	if !p.Anonymous {
		f.Sources = in.Hdr.Sources(in.Buf.B[:])
	}
	// The MID goes with every packet: SSRCs come unannounced here.
	p.write(now, in, &segment{src: s}, &f, payload.Opaque, -1, out)
	return true
}

const (
	maxForeign    = 2048 // SSRCs of others that one leg may be sent
	foreignWindow = 64   // numbers behind the highest that may yet come
)

// foreign is an SSRC of somebody else on a leg. Under one key no number of it
// may be used for two packets (rule C11), whatever its owner does, so numbers
// only rise, but for late ones of a short window.
type foreign struct {
	src  *Source
	high uint16
	seen uint64 // bit i: high-i was sent
	over bool   // BYE was said
}

// once reports whether a packet of a foreign SSRC may be sent, and notes it.
func (e *Egress) once(ssrc uint32, seq uint16, s *Source) bool {
	x := e.foreign[ssrc]
	if x == nil {
		if len(e.foreign) >= maxForeign || e.Uses(ssrc) {
			return false
		}
		if e.foreign == nil {
			e.foreign = map[uint32]*foreign{}
		}
		e.foreign[ssrc] = &foreign{src: s, high: seq, seen: 1}
		return true
	}
	d := int16(seq - x.high)
	switch x.src = s; {
	case x.over || d <= -foreignWindow:
		return false
	case d > 0:
		x.seen = x.seen<<uint(d) | 1 // a shift by 64 and more leaves nothing
		x.high = seq
		return true
	case x.seen>>uint(-d)&1 != 0:
		return false
	}
	x.seen |= 1 << uint(-d)
	return true
}

// Foreign appends the SSRCs of others that the leg was sent, of one source or,
// with nil, all, and for which nobody said BYE.
func (e *Egress) Foreign(list []uint32, s *Source) []uint32 {
	for ssrc, x := range e.foreign {
		if !x.over && (s == nil || x.src == s) {
			list = append(list, ssrc)
		}
	}
	return list
}

// Over notes that a foreign SSRC's BYE went to the leg: it is not used again
// (rule C5).
func (e *Egress) Over(ssrc uint32) {
	if x := e.foreign[ssrc]; x != nil {
		x.over = true
	}
}
