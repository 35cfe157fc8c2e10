package policy

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"parley/api"
	"parley/internal/base/fault"
)

// Floor algorithms (RFC 6501, section 4.5.7).
const (
	ModeratorControlled = "moderator-controlled"
	FCFS                = "FCFS" // first come, first served
)

// Settings are the rules that people set for their conference, by
// conference.setPolicy or in its definition. See [Policy.With].
type Settings struct {
	Lobby          bool   // newcomers below presenter wait for a moderator
	WaitModerator  bool   // they wait until a moderator is there
	SingleDevice   bool   // a person's second device is refused, or takes over
	AllowSidebars  bool   // by anyone joined
	AllowInvite    bool   // by anyone joined
	Chat           bool   // attendees may write
	FloorAlgorithm string // of all floors
	MaxFloorUsers  int    // holders of one floor at a time
	FloorMutes     bool   // media of a floor's label is heard from its holders only
	FloorChair     string // user who decides over requests beside the moderators; empty: nobody
	Floors         string // labels with a floor, sorted, separated by spaces
	Topology       string
	// AllowDiscouraged: the standards advise against the topology, and it is wanted.
	AllowDiscouraged bool
	LastN            int // cameras that a receiver is sent at most; 0: all
	LoudestK         int // microphones that are heard at a time; 0: all
	// E2EE: media is encrypted end to end, so that nothing may be done for which
	// the server would have to look into it.
	E2EE bool
}

// Blind reports whether a topology only forwards: with any other the server
// would decode media. Peers among themselves are left out as well, see ADR 15.
func Blind(topology string) bool {
	switch topology {
	case "", api.TopologyAuto, api.TopologySFU, api.TopologySwitch:
		return true
	}
	return false
}

// ErrEncrypted refuses what cannot be where media is encrypted end to end.
func ErrEncrypted(code int, why string) error {
	return fault.New(code, "e2ee-required", "this conference is end-to-end encrypted: %s", why)
}

// maxFloorUsers bounds the holders of a floor; more is no floor any more.
const maxFloorUsers = 100

// maxSelected bounds LastN and LoudestK: more are no choice any more.
const maxSelected = 1000

// maxChair bounds the name of a user.
const maxChair = 256

// With returns the rules with a conference's own put over them. Nil members
// leave what was. Nobody may allow more users than the house does.
func (p Policy) With(a api.Policy, house Policy) (Policy, error) {
	set(&p.Lobby, a.Lobby)
	set(&p.WaitModerator, a.WaitModerator)
	set(&p.SingleDevice, a.SingleDevice)
	set(&p.AllowSidebars, a.AllowSidebars)
	set(&p.AllowInvite, a.AllowInvite)
	set(&p.Chat, a.Chat)
	set(&p.FloorMutes, a.FloorMutes)
	set(&p.MaxFloorUsers, a.MaxFloorUsers)
	set(&p.MaxUsers, a.MaxUsers)
	set(&p.AllowDiscouraged, a.AllowDiscouraged)
	set(&p.LastN, a.LastN)
	set(&p.LoudestK, a.LoudestK)
	set(&p.E2EE, a.E2EE)
	if p.E2EE && a.Topology == "" && !Blind(p.Topology) { // the house's, not what was asked for
		p.Topology, p.AllowDiscouraged = "", false
	}
	if a.OneScreen != nil {
		p.MaxScreens = 0
		if *a.OneScreen {
			p.MaxScreens = 1
		}
	}
	if a.FloorAlgorithm != "" {
		p.FloorAlgorithm = a.FloorAlgorithm
	}
	if a.Topology != "" {
		p.Topology = a.Topology
	}
	set(&p.FloorChair, a.FloorChair)
	if a.Floors != nil {
		p.Floors = strings.Join(slices.Compact(slices.Sorted(slices.Values(a.Floors))), " ")
	}
	return p, p.check(house)
}

// Under returns the house's rules p with what a definition says put over them.
// What the house does not allow (any more) is left out, and nothing else is:
// a lobby must not open because a number is wrong.
func (p Policy) Under(a api.Policy) Policy {
	if q, err := p.With(a, p); err == nil {
		return q
	}
	safe := api.Policy{
		Lobby: a.Lobby, WaitModerator: a.WaitModerator, SingleDevice: a.SingleDevice,
		AllowSidebars: a.AllowSidebars, AllowInvite: a.AllowInvite, Chat: a.Chat, OneScreen: a.OneScreen,
		E2EE: a.E2EE,
	}
	q, _ := p.With(safe, p) // booleans pass
	for _, one := range []api.Policy{
		{MaxUsers: a.MaxUsers}, {MaxFloorUsers: a.MaxFloorUsers}, {FloorAlgorithm: a.FloorAlgorithm},
		{LastN: a.LastN}, {LoudestK: a.LoudestK}, {Floors: a.Floors, FloorMutes: a.FloorMutes}, {FloorChair: a.FloorChair}, {Topology: a.Topology, AllowDiscouraged: a.AllowDiscouraged},
	} {
		if r, err := q.With(one, p); err == nil {
			q = r
		}
	}
	return q
}

func set[T any](to *T, v *T) {
	if v != nil {
		*to = *v
	}
}

func (p Policy) check(house Policy) error {
	bad := func(what string) error { return fault.New(400, "bad-request", "%s", what) }
	for _, l := range p.FloorLabels() {
		if !slices.Contains(floorLabels, l) {
			return bad("floors: no such label")
		}
	}
	switch {
	case p.FloorAlgorithm != ModeratorControlled && p.FloorAlgorithm != FCFS:
		return bad("floorAlgorithm")
	case p.MaxFloorUsers < 1 || p.MaxFloorUsers > maxFloorUsers:
		return bad("maxFloorUsers")
	case p.MaxUsers < 1 && house.MaxUsers > 0 || p.MaxUsers < 0 || house.MaxUsers > 0 && p.MaxUsers > house.MaxUsers:
		return bad("maxUsers is more than this server allows, or none")
	case p.LastN < 0 || p.LastN > maxSelected:
		return bad("lastN")
	case p.LoudestK < 0 || p.LoudestK > maxSelected:
		return bad("loudestK")
	case len(p.FloorChair) > maxChair || strings.ContainsFunc(p.FloorChair, unicode.IsControl) || !utf8.ValidString(p.FloorChair):
		return bad("floorChair")
	case p.Topology != "" && !slices.Contains(api.Topologies(), p.Topology):
		return bad("topology: no such name")
	case p.E2EE && !Blind(p.Topology):
		return ErrEncrypted(409, "the server cannot do "+p.Topology+" without the keys")
	}
	return nil
}

var floorLabels = []string{"a0", "v0", "s0", "sa0"}

// FloorLabels lists the labels that have a floor, sorted.
func (s Settings) FloorLabels() []string { return strings.Fields(s.Floors) }

// HasFloor reports whether a label has a floor.
func (s Settings) HasFloor(label string) bool { return slices.Contains(s.FloorLabels(), label) }

// API returns all settings in the form they are set in.
func (p Policy) API() api.Policy {
	one := p.MaxScreens == 1
	a := api.Policy{
		Lobby: &p.Lobby, WaitModerator: &p.WaitModerator, MaxUsers: &p.MaxUsers, SingleDevice: &p.SingleDevice,
		AllowSidebars: &p.AllowSidebars, AllowInvite: &p.AllowInvite, Chat: &p.Chat, OneScreen: &one,
		FloorAlgorithm: p.FloorAlgorithm, MaxFloorUsers: &p.MaxFloorUsers, FloorMutes: &p.FloorMutes,
		FloorChair: &p.FloorChair, Floors: p.FloorLabels(), Topology: p.Topology,
	}
	if p.AllowDiscouraged {
		a.AllowDiscouraged = &p.AllowDiscouraged
	}
	if p.LastN != 0 {
		a.LastN = &p.LastN
	}
	if p.LoudestK != 0 {
		a.LoudestK = &p.LoudestK
	}
	if p.E2EE {
		a.E2EE = &p.E2EE
	}
	return a
}

// Waits reports whether a newcomer with this grant waits in the lobby. An
// invitation as presenter or more is a moderator's word already; a token that
// grants no more than the lobby waits in any conference.
func (p Policy) Waits(granted api.Role, moderated bool) bool {
	switch {
	case granted == api.RoleLobby:
		return true
	case AtLeast(granted, api.RolePresenter):
		return false
	}
	return p.Lobby || p.WaitModerator && !moderated
}

// MayChat reports whether role r may write to the others. Observers only read.
func (p Policy) MayChat(r api.Role) bool {
	if p.Chat {
		return AtLeast(r, api.RoleAttendee)
	}
	return AtLeast(r, api.RolePresenter)
}

// MaySetRole reports whether role by may turn a participant of role from into
// role to: owners all, moderators what is below their own.
func MaySetRole(by, from, to api.Role) bool {
	if by == api.RoleOwner {
		return true
	}
	return by == api.RoleModerator && !AtLeast(from, api.RoleModerator) && !AtLeast(to, api.RoleModerator)
}
