package engine

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/stream"
)

// HandleRTCP implements [API]. What concerns streams we send goes to the
// leg's egress; what concerns streams we receive is done here. Nothing is
// passed on to another endpoint (SFM-7).
func (e *Engine) HandleRTCP(now clock.Time, id graph.LegID, compound []byte, out *Out) {
	l := e.leg(id)
	if l == nil {
		e.drops.UnknownLeg++
		return
	}
	l.compounds++
	var p rtcp.Packet
	it := rtcp.Parse(compound)
	for it.Next(&p) {
		switch p.Type {
		case rtcp.TypeSR:
			e.handleSR(now, l, &p, out)
		case rtcp.TypeBYE:
			e.handleBYE(now, l, &p)
		case rtcp.TypeRTPFB:
			if p.Count == rtcp.FmtTMMBR {
				e.handleLimits(now, l, &p, out)
			}
		}
		if s, ok := p.Sender(); ok && p.Type != rtcp.TypeBYE {
			if st := l.find(s); st != nil {
				st.heard = now
			}
		}
	}
	if it.Bad() {
		e.drops.BadRTCP++
	}
	l.egress.HandleFeedback(now, compound, &out.Batch)
	e.reallot(now, l, out)
	if l.passesAny() {
		e.passRTCP(now, l, compound, out)
	}
	e.settle(now, out)
}

func (e *Engine) handleSR(now clock.Time, l *leg, p *rtcp.Packet, out *Out) {
	s, ok := p.SenderInfo()
	if !ok {
		return
	}
	ssrc, _ := p.Sender()
	st := l.find(ssrc)
	if st == nil {
		return
	}
	st.recv.HandleSR(now, s)
	if st.track == nil || st.rtx || s.NTP == 0 {
		return
	}
	t := st.track
	ref := stream.TimeRef{At: l.ours(now, s.NTP), TS: s.RTP}
	t.src.Layers[st.layer].Ref = ref
	for i := range t.remotes {
		x := e.cross(t, &t.remotes[i])
		x.Ref, x.Layer = ref, st.layer
		out.Cross = append(out.Cross, x)
	}
}

// ours converts an instant of the peer's wall clock to our time line. The
// smallest delay seen is taken for the offset of the clocks, the same for all
// streams of the peer, so that what was in sync stays so.
func (l *leg) ours(now clock.Time, ntp uint64) clock.Time {
	ns := int64(ntp>>32)*1e9 + int64(ntp&0xffffffff*1e9>>32)
	off := int64(now) - ns
	if !l.hasOffset || off < l.offset || off-l.offset > int64(10*time.Second) {
		l.offset, l.hasOffset = off, true
	} else {
		l.offset += (off - l.offset) / 256 // follow drift
	}
	return clock.Time(ns + l.offset)
}

func (e *Engine) handleBYE(now clock.Time, l *leg, p *rtcp.Packet) {
	for i := 0; ; i++ {
		ssrc, ok := p.ByeSSRC(i)
		if !ok {
			return
		}
		// What the SSRC carried stays remembered: its last packets may come behind
		// the BYE and must not be taken for another section's.
		st := l.find(ssrc)
		if st == nil {
			continue
		}
		t := st.track
		l.forget(st)
		if t == nil || st.rtx {
			continue
		}
		alive := false
		for k := range t.layers {
			alive = alive || t.layers[k].in != nil
		}
		if !alive {
			t.endAt = now.Add(byeGrace)
		}
	}
}

// askKeyframe asks a publisher for what has been wanted longest, by PLI or, where
// only that was agreed, by FIR. The gate is open.
func (e *Engine) askKeyframe(now clock.Time, t *track, out *Out) {
	y, l := t.longing(), t.leg
	if y == nil || t.cfg.Track.Kind != plane.Video || !l.egress.Ready {
		return
	}
	pli, fir := false, false
	for _, c := range l.media.Sections[y.in.sect].Recv.Codecs {
		pli, fir = pli || c.PLI, fir || c.FIR
	}
	y.key.want = false
	switch b := e.begin(l); {
	case pli:
		e.rtcp = rtcp.AppendPLI(b, l.ssrc, y.in.recv.SSRC)
	case fir:
		if !y.key.open { // a repeated command keeps its number (rule C10)
			y.key.seq++
			y.key.open = true
		}
		e.rtcp = rtcp.AppendFIR(b, l.ssrc, y.in.recv.SSRC, y.key.seq)
	default:
		return
	}
	y.key.at = now
	y.key.asks++
	t.gate.sent(now, l.egress.RTT)
	l.plis++
	e.emit(l, out)
}

// mayAsk reports whether a request for a keyframe that passes as it is may go on
// now. If not it is made up for later, by one of ours.
func (e *Engine) mayAsk(now clock.Time, c *conference, ssrc uint32) bool {
	for _, t := range c.tracks {
		for i := range t.layers {
			y := &t.layers[i]
			if t.leg == nil || y.in == nil || y.in.recv.SSRC != ssrc {
				continue
			}
			if now < t.gate.next {
				y.key.want = true
				e.wake(t.leg, t.gate.next)
				return false
			}
			y.key.want, y.key.at = false, now
			y.key.asks++
			t.gate.sent(now, t.leg.egress.RTT)
			return true
		}
	}
	return true
}
