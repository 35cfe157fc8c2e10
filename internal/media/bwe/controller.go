package bwe

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/rtcp"
)

// Config bounds a leg's estimate. Zero fields have the defaults named.
type Config struct {
	Start Rate // 300 kbit/s
	Min   Rate // 30 kbit/s: audio with its headers must be able to live
	Max   Rate // 30 Mbit/s
}

const (
	defaultStart = 300_000
	defaultMin   = 30_000
	defaultMax   = 30_000_000

	// feedbackLate: nothing heard for so long while packets are out halves the
	// rate, and again each time as long.
	feedbackLate = time.Second
	defaultRTT   = 100 * time.Millisecond
	wakeMax      = time.Second
	// wakeQueue is more than a probe makes, with its packets as small as they get.
	wakeQueue = 3 * probeQueue
	// overQueue is the least queue that over-use is believed with: frames at a
	// new rate queue some milliseconds behind each other.
	overQueue = 15 * time.Millisecond
	// A queue this long that loses is full, and a full queue has no slope. Its
	// loss may have passed for the path's own; then a cut gets time to show.
	fullEvery = time.Second
	fullQueue = 100 * time.Millisecond
	fullLoss  = 0.02
	// oneCut is how long after a cut for delay none is made for loss: it may be that
	// of the queue.
	oneCut   = 500 * time.Millisecond
	baseSpan = 10 * time.Second // how long a least one-way delay is believed, at least
)

// inWake marks packets that stood behind a probe in the queue. Like the probe's
// own they say nothing of over-use: it was asked for and is over.
const inWake = -1

// Controller estimates what one leg's path carries.
type Controller struct {
	cfg     Config
	history History
	acked   acked
	trend   trend
	aimd    aimd
	loss    lossControl
	alr     alr
	probes  prober
	contest contest
	marks   marks
	cliff   cliff
	fallen  Rate // what a cliff left, of the feedback at hand
	anew    bool // it tells of a loss since the last cut
	results []Result

	remb    Rate // 0: none
	wanted  Rate // 0: Max
	rtt     time.Duration
	rttTold bool
	classic bool // no feedback by packet: REMB and reports only
	heard   clock.Time
	sentAt  clock.Time // first packet since heard
	newest  clock.Time // of those that arrived, when it left
	late    clock.Time
	queue   time.Duration
	base    [2]time.Duration // least one-way delay, of this span and the last
	baseAt  clock.Time
	baseSet bool
	target  Rate
	grew    clock.Time // of the classic control
	wake    clock.Time // until then packets meet the queue of a probe
}

// New makes a controller.
func New(cfg Config) *Controller {
	if cfg.Max <= 0 {
		cfg.Max = defaultMax
	}
	if cfg.Min <= 0 {
		cfg.Min = defaultMin
	}
	if cfg.Start <= 0 {
		cfg.Start = defaultStart
	}
	cfg.Start = min(max(cfg.Start, cfg.Min), cfg.Max)
	c := &Controller{cfg: cfg, trend: newTrend(), rtt: defaultRTT, target: cfg.Start, classic: true}
	c.aimd = aimd{rate: cfg.Start, min: cfg.Min, max: cfg.Max}
	return c
}

// Target returns what may be sent, in bit/s of UDP payload.
func (c *Controller) Target() Rate { return c.target }

// Near reports whether over-use has shown where the capacity is, and what arrives
// has not gone beyond it since.
func (c *Controller) Near() bool { return c.aimd.link.known }

// Limited reports whether the leg sends much less than its target.
func (c *Controller) Limited() bool { return c.alr.limited }

// TrackRTP prepares for RFC 8888 feedback; see History.TrackRTP.
func (c *Controller) TrackRTP() { c.history.TrackRTP() }

// SetWanted tells what the leg would use if it could; beyond it nothing is
// probed. 0 means Max.
func (c *Controller) SetWanted(r Rate) {
	if r > c.wanted+c.wanted/5 && c.wanted > 0 { // what sources send is never quite the same
		c.probes.soon = true
	}
	c.wanted = r
}

func (c *Controller) limit() Rate {
	l := c.cfg.Max
	if c.wanted > 0 {
		l = min(l, c.wanted)
	}
	if c.remb > 0 {
		l = min(l, c.remb)
	}
	return max(l, c.cfg.Min)
}

// OnSent notes a packet that leaves.
func (c *Controller) OnSent(now clock.Time, p Packet) {
	switch {
	case p.Cluster > 0: // what a probe queues drains at what media leave of the capacity
		c.wake = min(max(c.wake, now).Add(8*c.target.Time(p.Size)), now.Add(wakeMax))
	case now < c.wake:
		p.Cluster = inWake
	}
	c.history.Add(now, p)
	c.alr.sent(now, p.Size, c.target)
	if p.Cluster > 0 {
		c.probes.sent(now, p.Cluster, p.Size)
	}
	if c.sentAt.IsZero() {
		c.sentAt = now
	}
}

// OnSentUntold notes a packet that leaves where no feedback by packet was
// agreed: nothing is kept of it.
func (c *Controller) OnSentUntold(now clock.Time, size int) { c.alr.sent(now, size, c.target) }

// OnTWCC takes transport-wide feedback.
func (c *Controller) OnTWCC(now clock.Time, t rtcp.TWCC) {
	c.results = c.history.TWCC(&t, c.results[:0])
	c.OnFeedback(now, c.results)
}

// Results returns what the last feedback told, until the next.
func (c *Controller) Results() []Result { return c.results }

// OnCCFB takes RFC 8888 feedback.
func (c *Controller) OnCCFB(now clock.Time, f rtcp.CCFB) {
	c.results = c.history.CCFB(&f, c.results[:0])
	c.OnFeedback(now, c.results)
}

// OnRTT takes a round trip time of sender and receiver reports.
func (c *Controller) OnRTT(rtt time.Duration) {
	if rtt > 0 && rtt < 10*time.Second {
		c.rtt, c.rttTold = rtt, true
	}
}

// OnREMB takes a receiver's estimate: the whole truth where there is no
// feedback by packet, else an upper bound. 0 is taken as the least rate.
func (c *Controller) OnREMB(now clock.Time, r uint64) {
	c.remb = Rate(min(r, uint64(c.cfg.Max)))
	c.remb = max(c.remb, c.cfg.Min)
	if c.classic {
		c.aimd.set(c.remb)
	}
	c.settle(now)
}

const (
	// The control by reports alone (draft-ietf-rmcat-gcc-02, section 6).
	classicMuch   = 0.10
	classicLittle = 0.02
	classicEvery  = 300 * time.Millisecond
)

// OnLoss takes the fraction lost of a reception report. It matters only where
// there is no feedback by packet.
func (c *Controller) OnLoss(now clock.Time, fraction float64) {
	if !c.classic {
		return
	}
	took := now.Sub(c.grew)
	if c.grew.IsZero() {
		took = classicEvery + c.rtt
	}
	if took < classicEvery+c.rtt {
		return
	}
	c.grew = now
	switch {
	case fraction > classicMuch:
		c.aimd.set(Rate(float64(c.aimd.rate) * (1 - 0.5*fraction)))
	case fraction < classicLittle && !c.alr.limited:
		c.aimd.set(Rate(float64(c.aimd.rate) * (1 + (growth-1)*min(took.Seconds(), 1))))
	}
	c.settle(now)
}

// OnFeedback takes the fate of packets, in order of their numbers.
func (c *Controller) OnFeedback(now clock.Time, results []Result) {
	if len(results) == 0 {
		return
	}
	c.classic = false
	c.heard, c.late = now, 0
	c.sentAt = 0
	if c.history.Inflight() > 0 {
		c.sentAt = now
	}
	found, lost := c.digest(now, results)
	keep, marked := c.marks.round(now, c.rtt)
	in := input{use: c.trend.state, limited: c.alr.limited, wanted: c.limit(), queue: c.queue, rtt: c.rtt, sent: c.newest}
	in.acked, in.ackedFast = c.passed(ackedSpan), c.passed(ackedFast)
	if in.use == over && c.queue < overQueue {
		in.use = normal // a slope of nothing
	}
	if c.fallen > 0 {
		in.use, in.fallen, in.acked, in.ackedFast, in.limited = over, c.fallen, c.fallen, c.fallen, false
	}
	full := c.anew && c.queue > fullQueue && c.loss.recent > fullLoss
	again := now.Sub(c.aimd.cutAt) > fullEvery
	if marked || full && (again || c.loss.recent > c.loss.own+fullLoss) {
		in.use = over
	}
	before := c.aimd.rate
	cut := !c.aimd.cutAt.IsZero() && now.Sub(c.aimd.cutAt) < busyCut
	if c.contest.update(now, c.queue, lost, cut, c.aimd.falls) {
		c.rebase()
	}
	if c.contest.active {
		c.aimd.falls = 0
		c.aimd.compete(now, in, lost && c.loss.own < excessMin || full && again || marked)
	} else {
		c.aimd.update(now, in)
	}
	if keep < 1 {
		c.aimd.ease(now, keep)
	}
	if c.aimd.rate < before {
		c.probes.fall(now, before, c.aimd.rate)
	}
	if found > 0 && in.use != over {
		was := c.target
		c.prove(now, found)
		c.probes.found(now, was, found, c.limit())
	}
	delayed := in.use == over || c.contest.active || c.aimd.draining(now, c.queue) || !c.aimd.cutAt.IsZero() && now.Sub(c.aimd.cutAt) < oneCut
	c.credit(now)
	arrives, _ := c.acked.rate(ackedSpan)
	c.loss.update(now, c.target, c.limit(), arrives, c.rtt, delayed)
	c.settle(now)
}

// passed is what the path carries, by what arrives and the share it loses
// whatever the rate: what it lost of its own was, or would have been, carried.
// With a queue there is no telling whose the loss is.
func (c *Controller) passed(span time.Duration) Rate {
	r, _ := c.acked.rate(span)
	if c.queue > standing {
		return r
	}
	return Rate(float64(r) / (1 - min(c.loss.own, 0.5)))
}

// digest hands every result to those who measure.
func (c *Controller) digest(now clock.Time, results []Result) (found Rate, lost bool) {
	var least, deep, rtt, sum, n time.Duration
	timed := false
	c.fallen, c.anew = 0, false
	for i := range results {
		r := &results[i]
		if r.Untold {
			c.acked.assume(r, 1-c.loss.own)
			continue
		}
		if r.New && !r.Received { // whoever has not made room for a stream yet drops it himself
			continue
		}
		if r.Received || !c.aimd.explains(r.Sent) {
			c.loss.add(r)
		}
		if !r.Received {
			lost = true
			c.anew = c.anew || c.aimd.cutAt.IsZero() || r.Sent >= c.aimd.cutAt
			continue
		}
		c.marks.add(r)
		if d := now.Sub(r.Sent); rtt == 0 || d < rtt {
			rtt = d
		}
		c.newest = max(c.newest, r.Sent)
		if !r.Timed {
			continue
		}
		d := r.At - time.Duration(r.Sent)
		if !timed || d < least {
			timed, least = true, d
		}
		if r.Cluster == 0 {
			sum += d
			n++
		}
		c.acked.add(r)
		if r.Cluster > 0 {
			if f := c.probes.add(r); f > 0 {
				found = f
			}
		}
		if r.Cluster > 0 || !c.baseSet || r.Sent < c.aimd.cutAt { // a probe asks for a queue, and a cut was for one
			c.cliff.reset()
		} else if got := c.cliff.add(r, min(c.base[0], c.base[1])); got > 0 && float64(got) < cliffShare*float64(c.target) {
			c.fallen, deep = got, c.above(r)
			c.cliff.reset()
		}
		if r.Cluster == 0 || r.Cluster == inWake && (c.above(r) < idleQueue || c.above(r) > wakeQueue) {
			c.trend.add(r)
		}
	}
	if rtt > 0 && !c.rttTold {
		c.rtt += (rtt - c.rtt) / 8
	}
	if timed {
		c.measure(now, least)
	}
	if c.fallen > 0 { // the least is of before
		c.queue = max(c.queue, deep)
	}
	if n > 1 {
		c.probes.spread += (min(sum/n-least, probeQueue) - c.probes.spread) / 16
	}
	return found, lost
}

// measure follows the standing queue: the one-way delay above the least of the
// last 10 to 20 s. The least of a feedback is taken, which jitter does not move.
func (c *Controller) measure(now clock.Time, delay time.Duration) {
	switch {
	case !c.baseSet:
		c.base, c.baseAt, c.baseSet = [2]time.Duration{delay, delay}, now, true
	case now.Sub(c.baseAt) > baseSpan && !c.contest.active: // else the other's queue would become ours
		c.base[1], c.base[0], c.baseAt = c.base[0], delay, now
	}
	c.base[0] = min(c.base[0], delay)
	c.queue = delay - min(c.base[0], c.base[1])
}

// Inflight returns the bytes of which nobody has told what became of them.
func (c *Controller) Inflight() int { return c.history.Inflight() }

// credit takes for carried what arrives beyond the rate and leaves no queue, as long
// as the path has never asked for a cut: at first more is sent on trust.
func (c *Controller) credit(now clock.Time) {
	r, ok := c.acked.rate(ackedSpan)
	if !ok || r <= c.aimd.rate || !c.aimd.cutAt.IsZero() || c.trend.state == over || c.queue >= overQueue || c.loss.recent > fullLoss {
		return
	}
	c.prove(now, r)
}

// prove notes that the path carried this.
func (c *Controller) prove(now clock.Time, r Rate) {
	c.aimd.prove(now, r)
	c.loss.prove(now, r)
	c.settle(now)
}

// Filled reports whether the path had a queue within the span before now that asked
// for a cut: what it lost then may be what that queue dropped.
func (c *Controller) Filled(now clock.Time, span time.Duration) bool {
	return c.aimd.cutQueue > standing && now.Sub(c.aimd.cutAt) < span
}

// Contest reports that another flow keeps the queue, whatever ours does.
func (c *Controller) Contest() bool { return c.contest.active }

// Queue is what stands in the path, as delay.
func (c *Controller) Queue() time.Duration { return c.queue }

// above is the queue a packet met.
func (c *Controller) above(r *Result) time.Duration {
	return r.At - time.Duration(r.Sent) - min(c.base[0], c.base[1])
}

// rebase takes the present delay for that of an empty path.
func (c *Controller) rebase() {
	least := min(c.base[0], c.base[1]) + c.queue
	c.base, c.queue = [2]time.Duration{least, least}, 0
}

// settle reckons the target from all bounds.
func (c *Controller) settle(clock.Time) {
	r := c.loss.apply(c.aimd.rate)
	if c.remb > 0 {
		r = min(r, c.remb)
	}
	c.target = max(c.cfg.Min, min(r, c.cfg.Max))
}

// Tick does what time alone makes due and returns when it wants to be called
// again.
func (c *Controller) Tick(now clock.Time) clock.Time {
	next := now.Add(feedbackLate)
	if c.classic {
		return next
	}
	c.silence(now)
	calm := !c.contest.active && c.trend.state == normal && c.queue < probeClear && now.Sub(c.heard) < feedbackLate/2 &&
		(c.aimd.cutAt.IsZero() || now.Sub(c.aimd.cutAt) > probeCalm) && !c.loss.testing
	return clock.Earliest(next, c.probes.tick(now, c.target, c.limit(), calm))
}

// silence lowers the rate while packets are out and nothing is heard.
func (c *Controller) silence(now clock.Time) {
	wait := max(feedbackLate, 4*c.rtt)
	if c.sentAt.IsZero() || now.Sub(max(c.sentAt, c.late)) < wait {
		return
	}
	c.late = now
	c.probes.fall(now, c.aimd.rate, c.aimd.rate/2)
	c.aimd.set(c.aimd.rate / 2)
	c.settle(now)
}

// WantProbe returns the probe to send now, if any: what is left of it.
func (c *Controller) WantProbe(now clock.Time) (Probe, bool) { return c.probes.want(now) }

// Stats is a snapshot for statistics and traces.
type Stats struct {
	Target, Delay, Loss, Acked, REMB Rate // Loss and REMB: 0 is no bound
	Queue, RTT                       time.Duration
	PathLoss, RecentLoss             float64
	Trend, Threshold                 float64
	Cuts                             uint64
	Probes                           int
	Limited, Contest                 bool
}

// Stats returns the present state.
func (c *Controller) Stats() Stats {
	acked, _ := c.acked.rate(ackedSpan)
	return Stats{Target: c.target, Delay: c.aimd.rate, Loss: c.loss.bound, Acked: acked, REMB: c.remb, Queue: c.queue,
		RTT: c.rtt, PathLoss: c.loss.own, RecentLoss: c.loss.recent, Trend: c.trend.value,
		Threshold: c.trend.threshold, Cuts: c.aimd.cuts, Probes: c.probes.n, Limited: c.alr.limited,
		Contest: c.contest.active}
}
