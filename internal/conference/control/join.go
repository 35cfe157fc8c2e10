package control

import (
	"cmp"
	"slices"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// joins is how devices come in.
type joins struct{ m *Machine }

// join lets a device in. Everything that can be refused is refused before the
// first change.
func join(m *Machine, t *turn, p api.JoinParams) (any, error) {
	for _, w := range p.Tracks {
		if t.caller.By.Limits.withhold(cmp.Or(w.Source, defaultSource[w.Kind])) {
			return nil, errForbidden()
		}
	}
	if err := m.branches.welcome(t, p); err != nil {
		return nil, err
	}
	if err := m.joins.checkJoin(t, &p); err != nil {
		return nil, err
	}
	old := m.joins.existing(t, p)
	if t.dev != nil && t.dev != old {
		return nil, fault.New(409, "conflict", "this session has joined with another device")
	}
	if old != nil && old.Part.State == model.Lobby {
		return m.lobby.again(t, p, old)
	}
	if old != nil {
		same, err := m.joins.checkDuplicate(t, p, old)
		if err != nil {
			return nil, err
		}
		if same {
			return m.joins.joinResult(old, nil), nil
		}
	}
	return m.joins.come(t, p, old)
}

// come lets a newcomer, another device or a newer load in, or puts it on hold.
func (x *joins) come(t *turn, p api.JoinParams, old *model.Device) (any, error) {
	m, by := x.m, t.caller.By
	creator := m.conf.Phase == model.Scheduled
	part := m.conf.Participants[by.Subject]
	own := m.conf.Main == nil && (creator || m.conf.Creator == by.Subject) // a sidebar gives no more than the move did
	role := m.cfg.Policy.JoinRole(by.Role, p.Role, own)
	if part != nil && part.State == model.Joined {
		role = part.Role // what a moderator made of it since holds for all its devices
	}
	if err := m.tracks.checkAll(role, old, p.Tracks); err != nil {
		return nil, err
	}
	others, err := x.single(part, old, p)
	if err != nil {
		return nil, err
	}
	waits := m.lobby.holds(t, part, creator)
	if waits {
		if err := m.lobby.check(t); err != nil {
			return nil, err
		}
	}
	if creator {
		m.activate(t, "")
	}
	if waits {
		return m.lobby.enter(t, p, role)
	}
	part = x.row(by.Subject)
	if part.State == model.Lobby { // a better token than the one that waits
		m.lobby.admit(t, part, role)
	}
	x.participant(t, part, p, role, old)
	d := old
	if old != nil {
		x.takeOver(t, old, p)
	} else {
		d = x.m.devices.add(t, part, p)
	}
	res := x.let(t, d, p)
	for _, o := range others {
		x.m.devices.putOut(t, o, "replaced", "")
	}
	m.lobby.open(t)
	return res, nil
}

// single applies the rule of one device per person: the other devices go when
// the newcomer says so, else it is refused.
func (x *joins) single(part *model.Participant, old *model.Device, p api.JoinParams) ([]*model.Device, error) {
	if part == nil || !x.m.cfg.Policy.SingleDevice {
		return nil, nil
	}
	var others []*model.Device
	for _, d := range part.Devices {
		if d != old && d.Status.Live() {
			others = append(others, d)
		}
	}
	if len(others) > 0 && !p.Takeover {
		return nil, fault.New(409, "duplicate", "another device of yours is in the conference")
	}
	slices.SortFunc(others, func(a, b *model.Device) int { return cmp.Compare(a.ID, b.ID) })
	return others, nil
}

// let gives a device of a joined participant its media session and tracks.
func (x *joins) let(t *turn, d *model.Device, p api.JoinParams) api.JoinResult {
	x.m.media.open(d)
	x.m.topo.joined(d)
	published := make([]api.PublishResult, 0, len(p.Tracks))
	for _, pp := range p.Tracks {
		k := x.m.tracks.add(t, d, pp)
		published = append(published, api.PublishResult{CID: k.CID, Track: string(k.ID)})
	}
	if d.Subscribe == "auto" {
		x.m.subs.all(t, d)
	}
	x.m.arrival(t, d)
	return x.joinResult(d, published)
}

func (x *joins) checkJoin(t *turn, p *api.JoinParams) error {
	by := t.caller.By
	switch {
	case x.m.conf.Phase == model.Ending:
		return errGone() // who is in goes on until the end; nobody comes
	case by.Subject == "":
		return errUnauthorised()
	case !t.forHere():
		return fault.New(403, "forbidden", "the token is for another conference")
	case !ids.ValidName(p.Device):
		return errBadParams("device")
	case p.Load != "" && !validToken(p.Load):
		return errBadParams("load")
	case !validText(p.Name, maxName) || !validText(p.Label, maxName):
		return errBadParams("name or label")
	case p.Kind != "" && !slices.Contains(kinds, p.Kind):
		return errBadParams("kind")
	}
	if err := x.m.topo.welcome(t, *p); err != nil {
		return err
	}
	if err := x.m.seals.welcome(t, *p); err != nil {
		return err
	}
	switch p.Subscribe {
	case "":
		p.Subscribe = "auto"
	case "auto", "none", "slots":
	default:
		return errBadParams("subscribe")
	}
	if x.m.conf.Phase == model.Scheduled && !x.m.mayStart(t) {
		return errNotFound()
	}
	return x.checkRoom(t)
}

var kinds = []string{"browser", "app", "sip", "room", "bot", "recorder", "whip", "whep", "rtp", "focus"}

// checkRoom refuses newcomers that the conference has no place for. Whoever is
// in it has one; whoever waits in the lobby needs one only when let in.
func (x *joins) checkRoom(t *turn) error {
	by := t.caller.By
	if err := x.m.bans.check(t.now, by.Subject); err != nil {
		return err
	}
	part := x.m.conf.Participants[by.Subject]
	if part != nil && (part.State == model.Joined || part.State == model.Lobby) {
		return nil
	}
	if x.m.conf.Locked && !policy.AtLeast(by.Role, api.RoleModerator) && !x.returning(t, part) {
		return errLocked()
	}
	if x.full() {
		return errFull()
	}
	return nil
}

// returning reports whether one may come (back) in spite of the lock: who was
// asked in and is waited for, and, where that is allowed, who left just now.
func (x *joins) returning(t *turn, part *model.Participant) bool {
	if part != nil && part.State == model.Invited {
		return true
	}
	return x.m.conf.Returning && part != nil && part.State == model.Left && part.Role != api.RoleLobby &&
		t.now.Sub(part.LeftAt) <= x.m.cfg.Policy.Grace
}

func (x *joins) full() bool {
	limit := x.m.cfg.Policy.MaxUsers
	return limit > 0 && x.m.users >= limit
}

// existing returns the live device that this join would double.
func (x *joins) existing(t *turn, p api.JoinParams) *model.Device {
	part := x.m.conf.Participants[t.caller.By.Subject]
	if part == nil {
		return nil
	}
	if d := part.Devices[ids.Device(p.Device)]; d != nil && d.Status.Live() {
		return d
	}
	return nil
}

// checkDuplicate applies the rows "duplicate join" of section 5.2: the same
// load in the same session is the same join; a new load without resuming wins
// over the old one; anything else is refused.
func (x *joins) checkDuplicate(t *turn, p api.JoinParams, old *model.Device) (same bool, err error) {
	mine := old.Session == t.caller.Session
	switch {
	case mine && old.Load == p.Load:
		return true, nil
	case !mine && (t.caller.Dialect == "whip" || t.caller.Dialect == "whep" || old.Dialect != t.caller.Dialect):
		return false, errDuplicate() // an HTTP resource is ended by DELETE, not by another POST
	case !mine && p.Load == old.Load && old.Reach == model.ReachOK:
		return false, errDuplicate()
	}
	return false, nil
}

// row finds or makes the row of a user.
func (x *joins) row(user string) *model.Participant {
	part := x.m.conf.Participants[user]
	if part == nil {
		part = &model.Participant{
			ID: x.m.cfg.IDs.Participant(), User: user, State: model.Joining,
			Devices: map[ids.Device]*model.Device{}, FocusMuted: map[string]bool{},
		}
		x.m.conf.Participants[user] = part
	}
	return part
}

// nameOf is how one who joins is called: a token's name stands; a guest says
// what to be called.
func nameOf(by Principal, p api.JoinParams) string {
	if by.Name == "" || !by.Trusted && p.Name != "" {
		return p.Name
	}
	return by.Name
}

// participant makes the caller's row one of somebody who has joined.
func (x *joins) participant(t *turn, part *model.Participant, p api.JoinParams, role api.Role, old *model.Device) {
	name := nameOf(t.caller.By, p)
	if p.Anonymous {
		t.hide(part)
	}
	if part.State != model.Joined {
		part.Name = name
		x.becomeJoined(t, part, role, ids.Device(p.Device))
	} else if old != nil && name != "" {
		part.Name = name
	}
	t.touch(part)
}

// becomeJoined is the only place where a participant comes in.
func (x *joins) becomeJoined(t *turn, part *model.Participant, role api.Role, dev ids.Device) {
	part.State, part.Role = model.Joined, role
	part.Order, part.JoinedAt, part.LeftAt = x.m.nextOrder(), t.now, 0
	x.m.users++
	t.event("participant.joined", map[string]any{
		"part": part.ID, "user": part.User, "name": part.Name, "role": role, "device": dev,
	})
	t.touch(part)
}

func (x *devices) add(t *turn, part *model.Participant, p api.JoinParams) *model.Device {
	d := &model.Device{
		ID: ids.Device(p.Device), Part: part, Status: model.Connected, JoinedAt: t.now,
		Receives: map[string]int{},
	}
	d.Equipment = announced(part.Devices[d.ID])
	part.Devices[d.ID] = d
	x.drive(t, d, p)
	return d
}

// takeOver hands a device's row to a newer load of its client. The old
// connection stays until the new one carries media, so that others see no gap.
func (x *joins) takeOver(t *turn, d *model.Device, p api.JoinParams) {
	if d.Session != t.caller.Session {
		delete(x.m.bySession, d.Session)
		t.effect(SayGoodbye{d.Session, api.Goodbye{Kind: "goodbye", Action: "disconnect", Reason: "replaced"}})
	}
	x.m.branches.returned(t, d)
	x.m.peers.gone(t, d, "replaced")
	for _, s := range x.m.subs.of(d.MS) {
		x.m.subs.drop(t, s)
	}
	if old := x.m.conf.Media[d.MS]; old != nil {
		old.Retiring = t.now
		x.m.at(t.now.Add(x.m.cfg.Policy.Takeover), func(t *turn) { x.m.media.retire(t, old, "replaced") })
	}
	x.m.devices.drive(t, d, p)
}

// drive puts the caller's session and what it said about itself on a device.
func (x *devices) drive(t *turn, d *model.Device, p api.JoinParams) {
	d.Session, d.Dialect = t.caller.Session, t.caller.Dialect
	d.Load, d.Label, d.Subscribe = p.Load, p.Label, p.Subscribe
	d.Kind = cmp.Or(p.Kind, "browser")
	d.Reach, d.Suspend = model.ReachOK, 0
	x.m.bySession[d.Session] = d
	x.m.topo.arrives(d, p)
	t.touch(d.Part)
}

// open gives a device a fresh media session toward the server.
func (x *mediaSessions) open(d *model.Device) {
	s := &model.MediaSession{
		ID: x.m.cfg.IDs.MediaSession(), Conn: x.m.cfg.IDs.Connection(), Device: d,
		State: model.Stable, Link: model.LinkNew,
		Past: map[string]bool{},
	}
	x.m.conf.Media[s.ID] = s
	d.MS = s.ID
	d.Media = append(d.Media, s)
}

func (x *joins) joinResult(d *model.Device, published []api.PublishResult) api.JoinResult {
	if published == nil {
		for _, k := range x.m.tracks.of(d.MS) {
			published = append(published, api.PublishResult{CID: k.CID, Track: string(k.ID)})
		}
	}
	return api.JoinResult{
		Conf: string(x.m.conf.ID), URI: x.m.conf.URI, Part: string(d.Part.ID), User: d.Part.User,
		Device: string(d.ID), Role: d.Part.Role, Rev: x.m.conf.Rev, MS: string(d.MS), Tracks: published,
		E2EE: x.m.cfg.Policy.E2EE,
	}
}
