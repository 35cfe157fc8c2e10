package control

import (
	"cmp"
	"slices"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// maxRejoin is the longest ban that ends by itself: what should last longer is
// for good, and survives the conference.
const maxRejoin = 24 * time.Hour

func expel(m *Machine, t *turn, p api.ExpelParams) (any, error) {
	if (p.Part == "") == (p.Dev == "") || p.RejoinAfterS < 0 ||
		time.Duration(p.RejoinAfterS)*time.Second > maxRejoin || !validText(p.Reason, maxWhy) {
		return nil, errBadParams("part or dev, reason, rejoinAfterS")
	}
	part, devs, err := m.devices.expelled(p)
	switch {
	case err != nil:
		return nil, err
	case part.State != model.Lobby && part.Role == api.RoleOwner && !t.mayPutOut(part):
		return nil, fault.New(403, "forbidden", "owners are put out by nobody in the conference")
	case part.State != model.Lobby && !t.mayPutOut(part):
		return nil, errOutranks()
	}
	if err := t.fresh(part.Rev); err != nil {
		return nil, err
	}
	banned := ban(m, t, part.User, p)
	if part.State == model.Lobby {
		m.lobby.reject(t, part, p.Reason)
		return done(), nil
	}
	if len(devs) == 0 {
		if banned {
			return done(), nil
		}
		return already(), nil
	}
	t.event("participant.expelled", map[string]any{
		"part": part.ID, "user": part.User, "reason": p.Reason, "ban": p.Ban,
	})
	for _, d := range devs {
		m.devices.expel(t, d, p.Reason)
	}
	return done(), nil
}

// mayPutOut reports whether the caller may put somebody out: who has more to
// say may not be, and an owner by nobody but themself and a service key.
func (t *turn) mayPutOut(p *model.Participant) bool {
	if p.Role == api.RoleOwner {
		return t.dev == nil && t.caller.By.Service || t.dev != nil && t.dev.Part == p
	}
	return policy.AtLeast(t.power(), p.Role)
}

// expelled finds the person and the live devices that an expulsion is about.
func (x *devices) expelled(p api.ExpelParams) (*model.Participant, []*model.Device, error) {
	part, err := x.part(p.Part)
	if p.Dev != "" {
		if part, err = x.owner(ids.Device(p.Dev)); err == nil {
			if d := part.Devices[ids.Device(p.Dev)]; d.Status.Live() {
				return part, []*model.Device{d}, nil
			}
			return part, nil, nil
		}
	}
	if err != nil {
		return nil, nil, err
	}
	var devs []*model.Device
	for _, d := range part.Devices {
		if d.Status.Live() {
			devs = append(devs, d)
		}
	}
	slices.SortFunc(devs, func(a, b *model.Device) int { return cmp.Compare(a.ID, b.ID) })
	return part, devs, nil
}

// owner finds whose device that is. Names of devices are the clients' own: one
// that several people use names nobody.
func (x *devices) owner(id ids.Device) (*model.Participant, error) {
	var found *model.Participant
	for _, p := range x.m.conf.Participants {
		if p.Devices[id] == nil {
			continue
		}
		if found != nil {
			return nil, fault.New(409, "conflict", "several devices have this name; say whose by part")
		}
		found = p
	}
	if found == nil {
		return nil, fault.New(404, "not-found", "no such device")
	}
	return found, nil
}

// expel puts a device out. Its session ends with it, so that there is nothing
// to resume.
func (x *devices) expel(t *turn, d *model.Device, reason string) {
	s := d.Session
	x.gone(t, d, model.Booted, reason, t.caller.By.Subject)
	t.effect(SayGoodbye{s, api.Goodbye{Kind: "goodbye", Action: "disconnect", Reason: "expelled"}})
}

// ban keeps a person out, for good or for a while, and reports whether that is
// new. Only what is for good is remembered across restarts.
func ban(m *Machine, t *turn, user string, p api.ExpelParams) bool {
	var until clock.Time
	switch {
	case p.Ban:
		if m.bans.add(user, 0) {
			t.dirty = true
			t.effect(Remember{Ban: []string{user}})
			return true
		}
	case p.RejoinAfterS > 0:
		until = t.now.Add(time.Duration(p.RejoinAfterS) * time.Second)
		if m.bans.add(user, until) {
			t.dirty = true
			return true
		}
	}
	return false
}
