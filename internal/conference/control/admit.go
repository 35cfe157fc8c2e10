package control

import (
	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// maxParts bounds how many people one command may name.
const maxParts = 200

func admitWaiting(m *Machine, t *turn, p api.AdmitParams) (any, error) {
	role := p.Role
	switch {
	case role != "" && (!policy.Known(role) || role == api.RoleLobby):
		return nil, errBadParams("role")
	case role != "" && !policy.MaySetRole(t.power(), api.RoleLobby, role):
		return nil, errForbidden()
	}
	return m.lobby.decide(t, p, "admitted", func(part *model.Participant) { m.lobby.admit(t, part, role) })
}

func rejectWaiting(m *Machine, t *turn, p api.AdmitParams) (any, error) {
	if !validText(p.Reason, maxWhy) {
		return nil, errBadParams("reason")
	}
	return m.lobby.decide(t, p, "rejected", func(part *model.Participant) { m.lobby.reject(t, part, p.Reason) })
}

// decide does to each named person (or all) what a moderator decided. If it is
// too late for every one of them, the refusal says what became of the first.
func (x *lobby) decide(t *turn, p api.AdmitParams, outcome string, do func(*model.Participant)) (any, error) {
	if len(p.Parts) > maxParts || len(p.Parts) == 0 && !p.All {
		return nil, errBadParams("parts or all")
	}
	parts := p.Parts
	if p.All {
		parts = nil
		for _, w := range x.parts() {
			parts = append(parts, string(w.ID))
		}
	}
	if len(parts) == 0 {
		return api.LobbyResult{Already: true}, nil
	}
	if err := x.late(parts); err != nil {
		return nil, err
	}
	var res api.LobbyResult
	for _, id := range parts {
		w := x.named(ids.Participant(id))
		switch {
		case w == nil:
			res.Parts = append(res.Parts, api.LobbyOutcome{Part: id, Code: 409, Outcome: x.past.of[ids.Participant(id)]})
		case outcome == "admitted" && x.m.joins.full():
			if len(res.Parts) == 0 {
				return nil, errFull()
			}
			res.Parts = append(res.Parts, api.LobbyOutcome{Part: id, Code: 486, Outcome: "waiting"})
		default:
			do(w)
			res.Parts = append(res.Parts, api.LobbyOutcome{Part: id, Code: 200, Outcome: outcome})
		}
	}
	return res, nil
}

// late refuses when nobody of those named waits any more.
func (x *lobby) late(parts []string) error {
	known := ""
	for _, id := range parts {
		if x.named(ids.Participant(id)) != nil {
			return nil
		}
		if known == "" {
			known = x.past.of[ids.Participant(id)]
		}
	}
	if known == "" {
		return errNoPart()
	}
	e := fault.New(409, "conflict", "too late, this person %s", map[string]string{
		"admitted": "was admitted", "rejected": "was rejected", "left": "has left",
	}[known])
	e.Data = map[string]any{"outcome": known}
	return e
}

// named finds one who waits in the lobby.
func (x *lobby) named(id ids.Participant) *model.Participant {
	for _, k := range x.knocks {
		if k.dev.Part.ID == id {
			return k.dev.Part
		}
	}
	return nil
}
