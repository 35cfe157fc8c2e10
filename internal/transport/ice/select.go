package ice

import "parley/internal/base/clock"

// Selected returns the path to send on: the one the client nominated, or
// before any nomination the newest that passed a check (RFC 8445, section
// 12.1.1 allows any valid pair). There is none after consent has expired.
func (a *Agent) Selected() (Path, bool) {
	if a.selected < 0 || a.closed {
		return Path{}, false
	}
	return a.paths[a.selected].Path, true
}

// Validated reports whether a path passed an authenticated check, so that
// DTLS from it may be looked at (rule A1).
func (a *Agent) Validated(p Path) bool {
	return !a.closed && a.find(p.Normalize()) >= 0
}

// Paths returns how many paths are validated.
func (a *Agent) Paths() int { return len(a.paths) }

// Forget drops a path, for one whose address another link holds or whose TCP
// connection is gone.
func (a *Agent) Forget(p Path) (ev Event) {
	if i := a.find(p.Normalize()); i >= 0 {
		was := a.selected == i
		a.remove(i)
		if was {
			a.selected = a.fallback()
			ev = Event{Flags: Selected, Path: p}
		}
	}
	return ev
}

// Traffic says that a packet that opened under the link's SRTP keys came on p.
// It is a sign of life as good as a check: fresh, authenticated, not a replay
// (some clients keep a path up with unauthenticated indications only). Call it
// for a batch from a path that is not the selected one, and for the selected
// one about once a second. A client sends on the pair it selected, so lasting
// traffic on another path that it nominated, or that it moved to, is followed.
func (a *Agent) Traffic(now clock.Time, p Path) (ev Event) {
	p = p.Normalize()
	i := a.find(p)
	if i < 0 || a.closed {
		return Event{}
	}
	ev = Event{Flags: a.hear(now), Path: p}
	switch {
	case i == a.selected:
		a.rival = Path{}
	case a.rival != p:
		a.rival, a.rivalSince = p, now
	case now.Sub(a.rivalSince) >= a.cfg.Follow && (a.paths[i].nominated != 0 || a.moved(i)) && a.paths[i].gen >= a.selectedGen():
		ev.Flags |= a.becomeSelected(i)
	}
	return ev
}

func (a *Agent) selectedGen() uint32 {
	if a.selected < 0 {
		return 0
	}
	return a.paths[a.selected].gen
}

// prefers decides whether the path just checked replaces the selected one.
//
// Clients differ: libwebrtc nominates to a lite server only the pair it uses,
// so the latest nomination is right even if its priority is lower; others
// nominate every pair they check, and then the highest priority is right (RFC
// 8445, section 8.1.1). The order of the cases tells these apart.
func (a *Agent) prefers(now clock.Time, i int, m *message) bool {
	renominating := m.hasNomination && a.nomination != 0
	renominated := a.renominated(m)
	if i == a.selected {
		return false
	}
	if a.selected < 0 {
		return true
	}
	p, s := &a.paths[i], &a.paths[a.selected]
	if !m.useCandidate {
		return s.nominated == 0 && p.made > s.made || p.made < now && a.moved(i)
	}
	if p.gen != s.gen {
		return p.gen > s.gen
	}
	switch {
	case renominating:
		return renominated
	case s.nominated < s.seen: // never nominated, or checked since without
		return true
	case now.Sub(s.seen) >= a.cfg.Stale:
		return true
	case p.priority == s.priority: // the same candidate behind a new mapping
		return p.made > s.made
	}
	return p.priority > s.priority
}

// moved reports whether a path looks like the selected one behind a new mapping:
// the same candidate, first checked after the last check on the old one. Clients
// that nominate once (pion) do not know that their address changed and will not
// nominate again; one check alone may have been on its way for long.
func (a *Agent) moved(i int) bool {
	if a.selected < 0 || i == a.selected {
		return false
	}
	p, s := &a.paths[i], &a.paths[a.selected]
	return p.gen == s.gen && p.priority == s.priority && p.made > s.seen
}

// renominated notes a renomination and reports whether it is the newest.
func (a *Agent) renominated(m *message) bool {
	if !m.hasNomination || m.nomination <= a.nomination {
		return false
	}
	a.nomination = m.nomination
	return true
}

func (a *Agent) becomeSelected(i int) Flags {
	a.selected = i
	a.rival = Path{}
	return Selected
}

func (a *Agent) find(p Path) int {
	for i := range a.paths {
		if a.paths[i].Path == p {
			return i
		}
	}
	return -1
}

// add makes room for a path: the one longest without a check goes, but never
// the selected one.
func (a *Agent) add(now clock.Time, p Path) int {
	if len(a.paths) >= a.cfg.MaxPaths {
		victim := -1
		for i := range a.paths {
			if i != a.selected && (victim < 0 || a.paths[i].seen < a.paths[victim].seen) {
				victim = i
			}
		}
		if victim >= 0 {
			a.remove(victim)
		}
	}
	a.paths = append(a.paths, path{Path: p, made: now})
	return len(a.paths) - 1
}

func (a *Agent) remove(i int) {
	last := len(a.paths) - 1
	a.paths[i] = a.paths[last]
	a.paths = a.paths[:last]
	switch a.selected {
	case i:
		a.selected = -1
	case last:
		a.selected = i
	}
}

// fallback picks the best path left: nominated before not, then latest check.
func (a *Agent) fallback() int {
	best := -1
	for i := range a.paths {
		if best < 0 || better(&a.paths[i], &a.paths[best]) {
			best = i
		}
	}
	return best
}

func better(p, q *path) bool {
	if (p.nominated != 0) != (q.nominated != 0) {
		return p.nominated != 0
	}
	return p.seen > q.seen
}

// prune drops paths other than the selected one that had no check for a
// consent time: a stranger may be behind that address now.
func (a *Agent) prune(now clock.Time) {
	for i := len(a.paths) - 1; i >= 0; i-- {
		if i != a.selected && now.Sub(a.paths[i].seen) >= a.cfg.Expire {
			a.remove(i)
		}
	}
}
