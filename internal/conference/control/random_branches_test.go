package control_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/model"
)

// node is several conferences that tell each other things with delays: what is
// on its way to each waits in order, and is delivered when chance has it.
type node struct {
	r     *rand.Rand
	t     *testing.T
	halls map[ids.Conference]*hall
	mail  map[ids.Conference][]control.ToRoom
	now   time.Duration
}

func (n *node) step(h *hall, c control.Caller, method string, params any) {
	h.out = control.Output{}
	_, _ = h.do(c, method, params)
	n.carry(h)
}

func (n *node) carry(h *hall) {
	for _, e := range h.out.Effects {
		switch e := e.(type) {
		case control.OpenSidebar:
			o := &hall{t: n.t, now: h.now}
			o.m = control.NewMachine(control.Config{ID: e.ID, URI: e.URI, IDs: countedIDs(), Policy: e.Policy, Main: &e.Main})
			n.halls[e.ID] = o
			n.mail[e.ID] = append(n.mail[e.ID], control.ToRoom{Conf: e.ID, Fact: control.SidebarOpened, Params: control.Opened{Title: e.Title, Creator: e.Creator}})
		case control.ToRoom:
			n.mail[e.Conf] = append(n.mail[e.Conf], e)
		}
	}
	h.out = control.Output{}
	invariants(n.t, h)
}

// deliver hands over the oldest of what waits for some conference.
func (n *node) deliver() bool {
	var to []ids.Conference
	for id, m := range n.mail {
		if len(m) > 0 {
			to = append(to, id)
		}
	}
	if len(to) == 0 {
		return false
	}
	slices.Sort(to)
	id := to[n.r.IntN(len(to))]
	e := n.mail[id][0]
	n.mail[id] = n.mail[id][1:]
	if h := n.halls[id]; h != nil && h.m.Conference().Phase != model.Ended {
		n.step(h, control.Caller{}, e.Fact, e.Params)
	}
	return true
}

func (n *node) pass(d time.Duration) {
	for _, id := range n.rooms() {
		h := n.halls[id]
		h.now = h.now.Add(d)
		h.out = control.Output{}
		h.m.Tick(h.now, &h.out)
		n.carry(h)
	}
}

func (n *node) rooms() []ids.Conference {
	var out []ids.Conference
	for id := range n.halls {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// TestRandomBranches: people are moved about while what conferences tell each
// other is on its way. When all has arrived, everybody is where the main
// conference thinks, and nobody is in a sidebar without a place in it.
func TestRandomBranches(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			h := newHall(t, nil)
			n := &node{r: rand.New(rand.NewPCG(seed, 9)), t: t, halls: map[ids.Conference]*hall{"conf_1": h}, mail: map[ids.Conference][]control.ToRoom{}}
			h.join("host", api.RoleOwner)
			for i := range 600 {
				n.random(h)
				for n.r.IntN(3) > 0 && n.deliver() {
				}
				if n.r.IntN(10) == 0 {
					n.pass(time.Duration(n.r.IntN(20)) * time.Second)
				}
				if i%50 == 49 {
					n.settled(h)
				}
				if t.Failed() {
					t.Fatalf("step %d of seed %d", i, seed)
				}
			}
		})
	}
}

func (n *node) random(main *hall) {
	host := caller("host", api.RoleOwner)
	who := caller(fmt.Sprint("p", n.r.IntN(4)), api.RoleAttendee)
	part, side := "", "conf_s1"
	if p := main.m.Conference().Participants[who.By.Subject]; p != nil {
		part = string(p.ID)
	}
	if ids := sortedKeys(main.m.Conference().Sidebars); len(ids) > 0 {
		side = string(ids[len(ids)-1])
	}
	join := api.JoinParams{Device: "d", Load: fmt.Sprint(n.r.IntN(3)), Tracks: []api.PublishParams{micP}}
	switch n.r.IntN(12) {
	case 0, 1:
		n.step(main, who, api.ConferenceJoin, join)
	case 2:
		n.step(main, host, api.SidebarCreate, api.SidebarCreateParams{Members: slices.DeleteFunc([]string{part}, func(s string) bool { return s == "" })})
	case 3, 4:
		n.step(main, host, api.ParticipantTransfer, api.TransferParams{Part: part, To: side})
	case 5:
		n.step(main, host, api.SidebarEnd, api.SidebarParams{Sidebar: side})
	case 6:
		n.step(main, who, api.SidebarJoin, api.SidebarParams{Sidebar: side, KeepMainAudio: n.r.IntN(2) == 0})
	case 7:
		n.step(main, host, api.ParticipantTransfer, api.TransferParams{Part: part, To: "standup"})
	case 8:
		if n.r.IntN(2) == 0 {
			n.step(main, host, api.ParticipantExpel, api.ExpelParams{Part: part})
		} else {
			n.step(main, who, api.ConferenceLeave, api.LeaveParams{})
		}
	default:
		if o := n.halls[ids.Conference(side)]; o != nil {
			if n.r.IntN(4) == 0 {
				n.step(o, who, api.ConferenceLeave, api.LeaveParams{})
			} else {
				n.step(o, who, api.ConferenceJoin, join)
			}
		}
	}
}

// settled lets everything arrive and looks at what came of it.
func (n *node) settled(main *hall) {
	for range 3 { // what times out may tell others, too
		for n.deliver() {
		}
		n.pass(61 * time.Second)
	}
	for n.deliver() {
	}
	c := main.m.Conference()
	for _, p := range c.Participants {
		for _, d := range p.Devices {
			if d.Away == nil {
				continue
			}
			o := n.halls[d.Away.To.ID]
			if c.Sidebars[d.Away.To.ID] == nil || o == nil || o.m.Device(d.Session) == nil {
				n.t.Errorf("%s is away in %s, where it is not", p.User, d.Away.To.URI)
			}
			for _, k := range main.m.TracksOf(d.MS) {
				if !k.Muted() {
					n.t.Errorf("%s is away, and heard", p.User)
				}
			}
		}
	}
	for id, o := range n.halls {
		if o == main {
			continue
		}
		if (c.Sidebars[id] != nil) != (o.m.Conference().Phase == model.Active) {
			n.t.Errorf("%s is %s, in main: %v", id, o.m.Conference().Phase, c.Sidebars[id] != nil)
		}
		for user, p := range o.m.Conference().Participants {
			if d := main.m.Device(caller(user, "").Session); p.Live() && (d == nil || d.Away == nil || d.Away.To.ID != id) {
				n.t.Errorf("%s is in %s, and main does not know", user, id)
			}
		}
	}
}
