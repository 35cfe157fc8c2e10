package rtp

import "encoding/binary"

// MaxSize is the largest packet taken from the wire; larger ones have crashed
// other servers (reliability A5) and no path carries them whole.
const MaxSize = 1500

// Drop says why a packet was refused; OK is zero.
type Drop uint8

// Reasons of [Parse].
const (
	OK Drop = iota
	Short
	TooLong
	BadVersion
	BadCSRC
	BadExtension
	BadPadding
)

const (
	profileOne     = 0xBEDE // RFC 8285, section 4.2
	profileTwo     = 0x1000 // RFC 8285, section 4.3; the low four bits are appbits
	profileTwoMask = 0xFFF0
	fixedLen       = 12
)

// Parse reads the header of b into h (RFC 3550, section 5.1). Every offset it
// leaves in h lies inside b. A packet that is all padding (a bandwidth probe)
// is legal and has PayloadOff == PayloadEnd.
func Parse(b []byte, h *Header) Drop {
	n := len(b)
	switch {
	case n < fixedLen:
		return Short
	case n > MaxSize:
		return TooLong
	case b[0]>>6 != 2:
		return BadVersion
	}
	*h = Header{
		Padding: b[0]&0x20 != 0, CSRCCount: b[0] & 0x0f,
		Marker: b[1]&0x80 != 0, PayloadType: b[1] & 0x7f,
		Seq: binary.BigEndian.Uint16(b[2:]), TS: binary.BigEndian.Uint32(b[4:]), SSRC: binary.BigEndian.Uint32(b[8:]),
	}
	off := fixedLen + 4*int(h.CSRCCount)
	if off > n {
		return BadCSRC
	}
	if b[0]&0x10 != 0 {
		if off+4 > n {
			return BadExtension
		}
		h.ExtProfile = binary.BigEndian.Uint16(b[off:])
		l := 4 * int(binary.BigEndian.Uint16(b[off+2:]))
		off += 4
		if off+l > n {
			return BadExtension
		}
		h.ExtOff, h.ExtLen = uint16(off), uint16(l)
		off += l
	}
	end := n
	if h.Padding {
		pad := int(b[n-1])
		if pad == 0 || pad > n-off {
			return BadPadding
		}
		end -= pad
	}
	h.PayloadOff, h.PayloadEnd = uint16(off), uint16(end)
	return OK
}

// maxCSRC is what the four bits of CC can count.
const maxCSRC = 15

// Sources returns the list of contributing sources as on the wire.
func (h *Header) Sources(b []byte) []byte {
	return b[fixedLen : fixedLen+4*int(h.CSRCCount)]
}

// CSRC returns the i-th contributing source of a parsed packet.
func (h *Header) CSRC(b []byte, i int) uint32 {
	return binary.BigEndian.Uint32(b[fixedLen+4*i:])
}
