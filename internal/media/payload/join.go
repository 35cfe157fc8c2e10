package payload

import "parley/internal/media/layer"

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
	var d layer.VP9
	if !layer.ParseVP9(b, &d) {
		return false
	}
	if !j.begun {
		if !d.Has(layer.Start) {
			return false
		}
		j.begun, j.key = true, d.Has(layer.Key)
	}
	j.out = append(j.out, b[d.Len:]...)
	return true
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
