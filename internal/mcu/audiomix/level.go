package audiomix

import "math"

// Silent is the level of digital silence (RFC 6464, section 3).
const Silent = 127

// levelOf measures samples in -dBov, 0 loudest to 127 (RFC 6464, appendix A).
func levelOf(pcm []int16) uint8 {
	var sum int64
	for _, s := range pcm {
		sum += int64(s) * int64(s)
	}
	if sum == 0 || len(pcm) == 0 {
		return Silent
	}
	db := -10 * math.Log10(float64(sum)/float64(len(pcm))/(32767*32767))
	return uint8(max(0, min(Silent, math.Round(db))))
}

// limiter keeps a sum of voices inside 16 bits without the crackle of clipping:
// it turns down within a slot as far as the peak needs and comes back slowly.
type limiter struct{ gain float32 }

const (
	ceiling = 30000
	// release per slot: 6 dB come back in half a second.
	release = 1.028
)

// run writes the limited sum to out.
func (l *limiter) run(sum []int32, out []int16) {
	if l.gain == 0 {
		l.gain = 1
	}
	peak := int32(0)
	for _, v := range sum {
		peak = max(peak, v, -v)
	}
	target := min(1, l.gain*release)
	if float32(peak)*target > ceiling {
		target = ceiling / float32(peak)
	}
	if target == 1 && l.gain == 1 {
		for i, v := range sum {
			out[i] = int16(v)
		}
		return
	}
	// Down within 2.5 ms, up over the whole slot.
	n := len(sum)
	if target < l.gain {
		n = min(n, Frame/8)
	}
	step, g := (target-l.gain)/float32(n), l.gain
	for i, v := range sum {
		if i < n {
			g += step
		} else {
			g = target
		}
		out[i] = clip(float32(v) * g)
	}
	l.gain = target
}
