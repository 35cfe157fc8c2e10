package worker

import (
	"net/netip"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
	"parley/internal/transport/plain"
	"parley/internal/transport/srtp"
)

// arrived takes one datagram from a reader: copied and queued, with one command
// for all that wait.
func (l *plainLink) arrived(isRTCP bool, from netip.AddrPort, b []byte) {
	if len(b) < 8 || b[0]>>6 != 2 {
		return
	}
	l.mu.Lock()
	if l.closed || len(l.queue) >= plainQueue {
		l.lost++
		l.mu.Unlock()
		return
	}
	first := len(l.queue) == 0
	buf := l.w.pool.ring.Get()
	buf.N = copy(buf.B[:], b)
	l.queue = append(l.queue, arrival{buf, from, isRTCP})
	l.mu.Unlock()
	if first && !l.w.mail.post(l.take) {
		l.drop()
	}
}

// drop gives back what waits, for good.
func (l *plainLink) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for i := range l.queue {
		l.queue[i].buf.Release()
	}
	l.queue = nil
}

// deliver hands what waits to the engine.
func (l *plainLink) deliver(now clock.Time) {
	l.mu.Lock()
	l.work, l.queue = l.queue, l.work[:0]
	l.mu.Unlock()
	live := l.w.carrierOf(l.leg) == carrier(l)
	for i := range l.work {
		a := &l.work[i]
		switch {
		case !live:
		case l.group != nil:
			l.takeGroup(now, a)
		case a.rtcp || rtcp.Mux(a.buf.Bytes()):
			l.takeRTCP(now, a)
		default:
			l.takeRTP(now, a)
		}
		a.buf.Release()
		*a = arrival{}
	}
}

// takeRTP checks one packet: form, payload type, authenticity, and only then
// its source (rule A6).
func (l *plainLink) takeRTP(now clock.Time, a *arrival) {
	b := a.buf.Bytes()
	if len(b) < 12 || l.expected[b[1]>>6&1]>>(b[1]&63)&1 == 0 {
		l.count.unexpected++
		return
	}
	if l.recv != nil {
		clear, drop := l.recv.OpenRTP(b[:0], b) // in place: a forged packet is of no use to anybody
		if drop != srtp.DropNone {
			l.count.bad++
			return
		}
		a.buf.N = len(clear)
		b = clear
	}
	var h rtp.Header
	if rtp.Parse(b, &h) != rtp.OK {
		l.count.malformed++
		return
	}
	if !l.path.Heard(now, a.from, h.SSRC, h.Seq, l.recv != nil) {
		l.count.foreign++
		l.w.count.Foreign++
		return
	}
	l.noted(now, len(b))
	if clock := l.events[h.PayloadType]; clock != 0 {
		l.keys(now, &h, b[h.PayloadOff:h.PayloadEnd], clock)
	}
	l.w.eng.HandleRTP(now, l.leg, a.buf, &l.w.out)
}

// keys collects telephone events; they are told, and not forwarded as sound.
func (l *plainLink) keys(now clock.Time, h *rtp.Header, payload []byte, hz uint32) {
	if p, ok := l.keypad.Packet(h, payload, hz); ok {
		l.tellKey(p)
	}
	l.keyAt = 0
	if l.keypad.Open() {
		l.keyAt = now.Add(keyPatience)
		l.w.timers.want(l.leg, l.keyAt)
	}
}

func (l *plainLink) tellKey(p rtp.Press) {
	if g := l.w.leg(l.leg); g != nil {
		l.w.cfg.Sink.HandleMedia(plane.Event{Conf: g.conf, Conn: g.conn, Kind: plane.KeyPressed, Key: p.Key, Duration: p.Duration})
	}
}

func (l *plainLink) takeRTCP(now clock.Time, a *arrival) {
	b := a.buf.Bytes()
	if l.recv != nil {
		clear, drop := l.recv.OpenRTCP(b[:0], b)
		if drop != srtp.DropNone {
			l.count.bad++
			return
		}
		b = clear
	}
	if !l.path.HeardRTCP(a.from, l.recv != nil) {
		l.count.foreign++
		l.w.count.Foreign++
		return
	}
	l.noted(now, len(b))
	var p rtcp.Packet
	for it := rtcp.Parse(b); it.Next(&p); {
		if p.Type == rtcp.TypeBYE {
			l.bye = true
			l.w.timers.want(l.leg, now.Add(plainBye))
		}
	}
	l.w.eng.HandleRTCP(now, l.leg, b, &l.w.out)
}

// noted keeps the books of the peer's life.
func (l *plainLink) noted(now clock.Time, n int) {
	l.count.in++
	l.count.bytesIn += uint64(n)
	l.heard, l.bye = now, false
	if l.silent {
		l.silent = false
		l.w.tell(l.w.leg(l.leg), plane.LinkConnected, "")
		l.w.timers.want(l.leg, now.Add(plainSilence))
	}
}

// send implements carrier.
func (l *plainLink) send(w *Worker, now clock.Time, b *graph.Batch, run []graph.Send) {
	for i := range run {
		p := &run[i]
		l.buf = append(l.buf[:0], b.Header(p)...)
		if p.RTCP {
			l.sendRTCP(w, l.buf)
			continue
		}
		if p.Src != nil {
			l.buf = append(l.buf, p.Src.B[p.Off:p.End]...)
		}
		if l.tones.Rewrite(now, l.buf) {
			l.sendRTP(w, l.buf)
		}
	}
}

// sendRTP protects and sends one packet.
func (l *plainLink) sendRTP(w *Worker, b []byte) {
	to, also := l.path.Targets()
	if !to.IsValid() {
		w.count.Unsendable++
		return
	}
	if l.sealer != nil {
		n := plainHeader(b)
		out, err := l.sealer.SealRTP(l.sealed[:0], b[:n], b[n:])
		if err != nil {
			w.count.Unsendable++
			return
		}
		l.sealed, b = out, out
	}
	l.put(false, to, b)
	if also.IsValid() {
		l.put(false, also, b)
	}
	w.count.RTPOut++
}

// plainHeader is the length of a header of our own making.
func plainHeader(b []byte) int {
	var h rtp.Header
	if rtp.Parse(b, &h) != rtp.OK {
		return min(12, len(b))
	}
	return int(h.PayloadOff)
}

func (l *plainLink) sendRTCP(w *Worker, b []byte) {
	to := l.path.RTCPTarget()
	if !to.IsValid() || !l.feedback && isFeedback(b) { // AVP has no 205 and 206 (B2B-3)
		w.count.Unsendable++
		return
	}
	l.tones.RewriteRTCP(b)
	if l.sealer != nil {
		out, err := l.sealer.SealRTCP(l.sealed[:0], b)
		if err != nil {
			w.count.Unsendable++
			return
		}
		l.sealed, b = out, out
	}
	l.put(true, to, b)
	w.count.RTCPOut++
}

// isFeedback reports whether a compound holds transport or payload feedback or
// an extended report.
func isFeedback(b []byte) bool {
	var p rtcp.Packet
	for it := rtcp.Parse(b); it.Next(&p); {
		if p.Type >= rtcp.TypeRTPFB && p.Type <= rtcp.TypeXR {
			return true
		}
	}
	return false
}

func (l *plainLink) put(isRTCP bool, to netip.AddrPort, b []byte) {
	switch l.pair.Send(isRTCP, to, b) {
	case plain.SentOK:
		l.count.out++
		l.count.bytesOut += uint64(len(b))
	case plain.SentFull:
		l.w.count.Crowded++
	case plain.SentFailed:
		l.w.count.Refused++
	}
}

// tick implements carrier: keys in and out, and the peer's silence.
func (l *plainLink) tick(w *Worker, now clock.Time) clock.Time {
	next := l.tones.Tick(now, ids.Random32, func(b []byte) { l.sendRTP(w, b) })
	if l.keyAt != 0 && now >= l.keyAt {
		l.keyAt = 0
		if p, ok := l.keypad.Flush(); ok {
			l.tellKey(p)
		}
	}
	next = clock.Earliest(next, l.keyAt)
	if l.group != nil {
		return clock.Earliest(next, l.tickGroup(w, now))
	}
	if l.silent || !l.receives {
		return next
	}
	patience, why := plainSilence, "silent"
	if l.bye {
		patience, why = plainBye, "bye"
	}
	due := l.heard.Add(patience)
	if now >= due {
		l.silent = true
		w.tell(w.leg(l.leg), plane.LinkDisconnected, why)
		return next
	}
	return clock.Earliest(next, due)
}

// close implements carrier.
func (l *plainLink) close(*Worker, clock.Time) {
	l.pair.Close()
	l.drop()
}

// stats implements carrier.
func (l *plainLink) stats(s *plane.LinkStats) {
	s.State, s.RemoteAddr = "connected", l.path.Locked()
	if l.silent {
		s.State = "silent"
	}
	if l.recv != nil {
		s.Profile = "SDES"
	}
	s.PacketsIn, s.PacketsOut, s.BytesIn, s.BytesOut = l.count.in, l.count.out, l.count.bytesIn, l.count.bytesOut
}
