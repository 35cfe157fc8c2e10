package payload

// joiner undoes the packetisation of one picture.
type joiner struct {
	codec   Codec
	out     []byte
	begun   bool
	key     bool
	open    bool // H.264: inside a fragmented NAL unit; AV1: inside an OBU
	current []byte
}

func (j *joiner) add(b []byte) bool {
	switch j.codec {
	case VP8:
		return j.addVP8(b)
	case VP9:
		return j.addVP9(b)
	case H264:
		return j.addH264(b)
	case AV1:
		return j.addAV1(b)
	}
	return false
}

func (j *joiner) finish() bool {
	if j.codec == AV1 {
		return j.finishAV1()
	}
	return !j.open
}

func (j *joiner) addVP8(b []byte) bool {
	var d Picture
	if !d.parseVP8(b) {
		return false
	}
	if !j.begun {
		if !d.Start {
			return false
		}
		j.begun, j.key = true, b[d.Len]&1 == 0
	}
	j.out = append(j.out, b[d.Len:]...)
	return true
}

func (j *joiner) addVP9(b []byte) bool {
	n, ok := vp9Descriptor(b)
	if !ok {
		return false
	}
	const begin = 0x08
	if !j.begun {
		if b[0]&begin == 0 {
			return false
		}
		j.begun, j.key = true, vp9Keyframe(b)
	}
	j.out = append(j.out, b[n:]...)
	return true
}

// vp9Descriptor returns the length of the payload descriptor (RFC 9628, section 4.2).
func vp9Descriptor(b []byte) (int, bool) {
	var d Picture
	if !d.parseVP9(b) {
		return 0, false
	}
	n := int(d.Len)
	const p, f, v = 0x40, 0x10, 0x02
	if b[0]&f != 0 && b[0]&p != 0 { // flexible mode: up to three P_DIFF
		for i := 0; ; i++ {
			if n >= len(b) || i == 3 {
				return 0, false
			}
			n++
			if b[n-1]&1 == 0 {
				break
			}
		}
	}
	if b[0]&v != 0 {
		var ok bool
		if n, ok = vp9Structure(b, n); !ok {
			return 0, false
		}
	}
	return n, n < len(b)
}

// vp9Structure steps over the scalability structure (RFC 9628, section 4.2.1).
func vp9Structure(b []byte, n int) (int, bool) {
	if n >= len(b) {
		return 0, false
	}
	ss := b[n]
	n++
	if ss&0x10 != 0 {
		n += 4 * (int(ss>>5) + 1)
	}
	if ss&0x08 != 0 {
		if n >= len(b) {
			return 0, false
		}
		groups := int(b[n])
		n++
		for ; groups > 0; groups-- {
			if n >= len(b) {
				return 0, false
			}
			n += 1 + int(b[n]>>2&3)
		}
	}
	return n, n < len(b)
}

var startCode = []byte{0, 0, 0, 1}

// usefulNAL: slices, parameter sets, delimiters. Layers of SVC and MVC (14, 15,
// 20), extensions and messages (SEI) are left out: a base decoder ignores them,
// and what a decoder never sees cannot harm it.
func usefulNAL(t byte) bool { return t == 1 || t == 5 || t == 7 || t == 8 || t == 9 }

func (j *joiner) nal(b []byte) {
	if len(b) < 2 || !usefulNAL(b[0]&0x1f) {
		return
	}
	if b[0]&0x1f == nalIDR {
		j.key = true
	}
	j.out = append(append(j.out, startCode...), b...)
}

func (j *joiner) addH264(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	switch t := b[0] & 0x1f; {
	case t >= 1 && t <= 23:
		j.nal(b)
		return !j.open
	case t == nalSTAPA:
		for b = b[1:]; len(b) > 0; {
			if len(b) < 2 {
				return false
			}
			n := int(b[0])<<8 | int(b[1])
			if n == 0 || 2+n > len(b) {
				return false
			}
			j.nal(b[2 : 2+n])
			b = b[2+n:]
		}
		return !j.open
	case t == nalFUA:
		return j.addFUA(b)
	}
	return false // modes that need interleaving are not offered
}

// addFUA continues a fragmented NAL unit (RFC 6184, section 5.8).
func (j *joiner) addFUA(b []byte) bool {
	if len(b) < 3 {
		return false
	}
	start, end := b[1]&0x80 != 0, b[1]&0x40 != 0
	if start == j.open || start && end {
		return false
	}
	t := b[1] & 0x1f
	if start {
		j.open = true
		if usefulNAL(t) {
			if t == nalIDR {
				j.key = true
			}
			j.out = append(append(j.out, startCode...), b[0]&0xe0|t)
		}
	}
	if usefulNAL(t) {
		j.out = append(j.out, b[2:]...)
	}
	if end {
		j.open = false
	}
	return true
}
