package bwe

import (
	"time"

	"parley/internal/base/clock"
)

const (
	// A queue that stays above busyQueue, whose mean over busySpan does not go
	// down although the rate was cut, is another flow's, one that fills queues
	// until they overflow. Who yields to delay there starves.
	busyQueue = 40 * time.Millisecond
	busySpan  = 2 * time.Second
	busySame  = 0.9 // share of the mean before that is "not down"
	busyCut   = 6 * time.Second
	// Where the buffer is shallow it empties at each of the others' cuts. There
	// what betrays them is that over-use comes at less and less of our own rate:
	// alone it always comes at the capacity.
	fallsMax  = 5
	fallShare = 0.93
	fallApart = 700 * time.Millisecond // cuts closer than this answer one event
	fallOld   = 15 * time.Second
	// The contest is over when the queue stayed empty.
	idleQueue = 20 * time.Millisecond
	idleTime  = 2 * time.Second
	// contestCut is what remains at a loss, and at contestQueue: where buffers
	// are endless nobody is told by loss. It also shows whether anybody is there:
	// alone, the cut empties the queue and ends the contest.
	contestCut   = 0.75
	contestQueue = 700 * time.Millisecond
	contestGrow  = 0.3 // share a second, and
	contestLeast = 40_000.0
	// After a cut nothing grows until the queue has risen by riseStep from its
	// least: somebody else fills it. Alone, it empties, or shows to be flat.
	riseStep = 10 * time.Millisecond
	// A delay that stays within flatBand for flatTime, without loss, is no queue
	// but a longer path.
	flatBand = 6 * time.Millisecond
	flatTime = 1500 * time.Millisecond
)

// contest finds whether the queue is kept full by flows that heed loss only.
// While it is, the rate is driven by loss as theirs is (the idea is Copa's).
type contest struct {
	active bool
	since  clock.Time    // beginning of the span while the queue is busy
	sum, n time.Duration // of it
	before time.Duration // mean of the span before, 0: none
	lo, hi time.Duration
	flatAt clock.Time
	idleAt clock.Time // the queue is empty since
}

// update takes the queue a feedback shows, whether packets were lost, whether
// the rate was cut lately and how often at less and less. flat reports that the
// delay is the path's.
func (c *contest) update(now clock.Time, queue time.Duration, lost, cut bool, falls int) (flat bool) {
	if c.flatAt.IsZero() || lost || max(c.hi, queue)-min(c.lo, queue) > flatBand {
		c.lo, c.hi, c.flatAt = queue, queue, now
	}
	c.lo, c.hi = min(c.lo, queue), max(c.hi, queue)
	if queue >= idleQueue || c.idleAt.IsZero() {
		c.idleAt = now
	}
	switch {
	case c.active && now.Sub(c.idleAt) > idleTime:
		c.active, c.since = false, 0
	case c.active && queue < idleQueue:
	case queue < busyQueue && !c.active:
		c.since = 0
	case now.Sub(c.flatAt) > flatTime:
		c.active, c.since = false, 0
		return true
	case !c.active:
		c.active = falls >= fallsMax || c.busy(now, queue, cut)
	}
	return false
}

// busy reports whether the queue has long been there and does not go down.
func (c *contest) busy(now clock.Time, queue time.Duration, cut bool) bool {
	if c.since.IsZero() {
		c.since, c.sum, c.n, c.before = now, 0, 0, 0
	}
	c.sum += queue
	c.n++
	if now.Sub(c.since) < busySpan {
		return false
	}
	mean, before := c.sum/c.n, c.before
	c.since, c.sum, c.n, c.before = now, 0, 0, mean
	return cut && before > 0 && float64(mean) > busySame*float64(before)
}

// count notes at what rate over-use came.
func (a *aimd) count(now clock.Time, proven Rate) {
	apart := now.Sub(a.countAt)
	switch {
	case a.countAt.IsZero() || apart > fallOld:
		a.falls = 0
	case apart < fallApart:
		return
	case float64(proven) > float64(a.counted)/fallShare:
		a.falls = 0
	case float64(proven) > fallShare*float64(a.counted):
		return // the same
	default:
		a.falls++
	}
	a.counted, a.countAt = proven, now
}

// compete moves the rate as a loss-driven flow would.
func (a *aimd) compete(now clock.Time, in input, lost bool) {
	took := min(now.Sub(a.updated), time.Second)
	a.updated = now
	if lost || in.queue > contestQueue {
		if now.Sub(a.cutAt) > in.rtt+detectorTime {
			a.cutAt = now
			a.cuts++
			a.low = in.queue
			a.set(Rate(contestCut * float64(a.rate)))
		}
		return
	}
	bound := a.rate
	if !in.limited && in.acked > 0 {
		bound = min(a.max, Rate(headroom*float64(in.acked))+headroomAdd)
	}
	a.low = min(a.low, in.queue)
	if in.queue < a.low+riseStep {
		return
	}
	rtt := max(in.rtt, 20*time.Millisecond).Seconds()
	// A packet more each round trip, as Reno, but no explosion on short paths.
	step := min(8*packetSize/rtt/rtt, contestGrow*float64(a.rate)+contestLeast) * took.Seconds()
	a.set(max(a.rate, min(a.rate+Rate(step), bound, in.wanted+in.wanted/10)))
}
