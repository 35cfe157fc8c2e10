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

// join lets a device in. Everything that can be refused is refused before the
// first change.
func join(m *Machine, t *turn, p api.JoinParams) (any, error) {
	if err := m.devices.checkJoin(t, &p); err != nil {
		return nil, err
	}
	old := m.devices.existing(t, p)
	if t.dev != nil && t.dev != old {
		return nil, fault.New(409, "conflict", "this session has joined with another device")
	}
	if old != nil {
		same, err := m.devices.checkDuplicate(t, p, old)
		if err != nil {
			return nil, err
		}
		if same {
			return m.devices.joinResult(old, nil), nil
		}
	}
	creator := m.conf.Phase == model.Scheduled
	role := m.cfg.Policy.JoinRole(t.caller.By.Role, p.Role, creator || m.conf.Creator == t.caller.By.Subject)
	if err := m.tracks.checkAll(role, old, p.Tracks); err != nil {
		return nil, err
	}
	if creator {
		m.activate(t, "")
	}
	part := m.devices.participant(t, p, role, old)
	var d *model.Device
	if old != nil {
		d = m.devices.takeOver(t, old, p)
	} else {
		d = m.devices.add(t, part, p)
	}
	m.media.open(d)
	published := make([]api.PublishResult, 0, len(p.Tracks))
	for _, pp := range p.Tracks {
		k := m.tracks.add(t, d, pp)
		published = append(published, api.PublishResult{CID: k.CID, Track: string(k.ID)})
	}
	if d.Subscribe == "auto" {
		m.subs.all(t, d)
	}
	return m.devices.joinResult(d, published), nil
}

func (x *devices) checkJoin(t *turn, p *api.JoinParams) error {
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

var kinds = []string{"browser", "app", "sip", "room", "bot", "recorder", "whip", "whep"}

// checkRoom refuses newcomers that the conference has no place for. Whoever is
// in it, or comes back within the grace, has one.
func (x *devices) checkRoom(t *turn) error {
	if part := x.m.conf.Participants[t.caller.By.Subject]; part != nil && part.State == model.Joined {
		return nil
	}
	if x.m.conf.Locked && !policy.AtLeast(t.caller.By.Role, api.RoleModerator) {
		return errLocked()
	}
	if limit := x.m.cfg.Policy.MaxUsers; limit > 0 && x.m.users >= limit {
		return errFull()
	}
	return nil
}

// existing returns the live device that this join would double.
func (x *devices) existing(t *turn, p api.JoinParams) *model.Device {
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
func (x *devices) checkDuplicate(t *turn, p api.JoinParams, old *model.Device) (same bool, err error) {
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

// participant finds or makes the caller's row.
func (x *devices) participant(t *turn, p api.JoinParams, role api.Role, old *model.Device) *model.Participant {
	user := t.caller.By.Subject
	part := x.m.conf.Participants[user]
	if part == nil {
		part = &model.Participant{
			ID: x.m.cfg.IDs.Participant(), User: user, State: model.Joining,
			Devices: map[ids.Device]*model.Device{}, FocusMuted: map[string]bool{},
		}
		x.m.conf.Participants[user] = part
	}
	name := t.caller.By.Name
	if name == "" || !t.caller.By.Trusted && p.Name != "" {
		name = p.Name // a token's name stands; a guest says what to be called
	}
	if part.State != model.Joined {
		part.State, part.Role, part.Name = model.Joined, role, name
		part.Order, part.JoinedAt, part.LeftAt = x.m.nextOrder(), t.now, 0
		x.m.users++
		t.event("participant.joined", map[string]any{
			"part": part.ID, "user": user, "name": name, "role": role, "device": p.Device,
		})
	} else if old != nil && name != "" {
		part.Name = name
	}
	t.touch(part)
	return part
}

func (x *devices) add(t *turn, part *model.Participant, p api.JoinParams) *model.Device {
	d := &model.Device{
		ID: ids.Device(p.Device), Part: part, Status: model.Connected, JoinedAt: t.now,
		Receives: map[string]int{},
	}
	part.Devices[d.ID] = d
	x.drive(t, d, p)
	return d
}

// takeOver hands a device's row to a newer load of its client. The old
// connection stays until the new one carries media, so that others see no gap.
func (x *devices) takeOver(t *turn, d *model.Device, p api.JoinParams) *model.Device {
	if d.Session != t.caller.Session {
		delete(x.m.bySession, d.Session)
		t.effect(SayGoodbye{d.Session, api.Goodbye{Kind: "goodbye", Action: "disconnect", Reason: "replaced"}})
	}
	for _, s := range x.m.subs.of(d.MS) {
		x.m.subs.drop(t, s)
	}
	if old := x.m.conf.Media[d.MS]; old != nil {
		old.Retiring = t.now
		x.m.at(t.now.Add(x.m.cfg.Policy.Takeover), func(t *turn) { x.m.media.retire(t, old, "replaced") })
	}
	x.drive(t, d, p)
	return d
}

// drive puts the caller's session and what it said about itself on a device.
func (x *devices) drive(t *turn, d *model.Device, p api.JoinParams) {
	d.Session, d.Dialect = t.caller.Session, t.caller.Dialect
	d.Load, d.Label, d.Subscribe = p.Load, p.Label, p.Subscribe
	d.Kind = cmp.Or(p.Kind, "browser")
	d.Reach, d.Suspend = model.ReachOK, 0
	x.m.bySession[d.Session] = d
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

func (x *devices) joinResult(d *model.Device, published []api.PublishResult) api.JoinResult {
	if published == nil {
		for _, k := range x.m.tracks.of(d.MS) {
			published = append(published, api.PublishResult{CID: k.CID, Track: string(k.ID)})
		}
	}
	return api.JoinResult{
		Conf: string(x.m.conf.ID), URI: x.m.conf.URI, Part: string(d.Part.ID), User: d.Part.User,
		Device: string(d.ID), Role: d.Part.Role, Rev: x.m.conf.Rev, MS: string(d.MS), Tracks: published,
	}
}
