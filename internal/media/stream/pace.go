package stream

import (
	"parley/internal/base/clock"
	"parley/internal/media/graph"
)

// Budget returns what the leg's path carries, in bit/s of UDP payload; false
// while nobody has told.
func (e *Egress) Budget() (rate uint64, known bool) { return e.REMB, e.REMB != 0 }

// SetWanted tells what the leg's subscriptions would use if they could, in
// bit/s; nothing is probed beyond it.
func (e *Egress) SetWanted(uint64) {}

// Tick does what time makes due on the leg, sends what waited for room, and
// returns the next instant it wants (zero: none).
func (e *Egress) Tick(clock.Time, *graph.Batch) clock.Time { return 0 }

// admit asks whether a media packet may leave now; if not it is sent later,
// from the history, by [Egress.Tick].
func (e *Egress) admit(clock.Time, *Projection, *graph.Packet, *segment) bool { return true }
