package videomix

import "time"

// step is how much less is made: of each so many ticks one picture, in a size
// divided by so much.
type step struct{ every, div int }

// steps from all to the least that still is video. Frame rate goes first, since
// text on a small picture cannot be read; the last keeps a face recognisable.
var steps = []step{{1, 1}, {2, 1}, {3, 1}, {3, 2}, {4, 2}}

// pace lowers the work when a composer cannot do it in time and raises it when
// there is room again. Audio has priority by the scheduler (processes are nice);
// this keeps video from falling behind. Pure.
type pace struct {
	level   int
	calm    int  // seconds in a row with room for the next better step
	patient int  // calm seconds wanted, doubled when going up was a mistake
	since   int  // seconds at this level
	rose    bool // and whether it was reached from below
	spent   bool // two steps were given up, and not all was taken back
	off     bool // tests that look at pixels on slow machines
}

// second takes one second of a composer: how much of it the ticks took, and how
// many ticks were left out of how many. It reports whether the level changed.
func (p *pace) second(busy time.Duration, late, ticks int) bool {
	if p.off {
		return false
	}
	p.since++
	if p.patient == 0 {
		p.patient = 5
	}
	all := late + ticks
	switch {
	case all > 0 && late*10 > all || busy > 900*time.Millisecond:
		p.calm = 0
		if p.level == len(steps)-1 {
			return false
		}
		if p.rose && p.since <= 5 { // going up was a mistake
			p.patient = min(2*p.patient, 60)
		}
		p.level, p.since, p.rose = p.level+1, 0, false
		return true
	case p.level > 0 && p.better(busy) < 700*time.Millisecond && late == 0:
		if p.calm++; p.calm >= p.patient {
			p.level, p.calm, p.since, p.rose = p.level-1, 0, 0, true
			return true
		}
	default:
		p.calm = 0
	}
	return false
}

// better is what a second would take one level up.
func (p *pace) better(busy time.Duration) time.Duration {
	a, b := steps[p.level], steps[p.level-1]
	return busy * time.Duration(a.every*a.div*a.div) / time.Duration(b.every*b.div*b.div)
}

// full tells that a third of the pictures is all there is time for: new outputs
// are refused until nothing is given up any more.
func (p *pace) full() bool {
	switch {
	case p.level >= 2:
		p.spent = true
	case p.level == 0:
		p.spent = false
	}
	return p.spent
}
