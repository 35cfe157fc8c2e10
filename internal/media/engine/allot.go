package engine

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/alloc"
	"parley/internal/media/plane"
	"parley/internal/media/stream"
)

// allotment is when a leg's budget is split anew.
type allotment struct {
	changed bool   // what it is sent, or how large it wants it
	budget  uint64 // of the last split
	used    uint64 // by it
	wanted  uint64 // with room for all
}

// splits is the scratch of splitting, one for all legs.
type splits struct {
	split   alloc.Splitter
	demands []*alloc.Demand
	subs    []*subscription // whose demands they are
}

// mixedLook is the room that is looked for, in bit/s, on a leg that is sent a mix.
// Who is sent one because its path was thin gets all again when there is more.
const mixedLook = 600_000

// review is how often budgets are looked at without a cause: rates drift, and
// what was held back may rise.
const review = 250 * time.Millisecond

// reviewConf splits the budgets of all legs of a conference, and looks what is
// wanted of its tracks. It returns when it wants to do so without packets.
func (e *Engine) reviewConf(now clock.Time, c *conference, out *Out) clock.Time {
	if again := c.looked.Add(review / 2); c.looked != 0 && now < again {
		if c.lookAt != 0 { // what is due before that waits, and does not keep us turning
			return max(c.lookAt, again)
		}
		return 0
	}
	c.looked, c.talks = now, c.talking()
	c.took(c.talks)
	for _, l := range c.members {
		if l.egress.Ready {
			e.elect(now, l)
			e.allot(now, l, out)
			e.tellWithheld(l, out)
		}
	}
	c.lookAt = e.reviewWants(now, c, out)
	return c.lookAt
}

// talking is the connection of who speaks, "" when nobody has yet.
func (c *conference) talking() ids.Connection {
	name := c.det.Dominant()
	if name == "" {
		return ""
	}
	for _, t := range c.tracks {
		if t.cfg.Track.Track == name {
			return t.cfg.Track.Conn
		}
	}
	return ""
}

// unsettled notes that a leg is sent other things, or wants them otherwise.
func (e *Engine) unsettled(now clock.Time, l *leg) {
	l.allot.changed, l.poll = true, 0
	e.wake(l, now)
}

// budget is what a leg's subscriptions may use.
func (l *leg) budget() uint64 {
	if rate, known := l.egress.Budget(); known {
		return rate
	}
	return alloc.Unlimited
}

// reallot splits a leg's budget if there is cause: it does not suffice any more,
// has moved by more than a twentieth, or the subscriptions changed.
func (e *Engine) reallot(now clock.Time, l *leg, out *Out) {
	if !l.egress.Ready {
		return
	}
	a, b := &l.allot, l.budget()
	if a.changed || b < a.used || b < a.budget-a.budget/20 || b/21 > a.budget/20 {
		e.allot(now, l, out)
	}
}

// allot splits a leg's budget over its subscriptions. A source that carries
// nothing now keeps the aim it has.
func (e *Engine) allot(now clock.Time, l *leg, out *Out) {
	w := &e.splits
	w.demands, w.subs = w.demands[:0], w.subs[:0]
	look := uint64(0)
	for _, s := range l.subs {
		p := s.proj
		t := e.showing(s)
		if t == nil || p.Passing || !p.Awake() {
			continue
		}
		e.hungry(t, t.wantedBy(s), out)
		d := &s.demand
		d.Class, d.Priority, d.Width, d.Height = classOf(l, t, &s.cfg.Sub), s.cfg.Sub.Priority, p.Width, s.cfg.Sub.Height
		d.Cap, d.Keep, d.Ladder = p.Limit, t.cfg.Track.Mixed, t.rungs(now)
		if d.Keep {
			look = mixedLook
		}
		w.demands, w.subs = append(w.demands, d), append(w.subs, s)
	}
	b := l.budget()
	used, wanted := w.split.Split(now, b, w.demands)
	l.allot = allotment{budget: b, used: used, wanted: wanted}
	for i, d := range w.demands {
		if len(d.Ladder) == 0 || d.Class == alloc.Audio {
			continue
		}
		q := stream.Nothing
		if g := d.Given(); g != alloc.Nothing {
			q = qualityOf(d.Ladder[g].Level)
		}
		w.subs[i].proj.Aim(now, q)
	}
	// Rising asks for a margin, and a key frame swells what is measured: so much room
	// must be looked for, too. Who has all needs less: looking fills the path's queue.
	room := wanted / 2
	if used >= wanted {
		room = wanted / 4
	}
	l.egress.SetWanted(max(wanted+room, look))
	clear(w.subs)
	clear(w.demands)
}

// showing is the track of a subscription, nil if there is none now.
func (e *Engine) showing(s *subscription) *track {
	src := s.proj.Source()
	if src == nil {
		return nil
	}
	if t := e.track(src.ID); t != nil && t.src == src {
		return t
	}
	return nil
}

// classOf orders what a leg is sent. A receiver's own word counts as much as
// that somebody speaks.
func classOf(l *leg, t *track, s *plane.Subscription) alloc.Class {
	switch k := &t.cfg.Track; {
	case k.Kind == plane.Audio:
		return alloc.Audio
	case k.Source == "screen":
		return alloc.Screen
	case s.Priority > 0 || (l.conf.talks != "" && k.Conn == l.conf.talks):
		return alloc.Speaker
	}
	return alloc.Rest
}
