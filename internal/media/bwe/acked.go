package bwe

import (
	"time"

	"parley/internal/base/clock"
)

const (
	// ackedSlot gathers what arrived within so much; slots are what rates are
	// reckoned from, since a leg's feedback comes often and its packets lie cold.
	ackedSlot = 20 * time.Millisecond
	ackedRing = 128 // slots
	// ackedSpan is the time over which the rate is measured for growth. It
	// spans several frames and feedback intervals; jitter of 30 ms is 6 % of it.
	ackedSpan = 500 * time.Millisecond
	// ackedFast is for a cut: after a fall of capacity the longer span still
	// holds packets of before, and a cut to 0.85 of that is no cut.
	ackedFast = 200 * time.Millisecond
	// ackedMin packets are needed for a rate; fewer would make it a matter of
	// where frames happen to begin.
	ackedMin = 10
	// ackedOld ends the measurement at a pause.
	ackedOld = 2 * time.Second
)

// acked measures the rate at which the receiver is reached. The measure is the
// smaller of what was sent and what arrived over the same packets: a burst let
// go by a queue, or by a link that slept, must not look like capacity.
type acked struct {
	ring []slot // made at the first packet, a leg without feedback needs none
	n    int    // slots ever
	news int    // packets ever

	known [2]measure // of ackedSpan and ackedFast, as of news
}

// slot is packets that arrived one after the other.
type slot struct {
	earliest, latest clock.Time    // of sending
	oldest, newest   time.Duration // of arrival
	bytes            int32
	head             int32 // of the first packet
	count            int32
	guess            bool // that one arrived, and when
}

// measure is a rate once reckoned.
type measure struct {
	news int
	rate Rate
	ok   bool
}

func (a *acked) add(r *Result) {
	if a.ring == nil {
		a.ring = make([]slot, ackedRing)
	}
	a.put(r.Sent, r.At, int32(r.Size), false)
}

// assume takes a packet of which nothing is known, as feedback was lost, to have
// arrived with this share of its bytes. Left out, it would look like a pause.
func (a *acked) assume(r *Result, share float64) {
	if a.n > 0 {
		a.put(r.Sent, a.ring[uint(a.n-1)%ackedRing].newest, int32(share*float64(r.Size)), true)
	}
}

func (a *acked) put(sent clock.Time, at time.Duration, size int32, guess bool) {
	a.news++
	if a.n > 0 {
		s := &a.ring[uint(a.n-1)%ackedRing]
		if d := at - s.oldest; d < ackedSlot && d > -ackedSlot && s.newest-at < ackedSlot && s.guess == guess {
			s.earliest, s.latest = min(s.earliest, sent), max(s.latest, sent)
			s.oldest, s.newest = min(s.oldest, at), max(s.newest, at)
			s.bytes += size
			s.count++
			return
		}
	}
	a.ring[uint(a.n)%ackedRing] = slot{sent, sent, at, at, size, size, 1, guess}
	a.n++
}

// rate returns the rate over the last span, one of ackedSpan and ackedFast, false
// when too little is known; over ackedFast a guess is too much.
func (a *acked) rate(span time.Duration) (Rate, bool) {
	m := &a.known[0]
	if span == ackedFast {
		m = &a.known[1]
	}
	if m.news != a.news { // it is asked for several times a feedback
		m.news = a.news
		m.rate, m.ok = a.reckon(span)
	}
	return m.rate, m.ok
}

func (a *acked) reckon(span time.Duration) (Rate, bool) {
	if a.n == 0 {
		return 0, false
	}
	last := &a.ring[uint(a.n-1)%ackedRing]
	w := slot{earliest: last.earliest, latest: last.latest, oldest: last.newest, newest: last.newest}
	for i := a.n - 1; i >= 0 && i > a.n-ackedRing; i-- {
		s := &a.ring[uint(i)%ackedRing]
		if s.guess && span == ackedFast {
			return 0, false
		}
		if w.newest-s.newest > ackedOld {
			break
		}
		w.newest, w.latest = max(w.newest, s.newest), max(w.latest, s.latest)
		w.oldest, w.earliest = min(w.oldest, s.oldest), min(w.earliest, s.earliest)
		w.bytes += s.bytes
		w.head = s.head // the first packet only starts the clock
		if w.count += s.count; w.count >= ackedMin && w.newest-w.oldest >= span {
			break
		}
	}
	took := max(w.newest-w.oldest, w.latest.Sub(w.earliest))
	if w.count < ackedMin || took < span/2 {
		return 0, false
	}
	return per(int(w.bytes-w.head), took), true
}
