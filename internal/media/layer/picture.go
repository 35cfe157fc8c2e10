package layer

// VP9 is a VP9 payload descriptor (RFC 9628, section 4.2).
type VP9 struct {
	Info
	Len       uint8 // bytes of the descriptor
	Inter     bool  // P: needs earlier pictures
	Flexible  bool  // F: names its references itself
	Lower     bool  // D: needs the next lower layer of its picture
	Layered   bool  // L: layer ids are told
	HasID     bool
	Structure bool // V: Spatials, Width and Height are told
	Spatials  uint8
	Width     [8]uint16
	Height    [8]uint16
}

// ParseVP9 reads the descriptor; false if it is cut off or has no bytes behind it.
func ParseVP9(b []byte, v *VP9) bool {
	*v = VP9{}
	if len(b) < 2 {
		return false
	}
	const fI, fP, fL, fF, fB, fE, fV = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02
	h, n := b[0], 1
	v.Inter, v.Flexible, v.Layered, v.HasID = h&fP != 0, h&fF != 0, h&fL != 0, h&fI != 0
	if v.HasID {
		v.Frame = uint16(b[1] & 0x7f)
		if n = 2; b[1]&0x80 != 0 {
			if len(b) < 3 {
				return false
			}
			v.Frame, n = v.Frame<<8|uint16(b[2]), 3
		}
	}
	var up bool
	spatial := uint8(0)
	if v.Layered {
		if n >= len(b) {
			return false
		}
		v.Temporal, up, spatial, v.Lower = b[n]>>5, b[n]&0x10 != 0, b[n]>>1&7, b[n]&1 != 0
		if n++; !v.Flexible {
			n++ // TL0PICIDX
		}
	}
	if v.Inter && v.Flexible { // up to three P_DIFF
		for i := 0; ; i++ {
			if n >= len(b) || i == 3 {
				return false
			}
			n++
			if b[n-1]&1 == 0 {
				break
			}
		}
	}
	if h&fV != 0 {
		if n = v.structure(b, n); n == 0 {
			return false
		}
	}
	if n >= len(b) || n > 255 {
		return false
	}
	v.Len = uint8(n)
	v.fill(h&fB != 0, h&fE != 0, up, spatial)
	return true
}

// fill puts the descriptor in the words of [Info].
func (v *VP9) fill(start, end, up bool, spatial uint8) {
	v.Spatial = min(spatial, MaxSpatial-1)
	if start {
		v.Flags |= Start
	}
	if end {
		v.Flags |= End
	}
	key := start && !v.Inter && spatial == 0
	if key {
		v.Flags |= Key
	}
	if !v.Layered || spatial >= MaxSpatial {
		return
	}
	v.Flags |= Known
	v.Present = Above(v.Spatial, v.Temporal)
	switch {
	case key:
		v.Switch = allPoints
	case up && v.Temporal < MaxTemporal-1: // for the layers above its own
		v.Switch = Above(0, v.Temporal+1)
	}
}

// structure reads the scalability structure at n and returns where it ends, 0 if
// it is cut off.
func (v *VP9) structure(b []byte, n int) int {
	if n >= len(b) {
		return 0
	}
	ss := b[n]
	n++
	v.Spatials = ss>>5 + 1
	if ss&0x10 != 0 {
		if n+4*int(v.Spatials) > len(b) {
			return 0
		}
		for i := range v.Spatials {
			v.Width[i], v.Height[i] = uint16(b[n])<<8|uint16(b[n+1]), uint16(b[n+2])<<8|uint16(b[n+3])
			n += 4
		}
		v.Structure = true
	}
	if ss&0x08 != 0 {
		if n >= len(b) {
			return 0
		}
		groups := b[n]
		n++
		for ; groups > 0; groups-- {
			if n >= len(b) {
				return 0
			}
			n += 1 + int(b[n]>>2&3)
		}
	}
	return n
}

// ParseVP8 reads the layer of a VP8 payload (RFC 7741, section 4.2): TID and Y.
// The frame's name is its picture id, else the timestamp's low half. False if
// the descriptor is cut off or tells no temporal layer.
func ParseVP8(b []byte, ts uint32, marker bool) (i Info, ok bool) {
	const x, s, partition = 0x80, 0x10, 0x07
	const fI, fL, fT, fK = 0x80, 0x40, 0x20, 0x10
	if len(b) < 3 || b[0]&x == 0 || b[1]&fT == 0 {
		return i, false
	}
	n := 2
	i.Frame = uint16(ts)
	if b[1]&fI != 0 {
		i.Frame = uint16(b[n] & 0x7f)
		if b[n]&0x80 != 0 {
			if n+1 >= len(b) {
				return i, false
			}
			i.Frame = i.Frame<<8 | uint16(b[n+1])
			n++
		}
		n++
	}
	if b[1]&fL != 0 {
		n++
	}
	if n+1 >= len(b) {
		return i, false
	}
	i.Temporal = b[n] >> 6
	i.Present = Above(0, i.Temporal) & Below(0, MaxTemporal-1)
	i.Flags = Known
	if marker {
		i.Flags |= End
	}
	if b[n]&0x20 != 0 && i.Temporal > 0 {
		i.Flags |= Sync
		i.Switch = Point(0, i.Temporal)
	}
	if b[0]&s != 0 && b[0]&partition == 0 {
		i.Flags |= Start
		if b[n+1]&1 == 0 {
			i.Flags |= Key
			i.Switch = Below(0, MaxTemporal-1)
		}
	}
	return i, true
}
