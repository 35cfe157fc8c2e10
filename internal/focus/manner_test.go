package focus

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

// studio is a house with a mixer.
func studio(t *testing.T, run func(*house, *fakeMixer)) {
	var x *fakeMixer
	inHouse(t, func(c *Config) {
		x = newFakeMixer(c.Plane.(*fakePlane), "opus", "VP8", "PCMU")
		c.Mixer = x
	}, func(h *house) {
		run(h, x)
		for _, w := range x.wrong {
			t.Errorf("contract of the mixer: %s", w)
		}
	})
}

// speaker is a client that publishes, on a device of its own name, and takes
// what it is asked to.
func (h *house) speaker(name string, p api.JoinParams) *guest {
	h.t.Helper()
	g := &guest{client: h.client(name, "ws"), in: true}
	p.Device, p.Tracks = "dev-"+name, []api.PublishParams{mic(), cam()}
	g.joins(p)
	g.tracks = []string{g.join.Tracks[0].Track, g.join.Tracks[1].Track}
	g.sends(plane.Audio, "mic")
	g.sends(plane.Video, "cam")
	g.receives(g.join.Needed.Audio, g.join.Needed.Video)
	g.negotiates()
	h.media(plane.Event{Kind: plane.LinkConnected, Conn: g.conn()})
	return g
}

// calmDown lets everybody do as they are told until nobody is told anything.
func calmDown(people ...*guest) {
	for range 12 {
		pass(500 * time.Millisecond)
		for _, p := range people {
			p.obey()
		}
	}
}

func (g *guest) set(topology string) {
	g.h.t.Helper()
	g.must(api.TopologySet, api.SetTopologyParams{Topology: topology, AllowDiscouraged: true}, nil)
}

// gets tells in words what a client is sent: sources by owner, "mix", "-" for
// an empty slot; sorted.
func (h *house) gets(g *guest, people ...*guest) string {
	h.plane.mu.Lock()
	defer h.plane.mu.Unlock()
	owner := map[ids.Track]string{}
	for _, p := range people {
		for i, k := range p.tracks {
			owner[ids.Track(k)] = p.caller.By.Subject + "." + []string{"a", "v"}[i]
		}
	}
	var out []string
	for _, s := range h.plane.subs {
		if h.plane.links[s.Conn].Fingerprints == nil || h.plane.links[s.Conn].Fingerprints[0] != g.local.Fingerprint {
			continue
		}
		name := owner[s.Track]
		switch k := h.plane.tracks[s.Track]; {
		case k.Conn == "mixer" && k.Mixed:
			name = "mix." + k.Kind.String()[:1]
		case k.Conn == "mixer":
			name = "translated." + k.Kind.String()[:1]
		case s.Track == "":
			name = "-"
		}
		if s.Slot && name != "-" {
			name = "slot:" + name
		}
		if s.Topology != "" {
			name += "@" + s.Topology
		}
		if s.Anonymous {
			name += "?"
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestEveryMannerOfALeg(t *testing.T) {
	rows := []struct{ topology, want string }{
		{"sfu", "bob.a bob.v cyd.a cyd.v"},
		{"hybrid", "bob.a bob.v cyd.a cyd.v"},
		{"auto", "bob.a bob.v cyd.a cyd.v"},
		{"mesh", "bob.a bob.v cyd.a cyd.v"},
		{"multicast", "bob.a bob.v cyd.a cyd.v"},
		{"mixer", "slot:mix.a slot:mix.v"},
		{"switch", "slot:bob.a slot:bob.v slot:cyd.a"},
		{"rtcp-terminating-mcu", "slot:bob.v? slot:mix.a?"},
		{"translator", "bob.a bob.v cyd.a cyd.v"},
		{"video-switching-mcu", "bob.a cyd.a slot:bob.v@video-switching-mcu"},
		{"relay", "bob.a@relay bob.v@relay cyd.a@relay cyd.v@relay"},
		{"asymmetric", "bob.a@asymmetric bob.v@asymmetric cyd.a@asymmetric cyd.v@asymmetric"},
	}
	for _, first := range rows { // from each to each: every change is made before it is broken
		t.Run(first.topology, func(t *testing.T) {
			studio(t, func(h *house, _ *fakeMixer) {
				ana, bob, cyd := h.speaker("ana", api.JoinParams{}), h.speaker("bob", api.JoinParams{}), h.speaker("cyd", api.JoinParams{})
				all := []*guest{ana, bob, cyd}
				calmDown(all...)
				for _, next := range rows {
					for _, r := range []struct{ topology, want string }{first, next} {
						ana.set(r.topology)
						calmDown(all...)
						if got := h.gets(ana, all...); got != r.want {
							t.Errorf("%s: ana gets %q, want %q", r.topology, got, r.want)
						}
					}
				}
			})
		})
	}
}

// TestX1_OldStreamStaysUntilTheNewOneFlows: from sfu to mixer and back there is
// no moment at which a client is sent nothing of a kind.
func TestX1_OldStreamStaysUntilTheNewOneFlows(t *testing.T) {
	studio(t, func(h *house, x *fakeMixer) {
		ana, bob := h.speaker("ana", api.JoinParams{}), h.speaker("bob", api.JoinParams{})
		all := []*guest{ana, bob}
		calmDown(all...)
		steady := func(d time.Duration) {
			t.Helper()
			for range d / (20 * time.Millisecond) {
				if got := h.gets(ana, all...); !strings.Contains(got, ".a") || !strings.Contains(got, ".v") {
					t.Fatalf("a gap: %q", got)
				}
				pass(20 * time.Millisecond)
			}
		}
		ana.set("mixer")
		steady(300 * time.Millisecond) // not obeyed yet
		told := len(ana.needed())
		if n := ana.needed()[told-1]; n.Audio != 2 || n.Video != 2 || n.Reason != "topology" {
			t.Errorf("needed: %+v", n)
		}
		ana.receives(2, 2)
		a, _ := ana.negotiates()
		names := slices.Sorted(maps.Values(a.Receive))
		if want := []string{"mix:audio", "mix:video"}; !slices.Equal(names[:2], want) || len(names) != 4 {
			t.Errorf("the answer says %v", a.Receive)
		}
		if got := h.gets(ana, all...); got != "bob.a bob.v slot:mix.a slot:mix.v" {
			t.Errorf("at the answer: %q", got)
		}
		for _, o := range x.of("dev-ana") {
			h.media(plane.Event{Kind: plane.TrackLive, Track: o.Track})
		}
		steady(2 * time.Second)
		if got := h.gets(ana, all...); got != "slot:mix.a slot:mix.v" {
			t.Errorf("later: %q", got)
		}
		ana.told = told
		calmDown(all...)
		ana.set("sfu")
		for range 20 {
			steady(200 * time.Millisecond)
			ana.obey()
			bob.obey()
		}
		if got := h.gets(ana, all...); got != "bob.a bob.v" || len(x.outputs) != 0 {
			t.Errorf("back: %q, outputs %v", got, x.outputs)
		}
	})
}

// TestSwitchAndMixerShareSections: from one to the other nothing is negotiated.
func TestSwitchAndMixerShareSections(t *testing.T) {
	studio(t, func(h *house, x *fakeMixer) {
		ana, bob, cyd := h.speaker("ana", api.JoinParams{}), h.speaker("bob", api.JoinParams{}), h.speaker("cyd", api.JoinParams{})
		all := []*guest{ana, bob, cyd}
		ana.must(api.TopologySet, api.SetTopologyParams{Topology: "switch", Part: ana.join.Part}, nil)
		calmDown(all...)
		if got := h.gets(ana, all...); got != "slot:bob.a slot:bob.v slot:cyd.a" {
			t.Fatalf("switch: %q", got)
		}
		if got := h.gets(bob, all...); got != "ana.a ana.v cyd.a cyd.v" {
			t.Errorf("the others: %q", got)
		}
		rev := ana.rev
		ana.must(api.TopologySet, api.SetTopologyParams{Topology: "mixer", Part: ana.join.Part, Dev: "dev-ana"}, nil)
		if got := h.gets(ana, all...); got != "slot:bob.a slot:bob.v slot:cyd.a" {
			t.Errorf("until the mix flows: %q", got)
		}
		for _, o := range x.of("dev-ana") {
			h.media(plane.Event{Kind: plane.TrackLive, Track: o.Track})
		}
		pass(10 * time.Millisecond)
		if got := h.gets(ana, all...); got != "slot:cyd.a slot:mix.a slot:mix.v" || ana.rev != rev {
			t.Errorf("mixer: %q at rev %d, was %d", got, ana.rev, rev)
		}
		pass(time.Second) // what is left over ends by itself
		if got := h.gets(ana, all...); got != "slot:mix.a slot:mix.v" || ana.rev != rev {
			t.Errorf("mixer: %q at rev %d, was %d", got, ana.rev, rev)
		}
		ev := ana.events("media.slots")
		last, _ := json.Marshal(ev[len(ev)-1]["slots"])
		if !strings.Contains(string(last), `"mix:audio"`) || !strings.Contains(string(last), `"mix:video"`) {
			t.Errorf("media.slots %s", last)
		}
		ana.must(api.TopologySet, api.SetTopologyParams{Part: ana.join.Part}, nil)
		calmDown(all...)
		if got := h.gets(ana, all...); got != "bob.a bob.v cyd.a cyd.v" {
			t.Errorf("as the conference: %q", got)
		}
	})
}

func TestViewerOfSlotsGetsTheMixOfAMixerRoom(t *testing.T) {
	studio(t, func(h *house, x *fakeMixer) {
		ana := h.speaker("ana", api.JoinParams{})
		v := h.client("viewer", "whep")
		v.receives(1, 2)
		v.joins(api.JoinParams{Device: "v", Kind: "whep", Subscribe: "slots", Offer: &api.OfferParams{SDP: v.offer().SDP}})
		g := &guest{client: v}
		if got := h.gets(g, ana); got != "slot:ana.a slot:ana.v" {
			t.Errorf("before: %q", got)
		}
		ana.set("mixer")
		pass(3 * time.Second) // nothing of the mix comes: its patience is over
		if got := h.gets(g, ana); got != "slot:mix.a slot:mix.v" {
			t.Errorf("mixer: %q", got)
		}
		ana.must(api.LayoutSet, api.LayoutParams{Mode: "quad-view", Scope: "all"}, nil)
		outs := x.of("v")
		if len(outs) != 2 || outs[1].Layout != "quad-view" || !outs[1].Names {
			t.Errorf("outputs %+v", outs)
		}
		room := x.rooms[outs[0].Conf]
		if len(room.Sources) != 2 || room.Sources[0].Name != "ana" || room.Sources[0].SrcID == 0 || room.Sources[0].Codec.Name != "opus" {
			t.Errorf("room %+v", room)
		}
		ana.must(api.TrackMute, api.MuteParams{Track: ana.tracks[0]}, nil)
		if !x.rooms[outs[0].Conf].Sources[0].Muted {
			t.Error("the mixer does not know that the microphone is muted")
		}
	})
}

// TestTranslatorServesWhatALegCannotDecode in place of 415.
func TestTranslatorServesWhatALegCannotDecode(t *testing.T) {
	studio(t, func(h *house, x *fakeMixer) {
		ana := h.speaker("ana", api.JoinParams{})
		ana.set("translator")
		bob := &guest{client: h.client("bob", "ws"), in: true}
		bob.joins(api.JoinParams{Device: "dev-bob"})
		bob.receives(1, 1)
		bob.lines[0].Codecs = []plane.Codec{{Name: "PCMU", PT: 0, ClockRate: 8000}}
		bob.negotiates()
		if got := h.gets(bob, ana); got != "ana.v translated.a" {
			t.Errorf("bob gets %q", got)
		}
		outs := x.of("dev-bob")
		if len(outs) != 1 || outs[0].Only != ids.Track(ana.tracks[0]) || outs[0].Codec.Name != "PCMU" {
			t.Errorf("outputs %+v", outs)
		}
		if ev := bob.events("subscription.state"); len(ev) != 0 {
			t.Errorf("denied: %v", ev)
		}
		ana.must(api.TrackUnpublish, api.TrackParams{Track: ana.tracks[0]}, nil)
		if len(x.outputs) != 0 {
			t.Errorf("goes on translating: %v", x.outputs)
		}
	})
}

func TestMixerWithoutCodecsIsRefused(t *testing.T) {
	inHouse(t, func(c *Config) { c.Mixer = newFakeMixer(c.Plane.(*fakePlane), "opus") }, func(h *house) {
		ana := h.speaker("ana", api.JoinParams{})
		ana.watches()
		r := ana.ask(api.TopologySet, api.SetTopologyParams{Topology: "mixer"})
		if r.Code != 503 || r.Error.Reason != "codec-missing" || r.Error.Message != "install libvp8" {
			t.Errorf("%d %+v", r.Code, r.Error)
		}
		ana.must(api.TopologySet, api.SetTopologyParams{Topology: "hybrid"}, nil) // needs sound alone
	})
	inHouse(t, nil, func(h *house) {
		ana := h.speaker("ana", api.JoinParams{})
		ana.refused(503, "codec-missing", api.TopologySet, api.SetTopologyParams{Topology: "mixer"})
	})
}

// TestX1_DirectAndServer: two talk directly and the server carries nothing; the
// third brings all to the server; when one leaves they are on their own again.
func TestX1_DirectAndServer(t *testing.T) {
	inHouse(t, func(c *Config) {
		c.ICEServers = func(user string) []api.ICEServer {
			return []api.ICEServer{{URLs: []string{"turn:192.0.2.1"}, Username: user}}
		}
	}, func(h *house) {
		direct := func(name string) *guest {
			g := &guest{client: h.client(name, "ws"), in: true}
			g.joins(api.JoinParams{Device: "dev-" + name, Caps: api.Caps{P2P: true}, Tracks: []api.PublishParams{mic(), cam()}})
			g.tracks = []string{g.join.Tracks[0].Track, g.join.Tracks[1].Track}
			return g
		}
		ana, bob := direct("ana"), direct("bob")
		l := bob.join.Leg
		if l == nil || l.Manner != "direct" || len(l.Peers) != 1 || l.Peers[0].Dev != "dev-ana" || !l.Peers[0].Offer || len(l.ICEServers) != 1 || l.ICEServers[0].Username != "bob" {
			t.Fatalf("bob's leg %+v", l)
		}
		ev := ana.events("topology.changed")
		if b, _ := json.Marshal(ev[len(ev)-1]); !strings.Contains(string(b), `"manner":"direct"`) || !strings.Contains(string(b), `"username":"ana"`) || strings.Contains(string(b), `"offer":true`) {
			t.Errorf("ana is told %s", b)
		}
		ms := peerSession(bob, ana)
		if links, _, _ := h.plane.counts(); links != 0 {
			t.Errorf("%d links for two who talk directly", links)
		}
		cyd := h.speaker("cyd", api.JoinParams{})
		for _, g := range []*guest{ana, bob} {
			ev := g.events("topology.changed")
			if last := ev[len(ev)-1]; last["manner"] != "sfu" {
				t.Errorf("told %v", last)
			}
			g.sends(plane.Audio, "mic")
			g.sends(plane.Video, "cam")
			g.negotiates()
			h.media(plane.Event{Kind: plane.LinkConnected, Conn: g.conn()})
		}
		all := []*guest{ana, bob, cyd}
		calmDown(all...)
		if got := h.gets(ana, all...); got != "bob.a bob.v cyd.a cyd.v" {
			t.Errorf("ana gets %q", got)
		}
		ana.must(api.MediaPeerEnd, api.PeerStateParams{MS: ms}, nil)
		if ev := bob.events("media.closed"); len(ev) != 1 || ev[0]["ms"] != ms {
			t.Errorf("bob is told %v", ev)
		}
		cyd.must(api.ConferenceLeave, api.LeaveParams{}, nil)
		pass(1900 * time.Millisecond)
		if got := h.gets(ana, all...); got != "bob.a bob.v" {
			t.Errorf("too soon: %q", got)
		}
		pass(200 * time.Millisecond)
		ev = bob.events("topology.changed")
		if last := ev[len(ev)-1]; last["manner"] != "direct" {
			t.Errorf("bob is told %v", last)
		}
		if got := h.gets(ana, all...); got != "bob.a bob.v" {
			t.Errorf("before peers talk: %q", got)
		}
		peerSession(bob, ana)
		if links, tracks, subs := h.plane.counts(); links+tracks+subs != 0 {
			t.Errorf("the server still carries %d links, %d tracks, %d subscriptions", links, tracks, subs)
		}
	})
}

// peerSession has two devices open a session that carries media.
func peerSession(from, to *guest) string {
	var d api.PeerDescription
	r := from.ask(api.MediaOffer, api.OfferParams{SDP: "v=0", Peer: &api.Peer{Part: to.join.Part, Dev: to.join.Device}})
	if r.Code != 202 || json.Unmarshal(r.Result, &d) != nil {
		from.h.t.Fatalf("peer offer: %d %+v", r.Code, r.Error)
	}
	to.must(api.MediaAnswer, api.OfferParams{MS: d.MS, Rev: 1, SDP: "v=0"}, nil)
	from.must(api.MediaPeerState, api.PeerStateParams{MS: d.MS, State: "connected"}, nil)
	to.must(api.MediaPeerState, api.PeerStateParams{MS: d.MS, State: "connected"}, nil)
	return d.MS
}

// TestWeakLegIsServedLess: what a path takes is measured, not assumed.
func TestWeakLegIsServedLess(t *testing.T) {
	studio(t, func(h *house, _ *fakeMixer) {
		ana, bob := h.speaker("ana", api.JoinParams{}), h.speaker("bob", api.JoinParams{})
		all := []*guest{ana, bob}
		calmDown(all...)
		rate := func(estimate, sends uint64) {
			h.plane.mu.Lock()
			h.plane.stats = map[ids.Connection]plane.LinkStats{}
			for id, o := range h.plane.links {
				if o.Fingerprints[0] == ana.local.Fingerprint {
					h.plane.stats[id] = plane.LinkStats{EstimateOut: estimate, Goodput: sends}
				}
			}
			h.plane.mu.Unlock()
		}
		rate(70_000, 40_000) // little is sent, so little is known
		for range 3 {
			calmDown(all...)
		}
		if got := h.gets(ana, all...); got != "bob.a bob.v" {
			t.Errorf("a quiet leg is taken for a weak one: %q", got)
		}
		rate(100_000, 900_000)
		for range 3 {
			calmDown(all...)
		}
		if got := h.gets(ana, all...); got != "slot:bob.v slot:mix.a" {
			t.Errorf("weak: %q", got)
		}
		if got := h.gets(bob, all...); got != "ana.a ana.v" {
			t.Errorf("the other: %q", got)
		}
		rate(900_000, 300_000)
		for range 5 {
			calmDown(all...)
		}
		if got := h.gets(ana, all...); got != "bob.a bob.v" {
			t.Errorf("strong again: %q", got)
		}
		synctest.Wait()
	})
}

// TestRTM5_ComingAndGoingTouchesNoOtherLeg: where RTCP ends at the server, who
// comes and goes is told by the roster within a second, and ends no stream of
// anybody else's leg: an Unsubscribe would be a BYE.
func TestRTM5_ComingAndGoingTouchesNoOtherLeg(t *testing.T) {
	studio(t, func(h *house, x *fakeMixer) {
		ana, bob := h.speaker("ana", api.JoinParams{}), h.speaker("bob", api.JoinParams{})
		ana.set("rtcp-terminating-mcu")
		calmDown(ana, bob)
		ana.watches()
		for _, o := range x.of("dev-ana") {
			h.media(plane.Event{Kind: plane.TrackLive, Track: o.Track})
		}
		sent := func() map[ids.Subscription]uint32 {
			conn := ana.conn()
			h.plane.mu.Lock()
			defer h.plane.mu.Unlock()
			out := map[ids.Subscription]uint32{}
			for id, s := range h.plane.subs {
				if s.Conn == conn {
					out[id] = s.SSRC
					if !s.Anonymous {
						t.Errorf("%+v tells whose it is", s)
					}
				}
			}
			return out
		}
		before, docs := sent(), len(ana.notes)
		if len(before) != 2 {
			t.Fatalf("ana is sent %v", before)
		}
		cyd := h.speaker("cyd", api.JoinParams{})
		pass(time.Second)
		if u := ana.doc.Doc.Users.User["cyd"]; u == nil || len(ana.notes) == docs {
			t.Error("the roster does not show who came")
		}
		cyd.must(api.ConferenceLeave, api.LeaveParams{}, nil)
		pass(time.Second)
		if u := ana.doc.Doc.Users.User["cyd"]; u != nil && u.Endpoint["dev-cyd"].Status != "disconnected" {
			t.Error("the roster does not show who went")
		}
		if after := sent(); !maps.Equal(before, after) {
			t.Errorf("before %v, after %v", before, after)
		}
	})
}

// TestMixerAtItsLimit: who cannot have a mix now has slots, and a mix later.
func TestMixerAtItsLimit(t *testing.T) {
	studio(t, func(h *house, x *fakeMixer) {
		ana, bob := h.speaker("ana", api.JoinParams{}), h.speaker("bob", api.JoinParams{})
		x.limit(true)
		ana.set("mixer")
		calmDown(ana, bob)
		if got := h.gets(ana, ana, bob); got != "slot:bob.a slot:bob.v" {
			t.Errorf("full: %q", got)
		}
		x.limit(false)
		calmDown(ana, bob)
		if got := h.gets(ana, ana, bob); got != "slot:mix.a slot:mix.v" {
			t.Errorf("free again: %q", got)
		}
	})
}
