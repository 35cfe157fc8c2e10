package bwe

import (
	"math"
	"time"

	"parley/internal/base/clock"
)

const (
	lossWindow  = 250 * time.Millisecond
	lossPackets = 20
	lossLong    = time.Second // a slow stream is judged on fewer packets
	// excessMin: loss beyond what the path always loses, below which nothing
	// is suspected.
	excessMin = 0.05
	// A lower rate is judged by so many packets, or by what came in testMax.
	testPackets = 60
	testMax     = 2 * time.Second
	testRow     = 5 * time.Second // tests not farther apart are about one thing
	// relief: had the lost packets been too many, the cut would have removed
	// nearly all; where it removed less than this share, the path loses anyhow.
	relief = 0.4
	// Beyond heavyLoss a stream is of little use whatever the reason, and the
	// rate is bounded by heavyRate/(loss-heavyLoss), as a courtesy to others.
	heavyLoss = 0.25
	heavyRate = 100_000
	blackout  = 0.9 // more than this is an outage, not a rate
)

// lossControl bounds the rate by loss. Congestion and bad radio both lose
// packets, and only one gets better with less traffic. So it experiments: on
// more loss than the path's own it lowers the rate to what would have arrived;
// if the loss goes away the bound stays and grows slowly, if it does not the
// loss is the path's own and the rate returns.
type lossControl struct {
	bound Rate // 0: none
	own   float64

	since       clock.Time
	packets     int
	lost, bytes int
	recent      float64 // of the last windows, smoothed

	testing  bool
	top      Rate       // before the first of the tests in a row
	topAt    clock.Time // of the last of them
	seen     float64    // loss that began the test
	judgeAt  clock.Time // from here on packets show the lower rate
	tested   int
	testLost int
	grewAt   clock.Time
	congests uint64
}

func (l *lossControl) add(r *Result) {
	switch {
	case r.Late:
		l.lost = max(0, l.lost-1)
		return
	case !r.Received:
		l.lost++
	}
	l.packets++
	l.bytes += r.Size
}

// update closes a window if it is long enough and moves the bound. rate is
// what is allowed now, delayed whether delay explains what is lost.
func (l *lossControl) update(now clock.Time, rate, limit Rate, rtt time.Duration, delayed bool) {
	if l.since.IsZero() {
		l.since = now
	}
	took := now.Sub(l.since)
	if took < lossWindow || l.packets < lossPackets && (took < lossLong || l.packets < 5) {
		return
	}
	p, n, sent := float64(l.lost)/float64(l.packets), float64(l.packets), per(l.bytes, took)
	packets, lost := l.packets, l.lost
	l.since, l.packets, l.lost, l.bytes = now, 0, 0, 0
	if p > blackout {
		return // the time-out of feedback has dealt with it
	}
	l.recent += (p - l.recent) * 0.4
	switch {
	case l.testing:
		l.judge(now, packets, lost)
	case l.excess(p, n) > 0 && l.excess(l.recent, 3*n) > 0:
		if !delayed { // else the delay controller acts
			l.test(now, rate, sent, rtt)
		}
	default:
		l.learn(l.recent)
		l.grow(now, rate, limit)
	}
}

// excess is the loss beyond the path's own and beyond chance.
func (l *lossControl) excess(p, n float64) float64 {
	chance := 2 * math.Sqrt(max(l.own*(1-l.own), 0.01)/n)
	return p - l.own - max(excessMin, chance)
}

func (l *lossControl) test(now clock.Time, rate, sent Rate, rtt time.Duration) {
	if l.topAt.IsZero() || now.Sub(l.topAt) > testRow || rate > l.top {
		l.top = rate
	}
	l.testing, l.topAt, l.seen = true, now, l.recent
	l.judgeAt, l.tested, l.testLost = now.Add(rtt), 0, 0
	passed := Rate(float64(min(sent, rate)) * (1 - (l.recent - l.own)))
	l.bound = max(passed, rate/2)
	l.grewAt = now
}

// judge ends a test when enough packets were sent at the lower rate.
func (l *lossControl) judge(now clock.Time, packets, lost int) {
	if now.Before(l.judgeAt.Add(lossWindow)) {
		return // the window holds packets of before
	}
	l.tested += packets
	l.testLost += lost
	if l.tested < testPackets && now.Before(l.judgeAt.Add(testMax)) {
		return
	}
	p := float64(l.testLost) / float64(l.tested)
	l.testing, l.recent, l.grewAt = false, p, now
	if p-l.own < relief*(l.seen-l.own) {
		l.congests++ // the bound stays
		return
	}
	// As bad as before with less: the path's own. Where a cut to a half was not
	// enough to tell, the next excess cuts again.
	l.own = min(p, l.seen)
	l.bound = max(l.bound, l.top)
}

// learn follows a path that gets better at once, one that gets worse slowly.
func (l *lossControl) learn(p float64) {
	k := 0.02
	if p < l.own {
		k = 0.1
	}
	l.own += (p - l.own) * k
}

// grow lifts the bound until it is out of the way.
func (l *lossControl) grow(now clock.Time, rate, limit Rate) {
	if l.bound == 0 {
		return
	}
	took := min(now.Sub(l.grewAt).Seconds(), 1)
	l.grewAt = now
	l.bound = Rate(float64(l.bound) * math.Pow(growth, took))
	if l.bound > limit {
		l.bound = 0
	}
}

// prove takes the result of a probe.
func (l *lossControl) prove(r Rate) {
	if l.bound > 0 && !l.testing {
		l.bound = max(l.bound, r)
	}
}

// apply returns the rate within the bounds.
func (l *lossControl) apply(r Rate) Rate {
	if l.bound > 0 {
		r = min(r, l.bound)
	}
	if l.recent > heavyLoss {
		r = min(r, Rate(heavyRate/(l.recent-heavyLoss)))
	}
	return r
}
