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
	testCut     = 0.95
	rowCut      = 0.6
	rowSame     = 0.6
	// The path's own loss is the mean over learnOver windows, a quarter of a second
	// each, but no more than a test showed, which is forgotten over forgetOver: a
	// rate that creeps up must not teach its own loss, nor chance a smaller one.
	learnOver  = 64
	forgetOver = 1024
	doubtMin   = 5 * time.Second
	doubtMax   = time.Minute
	testRow    = 5 * time.Second // tests not farther apart are about one thing
	// relief: had the lost packets been too many, the cut would have removed
	// nearly all; where it removed less than this share, the path loses anyhow.
	relief = 0.35
	// Beyond heavyLoss a stream is of little use whatever the reason, and the
	// rate is bounded by heavyRate/(loss-heavyLoss), as a courtesy to others.
	heavyLoss = 0.25
	heavyRate = 100_000
	burstMost = 0.5 // windows that lose more tell nothing of runs
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
	mean  float64 // over long
	shown float64 // by the last test

	since       clock.Time
	packets     int
	lost, bytes int
	runs        int     // losses that follow none
	running     bool    // the last packet was lost
	row         int     // windows in a row with too much
	burst       float64 // mean length of runs, smoothed
	recent      float64 // of the last windows, smoothed

	testing  bool
	top      Rate       // before the first of the tests in a row
	topAt    clock.Time // of the last of them
	topSeen  float64    // loss that began the first
	seen     float64    // loss that began the test
	judgeAt  clock.Time // from here on packets show the lower rate
	tested   int
	testLost int
	grewAt   clock.Time

	provedAt  clock.Time
	doubt     time.Duration
	doubtTill clock.Time // until then probes do not raise the bound
}

func (l *lossControl) add(r *Result) {
	switch {
	case r.Late:
		l.lost = max(0, l.lost-1)
		return
	case !r.Received:
		l.lost++
		if !l.running {
			l.runs++
		}
	}
	l.running = !r.Received
	l.packets++
	l.bytes += r.Size
}

// update closes a window if it is long enough and moves the bound. rate is
// what is allowed now, acked what arrives, delayed whether delay explains what
// is lost.
func (l *lossControl) update(now clock.Time, rate, limit, acked Rate, rtt time.Duration, delayed bool) {
	if l.since.IsZero() {
		l.since = now
	}
	took := now.Sub(l.since)
	if took < lossWindow || l.packets < lossPackets && (took < lossLong || l.packets < 5) {
		return
	}
	p, n, sent := float64(l.lost)/float64(l.packets), float64(l.packets), per(l.bytes, took)
	packets, lost := l.packets, l.lost
	if l.runs > 0 && p < burstMost { // else it is an outage
		l.burst += (float64(lost)/float64(l.runs) - l.burst) / 16
	}
	l.since, l.packets, l.lost, l.bytes, l.runs = now, 0, 0, 0, 0
	if p > blackout {
		return // the time-out of feedback has dealt with it
	}
	l.recent += (p - l.recent) * 0.4
	switch {
	case l.testing:
		l.judge(now, packets, lost)
	case l.excess(p, n) > 0 && l.excess(l.recent, 3*n) > 0:
		l.row++
		if !delayed && l.row > 1 { // else the delay controller acts, or it is chance
			l.test(now, p, rate, sent, acked, rtt)
		}
	default:
		l.row = 0
		l.learn(p)
		l.grow(now, rate, limit)
	}
}

// excess is the loss beyond the path's own and beyond chance, which has a wider
// range where losses come in runs: by the variance of a two-state model.
func (l *lossControl) excess(p, n float64) float64 {
	chance := 2 * math.Sqrt(max(l.own*(1-l.own), 0.01)*max(1, 2*l.burst-1)/n)
	return p - l.own - max(excessMin, chance)
}

func (l *lossControl) test(now clock.Time, p float64, rate, sent, acked Rate, rtt time.Duration) {
	if l.topAt.IsZero() || now.Sub(l.topAt) > testRow || rate > l.top {
		l.top, l.topSeen = rate, l.recent
	}
	l.testing, l.topAt, l.seen = true, now, l.recent
	l.judgeAt, l.tested, l.testLost = now.Add(rtt), 0, 0
	// It must be less than what was really sent, else it tests nothing.
	passed := float64(min(sent, rate)) * (1 - max(0, p-l.own, l.recent-l.own))
	if acked > 0 {
		passed = min(passed, float64(acked)/(1-min(l.own, 0.5)))
	}
	l.bound = Rate(testCut * passed)
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
	// Several cuts in a row that together changed little tell by themselves.
	inVain := float64(l.bound) < rowCut*float64(l.top) && p > rowSame*l.topSeen
	if p-l.own < relief*(l.seen-l.own) && !inVain {
		// The bound stays. A bucket lets short probes pass: those that raised the
		// bound in vain are believed less and less.
		if now.Sub(l.provedAt) < testRow {
			l.doubt = min(2*l.doubt, doubtMax)
		}
		l.doubt = max(l.doubt, doubtMin)
		l.doubtTill = now.Add(l.doubt)
		return
	}
	// As bad as before with less: the path's own.
	l.shown = min(max(p, l.mean), l.seen)
	l.own, l.mean = l.shown, l.shown
	l.bound = max(l.bound, l.top)
}

// learn follows a path that gets better, or as bad again as it was. That it got
// worse only a test can tell.
func (l *lossControl) learn(p float64) {
	l.mean += (p - l.mean) / learnOver
	if l.mean < l.shown {
		l.shown += (l.mean - l.shown) / forgetOver
	}
	l.own = min(l.mean, l.shown)
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
func (l *lossControl) prove(now clock.Time, r Rate) {
	if l.bound == 0 || l.testing || r <= l.bound || now.Before(l.doubtTill) {
		return
	}
	l.bound, l.provedAt = r, now
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
