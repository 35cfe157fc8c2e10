package stream

import (
	"time"

	"parley/internal/base/clock"
)

// Estimate bounds in bit/s.
const (
	rembStart = 1_000_000
	rembFloor = 100_000
	// RembCap is where growth ends: a browser's camera asks for less.
	RembCap = 10_000_000
)

// Estimator is a deliberately simple receive-side estimate for senders that
// only know REMB: grow while little is lost, shrink when much is, never below
// what demonstrably arrives.
type Estimator struct {
	rate      float64
	bytes     uint64
	since     clock.Time
	exp, got  uint64
	goodput   float64
	announced clock.Time
}

// Add counts received bytes.
func (e *Estimator) Add(now clock.Time, n int) {
	if e.since == 0 {
		e.since, e.rate = now, rembStart
	}
	e.bytes += uint64(n)
}

// Due returns when Update wants to run, zero before the first packet.
func (e *Estimator) Due() clock.Time {
	if e.since == 0 {
		return 0
	}
	return max(e.announced, e.since).Add(time.Second)
}

// Rate returns the estimate, 0 before the first packet.
func (e *Estimator) Rate() uint64 { return uint64(e.rate) }

// Update takes the packets expected and got so far and returns the new estimate.
func (e *Estimator) Update(now clock.Time, expected, got uint64) uint64 {
	if e.since == 0 {
		return 0
	}
	dt := now.Sub(max(e.since, e.announced)).Seconds()
	e.announced = now
	if dt <= 0 {
		return uint64(e.rate)
	}
	e.goodput = float64(e.bytes) * 8 / dt
	e.bytes = 0
	de, dg := expected-e.exp, got-e.got
	e.exp, e.got = expected, got
	loss := 0.0
	if de > 0 && de < 1<<40 && dg < de {
		loss = float64(de-dg) / float64(de)
	}
	switch {
	case loss > 0.10:
		e.rate *= 1 - loss/2
	case loss < 0.05:
		e.rate *= 1 + 0.08*min(dt, 5)
	}
	e.rate = min(max(e.rate, e.goodput, rembFloor), RembCap)
	return uint64(e.rate)
}
