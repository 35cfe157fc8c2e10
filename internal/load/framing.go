package load

// place is where a packet stands in its frame.
type place struct {
	first, last, key bool
	pic              uint16 // 15 bits
	width            int    // of the picture; 16:9
}

// framing writes what comes before the made-up bits of a picture, so that a
// server reads it as that codec: payload descriptor and first bytes of a frame.
var framing = map[string]func(place) []byte{
	"VP8": vp8, "VP9": vp9, "H264": h264, "AV1": av1,
}

// Codecs lists the video codecs a source can pretend, the default first.
var Codecs = []string{"VP8", "VP9", "H264", "AV1"}

// vp8 is the descriptor of RFC 7741 with a 15-bit picture id, and at the start
// of a frame the frame tag of RFC 6386, section 9.1.
func vp8(p place) []byte {
	b := []byte{0x80, 0x80, 0x80 | byte(p.pic>>8), byte(p.pic)}
	if !p.first {
		return b
	}
	b[0] |= 0x10
	if p.key {
		w, h := p.width, p.width*9/16
		return append(b, 0x10, 0, 0, 0x9d, 0x01, 0x2a, byte(w), byte(w>>8), byte(h), byte(h>>8))
	}
	return append(b, 0x11, 0, 0)
}

// vp9 is the descriptor of RFC 9628, section 4.2, one layer, and at the start
// of a frame the uncompressed header's first bytes.
func vp9(p place) []byte {
	b := []byte{0x80, 0x80 | byte(p.pic>>8), byte(p.pic)}
	if !p.key {
		b[0] |= 0x40 // P: inter-predicted
	}
	if p.last {
		b[0] |= 0x04
	}
	if !p.first {
		return b
	}
	b[0] |= 0x08
	if p.key {
		return append(b, 0x82, 0x49, 0x83, 0x42)
	}
	return append(b, 0x86)
}

// h264 is a fragmentation unit FU-A (RFC 6184, section 5.8) of an IDR or other slice.
func h264(p place) []byte {
	b := []byte{0x5c, 0x01}
	if p.key {
		b[0], b[1] = 0x7c, 0x05
	}
	if p.first {
		b[1] |= 0x80
	}
	if p.last && !p.first {
		b[1] |= 0x40
	}
	return b
}

// av1 is the aggregation header of the AV1 RTP payload format, section 4.4; a
// keyframe brings its sequence header.
func av1(p place) []byte {
	b := []byte{0x10}
	if !p.first {
		b[0] |= 0x80 // Z: continues an OBU
	}
	if !p.last {
		b[0] |= 0x40 // Y: goes on
	}
	if !p.first {
		return b
	}
	if p.key {
		b[0] = b[0]&^0x30 | 0x20 | 0x08 // two elements, new coded video sequence
		b = append(b, 3, 0x08, 0, 0)
	}
	return append(b, 0x30)
}
