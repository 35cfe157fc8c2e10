package bwe

import (
	"math"
	"time"

	"parley/internal/base/clock"
)

const (
	// cut is what remains of the acknowledged rate at over-use: 15 % below
	// capacity empties a queue of 300 ms in two seconds.
	cut = 0.85
	// growth is the share a second far from a known capacity
	// (draft-ietf-rmcat-gcc-02, section 5.5).
	growth = 1.08
	// Near the capacity it grows by about a packet each response time.
	packetSize   = 1200
	frameRate    = 30
	detectorTime = 100 * time.Millisecond
	stepMin      = 4000.0 // bit/s each second
	// headroom bounds growth by what was proven to arrive. Sources come in steps: a
	// leg that sends two thirds of its target has room for the next, and only a
	// probe may say that the path has it, too (SFM-8).
	headroom    = 1.25
	headroomAdd = 10_000
	// standing: above this queue no growth for a while after a cut, so that
	// the queue empties first; only for a while, since the queue may be
	// another flow's.
	standing     = 60 * time.Millisecond
	standingTime = 3 * time.Second
	fell         = 0.75                   // share of the long measure that is no chance
	emptied      = 0.8                    // share of the queue that is less of it
	cutEvery     = 200 * time.Millisecond // longest wait between cuts
	// cutAgain is how long after a cut a packet must have left whose delay asks for the
	// next: what left before met the queue that the cut was for.
	cutAgain = 300 * time.Millisecond
)

// capacity is the running mean of acknowledged rates at over-use: where the
// ceiling was, with its spread.
type capacity struct {
	mean, dev float64 // kbit/s; dev is the variance over the mean
	known     bool
}

func (c *capacity) add(r Rate) {
	k := float64(r) / 1000
	if !c.known {
		*c = capacity{mean: k, dev: 0.4, known: true}
		return
	}
	const a = 0.05
	c.mean += a * (k - c.mean)
	e := c.mean - k
	c.dev = min(2.5, max(0.4, (1-a)*c.dev+a*e*e/max(1, c.mean)))
}

// spread is three standard deviations.
func (c *capacity) spread() float64 { return 3 * math.Sqrt(c.dev*c.mean) }

func (c *capacity) above(r Rate) bool {
	return c.known && float64(r)/1000 > c.mean+c.spread()
}

func (c *capacity) below(r Rate) bool {
	return c.known && float64(r)/1000 < c.mean-c.spread()
}

// aimd turns usage into a rate: additive or multiplicative increase,
// multiplicative decrease.
type aimd struct {
	rate     Rate
	min, max Rate
	link     capacity
	growing  bool
	updated  clock.Time
	cutAt    clock.Time
	cutQueue time.Duration // at the last cut
	cuts     uint64
	proved   Rate // by the last probe
	provedAt clock.Time
	low      time.Duration // least queue since a cut in a contest
	falls    int           // over-use in a row at less and less
	counted  Rate
	countAt  clock.Time
}

// input is what one feedback says to the rate control.
type input struct {
	use        usage
	fallen     Rate // what a cliff left; 0: there was none
	acked      Rate // over ackedSpan; 0 unknown
	ackedFast  Rate // over ackedFast; 0 unknown
	limited    bool // by the application: what arrives says nothing of the path
	wanted     Rate // what could be used; growth ends a little above
	queue, rtt time.Duration
	sent       clock.Time // when the last packet left that arrived
}

func (a *aimd) update(now clock.Time, in input) {
	took := now.Sub(a.updated)
	if a.updated.IsZero() {
		took = 0
	}
	a.updated = now
	switch in.use {
	case over:
		a.decrease(now, in)
		a.growing = false
	case under:
		a.growing = false // let the queues empty
	default:
		if a.draining(now, in.queue) {
			return
		}
		if a.growing {
			a.increase(in, min(took, time.Second))
		}
		a.growing = true
	}
}

func (a *aimd) draining(now clock.Time, queue time.Duration) bool {
	return queue > standing && !a.cutAt.IsZero() && now.Sub(a.cutAt) < standingTime
}

func (a *aimd) increase(in input, took time.Duration) {
	if a.link.above(in.acked) {
		a.link = capacity{}
	}
	grown := float64(a.rate) * math.Pow(growth, took.Seconds())
	if a.link.known {
		grown = float64(a.rate) + a.step(in.rtt)*took.Seconds()
	}
	bound := a.max
	if in.limited {
		bound = a.rate // only probes tell more
	} else if in.acked > 0 {
		bound = min(bound, Rate(headroom*float64(in.acked))+headroomAdd)
	}
	a.set(max(a.rate, min(Rate(grown), bound, in.wanted+in.wanted/10)))
}

// step is the additive increase in bit/s each second.
func (a *aimd) step(rtt time.Duration) float64 {
	frame := float64(a.rate) / frameRate
	packet := frame / math.Ceil(max(1, frame/8/packetSize))
	return max(stepMin, packet/(rtt+detectorTime).Seconds())
}

// arriving is what the receiver is reached at for sure: the long measure,
// unless the short one shows that it fell, or a probe just showed more than the
// measures can know yet and no queue speaks against it.
func (a *aimd) arriving(now clock.Time, in input) Rate {
	r := max(in.acked, in.ackedFast)
	if in.ackedFast > 0 && float64(in.ackedFast) < fell*float64(in.acked) {
		r = in.ackedFast
	}
	if a.proved > r && now.Sub(a.provedAt) < ackedSpan+in.rtt && in.queue < standing {
		r = a.proved
	}
	return r
}

func (a *aimd) decrease(now clock.Time, in input) {
	proven := a.arriving(now, in)
	// What left before the last cut tells nothing of it, unless the path fell to half
	// or the queue is long: in another's queue it would be told of too late.
	early := now.Sub(a.cutAt) < min(cutEvery, max(10*time.Millisecond, in.rtt)) || in.sent < a.cutAt.Add(cutAgain) && in.queue < fullQueue
	if !a.cutAt.IsZero() && early && (proven == 0 || proven > a.rate/2) {
		return
	}
	next := Rate(cut * float64(proven))
	if proven == 0 {
		next = Rate(cut * float64(a.rate))
	}
	if a.link.below(proven) {
		a.link = capacity{}
	}
	if proven > 0 && !in.limited {
		a.link.add(proven)
	}
	if a.emptying(now, in) {
		return
	}
	if in.limited { // what was sent filled nothing: half is the most to take for it
		next = max(next, a.rate/2)
	}
	a.count(now, proven)
	a.cutAt, a.cutQueue = now, in.queue
	a.cuts++
	a.set(min(a.rate, next))
}

// explains reports that what was lost of a packet that left then, was lost to the
// queue that the last cut was made for.
func (a *aimd) explains(sent clock.Time) bool { return a.cutQueue > standing && sent < a.cutAt }

// emptying reports that the last cut does what it should: the queue it was made
// for goes down. Meanwhile less is sent than the rate, since what was too much is
// given up, and what arrives tells of that and not of the path.
func (a *aimd) emptying(now clock.Time, in input) bool {
	return in.fallen == 0 && a.cutQueue > standing && now.Sub(a.cutAt) < standingTime && float64(in.queue) < emptied*float64(a.cutQueue)
}

// prove takes the result of a probe: the path carried this.
func (a *aimd) prove(now clock.Time, r Rate) {
	a.proved, a.provedAt = r, now
	if r > a.rate {
		a.set(r)
		if a.link.above(r) {
			a.link = capacity{}
		}
	}
}

func (a *aimd) set(r Rate) { a.rate = min(a.max, max(a.min, r)) }
