package control

import (
	"time"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

func startConference(m *Machine, t *turn, p api.StartParams) (any, error) {
	if !validText(p.Title, maxTitle) {
		return nil, errBadParams("title")
	}
	if p.Mode != "" && p.Mode != "create" && p.Mode != "join" && p.Mode != "either" {
		return nil, errBadParams("mode")
	}
	wait, err := m.checkIntent(t, p)
	if err != nil {
		return nil, err
	}
	if p.E2EE && m.conf.Phase != model.Scheduled && !m.cfg.Policy.E2EE {
		return nil, errSealed()
	}
	if (p.E2EE || m.cfg.Policy.E2EE) && !policy.Blind(p.Topology) {
		return nil, policy.ErrEncrypted(409, "the server cannot do "+p.Topology+" without the keys")
	}
	if p.Topology != "" {
		if err := m.topo.check(p.Topology, p.AllowDiscouraged, nil); err != nil {
			return nil, err
		}
	}
	res := api.StartResult{Conf: string(m.conf.ID), URI: m.conf.URI}
	switch m.conf.Phase {
	case model.Active:
		if p.Mode == "create" {
			return nil, fault.New(409, "exists", "the conference is running already")
		}
		return res, nil
	case model.Ending, model.Ended:
		return nil, errGone()
	}
	if p.Mode == "join" {
		return nil, errNotFound()
	}
	if !m.mayStart(t) {
		return nil, errForbidden()
	}
	m.conf.Intent = p.Intent
	m.activate(t, p.Title)
	if p.E2EE {
		m.seals.start(t)
	}
	if p.Topology != "" {
		m.topo.start(t, p)
	}
	if len(p.Invite) > 0 {
		res.Targets = m.invitations.all(t, p.Invite, wait)
	}
	return res, nil
}

// checkIntent checks what those who are to come should notice. Ringing and
// prompting without saying whom is no mistake: clients of the house may know.
func (m *Machine) checkIntent(t *turn, p api.StartParams) (time.Duration, error) {
	switch p.Intent {
	case "", "room":
		if len(p.Invite) > 0 {
			return 0, errBadParams("invite goes with intent ring or prompt")
		}
		return 0, nil
	case "ring", "prompt":
		if len(p.Invite) > 0 {
			return m.invitations.check(t, p.Invite, 0)
		}
		return 0, nil
	}
	return 0, errBadParams("intent")
}

func (m *Machine) mayStart(t *turn) bool {
	by := t.caller.By
	return t.forHere() && m.cfg.Policy.MayStart(by.Role, by.Service, by.Room != "")
}

// activate is the only place where a conference becomes active.
func (m *Machine) activate(t *turn, title string) {
	c := m.conf
	if title != "" {
		c.Title = title
	}
	c.Phase, c.Creator, c.Since = model.Active, t.caller.By.Subject, t.now
	fields := map[string]any{"uri": c.URI, "title": c.Title}
	if c.Intent != "" {
		fields["intent"] = c.Intent
	}
	t.event("conference.started", fields)
	m.watchEmpty(t)
}

// watchEmpty sets the clock on a conference that has nobody in it.
func (m *Machine) watchEmpty(t *turn) {
	since := m.order // grows with every join, so an unchanged value means nobody came
	m.at(t.now.Add(m.cfg.Policy.EmptyAfter), func(t *turn) {
		switch {
		case m.conf.Phase != model.Active || m.users > 0:
		case m.order == since:
			m.finish(t, "empty")
		default: // somebody came as far as the lobby
			m.watchEmpty(t)
		}
	})
}

func endConference(m *Machine, t *turn, p api.EndParams) (any, error) {
	c := m.conf
	if c.Phase == model.Ended {
		return already(), nil
	}
	if !t.caller.By.Service && !policy.AtLeast(t.role(), api.RoleModerator) {
		return nil, errForbidden()
	}
	if c.Phase == model.Scheduled {
		return nil, errNotFound()
	}
	after := time.Duration(p.AfterS) * time.Second
	if p.AfterS < 0 || after > m.cfg.Policy.MaxEnding || !validText(p.Reason, maxWhy) {
		return nil, errBadParams("afterS or reason")
	}
	if c.Phase == model.Ending && !t.now.Add(after).Before(m.endAt) {
		return already(), nil // an announced end comes sooner, never later
	}
	if err := t.fresh(c.Rev); err != nil {
		return nil, err
	}
	if after == 0 {
		m.finish(t, p.Reason)
		return done(), nil
	}
	c.Phase, m.endAt = model.Ending, t.now.Add(after)
	t.event("conference.ending", map[string]any{"afterS": p.AfterS, "reason": p.Reason})
	m.at(m.endAt, func(t *turn) {
		if c.Phase == model.Ending {
			m.finish(t, p.Reason)
		}
	})
	return done(), nil
}

// finish puts everybody out and ends the conference for good.
func (m *Machine) finish(t *turn, reason string) {
	c := m.conf
	if reason == "" {
		reason = "ended"
	}
	c.Phase, m.finishing = model.Ending, true
	for _, d := range m.devices.live() {
		s, ws := d.Session, d.Dialect == "ws"
		m.devices.gone(t, d, model.Booted, reason, t.caller.By.Subject)
		if !ws { // the session of an HTTP resource is nothing without the conference
			t.effect(SayGoodbye{s, api.Goodbye{Kind: "goodbye", Action: "disconnect", Reason: "ended"}})
		}
	}
	c.Phase = model.Ended
	t.event("conference.ended", map[string]any{"reason": reason})
	m.branches.over(t, reason)
	t.effect(Finished{reason})
}

// Stopping are the parameters of NodeStopping.
type Stopping struct{ Reason string }

// nodeStopping ends the conference because its node goes: clients are told to
// connect again rather than that it is over.
func nodeStopping(m *Machine, t *turn, p Stopping) (any, error) {
	if m.conf.Phase == model.Ended {
		return already(), nil
	}
	m.finishing = true
	for _, d := range m.devices.live() {
		s := d.Session
		m.devices.gone(t, d, model.Booted, p.Reason, "")
		t.effect(SayGoodbye{s, api.Goodbye{Kind: "goodbye", Action: "reconnect", Reason: p.Reason}})
	}
	m.conf.Phase = model.Ended
	t.touch(nil)
	t.effect(Finished{p.Reason})
	return done(), nil
}
