package engine

import (
	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/base/seqnum"
	"parley/internal/media/fec"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
	"parley/internal/media/stream"
)

// maxParity bounds the parity packets of a stream that wait for others.
const maxParity = 24

// parity is a parity packet that has not been of use yet.
type parity struct {
	h        fec.Header
	buf      *ring.Buf
	from, to uint16
	base     int64 // extended
}

// takeParity takes a FlexFEC-03 packet of a publisher.
func (e *Engine) takeParity(now clock.Time, l *leg, st *inStream, buf *ring.Buf, h *rtp.Header, out *Out) {
	st.recv.Packet(now, h.Seq, h.TS, false)
	main := st.main
	if main == nil && st.track != nil {
		main = st.track.layers[st.layer].in
		st.main = main
	}
	x := parity{from: h.PayloadOff, to: h.PayloadEnd}
	if main == nil || !fec.Parse(buf.B[x.from:x.to], &x.h) || x.h.SSRC != main.recv.SSRC {
		e.drops.BadFEC++
		return
	}
	high, ok := main.recv.Highest()
	if !ok {
		return
	}
	x.base = high + int64(seqnum.Diff(x.h.Base, uint16(high)))
	x.buf = buf.Retain()
	if len(main.parity) == maxParity {
		main.parity[0].buf.Release()
		main.parity = append(main.parity[:0], main.parity[1:]...)
	}
	main.parity = append(main.parity, x)
	e.mend(now, l, main, out)
}

// mend makes what was lost out of the parity that waits and of what came; one
// packet made may make the next possible.
func (e *Engine) mend(now clock.Time, l *leg, st *inStream, out *Out) {
	for again := true; again; {
		again = false
		keep := st.parity[:0]
		for i := range st.parity {
			x := st.parity[i]
			if again { // the list may change under us: go through it anew
				keep = append(keep, x)
				continue
			}
			lost, n, waits := e.lack(st, &x)
			switch {
			case n == 1 && !waits:
				again = e.restore(now, l, st, &x, lost, out)
				x.buf.Release()
			case n == 0 && !waits:
				x.buf.Release()
			default:
				keep = append(keep, x)
			}
		}
		clear(st.parity[len(keep):])
		st.parity = keep
	}
}

// lack tells which of what a parity packet protects is missing, how many are, and
// whether more may be to come. What is beyond reach counts as useless: none.
func (e *Engine) lack(st *inStream, x *parity) (lost int64, n int, waits bool) {
	high, _ := st.recv.Highest()
	if x.base < high-parityReach {
		return 0, 0, false
	}
	for i := range x.h.Span() {
		if !x.h.Has(i) {
			continue
		}
		switch num := x.base + int64(i); {
		case num > high:
			waits = true
		case st.recv.Missing(num):
			lost = num
			n++
		}
	}
	return lost, n, waits
}

// parityReach is how far back parity is of use, in packets: the history has them.
const parityReach = 256

// restore makes the one packet that is lost. What came by a retransmission is not
// as it was sent, so parity over it cannot be undone.
func (e *Engine) restore(now clock.Time, l *leg, st *inStream, x *parity, lost int64, out *Out) bool {
	if st.track == nil || st.track.muted {
		return false
	}
	hist := &st.track.src.Layers[st.layer].Hist
	ids := &l.media.Sections[st.sect].Exts
	m := fec.Mutable{TransportCC: ids[plane.ExtTransportCC], AbsSendTime: ids[plane.ExtAbsSendTime], VideoTiming: ids[plane.ExtVideoTiming]}
	e.sum.Reset()
	if !e.sum.AddParity(x.buf.B[x.from:x.to], &x.h) {
		return false
	}
	for i := range x.h.Span() {
		num := x.base + int64(i)
		if !x.h.Has(i) || num == lost {
			continue
		}
		p := hist.Get(num + st.off)
		if p == nil || !asSent(p, st.recv.SSRC) || !e.sum.Add(p.Buf.Bytes(), nil, &m) {
			return false
		}
	}
	nb := e.cfg.Pool.Get()
	defer nb.Release()
	var o rtp.Header
	n, ok := e.sum.Packet(nb.B[:], uint16(lost), st.recv.SSRC)
	if nb.N = n; !ok || rtp.Parse(nb.Bytes(), &o) != rtp.OK {
		e.drops.BadFEC++
		return false
	}
	if c, rtx := codecOf(l.media.Sections[st.sect].Recv.Codecs, o.PayloadType); c == nil || rtx || o.PayloadType != c.PT {
		e.drops.BadFEC++
		return false
	}
	if !st.recv.Restored(now, lost) {
		return false
	}
	l.recovered++
	e.carry(now, l, st, nb, &o, lost, stream.Late, true, out)
	return true
}

// asSent reports whether a packet lies in its buffer as its sender protected it.
func asSent(p *graph.Packet, ssrc uint32) bool {
	b := p.Buf.B[8:12]
	return uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8|uint32(b[3]) == ssrc
}

// drop gives up the parity that waits.
func (s *inStream) drop() {
	for i := range s.parity {
		s.parity[i].buf.Release()
	}
	s.parity = nil
}
