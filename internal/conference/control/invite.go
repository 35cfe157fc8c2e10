package control

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
)

// Inviter makes the codes that are put behind a conference's link; package
// auth implements it.
type Inviter interface {
	Invite(room string, role api.Role, ttl time.Duration) (string, error)
}

const (
	maxTargets = 100
	inviteWait = 60 * time.Second // when timeoutS is not given
	maxInvite  = 24 * time.Hour
	codeTTL    = 7 * 24 * time.Hour
)

// DialProgress are the parameters of fact Dialled: how calling somebody goes.
type DialProgress struct {
	User   string
	Device ids.Device
	Status model.Status    // dialing-out, alerting, connected (answered), disconnected
	How    model.Departure // failed, busy, or booted: cancelled
	Why    string
}

// Dialled is the fact that a call that the focus makes has come on.
const Dialled = "dial.progress"

// invite asks people in: by a link that somebody hands to them, or by calling
// them, which needs a gateway that this version does not have.
func invite(m *Machine, t *turn, p api.InviteParams) (any, error) {
	if m.conf.Main != nil {
		return nil, fault.New(405, "method-not-allowed", "people are asked into the main conference")
	}
	if !moderates(t.power()) {
		switch {
		case !m.cfg.Policy.AllowInvite:
			return nil, errForbidden()
		case m.conf.Locked:
			return nil, errLocked()
		}
	}
	if m.conf.Phase != model.Active {
		return nil, errGone()
	}
	wait, err := m.invitations.check(t, p.Targets, p.TimeoutS)
	if err != nil {
		return nil, err
	}
	return api.InviteResult{Targets: m.invitations.all(t, p.Targets, wait)}, nil
}

// invitations is how people are asked in.
type invitations struct{ m *Machine }

func (x *invitations) check(t *turn, targets []api.InviteTarget, timeoutS int) (time.Duration, error) {
	wait := time.Duration(timeoutS) * time.Second
	switch {
	case len(targets) == 0 || timeoutS < 0 || wait > maxInvite:
		return 0, errBadParams("targets or timeoutS")
	case len(targets) > maxTargets:
		return 0, fault.New(413, "too-large", "at most %d targets", maxTargets)
	}
	for _, g := range targets {
		switch {
		case g.URI == "" || len(g.URI) > maxName || strings.ContainsFunc(g.URI, func(r rune) bool { return r <= ' ' || r > '~' }):
			return 0, errBadParams("uri")
		case g.Mode != "" && g.Mode != "ask" && g.Mode != "dial":
			return 0, errBadParams("mode")
		case g.Role != "" && !grantable(t.power(), g.Role):
			return 0, errForbidden()
		}
	}
	return cmp.Or(wait, inviteWait), nil
}

// grantable reports whether somebody may invite as a role: nobody gives away
// more than they have, and only moderators more than an attendee is.
func grantable(by, role api.Role) bool {
	switch role {
	case api.RoleAttendee, api.RoleObserver:
		return true
	case api.RolePresenter:
		return moderates(by)
	case api.RoleModerator:
		return moderates(by)
	case api.RoleOwner:
		return by == api.RoleOwner
	}
	return false
}

// all invites one after another; each has an outcome of its own.
func (x *invitations) all(t *turn, targets []api.InviteTarget, wait time.Duration) []api.InviteOutcome {
	out := make([]api.InviteOutcome, 0, len(targets))
	for i, g := range targets {
		again := slices.ContainsFunc(targets[:i], func(o api.InviteTarget) bool { return o.URI == g.URI })
		switch {
		case again:
			out = append(out, api.InviteOutcome{URI: g.URI, Code: 409, Reason: "duplicate"})
		case g.Mode == "dial":
			out = append(out, x.dial(t, g))
		default:
			out = append(out, x.ask(t, g, wait))
		}
	}
	t.effect(Progress{183, api.InviteResult{Targets: progress(out)}})
	return out
}

// progress is what can be told before the outcome.
func progress(final []api.InviteOutcome) []api.InviteOutcome {
	var out []api.InviteOutcome
	for _, o := range final {
		if o.Code == 200 {
			o = api.InviteOutcome{URI: o.URI, Code: 183, Reason: "progress"}
		}
		out = append(out, o)
	}
	return out
}

// dial would call somebody. The row comes and goes as it will once calls can
// be made, so that people see who was tried.
func (x *invitations) dial(t *turn, g api.InviteTarget) api.InviteOutcome {
	if x.m.devices.expected(g.URI) {
		return api.InviteOutcome{URI: g.URI, Code: 409, Reason: "duplicate"}
	}
	d := x.m.devices.invited(t, g)
	d.DialedOut = true
	x.m.devices.failed(t, d, `SIP;cause=480;text="Calls are not available yet"`)
	return api.InviteOutcome{URI: g.URI, Code: 480, Reason: "not-available-yet"}
}

// ask makes a link. The row waits until the person comes.
func (x *invitations) ask(t *turn, g api.InviteTarget, wait time.Duration) api.InviteOutcome {
	if x.m.devices.expected(g.URI) {
		return api.InviteOutcome{URI: g.URI, Code: 409, Reason: "duplicate"}
	}
	if x.m.cfg.Inviter == nil {
		return api.InviteOutcome{URI: g.URI, Code: 501, Reason: "not-available-yet"}
	}
	code, err := x.m.cfg.Inviter.Invite(x.m.conf.URI, cmp.Or(g.Role, api.RoleAttendee), codeTTL)
	if err != nil {
		return api.InviteOutcome{URI: g.URI, Code: 500, Reason: "server-error"}
	}
	d := x.m.devices.invited(t, g)
	x.m.at(t.now.Add(wait), func(t *turn) { x.m.devices.giveUp(t, d) })
	return api.InviteOutcome{URI: g.URI, Code: 200, Invite: code}
}

// invitedDevice is the endpoint of somebody of whom no device is known yet.
const invitedDevice = ids.Device("invited")

// expected reports whether a person is here, or is waited for, already.
func (x *devices) expected(user string) bool {
	part := x.m.conf.Participants[user]
	return part != nil && part.State != model.Left
}

// invited makes a pending row.
func (x *devices) invited(t *turn, g api.InviteTarget) *model.Device {
	part := x.m.joins.row(g.URI)
	part.State, part.LeftAt = model.Invited, 0
	if part.Role == "" {
		part.Role = cmp.Or(g.Role, api.RoleAttendee)
	}
	if part.Order == 0 {
		part.Order = x.m.nextOrder()
	}
	d := &model.Device{
		ID: invitedDevice, Part: part, Status: model.Pending, Reach: model.ReachOK, JoinedAt: t.now,
		Receives: map[string]int{},
	}
	d.Referred = &model.Referral{By: t.caller.By.Subject, When: t.now}
	part.Devices[d.ID] = d
	t.touch(part)
	return d
}

// answered takes an invitation's place with the device that came, and gives
// an announced device its own.
func (x *devices) answered(d *model.Device) {
	if d.Referred != nil {
		return
	}
	if old := d.Part.Devices[invitedDevice]; old != nil && old != d {
		d.Referred, d.DialedOut = old.Referred, old.DialedOut
		delete(d.Part.Devices, invitedDevice)
	}
}

// dialled follows a call of the focus: pending, dialing-out, alerting, then
// answered or not. A cancelled call stays ended though the answer may cross.
func dialled(m *Machine, t *turn, p DialProgress) (any, error) {
	d := m.devices.named(p.User, p.Device)
	if d == nil || !model.Allowed(model.LifeEndpoint, string(d.Status), string(p.Status)) {
		return already(), nil
	}
	switch p.Status {
	case model.DialingOut, model.Alerting:
		d.Status, d.DialedOut = p.Status, true
		t.touch(d.Part)
	case model.Disconnected:
		how := cmp.Or(p.How, model.Failed)
		if s := d.Session; s != "" { // its leg has joined: it has media, and a place in the room
			m.devices.gone(t, d, how, p.Why, "")
			t.effect(SayGoodbye{s, api.Goodbye{Kind: "goodbye", Action: "disconnect", Reason: "cancelled"}})
			return done(), nil
		}
		m.devices.failed(t, d, p.Why)
		d.Gone = how
	default:
		return already(), nil // an answered leg joins by itself
	}
	return done(), nil
}
