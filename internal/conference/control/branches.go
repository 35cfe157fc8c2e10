package control

import (
	"time"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// Facts between conferences. They travel as effect [ToRoom] and arrive as
// internal commands, so that each machine stays the only writer of its own
// state, whatever order they come in.
const (
	SidebarOpened  = "sidebar.opened"  // to a fresh sidebar: it is active
	SidebarClosing = "sidebar.closing" // to a sidebar: the main conference ends it
	SidebarClosed  = "sidebar.closed"  // to the main conference: a sidebar has ended
	SidebarShown   = "sidebar.shown"   // to the main conference: how a sidebar looks
	GuestExpected  = "guest.expected"  // to where somebody is moved
	GuestWithdrawn = "guest.withdrawn" // to where somebody was moved: not any more
	GuestArrived   = "guest.arrived"   // back to where they came from
	GuestGone      = "guest.gone"      // to the main conference: left the sidebar
)

// maxSidebars bounds the sidebars of a conference, each of which is a room.
const maxSidebars = 50

// moveWait is how long a moved device may take to arrive; then it is back.
const moveWait = 60 * time.Second

// branches ties the machine to those of other conferences.
type branches struct {
	m      *Machine
	made   uint64 // sidebars so far
	ended  names
	guests map[string]*Guest // by user entity
}

// names remembers the last few hundred conferences that are no more.
type names struct {
	set  map[string]bool
	list []string
}

func (n *names) add(all ...string) {
	if n.set == nil {
		n.set = map[string]bool{}
	}
	for _, s := range all {
		if len(n.list) == rememberTracks {
			delete(n.set, n.list[0])
			n.list = n.list[1:]
		}
		n.set[s] = true
		n.list = append(n.list, s)
	}
}

// Guest are the parameters of GuestExpected: somebody who is moved here.
type Guest struct {
	User   string
	Role   api.Role // granted here; empty: what their own token grants
	By     string   // user entity of who moved them
	Token  string
	From   model.Place
	Member bool // of a sidebar: may come and go until withdrawn
	Hidden bool // anonymous where they came from, and so here
}

// Withdrawn are the parameters of GuestWithdrawn. With Forget, the person may
// not come back.
type Withdrawn struct {
	User   string
	Device ids.Device // empty: all
	How    model.Departure
	Why    string
	By     string
	Forget bool
}

// Travelled are the parameters of GuestArrived and GuestGone.
type Travelled struct {
	There  model.Place // the conference that tells it
	User   string
	Device ids.Device
	Why    string
}

// Opened are the parameters of SidebarOpened.
type Opened struct{ Title, Creator string }

// Over are the parameters of SidebarClosing and SidebarClosed.
type Over struct {
	Sidebar ids.Conference
	Reason  string
	By      string
}

// Shown are the parameters of SidebarShown.
type Shown struct {
	Sidebar ids.Conference
	Val     *model.Conference // a copy; see [model.Conference.Copy]
	Users   int
}

func (x *branches) here() model.Place { return model.Place{ID: x.m.conf.ID, URI: x.m.conf.URI} }

// find returns a running sidebar by its id or URI.
func (x *branches) find(name string) *model.Sidebar {
	if s := x.m.conf.Sidebars[ids.Conference(name)]; s != nil {
		return s
	}
	for _, s := range x.m.conf.Sidebars {
		if s.URI == name {
			return s
		}
	}
	return nil
}

// welcome checks one who says to have been moved here, and gives them for this
// join what they were granted. Into a sidebar nobody comes by themselves.
func (x *branches) welcome(t *turn, p api.JoinParams) error {
	user := t.caller.By.Subject
	g := x.guests[user]
	if p.Moved != "" && (g == nil || g.Token != p.Moved) {
		return fault.New(403, "forbidden", "this move is not expected here, or not any more")
	}
	if part := x.m.conf.Participants[user]; g == nil && x.m.conf.Main != nil && (part == nil || !part.Live()) {
		return fault.New(403, "forbidden", "a sidebar is joined from its main conference")
	}
	if g != nil && g.Role != "" {
		t.caller.By.Role, t.caller.By.Room = g.Role, x.m.conf.URI
	}
	return nil
}

// arrived tells where a guest came from that they are here.
func (x *branches) arrived(t *turn, d *model.Device) {
	g := x.guests[d.Part.User]
	if g == nil || !d.Status.Live() {
		return
	}
	if d.MovedBy = g.By; d.MovedBy == "" {
		d.MovedBy = d.Part.User
	}
	if g.Hidden {
		t.hide(d.Part)
	}
	t.effect(ToRoom{g.From.ID, GuestArrived, Travelled{There: x.here(), User: d.Part.User, Device: d.ID}})
	if !g.Member {
		delete(x.guests, d.Part.User)
	}
}

// gone tells the conferences that a device that left is tied to.
func (x *branches) gone(t *turn, d *model.Device, how model.Departure, why, by string) {
	c := x.m.conf
	if c.Main != nil {
		t.effect(ToRoom{c.Main.ID, GuestGone, Travelled{There: x.here(), User: d.Part.User, Device: d.ID, Why: why}})
	}
	last := !d.Part.Live()
	if how == model.Booted && last {
		for _, s := range c.Sidebars {
			delete(s.Members, d.Part.User)
		}
	}
	if a := d.Away; a != nil {
		d.Away = nil
		if a.Sidebar {
			t.effect(ToRoom{a.To.ID, GuestWithdrawn, Withdrawn{d.Part.User, d.ID, how, why, by, last}})
		}
	}
}

// over tells the conferences tied to this one that it has ended.
func (x *branches) over(t *turn, reason string) {
	c := x.m.conf
	for _, s := range c.SidebarsInOrder() {
		t.effect(ToRoom{s.ID, SidebarClosing, Over{Sidebar: s.ID, Reason: reason, By: t.caller.By.Subject}})
		delete(c.Sidebars, s.ID)
	}
	if c.Main != nil {
		t.effect(ToRoom{c.Main.ID, SidebarClosed, Over{Sidebar: c.ID, Reason: reason}})
	}
}

// hold takes a device's media out of the conference while it is elsewhere.
func (x *branches) hold(t *turn, d *model.Device, a *model.Away) {
	var heard []*model.Track
	for _, k := range x.m.tracks.of(d.MS) {
		if !k.Muted() {
			heard = append(heard, k)
		}
	}
	d.Away, d.Status, a.Since = a, model.OnHold, t.now
	x.m.topo.changed("moved")
	for _, k := range heard {
		t.effect(MuteTrack{k.ID, true})
	}
	for _, s := range x.m.subs.of(d.MS) {
		switch {
		case s.State == model.SubActive && s.Paused():
			s.State = model.SubPaused
			t.effect(WantSub{s})
		case s.State == model.SubPaused && !s.Paused():
			s.State = model.SubActive
			t.effect(WantSub{s})
		}
	}
	t.touch(d.Part)
	if a.Arrived {
		return
	}
	x.m.at(t.now.Add(moveWait), func(t *turn) {
		if d.Away == a && !a.Arrived {
			x.recall(t, d, "not-arrived")
			x.restore(t, d, "not-arrived")
		}
	})
}

// recall withdraws a device from where it was sent.
func (x *branches) recall(t *turn, d *model.Device, why string) {
	t.effect(ToRoom{d.Away.To.ID, GuestWithdrawn, Withdrawn{User: d.Part.User, Device: d.ID, How: model.Departed, Why: why, By: t.caller.By.Subject}})
}

// restore gives a device that was away its place back.
func (x *branches) restore(t *turn, d *model.Device, why string) {
	if d.Away == nil {
		return
	}
	d.Away, d.Status = nil, model.Connected
	x.m.topo.changed("moved")
	for _, k := range x.m.tracks.of(d.MS) {
		if !k.Muted() {
			t.effect(MuteTrack{k.ID, false})
		}
	}
	for _, s := range x.m.subs.of(d.MS) {
		if s.State == model.SubPaused && !s.Paused() {
			s.State = model.SubActive
			t.effect(WantSub{s})
		}
	}
	x.m.tracks.settle(d)
	t.touch(d.Part)
	if why == "" {
		return // it came by itself
	}
	c := x.m.conf
	t.tell(d.Session, "moved", map[string]any{"to": c.ID, "uri": c.URI, "back": true, "reason": why})
	if s := c.Media[d.MS]; s != nil && s.Link == model.LinkFailed {
		x.m.media.watchFailed(t, s)
	}
}

// returned takes a device back that came by itself, as a newer load.
func (x *branches) returned(t *turn, d *model.Device) {
	if d.Away != nil {
		x.recall(t, d, "returned")
		x.restore(t, d, "")
	}
}

// away lists the devices that are in a conference, of one user or all.
func (x *branches) away(to ids.Conference, user string, dev ids.Device) []*model.Device {
	var out []*model.Device
	for _, d := range x.m.devices.live() {
		if d.Away != nil && d.Away.To.ID == to && (user == "" || d.Part.User == user) && (dev == "" || d.ID == dev) {
			out = append(out, d)
		}
	}
	return out
}

// moderates reports whether a role may move others.
func moderates(r api.Role) bool { return policy.AtLeast(r, api.RoleModerator) }
