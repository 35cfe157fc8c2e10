package control

import (
	"cmp"
	"strconv"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/conference/model"
)

func errNoSidebar() error { return fault.New(404, "not-found", "no such sidebar") }

// createSidebar starts a child conference and moves its members there.
func createSidebar(m *Machine, t *turn, p api.SidebarCreateParams) (any, error) {
	c := m.conf
	switch {
	case c.Main != nil:
		return nil, fault.New(405, "method-not-allowed", "a sidebar has no sidebars")
	case !moderates(t.power()) && !m.cfg.Policy.AllowSidebars:
		return nil, fault.New(405, "method-not-allowed", "only moderators open sidebars here")
	case !validText(p.Title, maxTitle):
		return nil, errBadParams("title")
	case c.Phase != model.Active:
		return nil, errGone()
	case len(c.Sidebars) >= maxSidebars:
		return nil, fault.New(429, "too-many-sidebars", "at most %d sidebars", maxSidebars)
	}
	parts, err := m.branches.members(p.Members)
	if err != nil {
		return nil, err
	}
	s := m.branches.open(t, p)
	for _, part := range parts {
		s.Members[part.User] = true
		for _, d := range m.devices.live() {
			if d.Part == part && movable(d) {
				m.branches.send(t, d, s, false)
			}
		}
	}
	return api.SidebarResult{Sidebar: string(s.ID), URI: s.URI}, nil
}

// members finds the rows of those who are to be moved.
func (x *branches) members(names []string) ([]*model.Participant, error) {
	var out []*model.Participant
	for _, name := range names {
		part, err := x.m.devices.part(name)
		if err != nil || part.State != model.Joined {
			return nil, fault.New(404, "not-found", "no such participant: members")
		}
		out = append(out, part)
	}
	return out, nil
}

func (x *branches) open(t *turn, p api.SidebarCreateParams) *model.Sidebar {
	m, c := x.m, x.m.conf
	x.made++
	s := &model.Sidebar{
		Place: model.Place{ID: m.cfg.IDs.Conference(), URI: c.URI + "+sb" + strconv.FormatUint(x.made, 10)},
		Title: p.Title, Creator: t.caller.By.Subject, ByVal: p.ByVal, Order: m.nextOrder(),
		Members: map[string]bool{t.caller.By.Subject: true},
	}
	c.Sidebars[s.ID] = s
	rules := m.cfg.Policy
	rules.Lobby, rules.WaitModerator, rules.Floors = false, false, ""
	t.effect(OpenSidebar{Place: s.Place, Main: x.here(), Title: s.Title, Creator: s.Creator, Policy: rules, Show: s.ByVal})
	t.event("sidebar.created", map[string]any{
		"sidebar": s.ID, "uri": s.URI, "title": s.Title, "byVal": s.ByVal,
	})
	return s
}

// movable reports whether a device can be told to go elsewhere: an HTTP
// resource cannot.
func movable(d *model.Device) bool { return d.Dialect == "ws" }

// send moves a device to a sidebar.
func (x *branches) send(t *turn, d *model.Device, s *model.Sidebar, audio bool) api.Moved {
	role := d.Part.Role
	if d.Part.User == s.Creator && !moderates(role) {
		role = api.RoleModerator // who made it looks after it
	}
	return x.move(t, d, &model.Away{To: s.Place, Sidebar: true, KeepAudio: audio, Keep: true}, role, true)
}

// move puts a device on hold here, has it expected there, and tells it to go.
func (x *branches) move(t *turn, d *model.Device, a *model.Away, role api.Role, member bool) api.Moved {
	switch {
	case d.Away != nil && d.Away.To != a.To:
		x.recall(t, d, "transferred")
	case d.Away != nil: // another token, or the main sound is wanted now
		a.Arrived = d.Away.Arrived
	}
	a.By = t.caller.By.Subject
	token := x.m.cfg.IDs.Token()
	x.hold(t, d, a)
	t.effect(ToRoom{a.To.ID, GuestExpected, Guest{
		User: d.Part.User, Role: role, By: a.By, Token: token, From: x.here(), Member: member, Hidden: d.Part.Anonymous,
	}})
	out := api.Moved{To: string(a.To.ID), URI: a.To.URI, Token: token, Keep: a.Keep}
	t.tell(d.Session, "moved", map[string]any{"to": out.To, "uri": out.URI, "token": token, "keep": out.Keep})
	return out
}

// joinSidebar is how one who is invited goes there.
func joinSidebar(m *Machine, t *turn, p api.SidebarParams) (any, error) {
	s, err := m.branches.sidebar(p.Sidebar)
	if err != nil {
		return nil, err
	}
	d := t.dev
	switch {
	case !s.Members[d.Part.User] && !moderates(d.Part.Role):
		return nil, fault.New(403, "forbidden", "not invited to this sidebar")
	case !movable(d):
		return nil, fault.New(480, "unavailable", "this kind of device cannot be moved")
	}
	s.Members[d.Part.User] = true
	return m.branches.send(t, d, s, p.KeepMainAudio), nil
}

// sidebar finds a running one, and tells one that has ended from none at all.
func (x *branches) sidebar(name string) (*model.Sidebar, error) {
	s := x.find(name)
	switch {
	case s == nil && x.ended.set[name]:
		return nil, fault.New(410, "gone", "the sidebar has ended")
	case s == nil:
		return nil, errNoSidebar()
	}
	return s, nil
}

func endSidebar(m *Machine, t *turn, p api.SidebarParams) (any, error) {
	s := m.branches.find(p.Sidebar)
	switch {
	case s == nil && m.branches.ended.set[p.Sidebar]:
		return already(), nil
	case s == nil:
		return nil, errNoSidebar()
	case !moderates(t.power()) && s.Creator != t.caller.By.Subject:
		return nil, errForbidden()
	}
	t.effect(ToRoom{s.ID, SidebarClosing, Over{Sidebar: s.ID, Reason: "ended", By: t.caller.By.Subject}})
	m.branches.close(t, s, "ended")
	return done(), nil
}

// close takes a sidebar off the document and its members back.
func (x *branches) close(t *turn, s *model.Sidebar, why string) {
	delete(x.m.conf.Sidebars, s.ID)
	x.ended.add(string(s.ID), s.URI)
	for _, d := range x.away(s.ID, "", "") {
		x.restore(t, d, why)
	}
	t.event("sidebar.ended", map[string]any{"sidebar": s.ID, "uri": s.URI, "reason": why})
}

// sidebarOpened makes a fresh sidebar active, on behalf of who created it.
func sidebarOpened(m *Machine, t *turn, p Opened) (any, error) {
	if m.conf.Phase != model.Scheduled {
		return already(), nil
	}
	t.caller.By.Subject = p.Creator
	m.activate(t, p.Title)
	return done(), nil
}

func sidebarClosing(m *Machine, t *turn, p Over) (any, error) {
	if m.conf.Phase == model.Ended || m.conf.Main == nil {
		return already(), nil
	}
	t.caller.By.Subject = p.By
	m.finish(t, p.Reason)
	return done(), nil
}

func sidebarClosed(m *Machine, t *turn, p Over) (any, error) {
	s := m.conf.Sidebars[p.Sidebar]
	if s == nil {
		return already(), nil
	}
	m.branches.close(t, s, p.Reason)
	return done(), nil
}

func sidebarShown(m *Machine, t *turn, p Shown) (any, error) {
	s := m.conf.Sidebars[p.Sidebar]
	if s == nil || !s.ByVal {
		return already(), nil
	}
	s.Val, s.Users = p.Val, p.Users
	t.touch(nil)
	return done(), nil
}

// guestExpected opens the door for one who is moved here. That of a sidebar is
// its main conference's alone to open.
func guestExpected(m *Machine, t *turn, p Guest) (any, error) {
	if m.conf.Main != nil && m.conf.Main.ID != p.From.ID {
		return already(), nil
	}
	g := &p
	if m.branches.guests == nil {
		m.branches.guests = map[string]*Guest{}
	}
	m.branches.guests[p.User] = g
	if !p.Member {
		m.at(t.now.Add(moveWait), func(*turn) {
			if m.branches.guests[p.User] == g {
				delete(m.branches.guests, p.User)
			}
		})
	}
	return done(), nil
}

// guestWithdrawn closes it again; in a sidebar behind one who is here already
// too. Whom an unrelated conference may put out is its own moderators' affair.
func guestWithdrawn(m *Machine, t *turn, p Withdrawn) (any, error) {
	if g := m.branches.guests[p.User]; g != nil && (p.Forget || !g.Member) {
		delete(m.branches.guests, p.User)
	}
	if m.conf.Main == nil {
		return done(), nil
	}
	for _, d := range m.devices.live() {
		if d.Part.User == p.User && (p.Device == "" || d.ID == p.Device) {
			m.devices.gone(t, d, p.How, p.Why, p.By)
		}
	}
	return done(), nil
}

// guestArrived completes a move on this side. One who went on their own, back
// into a sidebar, is put on hold now; one who left here meanwhile is recalled.
func guestArrived(m *Machine, t *turn, p Travelled) (any, error) {
	d := m.devices.named(p.User, p.Device)
	s := m.conf.Sidebars[p.There.ID]
	switch {
	case d == nil || !d.Status.Live():
		if s != nil {
			t.effect(ToRoom{p.There.ID, GuestWithdrawn, Withdrawn{User: p.User, Device: p.Device, How: model.Departed, Why: "left", Forget: true}})
		}
		return already(), nil
	case d.Away == nil && s != nil:
		m.branches.hold(t, d, &model.Away{To: p.There, Sidebar: true, Keep: true, Arrived: true})
		return done(), nil
	case d.Away != nil && d.Away.To.ID != p.There.ID && s != nil: // it is wanted elsewhere by now
		t.effect(ToRoom{s.ID, GuestWithdrawn, Withdrawn{User: p.User, Device: p.Device, How: model.Departed, Why: "transferred"}})
		return done(), nil
	case d.Away == nil || d.Away.To.ID != p.There.ID || d.Away.Arrived:
		return already(), nil
	}
	d.Away.Arrived = true
	if !d.Away.Keep {
		m.devices.gone(t, d, model.Departed, "transferred", d.Away.By)
	}
	return done(), nil
}

// guestGone gives one who left a sidebar the place here back.
func guestGone(m *Machine, t *turn, p Travelled) (any, error) {
	away := m.branches.away(p.There.ID, p.User, p.Device)
	if len(away) == 0 {
		return already(), nil
	}
	for _, d := range away {
		m.branches.restore(t, d, cmp.Or(p.Why, "left"))
	}
	return done(), nil
}
