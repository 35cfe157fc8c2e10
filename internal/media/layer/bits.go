package layer

import "parley/internal/base/bitio"

// bits reads a descriptor bit by bit.
type bits struct{ bitio.Reader }

func read(b []byte) bits { return bits{bitio.Reader{B: b}} }

// ns reads a value below n in as few bits as it needs (AV1 RTP payload, appendix A.8.1).
func (r *bits) ns(n uint32) uint32 {
	w := 0
	for x := n; x != 0; x >>= 1 {
		w++
	}
	m := uint32(1)<<w - n
	v := r.U(w - 1)
	if v < m {
		return v
	}
	return v<<1 - m + r.U(1)
}
