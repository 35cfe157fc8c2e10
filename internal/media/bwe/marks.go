package bwe

import (
	"time"

	"parley/internal/base/clock"
)

const (
	// markGain is how fast the share of marked packets is followed, a round trip
	// each (RFC 8257, section 3.3: g).
	markGain = 1.0 / 16
	// markRound is the shortest round: feedback does not come more often.
	markRound = 50 * time.Millisecond
)

// marks follows congestion marks (RFC 3168). Where packets arrive with ECT(1), the
// path may mark each by how full it is (RFC 9331), and the answer is in proportion
// to the share that is marked, once a round trip: half of it is taken off, as
// RFC 8257 does. Else a mark says what a loss would have said.
type marks struct {
	scalable     bool
	seen, marked int // in this round
	from         clock.Time
	known        bool
	share        float64 // of marked packets, smoothed
}

// add takes a packet that arrived.
func (m *marks) add(r *Result) {
	switch {
	case r.CE:
		m.marked++
	case r.ECT1:
		m.scalable = true
	case r.ECT0:
		m.scalable = false
	}
	m.seen++
}

// round returns what remains of the rate after a round in which a scalable path
// marked, 1 else; and whether there were marks that mean what a loss means.
func (m *marks) round(now clock.Time, rtt time.Duration) (keep float64, classic bool) {
	if !m.scalable {
		classic = m.marked > 0
		m.seen, m.marked, m.from = 0, 0, now
		return 1, classic
	}
	if m.seen == 0 || now.Sub(m.from) < max(rtt, markRound) {
		return 1, false
	}
	m.from = now
	share := float64(m.marked) / float64(m.seen)
	if m.marked > 0 && !m.known { // the first marks count in full
		m.known, m.share = true, share
	}
	m.share += markGain * (share - m.share)
	keep = 1
	if m.marked > 0 {
		keep = 1 - m.share/2
	}
	m.seen, m.marked = 0, 0
	return keep, false
}

// ease answers marks in proportion.
func (a *aimd) ease(now clock.Time, keep float64) {
	a.cutAt = now
	a.cuts++
	a.growing = false
	a.set(Rate(keep * float64(a.rate)))
}
