package control_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// rounds is how often each order of a race is forced, each time among other
// people with other tracks.
const rounds = 1000

// arena is a hall whose every step is held against the invariants (i) to (v)
// of the specification, section 5.2. It plays the media side (which transports
// are open) and the signalling side (which joins wait for their answer).
type arena struct {
	*hall
	r        *rand.Rand
	watchers []*watcher
	open     map[ids.Connection]bool
	waiting  map[ids.Session]bool
}

// watcher is a subscriber of one class of view.
type watcher struct {
	view info.View
	doc  *info.Document
	sub  info.Subscriber
}

func newArena(t testing.TB, seed uint64, change func(*policy.Policy)) *arena {
	a := &arena{
		hall: newHall(t, change), r: rand.New(rand.NewPCG(seed, 52)),
		open: map[ids.Connection]bool{}, waiting: map[ids.Session]bool{},
	}
	for _, g := range []info.Group{info.Moderators, info.Members} {
		a.watchers = append(a.watchers, &watcher{view: info.View{Labels: control.Labels, Group: g}})
	}
	return a
}

// crowd brings some people in who have nothing to do with the race.
func (a *arena) crowd() {
	for i := range a.r.IntN(4) {
		var tracks []api.PublishParams
		if a.r.IntN(2) == 0 {
			tracks = append(tracks, micP)
		}
		c, _ := a.join(fmt.Sprint("x", i), api.RolePresenter, tracks...)
		if a.r.IntN(3) == 0 {
			_, _ = a.do(c, api.HandRaise, api.PartParams{})
		}
	}
}

// act runs one command, looks at all invariants, and returns its code.
func (a *arena) act(c control.Caller, method string, params any) int {
	a.t.Helper()
	a.out = control.Output{}
	res, fe := a.do(c, method, params)
	if _, waits := res.(control.Waiting); waits {
		a.settle()
		a.waiting[c.Session] = true
		a.check()
		return 182
	}
	a.settle()
	a.check()
	return codeOf(fe)
}

// settle takes in what a step left for others to do.
func (a *arena) settle() {
	a.t.Helper()
	for _, s := range a.m.Conference().Media {
		a.open[s.Conn] = true
	}
	for _, e := range a.out.Effects {
		switch e := e.(type) {
		case control.CloseMedia:
			delete(a.open, e.Conn)
		case control.JoinSettled:
			if !a.waiting[e.Session] {
				a.t.Errorf("(iv) a second final answer to the join of %s", e.Session)
			}
			delete(a.waiting, e.Session)
		}
	}
}

func (a *arena) check() {
	a.t.Helper()
	c := a.m.Conference()
	invariants(a.t, a.hall) // (v), and what is inside the machine
	for _, w := range a.watchers {
		a.documents(w)
	}
	used := map[ids.Connection]bool{}
	lobby := map[ids.Session]bool{}
	for _, p := range c.Participants {
		for _, d := range p.Devices {
			for _, s := range d.Media {
				used[s.Conn] = d.Status.Live()
			}
			connected := d.Status == model.Connected || d.Status == model.MutedViaFocus
			if connected && d.Reach == model.ReachOK && len(d.Media) == 0 {
				a.t.Errorf("(iii) %s is connected without transport", d.ID)
			}
			if p.State == model.Lobby && d.Status.Live() {
				lobby[d.Session] = true
			}
		}
	}
	for conn := range a.open {
		if !used[conn] {
			a.t.Errorf("(ii) transport %s without a live endpoint", conn)
		}
	}
	for s := range a.waiting {
		if !lobby[s] {
			a.t.Errorf("(iv) the join of %s has no final answer and nobody to give it", s)
		}
	}
	for s := range lobby {
		if !a.waiting[s] {
			a.t.Errorf("(iv) %s waits in the lobby, its join was answered", s)
		}
	}
}

// documents is invariant (i): what the subscriber has equals what the view
// shows of the truth, and members see nobody who waits.
func (a *arena) documents(w *watcher) {
	a.t.Helper()
	c := a.m.Conference()
	next := info.Build(c, a.m.Users(), w.view, w.doc)
	if w.doc == nil || next != w.doc {
		follow(a.t.(*testing.T), &w.sub, w.doc, next, a.r)
	}
	w.doc = next
	truth := info.Build(c, a.m.Users(), w.view, nil)
	if d := info.Diff(w.sub.Doc, truth); d != nil && (d.Users != nil || d.ConferenceState != nil || d.Description != nil) {
		a.t.Errorf("(i) the document of group %d is not the truth: %+v", w.view.Group, d)
	}
	if w.view.Group == info.Members {
		for user := range w.sub.Doc.Users.User {
			if p := c.Participants[user]; p == nil || p.Role == api.RoleLobby {
				a.t.Errorf("(i) members see %s", user)
			}
		}
	}
}

// race is two commands whose order is open.
type race struct {
	rules func(*policy.Policy)
	// meet prepares the world and returns the two contenders, each giving its code.
	meet func(a *arena) [2]func() int
	// codes are those of the first and second contender, in the order as written
	// and the other way.
	codes [2][2]int
	after func(a *arena, first int) // what must hold then
}

// force runs a race in both orders, many times, and checks codes, outcome and
// invariants.
func force(t *testing.T, r race) {
	t.Helper()
	for seed := range uint64(rounds) {
		for first := range 2 {
			a := newArena(t, seed, r.rules)
			contenders := r.meet(a)
			a.crowd()
			a.settle()
			a.check()
			var got [2]int
			got[first] = contenders[first]()
			got[1-first] = contenders[1-first]()
			if got != r.codes[first] {
				t.Errorf("codes %v, want %v", got, r.codes[first])
			}
			if r.after != nil {
				r.after(a, first)
			}
			if t.Failed() {
				t.Fatalf("round %d, contender %d first", seed, first+1)
			}
		}
	}
}

// command makes a contender of one command.
func (a *arena) command(c control.Caller, method string, params any) func() int {
	return func() int { return a.act(c, method, params) }
}
