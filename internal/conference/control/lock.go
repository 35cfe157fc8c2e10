package control

import "parley/api"

// lock closes the roster: joins that commit from now on are refused, leaving
// and removal go on.
func lock(m *Machine, t *turn, p api.LockParams) (any, error) {
	return setLocked(m, t, true, p.AllowReturning)
}

func unlock(m *Machine, t *turn, _ api.LockParams) (any, error) {
	return setLocked(m, t, false, false)
}

func setLocked(m *Machine, t *turn, locked, returning bool) (any, error) {
	c := m.conf
	if c.Locked == locked && c.Returning == returning {
		return already(), nil
	}
	if err := t.fresh(c.Rev); err != nil {
		return nil, err
	}
	c.Locked, c.Returning = locked, returning
	t.event("conference.locked", map[string]any{"locked": locked, "allowReturning": returning})
	return done(), nil
}
