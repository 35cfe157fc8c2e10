package control_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

func TestMannerOfALeg(t *testing.T) {
	mix := control.LegFacts{MixAudio: true, MixVideo: true}
	with := func(change func(*control.LegFacts)) control.LegFacts {
		f := mix
		change(&f)
		return f
	}
	topo := func(name string) control.LegFacts { return with(func(f *control.LegFacts) { f.Topology = name }) }
	plain := func(name string) control.LegFacts {
		return with(func(f *control.LegFacts) { f.Topology, f.Plain, f.Slots = name, true, true })
	}
	rows := []struct {
		what string
		f    control.LegFacts
		want string
	}{
		{"as usual", topo(""), "sfu each each"},
		{"auto", topo("auto"), "sfu each each"},
		{"sfu", topo("sfu"), "sfu each each"},
		{"two of them", with(func(f *control.LegFacts) { f.Direct = true }), "direct none none"},
		{"mesh", with(func(f *control.LegFacts) { f.Direct, f.Topology = true, "mesh" }), "direct none none"},
		{"a choice goes before directness", with(func(f *control.LegFacts) { f.Direct, f.Topology = true, "mixer" }), "mixer mix mix"},
		{"a phone", plain("auto"), "mixer mix slots"},
		{"a phone in an sfu room", plain("sfu"), "mixer mix slots"},
		{"a phone in a hybrid", plain("hybrid"), "mixer mix mix"},
		{"a browser in a hybrid", topo("hybrid"), "sfu each each"},
		{"a phone without a mixer", control.LegFacts{Plain: true}, "switch slots slots"},
		{"a phone where sound can be mixed", control.LegFacts{Plain: true, MixAudio: true, Compose: true}, "mixer mix slots"},
		{"one stream", with(func(f *control.LegFacts) { f.Caps.Streams = 1 }), "mixer mix slots"},
		{"one stream, composed", with(func(f *control.LegFacts) { f.Caps.Streams, f.Compose = 1, true }), "mixer mix mix"},
		{"a viewer of what it offers", with(func(f *control.LegFacts) { f.Slots = true }), "switch slots slots"},
		{"a viewer in a mixer room", with(func(f *control.LegFacts) { f.Slots, f.Topology = true, "mixer" }), "mixer mix mix"},
		{"a weak one", with(func(f *control.LegFacts) { f.Weak = true }), "mixer mix slots"},
		{"a weak one in an sfu room", with(func(f *control.LegFacts) { f.Weak, f.Topology = true, "sfu" }), "sfu each each"},
		{"mixer", topo("mixer"), "mixer mix mix"},
		{"mixer where pictures cannot be", control.LegFacts{Topology: "mixer", MixAudio: true}, "mixer mix slots"},
		{"switch", topo("switch"), "switch slots slots"},
		{"rtcp-terminating-mcu", topo("rtcp-terminating-mcu"), "rtcp-terminating-mcu mix slots"},
		{"the same without a mixer", control.LegFacts{Topology: "rtcp-terminating-mcu"}, "rtcp-terminating-mcu slots slots"},
		{"translator", topo("translator"), "translator each each"},
		{"a phone of it", plain("translator"), "mixer mix slots"},
		{"video-switching-mcu", topo("video-switching-mcu"), "video-switching-mcu each slots"},
		{"a phone of it", plain("video-switching-mcu"), "video-switching-mcu mix slots"},
		{"relay without the flag", topo("relay"), "sfu each each"},
		{"relay", with(func(f *control.LegFacts) { f.Topology, f.Allowed = "relay", true }), "relay each each"},
		{"a phone of it", plain("relay"), "relay each each"},
		{"asymmetric", topo("asymmetric"), "asymmetric each each"},
		{"a phone of it", plain("asymmetric"), "asymmetric mix slots"},
		{"multicast", topo("multicast"), "sfu each each"},
		{"its group", with(func(f *control.LegFacts) { f.Topology, f.Group, f.Plain = "multicast", true, true }), "multicast mix slots"},
		{"a group elsewhere", with(func(f *control.LegFacts) { f.Group, f.Plain = true, true }), "multicast mix slots"},
		{"a group in a switch room", with(func(f *control.LegFacts) { f.Topology, f.Group = "switch", true }), "multicast slots slots"},
	}
	for _, r := range rows {
		l := control.LegOf(r.f)
		if got := fmt.Sprint(l.Manner, " ", l.Audio, " ", l.Video); got != r.want {
			t.Errorf("%s: %s, want %s", r.what, got, r.want)
		}
	}
}

// mixingHall has a mixer for both kinds.
func mixingHall(t testing.TB) *hall {
	h := newHall(t, func(p *policy.Policy) { p.Dev = true })
	return h
}

func discouraged(t *testing.T, name, better string) {
	t.Helper()
	h := mixingHall(t)
	ana, _ := h.join("ana", api.RoleOwner)
	_, err := h.do(ana, api.TopologySet, api.SetTopologyParams{Topology: name})
	if err == nil || err.Code != 488 || err.Reason != "topology-discouraged" || err.Data["recommended"] != better {
		t.Fatalf("without allowDiscouraged: %v %v", err, err.Data)
	}
	shown := func() *info.Topology {
		return info.Build(h.m.Conference(), h.m.Users(), info.View{Labels: control.Labels}, nil).Ext.Topology
	}
	if s := shown(); s == nil || s.Name != "auto" {
		t.Errorf("after a refusal the document shows %+v", s)
	}
	h.must(ana, api.TopologySet, api.SetTopologyParams{Topology: name, AllowDiscouraged: true})
	if s := shown(); s == nil || *s != (info.Topology{Name: name, AllowDiscouraged: true}) {
		t.Errorf("the document shows %+v", s)
	}
	if d := h.m.Device(ana.Session); string(d.Leg.Manner) != name {
		t.Errorf("served %s", d.Leg.Manner)
	}
}

func TestVSM1_DiscouragedUnlessWanted(t *testing.T) {
	discouraged(t, api.TopologyVideoSwitching, api.TopologySwitch)
}

func TestASY1_DiscouragedUnlessWanted(t *testing.T) {
	discouraged(t, api.TopologyAsymmetric, api.TopologyHybrid)
}

// TestRTM6_LoopIsFoundBySignalling: two conferences dial each other; the second
// leg is refused, whichever way the name of the first is known.
func TestRTM6_LoopIsFoundBySignalling(t *testing.T) {
	a, b := mixingHall(t), newHall(t, func(p *policy.Policy) { p.Dev = true })
	a.join("ana", api.RoleOwner)
	b.m = control.NewMachine(control.Config{ID: "conf_2", URI: "backstage", IDs: countedIDs(), Policy: policy.Policy{Dev: true, MaxTracks: 4, MaxSubs: 9}})
	b.join("bob", api.RoleOwner)
	focus := caller("focus", api.RoleAttendee)
	dial := func(from, to *hall) *fault.Error {
		chain := from.m.Cascade()
		_, err := to.do(focus, api.ConferenceJoin, api.JoinParams{Device: "mcu", Kind: "focus", Cascade: &chain})
		return err
	}
	if err := dial(a, b); err != nil {
		t.Fatal(err)
	}
	if err := dial(b, a); err == nil || err.Code != 482 {
		t.Fatalf("the way back: %v", err)
	}
	doc := info.Build(b.m.Conference(), b.m.Users(), info.View{Labels: control.Labels}, nil)
	if f := doc.Users.User["focus"].CascadedFocus; f != "standup" {
		t.Errorf("cascaded-focus %q", f)
	}
	b.must(focus, api.ConferenceLeave, api.LeaveParams{})
	if err := dial(b, a); err != nil {
		t.Errorf("after the first has gone: %v", err)
	}
}

// TestCMB5_TrackThatBeganHere: another conference's focus announces a source of
// ours as coming from there; it is refused, by command and in a join.
func TestCMB5_TrackThatBeganHere(t *testing.T) {
	h := mixingHall(t)
	h.join("ana", api.RoleOwner)
	focus := caller("focus", api.RoleAttendee)
	join := api.JoinParams{Device: "mcu", Kind: "focus", Cascade: &api.Cascade{Focus: "backstage", Path: []string{"conf_2"}}}
	of := func(cid, origin string) api.PublishParams {
		return api.PublishParams{CID: cid, Kind: "audio", Source: "microphone", Origin: origin}
	}
	id := string(h.m.Conference().ID)
	bad := join
	bad.Tracks = []api.PublishParams{of("x", id)}
	if _, err := h.do(focus, api.ConferenceJoin, bad); err == nil || err.Code != 482 {
		t.Fatalf("a join with a track of ours: %v", err)
	}
	h.must(focus, api.ConferenceJoin, join)
	for _, origin := range []string{h.m.Conference().URI, id} {
		if _, err := h.do(focus, api.TrackPublish, of("y", origin)); err == nil || err.Code != 482 {
			t.Errorf("origin %q: %v", origin, err)
		}
	}
	h.must(focus, api.TrackPublish, of("z", "conf_2"))
}

// TestMSH6_FourThenFive: the server orders the move at once, and lets the old
// sessions be until their ends say that media flows, or ten seconds.
func TestMSH6_FourThenFive(t *testing.T) {
	h := mixingHall(t)
	var people []control.Caller
	come := func(name string) {
		c := caller(name, api.RoleOwner)
		h.must(c, api.ConferenceJoin, api.JoinParams{Device: "d", Caps: api.Caps{P2P: true}})
		people = append(people, c)
	}
	come("p0")
	h.must(people[0], api.TopologySet, api.SetTopologyParams{Topology: "mesh"})
	for i := range 3 {
		come(fmt.Sprint("p", i+1))
	}
	manners := func(want model.Manner) {
		t.Helper()
		for _, c := range people {
			if got := h.m.Device(c.Session).Leg.Manner; got != want {
				t.Errorf("%s is served %s, want %s", c.By.Subject, got, want)
			}
		}
	}
	manners(model.Direct)
	sessions := 0
	for _, c := range people {
		for _, l := range h.m.LegState(c.Session).Peers {
			if l.Offer {
				d := h.must(c, api.MediaOffer, api.OfferParams{SDP: "v=0", Peer: &api.Peer{Part: l.Part, Dev: l.Dev}}).(api.PeerDescription)
				other := caller(h.m.Conference().Peers[ids.MediaSession(d.MS)].Other(h.m.Device(c.Session)).Part.User, api.RoleOwner)
				h.must(other, api.MediaAnswer, api.OfferParams{MS: d.MS, Rev: 1, SDP: "v=0"})
				h.must(c, api.MediaPeerState, api.PeerStateParams{MS: d.MS, State: "connected"})
				h.must(other, api.MediaPeerState, api.PeerStateParams{MS: d.MS, State: "connected"})
				sessions++
			}
		}
	}
	if sessions != 6 || len(h.m.Conference().Peers) != 6 {
		t.Fatalf("%d sessions for four", sessions)
	}
	come("p4")
	manners(model.SFU)
	if n := len(h.m.Conference().Peers); n != 6 {
		t.Errorf("%d sessions are left at once", n)
	}
	h.now = h.now.Add(9 * time.Second)
	h.m.Tick(h.now, &h.out)
	for _, s := range h.m.Conference().Peers {
		h.must(caller(s.A.Part.User, ""), api.MediaPeerEnd, api.PeerStateParams{MS: string(s.ID)})
		break
	}
	if n := len(h.m.Conference().Peers); n != 5 {
		t.Errorf("%d sessions after one was ended", n)
	}
	h.now = h.now.Add(2 * time.Second)
	h.m.Tick(h.now, &h.out)
	if n := len(h.m.Conference().Peers); n != 0 {
		t.Errorf("%d sessions are left for good", n)
	}
}

// TestX1_PairThenThreePeople: hysteresis by the clock. A device that comes back
// within two seconds moves nobody; one that stays away sends the others to each
// other; a pair that fails is not tried again until somebody comes or goes.
func TestX1_PairThenThreePeople(t *testing.T) {
	h := mixingHall(t)
	join := func(name, load string) control.Caller {
		c := caller(name, api.RoleOwner)
		h.must(c, api.ConferenceJoin, api.JoinParams{Device: "d", Load: load, Caps: api.Caps{P2P: true}})
		return c
	}
	pass := func(d time.Duration) {
		h.now = h.now.Add(d)
		h.m.Tick(h.now, &h.out)
	}
	ana, bob, cyd := join("ana", ""), join("bob", ""), join("cyd", "")
	h.bind(ana)
	h.must(control.Caller{}, control.LinkChanged, control.Link{Conn: h.m.Conference().Media[h.m.Device(ana.Session).MS].Conn, State: model.LinkConnected})
	want := func(m model.Manner) {
		t.Helper()
		if got := h.m.Device(ana.Session).Leg.Manner; got != m {
			t.Errorf("ana is served %s, want %s", got, m)
		}
	}
	want(model.SFU)
	h.must(cyd, api.ConferenceLeave, api.LeaveParams{})
	pass(1900 * time.Millisecond)
	want(model.SFU)
	cyd = join("cyd", "2")
	pass(10 * time.Second)
	want(model.SFU)
	h.must(cyd, api.ConferenceLeave, api.LeaveParams{})
	pass(2 * time.Second)
	want(model.Direct)
	d := h.must(bob, api.MediaOffer, api.OfferParams{SDP: "v=0", Peer: &api.Peer{Part: string(h.m.Device(ana.Session).Part.ID)}}).(api.PeerDescription)
	h.must(bob, api.MediaPeerState, api.PeerStateParams{MS: d.MS, State: "failed"})
	want(model.SFU)
	pass(time.Minute)
	want(model.SFU)
	h.must(bob, api.ConferenceLeave, api.LeaveParams{})
	pass(3 * time.Second)
	want(model.Direct)
}

// TestRandomTopologies: whatever comes in whatever order, every leg is what the
// function says of its facts, and peers agree on who calls whom.
func TestRandomTopologies(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 3))
		h := mixingHall(t)
		for i := range 2500 {
			if _, err := randomTopology(r, h, caller(fmt.Sprint("p", r.IntN(6)), api.RoleOwner)); err != nil && err.Code >= 500 && err.Code != 503 {
				t.Fatalf("seed %d, step %d: %v", seed, i, err)
			}
			if r.IntN(3) == 0 {
				h.now = h.now.Add(time.Duration(r.IntN(4000)) * time.Millisecond)
				h.m.Tick(h.now, &h.out)
			}
			h.out = control.Output{}
			invariants(t, h)
			topologiesHold(t, h)
			if t.Failed() {
				t.Fatalf("seed %d, step %d", seed, i)
			}
		}
	}
}

func topologiesHold(t testing.TB, h *hall) {
	t.Helper()
	devs := h.m.Served()
	direct := 0
	for _, d := range devs {
		if want := control.LegOf(h.m.FactsOf(d)); d.Leg != want {
			t.Errorf("%s is served %+v, should be %+v", d.Part.User, d.Leg, want)
		}
		if d.Leg.Manner != model.Direct {
			if len(d.Links) > 0 {
				t.Errorf("%s is served %s and has peers", d.Part.User, d.Leg.Manner)
			}
			continue
		}
		direct++
		for _, l := range d.Links {
			i := slices.IndexFunc(devs, func(o *model.Device) bool { return o.ID == l.Device && o.Part.ID == l.Part })
			if i < 0 {
				t.Errorf("%s is to talk to %s, who is not there", d.Part.User, l.Part)
				continue
			}
			back := slices.IndexFunc(devs[i].Links, func(b model.PeerLink) bool { return b.Part == d.Part.ID && b.Device == d.ID })
			if back < 0 || devs[i].Links[back].Offer == l.Offer {
				t.Errorf("%s and %s do not agree on who calls", d.Part.User, devs[i].Part.User)
			}
		}
		if len(d.Links) != len(devs)-1 {
			t.Errorf("%s is to talk to %d of %d", d.Part.User, len(d.Links), len(devs)-1)
		}
	}
	if direct > 0 && direct != len(devs) {
		t.Errorf("%d of %d talk directly", direct, len(devs))
	}
}

// randomTopology is one thing that may change how people are served.
func randomTopology(r *rand.Rand, h *hall, who control.Caller) (any, *fault.Error) {
	switch r.IntN(9) {
	case 0, 1:
		p := api.JoinParams{Device: fmt.Sprint("d", r.IntN(2)), Load: fmt.Sprint(r.IntN(9)), Anonymous: r.IntN(12) == 0}
		p.Caps = api.Caps{P2P: r.IntN(6) > 0, Streams: max(0, r.IntN(8)-6)}
		if r.IntN(6) == 0 {
			p.Topology, p.AllowDiscouraged = api.Topologies()[r.IntN(12)], r.IntN(2) == 0
		}
		return h.do(who, api.ConferenceJoin, p)
	case 2:
		return h.do(who, api.ConferenceLeave, api.LeaveParams{})
	case 3:
		p := api.SetTopologyParams{Topology: api.Topologies()[r.IntN(12)], AllowDiscouraged: r.IntN(2) == 0}
		if r.IntN(2) == 0 {
			p.Topology = []string{"auto", "mesh"}[r.IntN(2)]
		}
		if d := h.m.Device(who.Session); d != nil && r.IntN(2) == 0 {
			p.Part = string(d.Part.ID)
		}
		if r.IntN(3) == 0 {
			p.Topology = ""
		}
		return h.do(who, api.TopologySet, p)
	case 4:
		if l := h.m.LegState(who.Session); l != nil && len(l.Peers) > 0 {
			to := l.Peers[r.IntN(len(l.Peers))]
			return h.do(who, api.MediaOffer, api.OfferParams{SDP: "v=0", Peer: &api.Peer{Part: to.Part, Dev: to.Dev}})
		}
	case 5, 6:
		for id := range h.m.Conference().Peers {
			if r.IntN(3) == 0 {
				state := []string{"connected", "connected", "connected", "failed", "closed"}[r.IntN(5)]
				return h.do(who, api.MediaPeerState, api.PeerStateParams{MS: string(id), State: state})
			}
		}
	case 7:
		if d := h.m.Device(who.Session); d != nil {
			return h.do(control.Caller{}, control.LinkWeak, control.Weak{MS: d.MS, Weak: r.IntN(2) == 0})
		}
	case 8:
		if d := h.m.Device(who.Session); d != nil && h.m.Conference().Media[d.MS] != nil {
			h.do(who, api.MediaOffer, api.OfferParams{SDP: "v=0"})
			h.do(who, control.MediaNegotiated, control.Negotiated{MS: d.MS})
			return h.do(control.Caller{}, control.LinkChanged, control.Link{Conn: h.m.Conference().Media[d.MS].Conn, State: model.LinkConnected})
		}
	}
	return nil, nil
}
