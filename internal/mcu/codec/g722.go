package codec

// ITU-T G.722 at 64 kbit/s: two sub-bands of 8 kHz by a quadrature mirror
// filter, ADPCM with 6 and 2 bits. RTP counts it at 8,000 Hz though it samples at
// 16,000 (RFC 3551, section 4.5.2).

// Tables of the Recommendation: decision levels and codes of the 60-level
// quantizer, inverse quantizers, scale factor steps, the logarithm's inverse,
// and the filter.
var (
	g722Levels = [30]int{0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023,
		1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919}
	g722Inv6 = [64]int{-136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
		-9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688,
		-1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576,
		6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136}
	g722Inv4 = [16]int{0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0}
	g722Inv2 = [4]int{-7408, -1616, 7408, 1616}
	g722Step = [8]int{-60, -30, 58, 172, 334, 538, 1198, 3042}
	g722Low4 = [16]uint8{0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0}
	g722High = [4]int{798, -214, 798, -214}
	g722Log  = [32]int{2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
		2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008}
	g722QMF = [12]int{3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11}
)

func sat16(v int) int { return max(-32768, min(32767, v)) }

// g722Band is one sub-band's adaptive predictor and scale factor (G.722, 3.6),
// the same in both directions. Index 0 is the newest.
type g722Band struct {
	s, sz  int // prediction, and its zero section
	r, p   [3]int
	a      [3]int
	d, b   [7]int
	nb     int
	det    int
	top    int // limit of nb
	offset int // of the exponent
}

// adapt updates the scale factor by a step on the logarithmic scale (3.5).
func (g *g722Band) adapt(step int) {
	g.nb = max(0, min(g.top, g.nb*127>>7+step))
	sh, m := g.offset-g.nb>>11, g722Log[g.nb>>6&31]
	if sh < 0 {
		m <<= -sh
	} else {
		m >>= sh
	}
	g.det = m << 2
}

// predict takes the quantized difference and makes the next prediction (3.6).
func (g *g722Band) predict(d int) {
	g.d[0], g.r[0], g.p[0] = d, sat16(g.s+d), sat16(g.sz+d)
	g.poles()
	g.zeros()
	copy(g.r[1:], g.r[:2])
	copy(g.p[1:], g.p[:2])
	sp := sat16(g.a[1]*sat16(2*g.r[1])>>15 + g.a[2]*sat16(2*g.r[2])>>15)
	g.s = sat16(sp + g.sz)
}

// poles adapts the second-order section and keeps it stable.
func (g *g722Band) poles() {
	w := sat16(g.a[1] << 2)
	if same(g.p[0], g.p[1]) {
		w = min(-w, 32767)
	}
	w = w>>7 - 128
	if same(g.p[0], g.p[2]) {
		w += 256
	}
	a2 := max(-12288, min(12288, w+g.a[2]*32512>>15))
	w = -192
	if same(g.p[0], g.p[1]) {
		w = 192
	}
	lim := sat16(15360 - a2)
	g.a[1] = max(-lim, min(lim, sat16(w+g.a[1]*32640>>15)))
	g.a[2] = a2
}

// zeros adapts and runs the sixth-order section.
func (g *g722Band) zeros() {
	step := 128
	if g.d[0] == 0 {
		step = 0
	}
	for i := 6; i > 0; i-- {
		w := -step
		if same(g.d[0], g.d[i]) {
			w = step
		}
		g.b[i] = sat16(w + g.b[i]*32640>>15)
	}
	copy(g.d[1:], g.d[:6])
	g.sz = 0
	for i := 6; i > 0; i-- {
		g.sz += g.b[i] * sat16(2*g.d[i]) >> 15
	}
	g.sz = sat16(g.sz)
}

func same(x, y int) bool { return x>>15 == y>>15 }

// g722Bands is the state of one direction.
type g722Bands struct {
	low, high g722Band
	x         [24]int // filter memory, oldest first
}

func newG722Bands() g722Bands {
	return g722Bands{low: g722Band{det: 32, top: 18432, offset: 8}, high: g722Band{det: 8, top: 22528, offset: 10}}
}

// filter shifts two values in and returns the two polyphase sums.
func (g *g722Bands) filter(u, v int) (even, odd int) {
	copy(g.x[:], g.x[2:])
	g.x[22], g.x[23] = u, v
	for i, c := range g722QMF {
		odd += g.x[2*i] * c
		even += g.x[2*i+1] * g722QMF[11-i]
	}
	return even, odd
}

// update is what encoder and decoder share after a code is known.
func (g *g722Bands) update(code byte) {
	i4 := code & 63 >> 2
	d := g.low.det * g722Inv4[i4] >> 15
	g.low.adapt(g722Step[g722Low4[i4]])
	g.low.predict(d)
	d = g.high.det * g722Inv2[code>>6] >> 15
	g.high.adapt(g722High[code>>6])
	g.high.predict(d)
}

type g722Encoder struct{ g722Bands }

func newG722Encoder() *g722Encoder { return &g722Encoder{newG722Bands()} }

// Rate implements [Encoder].
func (g *g722Encoder) Rate() int { return 16000 }

// Name implements [Encoder].
func (g *g722Encoder) Name() string { return "g722" }

// Close implements [Encoder].
func (g *g722Encoder) Close() {}

// Encode implements [Encoder].
func (g *g722Encoder) Encode(pcm []int16, out []byte) (int, error) {
	n := len(pcm) / 2
	if len(out) < n {
		return 0, ErrTooLong
	}
	for i := range n {
		even, odd := g.filter(int(pcm[2*i]), int(pcm[2*i+1]))
		code := g.quantHigh((even-odd)>>14)<<6 | g.quantLow((even+odd)>>14)
		g.update(code)
		out[i] = code
	}
	return n, nil
}

// quantLow quantizes to 60 levels: codes 61 down to 32 are positive from small
// to large, 63, 62 and 31 down to 4 negative.
func (g *g722Encoder) quantLow(x int) byte {
	e := sat16(x - g.low.s)
	m := e
	if e < 0 {
		m = -(e + 1)
	}
	i := 1
	for i < 30 && m >= g722Levels[i]*g.low.det>>12 {
		i++
	}
	switch {
	case e >= 0:
		return byte(62 - i)
	case i < 3:
		return byte(64 - i)
	}
	return byte(34 - i)
}

func (g *g722Encoder) quantHigh(x int) byte {
	e := sat16(x - g.high.s)
	m, code := e, byte(3)
	if e < 0 {
		m, code = -(e + 1), 1
	}
	if m >= 564*g.high.det>>12 {
		code--
	}
	return code
}

type g722Decoder struct {
	g722Bands
	c concealer
}

func newG722Decoder() *g722Decoder { return &g722Decoder{newG722Bands(), concealer{rate: 16000}} }

// Rate implements [Decoder].
func (g *g722Decoder) Rate() int { return 16000 }

// Close implements [Decoder].
func (g *g722Decoder) Close() {}

// Samples implements [Decoder].
func (g *g722Decoder) Samples(p []byte) int {
	if len(p) > 8*MaxMillis {
		return 0
	}
	return 2 * len(p)
}

// Decode implements [Decoder].
func (g *g722Decoder) Decode(p []byte, pcm []int16) (int, error) {
	if len(p) > 8*MaxMillis || 2*len(p) > len(pcm) {
		return 0, ErrTooLong
	}
	for i, code := range p {
		lo := max(-16384, min(16383, g.low.s+g.low.det*g722Inv6[code&63]>>15))
		hi := max(-16384, min(16383, g.high.s+g.high.det*g722Inv2[code>>6]>>15))
		g.update(code)
		even, odd := g.filter(lo+hi, lo-hi)
		pcm[2*i], pcm[2*i+1] = int16(sat16(even>>11)), int16(sat16(odd>>11))
	}
	pcm = pcm[:2*len(p)]
	g.c.heard(pcm)
	return len(pcm), nil
}

// Conceal implements [Decoder].
func (g *g722Decoder) Conceal(_ []byte, pcm []int16) { g.c.fill(pcm) }
