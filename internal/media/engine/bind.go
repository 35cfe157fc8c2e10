package engine

import (
	"slices"

	"parley/internal/base/clock"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
	"parley/internal/media/stream"
)

// bindNew finds out what a new SSRC of a peer carries: announced in SDP, else
// told by MID and RID extensions, else by a payload type only one section has
// (RFC 8843, section 9.2). nil: not known (yet).
func (e *Engine) bindNew(now clock.Time, l *leg, b []byte, h *rtp.Header, out *Out) *inStream {
	if len(l.streams) >= maxStreams {
		e.drops.TooManyStreams++
		return nil
	}
	sect, layer, rtx := l.bySSRC(h.SSRC)
	if sect < 0 {
		sect, layer, rtx = l.byExtension(b, h)
	}
	if sect < 0 {
		return nil
	}
	e.collide(now, l, h.SSRC, out)
	return e.open(now, l, h.SSRC, sect, layer, rtx)
}

// open makes the stream and ties it to the track of its section, if published.
func (e *Engine) open(now clock.Time, l *leg, ssrc uint32, sect int, layer uint8, rtx bool) *inStream {
	s := &l.media.Sections[sect]
	st := &inStream{mid: s.MID, sect: sect, layer: layer, rtx: rtx, heard: now}
	st.recv = stream.Receiver{SSRC: ssrc}
	if len(s.Recv.Codecs) > 0 {
		st.recv.Clock = s.Recv.Codecs[0].ClockRate
	}
	l.arm(st)
	l.streams = append(l.streams, st)
	l.remember(binding{ssrc, s.MID, layer, rtx})
	for _, t := range l.tracks {
		if t.sect == sect {
			t.bind(st)
		}
	}
	l.last = st
	e.hasten(l, now.Add(reportMin/2))
	e.wake(l, now) // a keyframe may have been waited for
	return st
}

// bySSRC looks an SSRC up in the descriptions.
func (l *leg) bySSRC(ssrc uint32) (sect int, layer uint8, rtx bool) {
	for i := range l.media.Sections {
		r := l.media.Sections[i].Recv
		if r == nil {
			continue
		}
		for k := range r.Layers[:min(len(r.Layers), stream.MaxLayers)] {
			switch y := &r.Layers[k]; {
			case y.SSRC == ssrc && ssrc != 0:
				return i, uint8(k), false
			case (y.RTXSSRC == ssrc || y.FECSSRC == ssrc) && ssrc != 0:
				return i, uint8(k), true
			}
		}
	}
	return -1, 0, false
}

// byExtension goes by MID, RID and repaired RID, and by payload type.
func (l *leg) byExtension(b []byte, h *rtp.Header) (sect int, layer uint8, rtx bool) {
	sect = -1
	if mid, ok := h.Ext(b, l.ids.mid); ok {
		for i := range l.media.Sections {
			if s := &l.media.Sections[i]; s.Recv != nil && s.MID == string(mid) {
				sect = i
			}
		}
		if sect < 0 {
			return -1, 0, false
		}
	} else if i := l.remembered(h.SSRC); i >= 0 {
		// The last packets of a section that has just been closed carry no MID any
		// more and must not be taken for another section's.
		b := l.known[i]
		return l.recvSection(b.mid), b.layer, b.rtx
	} else if sect = l.byPayloadType(h.PayloadType); sect < 0 {
		return -1, 0, false
	}
	r := l.media.Sections[sect].Recv
	c, rtx := codecOf(r.Codecs, h.PayloadType)
	if parity := r.FEC != 0 && r.FEC == h.PayloadType; parity {
		rtx = true
	} else if c == nil {
		return -1, 0, false
	}
	rid, ok := h.Ext(b, l.ids.rid)
	if rtx {
		if rep, is := h.Ext(b, l.ids.rrid); is {
			rid, ok = rep, true
		}
	}
	if len(r.Layers) <= 1 {
		return sect, 0, rtx
	}
	for k := range r.Layers[:min(len(r.Layers), stream.MaxLayers)] {
		if ok && r.Layers[k].RID == string(rid) {
			return sect, uint8(k), rtx
		}
	}
	return -1, 0, false // simulcast without a known RID: wait for it
}

// remembered returns the index of what the SSRC carried before, -1 if unknown.
func (l *leg) remembered(ssrc uint32) int {
	return slices.IndexFunc(l.known, func(b binding) bool { return b.ssrc == ssrc })
}

// byPayloadType returns the only section that receives this type, -1 if none or
// several do. A section whose SSRCs are announced takes no others this way.
func (l *leg) byPayloadType(pt uint8) int {
	found := -1
	for i := range l.media.Sections {
		if r := l.media.Sections[i].Recv; r != nil && !announced(r) {
			if c, _ := codecOf(r.Codecs, pt); c != nil || r.FEC != 0 && r.FEC == pt {
				if found >= 0 {
					return -1
				}
				found = i
			}
		}
	}
	return found
}

func announced(r *plane.Recv) bool {
	return slices.ContainsFunc(r.Layers, func(y plane.Layer) bool { return y.SSRC != 0 })
}

// rebind gives packets that waited for their track another chance.
func (e *Engine) rebind(now clock.Time, l *leg, out *Out) {
	list := l.held
	l.held = nil
	for i := range list {
		var h rtp.Header
		if rtp.Parse(list[i].buf.Bytes(), &h) == rtp.OK {
			n := len(l.held)
			e.take(now, l, list[i].buf, &h, out)
			if len(l.held) > n {
				l.held[n].at = list[i].at // it waits on, not anew
			}
		}
		list[i].buf.Release()
	}
}

// collide handles a peer that sends with an SSRC of ours (RFC 3550, section
// 8.2; rule C7): BYE for the old one, once, and a new one for us. From then on
// the number is the peer's.
func (e *Engine) collide(now clock.Time, l *leg, ssrc uint32, out *Out) {
	if ssrc == l.ssrc {
		e.bye(l, append(e.ssrcs[:0], ssrc), out)
		l.ssrc = e.freshSSRC(l)
		return
	}
	for _, p := range l.egress.Sends {
		if p.Passing { // its SSRCs are others'
			continue
		}
		switch ssrc {
		case p.SSRC:
			e.bye(l, append(e.ssrcs[:0], ssrc), out)
			p.Rename(e.freshSSRC(l))
			ev := plane.Event{Conf: l.conf.id, Kind: plane.SSRCChanged, Conn: l.cfg.Conn, SSRC: p.SSRC, Reason: "collision"}
			if s := p.Source(); s != nil {
				ev.Track = s.Track.Track
			}
			out.Events = append(out.Events, ev)
		case p.RTXSSRC:
			e.bye(l, append(e.ssrcs[:0], ssrc), out)
			p.RTXSSRC = e.freshSSRC(l)
		case p.Parity(): // which is told by SSRC alone: it ends
			e.bye(l, append(e.ssrcs[:0], ssrc), out)
			p.NoParity()
		}
	}
}

// collideWithPeer checks a new projection against what the peer already sends.
func (e *Engine) collideWithPeer(now clock.Time, l *leg, p *stream.Projection, out *Out) {
	for _, st := range l.streams {
		if s := st.recv.SSRC; s == p.SSRC || s == p.RTXSSRC {
			e.collide(now, l, s, out)
		}
	}
}

func (e *Engine) freshSSRC(l *leg) uint32 {
	for {
		s := e.cfg.Random32()
		taken := s == 0 || s == l.ssrc || l.egress.Uses(s) || l.bye[s]
		for _, st := range l.streams {
			taken = taken || st.recv.SSRC == s
		}
		if !taken {
			return s
		}
	}
}
