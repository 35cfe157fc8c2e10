// Package bitio reads and writes headers bit by bit, most significant first. It
// is not for payloads: a bit costs a step. Nothing in it is safe for concurrent use.
package bitio

// Reader reads B from bit At on; past the end it returns zeros and sets Over.
type Reader struct {
	B    []byte
	At   int // bits read
	Over bool
}

// U reads an unsigned value of n bits, at most 32.
func (r *Reader) U(n int) uint32 {
	v := uint32(0)
	for ; n > 0; n-- {
		v <<= 1
		if r.At>>3 >= len(r.B) {
			r.Over = true
			continue
		}
		v |= uint32(r.B[r.At>>3]>>(7-r.At&7)) & 1
		r.At++
	}
	return v
}

// Flag reads a bit.
func (r *Reader) Flag() bool { return r.U(1) == 1 }

// Writer writes bits behind each other into a buffer of zeros.
type Writer struct {
	B  []byte
	At int // bits written
}

// U writes the lowest n bits of v; false if they do not fit, and then nothing.
func (w *Writer) U(n int, v uint32) bool {
	if w.At+n > 8*len(w.B) {
		return false
	}
	for n--; n >= 0; n-- {
		w.B[w.At>>3] |= uint8(v>>n&1) << (7 - w.At&7)
		w.At++
	}
	return true
}
