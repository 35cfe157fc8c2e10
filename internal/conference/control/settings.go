package control

import (
	"slices"

	"parley/api"
	"parley/internal/conference/policy"
)

// maxUnban bounds one command; the list of bans itself is as long as it gets.
const maxUnban = 100

// setPolicy puts a conference's own rules in force, at once and for those who
// are in it too, and has them remembered.
func setPolicy(m *Machine, t *turn, p api.SetPolicyParams) (any, error) {
	if !validText(p.Title, maxTitle) || len(p.Unban) > maxUnban {
		return nil, errBadParams("title or unban")
	}
	if p.Policy.Topology != "" && p.Policy.AllowDiscouraged == nil { // what was said of another one does not hold
		p.Policy.AllowDiscouraged = new(bool)
	}
	if e := p.Policy.E2EE; e != nil && *e != m.cfg.Policy.E2EE {
		return nil, errSealed()
	}
	next, err := m.cfg.Policy.With(p.Policy, m.house)
	if err != nil {
		return nil, err
	}
	if next.Topology != m.cfg.Policy.Topology {
		if err := m.topo.check(next.Topology, next.AllowDiscouraged, nil); err != nil {
			return nil, err
		}
	}
	title := p.Title != "" && p.Title != m.conf.Title
	lifts := slices.ContainsFunc(p.Unban, func(u string) bool { _, ok := m.bans.until[u]; return ok })
	if next == m.cfg.Policy && !title && !lifts {
		return already(), nil
	}
	if err := t.fresh(m.conf.Rev); err != nil {
		return nil, err
	}
	keep := Remember{Unban: p.Unban}
	if title {
		m.conf.Title, keep.Title = p.Title, &p.Title
	}
	for _, u := range p.Unban {
		m.bans.lift(u)
	}
	changed := next != m.cfg.Policy
	if changed {
		keep.Policy = &p.Policy
	}
	t.event("policy.changed", map[string]any{"title": m.conf.Title})
	t.effect(keep)
	if changed {
		enforce(m, t, next)
	}
	return done(), nil
}

// enforce makes rules hold for what is there already.
func enforce(m *Machine, t *turn, p policy.Policy) {
	was := m.topo.choice()
	if p.LastN != m.cfg.Policy.LastN || p.LoudestK != m.cfg.Policy.LoudestK {
		t.effect(Reselect{})
	}
	m.cfg.Policy = p
	if m.topo.choice() != was {
		m.topo.tell(t)
	}
	m.conf.Conditions = p.API()
	t.touch(nil)
	m.floors.enforce(t)
	m.lobby.open(t)
}
