package bwe

import (
	"time"

	"parley/internal/base/clock"
)

const (
	// A queue above busyQueue for busyTime that does not go down although the
	// rate was cut is another flow's, one that fills queues until they overflow.
	// Who yields to delay there starves.
	busyQueue = 40 * time.Millisecond
	busyTime  = 3 * time.Second
	busySame  = 0.9 // share of the queue two seconds ago that is "not down"
	lookBack  = 2 * time.Second
	// The contest is over when the queue was empty once: all loss-driven flows
	// leave some queue after they halve, else delay would not have starved us.
	idleQueue = 20 * time.Millisecond
	// contestCut is what remains at a loss, and at contestQueue: where buffers
	// are endless nobody is told by loss. It also shows whether anybody is there:
	// alone, the cut empties the queue and ends the contest.
	contestCut   = 0.75
	contestQueue = 500 * time.Millisecond
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
	since  clock.Time // the queue is busy
	then   time.Duration
	thenAt clock.Time
	lo, hi time.Duration
	flatAt clock.Time
}

// update takes the queue a feedback shows; flat reports that it is the path.
func (c *contest) update(now clock.Time, queue time.Duration, lost, cut bool) (flat bool) {
	if c.flatAt.IsZero() || lost || max(c.hi, queue)-min(c.lo, queue) > flatBand {
		c.lo, c.hi, c.flatAt = queue, queue, now
	}
	c.lo, c.hi = min(c.lo, queue), max(c.hi, queue)
	switch {
	case queue < idleQueue || queue < busyQueue && !c.active:
		c.active, c.since = false, 0
		return false
	case now.Sub(c.flatAt) > flatTime:
		c.active, c.since = false, 0
		return true
	case c.since.IsZero():
		c.since, c.then, c.thenAt = now, queue, now
	}
	if !c.active && cut && now.Sub(c.since) > busyTime && float64(queue) > busySame*float64(c.then) {
		c.active = true
	}
	if now.Sub(c.thenAt) > lookBack {
		c.then, c.thenAt = queue, now
	}
	return false
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
	step := Rate(8 * packetSize / rtt / rtt * took.Seconds()) // a packet more each round trip
	a.set(max(a.rate, min(a.rate+step, bound)))
}
