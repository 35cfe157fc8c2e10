package simroom

import (
	"fmt"
	"strings"
	"time"
)

// Sample is the state of a leg at an instant.
type Sample struct {
	At                            time.Duration
	Capacity, Estimate            float64 // bit/s, 0: none
	Sent, Video, Audio, Repair    float64 // bit/s in the last interval, on the downlink
	Uplink                        float64
	Wait                          time.Duration
	Layer, TID                    int // shown, -1: none
	FPS                           float64
	Frozen                        bool
	Lost, Overflowed, UpKey, Asks int // since the last sample
}

// Trace samples what one view and its leg do.
type Trace struct {
	Samples []Sample
	Title   string
	peer    *Peer
	view    *View
	freezes int
	prev    struct {
		bytes, rtx, video, up  uint64
		lost, over, asks, pics int
	}
}

const sampleEvery = 100 * time.Millisecond

// Trace samples ten times a second from now on.
func (r *Room) Trace(p *Peer, v *View) *Trace {
	t := &Trace{peer: p, view: v}
	p.Down.KeepWaits = true
	r.Every(sampleEvery, func() { t.sample(r.Now()) })
	return t
}

func (t *Trace) sample(now time.Duration) {
	d, st := t.peer.Down, t.peer.Down.Stats()
	per := func(n, was uint64) float64 { return float64(n-was) * 8 / sampleEvery.Seconds() }
	s := Sample{At: now, Capacity: float64(d.Config().Rate), Estimate: float64(t.peer.Stats().EstimateOut), Layer: -1, TID: -1,
		Sent: per(d.Bytes, t.prev.bytes), Repair: per(d.RTXBytes, t.prev.rtx), Video: per(d.VideoBytes, t.prev.video),
		Lost: int(st.Lost) - t.prev.lost, Overflowed: int(st.Overflowed) - t.prev.over, Asks: t.peer.Asked.NACKs - t.prev.asks,
		Wait: d.Waiting(start.Add(now))}
	if up := t.view.Of; up != nil {
		s.Uplink = per(up.Up.Bytes, t.prev.up)
		t.prev.up = up.Up.Bytes
	}
	if k := len(t.view.Eye.Pictures); k > 0 {
		s.FPS = float64(k-t.prev.pics) / sampleEvery.Seconds()
		t.prev.pics = k
		if last := t.view.Eye.Pictures[k-1]; start.Add(now).Sub(last.At) < 500*time.Millisecond {
			s.Layer, s.TID = int(last.Layer), int(last.TID)
		}
	}
	s.Frozen = len(t.view.Eye.Freezes) > t.freezes
	t.freezes = len(t.view.Eye.Freezes)
	t.prev.bytes, t.prev.rtx, t.prev.video = d.Bytes, d.RTXBytes, d.VideoBytes
	t.prev.lost, t.prev.over, t.prev.asks = int(st.Lost), int(st.Overflowed), t.peer.Asked.NACKs
	t.Samples = append(t.Samples, s)
}

// During returns the samples of a span.
func (t *Trace) During(from, to time.Duration) (out []Sample) {
	for _, s := range t.Samples {
		if s.At >= from && s.At < to {
			out = append(out, s)
		}
	}
	return out
}

// CSV writes the samples as a table.
func (t *Trace) CSV() string {
	var b strings.Builder
	b.WriteString("s,capacity,estimate,sent,video,repair,uplink,wait_ms,layer,fps,lost,overflowed,frozen\n")
	for _, s := range t.Samples {
		fmt.Fprintf(&b, "%.1f,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%d,%.0f,%d,%d,%v\n", s.At.Seconds(), s.Capacity, s.Estimate, s.Sent, s.Video,
			s.Repair, s.Uplink, float64(s.Wait)/1e6, s.Layer, s.FPS, s.Lost, s.Overflowed, s.Frozen)
	}
	return b.String()
}

const (
	svgW, svgL, svgR           = 960, 80, 20
	rateH, queueH, layerH, gap = 260, 90, 90, 36
)

// SVG draws the samples: rates above, then the queue, then the encoding shown,
// pictures a second and freezes.
func (t *Trace) SVG() string {
	if len(t.Samples) == 0 {
		return ""
	}
	var b strings.Builder
	end := t.Samples[len(t.Samples)-1].At
	top, deep := 500e3, 50*time.Millisecond
	for _, s := range t.Samples {
		top = max(top, min(s.Capacity, 4e6), min(s.Estimate, 4e6), min(s.Sent, 4e6))
		deep = max(deep, s.Wait)
	}
	top *= 1.05
	q0 := 40 + rateH + gap + queueH
	l0 := q0 + gap + layerH
	x := func(at time.Duration) float64 {
		return svgL + float64(at)/float64(end)*(svgW-svgL-svgR)
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", svgW, l0+40)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="%d" y="16" font-size="14">%s</text>`+"\n", svgL, t.Title)
	grid := func(y float64, label string) {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="4" y="%.1f">%s</text>`+"\n", svgL, y, svgW-svgR, y+4, label)
	}
	yr := func(v float64) float64 { return 40 + rateH - min(1, v/top)*rateH }
	yq := func(d time.Duration) float64 { return float64(q0) - float64(d)/float64(deep)*queueH }
	yl := func(v float64) float64 { return float64(l0) - v/35*layerH }
	for i := range 5 {
		grid(yr(top*float64(i)/4), fmt.Sprintf("%.0f kbit/s", top*float64(i)/4000))
	}
	grid(yq(0), "queue")
	grid(yq(deep), fmt.Sprintf("%d ms", deep.Milliseconds()))
	grid(yl(0), "0 fps")
	grid(yl(30), "30 fps")
	step := 10 * time.Second
	if end > 2*time.Minute {
		step = 30 * time.Second
	}
	for at := time.Duration(0); at <= end; at += step {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%.0f s</text>`+"\n", x(at), l0+24, at.Seconds())
	}
	t.lines(&b, x, yr, yq, yl)
	b.WriteString("</svg>\n")
	return b.String()
}

func (t *Trace) lines(b *strings.Builder, x func(time.Duration) float64, yr func(float64) float64, yq func(time.Duration) float64, yl func(float64) float64) {
	every := max(1, len(t.Samples)/900)
	k := 0
	line := func(label, color string, width float64, f func(i int) float64) {
		fmt.Fprintf(b, `<text x="%d" y="32" fill="%s">%s</text><path fill="none" stroke="%s" stroke-width="%.1f" d="`, svgL+k*115, color, label, color, width)
		k++
		c := 'M'
		for i := 0; i < len(t.Samples); i += every {
			fmt.Fprintf(b, "%c%.1f %.0f", c, x(t.Samples[i].At), f(i))
			c = 'L'
		}
		b.WriteString("\"/>\n")
	}
	smooth := func(f func(*Sample) float64) func(int) float64 { // over half a second
		return func(i int) float64 {
			sum, n := 0.0, 0
			for j := max(0, i-4); j <= i; j++ {
				sum, n = sum+f(&t.Samples[j]), n+1
			}
			return sum / float64(n)
		}
	}
	of := func(f func(*Sample) float64) func(int) float64 {
		g := smooth(f)
		return func(i int) float64 { return yr(g(i)) }
	}
	if t.Samples[0].Capacity > 0 {
		line("capacity", "#000", 1.5, func(i int) float64 { return yr(t.Samples[i].Capacity) })
	}
	line("estimate", "#c00", 1.5, func(i int) float64 { return yr(t.Samples[i].Estimate) })
	line("sent", "#2a2", 1, of(func(s *Sample) float64 { return s.Sent }))
	line("repairs", "#e80", 1, of(func(s *Sample) float64 { return s.Repair }))
	line("queue (below)", "#06c", 1, func(i int) float64 { return yq(t.Samples[i].Wait) })
	fps := smooth(func(s *Sample) float64 { return s.FPS })
	line("pictures/s (below)", "#999", 1, func(i int) float64 { return yl(min(35, fps(i))) })
	line("encoding ×10", "#a0a", 1.5, func(i int) float64 { return yl(float64(t.Samples[i].Layer+1) * 10) })
	for _, s := range t.Samples {
		if s.Frozen {
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="#c00"/>`+"\n", x(s.At), yl(0))
		}
	}
}
