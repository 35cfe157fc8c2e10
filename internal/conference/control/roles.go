package control

import (
	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// part finds a participant by name.
func (x *devices) part(id string) (*model.Participant, error) {
	for _, p := range x.m.conf.Participants {
		if p.ID == ids.Participant(id) {
			return p, nil
		}
	}
	return nil, errNoPart()
}

func setRole(m *Machine, t *turn, p api.SetRoleParams) (any, error) {
	if !policy.Known(p.Role) || p.Role == api.RoleLobby {
		return nil, errBadParams("role")
	}
	part, err := m.devices.part(p.Part)
	switch {
	case err != nil:
		return nil, err
	case part.State != model.Joined:
		return nil, fault.New(409, "bad-state", "this person is not in the conference")
	case !policy.MaySetRole(t.power(), part.Role, p.Role):
		return nil, errForbidden()
	case part.Role == p.Role:
		return already(), nil
	case part.Role == api.RoleOwner && m.devices.owners() == 1:
		return nil, fault.New(409, "last-owner", "somebody has to own the conference")
	}
	if err := t.fresh(part.Rev); err != nil {
		return nil, err
	}
	old := part.Role
	part.Role = p.Role
	t.touch(part)
	t.event("role.changed", map[string]any{"part": part.ID, "user": part.User, "role": p.Role, "was": old})
	m.tracks.settleRights(t, part)
	m.lobby.open(t) // there may be a moderator now
	return done(), nil
}

func (x *devices) owners() int {
	n := 0
	for _, p := range x.m.conf.Participants {
		if p.State == model.Joined && p.Role == api.RoleOwner {
			n++
		}
	}
	return n
}

// settleRights mutes what a person may no longer publish; it ends after a
// while, in which the role may be given back.
func (x *tracks) settleRights(t *turn, p *model.Participant) {
	lost := false
	for _, k := range x.matching(func(k *model.Track) bool { return k.Device.Part == p }) {
		may := x.m.cfg.Policy.MayPublish(p.Role, k.Source)
		x.hold(t, k, model.HeldByRole, !may)
		lost = lost || !may
	}
	if !lost {
		return
	}
	x.m.at(t.now.Add(x.m.cfg.Policy.Unpublish), func(t *turn) {
		for _, k := range x.matching(func(k *model.Track) bool {
			return k.Device.Part == p && k.Held&model.HeldByRole != 0
		}) {
			x.endForbidden(t, k)
		}
	})
}

// endForbidden ends a track whose owner may not publish it (any more).
func (x *tracks) endForbidden(t *turn, k *model.Track) {
	x.end(t, k, "forbidden")
	t.out.Events[len(t.out.Events)-1].Fields["code"] = 403
}
