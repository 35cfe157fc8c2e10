package audiomix

import "math"

// Rate is the sampling rate of the mix and Frame the samples of a slot.
const (
	Rate  = 48000
	Frame = Rate / 50
)

// taps per phase of the interpolation filter. With 24 the transition from 3.4 to
// 4.6 kHz of 8 kHz sources is some 60 dB deep; half as many let images be heard,
// twice as many only cost.
const taps = 24

// filters holds the low-pass prototypes by ratio: 48 kHz over the other rate.
var filters = map[int][]float32{3: lowpass(3), 6: lowpass(6)}

// lowpass makes a windowed sinc (Kaiser, β 6) at 48 kHz with its edge at the
// lower rate's half, gain 1.
func lowpass(ratio int) []float32 {
	n := ratio * taps
	h := make([]float32, n)
	mid, sum := float64(n-1)/2, 0.0
	for i := range h {
		x := float64(i) - mid
		v := math.Sin(math.Pi*x/float64(ratio)) / (math.Pi * x / float64(ratio))
		v *= bessel(6*math.Sqrt(1-(x/mid)*(x/mid))) / bessel(6)
		h[i] = float32(v)
		sum += v
	}
	for i := range h {
		h[i] = float32(float64(h[i]) / sum)
	}
	return h
}

// bessel is the modified Bessel function of order zero.
func bessel(x float64) float64 {
	s, t := 1.0, 1.0
	for k := 1; k < 30; k++ {
		t *= x / 2 / float64(k)
		s += t * t
	}
	return s
}

// upsampler brings 8 or 16 kHz to 48 kHz.
type upsampler struct {
	ratio int
	hist  []float32 // taps-1 samples before, then the frame
}

// run fills out, whose length is ratio times that of in.
func (u *upsampler) run(in, out []int16) {
	h := filters[u.ratio]
	if u.hist == nil {
		u.hist = make([]float32, taps-1, taps-1+Frame/u.ratio)
	}
	x := u.hist
	for _, s := range in {
		x = append(x, float32(s))
	}
	gain := float32(u.ratio)
	for i := range in {
		w := x[i : i+taps]
		for p := range u.ratio {
			var acc float32
			for k, j := 0, p; k < taps; k, j = k+1, j+u.ratio {
				acc += w[taps-1-k] * h[j]
			}
			out[i*u.ratio+p] = clip(acc * gain)
		}
	}
	u.hist = x[:copy(x, x[len(x)-taps+1:])]
}

// downsampler brings 48 kHz to 16 or 8 kHz.
type downsampler struct {
	ratio int
	hist  []float32
}

// run fills out, whose length is that of in divided by ratio.
func (d *downsampler) run(in, out []int16) {
	h := filters[d.ratio]
	n := len(h)
	if d.hist == nil {
		d.hist = make([]float32, n-1, n-1+Frame)
	}
	x := d.hist
	for _, s := range in {
		x = append(x, float32(s))
	}
	for i := range out {
		w := x[i*d.ratio : i*d.ratio+n]
		var a, b float32
		for k := 0; k < n; k += 2 {
			a += w[k] * h[k] // the filter is symmetric
			b += w[k+1] * h[k+1]
		}
		out[i] = clip(a + b)
	}
	d.hist = x[:copy(x, x[len(x)-n+1:])]
}

func clip(v float32) int16 { return int16(max(-32768, min(32767, v))) }
