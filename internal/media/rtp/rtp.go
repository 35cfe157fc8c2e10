// Package rtp reads and writes RTP headers in place (RFC 3550, section 5.1;
// RFC 8285 for header extensions). No allocation; parsers never trust lengths.
// Pure functions, safe for concurrent use on distinct buffers.
package rtp

// Header is a parsed view of a packet's fixed header; offsets point into the
// packet it was parsed from.
type Header struct {
	Marker      bool
	Padding     bool
	PayloadType uint8
	CSRCCount   uint8
	Seq         uint16
	TS          uint32
	SSRC        uint32
	ExtProfile  uint16 // 0xBEDE one-byte, 0x100x two-byte, 0 none
	ExtOff      uint16 // first byte of the extension body
	ExtLen      uint16 // bytes of the extension body
	PayloadOff  uint16
	PayloadEnd  uint16 // excludes padding
}
