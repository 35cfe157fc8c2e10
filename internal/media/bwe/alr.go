package bwe

import (
	"time"

	"parley/internal/base/clock"
)

const (
	// An application that sends less than this share of its target for about
	// half a second is limited by itself, not by the path.
	alrShare = 0.65
	alrSpan  = 500 * time.Millisecond
	alrEnter = 0.8 // share of the unused budget
	alrLeave = 0.5
)

// alr finds phases limited by the application by a budget that fills with time
// and is used by packets.
type alr struct {
	budget  float64 // bytes, within ± alrShare of target in alrSpan
	at      clock.Time
	limited bool
	left    clock.Time // end of the last such phase
}

func (a *alr) sent(now clock.Time, size int, target Rate) {
	full := alrShare * float64(target.Of(alrSpan))
	if !a.at.IsZero() {
		a.budget += alrShare * float64(target) / 8 * now.Sub(a.at).Seconds()
	}
	a.at = now
	a.budget = max(-full, min(full, a.budget-float64(size)))
	switch {
	case a.budget > alrEnter*full:
		a.limited = true
	case a.limited && a.budget < alrLeave*full:
		a.limited, a.left = false, now
	}
}
