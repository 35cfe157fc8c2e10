package picture

import (
	"image"
	"os"
	"strings"
	"unicode"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// Mask is a rasterised text: how much of a colour covers each pixel.
type Mask struct {
	W, H int
	A    []byte
}

// maxName is how many characters of a name are drawn.
const maxName = 40

// otherFonts are tried in turn for characters that the built-in font lacks
// (Chinese, Japanese, Korean, Arabic …); none is needed.
var otherFonts = []string{
	"/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
	"/usr/share/fonts/opentype/noto/NotoSansCJK-Medium.ttc",
	"/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
	"/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",
	"/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
	"/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
	"/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
	"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
}

// maxFont bounds the font file read; the CJK collections have 20 MB.
const maxFont = 64 << 20

// Fonts draws text. One goroutine; faces are made once per size. Names come
// from strangers: only fonts of the machine are parsed, never anything of theirs.
type Fonts struct {
	fonts  []*opentype.Font // the built-in one, then one of the system once needed
	looked bool
	faces  map[faceKey]font.Face
	buf    sfnt.Buffer
}

type faceKey struct{ font, size int }

// NewFonts holds the built-in font; others are looked for when first needed.
func NewFonts() *Fonts {
	f, err := opentype.Parse(gomedium.TTF)
	if err != nil {
		return &Fonts{faces: map[faceKey]font.Face{}, looked: true}
	}
	return &Fonts{fonts: []*opentype.Font{f}, faces: map[faceKey]font.Face{}}
}

// Clean makes a name fit to be drawn: one line, no control or direction marks.
func Clean(name string) string {
	n := 0
	name = strings.ToValidUTF8(name, "")
	s := strings.Map(func(r rune) rune {
		if n >= maxName {
			return -1
		}
		if unicode.IsSpace(r) {
			r = ' '
		}
		if !unicode.IsPrint(r) || unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		n++
		return r
	}, name)
	return strings.Join(strings.Fields(s), " ")
}

// Initials are what stands on a tile without picture: the first letters of the
// first and the last word.
func Initials(name string) string {
	words := strings.FieldsFunc(Clean(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
	if len(words) == 0 {
		return ""
	}
	first := []rune(words[0])[:1]
	if len(words) > 1 && first[0] < 0x2e80 { // a Chinese name is said by its first sign
		first = append(first, []rune(words[len(words)-1])[0])
	}
	return strings.ToUpper(string(first))
}

func (f *Fonts) has(i int, r rune) bool {
	g, err := f.fonts[i].GlyphIndex(&f.buf, r)
	return err == nil && g != 0
}

// pick finds a font that has the sign; -1: none, a box is drawn.
func (f *Fonts) pick(r rune) int {
	for i := range f.fonts {
		if f.has(i, r) {
			return i
		}
	}
	if !f.looked {
		f.looked = true
		f.look()
		return f.pick(r)
	}
	return -1
}

// look loads the first of the known font files that is there.
func (f *Fonts) look() {
	for _, name := range otherFonts {
		st, err := os.Stat(name)
		if err != nil || st.Size() > maxFont {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if c, err := opentype.ParseCollection(b); err == nil {
			if g, err := c.Font(0); err == nil {
				f.fonts = append(f.fonts, g)
				return
			}
		}
	}
}

func (f *Fonts) face(i, size int) font.Face {
	k := faceKey{i, size}
	if c, ok := f.faces[k]; ok {
		return c
	}
	c, err := opentype.NewFace(f.fonts[i], &opentype.FaceOptions{Size: float64(size), DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		return nil
	}
	f.faces[k] = c
	return c
}

// Text rasterises s at size pixels, at most width wide; what does not fit is
// cut with an ellipsis.
func (f *Fonts) Text(s string, size, width int) *Mask {
	if len(f.fonts) == 0 || size < 6 || s == "" {
		return &Mask{}
	}
	runes := []rune(s)
	limit := fixed.I(width)
	if f.width(runes, size) > limit {
		for len(runes) > 0 && f.width(append(runes[:len(runes):len(runes)], '…'), size) > limit {
			runes = runes[:len(runes)-1]
		}
		runes = append(runes, '…')
	}
	w := min(f.width(runes, size).Ceil()+1, width)
	if w <= 0 {
		return &Mask{}
	}
	m := &Mask{W: w, H: size*5/4 + 1, A: make([]byte, w*(size*5/4+1))}
	dst := &image.Alpha{Pix: m.A, Stride: w, Rect: image.Rect(0, 0, w, m.H)}
	dot := fixed.Point26_6{Y: fixed.I(size)}
	for _, r := range runes {
		dot.X += f.draw(dst, dot, r, size)
	}
	return m
}

func (f *Fonts) width(s []rune, size int) (w fixed.Int26_6) {
	for _, r := range s {
		w += f.advance(r, size)
	}
	return w
}

func (f *Fonts) advance(r rune, size int) fixed.Int26_6 {
	if i := f.pick(r); i >= 0 {
		if c := f.face(i, size); c != nil {
			if a, ok := c.GlyphAdvance(r); ok {
				return a
			}
		}
	}
	return fixed.I(size)
}

// draw sets one sign and returns how far to go on.
func (f *Fonts) draw(dst *image.Alpha, dot fixed.Point26_6, r rune, size int) fixed.Int26_6 {
	if i := f.pick(r); i >= 0 {
		if c := f.face(i, size); c != nil {
			d := font.Drawer{Dst: dst, Src: image.Opaque, Face: c, Dot: dot}
			d.DrawString(string(r))
			return d.Dot.X - dot.X
		}
	}
	x, y := dot.X.Round()+size/8, dot.Y.Round() // a box for what cannot be shown
	for i := range size * 3 / 4 {
		for _, p := range [][2]int{{x + i, y}, {x + i, y - size*3/4}, {x, y - i}, {x + size*3/4, y - i}} {
			if image.Pt(p[0], p[1]).In(dst.Rect) {
				dst.Pix[p[1]*dst.Stride+p[0]] = 255
			}
		}
	}
	return fixed.I(size)
}
