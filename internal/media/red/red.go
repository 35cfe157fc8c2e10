// Package red reads and writes the payload format for redundant audio data (RFC
// 2198): a packet that carries, beside its own payload, those of packets before
// it. Layout only: what is worth repeating, and which packet a repeated payload
// was, is decided in packages stream and engine. Pure functions without
// allocation, safe for concurrent use on distinct buffers.
package red

const (
	// MaxBlocks bounds the payloads of one packet, the primary included. Browsers
	// repeat at most nine.
	MaxBlocks = 10
	// MaxOffset and MaxLength are what fits the 14 and 10 bits of a block header
	// (section 3).
	MaxOffset = 1<<14 - 1
	MaxLength = 1<<10 - 1

	follows     = 0x80 // F: another header comes behind this one
	repeatedLen = 4    // octets of the header of a repeated payload
	primaryLen  = 1    // and of the primary's
)

// Block is one payload of a packet.
type Block struct {
	PT       uint8
	Offset   uint16 // ticks before the packet's timestamp; the primary has 0
	From, To int    // range in the RED payload
}

// Parse reads a RED payload and returns its blocks in the order they lie there,
// oldest first, the primary last. No block is longer than what was given. False
// if it is not of the format or has more than MaxBlocks.
func Parse(b []byte, blocks *[MaxBlocks]Block) (n int, ok bool) {
	off := 0
	for {
		switch {
		case n == MaxBlocks || off >= len(b):
			return 0, false
		case b[off]&follows == 0:
			blocks[n] = Block{PT: b[off] & 0x7f}
			return layOut(b, off+primaryLen, blocks[:n+1])
		case len(b)-off < repeatedLen:
			return 0, false
		}
		v := uint32(b[off])<<24 | uint32(b[off+1])<<16 | uint32(b[off+2])<<8 | uint32(b[off+3])
		blocks[n] = Block{PT: uint8(v>>24) & 0x7f, Offset: uint16(v >> 10 & MaxOffset), To: int(v & MaxLength)}
		n++
		off += repeatedLen
	}
}

// layOut turns lengths into ranges; the primary takes what is left.
func layOut(b []byte, off int, blocks []Block) (int, bool) {
	last := len(blocks) - 1
	for i := range blocks[:last] {
		blocks[i].From, blocks[i].To = off, off+blocks[i].To
		if off = blocks[i].To; off > len(b) {
			return 0, false
		}
	}
	blocks[last].From, blocks[last].To = off, len(b)
	return len(blocks), true
}

// HeaderLen returns the octets of the headers of a packet that repeats n payloads.
func HeaderLen(n int) int { return n*repeatedLen + primaryLen }

// PutRepeated writes the header of a repeated payload; the payloads follow the
// primary's header in the same order. Offset and length must fit.
func PutRepeated(b []byte, pt uint8, offset uint32, length int) int {
	b[0] = follows | pt
	b[1] = uint8(offset >> 6)
	b[2] = uint8(offset<<2) | uint8(length>>8)
	b[3] = uint8(length)
	return repeatedLen
}

// PutPrimary writes the last header, that of the packet's own payload.
func PutPrimary(b []byte, pt uint8) int {
	b[0] = pt & 0x7f
	return primaryLen
}
