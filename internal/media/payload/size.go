package payload

import (
	"parley/internal/base/bitio"
	"parley/internal/media/layer"
)

// Size is what a coded picture claims about itself before anything is decoded.
type Size struct {
	Width, Height int
	// Odd tells of a form that is not taken: other than 8 bit 4:2:0.
	Odd bool
}

// Claimed finds the largest size that a unit (as [Assembler] makes it) claims,
// zero when it claims none and the decoder goes on with the one before. ok is
// false for a header that makes no sense: such a unit should not be decoded.
// A decoder allocates by this claim, so it must be looked at before (check M2).
func Claimed(c Codec, unit []byte) (s Size, ok bool) {
	switch c {
	case VP8:
		return vp8Size(unit)
	case VP9:
		return vp9Size(unit)
	case H264:
		return h264Size(unit)
	case AV1:
		return av1Size(unit)
	}
	return Size{}, false
}

// KeySize finds the size in the first packet of a keyframe, which of VP8 and VP9
// is in the first bytes. Not for AV1, whose dependency descriptor tells it.
func KeySize(c Codec, b []byte) (Size, bool) {
	s, ok := Size{}, false
	switch c {
	case VP8:
		var d Picture
		if d.parseVP8(b) && d.Start {
			s, ok = vp8Size(b[d.Len:])
		}
	case VP9:
		var d layer.VP9
		if layer.ParseVP9(b, &d) {
			s, ok = vp9Frame(b[d.Len:])
		}
	case H264:
		if len(b) < 2 {
			return s, false
		}
		if b[0]&0x1f == nalSPS {
			return spsSize(b[1:])
		}
		for rest := b[1:]; b[0]&0x1f == nalSTAPA && len(rest) > 3; {
			n := int(rest[0])<<8 | int(rest[1])
			if n == 0 || 2+n > len(rest) {
				break
			}
			if rest[2]&0x1f == nalSPS {
				return spsSize(rest[3 : 2+n])
			}
			rest = rest[2+n:]
		}
	}
	return s, ok && s.Width > 0 && s.Height > 0
}

func (s *Size) grow(t Size) {
	s.Width, s.Height = max(s.Width, t.Width), max(s.Height, t.Height)
	s.Odd = s.Odd || t.Odd
}

// vp8Size reads the frame header (RFC 6386, section 9.1).
func vp8Size(b []byte) (Size, bool) {
	if len(b) < 3 {
		return Size{}, false
	}
	if b[0]&1 != 0 {
		return Size{}, true
	}
	if len(b) < 10 || b[3] != 0x9d || b[4] != 0x01 || b[5] != 0x2a {
		return Size{}, false
	}
	w, h := int(b[6])|int(b[7]&0x3f)<<8, int(b[8])|int(b[9]&0x3f)<<8
	return Size{Width: w, Height: h}, w > 0 && h > 0
}

// bits reads a header bit by bit.
type bits struct{ bitio.Reader }

func read(b []byte) bits { return bits{bitio.Reader{B: b}} }

func (r *bits) u(n int) int { return int(r.U(n)) }

// ue reads an Exp-Golomb number (H.264, section 9.1).
func (r *bits) ue() int {
	zeros := 0
	for !r.Flag() {
		if zeros++; zeros > 24 || r.Over {
			r.Over = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.u(zeros)
}

func (r *bits) se() int {
	v := r.ue()
	if v&1 == 1 {
		return (v + 1) / 2
	}
	return -v / 2
}

// vp9Size looks at every frame of a superframe (VP9 bitstream, annex B).
func vp9Size(b []byte) (Size, bool) {
	var s Size
	frames, ok := vp9Frames(b)
	if !ok {
		return s, false
	}
	for _, f := range frames {
		t, ok := vp9Frame(f)
		if !ok {
			return s, false
		}
		s.grow(t)
	}
	return s, len(frames) > 0
}

func vp9Frames(b []byte) (frames [][]byte, ok bool) {
	if len(b) == 0 {
		return nil, false
	}
	marker := b[len(b)-1]
	if marker&0xe0 != 0xc0 {
		return [][]byte{b}, true
	}
	n, mag := int(marker&7)+1, int(marker>>3&3)+1
	index := 2 + n*mag
	if len(b) < index || b[len(b)-index] != marker {
		return [][]byte{b}, true
	}
	table := b[len(b)-index+1:]
	rest := b[:len(b)-index]
	for i := range n {
		size := 0
		for k := range mag {
			size |= int(table[i*mag+k]) << (8 * k)
		}
		if size > len(rest) {
			return nil, false
		}
		if size > 0 {
			frames = append(frames, rest[:size])
		}
		rest = rest[size:]
	}
	return frames, true
}

// vp9Frame reads the uncompressed header (VP9 bitstream, section 6.2).
func vp9Frame(b []byte) (Size, bool) {
	r := read(b)
	if r.u(2) != 2 {
		return Size{}, false
	}
	profile := r.u(1) | r.u(1)<<1
	if profile != 0 {
		return Size{Odd: true}, true
	}
	if r.Flag() { // show_existing_frame
		return Size{}, !r.Over
	}
	inter, show, resilient := r.Flag(), r.Flag(), r.Flag()
	if !inter {
		return vp9Key(&r)
	}
	intraOnly := false
	if !show {
		intraOnly = r.Flag()
	}
	if !resilient {
		r.u(2)
	}
	if intraOnly {
		sync := r.u(24) == vp9Sync
		r.u(8)
		s := vp9FrameSize(&r)
		return s, sync && !r.Over
	}
	r.u(8 + 3*4)
	for range 3 {
		if r.Flag() { // the size of a reference
			return Size{}, !r.Over
		}
	}
	return vp9FrameSize(&r), !r.Over
}

const vp9Sync = 0x498342

func vp9Key(r *bits) (Size, bool) {
	sync := r.u(24) == vp9Sync
	const rgb = 7
	if r.u(3) == rgb { // only with profile 1 and 3
		return Size{Odd: true}, true
	}
	r.u(1)
	return vp9FrameSize(r), sync && !r.Over
}

func vp9FrameSize(r *bits) Size {
	w := r.u(16) + 1
	return Size{Width: w, Height: r.u(16) + 1}
}

// av1Size reads the first sequence header.
func av1Size(b []byte) (Size, bool) {
	for len(b) > 0 {
		head := 1
		if b[0]&4 != 0 {
			head = 2
		}
		if len(b) < head || b[0]&2 == 0 {
			return Size{}, false
		}
		n, used := leb128(b[head:])
		if used == 0 || n > len(b)-head-used {
			return Size{}, false
		}
		if b[0]>>3&15 == obuSequence {
			return av1Sequence(b[head+used : head+used+n])
		}
		b = b[head+used+n:]
	}
	return Size{}, true
}

// av1Sequence reads a sequence header OBU up to the frame size (AV1
// specification, section 5.5.1). Streams with timing information, which
// conferencing encoders do not write, are refused.
func av1Sequence(b []byte) (Size, bool) {
	r := read(b)
	if r.u(3) != 0 {
		return Size{Odd: true}, true
	}
	r.u(1)
	if r.Flag() { // reduced_still_picture_header
		r.u(5)
	} else {
		if r.Flag() {
			return Size{}, false
		}
		delay := r.Flag()
		for range r.u(5) + 1 {
			r.u(12)
			if r.u(5) > 7 {
				r.u(1)
			}
			if delay && r.Flag() {
				r.u(4)
			}
		}
	}
	wb, hb := r.u(4)+1, r.u(4)+1
	w := r.u(wb) + 1
	return Size{Width: w, Height: r.u(hb) + 1}, !r.Over
}
