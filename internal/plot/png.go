package plot

import (
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"
	"strconv"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// PNG draws the picture in pixels; letters that the small fixed font lacks are
// boxes.
func (p *Picture) PNG(w io.Writer) error {
	c := &raster{img: image.NewRGBA(image.Rect(0, 0, width, p.size()))}
	p.draw(c)
	return png.Encode(w, c.img)
}

type raster struct{ img *image.RGBA }

func (c *raster) rect(x, y, w, h float64, col string) {
	r := image.Rect(int(x+0.5), int(y+0.5), int(math.Ceil(x+w)), int(y+h+0.5))
	draw.Draw(c.img, r, image.NewUniform(parse(col)), image.Point{}, draw.Src)
}

func (c *raster) text(x, y float64, _ int, col, s string) {
	d := font.Drawer{Dst: c.img, Src: image.NewUniform(parse(col)), Face: basicfont.Face7x13, Dot: fixed.P(int(x), int(y))}
	d.DrawString(s)
}

func (c *raster) hline(x1, x2, y float64, col string) {
	c.rect(x1, math.Floor(y), x2-x1, 1, col)
}

// curve fills a thin quadrangle for each piece. All of them turn the same way,
// so that where two meet nothing cancels out.
func (c *raster) curve(pts []xy, col string, width float64) {
	b := c.img.Bounds()
	z := vector.NewRasterizer(b.Dx(), b.Dy())
	half := max(width, 1) / 2
	for i := 1; i < len(pts); i++ {
		p, q := pts[i-1], pts[i]
		dx, dy := q.x-p.x, q.y-p.y
		l := math.Hypot(dx, dy)
		if l == 0 {
			continue
		}
		nx, ny := -dy/l*half, dx/l*half
		z.MoveTo(float32(p.x+nx), float32(p.y+ny))
		z.LineTo(float32(q.x+nx), float32(q.y+ny))
		z.LineTo(float32(q.x-nx), float32(q.y-ny))
		z.LineTo(float32(p.x-nx), float32(p.y-ny))
		z.ClosePath()
	}
	z.Draw(c.img, b, image.NewUniform(parse(col)), image.Point{})
}

// parse reads #rgb and #rrggbb; anything else is black.
func parse(s string) color.Color {
	if len(s) == 4 {
		s = string([]byte{s[0], s[1], s[1], s[2], s[2], s[3], s[3]})
	}
	if len(s) != 7 {
		return color.Black
	}
	n, err := strconv.ParseUint(s[1:], 16, 24)
	if err != nil {
		return color.Black
	}
	return color.RGBA{uint8(n >> 16), uint8(n >> 8), uint8(n), 255}
}
