package policy

import (
	"testing"

	"parley/api"
)

func TestWaits(t *testing.T) {
	for _, r := range []struct {
		lobby, moderator, there bool
		granted                 api.Role
		want                    bool
	}{
		{false, false, false, api.RoleAttendee, false},
		{false, false, true, api.RoleLobby, true}, // a token that grants the lobby only
		{true, false, true, "", true},
		{true, false, true, api.RoleObserver, true},
		{true, false, true, api.RoleAttendee, true},
		{true, false, true, api.RolePresenter, false}, // invited as more than a listener
		{true, true, true, api.RoleModerator, false},
		{false, true, false, api.RoleAttendee, true},
		{false, true, true, api.RoleAttendee, false},
		{false, true, false, api.RoleOwner, false},
	} {
		p := Policy{Settings: Settings{Lobby: r.lobby, WaitModerator: r.moderator}}
		if got := p.Waits(r.granted, r.there); got != r.want {
			t.Errorf("%+v: %v", r, got)
		}
	}
}

func TestMaySetRole(t *testing.T) {
	all := []api.Role{api.RoleOwner, api.RoleModerator, api.RolePresenter, api.RoleAttendee, api.RoleObserver}
	for _, by := range all {
		for _, from := range all {
			for _, to := range all {
				high := from == api.RoleOwner || from == api.RoleModerator || to == api.RoleOwner || to == api.RoleModerator
				want := by == api.RoleOwner || by == api.RoleModerator && !high
				if got := MaySetRole(by, from, to); got != want {
					t.Errorf("%s makes %s %s: %v", by, from, to, got)
				}
			}
		}
	}
}

func TestWithRefusesWhatTheHouseDoesNotAllow(t *testing.T) {
	house := Default()
	for name, a := range map[string]api.Policy{
		"more users":    {MaxUsers: new(house.MaxUsers + 1)},
		"no users":      {MaxUsers: new(0)},
		"no holders":    {MaxFloorUsers: new(0)},
		"crowd":         {MaxFloorUsers: new(1000)},
		"dice":          {FloorAlgorithm: "dice"},
		"unknown label": {Floors: []string{"a0", "x"}},
		"topology":      {Topology: "a b"},
	} {
		if _, err := house.With(a, house); err == nil {
			t.Errorf("%s: allowed", name)
		}
	}
	p, err := house.With(api.Policy{Floors: []string{"s0", "a0", "s0"}, OneScreen: new(false), Chat: new(false)}, house)
	if err != nil || p.Floors != "a0 s0" || p.MaxScreens != 0 || p.Chat || p.MaxUsers != house.MaxUsers {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestUnderKeepsTheLobbyShut: a definition with one number that is wrong by now
// loses that number and nothing else.
func TestUnderKeepsTheLobbyShut(t *testing.T) {
	house := Default()
	p := house.Under(api.Policy{
		Lobby: new(true), Chat: new(false), MaxUsers: new(house.MaxUsers * 2), MaxFloorUsers: new(3),
		Floors: []string{"zz"}, FloorMutes: new(true), FloorAlgorithm: FCFS,
	})
	if !p.Lobby || p.Chat || p.MaxUsers != house.MaxUsers || p.MaxFloorUsers != 3 || p.FloorAlgorithm != FCFS || p.Floors != "" {
		t.Errorf("%+v", p)
	}
	if q := house.Under(house.API()); q != house {
		t.Errorf("what is told does not set what is: %+v", q)
	}
}
