package stream

import "parley/internal/base/clock"

// Choose leaves a picture out, or takes it in again, because the conference shows
// others; what passes meanwhile is left out, not lost.
func (p *Projection) Choose(now clock.Time, left bool) {
	p.left = left
	p.wanted(now, p.resting, p.halted)
}

// Left reports whether others are chosen.
func (p *Projection) Left() bool { return p.left }

// Wished reports whether its receiver would take it, were it chosen.
func (p *Projection) Wished() bool { return !p.resting && !p.halted && !p.Dead }

// Starved reports whether there is no room for it.
func (p *Projection) Starved() bool { return p.aimed && p.aim == Nothing }

// hush reports whether a source is not to be heard now. It ends the run of
// numbers, so that the receiver misses nothing.
func (p *Projection) hush(s *Source) bool {
	if s.Quiet && p.layer >= 0 && p.shows(s) {
		p.stop()
	}
	return s.Quiet
}
