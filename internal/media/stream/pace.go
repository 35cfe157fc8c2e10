package stream

import (
	"parley/internal/base/clock"
	"parley/internal/media/bwe"
	"parley/internal/media/graph"
)

// Tick does what time makes due on the leg, sends what waited for room, and
// returns the next instant it wants (zero: none).
func (e *Egress) Tick(now clock.Time, out *graph.Batch) clock.Time {
	c := e.cong
	if c == nil {
		return 0
	}
	c.repairs.bits(now)
	if !c.told {
		c.cc.SetWanted(bwe.Rate(max(1, e.wish())))
	}
	next := c.cc.Tick(now)
	c.pace.SetRate(c.cc.Target())
	next = (next + wishGrid - 1) / wishGrid * wishGrid
	if c.lastSent.IsZero() || now.Sub(c.lastSent) > idleAfter {
		c.ticking = false
		return 0
	}
	return next
}

// admit asks whether a media packet may leave now; if not it is sent later,
// from the history, by [Egress.Tick].
func (e *Egress) admit(clock.Time, *Projection, *graph.Packet, *segment) bool { return true }
