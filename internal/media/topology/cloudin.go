package topology

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/stream"
)

// input is the receive side of one source: numbering, history, reports, and
// the requests we make of it.
type input struct {
	Input
	src      *stream.Source
	recv     stream.Receiver
	top, off int64 // keep the line of numbers rising over a change of SSRC
	pli, fir bool
	want     bool // a keyframe
	open     bool // a full intra request is not yet answered
	seq      uint8
	next     clock.Time // no request before
	octets   uint64
	rate     uint64 // bit/s of the last second
	rateAt   clock.Time
}

func newInput(i Input) *input {
	x := &input{Input: i}
	x.src = stream.NewSource(i.Track, plane.Track{Kind: i.Kind, CNAME: i.CNAME, SrcID: i.SrcID})
	info := i.Info
	for _, c := range info.Codecs {
		x.pli, x.fir = x.pli || c.PLI, x.fir || c.FIR
	}
	x.src.Info = &info
	x.recv = stream.Receiver{SSRC: i.SSRC, Clock: x.src.Clock()}
	return x
}

// receive counts a packet and completes p; false if it is nothing new.
func (x *input) receive(now clock.Time, p *graph.Packet) bool {
	if p.Hdr.SSRC != x.SSRC { // plain RTP changes it without notice (rule C12)
		x.SSRC, x.off = p.Hdr.SSRC, x.top-1<<16+1
		x.recv = stream.Receiver{SSRC: x.SSRC, Clock: x.src.Clock()}
		x.src.Restart(0)
	}
	ext, v := x.recv.Packet(now, p.Hdr.Seq, p.Hdr.TS, p.Repaired)
	if v == stream.Duplicate || v == stream.TooOld {
		return false
	}
	p.ExtSeq, p.Layer, p.Arrival, p.Repaired = ext+x.off, 0, now, v == stream.Late
	x.top = max(x.top, p.ExtSeq)
	x.octets += uint64(p.Buf.N)
	if now.Sub(x.rateAt) >= time.Second {
		if x.rateAt != 0 {
			x.rate = uint64(float64(x.octets*8) / now.Sub(x.rateAt).Seconds())
		}
		x.rateAt, x.octets = now, 0
	}
	x.src.Classify(p)
	if p.Keyframe {
		x.want, x.open = false, false
	}
	x.src.Keep(p)
	return true
}

// HandleFeedback implements [graph.Element]: all of it ends here.
func (c *cloud) HandleFeedback(now clock.Time, leg graph.LegID, b []byte, out *graph.Batch) {
	p := c.party(leg)
	if p == nil {
		return
	}
	var q rtcp.Packet
	for it := rtcp.Parse(b); it.Next(&q); {
		switch {
		case q.Type == rtcp.TypeSR:
			c.handleSR(now, leg, &q)
		case q.Type == rtcp.TypeBYE:
			c.handleBYE(now, leg, &q, out)
		case q.Type == rtcp.TypeRTPFB && q.Count == rtcp.FmtTMMBR:
			p.handleLimits(&q, out)
		}
	}
	p.egress.HandleFeedback(now, b, out)
	c.ask(now, out)
}

func (c *cloud) handleSR(now clock.Time, leg graph.LegID, q *rtcp.Packet) {
	ssrc, _ := q.Sender()
	info, ok := q.SenderInfo()
	for _, x := range c.inputs {
		if ok && x.Leg == leg && x.SSRC == ssrc {
			x.recv.HandleSR(now, info)
		}
	}
}

func (c *cloud) handleBYE(now clock.Time, leg graph.LegID, q *rtcp.Packet, out *graph.Batch) {
	for i := range int(q.Count) {
		ssrc, ok := q.ByeSSRC(i)
		for k := len(c.inputs) - 1; ok && k >= 0; k-- {
			if x := c.inputs[k]; x.Leg == leg && x.SSRC == ssrc {
				c.RemoveInput(now, x.Track, out)
			}
		}
	}
}

// handleLimits acts on TMMBR for slots and answers (rule C10).
func (p *party) handleLimits(q *rtcp.Packet, out *graph.Batch) {
	from, _ := q.Sender()
	for i := range q.Limits() {
		l := q.Limit(i)
		for _, s := range p.slots {
			if s.proj.SSRC != l.SSRC {
				continue
			}
			s.limit = max(1, l.Bitrate)
			b := rtcp.AppendTMMBN(p.lead(), l.SSRC, []rtcp.Limit{{SSRC: from, Bitrate: l.Bitrate, Overhead: l.Overhead}})
			compound(out, p.Leg, b)
		}
	}
}
