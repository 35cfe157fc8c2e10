package stream

import (
	"math/rand/v2"
	"testing"
)

// TestSegmentNumbers compares a segment with a plain list of what was done.
func TestSegmentNumbers(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		from, out := int64(1<<16+rnd.IntN(5000)), int64(1<<16+rnd.IntN(5000))
		g := segment{from: from, out: out, last: from - 1, delta: out - from, pic: uint16(rnd.Uint32())}
		first := g.pic
		type fate struct {
			out  int64
			pic  uint16
			kept bool
		}
		fates := map[int64]fate{}
		leaveOf := rnd.IntN(100)
		next, pics := out, uint16(0)
		for x := from; x < from+int64(rnd.IntN(3000)); {
			for gap := rnd.IntN(40) - 36; gap > 0; gap-- { // lost on the way to us
				fates[x] = fate{next, first - pics, true}
				next++
				x++
			}
			if rnd.IntN(100) < leaveOf {
				picture := rnd.IntN(2) == 0
				fates[x] = fate{}
				g.leave(x, picture)
				if picture {
					pics++
				}
			} else {
				fates[x] = fate{next, first - pics, true}
				g.take(x)
				next++
			}
			x++
			if g.next() != next || g.picture() != first-pics {
				t.Fatalf("seed %d at %d: next %d, not %d; picture %d, not %d", seed, x, g.next(), next, g.picture(), first-pics)
			}
		}
		for x := from; x <= g.last; x++ {
			want := fates[x]
			got, pic, ok := g.number(x)
			if x <= g.last-sieveSpan+64 && !ok {
				continue // long ago
			}
			if ok && x < g.from {
				t.Fatalf("seed %d: %d is before the segment", seed, x)
			}
			if x >= g.from && ok != want.kept || ok && (got != want.out || pic != want.pic) {
				t.Fatalf("seed %d: %d is %d/%d %v, not %+v (from %d to %d)", seed, x, got, pic, ok, want, g.from, g.last)
			}
			if back, found := g.source(want.out); ok && (!found || back != x) {
				t.Fatalf("seed %d: number %d is %d %v, not %d", seed, want.out, back, found, x)
			}
		}
		if x, found := g.source(g.next() + 5); g.sieve != nil && found {
			t.Fatalf("seed %d: a number that was not used is %d", seed, x)
		}
	}
}

// TestThinnedStreamAllocatesNothing: leaving out costs no memory once begun.
func TestThinnedStreamAllocatesNothing(t *testing.T) {
	g := segment{from: 1000, out: 1000, last: 999}
	g.take(1000)
	g.leave(1001, true)
	x := int64(1002)
	if n := testing.AllocsPerRun(5000, func() {
		if x%3 == 0 {
			g.take(x)
		} else {
			g.leave(x, x%2 == 0)
		}
		g.number(x - 100)
		g.source(g.next() - 50)
		x++
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
