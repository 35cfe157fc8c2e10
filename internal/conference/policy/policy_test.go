package policy

import (
	"testing"

	"parley/api"
)

func TestJoinRole(t *testing.T) {
	rows := []struct {
		name          string
		dev, creator  bool
		granted, wish api.Role
		want          api.Role
	}{
		{"as granted", false, false, api.RoleModerator, "", api.RoleModerator},
		{"a wish lowers", false, false, api.RoleModerator, api.RoleObserver, api.RoleObserver},
		{"a wish never raises", false, false, api.RoleAttendee, api.RoleOwner, api.RoleAttendee},
		{"an unknown wish is nothing", false, false, api.RoleAttendee, "king", api.RoleAttendee},
		{"nobody wishes the lobby", false, false, api.RoleAttendee, api.RoleLobby, api.RoleAttendee},
		{"no grant is an attendee", false, false, "", "", api.RoleAttendee},
		{"a guest in development presents", true, false, "", "", api.RolePresenter},
		{"who starts a room in development owns it", true, true, "", "", api.RoleOwner},
		{"who starts a room elsewhere has what was granted", false, true, api.RoleModerator, "", api.RoleModerator},
	}
	for _, r := range rows {
		if got := (Policy{Dev: r.dev}).JoinRole(r.granted, r.wish, r.creator); got != r.want {
			t.Errorf("%s: %s, want %s", r.name, got, r.want)
		}
	}
}

func TestRolesAreOrdered(t *testing.T) {
	order := []api.Role{api.RoleLobby, api.RoleObserver, api.RoleAttendee, api.RolePresenter, api.RoleModerator, api.RoleOwner}
	for i, a := range order {
		for j, b := range order {
			if AtLeast(a, b) != (i >= j) {
				t.Errorf("AtLeast(%s, %s) = %v", a, b, AtLeast(a, b))
			}
		}
	}
	if AtLeast("", "") || Known("king") {
		t.Error("no role has rights")
	}
}

func TestMayStart(t *testing.T) {
	p := Policy{}
	if p.MayStart(api.RoleAttendee, false, false) || !p.MayStart(api.RoleModerator, false, false) ||
		!p.MayStart("", true, false) || !p.MayStart(api.RoleAttendee, false, true) || !(Policy{Dev: true}).MayStart("", false, false) {
		t.Error("who may start a conference")
	}
}
