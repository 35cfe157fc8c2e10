package control

import (
	"slices"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// lobby is who waits to be let in. Those who wait are rows of role lobby with
// devices on hold: no media, no subscriptions, and their joins stay unanswered
// (182) until somebody decides or they go.
type lobby struct {
	m      *Machine
	knocks []*knock // in order of coming
	past   outcomes
}

// knock is one device that waits.
type knock struct {
	dev   *model.Device
	join  api.JoinParams
	role  api.Role // what it becomes once in
	grant api.Role // what the token says
}

// Waiting is the result of a join that was not let in yet. A JoinSettled
// effect brings the final answer.
type Waiting struct {
	Ticket api.LobbyTicket
}

// holds reports whether a newcomer has to wait.
func (x *lobby) holds(t *turn, part *model.Participant, creator bool) bool {
	if part != nil && part.State == model.Joined || creator && x.m.cfg.Policy.Dev {
		return false
	}
	p := &x.m.cfg.Policy
	return p.Waits(t.caller.By.Role, p.WaitModerator && x.moderated()) // a look at everybody only where it counts
}

// moderated reports whether a moderator is in the conference. It looks only
// where newcomers wait for one: a join must not cost what the roster is long.
func (x *lobby) moderated() bool {
	if !x.m.cfg.Policy.WaitModerator {
		return true
	}
	for _, p := range x.m.conf.Participants {
		if p.State == model.Joined && policy.AtLeast(p.Role, api.RoleModerator) {
			return true
		}
	}
	return false
}

// check refuses those who cannot wait.
func (x *lobby) check(t *turn) error {
	if t.caller.Dialect != "ws" { // an HTTP request cannot be held for as long as people take
		return fault.New(480, "unavailable", "waiting for a moderator")
	}
	if len(x.knocks) >= x.m.cfg.Policy.MaxLobby {
		return errFull()
	}
	return nil
}

// enter puts a device on hold.
func (x *lobby) enter(t *turn, p api.JoinParams, role api.Role) (any, error) {
	part := x.m.joins.row(t.caller.By.Subject)
	if p.Anonymous {
		t.hide(part)
	}
	if part.State != model.Lobby {
		part.State, part.Role, part.Name = model.Lobby, api.RoleLobby, nameOf(t.caller.By, p)
		part.Order, part.JoinedAt, part.LeftAt = x.m.nextOrder(), 0, 0
	}
	d := &model.Device{
		ID: ids.Device(p.Device), Part: part, Status: model.OnHold, JoinedAt: t.now, Receives: map[string]int{},
	}
	part.Devices[d.ID] = d
	x.m.devices.drive(t, d, p)
	x.knocks = append(x.knocks, &knock{d, p, role, t.caller.By.Role})
	x.changed(t, part, "waiting", "")
	return Waiting{x.ticket(d)}, nil
}

// again answers a join of a device that waits already. A newer load of the
// client takes its place in the row.
func (x *lobby) again(t *turn, p api.JoinParams, d *model.Device) (any, error) {
	same, err := x.m.joins.checkDuplicate(t, p, d)
	if err != nil || same {
		return Waiting{x.ticket(d)}, err
	}
	if d.Session != t.caller.Session {
		delete(x.m.bySession, d.Session)
		t.effect(JoinSettled{Session: d.Session, Err: fault.New(409, "duplicate", "a newer page of yours waits instead")})
		t.effect(SayGoodbye{d.Session, api.Goodbye{Kind: "goodbye", Action: "disconnect", Reason: "replaced"}})
	}
	x.m.devices.drive(t, d, p)
	x.knocks[x.find(d)].join = p
	return Waiting{x.ticket(d)}, nil
}

func (x *lobby) ticket(d *model.Device) api.LobbyTicket {
	why := "lobby"
	if !x.m.cfg.Policy.Lobby && x.m.cfg.Policy.WaitModerator {
		why = "waiting-for-moderator"
	}
	return api.LobbyTicket{
		Conf: string(x.m.conf.ID), Part: string(d.Part.ID), User: d.Part.User, Device: string(d.ID), Reason: why,
	}
}

func (x *lobby) find(d *model.Device) int {
	return slices.IndexFunc(x.knocks, func(k *knock) bool { return k.dev == d })
}

// changed tells moderators, and the one concerned, what happened.
func (x *lobby) changed(t *turn, p *model.Participant, state, reason string) {
	x.m.conf.Lobby = len(x.parts())
	t.touch(p)
	fields := map[string]any{"part": p.ID, "user": p.User, "name": p.Name, "state": state, "count": x.m.conf.Lobby}
	if reason != "" {
		fields["reason"] = reason
	}
	t.tellModerators("lobby.changed", fields)
}

// parts lists who waits, in order of coming.
func (x *lobby) parts() []*model.Participant {
	var out []*model.Participant
	for _, k := range x.knocks {
		if !slices.Contains(out, k.dev.Part) {
			out = append(out, k.dev.Part)
		}
	}
	return out
}

// take removes a participant's devices from the row.
func (x *lobby) take(p *model.Participant) []*knock {
	var out []*knock
	x.knocks = slices.DeleteFunc(x.knocks, func(k *knock) bool {
		if k.dev.Part == p {
			out = append(out, k)
		}
		return k.dev.Part == p
	})
	return out
}

// admit lets one in with all devices that wait; an empty role is the token's.
func (x *lobby) admit(t *turn, p *model.Participant, role api.Role) {
	ks := x.take(p)
	if role == "" {
		role = ks[0].role
	}
	p.AdmittedBy = t.caller.By.Subject
	x.past.add(p.ID, "admitted")
	x.m.joins.becomeJoined(t, p, role, ks[0].dev.ID)
	x.changed(t, p, "admitted", "")
	for _, k := range ks {
		k.dev.Status, k.dev.JoinedAt = model.Connected, t.now
		t.tell(k.dev.Session, "lobby.changed", map[string]any{"state": "admitted", "role": role})
		res := x.m.joins.let(t, k.dev, x.allowed(role, k.join))
		t.effect(JoinSettled{Session: k.dev.Session, Result: res})
	}
}

// allowed leaves out what a person admitted in this role may not publish (or
// nobody may, by now); the result of the join says what was published.
func (x *lobby) allowed(role api.Role, p api.JoinParams) api.JoinParams {
	var have []*model.Track
	wanted := p.Tracks
	p.Tracks = nil
	for _, w := range wanted {
		if x.m.tracks.check(role, nil, have, w) == nil {
			p.Tracks = append(p.Tracks, w)
			have = append(have, &model.Track{CID: w.CID, Source: w.Source})
		}
	}
	return p
}

// reject sends one away. The row lingers for moderators only.
func (x *lobby) reject(t *turn, p *model.Participant, reason string) {
	by := t.caller.By.Subject
	for _, k := range x.take(p) {
		t.tell(k.dev.Session, "lobby.changed", map[string]any{"state": "rejected", "reason": reason})
		t.effect(JoinSettled{Session: k.dev.Session, Err: fault.New(603, "declined", "a moderator did not let you in")})
		x.m.devices.drop(t, k.dev, model.Booted, reason, by)
	}
	x.past.add(p.ID, "rejected")
	p.State, p.LeftAt = model.Left, t.now
	x.changed(t, p, "rejected", reason)
}

// left takes out a device that went by itself, or whose conference ended.
// Nobody but moderators knew of it, so nothing lingers.
func (x *lobby) left(t *turn, d *model.Device, how model.Departure, why string) {
	i := x.find(d)
	if i < 0 {
		return
	}
	x.knocks = slices.Delete(x.knocks, i, i+1)
	err := fault.New(487, "cancelled", "left the lobby")
	if x.m.finishing {
		err = errGone().(*fault.Error)
	}
	t.effect(JoinSettled{Session: d.Session, Err: err})
	p := d.Part
	x.m.devices.drop(t, d, how, why, "")
	x.m.devices.forget(t, d)
	if !slices.Contains(x.parts(), p) {
		x.past.add(p.ID, "left")
		p.State = model.Left
		x.changed(t, p, "left", "")
	}
}

// open lets in whom no rule holds any more: the lobby was switched off, or a
// moderator came.
func (x *lobby) open(t *turn) {
	if len(x.knocks) == 0 {
		return
	}
	moderated := x.moderated()
	for _, p := range x.parts() {
		i := slices.IndexFunc(x.knocks, func(k *knock) bool { return k.dev.Part == p })
		if x.m.cfg.Policy.Waits(x.knocks[i].grant, moderated) || x.m.joins.full() {
			continue
		}
		x.admit(t, p, "")
	}
}

// outcomes remembers what became of those who waited, so that the slower of
// two moderators is told. Bounded; older ones are unknown again.
type outcomes struct {
	of   map[ids.Participant]string
	list []ids.Participant
}

// rememberOutcomes is a few hundred: two moderators differ by seconds.
const rememberOutcomes = 256

func (o *outcomes) add(p ids.Participant, outcome string) {
	if o.of == nil {
		o.of = map[ids.Participant]string{}
	}
	if _, known := o.of[p]; !known {
		if len(o.list) == rememberOutcomes {
			delete(o.of, o.list[0])
			o.list = o.list[1:]
		}
		o.list = append(o.list, p)
	}
	o.of[p] = outcome
}
