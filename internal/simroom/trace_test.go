package simroom

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parley/internal/plot"
)

// keepTrace draws a view where -traces says.
func keepTrace(t *testing.T, tr *Trace) {
	t.Helper()
	if *traceDir == "" {
		return
	}
	name := strings.TrimPrefix(t.Name(), "Test")
	p := tr.picture(name)
	path := filepath.Join(*traceDir, "room-"+strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(name)))
	if err := os.WriteFile(path+".svg", p.SVG(), 0o644); err != nil {
		t.Error(err)
	}
	if *pixels {
		var b bytes.Buffer
		if err := p.PNG(&b); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(path+".png", b.Bytes(), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// picture draws rates, the queue, what was shown, and freezes.
func (t *Trace) picture(title string) plot.Picture {
	top, deep, limited := 0.0, 50*time.Millisecond, false
	for _, s := range t.Samples {
		top = max(top, min(max(s.Capacity, s.Estimate, s.Sent), 4.5e6))
		deep = max(deep, s.Wait.Round(10*time.Millisecond))
		limited = limited || s.Capacity > 0
	}
	rates := []plot.Line{
		t.line("sent", "#2a2", 1, 5, func(s *Sample) float64 { return s.Sent }),
		t.line("repairs", "#e80", 1, 5, func(s *Sample) float64 { return s.Repair }),
		t.line("estimate", "#c00", 1.5, 1, func(s *Sample) float64 { return s.Estimate }),
	}
	p := plot.Picture{Title: title, Span: t.Samples[len(t.Samples)-1].At}
	if limited {
		rates = append(rates, t.line("capacity", "#000", 1.5, 1, func(s *Sample) float64 { return s.Capacity }))
	}
	p.Panels = append(p.Panels, plot.Panel{Height: 260, Top: top * 1.05, Grid: 5, Unit: plot.Rate, Lines: rates})
	if limited {
		p.Panels = append(p.Panels, plot.Panel{Height: 80, Top: millis(deep), Unit: plot.Millis, Lines: []plot.Line{
			t.line("queue", "#06c", 1, 1, func(s *Sample) float64 { return millis(s.Wait) })}})
	}
	p.Panels = append(p.Panels,
		plot.Panel{Height: 80, Top: 32, Lines: []plot.Line{
			t.line("pictures/s", "#888", 1, 10, func(s *Sample) float64 { return s.FPS })}},
		plot.Panel{Rows: []plot.Row{t.encodings(), t.freezeBars()}})
	return p
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// line is the mean of the last of samples.
func (t *Trace) line(label, color string, width float64, of int, f func(*Sample) float64) plot.Line {
	x := plot.Line{Label: label, Color: color, Width: width}
	for i := range t.Samples {
		sum, n := 0.0, 0
		for k := max(0, i-of+1); k <= i; k++ {
			sum, n = sum+f(&t.Samples[k]), n+1
		}
		x.Points = append(x.Points, plot.Point{At: t.Samples[i].At, V: sum / float64(n)})
	}
	return x
}

// encodings shows which was on the screen.
func (t *Trace) encodings() plot.Row {
	colors := []string{"#fff", "#fd8", "#9c9", "#8bd"}
	names := []string{"", "low", "middle", "top"}
	r := plot.Row{Label: "encoding"}
	for _, s := range t.Samples {
		k := min(s.Layer+1, len(colors)-1)
		if n := len(r.Bars); n > 0 && r.Bars[n-1].Color == colors[k] {
			r.Bars[n-1].To = s.At
			continue
		}
		r.Bars = append(r.Bars, plot.Bar{From: s.At - sampleEvery, To: s.At, Color: colors[k], Text: names[k]})
	}
	return r
}

func (t *Trace) freezeBars() plot.Row {
	r := plot.Row{Label: "freezes"}
	for _, f := range t.view.Eye.Freezes {
		end := f.At.Sub(start)
		r.Bars = append(r.Bars, plot.Bar{From: end - f.Gap, To: end, Color: "#c00"})
	}
	return r
}
