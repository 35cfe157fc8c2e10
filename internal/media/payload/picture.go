package payload

import "encoding/binary"

// Picture is where a VP8 or VP9 payload descriptor keeps the ids that count
// pictures (RFC 7741, section 4.2; RFC 9628, section 4.2). A receiver takes a
// step back for an old picture, so they must run on when the source changes.
type Picture struct {
	ID         uint16
	TL0PICIDX  uint8
	KEYIDX     uint8 // VP8, five bits
	Long       bool  // the id has 15 bits
	HasID      bool
	HasTL0     bool
	HasKEYIDX  bool
	Start      bool  // VP8: first packet of the first partition
	Len        uint8 // bytes up to the end of the ids (VP8: of the descriptor)
	idAt, tlAt uint8
	keyAt      uint8
}

// ParsePicture reads the descriptor; false for other codecs and when the
// payload is too short.
func ParsePicture(c Codec, b []byte, d *Picture) bool {
	*d = Picture{}
	switch c {
	case VP8:
		return d.parseVP8(b)
	case VP9:
		return d.parseVP9(b)
	}
	return false
}

func (d *Picture) parseVP8(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	d.Start = b[0]&0x10 != 0 && b[0]&0x07 == 0
	n := 1
	if b[0]&0x80 != 0 {
		x := b[1]
		n = 2
		if x&0x80 != 0 && !d.id(b, &n) {
			return false
		}
		if x&0x40 != 0 && !d.tl0(b, &n) {
			return false
		}
		if x&0x30 != 0 {
			if n >= len(b) {
				return false
			}
			if x&0x10 != 0 {
				d.HasKEYIDX, d.keyAt, d.KEYIDX = true, uint8(n), b[n]&keyMask
			}
			n++
		}
	}
	d.Len = uint8(n)
	return n < len(b)
}

func (d *Picture) parseVP9(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	n := 1
	if b[0]&0x80 != 0 && !d.id(b, &n) {
		return false
	}
	if b[0]&0x20 != 0 {
		n++ // TID, U, SID, D
		if b[0]&0x10 == 0 && !d.tl0(b, &n) {
			return false
		}
	}
	d.Len = uint8(n)
	return n < len(b)
}

func (d *Picture) id(b []byte, n *int) bool {
	if *n >= len(b) {
		return false
	}
	d.HasID, d.idAt, d.ID = true, uint8(*n), uint16(b[*n]&0x7f)
	if b[*n]&0x80 != 0 {
		if *n+1 >= len(b) {
			return false
		}
		d.Long, d.ID = true, binary.BigEndian.Uint16(b[*n:])&0x7fff
		*n++
	}
	*n++
	return true
}

func (d *Picture) tl0(b []byte, n *int) bool {
	if *n >= len(b) {
		return false
	}
	d.HasTL0, d.tlAt, d.TL0PICIDX = true, uint8(*n), b[*n]
	*n++
	return true
}

// Put writes the first Len bytes of src (parsed as d) to dst with other ids of
// the same form, and returns Len.
func (d *Picture) Put(dst, src []byte, id uint16, tl0, keyidx uint8) int {
	copy(dst, src[:d.Len])
	switch {
	case d.HasID && d.Long:
		binary.BigEndian.PutUint16(dst[d.idAt:], id|0x8000)
	case d.HasID:
		dst[d.idAt] = uint8(id & 0x7f)
	}
	if d.HasTL0 {
		dst[d.tlAt] = tl0
	}
	if d.HasKEYIDX {
		dst[d.keyAt] = src[d.keyAt]&^keyMask | keyidx&keyMask
	}
	return int(d.Len)
}

const keyMask = 0x1f

func vp8Keyframe(b []byte) bool {
	var d Picture
	// P bit of the payload header: 0 = key frame (RFC 7741, section 4.3).
	return d.parseVP8(b) && d.Start && b[d.Len]&1 == 0
}
