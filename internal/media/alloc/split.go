package alloc

import "parley/internal/base/clock"

// Unlimited is the budget of a path that nobody estimates.
const Unlimited = ^uint64(0)

// Splitter holds the scratch of splits; one serves any number of receivers.
type Splitter struct {
	order []*Demand
}

// Split decides what each demand of one receiver gets from a budget in bit/s. It returns what
// that costs, and what everything wanted would. The cost is above the budget
// only by audio, by demands that keep their lowest rung, and for a moment by
// lowest rungs that were given before.
func (s *Splitter) Split(now clock.Time, budget uint64, demands []*Demand) (used, wanted uint64) {
	calm := true
	for _, d := range demands {
		d.begin()
		d.follow(now, budget)
		if d.top == Nothing {
			continue
		}
		wanted += d.Ladder[d.top].Rate
		calm = calm && (d.top <= d.was || d.mayRise(now, budget))
	}
	if calm && withMargin(wanted) <= budget {
		for _, d := range demands {
			d.given, d.short = d.top, 0
			d.commit(now, budget)
		}
		return wanted, wanted
	}
	s.sort(demands)
	p := pass{now: now, budget: budget}
	for _, d := range s.order {
		p.sure(d)
	}
	for _, d := range s.order {
		p.lowest(d)
	}
	for i := 0; i < len(s.order); {
		k := i + 1
		for k < len(s.order) && !s.order[i].before(s.order[k]) {
			k++
		}
		p.raise(s.order[i:k])
		p.lacking(s.order[i:k])
		i = k
	}
	for _, d := range s.order {
		d.commit(now, budget)
	}
	clear(s.order)
	return p.used, wanted
}

// withMargin is what must be there for something that is to be raised.
func withMargin(rate uint64) uint64 { return rate + rate/20 }

// before reports whether d is served before e, whatever the gain.
func (d *Demand) before(e *Demand) bool {
	return d.Class < e.Class || (d.Class == e.Class && d.Priority > e.Priority)
}

// sort orders demands by class and priority, keeping the order of equals. They
// are nearly in order from one time to the next, and few: by insertion.
func (s *Splitter) sort(demands []*Demand) {
	s.order = s.order[:0]
	for _, d := range demands {
		i := len(s.order)
		s.order = append(s.order, d)
		for i > 0 && d.before(s.order[i-1]) {
			s.order[i] = s.order[i-1]
			i--
		}
		s.order[i] = d
	}
}

// pass is one split under way.
type pass struct {
	now          clock.Time
	budget, used uint64
	short        bool // a class before this one lacks something
}

// lacking notes whether a group could use more.
func (p *pass) lacking(group []*Demand) {
	for _, d := range group {
		p.short = p.short || d.given < d.top
	}
}

// sure gives what is given whatever the budget.
func (p *pass) sure(d *Demand) {
	if d.top != Nothing && (d.Class == Audio || d.Keep) {
		d.given, d.short = 0, 0
		p.used += d.Ladder[0].Rate
	}
}

// lowest gives a demand its first rung, if there is room.
func (p *pass) lowest(d *Demand) {
	if d.top == Nothing || d.given == 0 {
		return
	}
	cost := d.Ladder[0].Rate
	fits := p.fits(d, 0, cost)
	if d.was == Nothing && p.used+2*cost <= p.budget {
		fits = true // something is better than nothing, and there is room to err
	}
	if fits || d.was == Nothing {
		d.short = 0
	} else if d.short == 0 {
		d.short = p.now
	}
	if !fits && (d.was == Nothing || p.now.Sub(d.short) >= patience) {
		return
	}
	d.given = 0
	p.used += cost
}

// fits reports whether rung i can be had for that much more. However often a
// rise was a mistake, one to half of the budget is none, and one without a key frame
// costs little if it is.
func (p *pass) fits(d *Demand, i int, more uint64) bool {
	need := p.used + more
	if i <= d.was {
		return need <= p.budget
	}
	if p.short && i > 0 && d.grew != 0 && p.now.Sub(d.grew) < calm {
		return false
	}
	easy := 2*need <= p.budget || d.was != Nothing && d.part(i) == d.part(d.was)
	return withMargin(need) <= p.budget && (d.mayRise(p.now, p.budget) || easy && p.now.Sub(d.lowered) >= settled)
}

// raise goes up step by step among equals, where a bit gains most.
func (p *pass) raise(group []*Demand) {
	for {
		var best *Demand
		to, gain := Nothing, 0.0
		for _, d := range group {
			if d.given == Nothing || d.given >= d.top {
				continue
			}
			i, g := d.next(d.given)
			if i != Nothing && g > gain && p.fits(d, i, d.step(i)) {
				best, to, gain = d, i, g
			}
		}
		if best == nil {
			return
		}
		p.used += best.step(to) // may wrap below: a better rung that costs less
		best.given = to
	}
}

// step is what rung i costs beyond what is given, modulo 2^64.
func (d *Demand) step(i int) uint64 { return d.Ladder[i].Rate - d.Ladder[d.given].Rate }
