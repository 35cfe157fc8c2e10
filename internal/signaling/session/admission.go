package session

import (
	"math/rand/v2"
	"time"

	"parley/internal/base/clock"
)

// admission spreads newcomers in time. After a restart all clients of a node
// come back at once; those above the rate are told when their turn will come,
// each another time, so that a second attempt finds room (scenario R14).
// Sessions that are resumed pass: they cost little, and their media is up.
type admission struct {
	tokens float64
	at     clock.Time
	turn   clock.Time // when the last one sent away will have room
}

// maxTurn is the longest a client is told to wait; beyond that turns overlap.
const maxTurn = 30 * time.Second

// admit takes a newcomer, or says in how long to come again.
func (a *admission) admit(now clock.Time, rate, burst int) (ok bool, wait time.Duration) {
	if a.at.IsZero() {
		a.tokens = float64(burst)
	} else {
		a.tokens = min(float64(burst), a.tokens+now.Sub(a.at).Seconds()*float64(rate))
	}
	a.at = now
	if a.tokens >= 1 {
		a.tokens--
		return true, 0
	}
	step := 3 * time.Second / time.Duration(2*rate) // turns leave room for who comes for the first time
	a.turn = max(a.turn, now).Add(step)
	if a.turn.Sub(now) > maxTurn {
		a.turn = now.Add(maxTurn)
	}
	return false, a.turn.Sub(now) + jitter(time.Second)
}

// jitter is a random part of d.
func jitter(d time.Duration) time.Duration { return rand.N(d) }
