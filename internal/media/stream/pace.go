package stream

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/bwe"
	"parley/internal/media/graph"
)

const (
	// crowd is the wait from which a leg should be sent less.
	crowd = 250 * time.Millisecond
	// choke is the wait, beyond that for key pictures, from which a stream is left
	// out until its next key picture: later frames would come too late for a
	// conversation.
	choke = 500 * time.Millisecond
	// flush is the wait with which what waits is given up: the rate fell under it.
	flush = 2 * time.Second
	// relief is the time between streams that may begin again.
	relief = 200 * time.Millisecond
	// repairWait is how long an answer to a NACK may wait.
	repairWait = 500 * time.Millisecond
)

// pacing is what a projection has waiting.
type pacing struct {
	queued  int    // bytes
	floor   int64  // outgoing numbers below were given up
	keyTS   uint32 // timestamp of the last key picture, as sent
	keyed   bool
	choked  bool       // left out until there is room for its next key picture
	tripped clock.Time // rests until then: its circuit breaker is open
	guard   *guard
}

// Tick does what time makes due on the leg, sends what waited for room, and
// returns the next instant it wants (zero: none).
func (e *Egress) Tick(now clock.Time, out *graph.Batch) clock.Time {
	next := e.untrip(now)
	c := e.cong
	if c == nil {
		return next
	}
	next = clock.Earliest(next, e.steer(now))
	if e.Ready && !e.Passes {
		next = clock.Earliest(next, e.probe(now, out))
	}
	if !c.probing {
		next = clock.Earliest(next, e.release(now, out))
		next = clock.Earliest(next, e.silence(now, out))
		next = clock.Earliest(next, e.copyAgain(now, out))
	}
	return clock.Earliest(next, e.relieve(now))
}

// steer runs the controller and returns when it wants to be run again.
func (e *Egress) steer(now clock.Time) clock.Time {
	c := e.cong
	if !c.ticking || now < c.due {
		return c.due
	}
	c.repairs.bits(now)
	if !c.told {
		c.cc.SetWanted(bwe.Rate(max(1, e.wish())))
	}
	next := c.cc.Tick(now)
	c.repace()
	if now.Sub(c.lastSent) > idleAfter {
		c.ticking, c.due = false, 0
		return 0
	}
	c.due = (next + wishGrid - 1) / wishGrid * wishGrid
	return c.due
}

// admit asks whether a media packet may leave now; if not it is sent later,
// from the history, by [Egress.Tick]. Sound never waits.
func (e *Egress) admit(now clock.Time, p *Projection, in *graph.Packet, g *segment, num int64) bool {
	c := e.cong
	if c == nil || !g.src.Video() {
		return true
	}
	if c.began == 0 {
		c.began = now
	}
	if !c.known && !c.probing {
		return true
	}
	if in.Keyframe {
		p.pacing.keyed, p.pacing.keyTS = true, in.Hdr.TS+g.ts
	}
	if c.queue.n == 0 && c.again.n == 0 && !c.probing && c.fresh(now) {
		return true
	}
	w := waiting{p: p, num: num, at: now, size: int32(in.Buf.N + sealed),
		key: p.pacing.keyed && p.pacing.keyTS == in.Hdr.TS+g.ts}
	switch {
	case !c.queue.push(w, mediaLane) || c.pace.Drain(c.queue.bytes) > flush:
		e.giveUp(now)
	case !w.key && c.pace.Drain(c.queue.bytes-c.queue.keys) > choke:
		e.choke(now)
	}
	if c.queue.n == 1 {
		e.wake(max(now, c.pace.Next(now)))
	}
	if c.probing {
		e.wake(now)
	}
	return false
}

// fresh reports whether what just came may leave at once.
func (c *congestion) fresh(now clock.Time) bool {
	if now != c.freshAt {
		c.freshAt, c.room, c.roomAt = now, c.pace.Fresh(now), now
	}
	return c.room > 0
}

// has reports whether there is room in this instant for what waits. What leaves
// in one instant is one burst, which the sender can put into one message.
func (c *congestion) has(now clock.Time) bool {
	if now != c.roomAt {
		c.roomAt, c.room = now, c.pace.Room(now)
	}
	return c.room > 0
}

// release sends what waited and returns when there will be room for more.
func (e *Egress) release(now clock.Time, out *graph.Batch) clock.Time {
	c := e.cong
	for c.again.n > 0 && c.has(now) || c.queue.n > 0 && (c.has(now) || !c.known) {
		c.size = 0
		if c.repairNext() {
			if w := c.again.pop(); now.Sub(w.at) <= repairWait {
				w.p.Resend(now, uint16(w.num), out)
			}
			c.lead -= c.size
		} else {
			e.depart(now, c.queue.pop(), out)
			c.lead += c.size
		}
	}
	if c.queue.n+c.again.n == 0 {
		return 0
	}
	return max(now+1, c.pace.Next(now))
}

// repairNext chooses between a repair and a media packet when both wait: a
// repair, but half of the room each while a queue stands in the path. Else a
// receiver that it made lose much would get nothing but what it lost.
func (c *congestion) repairNext() bool {
	switch {
	case c.again.n == 0:
		return false
	case c.queue.n == 0 || c.pace.Calm():
		c.lead = 0
		return true
	}
	return c.lead >= 0
}

// depart sends a packet that waited, if it is still there and wanted.
func (e *Egress) depart(now clock.Time, w waiting, out *graph.Batch) bool {
	p := w.p
	if w.num < p.pacing.floor {
		return false
	}
	if p.paused || p.aimed && p.aim == Nothing {
		p.pacing.floor = w.num + 1
		return false
	}
	g, in := p.recall(w.num)
	if in == nil {
		return false
	}
	pt, _, codec, ok := p.table(g.src).PT(in.Hdr.PayloadType)
	if !ok {
		return false
	}
	p.leave(now, in, g, w.num, pt, codec, out)
	return true
}

// recall finds a packet by its outgoing number.
func (p *Projection) recall(num int64) (*segment, *graph.Packet) {
	if p.Dead || p.sect == nil {
		return nil, nil
	}
	g := byOut(p.segs, num)
	if g == nil || g.src.Info == nil {
		return nil, nil
	}
	return g, g.recall(num)
}

// repair answers a NACK when there is room for it.
func (e *Egress) repair(now clock.Time, p *Projection, seq uint16, out *graph.Batch) {
	c := e.cong
	if c == nil || !c.known || c.again.n == 0 && (c.queue.n == 0 || c.pace.Calm()) && c.has(now) {
		p.Resend(now, seq, out)
		return
	}
	if c.again.push(waiting{p: p, num: int64(seq), at: now}, repairLane) {
		e.wake(max(now, c.pace.Next(now)))
	}
}

// abandon gives up what of a stream waits, and its repairs, while a queue stands in
// the path: they belong to an encoding that was too much for it.
func (p *Projection) abandon() {
	if p.leg.strained() {
		p.pacing.floor = max(p.pacing.floor, p.next)
	}
}

// Crowded reports whether so much waits for room that a leg should be sent less.
func (e *Egress) Crowded() bool {
	c := e.cong
	return c != nil && c.queue.n > 0 && c.pace.Drain(c.queue.bytes) > crowd
}

// strained reports that a queue stands in the path.
func (e *Egress) strained() bool {
	c := e.cong
	return c != nil && c.known && !c.pace.Calm()
}

// choke leaves out streams, those with the most waiting first, until what the
// others have waiting is short enough.
func (e *Egress) choke(now clock.Time) {
	c := e.cong
	rest := c.queue.bytes - c.queue.keys
	for _, p := range e.Sends {
		if p.pacing.choked {
			rest -= p.pacing.queued
		}
	}
	for c.pace.Drain(rest) > choke {
		var most *Projection
		for _, p := range e.Sends {
			if !p.pacing.choked && p.pacing.queued > 0 && (most == nil || p.pacing.queued > most.pacing.queued) {
				most = p
			}
		}
		if most == nil {
			return
		}
		rest -= most.pacing.queued
		e.hold(now, most)
	}
}

func (e *Egress) hold(now clock.Time, p *Projection) {
	if p.pacing.choked {
		return
	}
	p.abandon()
	if p.target >= 0 && p.target < p.layer { // less is on its way: it may begin
		p.cut()
		return
	}
	p.pacing.choked = true
	e.cong.chokes++
	e.cong.relieved = now
	p.cut()
	e.wake(now.Add(relief))
}

// giveUp drops all that waits: under a rate that fell it would come seconds late.
// Receivers go on with the next key pictures.
func (e *Egress) giveUp(now clock.Time) {
	c := e.cong
	for c.queue.n > 0 {
		w := c.queue.pop()
		w.p.pacing.floor = max(w.p.pacing.floor, w.num+1)
		e.hold(now, w.p)
	}
}

// relieve lets a stream begin again that was left out, and returns when to look
// for the next.
func (e *Egress) relieve(now clock.Time) clock.Time {
	c := e.cong
	if c.chokes == 0 {
		return 0
	}
	if now.Sub(c.relieved) >= relief {
		c.relieved = now
		c.chokes = 0
		begun := e.Crowded()
		for _, p := range e.Sends {
			switch {
			case !p.pacing.choked:
			case begun:
				c.chokes++
			default:
				begun, p.pacing.choked = true, false
				p.seek(now)
			}
		}
	}
	if c.chokes == 0 {
		return 0
	}
	return c.relieved.Add(relief)
}
