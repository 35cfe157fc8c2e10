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
	// bucketSpan gathers packets by the time they left; of each bucket the least
	// delay counts. Jitter only ever adds to a delay, and so do the packets of
	// the same burst: the least of several is the queue they found. Twenty
	// buckets make half a second, whatever the packet rate.
	bucketSpan = 20 * time.Millisecond
	// clockJump: a receiver's clock that moved by more against ours was set,
	// or slept with its machine; the gradient starts anew.
	clockJump = 3 * time.Second

	trendWindow = 20  // buckets under the line
	trendSmooth = 0.8 // share of the old in the smoothed delay
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

// trend finds whether the delay grows: it lays a line through the least delays
// of the last buckets, smoothed.
type trend struct {
	live  bool
	first clock.Time    // when the first packet of the bucket left
	least time.Duration // its least delay; the origin of the scale means nothing

	zero, prev time.Duration // least delay of the first bucket, of the last
	smooth     float64       // ms
	origin     clock.Time
	x, y       [trendWindow]float64
	n          int

	threshold float64
	updated   clock.Time
	above     float64 // ms above the threshold
	times     int
	last      float64
	state     usage
	value     float64 // what was compared with the threshold, for traces
}

func newTrend() trend { return trend{threshold: thresholdStart} }

// add takes the next packet that arrived.
func (t *trend) add(r *Result) {
	d := r.At - time.Duration(r.Sent)
	switch {
	case !t.live:
		t.live = true
	case r.Sent < t.first:
		return // overtaken by a later bucket
	case r.Sent.Sub(t.first) < bucketSpan:
		t.least = min(t.least, d)
		return
	case t.n > 0 && (t.least-t.prev).Abs() > clockJump:
		t.reset()
		t.live = true
	default:
		t.close(r.Sent.Sub(t.first))
	}
	t.first, t.least = r.Sent, d
}

func (t *trend) reset() { *t = trend{threshold: max(t.threshold, thresholdStart)} }

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// close ends a bucket; the next began so much later.
func (t *trend) close(took time.Duration) {
	if t.n == 0 {
		t.origin, t.zero = t.first, t.least
	}
	t.prev = t.least
	t.smooth = trendSmooth*t.smooth + (1-trendSmooth)*ms(t.least-t.zero)
	t.x[t.n%trendWindow], t.y[t.n%trendWindow] = ms(t.first.Sub(t.origin)), t.smooth
	t.n++
	slope := t.last
	if t.n >= trendWindow {
		slope = t.slope()
	}
	t.detect(slope, ms(took), t.first)
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

func (t *trend) detect(slope, sent float64, at clock.Time) {
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

func (t *trend) adapt(v float64, at clock.Time) {
	if t.updated == 0 {
		t.updated = at
	}
	v = max(v, -v)
	took := min(ms(at.Sub(t.updated)), 100)
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
