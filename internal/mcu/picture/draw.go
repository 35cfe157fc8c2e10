package picture

// Tile is one place of a composed picture and what is to be seen there.
type Tile struct {
	Rect
	Source  int    // which source's frames, -1: none
	Name    string // drawn when not empty
	Muted   bool   // microphone off
	Active  bool   // speaks
	NoVideo bool   // camera off: initials in place of frames
	Initial string
	Edge    bool // a line around, since tiles touch
}

// Shade darkens r to a share of 1/256 keep (text is read upon it).
func (f *Frame) Shade(r Rect, keep int) {
	s := f.Sub(r)
	mix := func(p []byte, stride, w, h, to int) {
		for y := range h {
			b := p[y*stride : y*stride+w]
			for i := range b {
				b[i] = byte(to + (int(b[i])-to)*keep>>8)
			}
		}
	}
	mix(s.Y, s.YS, s.W, s.H, 16)
	mix(s.U, s.CS, s.W/2, s.H/2, 128)
	mix(s.V, s.CS, s.W/2, s.H/2, 128)
}

// Blend draws a mask in a colour with its corner at x, y (even); what lies
// outside f is left out.
func (f *Frame) Blend(m *Mask, x, y int, c Color) {
	w, h := min(m.W, f.W-x), min(m.H, f.H-y)
	if x < 0 || y < 0 || w <= 0 || h <= 0 {
		return
	}
	over := func(p *byte, v byte, a int) { *p = byte(int(*p) + (int(v)-int(*p))*a/255) }
	for j := range h {
		for i := range w {
			if a := m.A[j*m.W+i]; a != 0 {
				over(&f.Y[(y+j)*f.YS+x+i], c.Y, int(a))
			}
		}
	}
	for j := 0; j+1 < h; j += 2 {
		for i := 0; i+1 < w; i += 2 {
			a := (int(m.A[j*m.W+i]) + int(m.A[j*m.W+i+1]) + int(m.A[(j+1)*m.W+i]) + int(m.A[(j+1)*m.W+i+1])) / 4
			if a != 0 {
				at := (y+j)/2*f.CS + (x+i)/2
				over(&f.U[at], c.U, a)
				over(&f.V[at], c.V, a)
			}
		}
	}
}

// Border draws a frame of thickness t (even) inside r.
func (f *Frame) Border(r Rect, t int, c Color) {
	for _, s := range []Rect{{r.X, r.Y, r.W, t}, {r.X, r.Y + r.H - t, r.W, t}, {r.X, r.Y, t, r.H}, {r.X + r.W - t, r.Y, t, r.H}} {
		if s.W > 0 && s.H > 0 {
			f.Sub(s).Fill(c)
		}
	}
}

// microphone is the mark of a muted source: a microphone crossed out, drawn by
// rules in a square of n pixels.
func microphone(n int) *Mask {
	m := &Mask{W: n, H: n, A: make([]byte, n*n)}
	for y := range n {
		for x := range n {
			// In a grid of 24: the capsule, the holder, the stand, the stroke.
			X, Y := float64(x)*24/float64(n), float64(y)*24/float64(n)
			dx := X - 12
			capsule := Y >= 5 && Y <= 11 && dx*dx <= 9 || dx*dx+(Y-5)*(Y-5) <= 9 || dx*dx+(Y-11)*(Y-11) <= 9
			r := dx*dx + (Y-11)*(Y-11)
			holder := Y >= 11 && r <= 49 && r >= 30
			stand := dx*dx <= 1 && Y >= 17 && Y <= 22
			if capsule || holder || stand {
				m.A[y*n+x] = 255
			}
			if d := X - Y; d*d <= 10 {
				m.A[y*n+x] = 0
			}
			if d := X - Y; d*d <= 2.5 && X > 2 && X < 22 {
				m.A[y*n+x] = 255
			}
		}
	}
	return m
}

// Painter draws tiles and keeps what it has rasterised. One goroutine.
type Painter struct {
	fonts  *Fonts
	scaler Scaler
	masks  map[maskKey]*Mask
}

type maskKey struct {
	text        string
	size, width int
}

// NewPainter makes a painter with the built-in font.
func NewPainter() *Painter {
	return &Painter{fonts: NewFonts(), masks: map[maskKey]*Mask{}}
}

// mask keeps rasterised texts; a room that renames people all day starts anew.
func (p *Painter) mask(k maskKey, make func() *Mask) *Mask {
	m, ok := p.masks[k]
	if !ok {
		if len(p.masks) > 200 {
			clear(p.masks)
		}
		m = make()
		p.masks[k] = m
	}
	return m
}

func (p *Painter) text(s string, size, width int) *Mask {
	return p.mask(maskKey{s, size, width}, func() *Mask { return p.fonts.Text(s, size, width) })
}

// Paint draws one tile; frame may be nil, then the place holder is shown.
func (p *Painter) Paint(dst *Frame, t *Tile, frame *Frame) {
	area := dst.Sub(t.Rect)
	if frame == nil || t.NoVideo {
		area.Fill(Empty)
		size := t.H / 3
		m := p.text(t.Initial, size, t.W)
		area.Blend(m, (t.W-m.W)/2&^1, (t.H-m.H)/2&^1, White)
	} else {
		in := Fit(Rect{0, 0, t.W, t.H}, frame.W, frame.H)
		if in.W != t.W || in.H != t.H {
			area.bars(in)
		}
		p.scaler.Scale(area.Sub(in), frame)
	}
	p.label(area, t)
	switch {
	case t.Active:
		area.Border(Rect{0, 0, t.W, t.H}, max(2, t.H/90)&^1, Active)
	case t.Edge:
		area.Border(Rect{0, 0, t.W, t.H}, 2, Ground)
	}
}

// bars blackens what a picture of another shape leaves free.
func (f *Frame) bars(in Rect) {
	for _, r := range []Rect{
		{0, 0, f.W, in.Y}, {0, in.Y + in.H, f.W, f.H - in.Y - in.H},
		{0, in.Y, in.X, in.H}, {in.X + in.W, in.Y, f.W - in.X - in.W, in.H},
	} {
		if r.W > 0 && r.H > 0 {
			f.Sub(r).Fill(Black)
		}
	}
}

// label writes the name and the mark at the bottom left, readable on anything.
func (p *Painter) label(area *Frame, t *Tile) {
	size := max(10, min(t.H/16, 28)) &^ 1
	if t.H < 60 || t.W < 80 || t.Name == "" && !t.Muted {
		return
	}
	pad, mark := size/2&^1, 0
	if t.Muted {
		mark = size * 5 / 4 &^ 1
	}
	m := p.text(t.Name, size, t.W-4*pad-2*mark)
	w, h := m.W+2*pad+mark, size*3/2
	if t.Muted && m.W > 0 {
		w += pad
	}
	edge := max(2, t.H/90) &^ 1
	bar := Rect{edge, t.H - edge - h&^1, min(w+1, t.W-2*edge) &^ 1, h &^ 1}
	area.Shade(bar, 90)
	x := bar.X + pad
	if t.Muted {
		k := p.mask(maskKey{"\x00mic", mark, 0}, func() *Mask { return microphone(mark) })
		area.Blend(k, x, bar.Y+(bar.H-mark)/2&^1, Mute)
		x += mark + pad
	}
	area.Blend(m, x, bar.Y+(bar.H-m.H)/2&^1, White)
}
