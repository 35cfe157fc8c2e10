package session

import (
	"time"

	"parley/internal/base/clock"
)

// bucket limits the frames of one session: rate per second, with a burst.
type bucket struct {
	tokens float64
	at     clock.Time
	since  clock.Time // first refusal of the present spell
	last   clock.Time // latest refusal
}

// calm ends a spell: so long without a refusal and the client is forgiven.
const calm = time.Second

// take reports whether one more frame is allowed, and for how long the client
// has been above its rate when it is not.
func (b *bucket) take(now clock.Time, rate, burst int) (ok bool, over time.Duration) {
	if b.at.IsZero() {
		b.tokens = float64(burst)
	} else {
		b.tokens = min(float64(burst), b.tokens+now.Sub(b.at).Seconds()*float64(rate))
	}
	b.at = now
	if b.tokens >= 1 {
		b.tokens--
		return true, 0
	}
	if b.last.IsZero() || now.Sub(b.last) > calm {
		b.since = now
	}
	b.last = now
	return false, now.Sub(b.since)
}
