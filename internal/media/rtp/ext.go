package rtp

import "encoding/binary"

// ExtIter walks the extension elements of a parsed packet. Use by value:
//
//	for it := h.Exts(b); it.Next(); { use(it.ID, it.Data) }
type ExtIter struct {
	ID   uint8
	Data []byte // points into the packet
	rest []byte
	two  bool
}

// Exts returns an iterator; unknown profiles have no elements.
func (h *Header) Exts(b []byte) ExtIter {
	if h.ExtLen == 0 || int(h.ExtOff)+int(h.ExtLen) > len(b) {
		return ExtIter{}
	}
	body := b[h.ExtOff : h.ExtOff+h.ExtLen]
	switch {
	case h.ExtProfile == profileOne:
		return ExtIter{rest: body}
	case h.ExtProfile&profileTwoMask == profileTwo:
		return ExtIter{rest: body, two: true}
	}
	return ExtIter{}
}

// TwoByte reports whether the packet uses the two-byte form.
func (h *Header) TwoByte() bool { return h.ExtProfile&profileTwoMask == profileTwo }

// Next steps to the next element; a length that overruns the block ends the walk.
func (it *ExtIter) Next() bool {
	for len(it.rest) > 0 && it.rest[0] == 0 { // padding byte
		it.rest = it.rest[1:]
	}
	if len(it.rest) == 0 {
		return false
	}
	var n, head int
	if it.two {
		if len(it.rest) < 2 {
			it.rest = nil
			return false
		}
		it.ID, n, head = it.rest[0], int(it.rest[1]), 2
	} else {
		it.ID, n, head = it.rest[0]>>4, int(it.rest[0]&0x0f)+1, 1
		if it.ID == 15 { // reserved: stop (RFC 8285, section 4.2)
			it.rest = nil
			return false
		}
	}
	if head+n > len(it.rest) {
		it.rest = nil
		return false
	}
	it.Data, it.rest = it.rest[head:head+n], it.rest[head+n:]
	return it.ID != 0 || it.Next()
}

// Ext returns the data of the first element with this id.
func (h *Header) Ext(b []byte, id uint8) ([]byte, bool) {
	if id == 0 || h.ExtLen == 0 {
		return nil, false
	}
	for it := h.Exts(b); it.Next(); {
		if it.ID == id {
			return it.Data, true
		}
	}
	return nil, false
}

// ExtMask returns a bit for each extension id of the packet; ids from 31 on share
// the top bit.
func (h *Header) ExtMask(b []byte) (mask uint32) {
	for it := h.Exts(b); it.Next(); {
		mask |= 1 << min(it.ID, 31)
	}
	return mask
}

// Writer builds a header into a buffer of the caller, which should have
// MaxHeader bytes.
type Writer struct {
	b   []byte
	n   int
	ext int // offset of the extension block, 0 none
	two bool
}

// MaxHeader bounds a header the server writes: the fixed part, CSRCs, and
// extensions; an element that would go beyond is refused by [Writer.Space].
const MaxHeader = 512

// Fields are the fixed fields of a packet to write.
type Fields struct {
	Marker      bool
	PayloadType uint8
	Seq         uint16
	TS          uint32
	SSRC        uint32
	CSRC        uint32 // one contributing source; 0 none
	Sources     []byte // instead: contributing sources as on the wire, at most 15
}

// Begin writes the fixed part. two chooses the two-byte form for extensions.
func (w *Writer) Begin(b []byte, f *Fields, two bool) {
	*w = Writer{b: b, n: fixedLen, two: two}
	b[0], b[1] = 0x80, f.PayloadType
	if f.Marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], f.Seq)
	binary.BigEndian.PutUint32(b[4:], f.TS)
	binary.BigEndian.PutUint32(b[8:], f.SSRC)
	if n := len(f.Sources) / 4; n > 0 {
		n = min(n, maxCSRC)
		b[0] |= uint8(n)
		w.n += copy(b[w.n:], f.Sources[:4*n])
	} else if f.CSRC != 0 {
		b[0] |= 1
		binary.BigEndian.PutUint32(b[12:], f.CSRC)
		w.n += 4
	}
}

// Add writes an extension element; false if it does not fit the form or buffer.
func (w *Writer) Add(id uint8, data []byte) bool {
	p := w.Space(id, len(data))
	copy(p, data)
	return p != nil
}

// Space reserves an element of n bytes and returns it, nil if it does not fit.
func (w *Writer) Space(id uint8, n int) []byte {
	if id == 0 || n > 255 || (!w.two && (id > 14 || n < 1 || n > 16)) || w.n+n+12 > len(w.b) {
		return nil
	}
	if w.ext == 0 {
		w.ext = w.n
		w.n += 4
		w.b[0] |= 0x10
	}
	if w.two {
		w.b[w.n], w.b[w.n+1] = id, uint8(n)
		w.n += 2
	} else {
		w.b[w.n] = id<<4 | uint8(n-1)
		w.n++
	}
	w.n += n
	return w.b[w.n-n : w.n : w.n]
}

// End closes the extension block and returns the header's length.
func (w *Writer) End() int {
	if w.ext == 0 {
		return w.n
	}
	for (w.n-w.ext)%4 != 0 {
		w.b[w.n] = 0
		w.n++
	}
	prof := uint16(profileOne)
	if w.two {
		prof = profileTwo
	}
	binary.BigEndian.PutUint16(w.b[w.ext:], prof)
	binary.BigEndian.PutUint16(w.b[w.ext+2:], uint16((w.n-w.ext-4)/4))
	return w.n
}
