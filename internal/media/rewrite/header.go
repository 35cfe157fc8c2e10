package rewrite

import (
	"encoding/binary"

	"parley/internal/media/graph"
	"parley/internal/media/layer"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
)

// Hop is what is made anew for each packet of a leg.
type Hop struct {
	MID     string // written when not empty
	TWSeq   uint16 // transport-wide number
	AbsSend uint32 // 24 bits
	Frames  uint16 // added to the dependency descriptor's frame number
	// Lean leaves out what a receiver can do without, for packets that would be too
	// long: of the extensions only the transport-wide number and the dependency
	// descriptor stay.
	Lean bool
	// Dependency, unless nil, is the reader of the dependency descriptors; the
	// packet's tells then that targets up to a spatial and temporal layer are served.
	Dependency        *layer.Dependency
	Spatial, Temporal int8
}

// Header writes the header of p as f and hop want it and returns its length.
// used tells whether the transport-wide number was written.
func (m *Map) Header(b []byte, f *rtp.Fields, hop *Hop, p *graph.Packet) (n int, used bool) {
	var w rtp.Writer
	var served []byte // the descriptor in place of the packet's
	if hop.Dependency != nil {
		var space [maxDescriptor]byte
		served = m.serve(space[:], hop, p)
	}
	w.Begin(b, f, p.Hdr.TwoByte() || len(served) > maxShort || m.Dst[plane.ExtMID] > 14 || m.Dst[plane.ExtTransportCC] > 14)
	if id := m.Dst[plane.ExtTransportCC]; id != 0 {
		if s := w.Space(id, 2); s != nil {
			binary.BigEndian.PutUint16(s, hop.TWSeq)
			used = true
		}
	}
	if id := m.Dst[plane.ExtAbsSendTime]; id != 0 && !hop.Lean {
		if s := w.Space(id, 3); s != nil {
			s[0], s[1], s[2] = uint8(hop.AbsSend>>16), uint8(hop.AbsSend>>8), uint8(hop.AbsSend)
		}
	}
	if p.Exts&m.mask != 0 {
		for it := p.Hdr.Exts(p.Buf.B[:]); it.Next(); {
			if it.ID >= maxExtID || hop.Lean && it.ID != m.dep {
				continue
			}
			if it.ID == m.dep && served != nil {
				it.Data = served
			}
			s := w.Space(m.exts[it.ID], len(it.Data))
			copy(s, it.Data)
			if hop.Frames != 0 && it.ID == m.dep && len(s) >= 3 {
				binary.BigEndian.PutUint16(s[1:], binary.BigEndian.Uint16(s[1:])+hop.Frames)
			}
		}
	}
	if hop.MID != "" && !hop.Lean {
		if s := w.Space(m.Dst[plane.ExtMID], len(hop.MID)); s != nil {
			copy(s, hop.MID)
		}
	}
	return w.End(), used
}

const (
	maxDescriptor = 255 // bytes of an element (RFC 8285, section 4.3)
	maxShort      = 16  // in the one-byte form
)

// serve writes the packet's dependency descriptor with the decode targets that
// are served; nil if it stays as it is.
func (m *Map) serve(space []byte, hop *Hop, p *graph.Packet) []byte {
	d, ok := p.Hdr.Ext(p.Buf.B[:], m.dep)
	if !ok {
		return nil
	}
	if n := hop.Dependency.Restrict(space, d, hop.Spatial, hop.Temporal); n > 0 {
		return space[:n]
	}
	return nil
}

// AbsSendTime converts a 64-bit NTP time to the 24-bit 6.18 fixed point form.
func AbsSendTime(ntp uint64) uint32 { return uint32(ntp>>14) & 0xffffff }
