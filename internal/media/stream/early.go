package stream

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/bwe"
	"parley/internal/media/graph"
)

// Feedback on what arrived tells of losses as NACK does, on another packet: what
// it tells is resent without being asked for, so that a lost NACK, or a lost
// answer, costs no round trip.
const (
	flights = 512 // packets remembered; a power of two
	// followers are how many later packets must have come before one is taken for
	// lost and not for late (RFC 9002, section 6.1.1).
	followers = 3
	// A receiver waits some 400 ms for what is missing: from farAway on there is no
	// time for a second answer, from midway on for a third. Where a path loses, the
	// last answer but one goes out twice then, so far apart that a burst does not
	// take both, and no further, since it waits for room as well.
	farAway   = 170 * time.Millisecond
	midway    = 80 * time.Millisecond
	copyAfter = 20 * time.Millisecond
	copyRuns  = 40 * time.Millisecond // where losses come in runs
	copyLane  = 64
	// copyLate is how much longer a second answer may wait for room where losses come
	// in runs, of inRuns packets or more in the mean: what took the packet took the
	// first answer with it more often than chance would; and where less than mild of
	// the packets are lost. Elsewhere it is a luxury that must not take the room of
	// what comes next.
	copyLate = 100 * time.Millisecond
	mild     = 0.08
	inRuns   = 1.8
	runsOver = 128 // losses, from which on older ones count less
	// Where feedback of so long was lost in a row, what asks again has been lost as
	// well, and who asked waits no longer once it is told: all that left meanwhile
	// and is blindLate old at most goes out again. A single feedback lost is no
	// reason, since chance does not lose the request with it.
	blindSpan = 70 * time.Millisecond
	blindLate = 400 * time.Millisecond
	// A receiver that has told nothing for silentFor beyond the round trip does so no
	// sooner than its next feedback, which may come when nobody waits any more. What
	// left until then goes out again, up to silentMost after its last word: that of
	// a path that is gone altogether is not to be doubled.
	silentFor  = 120 * time.Millisecond
	silentMost = 400 * time.Millisecond
)

// flight is what left under a transport-wide number. A cache line holds four:
// they are written with each packet, and those of a hundred legs lie cold.
type flight struct {
	p   *Projection
	at  stamp
	tw  uint16
	seq uint16 // of media, or of what was answered
}

// stamp is an instant in microseconds, modulo 71 minutes.
type stamp uint32

func stampOf(t clock.Time) stamp { return stamp(t / clock.Time(time.Microsecond)) }

// since is the time from s to now.
func (s stamp) since(now clock.Time) time.Duration {
	return time.Duration(stampOf(now)-s) * time.Microsecond
}

// early remembers packets until feedback tells what became of them.
type early struct {
	ring   []flight
	open   [2 * followers]uint16 // told lost, but too few have followed
	n      int
	copies lane // second answers, due some time after the first

	heard        clock.Time // last feedback
	packets      float64    // that were told of
	losses, runs float64    // those lost, and how many of them followed none
	running      bool       // the last was
}

// tell counts runs of losses.
func (x *early) tell(r *bwe.Result) {
	if r.Untold || r.Late || r.New && !r.Received {
		return
	}
	x.packets++
	if !r.Received {
		x.losses++
		if !x.running {
			x.runs++
		}
		if x.losses > runsOver {
			x.packets, x.losses, x.runs = x.packets/2, x.losses/2, x.runs/2
		}
	}
	x.running = !r.Received
}

// inRuns reports whether packets are lost several in a row.
func (x *early) inRuns() bool { return x.losses >= inRuns*x.runs && x.runs > 8 }

// apart is how far a second answer stands from the first.
func (x *early) apart() time.Duration {
	if x.inRuns() {
		return copyRuns
	}
	return copyAfter
}

// mild reports whether few packets are lost.
func (x *early) mild() bool { return x.losses < mild*x.packets }

// depart notes a media packet or an answer that left.
func (x *early) depart(now clock.Time, tw uint16, p *Projection, seq uint16) {
	if x.ring == nil {
		x.ring = make([]flight, flights)
	}
	x.ring[tw%flights] = flight{p, stampOf(now), tw, seq}
}

func (x *early) find(tw uint16) *flight {
	if x.ring == nil {
		return nil
	}
	if f := &x.ring[tw%flights]; f.tw == tw && f.p != nil {
		return f
	}
	return nil
}

// told acts on what feedback told of packets, in order of their numbers.
func (e *Egress) told(now clock.Time, results []bwe.Result, out *graph.Batch) {
	x := &e.cong.early
	if len(results) == 0 || x.ring == nil || !e.Ready || e.Passes {
		return
	}
	for _, tw := range x.open[:x.n] { // by now enough have followed
		for i := range results {
			if uint16(results[i].Seq) == tw && results[i].Received {
				e.came(now, tw)
			}
		}
		e.resendLost(now, tw, out)
	}
	x.n, x.heard = 0, now
	if x.inRuns() {
		e.wake(now.Add(silentFor))
	}
	after := 0
	for i := range results {
		x.tell(&results[i])
		if results[i].Received {
			after++
		}
	}
	blind := e.blind(now, results)
	for i := range results {
		switch r := &results[i]; {
		case r.Received:
			after--
			e.came(now, uint16(r.Seq))
		case r.Untold:
			if blind {
				e.resendUntold(now, r, out)
			}
		case after >= followers:
			e.resendLost(now, uint16(r.Seq), out)
		case x.n < len(x.open):
			x.open[x.n] = uint16(r.Seq)
			x.n++
		}
	}
}

// came notes a packet that arrived.
func (e *Egress) came(now clock.Time, tw uint16) {
	c := e.cong
	f := c.early.find(tw)
	if f == nil {
		return
	}
	f.p.arrived = true
	if c.shown == 0 && f.p.src != nil && f.p.src.Video() {
		c.shown = now
	}
	f.p = nil
}

// blind reports whether several feedbacks in a row were lost before this one, on a
// path that loses and has room.
func (e *Egress) blind(now clock.Time, results []bwe.Result) bool {
	var first, last clock.Time
	for i := range results {
		if r := &results[i]; r.Untold {
			if first == 0 {
				first = r.Sent
			}
			last = r.Sent
		}
	}
	return last.Sub(first) >= blindSpan && e.cong.early.inRuns() && e.red.lossy(now) && e.cong.pace.Calm()
}

// silence sends again what left unanswered while no feedback comes, on a path that
// loses in runs and has room. It returns when it wants to look again.
func (e *Egress) silence(now clock.Time, out *graph.Batch) clock.Time {
	x := &e.cong.early
	if x.heard == 0 || !x.inRuns() || now.Sub(x.heard) > silentMost {
		return 0
	}
	if due := x.heard.Add(silentFor); now < due {
		return due
	}
	if !e.red.lossy(now) || !e.cong.pace.Calm() {
		return 0
	}
	for i := range x.ring {
		if f := &x.ring[i]; f.p != nil && f.at.since(now) >= e.least+silentFor/2 && f.at.since(now) <= blindLate {
			e.resendLost(now, f.tw, out)
		}
	}
	return now.Add(silentFor / 6)
}

// resendUntold sends a packet again of which nobody will tell.
func (e *Egress) resendUntold(now clock.Time, r *bwe.Result, out *graph.Batch) {
	if now.Sub(r.Sent) <= blindLate {
		e.resendLost(now, uint16(r.Seq), out)
	}
}

// resendLost sends a packet again that was told lost, whether it was one of media
// or itself an answer.
func (e *Egress) resendLost(now clock.Time, tw uint16, out *graph.Batch) {
	f := e.cong.early.find(tw)
	if f == nil {
		return
	}
	p := f.p
	f.p = nil
	if p.resends != nil {
		if r := &p.resends[f.seq%resendSlots]; uint16(r.out) == f.seq && stampOf(r.at) == f.at {
			r.at = 0 // what answered is what was lost
		}
	}
	if p.repairable() {
		e.repair(now, p, f.seq, out)
	}
}

// repairable reports whether anything may be resent at all.
func (p *Projection) repairable() bool { return p.RTXSSRC != 0 && !p.paused && !p.Dead }

// copyLater plans to send an answer once more.
func (e *Egress) copyLater(now clock.Time, p *Projection, num int64, second bool) {
	c := e.cong
	if c == nil || !second && e.least < midway || !e.red.lossy(now) {
		return
	}
	if c.early.copies.push(waiting{p: p, num: num, at: now}, copyLane) {
		e.wake(now.Add(c.early.apart()))
	}
}

// copyAgain sends second answers and returns when the next is due.
func (e *Egress) copyAgain(now clock.Time, out *graph.Batch) clock.Time {
	l := &e.cong.early.copies
	for l.n > 0 {
		w := l.ring[l.head]
		if due := w.at.Add(e.cong.early.apart()); due > now {
			return due
		}
		if !e.cong.has(now) && (e.cong.early.inRuns() || e.cong.early.mild()) && now.Sub(w.at) < copyRuns+copyLate {
			return max(now+1, e.cong.pace.Next(now))
		}
		l.pop()
		if e.cong.has(now) {
			w.p.resend(now, w.num, out)
		}
	}
	return 0
}
