package topology

import (
	"slices"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/rtcp"
)

// VideoSwitch is the video-switching MCU (RFC 7667, section 3.8): it passes one
// selected sender under that sender's own SSRC. Discouraged: receivers' reports
// tell senders that are not selected that they vanished; Switch is the cure.
//
//	who ends RTCP          nobody: reports cross between the endpoints
//	who owns SSRC, CSRC    the selected sender; ours only asks for keyframes
//	sequence, timestamp    untouched; payload types are common to all
//	SR                     the selected sender's pass; of others only the blocks
//	congestion control     broken by design
//	NACK, PLI, FIR, TMMBR  pass
type VideoSwitch struct {
	ssrc     uint32 // ours, for requests
	cname    string
	legs     []graph.LegID
	inputs   []*input
	selected *input
	wanted   *input // selected as soon as its keyframe comes
	from     []*input
	asked    clock.Time
	buf      []byte
}

// NewVideoSwitch makes a recipe without legs; ssrc and cname are ours.
func NewVideoSwitch(ssrc uint32, cname string) *VideoSwitch {
	return &VideoSwitch{ssrc: ssrc, cname: cname}
}

var _ graph.Element = (*VideoSwitch)(nil)

// Select asks a source for a keyframe and passes it from there on; the one
// before stays until then.
func (v *VideoSwitch) Select(now clock.Time, t graph.TrackID, out *graph.Batch) {
	x := v.input(t)
	switch {
	case x == nil || x == v.wanted:
	case x == v.selected:
		v.wanted = nil
	case !x.src.Video():
		v.selected, v.wanted = x, nil
	default:
		v.wanted = x
		x.seq++
		v.ask(now, out)
	}
}

// ask sends our one request: FIR, where agreed, since it is a switch (rule C10).
func (v *VideoSwitch) ask(now clock.Time, out *graph.Batch) {
	x := v.wanted
	b := rtcp.AppendSDES(rtcp.AppendRR(v.buf[:0], v.ssrc, nil), v.ssrc, v.cname)
	switch v.asked = now; {
	case x.fir:
		b = rtcp.AppendFIR(b, v.ssrc, x.SSRC, x.seq)
	case x.pli:
		b = rtcp.AppendPLI(b, v.ssrc, x.SSRC)
	default:
		return
	}
	compound(out, x.Leg, b)
	v.buf = b
}

// HandleBatch implements [graph.Element].
func (v *VideoSwitch) HandleBatch(_ clock.Time, in []graph.Packet, out *graph.Batch) {
	v.from = v.from[:0]
	for i := range in {
		x := v.input(in[i].Track)
		if x != nil {
			x.SSRC = in[i].Hdr.SSRC
		}
		if x != nil && x == v.wanted {
			p := in[i]
			p.Layer = 0
			if x.src.Classify(&p); p.Keyframe {
				v.selected, v.wanted = x, nil
			}
		}
		if x != v.selected {
			x = nil
		}
		v.from = append(v.from, x)
	}
	for _, l := range v.legs {
		for i, x := range v.from {
			if x != nil && x.Leg != l {
				whole(out, l, in[i].Buf)
			}
		}
	}
}

// HandleFeedback implements [graph.Element]: all crosses, but for the sender
// reports of those who are not selected.
func (v *VideoSwitch) HandleFeedback(_ clock.Time, leg graph.LegID, b []byte, out *graph.Batch) {
	if !slices.Contains(v.legs, leg) {
		return
	}
	if b = v.crossing(leg, b); len(b) == 0 {
		return
	}
	for _, l := range v.legs {
		if l != leg {
			compound(out, l, b)
		}
	}
}

// Tick implements [graph.Element]: a request that was not answered is repeated
// under its number.
func (v *VideoSwitch) Tick(now clock.Time, out *graph.Batch) clock.Time {
	if v.wanted == nil {
		return 0
	}
	if now.Sub(v.asked) >= requestEvery {
		v.ask(now, out)
	}
	return max(v.asked.Add(requestEvery), now.Add(time.Millisecond))
}
