// Package policy answers who may do what in a conference: which roles may give
// which command, what a newcomer's role becomes, and the caps on what one
// device may hold. Pure functions over values; it keeps no state and changes
// none. Decisions that depend on the conference's state belong to control.
package policy

import (
	"time"

	"parley/api"
)

// Policy is the set of rules of one conference. See [Default].
type Policy struct {
	Dev        bool          // development server: anyone may start and join
	MaxUsers   int           // participants with a live device; 0: no cap
	MaxTracks  int           // published per device
	MaxSubs    int           // subscriptions per media session
	MaxScreens int           // screens shared at a time in the conference; 0: no cap
	EmptyAfter time.Duration // an active conference with nobody in it ends
	Grace      time.Duration // a suspended session may come back
	Linger     time.Duration // the row of one who left stays in the roster
	Takeover   time.Duration // the old connection of a replaced session stays at most
	MaxEnding  time.Duration // announced end: at most this far ahead
	RestartMax time.Duration // an ICE restart that never came is forgotten
	Unpublish  time.Duration // tracks of who lost the right to publish end after it
	MaxLobby   int           // who may wait at a time

	Settings
}

// Default returns the rules of section 3 and 4.3 of the protocol.
func Default() Policy {
	return Policy{
		MaxUsers: 1000, MaxTracks: 25, MaxSubs: 200, MaxScreens: 1,
		EmptyAfter: 300 * time.Second, Grace: 30 * time.Second, Linger: 30 * time.Second,
		Takeover: 5 * time.Second, MaxEnding: 10 * time.Minute, RestartMax: 15 * time.Second,
		Unpublish: 5 * time.Second, MaxLobby: 200,
		Settings: Settings{Chat: true, FloorAlgorithm: ModeratorControlled, MaxFloorUsers: 1},
	}
}

// rank orders the roles; a higher one may do all a lower one may.
var rank = map[api.Role]int{
	api.RoleLobby: 1, api.RoleObserver: 2, api.RoleAttendee: 3,
	api.RolePresenter: 4, api.RoleModerator: 5, api.RoleOwner: 6,
}

// AtLeast reports whether role r includes the rights of want.
func AtLeast(r, want api.Role) bool { return rank[r] >= rank[want] && rank[r] > 0 }

// Known reports whether r is one of the roles.
func Known(r api.Role) bool { return rank[r] > 0 }

// Who says which callers may give a command.
type Who struct {
	Min     api.Role // lowest role among the joined; empty: nobody by role
	Service bool     // a service key may, without having joined
	Outside bool     // the caller need not have joined: the handler decides by the principal
}

// Allows reports whether a joined caller of role r may.
func (w Who) Allows(r api.Role) bool { return w.Min != "" && AtLeast(r, w.Min) }

// JoinRole decides the role of a newcomer from what the token grants and what
// the client wishes: a wish may lower the role, never raise it.
func (p Policy) JoinRole(granted, wish api.Role, creator bool) api.Role {
	if !Known(granted) || granted == api.RoleLobby {
		granted = api.RoleAttendee
		if p.Dev {
			granted = api.RolePresenter // a development guest may share a screen
		}
	}
	if creator && p.Dev {
		granted = api.RoleOwner
	}
	if Known(wish) && wish != api.RoleLobby && AtLeast(granted, wish) {
		return wish
	}
	return granted
}

// MayStart reports whether a principal with this grant may bring a conference
// into being, by command or by joining first.
func (p Policy) MayStart(granted api.Role, service, tokenForRoom bool) bool {
	return p.Dev || service || tokenForRoom || AtLeast(granted, api.RoleModerator)
}

// MayPublish reports whether role r may publish a source of this kind.
func (p Policy) MayPublish(r api.Role, source string) bool {
	if source == "screen" || source == "screenAudio" {
		return AtLeast(r, api.RolePresenter)
	}
	return AtLeast(r, api.RoleAttendee)
}
