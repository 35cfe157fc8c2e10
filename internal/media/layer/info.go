package layer

// Bounds of operating points: two bits of spatial, three of temporal ids (AV1
// RTP payload, appendix A.8.3).
const (
	MaxSpatial  = 4
	MaxTemporal = 8
)

// Flags say what is known of a packet's frame.
type Flags uint8

// Flags of [Info].
const (
	Known  Flags = 1 << iota // the layers are told; without it nothing else counts
	Start                    // first packet of the frame
	End                      // last packet of the frame
	Key                      // the frame needs no other and begins a picture
	Exact                    // Refs is complete
	Sync                     // needs no frame above the lowest temporal layer (VP8 Y)
	Tells                    // carries a structure or its active decode targets
	Struct                   // carries a structure
)

// Info is what one packet says of its frame: one coded picture of one spatial
// layer.
type Info struct {
	Refs    uint64 // bit d-1: needs the frame that is d before this one; see [Exact]
	Present uint32 // operating points that need the frame, see [Point]
	Switch  uint32 // points of which all later frames can be decoded if this one can
	Frame   uint16 // frame number or picture id: with Spatial the frame's name
	Spatial,
	Temporal uint8
	Flags Flags
}

// Gain returns the points that can be decoded from this frame on, if those of
// intact can be up to it. Of frames with exact references the caller knows
// better: whether all that they need was sent.
//
// VP8: a frame with Y needs the lowest layer only (RFC 7741, section 4.2), but the
// layers between must go on as well. VP9: after a frame with U, higher temporal
// layers need no earlier frame above its own (RFC 9628, section 4.2).
func (i *Info) Gain(intact uint32) uint32 {
	switch {
	case i.Flags&Key != 0:
		return i.Switch
	case i.Switch == 0:
		return 0
	case i.Flags&Sync != 0:
		if i.Temporal == 0 || intact&Point(0, i.Temporal-1) != 0 {
			return i.Switch
		}
		return 0
	}
	rows := intact >> (i.Temporal % MaxTemporal) & eachSpatial
	return rows * 0xff & i.Switch
}

// Has reports whether all these flags are set.
func (i *Info) Has(f Flags) bool { return i.Flags&f == f }

// Same reports whether two packets belong to one frame.
func (i *Info) Same(j *Info) bool { return i.Frame == j.Frame && i.Spatial == j.Spatial }

// Point returns the bit of an operating point: a spatial layer and a temporal
// one, with all below them.
func Point(s, t uint8) uint32 { return 1 << (s%MaxSpatial*MaxTemporal + t%MaxTemporal) }

const (
	eachSpatial = 0x01010101
	allPoints   = 0xffffffff
)

// Below returns the points that are at most (s, t); negative numbers: none.
func Below(s, t int8) uint32 {
	if s < 0 || t < 0 {
		return 0
	}
	s, t = min(s, MaxSpatial-1), min(t, MaxTemporal-1)
	return uint32(uint8(0xff)>>(MaxTemporal-1-t)) * eachSpatial & (allPoints >> (MaxTemporal * (MaxSpatial - 1 - s)))
}

// Above returns the points that are at least (s, t).
func Above(s, t uint8) uint32 {
	return uint32(uint8(0xff)<<t) * eachSpatial & (allPoints << (MaxTemporal * s))
}

// Top returns the highest spatial layer among points, and its highest temporal
// one; -1, -1 for none.
func Top(points uint32) (s, t int8) {
	for s = MaxSpatial - 1; s >= 0; s-- {
		row := uint8(points >> (MaxTemporal * s))
		if row == 0 {
			continue
		}
		for t = MaxTemporal - 1; row>>t == 0; t-- {
		}
		return s, t
	}
	return -1, -1
}
