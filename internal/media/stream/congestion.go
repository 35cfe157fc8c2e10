package stream

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/bwe"
	"parley/internal/media/graph"
	"parley/internal/media/rtcp"
)

// Feedback is what a leg's receiver agreed to tell of what arrives.
type Feedback struct {
	TWCC bool // by transport-wide numbers
	CCFB bool // by SSRC and number (RFC 8888)
	REMB bool // its own estimate
}

const (
	// sealed is what SRTP adds to a packet with AEAD_AES_128_GCM, the profile
	// browsers agree on with us; the other adds six bytes less.
	sealed = 16
	// trust is how long after the first feedback, and the first picture that arrived,
	// the path is taken to carry what is sent unless it shows that it does not: the
	// first probes take about as long, and a budget of the start rate would cost every
	// receiver a picture that gets worse and better again. Of sound alone nothing is
	// learnt, the first key frame may be two seconds away, and a receiver that is busy
	// may drop a second of what it has not made room for.
	trust = time.Second
	// trustMore prolongs it up to trustMost while probes show more and more.
	trustMore = 300 * time.Millisecond
	trustMost = 3 * time.Second
	// trustBlind is how long pictures are sent on trust of which none arrives.
	trustBlind = 5 * time.Second
	// drainIn is within what a standing queue of ours is to be emptied: the first
	// step down after a fall of the capacity must leave room for it, or it is not
	// the last. drainMost is the longest queue that counts.
	drainIn   = time.Second
	drainMost = 500 * time.Millisecond
	// toldLate is how long browsers take to tell what arrived.
	toldLate = 100 * time.Millisecond
	// distrust ends it.
	distrust = 0.10
	// idleAfter is how long after the last packet a leg's control still runs.
	idleAfter = 2 * time.Second
	// wishGrid is what instants without hurry are rounded up to, so that the legs
	// of a room wake their shard together.
	wishGrid = clock.Time(50 * time.Millisecond)
	// repairShare is the most of a target that repairs take from a budget: more are
	// those of pictures that were too many, and end with them.
	repairShare = 4
	// A packet is told about once, or a few times by senders of overlapping
	// feedback. What is told of more than that costs us time and is nonsense
	// (reliability D9).
	statusesPerPacket = 4
	statusesMax       = 1 << 15
)

// congestion is the control of what leaves on a leg (ADR 14).
type congestion struct {
	fb    Feedback
	cc    *bwe.Controller
	pace  bwe.Pacer
	heard clock.Time // first feedback
	began clock.Time // first picture that left
	shown clock.Time // and that arrived
	known bool       // the estimate is one
	most  bwe.Rate   // before it was
	rose  clock.Time
	told  bool // somebody said what is wanted

	early   early
	queue   lane // media that wait for room
	again   lane // repairs that do
	lead    int  // bytes of media ahead of repairs while both wait
	room    int  // bytes that may leave in this instant
	roomAt  clock.Time
	freshAt clock.Time
	probing bool  // a probe is on
	cluster int   // of the packet being written
	size    int   // of the packet written last
	back    int64 // where repeats for probes are taken from

	chokes   int // streams left out
	relieved clock.Time
	due      clock.Time // when the controller wants to run
	lastSent clock.Time
	ticking  bool
	statuses int
	repairs  meter // retransmissions asked for, and parity
}

// Configure tells what the receiver will tell; a leg whose receiver tells
// nothing is not controlled.
func (e *Egress) Configure(fb Feedback) {
	if fb == (Feedback{}) {
		e.cong = nil
		return
	}
	if fb.TWCC {
		fb.CCFB = false // one of them tells all
	}
	if e.cong == nil {
		c := &congestion{cc: bwe.New(bwe.Config{}), statuses: statusesMax}
		c.repace()
		e.cong = c
	}
	if e.cong.fb = fb; fb.CCFB {
		e.cong.cc.TrackRTP()
	}
}

// Budget returns what the leg's path carries of media, in bit/s of UDP payload,
// beside repairs and while its queue is emptied within drainIn; false while
// nobody has told.
func (e *Egress) Budget() (rate uint64, known bool) {
	c := e.cong
	if c == nil || !c.known {
		return 0, false
	}
	t := uint64(c.cc.Target())
	if !c.pace.Calm() && !c.cc.Contest() {
		t -= t * uint64(min(e.standing(), drainMost)) / uint64(drainIn)
	}
	return t - min(t/repairShare, c.repairs.rate), true
}

// standing is how long the path takes for what stands in it. Feedback tells what
// the packets found that it tells of; what left since counts by its bytes.
func (e *Egress) standing() time.Duration {
	least := e.least
	if least == 0 {
		least = DefaultRTT
	}
	since := e.cong.cc.Target().Time(e.cong.cc.Inflight()) - least - toldLate
	return max(e.cong.cc.Queue(), since)
}

// Estimate is the controller's target in bit/s, 0 without one.
func (e *Egress) Estimate() uint64 {
	if e.cong == nil || e.cong.heard.IsZero() {
		return 0
	}
	return uint64(e.cong.cc.Target())
}

// Congestion returns the state of the leg's control for statistics and traces;
// false if it has none.
func (e *Egress) Congestion() (s bwe.Stats, ok bool) {
	if e.cong == nil {
		return s, false
	}
	return e.cong.cc.Stats(), true
}

// SetWanted tells what the leg's subscriptions would use if they could, in
// bit/s; nothing is probed beyond it.
func (e *Egress) SetWanted(rate uint64) {
	if c := e.cong; c != nil {
		c.told = true
		c.cc.SetWanted(bwe.Rate(min(max(rate, 1), 1<<40))) // 0 would be anything
	}
}

// wish estimates what is wanted while nobody says: the best of each source.
func (e *Egress) wish() (rate uint64) {
	for _, p := range e.Sends {
		if p.src == nil || !p.Awake() {
			continue
		}
		best := uint64(0)
		for i := range p.src.Layers {
			best = max(best, p.src.Layers[i].meter.rate)
		}
		rate += best
	}
	return rate + rate/4
}

// sent notes a packet that was written. tw tells whether it bears the
// transport-wide number.
func (e *Egress) sent(now clock.Time, p *Projection, ssrc uint32, seq uint16, size int, tw bool) {
	c := e.cong
	switch {
	case c == nil && tw:
		e.twSeq++
		return
	case c == nil:
		return
	}
	size += sealed
	c.pace.Sent(now, size)
	c.room -= size
	c.size = size
	c.lastSent = now
	if c.fb.TWCC && tw || c.fb.CCFB {
		c.cc.OnSent(now, bwe.Packet{Seq: e.twSeq, Size: size, Cluster: c.cluster, New: !p.arrived && !p.Passing, SSRC: ssrc, RTP: seq})
		c.statuses = min(c.statuses+statusesPerPacket, statusesMax)
	} else if !c.fb.TWCC {
		c.cc.OnSentUntold(now, size)
	}
	if tw || c.fb.CCFB {
		e.twSeq++
	}
	if !c.ticking {
		c.ticking = true
		e.wake(now)
	}
}

// wake asks for a Tick at an instant.
func (e *Egress) wake(at clock.Time) {
	if e.Env.Wake != nil {
		e.Env.Wake(e.Leg, at)
	}
}

// handleCongestion takes what a receiver tells of what arrived.
func (e *Egress) handleCongestion(now clock.Time, p *rtcp.Packet, out *graph.Batch) {
	c := e.cong
	if c == nil {
		return
	}
	switch p.Count {
	case rtcp.FmtTWCC:
		t, ok := p.TWCC()
		if !c.fb.TWCC || !ok || !c.allow(t.Count) {
			return
		}
		c.cc.OnTWCC(now, t)
	case rtcp.FmtCCFB:
		f, ok := p.CCFB()
		if !c.fb.CCFB || !ok || !c.allow(len(p.Body)/2) {
			return
		}
		c.cc.OnCCFB(now, f)
	default:
		return
	}
	e.settle(now)
	e.told(now, c.cc.Results(), out)
}

// allow takes feedback that is not more than packets were sent for.
func (c *congestion) allow(statuses int) bool {
	if statuses > c.statuses {
		return false
	}
	c.statuses -= max(statuses, 1)
	return true
}

// handleREMB takes a receiver's own estimate.
func (e *Egress) handleREMB(now clock.Time, rate uint64) {
	e.REMB = rate
	if c := e.cong; c != nil && c.fb.REMB && !e.Passes {
		c.cc.OnREMB(now, rate)
		e.settle(now)
	}
}

// settle follows a new target.
func (e *Egress) settle(now clock.Time) {
	c := e.cong
	if c.heard.IsZero() {
		c.heard, c.due = now, 0
		e.wake(now)
	} else if _, ok := c.cc.WantProbe(now); ok {
		e.wake(now)
	}
	if !c.known {
		if t := c.cc.Target(); t > c.most {
			c.most, c.rose = t, now
		}
		d := now.Sub(max(c.heard, c.shown))
		c.known = !c.fb.TWCC && !c.fb.CCFB || c.shown != 0 && (d >= trust && now.Sub(c.rose) >= trustMore || d >= trustMost) ||
			c.began != 0 && now.Sub(c.began) >= trustBlind
		if s := c.cc.Stats(); s.Cuts > 0 || s.RecentLoss > distrust {
			c.known = true
		}
		c.pace.Forgive() // nothing waited yet
	}
	c.repace()
}

// repace tells the pacer what it goes by.
func (c *congestion) repace() {
	c.pace.SetNear(c.cc.Near())
	c.pace.SetRate(c.cc.Target())
	c.pace.SetQueue(c.cc.Queue())
}
