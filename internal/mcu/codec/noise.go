package codec

import "math"

// Noise is a comfort noise generator (RFC 3389): white noise at the level the
// sender names. The spectrum bytes are left aside: nobody can tell at the levels
// that noise has.
type Noise struct {
	seed uint32
	amp  float64
}

// Set takes a payload: the first byte is the level in -dBov (section 3).
func (n *Noise) Set(payload []byte) (level uint8, ok bool) {
	if len(payload) == 0 || len(payload) > 64 {
		return 0, false
	}
	level = payload[0] & 0x7f
	// A uniform spread of ±a has power a²/3; 0 dBov is a square wave of full scale.
	n.amp = 32767 * math.Sqrt(3) * math.Pow(10, -float64(max(level, 30))/20)
	return level, true
}

// Fill makes noise at the level last set.
func (n *Noise) Fill(pcm []int16) {
	for i := range pcm {
		n.seed = n.seed*1664525 + 1013904223
		pcm[i] = int16(n.amp * (float64(int32(n.seed)) / (1 << 31)))
	}
}
