package control

import (
	"parley/internal/base/clock"
	"parley/internal/base/fault"
)

// bans is who must not come (back) in, by user entity. It is asked when a join
// commits, so that one already on its way is refused too.
type bans struct {
	until map[string]clock.Time // zero: for good
}

func (b *bans) load(users []string) {
	b.until = make(map[string]clock.Time, len(users))
	for _, u := range users {
		b.until[u] = 0
	}
}

// add reports whether that made a difference. A ban for good is not shortened.
func (b *bans) add(user string, until clock.Time) bool {
	old, banned := b.until[user]
	if banned && (old == 0 || old == until) {
		return false
	}
	b.until[user] = until
	return true
}

func (b *bans) lift(user string) bool {
	_, banned := b.until[user]
	delete(b.until, user)
	return banned
}

// check refuses a banned person; one who may come back later is told when.
func (b *bans) check(now clock.Time, user string) error {
	until, banned := b.until[user]
	switch {
	case !banned:
		return nil
	case until == 0:
		return fault.New(403, "banned", "you were removed from this conference")
	case until <= now:
		delete(b.until, user)
		return nil
	}
	e := fault.New(403, "banned", "you were removed from this conference for a while")
	e.RetryAfter = until.Sub(now)
	return e
}

// Banned reports whether a person must not come in.
func (m *Machine) Banned(now clock.Time, user string) bool { return m.bans.check(now, user) != nil }
