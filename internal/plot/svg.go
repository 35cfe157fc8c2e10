package plot

import (
	"fmt"
	"strings"
)

// SVG draws the picture.
func (p *Picture) SVG() []byte {
	c := &svg{}
	fmt.Fprintf(&c.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="%d">`+"\n", width, p.size(), fontSize)
	p.draw(c)
	c.b.WriteString("</svg>\n")
	return []byte(c.b.String())
}

type svg struct{ b strings.Builder }

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// clean leaves out what XML 1.0 does not allow.
func clean(s string) string {
	return escape.Replace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "")))
}

func (c *svg) rect(x, y, w, h float64, color string) {
	fmt.Fprintf(&c.b, `<rect x="%s" y="%s" width="%s" height="%s" fill="%s"/>`+"\n", num(x), num(y), num(w), num(h), clean(color))
}

func (c *svg) text(x, y float64, size int, color, s string) {
	if s == "" {
		return
	}
	extra := ""
	if size != fontSize {
		extra = fmt.Sprintf(` font-size="%d"`, size)
	}
	if color != textColor {
		extra += ` fill="` + clean(color) + `"`
	}
	fmt.Fprintf(&c.b, `<text x="%s" y="%s"%s>%s</text>`+"\n", num(x), num(y), extra, clean(s))
}

func (c *svg) hline(x1, x2, y float64, color string) {
	fmt.Fprintf(&c.b, `<path d="M%s %sH%s" stroke="%s"/>`+"\n", num(x1), num(y), num(x2), clean(color))
}

func (c *svg) curve(pts []xy, color string, width float64) {
	if len(pts) == 0 {
		return
	}
	fmt.Fprintf(&c.b, `<path fill="none" stroke="%s" stroke-width="%s" d="`, clean(color), num(width))
	for i, q := range pts {
		op := byte('L')
		if i == 0 {
			op = 'M'
		}
		c.b.WriteByte(op)
		c.b.WriteString(num(q.x))
		c.b.WriteByte(' ')
		fmt.Fprintf(&c.b, "%.0f", q.y)
	}
	c.b.WriteString("\"/>\n")
}

// num keeps one digit behind the point, and none that is 0.
func num(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }
