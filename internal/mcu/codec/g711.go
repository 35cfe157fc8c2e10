package codec

// law holds one companding law of ITU-T G.711 as tables: decoding by code,
// encoding by the upper bits of a sample.
type law struct {
	name string
	dec  [256]int16
	enc  [1 << 14]byte // index: sample >> 2, two's complement
}

var ulaw, alaw = makeLaw("g711u", decodeU, encodeU), makeLaw("g711a", decodeA, encodeA)

func makeLaw(name string, dec func(byte) int16, enc func(int) byte) law {
	l := law{name: name}
	for c := range 256 {
		l.dec[c] = dec(byte(c))
	}
	for i := range l.enc {
		l.enc[i] = enc(int(int16(i << 2)))
	}
	return l
}

// decodeU expands µ-law: sign, three bits of exponent and four of mantissa, all
// inverted, with a bias of 33 on the 14-bit scale (G.711, table 2).
func decodeU(c byte) int16 {
	c = ^c
	v := (int(c&15)<<1+33)<<(c>>4&7) - 33
	if c&0x80 != 0 {
		v = -v
	}
	return int16(v << 2)
}

func encodeU(s int) byte {
	sign := byte(0)
	if s >>= 2; s < 0 {
		s, sign = -s-1, 0x80
	}
	s = min(s, 8158) + 33
	exp := byte(0)
	for s>>exp > 63 {
		exp++
	}
	return ^(sign | exp<<4 | byte(s>>(exp+1))&15)
}

// decodeA expands A-law: even bits inverted, exponent 0 is linear (G.711, table 1).
func decodeA(c byte) int16 {
	c ^= 0x55
	exp, v := c>>4&7, int(c&15)<<1+1
	if exp > 0 {
		v = (v + 32) << (exp - 1)
	}
	if c&0x80 == 0 {
		v = -v
	}
	return int16(v << 3)
}

func encodeA(s int) byte {
	sign := byte(0x80)
	if s >>= 3; s < 0 { // the 13-bit scale
		s, sign = -s-1, 0
	}
	exp := byte(0)
	for s>>exp > 31 && exp < 7 {
		exp++
	}
	m := byte(s >> max(exp, 1) & 15)
	return (sign | exp<<4 | m) ^ 0x55
}

// g711 decodes and encodes with one law at 8 kHz.
type g711 struct {
	l *law
	c concealer
}

func newG711(l *law) *g711 { return &g711{l: l, c: concealer{rate: 8000}} }

// Rate implements [Decoder] and [Encoder].
func (g *g711) Rate() int { return 8000 }

// Name implements [Encoder].
func (g *g711) Name() string { return "g711" }

// Close implements [Decoder] and [Encoder].
func (g *g711) Close() {}

// Samples implements [Decoder].
func (g *g711) Samples(p []byte) int {
	if len(p) > 8*MaxMillis {
		return 0
	}
	return len(p)
}

// Decode implements [Decoder].
func (g *g711) Decode(p []byte, pcm []int16) (int, error) {
	if len(p) > 8*MaxMillis || len(p) > len(pcm) {
		return 0, ErrTooLong
	}
	pcm = pcm[:len(p)]
	for i, c := range p {
		pcm[i] = g.l.dec[c]
	}
	g.c.heard(pcm)
	return len(p), nil
}

// Conceal implements [Decoder].
func (g *g711) Conceal(_ []byte, pcm []int16) { g.c.fill(pcm) }

// Encode implements [Encoder].
func (g *g711) Encode(pcm []int16, out []byte) (int, error) {
	if len(out) < len(pcm) {
		return 0, ErrTooLong
	}
	out = out[:len(pcm)]
	for i, s := range pcm {
		out[i] = g.l.enc[uint16(s)>>2]
	}
	return len(pcm), nil
}
