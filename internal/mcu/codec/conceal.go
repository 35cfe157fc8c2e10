package codec

// concealer hides lost packets of codecs that cannot do it themselves by
// repeating the last pitch period and fading out (the idea of G.711, appendix I,
// much simplified).
type concealer struct {
	rate int
	hist [640]int16 // 80 ms at 8 kHz, 40 ms at 16 kHz
	n    int        // valid samples at the end of hist
	lost int        // samples concealed since the last packet
	lag  int
}

// heard keeps the end of what was decoded, and blends from the made-up sound
// into it over 4 ms, so that the seam does not click.
func (c *concealer) heard(pcm []int16) {
	if c.lost > 0 {
		var tail [64]int16
		t := tail[:min(c.rate/250, len(pcm))]
		c.fill(t)
		for i := range t {
			pcm[i] = int16((int(pcm[i])*i + int(t[i])*(len(t)-i)) / len(t))
		}
		c.lost = 0
	}
	if len(pcm) >= len(c.hist) {
		pcm = pcm[len(pcm)-len(c.hist):]
	}
	copy(c.hist[:], c.hist[len(pcm):])
	copy(c.hist[len(c.hist)-len(pcm):], pcm)
	c.n = min(c.n+len(pcm), len(c.hist))
}

// fill makes up sound: full for the first 10 ms, silent after 60.
func (c *concealer) fill(pcm []int16) {
	if c.n < len(c.hist) {
		clear(pcm)
		return
	}
	if c.lost == 0 {
		c.lag = c.pitch()
	}
	keep, end := c.rate/100, c.rate*60/1000
	h := c.hist[len(c.hist)-c.lag:]
	for i := range pcm {
		g := end - max(keep, c.lost)
		if g <= 0 {
			pcm[i] = 0
		} else {
			pcm[i] = int16(int(h[c.lost%c.lag]) * g / (end - keep))
		}
		c.lost++
	}
}

// pitch finds the lag at which the last 10 ms repeat best, 2.5 to 15 ms (66 to
// 400 Hz), coarsely at every other sample.
func (c *concealer) pitch() int {
	n := c.rate / 100
	end := c.hist[len(c.hist)-n:]
	best, lag := -1.0, c.rate/100
	for l := c.rate / 400; l <= c.rate*15/1000; l++ {
		var cross, power float64
		for i := 0; i < n; i += 2 {
			y := float64(c.hist[len(c.hist)-n-l+i])
			cross += float64(end[i]) * y
			power += y * y
		}
		if score := cross * cross / (power + 1); cross > 0 && score > best {
			best, lag = score, l
		}
	}
	return lag
}
