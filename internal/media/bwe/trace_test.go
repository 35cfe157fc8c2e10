package bwe_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

var traceDir = flag.String("traces", "", "directory to write SVG traces of the simulations to")

const (
	svgW, svgH, svgQ = 900, 300, 120 // picture, rate plot, queue plot below it
	svgL, svgT, svgR = 80, 40, 40    // margins
)

// trace draws a leg: capacity, what was sent, the target, and the queue below.
func (l *leg) trace(name, title string) {
	if *traceDir == "" || len(l.series) == 0 {
		return
	}
	end := l.series[len(l.series)-1].at
	top, deep := 0.0, 50*time.Millisecond
	for _, s := range l.series {
		top = max(top, float64(s.stats.Target), min(float64(s.capacity), 5e6))
		deep = max(deep, s.waiting)
	}
	top *= 1.1
	x := func(t time.Duration) float64 { return svgL + float64(t)/float64(end)*(svgW-svgL-svgR) }
	y := func(v float64) float64 { return svgT + svgH - min(1, v/top)*svgH }
	z := func(d time.Duration) float64 { return svgT + svgH + 40 + svgQ - float64(d)/float64(deep)*svgQ }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		svgW, svgT+svgH+svgQ+80)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="%d" y="16" font-size="14">%s</text>`+"\n", svgL, title)
	for i := range 5 {
		v := top * float64(i) / 4
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="4" y="%.1f">%.0f kbit/s</text>`+"\n", svgL, y(v), svgW-svgR, y(v)+4, v/1000)
	}
	for t := time.Duration(0); t <= end; t += 10 * time.Second {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%.0f s</text>`+"\n", x(t), svgT+svgH+svgQ+60, t.Seconds())
	}
	fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="4" y="%.1f">%d ms</text>`+"\n", svgL, z(deep), svgW-svgR, z(deep)+4, deep.Milliseconds())
	line := func(i int, label, color string, width float64, f func(sample) float64) {
		fmt.Fprintf(&b, `<text x="%d" y="32" fill="%s">%s</text><path fill="none" stroke="%s" stroke-width="%.1f" d="`, svgL+i*110, color, label, color, width)
		for j, s := range l.series {
			if j%2 == 1 { // 5 points a second show all there is to see
				continue
			}
			c := 'L'
			if j == 0 {
				c = 'M'
			}
			fmt.Fprintf(&b, "%c%.1f %.0f", c, x(s.at), f(s))
		}
		b.WriteString("\"/>\n")
	}
	line(0, "capacity", "#000", 1.5, func(s sample) float64 { return y(float64(s.capacity)) })
	line(1, "sent", "#bbb", 1, func(s sample) float64 { return y(s.sent) })
	line(2, "acknowledged", "#2a2", 1, func(s sample) float64 { return y(float64(s.stats.Acked)) })
	line(3, "target", "#c00", 1.5, func(s sample) float64 { return y(float64(s.stats.Target)) })
	line(4, "queue (below)", "#06c", 1, func(s sample) float64 { return z(s.waiting) })
	b.WriteString("</svg>\n")
	if err := os.WriteFile(filepath.Join(*traceDir, name+".svg"), []byte(b.String()), 0o644); err != nil {
		l.rig.t.Error(err)
	}
}
