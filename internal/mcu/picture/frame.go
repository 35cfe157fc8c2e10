package picture

// Frame is a picture in planar YUV 4:2:0, 8 bits, limited range.
type Frame struct {
	W, H    int    // of luma, even
	Y, U, V []byte // planes; chroma has half the size both ways
	YS, CS  int    // bytes from row to row, luma and chroma
}

// Bytes is the memory of a frame of this size without gaps.
func Bytes(w, h int) int { return w*h + 2*(w/2)*(h/2) }

// New makes a black frame; odd sizes are rounded down.
func New(w, h int) *Frame {
	w, h = w&^1, h&^1
	f := Wrap(make([]byte, Bytes(w, h)), w, h)
	f.Fill(Black)
	return f
}

// Wrap lays a frame over memory of at least Bytes(w, h).
func Wrap(b []byte, w, h int) *Frame {
	y, c := w*h, (w/2)*(h/2)
	return &Frame{W: w, H: h, Y: b[:y:y], U: b[y : y+c : y+c], V: b[y+c : y+2*c : y+2*c], YS: w, CS: w / 2}
}

// Sub is the part of f at r, sharing its memory. r must lie inside and be even.
func (f *Frame) Sub(r Rect) *Frame {
	y, c := r.Y*f.YS+r.X, r.Y/2*f.CS+r.X/2
	return &Frame{W: r.W, H: r.H, Y: f.Y[y:], U: f.U[c:], V: f.V[c:], YS: f.YS, CS: f.CS}
}

// Rect is a place in a frame.
type Rect struct{ X, Y, W, H int }

// Color is a colour in YUV, limited range (BT.601).
type Color struct{ Y, U, V byte }

// Colours of the mixer.
var (
	Black  = Color{16, 128, 128}
	White  = Color{235, 128, 128}
	Ground = RGB(0x20, 0x22, 0x28) // behind tiles
	Empty  = RGB(0x3a, 0x3f, 0x4b) // a tile without picture
	Active = RGB(0x3d, 0xd1, 0x6f) // border of who speaks
	Mute   = RGB(0xe0, 0x4f, 0x4f)
)

// RGB converts (BT.601, limited range).
func RGB(r, g, b byte) Color {
	R, G, B := int(r), int(g), int(b)
	return Color{
		byte((66*R+129*G+25*B+128)>>8 + 16),
		byte((-38*R-74*G+112*B+128)>>8 + 128),
		byte((112*R-94*G-18*B+128)>>8 + 128),
	}
}

// Fill paints all of f.
func (f *Frame) Fill(c Color) {
	rows(f.Y, f.YS, f.W, f.H, func(b []byte) { set(b, c.Y) })
	rows(f.U, f.CS, f.W/2, f.H/2, func(b []byte) { set(b, c.U) })
	rows(f.V, f.CS, f.W/2, f.H/2, func(b []byte) { set(b, c.V) })
}

func set(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

func rows(p []byte, stride, w, h int, do func([]byte)) {
	for y := range h {
		do(p[y*stride : y*stride+w])
	}
}

// Copy copies src, which has the size of f.
func (f *Frame) Copy(src *Frame) {
	plane := func(d, s []byte, ds, ss, w, h int) {
		for y := range h {
			copy(d[y*ds:y*ds+w], s[y*ss:y*ss+w])
		}
	}
	w, h := min(f.W, src.W), min(f.H, src.H)
	plane(f.Y, src.Y, f.YS, src.YS, w, h)
	plane(f.U, src.U, f.CS, src.CS, w/2, h/2)
	plane(f.V, src.V, f.CS, src.CS, w/2, h/2)
}

// CopyTurned copies src turned clockwise by so many quarters; f has the size that
// results.
func (f *Frame) CopyTurned(src *Frame, quarters int) {
	if quarters&3 == 0 {
		f.Copy(src)
		return
	}
	turn(f.Y, src.Y, f.YS, src.YS, src.W, src.H, quarters&3)
	turn(f.U, src.U, f.CS, src.CS, src.W/2, src.H/2, quarters&3)
	turn(f.V, src.V, f.CS, src.CS, src.W/2, src.H/2, quarters&3)
}

// turn goes in squares of 16 × 16, so that rows of one and columns of the other
// plane stay in the cache together.
func turn(d, s []byte, ds, ss, w, h, quarters int) {
	const block = 16
	for y0 := 0; y0 < h; y0 += block {
		for x0 := 0; x0 < w; x0 += block {
			for y := y0; y < min(y0+block, h); y++ {
				row := s[y*ss : y*ss+w]
				for x := x0; x < min(x0+block, w); x++ {
					switch quarters {
					case 1:
						d[x*ds+h-1-y] = row[x]
					case 2:
						d[(h-1-y)*ds+w-1-x] = row[x]
					default:
						d[(w-1-x)*ds+y] = row[x]
					}
				}
			}
		}
	}
}
