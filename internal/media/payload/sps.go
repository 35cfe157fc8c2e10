package payload

import "bytes"

// h264Size looks at every sequence parameter set of an access unit.
func h264Size(b []byte) (s Size, ok bool) {
	for len(b) > 0 {
		at := bytes.Index(b, []byte{0, 0, 1})
		if at < 0 {
			break
		}
		b = b[at+3:]
		end := bytes.Index(b, []byte{0, 0, 1})
		if end < 0 {
			end = len(b)
		}
		if end > 0 && b[0]&0x1f == nalSPS {
			t, ok := spsSize(b[1:end])
			if !ok {
				return s, false
			}
			s.grow(t)
		}
		b = b[end:]
	}
	return s, true
}

// unescape appends b without emulation prevention bytes (H.264, section 7.4.1).
func unescape(out, b []byte) []byte {
	zeros := 0
	for _, c := range b {
		if zeros >= 2 && c == 3 {
			zeros = 0
			continue
		}
		if c == 0 {
			zeros++
		} else {
			zeros = 0
		}
		out = append(out, c)
	}
	return out
}

// spsSize reads a sequence parameter set up to the frame size (H.264, section
// 7.3.2.1.1). Cropping is not taken off: the decoder allocates whole macroblocks.
func spsSize(b []byte) (Size, bool) {
	var plain [256]byte
	if len(b) > len(plain) {
		return Size{}, false // no encoder of this world; scaling lists fill less
	}
	r := read(unescape(plain[:0], b))
	profile := r.u(8)
	r.u(16)
	if r.ue() > 31 {
		return Size{}, false
	}
	odd := false
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128:
		odd = r.ue() != 1                    // chroma_format_idc
		odd = r.ue() != 0 || odd             // luma depth above 8 bit
		odd = r.ue() != 0 || r.Flag() || odd // chroma depth, lossless
		if odd {
			return Size{Odd: true}, !r.Over
		}
		if r.Flag() {
			scalingLists(&r)
		}
	}
	r.ue() // log2_max_frame_num_minus4
	switch r.ue() {
	case 0:
		r.ue()
	case 1:
		r.u(1)
		r.se()
		r.se()
		for n := r.ue(); n > 0 && !r.Over; n-- {
			r.se()
		}
	}
	refs := r.ue()
	r.u(1)
	w, h := r.ue()+1, r.ue()+1
	if !r.Flag() {
		h *= 2 // fields
	}
	if r.Over || refs > 16 || w > 1<<12 || h > 1<<12 {
		// Above 65,536 pixels no level exists; do not multiply further.
		return Size{Width: 1 << 16, Height: 1 << 16}, !r.Over && refs <= 16
	}
	return Size{Width: 16 * w, Height: 16 * h}, true
}

func scalingLists(r *bits) {
	for i := range 8 {
		if !r.Flag() {
			continue
		}
		size := 16
		if i >= 6 {
			size = 64
		}
		last, next := 8, 8
		for k := 0; k < size && !r.Over; k++ {
			if next != 0 {
				next = (last + r.se() + 256) & 255
			}
			if next != 0 {
				last = next
			}
		}
	}
}
