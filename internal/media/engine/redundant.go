package engine

import (
	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/media/plane"
	"parley/internal/media/red"
	"parley/internal/media/rtp"
	"parley/internal/media/stream"
)

// unwrap turns a packet with redundancy (RFC 2198) into the plain one it carries,
// by pointing h at its payload; what it repeats is kept for recover. Redundancy
// ends here: each receiver gets what its own path needs.
func (e *Engine) unwrap(c *plane.Codec, buf *ring.Buf, h *rtp.Header) bool {
	b := buf.B[h.PayloadOff:h.PayloadEnd]
	n, ok := red.Parse(b, &e.blocks)
	if !ok || e.blocks[n-1].PT != c.PT {
		return false
	}
	e.repeated = n - 1
	last := &e.blocks[n-1]
	h.PayloadType = c.PT
	h.PayloadOff, h.PayloadEnd = h.PayloadOff+uint16(last.From), h.PayloadOff+uint16(last.To)
	return true
}

// recoverLost makes packets that were lost out of what a packet repeats, oldest
// first and before the packet itself, so that they go on in order. The format
// tells times and no numbers; senders repeat the packets right before, which the
// times of the neighbours must bear out.
func (e *Engine) recoverLost(now clock.Time, l *leg, st *inStream, buf *ring.Buf, wrap, h *rtp.Header, ext int64, out *Out) {
	n := e.repeated
	e.repeated = 0
	for i := range n {
		k, x := &e.blocks[i], ext-int64(n-i)
		ts := h.TS - uint32(k.Offset)
		if k.PT != h.PayloadType || k.Offset == 0 || k.From == k.To || !st.recv.Missing(x) || !st.fits(x, ts) {
			continue
		}
		nb := e.cfg.Pool.Get()
		payload := buf.B[int(wrap.PayloadOff)+k.From : int(wrap.PayloadOff)+k.To]
		o := bare(nb, rtp.Fields{PayloadType: h.PayloadType, Seq: uint16(x), TS: ts, SSRC: h.SSRC}, payload)
		if st.recv.Restored(now, x) {
			l.recovered++
			e.carry(now, l, st, nb, &o, x, stream.Late, true, out)
		}
		nb.Release()
	}
}

// fits reports whether a packet of this number can have had this time, by those
// around it that came.
func (s *inStream) fits(ext int64, ts uint32) bool {
	hist := &s.track.src.Layers[s.layer].Hist
	const around = 8
	for d := int64(1); d <= around; d++ {
		if p := hist.Get(ext + s.off - d); p != nil {
			if int32(ts-p.Hdr.TS) <= 0 {
				return false
			}
			break
		}
	}
	for d := int64(1); d <= around; d++ {
		if p := hist.Get(ext + s.off + d); p != nil {
			return int32(p.Hdr.TS-ts) > 0
		}
	}
	return true
}

// bare makes a packet without extensions in nb.
func bare(nb *ring.Buf, f rtp.Fields, payload []byte) (h rtp.Header) {
	var w rtp.Writer
	w.Begin(nb.B[:], &f, false)
	n := w.End()
	nb.N = n + copy(nb.B[n:], payload)
	rtp.Parse(nb.Bytes(), &h)
	return h
}
