package bwe

import (
	"time"

	"parley/internal/base/clock"
)

// usage is what the delay gradient says of the path.
type usage uint8

const (
	normal usage = iota
	under        // queues drain
	over         // queues grow
)

const (
	// burstSpan makes packets that left together one group; the pacer's bursts
	// are as long (draft-ietf-rmcat-gcc-02, section 5.2).
	burstSpan = 5 * time.Millisecond
	// burstMax ends a group that arrives as one endless burst.
	burstMax = 100 * time.Millisecond
	// clockJump: a receiver's clock that moved by more against ours was set,
	// or slept with its machine; the gradient starts anew.
	clockJump = 3 * time.Second

	trendWindow = 20  // groups under the line: about a second of video
	trendSmooth = 0.9 // share of the old in the smoothed delay
	// trendGain and trendCount scale the slope so that it compares with a
	// threshold in milliseconds (draft-ietf-rmcat-gcc-02, section 5.4 has
	// 12.5 ms to begin with).
	trendGain  = 4.0
	trendCount = 60

	thresholdStart = 12.5
	thresholdMin   = 6.0
	thresholdMax   = 600.0
	// The threshold follows what it sees, slowly up and fast down, so that a
	// flow driven by loss cannot starve ours (section 5.4).
	thresholdUp   = 0.0087
	thresholdDown = 0.039
	thresholdJump = 15.0 // farther above the threshold is an event, not a level
	overuseTime   = 10.0 // ms above the threshold before it counts
)

type group struct {
	first, last clock.Time    // sent
	begin, end  time.Duration // arrived
	live        bool
}

// trend finds whether the delay grows: packets are gathered in groups, the
// differences between groups summed and smoothed, and a line laid through the
// last of them.
type trend struct {
	cur, prev group

	sum, smooth float64 // ms
	origin      time.Duration
	x, y        [trendWindow]float64
	n           int

	threshold float64
	updated   time.Duration
	above     float64 // ms above the threshold
	times     int
	last      float64
	state     usage
	value     float64 // what was compared with the threshold, for traces
}

func newTrend() trend { return trend{threshold: thresholdStart} }

// add takes the next packet that arrived.
func (t *trend) add(r *Result) {
	g := &t.cur
	switch {
	case !g.live:
		*g = group{r.Sent, r.Sent, r.At, r.At, true}
		return
	case r.Sent < g.first:
		return // overtaken by a later group
	case t.joins(r):
		g.last = max(g.last, r.Sent)
		g.end = max(g.end, r.At)
		return
	}
	if t.prev.live {
		sent := g.last.Sub(t.prev.last)
		came := g.end - t.prev.end
		switch {
		case came-sent > clockJump || came < -clockJump:
			t.reset()
			return
		case came >= 0: // else reordered between groups: says nothing of queues
			t.delta(ms(came-sent), g.end, ms(sent))
		}
	}
	t.prev = *g
	*g = group{r.Sent, r.Sent, r.At, r.At, true}
}

// joins tells whether a packet belongs to the group that is gathered: it left
// with it, or it caught up with it in a queue and arrived in one burst.
func (t *trend) joins(r *Result) bool {
	g := &t.cur
	if r.Sent.Sub(g.first) <= burstSpan {
		return true
	}
	came := r.At - g.end
	return came >= 0 && came <= burstSpan && came-r.Sent.Sub(g.last) < 0 && r.At-g.begin < burstMax
}

func (t *trend) reset() { *t = trend{threshold: max(t.threshold, thresholdStart)} }

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

func (t *trend) delta(d float64, at time.Duration, sent float64) {
	if t.n == 0 {
		t.origin = at
	}
	t.sum += d
	t.smooth = trendSmooth*t.smooth + (1-trendSmooth)*t.sum
	t.x[t.n%trendWindow], t.y[t.n%trendWindow] = ms(at-t.origin), t.smooth
	t.n++
	slope := t.last
	if t.n >= trendWindow {
		slope = t.slope()
	}
	t.detect(slope, sent, at)
}

// slope is that of the least squares line through the window.
func (t *trend) slope() float64 {
	var mx, my float64
	for i := range trendWindow {
		mx += t.x[i] / trendWindow
		my += t.y[i] / trendWindow
	}
	var num, den float64
	for i := range trendWindow {
		num += (t.x[i] - mx) * (t.y[i] - my)
		den += (t.x[i] - mx) * (t.x[i] - mx)
	}
	if den == 0 {
		return t.last
	}
	return num / den
}

func (t *trend) detect(slope, sent float64, at time.Duration) {
	v := float64(min(t.n, trendCount)) * slope * trendGain
	t.value = v
	switch {
	case v > t.threshold:
		if t.times == 0 {
			t.above = sent / 2 // it came above somewhere between the groups
		} else {
			t.above += sent
		}
		if t.times++; t.above > overuseTime && t.times > 1 && slope >= t.last {
			t.above, t.times, t.state = 0, 0, over
		}
	case v < -t.threshold:
		t.above, t.times, t.state = 0, 0, under
	default:
		t.above, t.times, t.state = 0, 0, normal
	}
	t.last = slope
	t.adapt(v, at)
}

func (t *trend) adapt(v float64, at time.Duration) {
	if t.updated == 0 {
		t.updated = at
	}
	v = max(v, -v)
	took := min(ms(at-t.updated), 100)
	t.updated = at
	if v > t.threshold+thresholdJump {
		return
	}
	k := thresholdUp
	if v < t.threshold {
		k = thresholdDown
	}
	t.threshold = min(thresholdMax, max(thresholdMin, t.threshold+k*(v-t.threshold)*took))
}
