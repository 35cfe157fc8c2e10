package engine

import (
	"cmp"
	"slices"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/stream"
)

// Whose cameras a receiver is sent, where it is not to have all: those it has
// pinned, then those of who spoke last. Who has not spoken comes in the order of
// subscribing, so that the picture keeps still while nobody talks.

// candidate is a subscription that competes.
type candidate struct {
	s    *subscription
	rank int
}

// maxFloor bounds the order of speaking: nobody is sent as many cameras.
const maxFloor = 64

// took notes who speaks now.
func (c *conference) took(who ids.Connection) {
	if who == "" || (len(c.floor) > 0 && c.floor[0] == who) {
		return
	}
	c.poll++
	if i := slices.Index(c.floor, who); i >= 0 {
		c.floor = slices.Delete(c.floor, i, i+1)
	}
	c.floor = slices.Insert(c.floor, 0, who)
	c.floor = c.floor[:min(len(c.floor), maxFloor)]
}

// forgets drops a connection that is gone from the order of speaking.
func (c *conference) forgets(who ids.Connection) {
	c.poll++
	if !slices.ContainsFunc(c.tracks, func(t *track) bool { return t.cfg.Track.Conn == who }) {
		c.floor = slices.DeleteFunc(c.floor, func(x ids.Connection) bool { return x == who })
	}
}

// rank is the place of a track in the order of speaking; who has not spoken comes
// last, in the order of the leg's subscriptions.
func (c *conference) rank(t *track) int {
	if i := slices.Index(c.floor, t.cfg.Track.Conn); i >= 0 {
		return i
	}
	return len(c.floor)
}

// competes reports whether a subscription is one of those of which only some are sent.
func (s *subscription) competes(src *stream.Source) bool {
	p := s.proj
	return src != nil && src.Video() && src.Track.Source != "screen" && !src.Track.Mixed && !p.Slot && !p.Passing
}

// elect chooses whose cameras a leg is sent. A camera that is off has no place;
// whether it was chosen stays, so that it does not flash up when it opens.
func (e *Engine) elect(now clock.Time, l *leg) {
	n := l.media.LastN
	if (n == 0 && !l.elected) || l.poll == l.conf.poll {
		return
	}
	l.elected, l.poll = n > 0, l.conf.poll
	list := e.candidates[:0]
	for _, s := range l.subs {
		t := e.showing(s)
		switch {
		case t == nil || !s.competes(t.src) || n == 0:
			s.proj.Choose(now, false)
		case !t.muted && s.proj.Wished():
			list = append(list, candidate{s, l.conf.rank(t)})
		}
	}
	slices.SortStableFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(max(0, b.s.cfg.Sub.Priority), max(0, a.s.cfg.Sub.Priority)), cmp.Compare(a.rank, b.rank))
	})
	for i := range list {
		s := list[i].s
		s.proj.Choose(now, i >= n && s.cfg.Sub.Priority <= 0)
	}
	clear(list)
	e.candidates = list
}

// enters keeps a new picture back until it is chosen, when there are enough.
func (e *Engine) enters(now clock.Time, s *subscription, src *stream.Source) {
	n := s.leg.media.LastN
	if n == 0 || s.proj.Source() != nil || !s.competes(src) || s.cfg.Sub.Priority > 0 {
		return
	}
	for _, o := range s.leg.subs {
		if t := e.showing(o); o != s && t != nil && o.competes(t.src) && !t.muted && o.proj.Awake() {
			n--
		}
	}
	s.proj.Choose(now, n <= 0)
}

// tellWithheld tells which pictures a leg is not sent, when that has changed.
func (e *Engine) tellWithheld(l *leg, out *Out) {
	list := e.withheld[:0]
	for _, s := range l.subs {
		t := e.showing(s)
		if t == nil || !t.src.Video() || t.muted || s.proj.Slot || s.proj.Passing || !s.proj.Wished() {
			continue
		}
		switch {
		case s.proj.Left():
			list = append(list, plane.Withheld{Track: t.cfg.Track.Track, Why: plane.WhyLastN})
		case s.proj.Starved():
			list = append(list, plane.Withheld{Track: t.cfg.Track.Track, Why: plane.WhyBandwidth})
		}
	}
	e.withheld = list
	if slices.Equal(list, l.withheld) {
		return
	}
	l.withheld = slices.Clone(list)
	out.Events = append(out.Events, plane.Event{Conf: l.conf.id, Kind: plane.TracksWithheld, Conn: l.cfg.Conn, Withheld: slices.Clone(list)})
}
