package bwe

import (
	"time"

	"parley/internal/base/clock"
)

const (
	ackedRing = 512 // at 10 Mbit/s it is half a second of full packets
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
	ring []heard // made at the first packet, a leg without feedback needs none
	n    int     // packets ever

	known [2]measure // of ackedSpan and ackedFast, as of n
}

// measure is a rate once reckoned.
type measure struct {
	n    int
	rate Rate
	ok   bool
}

// heard is a packet that arrived.
type heard struct {
	sent  clock.Time
	at    time.Duration
	size  int32
	guess bool // that it arrived, and when
}

func (a *acked) add(r *Result) {
	if a.ring == nil {
		a.ring = make([]heard, ackedRing)
	}
	a.ring[a.n%ackedRing] = heard{r.Sent, r.At, int32(r.Size), false}
	a.n++
}

// assume takes a packet of which nothing is known, as feedback was lost, to have
// arrived with this share of its bytes. Left out, it would look like a pause.
func (a *acked) assume(r *Result, share float64) {
	if a.n == 0 {
		return
	}
	last := a.ring[(a.n-1)%ackedRing].at
	a.ring[a.n%ackedRing] = heard{r.Sent, last, int32(share * float64(r.Size)), true}
	a.n++
}

// rate returns the rate over the last span, one of ackedSpan and ackedFast, false
// when too little is known; over ackedFast a guess is too much.
func (a *acked) rate(span time.Duration) (Rate, bool) {
	m := &a.known[0]
	if span == ackedFast {
		m = &a.known[1]
	}
	if m.n != a.n { // it is asked for several times a feedback
		m.n = a.n
		m.rate, m.ok = a.reckon(span)
	}
	return m.rate, m.ok
}

func (a *acked) reckon(span time.Duration) (Rate, bool) {
	if a.n < ackedMin {
		return 0, false
	}
	last := &a.ring[(a.n-1)%ackedRing]
	newest, latest := last.at, last.sent
	oldest, earliest, bytes, count := newest, latest, 0, 0
	var first int // the first packet only starts the clock
	for i := a.n - 1; i >= 0 && i > a.n-ackedRing; i-- {
		e := &a.ring[uint(i)%ackedRing]
		if e.guess && span == ackedFast {
			return 0, false
		}
		if newest-e.at > ackedOld {
			break
		}
		newest, latest = max(newest, e.at), max(latest, e.sent)
		oldest, earliest = min(oldest, e.at), min(earliest, e.sent)
		bytes += int(e.size)
		first = int(e.size)
		if count++; count >= ackedMin && newest-oldest >= span {
			break
		}
	}
	took := max(newest-oldest, latest.Sub(earliest))
	if count < ackedMin || took < span/2 {
		return 0, false
	}
	return per(bytes-first, took), true
}
