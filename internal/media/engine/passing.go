package engine

import (
	"encoding/binary"

	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
	"parley/internal/media/stream"
	"parley/internal/media/topology"
)

// recipe returns the element a subscription leads to, with all sources known.
func (e *Engine) recipe(c *conference, name string, k plane.Kind) topology.Recipe {
	name = topology.Name(name, k)
	r := c.recipes[name]
	if r != nil {
		return r
	}
	r = topology.New(name, topology.Env{Anchor: e.cfg.Anchor, Random32: e.cfg.Random32, Up: e, Drops: &e.relayed, Ready: func(id graph.LegID) bool {
		l := e.leg(id)
		return l != nil && l.egress.Ready
	}})
	c.recipes[name] = r
	c.order = append(c.order, r)
	p, passes := r.(topology.Passing)
	if passes {
		c.passing = append(c.passing, p)
	}
	for _, t := range c.tracks {
		r.AddSource(t.src)
		if passes && t.leg != nil {
			p.Bind(t.src, t.leg.cfg.Leg)
		}
	}
	return r
}

// connect wires a subscription whose source may have changed, and notes which
// tracks pass and so what the engine says nothing about.
func (e *Engine) connect(s *subscription, src *stream.Source) {
	var t *track
	if s.proj.Passing && src != nil {
		t = e.track(src.ID)
	}
	if old := s.passes; old != t {
		s.passes = t
		if t != nil {
			t.pass++
			e.retune(t.leg)
		}
		if old != nil {
			old.pass--
			e.retune(old.leg)
		}
	}
	s.recipe.Connect(&s.leg.egress, s.proj)
	e.retune(s.leg)
}

// disconnect undoes connect.
func (e *Engine) disconnect(s *subscription) {
	s.recipe.Disconnect(&s.leg.egress, s.proj)
	if t := s.passes; t != nil {
		s.passes = nil
		t.pass--
		e.retune(t.leg)
	}
}

// retune works out on which kinds of media of a leg RTCP crosses: there we
// neither report nor ask for repairs.
func (e *Engine) retune(l *leg) {
	if l == nil {
		return
	}
	was := l.pass
	l.pass = [plane.Application + 1]bool{}
	for _, s := range l.subs {
		if _, ok := s.recipe.(topology.Passing); ok {
			l.pass[s.kind()] = true
		}
	}
	for _, t := range l.tracks {
		if t.pass > 0 {
			l.pass[t.cfg.Track.Kind] = true
		}
	}
	l.egress.Passes = l.passesAny()
	if was == l.pass {
		return
	}
	for _, st := range l.streams {
		l.arm(st)
	}
}

// arm decides whether losses of a stream are asked for by us.
func (l *leg) arm(st *inStream) {
	s := &l.media.Sections[st.sect]
	st.recv.Nack.Enabled = false
	for i := range s.Recv.Codecs {
		st.recv.Nack.Enabled = st.recv.Nack.Enabled || (s.Recv.Codecs[i].NACK && !st.rtx)
	}
	if l.pass[s.Kind] && st.recv.Nack.Enabled {
		st.recv.Nack.Enabled = false
		st.recv.Nack.Forget()
	}
}

func (l *leg) passesAny() bool { return l.pass != [plane.Application + 1]bool{} }

// quiet reports whether others report on a stream.
func (l *leg) quiet(st *inStream) bool { return l.pass[l.media.Sections[st.sect].Kind] }

// passOn gathers a packet for the recipes in which it keeps its SSRC.
func (e *Engine) passOn(t *track, p *graph.Packet) {
	c := t.conf
	p.Buf.Retain()
	c.passed = append(c.passed, *p)
	if !c.dirty {
		c.dirty = true
		e.dirty = append(e.dirty, c)
	}
}

// passRTX passes a retransmission on as it is: who asked for it unpacks it.
func (e *Engine) passRTX(now clock.Time, t *track, layer uint8, buf *ring.Buf, h *rtp.Header) {
	if t.muted || h.PayloadOff == h.PayloadEnd {
		return
	}
	p := graph.Packet{Buf: buf, Hdr: *h, Track: t.cfg.ID, Layer: layer, Arrival: now, Level: 127, Exts: h.ExtMask(buf.Bytes())}
	e.passOn(t, &p)
}

// flushPassed hands the recipes what passes.
func (e *Engine) flushPassed(now clock.Time, c *conference, out *Out) {
	if len(c.passed) == 0 {
		return
	}
	for _, r := range c.passing {
		r.HandlePassed(now, c.passed, &out.Batch)
	}
	for i := range c.passed {
		c.passed[i].Buf.Release()
		c.passed[i].Buf = nil
	}
	c.passed = c.passed[:0]
}

// passRTCP gives a leg's compound to the recipe in which it crosses.
func (e *Engine) passRTCP(now clock.Time, l *leg, compound []byte, out *Out) {
	for _, r := range l.conf.passing {
		if !r.Has(l.cfg.Leg) {
			continue
		}
		if b := e.foreign(now, l, compound); len(b) > 0 {
			r.HandleFeedback(now, l.cfg.Leg, b, &out.Batch)
			e.wakeConf(l.conf, now)
		}
		return
	}
}

// foreign returns what of a compound is not ours: where all that the leg is
// sent passes, that is the compound as it came. Feedback by transport-wide
// numbers is always ours, since we number each leg (rule C8).
func (e *Engine) foreign(now clock.Time, l *leg, compound []byte) []byte {
	own := func(ssrc uint32) bool { return ssrc == l.ssrc || l.egress.Find(ssrc) != nil }
	changed := false
	b := e.cut[:0]
	rest := compound
	var p rtcp.Packet
	it := rtcp.Parse(compound)
	for it.Next(&p) {
		raw := rest[:4+4*int(binary.BigEndian.Uint16(rest[2:]))] // with padding
		rest = rest[len(raw):]
		n := len(b)
		if e.mayPass(now, l, &p, own) {
			b = l.cutPacket(b, &p, raw, own)
		}
		changed = changed || len(b)-n != len(raw)
	}
	e.cut = b
	switch {
	case it.Bad():
		return nil
	case !changed:
		return compound
	}
	return b
}

// mayPass reports whether a packet may go on as far as it asks others for
// keyframes.
func (e *Engine) mayPass(now clock.Time, l *leg, p *rtcp.Packet, own func(uint32) bool) bool {
	switch {
	case p.Type != rtcp.TypePSFB:
	case p.Count == rtcp.FmtPLI:
		m, ok := p.Media()
		return !ok || own(m) || e.mayAsk(now, l.conf, m)
	case p.Count == rtcp.FmtFIR:
		for i := range p.FIRs() {
			if m, _ := p.FIR(i); !own(m) && !e.mayAsk(now, l.conf, m) {
				return false
			}
		}
	}
	return true
}

// cutPacket appends what of a packet concerns others.
func (l *leg) cutPacket(b []byte, p *rtcp.Packet, raw []byte, own func(uint32) bool) []byte {
	switch {
	case p.Type == rtcp.TypeSR || p.Type == rtcp.TypeRR:
		k := 0
		for i := range p.Blocks() {
			if own(p.Block(i).SSRC) {
				k++
			}
		}
		if k == 0 {
			break
		}
		return l.cutReport(b, p, own)
	case p.Type == rtcp.TypeRTPFB && p.Count == rtcp.FmtTWCC:
		if l.sendsTWCC() {
			return b
		}
	case p.Type == rtcp.TypeRTPFB || p.Type == rtcp.TypePSFB:
		if m, ok := p.Media(); ok && m != 0 && own(m) {
			return b
		}
		if p.Count == rtcp.FmtFIR && p.Type == rtcp.TypePSFB && p.FIRs() > 0 {
			if m, _ := p.FIR(0); own(m) {
				return b
			}
		}
		if p.Count == rtcp.FmtTMMBR && p.Type == rtcp.TypeRTPFB && p.Limits() > 0 && own(p.Limit(0).SSRC) {
			return b
		}
	}
	return append(b, raw...)
}

// cutReport appends a report without the blocks about our streams.
func (l *leg) cutReport(b []byte, p *rtcp.Packet, own func(uint32) bool) []byte {
	s, _ := p.Sender()
	var list [rtcp.MaxBlocks]rtcp.Block
	keep := list[:0]
	for i := range p.Blocks() {
		if k := p.Block(i); !own(k.SSRC) {
			keep = append(keep, k)
		}
	}
	if info, ok := p.SenderInfo(); ok {
		return rtcp.AppendSR(b, s, info, keep)
	}
	return rtcp.AppendRR(b, s, keep)
}

// sendsTWCC reports whether the leg is sent transport-wide numbers.
func (l *leg) sendsTWCC() bool {
	for i := range l.sections {
		if l.sections[i].Exts[plane.ExtTransportCC] != 0 {
			return true
		}
	}
	return false
}
