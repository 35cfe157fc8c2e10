package bitio

import (
	"math/rand/v2"
	"testing"
)

// TestWhatIsWrittenIsRead at every offset and length, and no further.
func TestWhatIsWrittenIsRead(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		w := Writer{B: make([]byte, 40)}
		var sizes []int
		var values []uint32
		for {
			n := 1 + rnd.IntN(32)
			v := uint32(rnd.Uint64() & (1<<n - 1))
			at := w.At
			if !w.U(n, v) {
				if w.At != at || at+n <= 8*len(w.B) {
					t.Fatalf("%d bits refused at %d of %d, now at %d", n, at, 8*len(w.B), w.At)
				}
				break
			}
			sizes, values = append(sizes, n), append(values, v)
		}
		r := Reader{B: w.B}
		for i, n := range sizes {
			if got := r.U(n); got != values[i] {
				t.Fatalf("value %d of %d bits: %#x, written %#x", i, n, got, values[i])
			}
		}
		if r.At != w.At || r.Over {
			t.Fatalf("read to %d (over: %v), written to %d", r.At, r.Over, w.At)
		}
	}
}

func TestPastTheEndAreZeros(t *testing.T) {
	r := Reader{B: []byte{0xff}}
	if v := r.U(6); v != 0x3f || r.Over {
		t.Errorf("%#x, over %v", v, r.Over)
	}
	if v := r.U(4); v != 0xc || !r.Over {
		t.Errorf("%#x, over %v", v, r.Over)
	}
	if r.Flag() || r.At != 8 {
		t.Errorf("at %d", r.At)
	}
}
