package picture

import "math"

// Layouts by their names in XCON (RFC 6501),
// with two of our own for what every product has. Automatic and grid count.
const (
	Single    = "single-view"
	Dual      = "dual-view-2x1"
	DualTall  = "dual-view"
	Quad      = "quad-view"
	Nine      = "multiple-3x3"
	Sixteen   = "multiple-4x4"
	FivePlus1 = "multiple-5x1"
	Speaker   = "speaker"
	PIP       = "picture-in-picture"
	Grid      = "grid"
	Automatic = "automatic"
)

// gap is between tiles and around them, as a share of the height: 1/180 (4 at 720).
func gap(h int) int { return max(2, h/180) &^ 1 }

// Places returns where the tiles of a layout lie in a picture of w × h when
// there are n to show: the most prominent first. Fewer than n may be shown.
// An unknown name is a grid.
func Places(layout string, n, w, h int) []Rect {
	w, h = w&^1, h&^1
	if n <= 0 || w < 32 || h < 32 {
		return nil
	}
	switch layout {
	case Single:
		return []Rect{{0, 0, w, h}}
	case Dual:
		return cells(2, 1, min(n, 2), w, h)
	case DualTall:
		return cells(1, 2, min(n, 2), w, h)
	case Quad:
		return cells(2, 2, min(n, 4), w, h)
	case Nine:
		return cells(3, 3, min(n, 9), w, h)
	case Sixteen:
		return cells(4, 4, min(n, 16), w, h)
	case FivePlus1:
		return fivePlusOne(min(n, 6), w, h)
	case Speaker:
		return speaker(n, w, h)
	case PIP:
		return inset(min(n, 2), w, h)
	}
	n = min(n, 25)
	cols, rows := shape(n, w, h)
	return cells(cols, rows, n, w, h)
}

// Shows tells how many tiles a layout has at most.
func Shows(layout string) int {
	return map[string]int{Single: 1, Dual: 2, DualTall: 2, Quad: 4, Nine: 9, Sixteen: 16, FivePlus1: 6, Speaker: 6, PIP: 2}[layout]
}

// shape chooses columns and rows so that 16:9 tiles come out as large as possible.
func shape(n, w, h int) (cols, rows int) {
	best := 0.0
	for c := 1; c <= n; c++ {
		r := (n + c - 1) / c
		tw := math.Min(float64(w)/float64(c), float64(h)/float64(r)*16/9)
		if tw > best-0.5 { // as large with more columns: wider is what people expect
			best, cols, rows = tw, c, r
		}
	}
	return cols, rows
}

// cells are n tiles in a grid without gaps, so that halves and quarters are exact
// and a layer of that size needs no scaling; the painter draws the lines between
// them. A last row that is not full is centred.
func cells(cols, rows, n, w, h int) []Rect {
	tw, th := w/cols&^1, h/rows&^1
	if cols*rows > 1 && th > tw*3/4 { // far from any camera's shape: 16:9, with the rest around
		th = (tw*9/16 + 1) &^ 1
	}
	if cols*rows > 1 && tw > th*2 {
		tw = th * 16 / 9 &^ 1
	}
	left, top := (w-cols*tw)/2&^1, (h-rows*th)/2&^1
	out := make([]Rect, 0, n)
	for i := range n {
		row, col := i/cols, i%cols
		x := left + col*tw
		if in := n - row*cols; in < cols {
			x += (cols - in) * tw / 2 &^ 1
		}
		out = append(out, Rect{x, top + row*th, tw, th})
	}
	return out
}

// speaker is one large tile over a strip of up to five.
func speaker(n, w, h int) []Rect {
	if n == 1 {
		return []Rect{{0, 0, w, h}}
	}
	g := gap(h)
	sw := (w - 6*g) / 5 &^ 1
	sh := sw * 9 / 16 &^ 1
	if sh > h/3 { // tall pictures
		sh = h / 3 &^ 1
	}
	strip := min(n-1, 5)
	mh := (h - sh - 3*g) &^ 1
	mw := min(w-2*g, mh*16/9&^1) // 16:9, so that cameras fill it
	out := []Rect{{(w - mw) / 2 &^ 1, g, mw, mh}}
	left := (w - strip*sw - (strip-1)*g) / 2 &^ 1
	for i := range strip {
		out = append(out, Rect{left + i*(sw+g), h - g - sh, sw, sh})
	}
	return out
}

// inset is one full picture with a second one in the corner.
func inset(n, w, h int) []Rect {
	out := []Rect{{0, 0, w, h}}
	if n > 1 {
		g := 2 * gap(h)
		iw, ih := w/4&^1, h/4&^1
		out = append(out, Rect{w - iw - g, h - ih - g, iw, ih})
	}
	return out
}

// fivePlusOne is one large tile with five around it on the right and below.
func fivePlusOne(n, w, h int) []Rect {
	g := gap(h)
	tw, th := (w-4*g)/3&^1, (h-4*g)/3&^1
	at := func(col, row int) Rect { return Rect{g + col*(tw+g), g + row*(th+g), tw, th} }
	all := []Rect{{g, g, 2*tw + g, 2*th + g}, at(2, 0), at(2, 1), at(2, 2), at(1, 2), at(0, 2)}
	return all[:n]
}

// Fit places a picture of w × h inside r with its shape kept: nothing is cut off.
func Fit(r Rect, w, h int) Rect {
	if w <= 0 || h <= 0 {
		return r
	}
	fw, fh := r.W, r.W*h/w&^1
	if fh > r.H {
		fw, fh = r.H*w/h&^1, r.H
	}
	// Within two per cent of the tile's shape bars are only ugly lines.
	if fw*50 >= r.W*49 && fh*50 >= r.H*49 {
		return r
	}
	fw, fh = max(fw, 2), max(fh, 2)
	return Rect{r.X + (r.W-fw)/2&^1, r.Y + (r.H-fh)/2&^1, fw, fh}
}
