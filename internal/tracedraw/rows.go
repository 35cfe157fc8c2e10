package tracedraw

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"parley/internal/media/trace"
	"parley/internal/plot"
)

// row finds or begins the row of a stream.
func (d *drawing) row(id, kind string, in bool) *row {
	r := d.rows[id]
	if r == nil {
		n := 1
		for _, x := range d.order {
			if x.in == in {
				n++
			}
		}
		dir := "out"
		if in {
			dir = "in"
		}
		r = &row{label: fmt.Sprintf("%s %d %s", dir, n, kind), id: id, in: in}
		d.rows[id] = r
		d.order = append(d.order, r)
	}
	return r
}

// add paints the time until now, joined with what was there in the same state.
func (r *row) add(from, to time.Duration, color, text string, gap time.Duration) {
	if n := len(r.bars); n > 0 {
		b := &r.bars[n-1]
		if b.Color == color && b.Text == text && from-b.To <= gap {
			b.To = to
			return
		}
		from = max(from, b.To)
	}
	r.bars = append(r.bars, plot.Bar{From: from, To: to, Color: color, Text: text})
}

// frozen paints over the end of what is there.
func (r *row) frozen(from, to time.Duration) {
	for len(r.bars) > 0 {
		b := &r.bars[len(r.bars)-1]
		if b.From < from {
			b.To = min(b.To, from)
			break
		}
		r.bars = r.bars[:len(r.bars)-1]
	}
	r.bars = append(r.bars, plot.Bar{From: from, To: to, Color: red})
}

// join is how far two samples may be apart to belong together.
const join = 3 * trace.Every / 2

// states of a subscription that are not "flowing".
var states = map[string]string{"frozen": red, "waiting": amber, "paused": pale, "held": purple, "idle": pale}

func (d *drawing) out(now, took time.Duration, s *trace.SampleOut) {
	r := d.row(s.Sub, s.Kind, false)
	r.octets += float64(s.Rate) * took.Seconds()
	color, text := states[s.State], s.State
	switch {
	case color != "":
	case s.Kind == "audio":
		color, text = green, ""
	default:
		color, text = encodings[min(max(int(s.Encoding)+int(s.Spatial), 0), len(encodings)-1)], layer(s)
	}
	r.add(now-took, now, color, text, join)
}

// layer names what is shown: the encoding, or of one with layers the spatial.
func layer(s *trace.SampleOut) string {
	t := fmt.Sprintf("e%d", s.Encoding)
	if s.Spatial > 0 {
		t += fmt.Sprintf(" s%d", s.Spatial)
	}
	if s.Temporal >= 0 {
		t += fmt.Sprintf(" t%d", s.Temporal)
	}
	return t
}

func (d *drawing) in(now, took time.Duration, s *trace.SampleIn) {
	r := d.row(fmt.Sprintf("%s/%d", s.Track, s.Encoding), s.Kind, true)
	r.octets += float64(s.Rate) * took.Seconds()
	color := encodings[1]
	switch {
	case s.Rate == 0:
		color = pale
	case s.Lost > 0.05:
		color = red
	case s.Lost > 0.01:
		color = amber
	}
	r.add(now-took, now, color, "", join)
}

// shown are the streams that get rows: the busiest, in the order they came.
func (d *drawing) shown() []*row {
	list := slices.Clone(d.order)
	if len(list) > mostRows {
		slices.SortStableFunc(list, func(a, b *row) int { return cmp.Compare(b.octets, a.octets) })
		list = list[:mostRows]
	}
	slices.SortStableFunc(list, func(a, b *row) int {
		if a.in != b.in {
			return map[bool]int{false: -1, true: 1}[a.in]
		}
		return 0
	})
	return list
}

// table is the panel of rows: marks, then streams.
func (d *drawing) table() (out []plot.Row) {
	out = append(out, plot.Row{Label: "events", Bars: d.marks})
	for _, r := range d.shown() {
		out = append(out, plot.Row{Label: r.label, Bars: r.bars})
	}
	return out
}

// legend says which row is which stream, and what the colours mean.
func (d *drawing) legend() (out []string) {
	list := d.shown()
	if len(list) == 0 {
		return nil
	}
	if n := len(d.order) - len(list); n > 0 {
		out = append(out, fmt.Sprintf("%d streams that carried less are not drawn.", n))
	}
	out = append(out, "Rows: blue, the darker the better, with encoding (e), spatial (s) and temporal (t) layer; green: sound; red: frozen, or lost much; yellow: waits, or loses; pale: paused or silent.")
	names := make([]string, 0, len(list))
	for _, r := range list {
		names = append(names, r.label+": "+r.id)
	}
	return append(out, strings.Join(names, ", ")+".")
}
