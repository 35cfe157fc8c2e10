package bwe_test

import (
	"flag"
	"os"
	"path/filepath"
	"time"

	"parley/internal/plot"
)

var traceDir = flag.String("traces", "", "directory to write SVG traces of the simulations to")

// trace draws a leg: capacity, what was sent, the target, and the queue below.
func (l *leg) trace(name, title string) {
	if *traceDir == "" || len(l.series) == 0 {
		return
	}
	top, deep := 0.0, 50*time.Millisecond
	for _, s := range l.series {
		top = max(top, float64(s.stats.Target), min(float64(s.capacity), 5e6))
		deep = max(deep, s.waiting)
	}
	line := func(label, color string, width float64, f func(sample) float64) plot.Line {
		x := plot.Line{Label: label, Color: color, Width: width}
		for i := 0; i < len(l.series); i += 2 { // 5 points a second show all there is to see
			x.Points = append(x.Points, plot.Point{At: l.series[i].at, V: f(l.series[i])})
		}
		return x
	}
	p := plot.Picture{Title: title, Span: l.series[len(l.series)-1].at, Panels: []plot.Panel{
		{Height: 300, Top: top * 1.1, Grid: 5, Unit: plot.Rate, Lines: []plot.Line{
			line("capacity", "#000", 1.5, func(s sample) float64 { return float64(s.capacity) }),
			line("sent", "#bbb", 1, func(s sample) float64 { return s.sent }),
			line("acknowledged", "#2a2", 1, func(s sample) float64 { return float64(s.stats.Acked) }),
			line("target", "#c00", 1.5, func(s sample) float64 { return float64(s.stats.Target) }),
		}},
		{Top: float64(deep.Milliseconds()), Unit: plot.Millis, Lines: []plot.Line{
			line("queue", "#06c", 1, func(s sample) float64 { return float64(s.waiting) / float64(time.Millisecond) }),
		}},
	}}
	if err := os.WriteFile(filepath.Join(*traceDir, name+".svg"), p.SVG(), 0o644); err != nil {
		l.rig.t.Error(err)
	}
}
