package layer

// bits reads a header bit by bit; past the end it returns zeros and sets over.
type bits struct {
	b    []byte
	at   int
	over bool
}

func (r *bits) u(n int) uint32 {
	v := uint32(0)
	for ; n > 0; n-- {
		v <<= 1
		if r.at>>3 >= len(r.b) {
			r.over = true
			continue
		}
		v |= uint32(r.b[r.at>>3]>>(7-r.at&7)) & 1
		r.at++
	}
	return v
}

func (r *bits) flag() bool { return r.u(1) == 1 }

// ns reads a value below n in as few bits as it needs (AV1 RTP payload, appendix A.8.1).
func (r *bits) ns(n uint32) uint32 {
	w := 0
	for x := n; x != 0; x >>= 1 {
		w++
	}
	m := uint32(1)<<w - n
	v := r.u(w - 1)
	if v < m {
		return v
	}
	return v<<1 - m + r.u(1)
}

// put writes bits behind each other into a buffer of zeros.
type put struct {
	b  []byte
	at int
}

func (w *put) u(n int, v uint32) bool {
	if w.at+n > 8*len(w.b) {
		return false
	}
	for n--; n >= 0; n-- {
		w.b[w.at>>3] |= uint8(v>>n&1) << (7 - w.at&7)
		w.at++
	}
	return true
}
