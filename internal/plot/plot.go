// Package plot draws values over time as a picture: panels below each other
// with one axis of time, lines, and coloured bars for states. It draws the
// simulations of the congestion control (docs/traces) and `parley trace`. SVG is
// written by itself; PNG by the rasterizer of golang.org/x/image.
//
// Pure functions of values: the same picture gives the same bytes.
package plot

import (
	"math"
	"strconv"
	"time"
)

// Picture is what is drawn.
type Picture struct {
	Title  string
	Notes  []string // lines of text at the foot
	Span   time.Duration
	Panels []Panel
}

// Panel is one diagram. With Rows it shows bars, else lines over a scale from 0
// to Top.
type Panel struct {
	Height int     // pixels; 0: 120
	Top    float64 // 0: a little more than the highest point
	Grid   int     // lines; 0: only the top
	Unit   func(float64) string
	Lines  []Line
	Rows   []Row
}

// Line is one curve.
type Line struct {
	Label, Color string // a colour as #rgb or #rrggbb
	Width        float64
	Points       []Point
}

// Point is a value at an instant.
type Point struct {
	At time.Duration
	V  float64
}

// Row is one line of bars: what state something was in, and when.
type Row struct {
	Label string
	Bars  []Bar
}

// Bar is a state for a while.
type Bar struct {
	From, To time.Duration
	Color    string
	Text     string // drawn if there is room
}

// Geometry in pixels.
const (
	width      = 900
	left       = 80
	right      = 40
	top        = 40
	between    = 40
	foot       = 40
	rowHeight  = 18
	legendStep = 110
	plain      = 120
	fontSize   = 12
	titleSize  = 14
)

const (
	gridColor = "#ddd"
	textColor = "#000"
	paper     = "#fff"
)

// canvas is what a picture is drawn on.
type canvas interface {
	rect(x, y, w, h float64, color string)
	text(x, y float64, size int, color, s string)
	hline(x1, x2, y float64, color string)
	curve(pts []xy, color string, width float64)
}

type xy struct{ x, y float64 }

func (p *Panel) height() int {
	switch {
	case len(p.Rows) > 0:
		return len(p.Rows) * rowHeight
	case p.Height > 0:
		return p.Height
	}
	return plain
}

// size returns the picture's height; all are equally wide.
func (p *Picture) size() int {
	h := top + foot
	for i := range p.Panels {
		h += p.Panels[i].height()
		if i > 0 {
			h += between
		}
	}
	return h + len(p.Notes)*(fontSize+4)
}

func (p *Picture) x(t time.Duration) float64 {
	if p.Span <= 0 {
		return left
	}
	return left + min(1, max(0, float64(t)/float64(p.Span)))*(width-left-right)
}

func (p *Picture) draw(c canvas) {
	c.rect(0, 0, width, float64(p.size()), paper)
	c.text(left, 16, titleSize, textColor, p.Title)
	y := top
	for i := range p.Panels {
		if i > 0 {
			y += between
		}
		p.panel(c, &p.Panels[i], float64(y))
		y += p.Panels[i].height()
	}
	step := tick(p.Span)
	for t := time.Duration(0); t <= p.Span; t += step {
		c.text(p.x(t), float64(y+20), fontSize, textColor, instant(t))
	}
	for i, n := range p.Notes {
		c.text(left, float64(y+foot+i*(fontSize+4)), fontSize, textColor, n)
	}
}

func (p *Picture) panel(c canvas, d *Panel, y float64) {
	if len(d.Rows) > 0 {
		p.rows(c, d, y)
		return
	}
	h, top := float64(d.height()), d.top()
	at := func(v float64) float64 { return y + h - min(1, max(0, v/top))*h }
	grid := []float64{top}
	if d.Grid > 0 {
		grid = grid[:0]
		for i := range d.Grid {
			grid = append(grid, top*float64(i)/float64(d.Grid-1))
		}
	}
	for _, v := range grid {
		c.hline(left, width-right, at(v), gridColor)
		c.text(4, at(v)+4, fontSize, textColor, d.unit(v))
	}
	for i, l := range d.Lines {
		c.text(float64(left+i*legendStep), y-8, fontSize, l.Color, l.Label)
		pts := make([]xy, 0, len(l.Points))
		for _, q := range thin(l.Points, p.Span) {
			if !math.IsNaN(q.V) {
				pts = append(pts, xy{p.x(q.At), at(q.V)})
			}
		}
		c.curve(pts, l.Color, l.Width)
	}
}

func (p *Picture) rows(c canvas, d *Panel, y float64) {
	for i, r := range d.Rows {
		at := y + float64(i*rowHeight)
		c.text(4, at+13, fontSize, textColor, r.Label)
		for _, b := range r.Bars {
			from, to := p.x(b.From), p.x(b.To)
			c.rect(from, at+2, max(to-from, 0.5), rowHeight-4, b.Color)
			if b.Text != "" && to-from > float64(8*len(b.Text)) {
				c.text(from+3, at+13, fontSize, textColor, b.Text)
			}
		}
	}
}

func (p *Panel) top() float64 {
	if p.Top > 0 {
		return p.Top
	}
	most := 0.0
	for _, l := range p.Lines {
		for _, q := range l.Points {
			if !math.IsInf(q.V, 0) && !math.IsNaN(q.V) {
				most = max(most, q.V)
			}
		}
	}
	if most == 0 {
		return 1
	}
	return most * 1.1
}

func (p *Panel) unit(v float64) string {
	if p.Unit == nil {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return p.Unit(v)
}

// columns is how finely a line is drawn: a point each pixel would show no more.
const columns = width - left - right

// thin keeps, of the points that fall on one column, the lowest and the highest.
func thin(pts []Point, span time.Duration) []Point {
	if len(pts) <= 2*columns || span <= 0 {
		return pts
	}
	var out []Point
	for i := 0; i < len(pts); {
		col := int64(pts[i].At) * columns / int64(span)
		low, high := i, i
		for ; i < len(pts) && int64(pts[i].At)*columns/int64(span) == col; i++ {
			if pts[i].V < pts[low].V {
				low = i
			}
			if pts[i].V > pts[high].V {
				high = i
			}
		}
		out = append(out, pts[min(low, high)])
		if low != high {
			out = append(out, pts[max(low, high)])
		}
	}
	return out
}

// tick chooses the labels of the time axis: at most some fifteen.
func tick(span time.Duration) time.Duration {
	for _, s := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour} {
		if span/s <= 15 {
			return s
		}
	}
	return max(time.Hour, span/15)
}

func instant(t time.Duration) string {
	switch {
	case t >= time.Hour:
		return strconv.FormatFloat(t.Hours(), 'f', -1, 64) + " h"
	case t >= 5*time.Minute && t%time.Minute == 0:
		return strconv.Itoa(int(t.Minutes())) + " min"
	}
	return strconv.FormatFloat(t.Seconds(), 'f', -1, 64) + " s"
}

// Rate labels bit/s.
func Rate(v float64) string { return strconv.Itoa(int(v/1000+0.5)) + " kbit/s" }

// Millis labels milliseconds.
func Millis(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) + " ms" }

// Percent labels shares of 1.
func Percent(v float64) string { return strconv.FormatFloat(math.Round(v*1000)/10, 'f', -1, 64) + " %" }
