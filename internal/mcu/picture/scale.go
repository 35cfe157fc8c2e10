package picture

import "encoding/binary"

// Scaler scales frames and keeps its tables and rows between calls. One goroutine.
type Scaler struct {
	half [2]*Frame // steps of halving
	ax   axis
	row  []byte
}

// Scale fills dst from src. More than twice too large is halved first (a box
// filter, so that nothing flickers); the rest is bilinear.
func (s *Scaler) Scale(dst, src *Frame) {
	if dst.W < 2 || dst.H < 2 || src.W < 2 || src.H < 2 {
		return
	}
	for i := 0; src.W >= 2*dst.W && src.H >= 2*dst.H; i ^= 1 {
		w, h := src.W/2&^1, src.H/2&^1
		if w == dst.W && h == dst.H {
			halve(dst, src)
			return
		}
		if w < 2 || h < 2 {
			break
		}
		if t := s.half[i]; t == nil || t.W != w || t.H != h {
			s.half[i] = New(w, h)
		}
		halve(s.half[i], src)
		src = s.half[i]
	}
	if dst.W == src.W && dst.H == src.H {
		dst.Copy(src)
		return
	}
	s.plane(dst.Y, src.Y, dst.YS, src.YS, dst.W, dst.H, src.W, src.H)
	s.plane(dst.U, src.U, dst.CS, src.CS, dst.W/2, dst.H/2, src.W/2, src.H/2)
	s.plane(dst.V, src.V, dst.CS, src.CS, dst.W/2, dst.H/2, src.W/2, src.H/2)
}

func halve(dst, src *Frame) {
	box(dst.Y, src.Y, dst.YS, src.YS, dst.W, dst.H)
	box(dst.U, src.U, dst.CS, src.CS, dst.W/2, dst.H/2)
	box(dst.V, src.V, dst.CS, src.CS, dst.W/2, dst.H/2)
}

// lanes selects every other byte of a word: four sums of 16 bits side by side.
const lanes = 0x00ff00ff00ff00ff

// box averages 2 × 2 pixels, eight columns of two rows in one go, or 64 where
// the processor can.
func box(d, s []byte, ds, ss, w, h int) {
	for y := range h {
		a, b := s[2*y*ss:2*y*ss+2*w], s[(2*y+1)*ss:(2*y+1)*ss+2*w]
		o := d[y*ds : y*ds+w]
		if n := boxRow(o, a, b); n > 0 {
			a, b, o = a[2*n:], b[2*n:], o[n:]
		}
		for len(o) >= 4 && len(a) >= 8 && len(b) >= 8 {
			p, q := binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b)
			t := p&lanes + p>>8&lanes + q&lanes + q>>8&lanes + 0x0002000200020002
			t = t >> 2 & lanes
			t |= t >> 8
			binary.LittleEndian.PutUint32(o, uint32(t&0xffff)|uint32(t>>32&0xffff)<<16)
			a, b, o = a[8:], b[8:], o[4:]
		}
		for i := range o {
			o[i] = byte((int(a[2*i]) + int(a[2*i+1]) + int(b[2*i]) + int(b[2*i+1]) + 2) >> 2)
		}
	}
}

// axis holds, for every column, where to read and how much of the right neighbour.
type axis struct {
	from, to int
	at       []int32
	frac     []uint16
}

func (x *axis) prepare(from, to int) {
	if x.from == from && x.to == to {
		return
	}
	x.from, x.to = from, to
	x.at, x.frac = grow(x.at, to), grow(x.frac, to)
	for i := range to {
		p := position(i, from, to)
		x.at[i], x.frac[i] = int32(p>>8), uint16(p&255)
	}
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// position is where pixel i of to lies among from, in 1/256, centres aligned,
// kept so that its right neighbour exists.
func position(i, from, to int) int {
	p := ((2*i+1)*from*128)/to - 128
	return max(0, min(p, (from-1)*256-1))
}

func (s *Scaler) plane(d, src []byte, ds, ss, w, h, sw, sh int) {
	if sw < 2 || sh < 2 || w < 1 || h < 1 {
		return
	}
	s.ax.prepare(sw, w)
	s.row = grow(s.row, sw)
	for y := range h {
		p := position(y, sh, h)
		top := src[p>>8*ss : p>>8*ss+sw]
		low := src[(p>>8+1)*ss : (p>>8+1)*ss+sw]
		blend(s.row, top, low, uint64(p&255))
		spread(d[y*ds:y*ds+w], s.row, s.ax.at, s.ax.frac)
	}
}

// blend mixes two rows: f/256 of the lower one, eight pixels in one go.
func blend(o, top, low []byte, f uint64) {
	e := 256 - f
	low, o = low[:len(top)], o[:len(top)]
	i := 0
	for ; i+8 <= len(top); i += 8 {
		p, q := binary.LittleEndian.Uint64(top[i:]), binary.LittleEndian.Uint64(low[i:])
		even := (p&lanes*e + q&lanes*f + 0x0080008000800080) >> 8 & lanes
		odd := (p>>8&lanes*e + q>>8&lanes*f + 0x0080008000800080) & (lanes << 8)
		binary.LittleEndian.PutUint64(o[i:], even|odd)
	}
	for ; i < len(top); i++ {
		o[i] = byte((uint64(top[i])*e + uint64(low[i])*f + 128) >> 8)
	}
}

// spread resamples one row.
func spread(o, row []byte, at []int32, frac []uint16) {
	at, frac = at[:len(o)], frac[:len(o)]
	for i := range o {
		p := row[at[i]:]
		if len(p) < 2 {
			o[i] = p[0]
			continue
		}
		a, f := int(p[0]), int(frac[i])
		o[i] = byte(a + ((int(p[1])-a)*f+128)>>8)
	}
}
