package payload

// AV1 OBU types that a decoder needs (AV1 specification, section 6.2.2).
const (
	obuSequence = 1
	obuDelim    = 2
	obuTileList = 8
	obuPadding  = 15
)

// addAV1 takes one aggregation packet: OBU elements, the first of which may
// continue one of the packet before (AV1 RTP payload, section 4.4).
func (j *joiner) addAV1(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	z, y, w := b[0]&0x80 != 0, b[0]&0x40 != 0, int(b[0]>>4&3)
	if z != j.open {
		return false
	}
	if !j.begun {
		j.begun = true
		j.out = append(j.out, obuDelim<<3|2, 0)
	}
	b = b[1:]
	for i := 1; len(b) > 0; i++ {
		size := len(b)
		if w == 0 || i < w {
			n, used := leb128(b)
			if used == 0 || n > len(b)-used {
				return false
			}
			b, size = b[used:], n
		}
		last := len(b) == size
		j.current = append(j.current, b[:size]...)
		b = b[size:]
		j.open = last && y
		if !j.open && !j.obu() {
			return false
		}
		if len(j.current) > MaxUnit || w != 0 && i == w && len(b) > 0 {
			return false
		}
	}
	return true
}

// obu writes the collected OBU with a size field, as decoders want it.
func (j *joiner) obu() bool {
	o := j.current
	j.current = j.current[:0]
	if len(o) == 0 {
		return true
	}
	head := 1
	if o[0]&4 != 0 {
		head = 2
	}
	if len(o) < head || o[0]&0x80 != 0 {
		return false
	}
	body := o[head:]
	if o[0]&2 != 0 { // senders should leave the size out, and some do not
		n, used := leb128(body)
		if used == 0 || n > len(body)-used {
			return false
		}
		body = body[used : used+n]
	}
	switch o[0] >> 3 & 15 {
	case obuDelim, obuTileList, obuPadding:
		return true
	case obuSequence:
		j.key = true
	}
	j.out = append(j.out, o[0]|2)
	if head == 2 {
		j.out = append(j.out, o[1])
	}
	j.out = putLeb128(j.out, len(body))
	j.out = append(j.out, body...)
	return true
}

func (j *joiner) finishAV1() bool {
	if len(j.out) == 2 {
		j.out = j.out[:0]
	}
	return !j.open
}

// leb128 reads a length; used is 0 when it is cut off or too large.
func leb128(b []byte) (n, used int) {
	for i := 0; i < len(b) && i < 4; i++ {
		n |= int(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			return n, i + 1
		}
	}
	return 0, 0
}

func putLeb128(b []byte, n int) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}
