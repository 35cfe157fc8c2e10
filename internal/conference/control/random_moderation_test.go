package control_test

import (
	"fmt"
	"math/rand/v2"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/conference/control"
)

// randomModeration gives a random command of moderation about somebody who is
// or was there.
func randomModeration(r *rand.Rand, h *hall, who control.Caller) (any, *fault.Error) {
	part := fmt.Sprint("part_", 1+r.IntN(20))
	for _, user := range sortedKeys(h.m.Conference().Participants) {
		if r.IntN(3) > 0 {
			part = string(h.m.Conference().Participants[user].ID)
		}
	}
	role := []api.Role{api.RoleOwner, api.RoleModerator, api.RolePresenter, api.RoleAttendee, api.RoleObserver}[r.IntN(5)]
	request := fmt.Sprint(1 + r.IntN(12))
	flip := func() *bool { return new(r.IntN(2) == 0) }
	switch r.IntN(16) {
	case 0:
		if r.IntN(8) > 0 { // rules that change all the time let nothing grow under them
			return nil, nil
		}
		p := api.Policy{Lobby: flip(), WaitModerator: flip(), SingleDevice: flip(), Chat: flip(), FloorMutes: flip()}
		p.FloorAlgorithm = []string{"", "FCFS", "moderator-controlled"}[r.IntN(3)]
		p.Floors = [][]string{nil, {}, {"a0"}, {"a0", "v0"}}[r.IntN(4)]
		p.MaxFloorUsers = new(1 + r.IntN(3))
		return h.do(who, api.PolicySet, api.SetPolicyParams{Policy: p, Unban: []string{fmt.Sprint("p", r.IntN(5))}})
	case 1:
		return h.do(who, api.ParticipantSetRole, api.SetRoleParams{Part: part, Role: role})
	case 2:
		return h.do(who, api.ConferenceLock, api.LockParams{AllowReturning: r.IntN(2) == 0})
	case 3, 4:
		return h.do(who, api.ConferenceUnlock, api.LockParams{})
	case 5, 6:
		return h.do(who, api.LobbyAdmit, api.AdmitParams{Parts: []string{part}, All: r.IntN(2) == 0, Role: []api.Role{"", role}[r.IntN(2)]})
	case 7:
		return h.do(who, api.LobbyReject, api.AdmitParams{Parts: []string{part}, Reason: "no"})
	case 8:
		return h.do(who, api.ParticipantExpel, api.ExpelParams{Part: part, Ban: r.IntN(6) == 0, RejoinAfterS: r.IntN(20)})
	case 9:
		return h.do(who, api.HandRaise, api.PartParams{})
	case 10:
		return h.do(who, api.HandLower, api.PartParams{Part: []string{"", part}[r.IntN(2)]})
	case 11:
		return h.do(who, api.FloorRequestMethod, api.FloorRequestParams{Floor: []string{"a0", "v0"}[r.IntN(2)], Priority: r.IntN(5)})
	case 12:
		method := []string{api.FloorGrant, api.FloorDeny, api.FloorRevoke, api.FloorRelease}[r.IntN(4)]
		return h.do(who, method, api.FloorActionParams{Request: request})
	case 13:
		return h.do(who, api.PresenceUpdate, api.PresenceParams{State: "away", Typing: r.IntN(2) == 0})
	case 14:
		return h.do(who, api.ChatSend, api.ChatParams{Text: "hello", To: [][]string{nil, {part}, {"role:moderator"}}[r.IntN(3)]})
	}
	wide := api.MuteParams{Medium: []string{"audio", "video"}[r.IntN(2)], Scope: []string{"", "all", "others"}[r.IntN(3)], Part: []string{"", part}[r.IntN(2)]}
	return h.do(who, []string{api.TrackMute, api.TrackUnmute}[r.IntN(2)], wide)
}

// floorsHold checks that no floor has more holders than it may, and that
// nobody is heard whom a floor silences.
func floorsHold(h *hall) error {
	c := h.m.Conference()
	for _, f := range c.Floors {
		holders := map[string]bool{}
		for _, q := range f.Requests {
			if q.Status == "granted" {
				holders[q.User] = true
			}
			if p := c.Participants[q.User]; p == nil || !p.Live() {
				return fmt.Errorf("floor %s: %s is not there", f.Label, q.User)
			}
		}
		if len(holders) > *c.Conditions.MaxFloorUsers {
			return fmt.Errorf("floor %s has %d holders of %d", f.Label, len(holders), *c.Conditions.MaxFloorUsers)
		}
		for _, k := range c.Tracks {
			if k.Label == f.Label && *c.Conditions.FloorMutes && !holders[k.Device.Part.User] && !k.Muted() {
				return fmt.Errorf("%s is heard without the floor", k.ID)
			}
		}
	}
	ranks := map[int]bool{}
	for _, p := range c.Participants {
		if p.HandRank > 0 {
			if ranks[p.HandRank] || !p.Live() {
				return fmt.Errorf("hand of %s: rank %d", p.User, p.HandRank)
			}
			ranks[p.HandRank] = true
		}
	}
	for n := range len(ranks) {
		if !ranks[n+1] {
			return fmt.Errorf("ranks of hands have a gap: %v", ranks)
		}
	}
	return nil
}
