package stream

import "math/bits"

// sieve tells which packets of a stretch were left out, so that the numbers of
// the others are consecutive and can be found again: a bit for each of the last
// sieveSpan source numbers, and for each word of bits how many were sent before.
type sieve struct {
	words [sieveSpan / 64]sieved
}

// sieveSpan is at least the history: what is older cannot be sent again.
const sieveSpan = 2 * videoHistory

// sieved are 64 source numbers.
type sieved struct {
	kept  uint64 // sent, or kept free for what was lost on its way to us
	ended uint64 // a picture that was left out began here
	out   int64  // outgoing number of the first that is kept
	pics  uint16 // pictures left out before
}

func (v *sieve) at(x int64) *sieved { return &v.words[uint64(x)/64%uint64(len(v.words))] }

// fill notes that all from first up to but without end were sent, by delta.
func (v *sieve) fill(first, end, delta int64) {
	for b := max(first&^63, end&^63-sieveSpan+64); b <= end&^63; b += 64 {
		from := max(first, b)
		w := v.at(b)
		*w = sieved{out: from + delta, kept: ^uint64(0) << uint(from-b)}
		if n := end - b; n < 64 {
			w.kept &= 1<<uint(n) - 1
		}
	}
}

// put notes the next source number; out is the next outgoing one.
func (v *sieve) put(x, out int64, keep, picture bool) {
	w := v.at(x)
	if x%64 == 0 {
		last := v.at(x - 1)
		*w = sieved{out: out, pics: last.pics + uint16(bits.OnesCount64(last.ended))}
	}
	if keep {
		w.kept |= 1 << uint(x%64)
	} else if picture {
		w.ended |= 1 << uint(x%64)
	}
}

// number returns a source number's outgoing one, and how many pictures were
// left out before it; false if it was left out itself.
func (v *sieve) number(x int64) (out int64, pics uint16, ok bool) {
	w, bit := v.at(x), uint64(1)<<uint(x%64)
	return w.out + int64(bits.OnesCount64(w.kept&(bit-1))), w.pics + uint16(bits.OnesCount64(w.ended&(bit-1))), w.kept&bit != 0
}

// source returns the source number of an outgoing one, looking down from the
// highest to the lowest that is known.
func (v *sieve) source(out, high, low int64) (int64, bool) {
	for b := high &^ 63; b >= low&^63 && b > high&^63-sieveSpan; b -= 64 {
		w := v.at(b)
		n := out - w.out
		if n < 0 {
			continue
		}
		k := w.kept
		for ; n > 0 && k != 0; n-- {
			k &= k - 1
		}
		return b + int64(bits.TrailingZeros64(k)), k != 0
	}
	return 0, false
}
