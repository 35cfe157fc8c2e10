package engine

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
	"parley/internal/media/speaker"
	"parley/internal/media/stream"
)

// HandleRTP implements [API].
func (e *Engine) HandleRTP(now clock.Time, id graph.LegID, buf *ring.Buf, out *Out) {
	l := e.leg(id)
	if l == nil {
		e.drops.UnknownLeg++
		return
	}
	b := buf.Bytes()
	if rtcp.Mux(b) { // RFC 5761: never media, whoever handed it in (PTP-7)
		e.drops.MuxedRTCP++
		return
	}
	var h rtp.Header
	if rtp.Parse(b, &h) != rtp.OK {
		e.drops.Malformed++
		return
	}
	l.packets++
	l.octets += uint64(len(b))
	e.feedback(now, l, b, &h, buf)
	e.take(now, l, buf, &h, out)
	if len(e.keys) > 0 {
		e.settle(now, out)
	}
}

// feedback notes the packet for congestion control, whatever becomes of it.
func (e *Engine) feedback(now clock.Time, l *leg, b []byte, h *rtp.Header, buf *ring.Buf) {
	at := now
	if buf.Came != 0 {
		at = buf.Came
	}
	switch {
	case l.useTWCC:
		if d, ok := h.Ext(b, l.ids.twcc); ok && len(d) >= 2 {
			l.twcc.Record(at, uint16(d[0])<<8|uint16(d[1]))
			e.wake(l, l.twcc.Due())
		}
	case l.useCCFB:
		l.marks.Record(at, h.SSRC, h.Seq, buf.ECN)
		e.wake(l, l.marks.Due())
	case l.useREMB:
		l.est.Add(now, len(b))
		e.wake(l, l.est.Due())
	}
}

// take binds a packet to its stream and carries it on.
func (e *Engine) take(now clock.Time, l *leg, buf *ring.Buf, h *rtp.Header, out *Out) {
	st := l.find(h.SSRC)
	if st == nil {
		if st = e.bindNew(now, l, buf.Bytes(), h, out); st == nil {
			l.hold(now, buf, &e.drops)
			e.wake(l, now.Add(holdFor))
			return
		}
	}
	st.heard = now
	if st.track == nil && !st.rtx {
		l.comeBack(now, st)
	}
	if st.track == nil {
		l.hold(now, buf, &e.drops)
		e.wake(l, now.Add(holdFor))
		return
	}
	if st.rtx {
		if fec := l.media.Sections[st.sect].Recv.FEC; fec != 0 && h.PayloadType == fec {
			e.takeParity(now, l, st, buf, h, out)
			return
		}
		if st.track.pass > 0 {
			e.passRTX(now, st.track, st.layer, buf, h)
		}
		e.takeRTX(now, l, st, buf, h, out)
		return
	}
	e.receive(now, l, st, buf, h, false, out)
}

// lateOnes is how long packets of a stream that was replaced may still come; what
// comes when its successor has been silent for longer is a return.
const lateOnes = 60 * time.Millisecond

// comeBack lets a stream take its section's track back: a phone plays music on
// hold under another SSRC, and goes on with its own.
func (l *leg) comeBack(now clock.Time, st *inStream) {
	for _, t := range l.tracks {
		if t.sect != st.sect {
			continue
		}
		if in := t.layers[st.layer].in; in == nil || now.Sub(in.heard) >= lateOnes {
			t.bind(st)
		}
	}
}

// takeRTX unpacks a retransmission (RFC 4588, section 4): the original number
// leads the payload; everything else is as it was.
func (e *Engine) takeRTX(now clock.Time, l *leg, st *inStream, buf *ring.Buf, h *rtp.Header, out *Out) {
	st.recv.Packet(now, h.Seq, h.TS, false)
	if h.PayloadEnd == h.PayloadOff {
		return // a bandwidth probe
	}
	c, _ := codecOf(l.media.Sections[st.sect].Recv.Codecs, h.PayloadType)
	if st.main == nil && st.track != nil {
		st.main = st.track.layers[st.layer].in
	}
	if c == nil || st.main == nil || h.PayloadEnd-h.PayloadOff < 2 {
		e.drops.BadRTX++
		return
	}
	o := *h
	o.Seq = uint16(buf.B[h.PayloadOff])<<8 | uint16(buf.B[h.PayloadOff+1])
	o.PayloadOff += 2
	o.SSRC, o.PayloadType = st.main.recv.SSRC, c.PT
	e.receive(now, l, st.main, buf, &o, true, out)
}

// receive counts a media packet and hands it to the exchange.
func (e *Engine) receive(now clock.Time, l *leg, st *inStream, buf *ring.Buf, h *rtp.Header, repair bool, out *Out) {
	c, rtx := codecOf(l.media.Sections[st.sect].Recv.Codecs, h.PayloadType)
	if c == nil || rtx {
		e.drops.UnknownPT++
		return
	}
	wrap := *h
	if h.PayloadType != c.PT && h.PayloadOff != h.PayloadEnd && !e.unwrap(c, buf, h) {
		e.drops.Malformed++
		return
	}
	ext, v := st.recv.Packet(now, h.Seq, h.TS, repair)
	switch v {
	case stream.Duplicate:
		e.repeated = 0
		e.drops.Duplicate++
		return
	case stream.TooOld:
		e.repeated = 0
		e.drops.TooOld++
		return
	}
	if e.repeated > 0 {
		e.recoverLost(now, l, st, buf, &wrap, h, ext, out)
	}
	if st.recv.Nack.Overflow {
		st.recv.Nack.Overflow = false
		if st.track.src.Video() {
			e.RequestKeyframe(now, st.track.cfg.ID, st.layer)
		}
	}
	e.wake(l, st.recv.Nack.Due())
	e.carry(now, l, st, buf, h, ext, v, repair, out)
	if len(st.parity) > 0 {
		e.mend(now, l, st, out)
	}
}

// carry hands a packet that was counted on to the exchange.
func (e *Engine) carry(now clock.Time, l *leg, st *inStream, buf *ring.Buf, h *rtp.Header, ext int64, v stream.Verdict, repair bool, out *Out) {
	t := st.track
	p := graph.Packet{Buf: buf, Hdr: *h, Track: t.cfg.ID, Layer: st.layer, Arrival: now, ExtSeq: ext + st.off,
		Repaired: v == stream.Late, Level: speaker.Silent, Exts: h.ExtMask(buf.Bytes())}
	y := &t.layers[st.layer]
	y.top = max(y.top, p.ExtSeq)
	if t.muted || t.src.Info == nil {
		e.drops.Muted++
		return
	}
	if t.cfg.Track.Kind == plane.Audio && l.ids.level != 0 && !t.cfg.Track.Mixed {
		if d, ok := h.Ext(buf.B[:buf.N], l.ids.level); ok && len(d) > 0 {
			p.Level = d[0] & 0x7f
		}
	}
	t.src.Classify(&p)
	if p.Keyframe {
		y.key.came()
	}
	if !t.live {
		t.live = true
		out.Events = append(out.Events, plane.Event{Conf: t.conf.id, Kind: plane.TrackLive, Conn: l.cfg.Conn, Track: t.cfg.Track.Track, SSRC: h.SSRC})
	}
	if t.pass > 0 && !repair {
		e.passOn(t, &p)
	}
	p.Buf.Retain()
	e.gather(now, t, &p)
}

// gather keeps a packet until Flush; its reference passes to the conference.
func (e *Engine) gather(now clock.Time, t *track, p *graph.Packet) {
	t.src.Keep(p)
	c := t.conf
	if p.Level < speaker.Silent {
		if c.det.Empty() {
			e.wakeConf(c, now.Add(speaker.Every))
		}
		c.det.Level(now, t.cfg.ID, t.cfg.Track.Track, p.Level)
	}
	c.packets = append(c.packets, *p)
	if !c.dirty {
		c.dirty = true
		e.dirty = append(e.dirty, c)
	}
}
