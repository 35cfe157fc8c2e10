package payload

import "encoding/binary"

// VP8Desc is a parsed VP8 payload descriptor (RFC 7741, section 4.2).
type VP8Desc struct {
	Len        uint8 // bytes of the descriptor
	PictureID  uint16
	TL0PICIDX  uint8
	Long       bool // picture id has 15 bits
	HasPicture bool
	HasTL0     bool
	Start      bool // first packet of the first partition
}

// ParseVP8 reads the descriptor; false when the payload is too short.
func ParseVP8(b []byte, d *VP8Desc) bool {
	if len(b) < 2 {
		return false
	}
	*d = VP8Desc{Start: b[0]&0x10 != 0 && b[0]&0x07 == 0}
	n := 1
	if b[0]&0x80 != 0 {
		x := b[1]
		n = 2
		if x&0x80 != 0 {
			if n >= len(b) {
				return false
			}
			d.HasPicture = true
			d.PictureID = uint16(b[n] & 0x7f)
			if b[n]&0x80 != 0 {
				if n+1 >= len(b) {
					return false
				}
				d.Long = true
				d.PictureID = binary.BigEndian.Uint16(b[n:]) & 0x7fff
				n++
			}
			n++
		}
		if x&0x40 != 0 {
			if n >= len(b) {
				return false
			}
			d.HasTL0, d.TL0PICIDX = true, b[n]
			n++
		}
		if x&0x30 != 0 {
			n++
		}
	}
	if n >= len(b) {
		return false
	}
	d.Len = uint8(n)
	return true
}

// PutVP8 writes the descriptor of src (parsed as d) to dst with other ids, of
// the same form and length d.Len, which it returns.
func PutVP8(dst, src []byte, d *VP8Desc, picture uint16, tl0 uint8) int {
	copy(dst, src[:d.Len])
	n := 2
	if d.HasPicture {
		if d.Long {
			binary.BigEndian.PutUint16(dst[n:], picture|0x8000)
			n++
		} else {
			dst[n] = uint8(picture & 0x7f)
		}
		n++
	}
	if d.HasTL0 {
		dst[n] = tl0
	}
	return int(d.Len)
}

func vp8Keyframe(b []byte) bool {
	var d VP8Desc
	// P bit of the payload header: 0 = key frame (RFC 7741, section 4.3).
	return ParseVP8(b, &d) && d.Start && b[d.Len]&1 == 0
}
