package alloc

import (
	"time"

	"parley/internal/base/clock"
)

// Class orders what a receiver is sent; the first is served first.
type Class uint8

// Classes.
const (
	Audio Class = iota
	Screen
	Speaker // who speaks or is pinned
	Rest
)

// Nothing is the choice of a demand that gets no rung.
const Nothing = -1

const (
	// patience is how long a picture may be shown that there is no room for any
	// more: an estimate that dips for a moment must not make it disappear. Longer
	// fills the path's queue.
	patience = time.Second
	// settled is how long nothing must have been lowered before it is raised:
	// estimates fall in steps, and the first is not the last.
	settled = 1500 * time.Millisecond
	// A rise that had to be taken back within relapse was a mistake. The next try
	// waits for again, then three times as long each time, up to longest (SFM-8),
	// unless the budget is a quarter more than the one that misled (Q1: up within 10 s).
	relapse = 10 * time.Second
	again   = 4 * time.Second
	longest = 40 * time.Second
	// calm is how long a budget must not have grown before what is missing in a
	// more important class is lent to a lesser one: on a rise it would be taken back
	// in a moment, and each step up costs a key frame.
	calm = 3 * time.Second
)

// Demand is one subscription. The caller fills in the first part anew when it
// changes; the rest is memory from one split to the next.
type Demand struct {
	Class         Class
	Priority      int    // within the class, higher first
	Width, Height int    // wanted size; 0: any
	Cap           uint64 // bit/s at most, 0: none; the lowest rung is above it
	Keep          bool   // the lowest rung is given whatever the budget
	Ladder        []Rung // cheapest first, weighed; may be shared, is not changed

	given   int // index in Ladder now
	top     int // highest useful one, Nothing if there is none
	was     int // index of what was given before, in the present ladder
	level   int32
	rate    uint64 // of what was given
	has     bool   // something was given
	short   clock.Time
	rose    clock.Time // last rise, 0: it was none
	at      uint64     // the budget then
	as      Class      // and the class
	lowered clock.Time
	hold    time.Duration
	failed  uint64 // the budget of a rise that was taken back
	peak    uint64 // the most lately
	grew    clock.Time
}

// Given returns what the last split gave: an index in Ladder, or Nothing.
func (d *Demand) Given() int { return d.given }

// Wanted returns the rung that the last split would have given with room for
// everything, or Nothing.
func (d *Demand) Wanted() int { return d.top }

// begin finds what is useful now, and in the present ladder what was given.
func (d *Demand) begin() {
	d.top, d.given = d.useful(), Nothing
	d.was = Nothing
	if !d.has {
		return
	}
	for i := range d.Ladder {
		switch r := &d.Ladder[i]; {
		case r.Level == d.level:
			d.was = i
			return
		case r.Rate <= d.rate || i == 0: // that one is gone: what costs no more
			d.was = i
		}
	}
}

// useful is the best rung that does not go beyond the wanted size.
func (d *Demand) useful() int {
	best := Nothing
	var enough *Rung
	for i := range d.Ladder {
		r := &d.Ladder[i]
		if best != Nothing && d.Cap != 0 && r.Rate > d.Cap {
			break
		}
		if enough != nil && !(r.Width == enough.Width && r.Height == enough.Height) {
			continue // larger than what suffices; a smoother one of the same size may follow
		}
		if enough == nil && r.enough(d.Width, d.Height) {
			enough = r
		}
		if best == Nothing || r.worth >= d.Ladder[best].worth || r == enough {
			best = i
		}
	}
	return best
}

// mayRise reports whether going up is no risk of coming down at once.
func (d *Demand) mayRise(now clock.Time, budget uint64) bool {
	if d.lowered == 0 {
		return true
	}
	since, hold := now.Sub(d.lowered), d.hold
	if !d.has { // nothing at all is worse than what comes and goes
		hold = min(hold, again)
	}
	return since >= hold || (since >= settled && d.failed != 0 && budget/5 >= d.failed/4)
}

// next is the cheapest rung that shows more than rung i, and what it adds for
// a bit; Nothing if there is none up to the useful one.
func (d *Demand) next(i int) (int, float64) {
	for k := i + 1; k <= d.top; k++ {
		a, b := d.worth(i), d.worth(k)
		if b <= a {
			continue
		}
		if d.Ladder[k].Rate <= d.Ladder[i].Rate {
			return k, b * 1e9
		}
		return k, (b - a) / float64(d.Ladder[k].Rate-d.Ladder[i].Rate)
	}
	return Nothing, 0
}

// stay is how much more a rung is worth that is reached without a key frame: where
// the path is narrow that costs what the next second has, and a picture that stands.
const stay = 1.25

func (d *Demand) part(i int) int16 { return d.Ladder[i].Part }

// worth is what rung i is to who is shown what was given last.
func (d *Demand) worth(i int) float64 {
	if d.was != Nothing && d.part(i) == d.part(d.was) {
		return stay * d.Ladder[i].worth
	}
	return d.Ladder[i].worth
}

// follow notes when the budget grew.
func (d *Demand) follow(now clock.Time, budget uint64) {
	switch {
	case d.peak == 0: // nobody knows whether it grows
		d.peak = budget
	case budget > d.peak+d.peak/20:
		d.peak, d.grew = budget, now
	case budget < d.peak-d.peak/10:
		d.peak = budget
	}
}

// commit remembers what was given.
func (d *Demand) commit(now clock.Time, budget uint64) {
	switch {
	case d.given > d.was:
		d.rose, d.at, d.as = now, budget, d.Class
	case d.given < min(d.was, d.top): // not by the receiver's own wish
		d.lower(now, budget)
	}
	if d.has = d.given != Nothing; d.has {
		d.level, d.rate = d.Ladder[d.given].Level, d.Ladder[d.given].Rate
	}
}

// lower notes a step down, and whether it shows that the last rise was a
// mistake: the budget was not what it seemed, and nobody else took it.
func (d *Demand) lower(now clock.Time, budget uint64) {
	first := d.lowered == 0
	d.lowered = now
	d.hold = max(d.hold, settled)
	if d.rose == 0 {
		return // another step of the same fall
	}
	switch up := now.Sub(d.rose); {
	case up < relapse && !first && budget < d.at && d.Class <= d.as:
		d.hold, d.failed = min(max(3*d.hold, again), longest), d.at
	case up >= longest:
		d.hold, d.failed = settled, 0
	}
	d.rose = 0
}
