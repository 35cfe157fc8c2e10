package tracedraw

import (
	"fmt"
	"math"
	"strings"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/trace"
	"parley/internal/plot"
)

// Colours, apart for people who see red and green alike.
const (
	red    = "#c0392b"
	green  = "#1e8449"
	blue   = "#1f5fa8"
	orange = "#d9822b"
	purple = "#8e44ad"
	grey   = "#8a8f98"
	pale   = "#e6e8eb"
	amber  = "#f1c40f"
)

// encodings are drawn darker the better they are.
var encodings = []string{"#cfe3f5", "#8fbfe6", "#3f88c5", "#1f5fa8"}

// mostRows bounds the streams that get a row of their own; in larger rooms the
// busiest do.
const mostRows = 24

// drawing gathers a picture from events.
type drawing struct {
	from  time.Duration // of the first event: later parts of a trace begin late
	log   *trace.Log
	lines map[string]*plot.Line
	rows  map[string]*row
	order []*row
	marks []plot.Bar

	last             time.Duration
	cuts, probes     int
	nacks, rtx, plis uint64
	freezes          int
	dropped          uint64
	ends             string
}

// row is one stream over time.
type row struct {
	label, id string
	in        bool
	octets    float64 // drawn, to find the busiest
	bars      []plot.Bar
}

// Picture draws a trace.
func Picture(l *trace.Log) *plot.Picture {
	d := &drawing{log: l, lines: map[string]*plot.Line{}, rows: map[string]*row{}}
	if len(l.Events) > 0 {
		d.from = time.Duration(l.Events[0].At)
		d.last = d.from
	}
	for _, e := range l.Events {
		d.event(e)
	}
	p := &plot.Picture{Title: d.title(), Span: max(l.Span()-d.from, time.Second), Notes: d.notes()}
	p.Panels = []plot.Panel{
		d.panel(220, 5, plot.Rate, 100_000, "estimate", "sent", "acknowledged", "its own bound"),
		d.panel(80, 3, plot.Rate, 100_000, "received"),
		d.panel(90, 3, plot.Millis, 100, "round trip", "queue", "wait to be sent"),
		d.panel(70, 3, plot.Percent, 0.1, "lost of sent", "lost of received"),
		d.panel(70, 3, perSecond, 10, "asked again", "sent again", "keyframes asked", "asked of it"),
		{Rows: d.table()},
	}
	return p
}

// panel shows lines over a scale that ends at a round number, at least at least.
func (d *drawing) panel(height, grid int, unit func(float64) string, least float64, labels ...string) plot.Panel {
	p := plot.Panel{Height: height, Grid: grid, Unit: unit, Top: least, Lines: d.of(labels...)}
	for _, l := range p.Lines {
		for _, q := range l.Points {
			if q.V > p.Top && !math.IsInf(q.V, 0) {
				p.Top = round(q.V)
			}
		}
	}
	return p
}

// round is the next of 1, 2, 4, 6 and 8 times a power of ten.
func round(v float64) float64 {
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 4, 6, 8} {
		if v <= m*ten {
			return m * ten
		}
	}
	return 10 * ten
}

// at is an instant in the picture.
func (d *drawing) at(t clock.Time) time.Duration { return time.Duration(t) - d.from }

func (d *drawing) event(e trace.Event) {
	now := d.at(e.At)
	switch x := e.Data.(type) {
	case trace.Sample:
		d.sample(now, &x)
		d.last = time.Duration(e.At)
	case trace.Cut:
		d.cuts++
		d.mark(now, red, "")
	case trace.Probe:
		d.probes++
		d.mark(now, blue, "")
	case trace.Frozen:
		d.freezes++
		from := now - time.Duration(x.For*float64(time.Millisecond))
		d.row(x.Sub, "video", false).frozen(max(0, from), now)
	case trace.Breaker:
		d.mark(now, purple, "")
	case trace.Ready:
		d.mark(now, green, "")
	case trace.Dropped:
		d.dropped += x.Count
	case trace.Truncated:
		if d.ends = "the file reached its size"; x.Next != "" {
			d.ends = "it goes on in " + x.Next
		}
	case trace.Stopped:
		d.ends = "traces were switched off"
	case trace.Closed:
		d.ends = "the connection ended"
	}
}

func (d *drawing) mark(at time.Duration, color, text string) {
	d.marks = append(d.marks, plot.Bar{From: at, To: at, Color: color, Text: text})
}

func (d *drawing) sample(now time.Duration, s *trace.Sample) {
	took := max(trace.Every, now-d.at(clock.Time(d.last)))
	per := func(n uint64) float64 { return float64(n) / took.Seconds() }
	d.point("estimate", red, 1.8, now, float64(s.Target))
	d.point("sent", green, 1, now, float64(s.Sent))
	d.point("acknowledged", blue, 1, now, float64(s.Acked))
	d.some("its own bound", purple, now, float64(s.REMB))
	d.point("received", green, 1, now, float64(s.Received))
	d.point("round trip", blue, 1, now, s.RTT)
	d.point("queue", orange, 1, now, s.Queue)
	d.point("wait to be sent", grey, 1, now, s.PacerWait)
	d.point("lost of sent", red, 1, now, max(s.Reported, s.RecentLoss))
	lost := 0.0
	for i := range s.In {
		lost = max(lost, s.In[i].Lost)
	}
	d.point("lost of received", orange, 1, now, lost)
	d.point("asked again", orange, 1, now, per(s.NACKs))
	d.point("sent again", green, 1, now, per(s.RTX))
	d.point("keyframes asked", purple, 1, now, per(s.PLIs))
	d.point("asked of it", grey, 1, now, per(s.Asked))
	d.nacks, d.rtx, d.plis = d.nacks+s.NACKs, d.rtx+s.RTX, d.plis+s.PLIs
	for i := range s.Out {
		d.out(now, took, &s.Out[i])
	}
	for i := range s.In {
		d.in(now, took, &s.In[i])
	}
}

// point adds to a line.
func (d *drawing) point(label, color string, width float64, at time.Duration, v float64) {
	l := d.lines[label]
	if l == nil {
		l = &plot.Line{Label: label, Color: color, Width: width}
		d.lines[label] = l
	}
	l.Points = append(l.Points, plot.Point{At: at, V: v})
}

// some adds to a line that few traces have.
func (d *drawing) some(label, color string, at time.Duration, v float64) {
	if v > 0 {
		d.point(label, color, 1, at, v)
	}
}

// of lists lines that have something to show; one of zeros says only so much.
func (d *drawing) of(labels ...string) (list []plot.Line) {
	for _, name := range labels {
		if l := d.lines[name]; l != nil {
			list = append(list, *l)
		}
	}
	return list
}

func (d *drawing) title() string {
	h := &d.log.Header
	s := "Connection " + h.Name
	if d.from > time.Minute {
		s += fmt.Sprintf(" from %s on", d.from.Round(time.Second))
	}
	if !h.Start.IsZero() {
		s += h.Start.Add(d.from).UTC().Format(", 2006-01-02 15:04:05 UTC")
	}
	return s + ", parley " + h.Version
}

func (d *drawing) notes() (lines []string) {
	var out []string
	out = append(out, fmt.Sprintf("Estimate cut %d times (red marks), %d probes (blue); %d packets asked for again and %d sent again; %d keyframes asked for; %d freezes.",
		d.cuts, d.probes, d.nacks, d.rtx, d.plis, d.freezes))
	switch {
	case d.log.Cut:
		out = append(out, "The file ends within a record: the server was killed, or is writing still.")
	case d.ends != "":
		out = append(out, "The end: "+d.ends+".")
	}
	if d.dropped > 0 {
		out = append(out, fmt.Sprintf("%d events are missing: the disk was slow.", d.dropped))
	}
	if d.log.Unknown > 0 {
		out = append(out, fmt.Sprintf("%d events of kinds that this version does not know are left out.", d.log.Unknown))
	}
	for _, s := range append(out, d.legend()...) {
		lines = append(lines, wrap(s)...)
	}
	return lines
}

// noteWidth is how many letters of the fixed font fit below the picture.
const noteWidth = 112

// wrap breaks a note between words.
func wrap(s string) (lines []string) {
	for len(s) > noteWidth {
		i := strings.LastIndexByte(s[:noteWidth+1], ' ')
		if i <= 0 {
			break // one long word: somebody else's id
		}
		lines, s = append(lines, s[:i]), s[i+1:]
	}
	return append(lines, s)
}

func perSecond(v float64) string { return fmt.Sprintf("%.0f /s", v) }
