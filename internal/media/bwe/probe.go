package bwe

import (
	"time"

	"parley/internal/base/clock"
)

const (
	// probeTime and probePackets size a probe: long enough that the rate of
	// arrival can be told from the grain of packets and interrupts.
	probeTime    = 15 * time.Millisecond
	probePackets = 5
	// probeBytes is the least, where the queue it may make allows: timers and receivers
	// that are some milliseconds late must not hide what a probe at a low rate finds.
	probeBytes = 3000
	// probeQueue bounds what a probe may put into a queue that drains at the
	// present estimate.
	probeQueue = 80 * time.Millisecond
	probeSmall = 200 // bytes of the least packet of a probe, padding alone

	probeFirst  = 3.0 // times the start rate, then
	probeSecond = 6.0
	probeNext   = 2.0 // times what a probe found
	probeGoOn   = 0.7 // share of the probed rate that makes it go on
	probeWait   = time.Second
	// probeEvery is the time between probes while more is wanted than the
	// estimate. Growth of 8 % a second takes half a minute to find eight times
	// the rate; a probe each 5 s finds it within ten (scenario Q3).
	probeEvery = 5 * time.Second
	probeSoon  = time.Second            // the same when more is wanted than before,
	probeBlind = 5                      // and for so many while none has found anything
	probeAsk   = 100 * time.Millisecond // between looks whether one may be sent
	// probeCalm: no probe so soon after a cut, nor into a standing queue,
	// where other flows' packets would answer for ours.
	probeCalm  = 2 * time.Second
	probeClear = 30 * time.Millisecond
	// dropShare: a fall below this share of the rate is tried to be undone.
	dropShare  = 0.66
	dropWithin = 10 * time.Second
	dropProbe  = 0.85
	fallSpan   = 3 * time.Second // between cuts of one fall

	// probeSpreads: where delays spread, a probe is so many times as long, and
	// what is added by chance to its arrival is taken to be a spread.
	probeSpreads = 4
	spreadFree   = 5 * time.Millisecond // is made by frames themselves

	clusters = 8 // remembered: results come within a round trip
)

// Probe asks for packets at a rate: Packets at least, Bytes at least.
type Probe struct {
	Cluster int
	Rate    Rate
	Bytes   int
	Packets int
}

// cluster is a probe under way, and what came of it.
type cluster struct {
	Probe
	made           clock.Time
	packets, bytes int
	done           bool
	got, gotBytes  int
	sent0, sent1   clock.Time
	at0, at1       time.Duration
	size0, size1   int // of the packet that began the arrival, ended the sending
	told           bool
}

// prober makes probes and reckons what they found.
type prober struct {
	ring [clusters]cluster
	n    int // clusters ever made; the number of the last
	next int // number of the next to send

	spread time.Duration // of the delays of packets that left about together

	started  bool
	blind    int  // probes of the start that found nothing yet
	goOn     Rate // a result above makes it go on; 0: none awaited
	goOnTill clock.Time
	soon     bool       // more is wanted than before
	last     clock.Time // when the last probe was made
	fell     Rate       // rate before a fall, to be tried again
	fellAt   clock.Time
	top      Rate // before the first of the cuts in a row
	cutAt    clock.Time
}

func (p *prober) at(id int) *cluster { return &p.ring[id%clusters] }

func (p *prober) make(now clock.Time, rate, present Rate) {
	p.n++
	span := max(probeTime, probeSpreads*p.spread)
	bytes := min(max(rate.Of(span), probeBytes), present.Of(probeQueue))
	c := p.at(p.n)
	*c = cluster{Probe: Probe{p.n, rate, max(bytes, probePackets*probeSmall), probePackets}, made: now}
	p.last = now
	if p.next == 0 {
		p.next = p.n
	}
}

// want returns the probe to send now.
func (p *prober) want(now clock.Time) (Probe, bool) {
	for p.next > 0 && p.next <= p.n {
		c := p.at(p.next)
		if c.Cluster == p.next && !c.done && now.Sub(c.made) < probeWait {
			left := c.Probe
			left.Bytes, left.Packets = max(0, c.Bytes-c.bytes), max(0, c.Packets-c.packets)
			return left, true
		}
		p.next++
	}
	return Probe{}, false
}

func (p *prober) sent(now clock.Time, id, size int) {
	c := p.at(id)
	if c.Cluster != id || c.done {
		return
	}
	c.packets++
	c.bytes += size
	c.done = c.packets >= c.Packets && c.bytes >= c.Bytes
}

// add takes a packet of a probe that arrived and returns the rate found, 0
// while there is none.
func (p *prober) add(r *Result) Rate {
	c := p.at(r.Cluster)
	if c.Cluster != r.Cluster || c.told {
		return 0
	}
	if c.got == 0 || r.Sent < c.sent0 {
		c.sent0 = r.Sent
	}
	if c.got == 0 || r.Sent >= c.sent1 {
		c.sent1, c.size1 = r.Sent, r.Size
	}
	if c.got == 0 || r.At < c.at0 {
		c.at0, c.size0 = r.At, r.Size
	}
	c.at1 = max(c.at1, r.At)
	if c.got == 0 {
		c.at1 = r.At
	}
	c.got++
	c.gotBytes += r.Size
	// With every fourth lost, what arrived still spans the probe.
	if !c.done || 4*c.got < 3*c.packets || 4*c.gotBytes < 3*c.bytes {
		return 0
	}
	return c.reckon(p.spread)
}

const (
	// probeFast: arrived at less than this share of the sending rate, the path
	// was full; then a bit less than it carried is taken.
	probeFast = 0.9
	probeTake = 0.95
	// probeOdd: arrived at more than twice the sending rate, it was a burst.
	probeOdd = 2.0
)

func (c *cluster) reckon(spread time.Duration) Rate {
	out := c.sent1.Sub(c.sent0)
	in := c.at1 - c.at0 + max(0, spread-spreadFree)
	if out <= 0 || in <= 0 || out > time.Second || in > time.Second {
		return 0
	}
	sent, came := per(c.gotBytes-c.size1, out), per(c.gotBytes-c.size0, in)
	if float64(came) > probeOdd*float64(sent) {
		return 0
	}
	if float64(came) < probeFast*float64(sent) {
		return Rate(probeTake * float64(came))
	}
	return min(sent, came)
}

// found is told the estimate before and after a probe's result and goes on with
// what it wants to know next.
func (p *prober) found(now clock.Time, before, rate, limit Rate) {
	p.blind = probeBlind
	if rate > before+before/5 { // the path became wider; by how much, a small probe may not tell
		p.soon = true
	}
	if p.goOn == 0 || rate < p.goOn || now.After(p.goOnTill) || rate >= limit {
		return
	}
	p.try(now, Rate(probeNext*float64(rate)), rate, limit)
}

// try makes a probe that goes on if it succeeds.
func (p *prober) try(now clock.Time, rate, present, limit Rate) {
	p.goOn = 0
	top := limit + limit/5 // a little more, so that the limit itself is proven
	if rate < top {
		p.goOn, p.goOnTill = Rate(probeGoOn*float64(rate)), now.Add(probeWait)
	}
	if rate = min(rate, top); rate > present {
		p.make(now, rate, present)
	}
}

// start makes the first two probes, as soon as more is wanted than the start
// rate: what sources send is measured a moment later than they begin.
func (p *prober) start(now clock.Time, rate, limit Rate) {
	if rate >= limit {
		return
	}
	p.started, p.last, p.soon = true, now, false
	p.try(now, Rate(probeFirst*float64(rate)), rate, limit)
	p.try(now, Rate(probeSecond*float64(rate)), rate, limit)
}

// fall notes a cut of the rate. Cuts in a row are one fall.
func (p *prober) fall(now clock.Time, from, to Rate) {
	if now.Sub(p.cutAt) > fallSpan || from > p.top {
		p.top = from
	}
	p.cutAt = now
	if float64(to) < dropShare*float64(p.top) {
		p.fell, p.fellAt = p.top, now
	}
	p.goOn = 0
}

// tick makes the probe that is due. calm tells that the path is neither over-
// used nor was a moment ago. It returns when it wants to be asked again.
func (p *prober) tick(now clock.Time, rate, limit Rate, calm bool) clock.Time {
	if !p.started {
		p.start(now, rate, limit)
		return now.Add(probeAsk)
	}
	if p.fell > 0 && now.Sub(p.fellAt) > dropWithin {
		p.fell = 0
	}
	due := p.last.Add(probeEvery)
	if p.soon || p.blind < probeBlind {
		due = p.last.Add(probeSoon)
	}
	if p.fell > 0 && p.fell > rate {
		due = clock.Earliest(due, p.fellAt.Add(probeCalm))
	}
	switch {
	case rate >= limit || now.Before(due):
		return max(due, now.Add(probeAsk))
	case !calm:
		return now.Add(100 * time.Millisecond)
	case p.fell > rate:
		p.try(now, Rate(dropProbe*float64(p.fell)), rate, limit)
		p.fell, p.top = 0, 0
	default:
		p.try(now, Rate(probeNext*float64(rate)), rate, limit)
	}
	p.soon = false
	p.blind++
	return now.Add(probeAsk)
}
