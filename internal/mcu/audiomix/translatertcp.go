package audiomix

import (
	"encoding/binary"

	"parley/internal/media/rtcp"
)

// walk calls f for each packet of a compound with its bytes as they are.
func walk(compound []byte, f func(typ byte, b []byte)) {
	for len(compound) >= 4 && compound[0]>>6 == 2 {
		n := 4 * (int(binary.BigEndian.Uint16(compound[2:])) + 1)
		if n > len(compound) {
			return
		}
		f(compound[1], compound[:n])
		compound = compound[n:]
	}
}

// Forward appends what the far end gets of a compound of the source: the sender
// report in our counts and on our clock, everything else byte by byte (MTR-3,
// MTR-5). Feedback about streams the source receives is another stream's affair
// and passes as well.
func (t *Translator) Forward(dst, compound []byte) []byte {
	walk(compound, func(typ byte, b []byte) {
		at := len(dst)
		dst = append(dst, b...)
		if typ != rtcp.TypeSR || len(b) < 28 || binary.BigEndian.Uint32(b[4:]) != t.cfg.SSRC || !t.started {
			return
		}
		sr := dst[at:]
		put32(sr[16:], t.mapTS(binary.BigEndian.Uint32(b[16:])))
		put32(sr[20:], t.sent)
		put32(sr[24:], t.octets)
	})
	return dst
}

// Back appends what the source gets of a compound of the far end: report blocks
// about it mapped back, LSR and DLSR as they are (MTR-2, MTR-4). Congestion and
// codec feedback ends here: the translator's encoder is what it is about.
func (t *Translator) Back(dst, compound []byte) []byte {
	walk(compound, func(typ byte, b []byte) {
		if typ == rtcp.TypeRTPFB || typ == rtcp.TypePSFB {
			return
		}
		at := len(dst)
		dst = append(dst, b...)
		first := 8
		switch typ {
		case rtcp.TypeSR:
			first = 28
		case rtcp.TypeRR:
		default:
			return
		}
		r := dst[at:]
		for i := range int(b[0] & 31) {
			if o := first + 24*i; o+24 <= len(r) && binary.BigEndian.Uint32(r[o:]) == t.cfg.SSRC {
				t.inverse(r[o : o+24])
			}
		}
	})
	return dst
}

// inverse maps one report block. Whoever asks for what we no longer know gets
// the nearest we do.
func (t *Translator) inverse(b []byte) {
	lost := int64(int32(binary.BigEndian.Uint32(b[4:])<<8) >> 8)
	lost = max(-1<<23, min(1<<23-1, t.ratio(lost)+int64(t.hidden)))
	b[5], b[6], b[7] = byte(lost>>16), byte(lost>>8), byte(lost)
	put32(b[8:], uint32(t.sourceOf(int64(binary.BigEndian.Uint32(b[8:])))))
	jitter := int64(binary.BigEndian.Uint32(b[12:])) * t.clockIn() / t.clockOut()
	put32(b[12:], uint32(jitter))
}

// sourceOf returns the source's extended number for one of ours. Ours begin in
// the cycle the receiver counts as the zeroth.
func (t *Translator) sourceOf(out int64) int64 {
	out += 1 << 16
	out = min(out, t.out-1)
	for k := out; k > out-history && k > 0; k-- {
		if s := t.sentMap[k%history]; s.out == k {
			return s.in - 1<<16 // the unwrapper begins one cycle up
		}
	}
	return t.next - 1 - 1<<16
}
