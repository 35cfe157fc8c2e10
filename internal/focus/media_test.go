package focus

import (
	"testing"
	"time"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

func TestCodecNobodySharesIsDenied(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.publisher("ana")
		bob := h.client("bob", "ws")
		bob.joins(api.JoinParams{})
		bob.receives(1, 1)
		bob.lines[1].Codecs = []plane.Codec{{Name: "AV1", PT: 45, ClockRate: 90000}} // not what ana sends
		a, _ := bob.negotiates()
		if len(a.Receive) != 1 {
			t.Errorf("receives %v", a.Receive)
		}
		ev := bob.events("subscription.state")
		if len(ev) != 1 || ev[0]["state"] != "denied" || ev[0]["track"] != ana.join.Tracks[1].Track {
			t.Errorf("subscription.state: %v", ev)
		}
		pass(time.Second)
		if n := bob.needed(); len(n) != 0 {
			t.Errorf("asked again for what it cannot take: %+v", n)
		}
	})
}

// TestRACE23_RestartIsAnOfferWithNewCredentials: the link stays, and so do
// sections and SSRCs.
func TestRACE23_RestartIsAnOfferWithNewCredentials(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.publisher("ana")
		bob := h.client("bob", "ws")
		bob.joins(api.JoinParams{})
		bob.receives(1, 1)
		bob.negotiates()
		before := h.plane.reaching(bob.conn())
		bob.must(api.MediaRestartICE, api.RestartICEParams{MS: bob.join.MS}, nil)
		bob.refused(409, "bad-state", api.MediaRestartICE, api.RestartICEParams{MS: bob.join.MS})
		bob.local.ICE.Ufrag = "fresh"
		_, acc := bob.negotiates()
		if h.plane.restarts != 1 {
			t.Errorf("%d restarts", h.plane.restarts)
		}
		if after := h.plane.reaching(bob.conn()); len(after) != 2 || after["0"] != before["0"] {
			t.Errorf("before %v, after %v", before, after)
		}
		if acc == nil || h.plane.media[ana.conn()].Rev == 0 {
			t.Error("media lost")
		}
		bob.must(api.MediaRestartICE, api.RestartICEParams{MS: bob.join.MS}, nil)
	})
}

func TestWHIPRestartByFragment(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		c := h.client("obs", "whip")
		c.sends(plane.Audio, "0")
		c.joins(api.JoinParams{Device: "whip", Kind: "whip", Subscribe: "none", Tracks: []api.PublishParams{{CID: "0", Kind: "audio"}},
			Offer: &api.OfferParams{SDP: c.offer().SDP, Tracks: map[string]string{"0": "0"}}})
		if c.join.Answer == nil || c.join.Answer.Rev != 1 {
			t.Fatalf("join: %+v", c.join)
		}
		var res api.RestartICEResult
		c.must(api.MediaRestartICE, api.RestartICEParams{MS: c.join.MS, Ufrag: "next", Pwd: "abcdefghijklmnopqrstuvwx"}, &res)
		if res.Ufrag != "srv101" || res.Pwd == "" || res.Pwd == "[secret]" || len(res.Candidates) != 1 {
			t.Errorf("restart: %+v", res)
		}
		h.media(plane.Event{Kind: plane.LinkFailed, Conn: c.conn()})
		if len(c.bye) != 1 {
			t.Errorf("goodbyes %+v", c.bye)
		}
		if l, k, s := h.plane.counts(); l+k+s != 0 {
			t.Errorf("left: %d %d %d", l, k, s)
		}
	})
}

// TestNewPeerConnectionKeepsTracks: a browser that makes a new peer connection
// in the same session publishes the same tracks on it, and receivers get them.
func TestNewPeerConnectionKeepsTracks(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.publisher("ana")
		bob := h.client("bob", "ws")
		bob.joins(api.JoinParams{})
		bob.receives(1, 1)
		bob.negotiates()
		h.media(plane.Event{Kind: plane.LinkFailed, Conn: ana.conn()})
		ana.newPeer("anabel")
		ana.sends(plane.Audio, "mic")
		ana.sends(plane.Video, "cam")
		ana.negotiates()
		pass(time.Second)
		n := bob.needed()
		if len(n) != 1 || n[0].Audio != 1 || n[0].Video != 1 {
			t.Fatalf("media.needed: %+v", n)
		}
		bob.negotiates()
		got := h.plane.reaching(bob.conn())
		if got["0"] != ids.Track(ana.join.Tracks[0].Track) || got["1"] != ids.Track(ana.join.Tracks[1].Track) {
			t.Errorf("reaching %v, published %v", got, ana.join.Tracks)
		}
		pass(31 * time.Second) // the old link's grace means nothing any more
		if _, k, _ := h.plane.counts(); k != 2 {
			t.Errorf("%d tracks", k)
		}
	})
}

// TestWHEPSlots: sections are filled in order of joining, later publishers
// fill empty ones without a new session, speakers take over when sources
// outnumber sections.
func TestWHEPSlots(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		a := h.publisher("ana")
		v := h.client("tv", "whep")
		v.receives(1, 2)
		o := v.offer()
		v.joins(api.JoinParams{Device: "whep", Kind: "whep", Subscribe: "slots", Offer: &api.OfferParams{SDP: o.SDP}})
		acc := v.takes(o, *v.join.Answer)
		ssrc := map[string]uint32{}
		for _, s := range acc.Media.Sections {
			if s.Recv == nil {
				t.Fatalf("section %s is not declared", s.MID)
			}
			if len(s.Recv.Layers) > 0 {
				ssrc[s.MID] = s.Recv.Layers[0].SSRC
			}
		}
		conn := v.conn()
		track := func(c *client, i int) ids.Track { return ids.Track(c.join.Tracks[i].Track) }
		if got := h.plane.reaching(conn); len(got) != 2 || got["0"] != track(a, 0) || got["1"] != track(a, 1) {
			t.Fatalf("first source: %v", got)
		}
		b := h.publisher("bob")
		if got := h.plane.reaching(conn); got["2"] != track(b, 1) || got["0"] != track(a, 0) {
			t.Fatalf("second source: %v", got)
		}
		c := h.publisher("cyd")
		h.media(plane.Event{Kind: plane.SpeakersChanged, Speakers: []plane.Speaker{{Track: track(c, 0), Level: 20}}})
		if got := h.plane.reaching(conn); got["0"] != track(c, 0) || got["1"] != track(a, 1) || got["2"] != track(c, 1) {
			t.Fatalf("speaker: %v", got)
		}
		for _, s := range h.plane.subs {
			if s.Conn == conn && (!s.Slot || ssrc[s.MID] != 0 && s.SSRC != ssrc[s.MID]) {
				t.Errorf("slot %s changed its SSRC", s.MID)
			}
		}
		a.must(api.ConferenceLeave, api.LeaveParams{}, nil)
		if got := h.plane.reaching(conn); got["1"] != track(b, 1) {
			t.Errorf("emptied slot: %v", got)
		}
		if len(v.needed()) != 0 {
			t.Error("a viewer of slots is asked for sections")
		}
	})
}

func TestSpeakerEventsAtMostOneASecond(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.publisher("ana")
		ana.watches()
		for range 30 {
			h.media(plane.Event{Kind: plane.SpeakersChanged, Speakers: []plane.Speaker{{Track: ids.Track(ana.join.Tracks[0].Track), Level: 9}}})
			pass(100 * time.Millisecond)
		}
		pass(time.Second)
		if n := len(ana.events("speaker.active")); n < 3 || n > 5 {
			t.Errorf("%d events in 4 s", n)
		}
	})
}

// TestRefusedSlotIsFree: a source that the media side refuses is asked for once,
// and the slot goes to the next one; published anew it has its turn again.
func TestRefusedSlotIsFree(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.publisher("ana")
		bad := ids.Track(ana.join.Tracks[1].Track)
		h.plane.never = map[ids.Track]bool{bad: true}
		v := h.client("tv", "whep")
		v.receives(1, 1)
		o := v.offer()
		v.joins(api.JoinParams{Device: "whep", Kind: "whep", Subscribe: "slots", Offer: &api.OfferParams{SDP: o.SDP}})
		v.takes(o, *v.join.Answer)
		if got := h.plane.reaching(v.conn()); got["0"] != ids.Track(ana.join.Tracks[0].Track) || got["1"] != "" {
			t.Errorf("with one refused: %v", got)
		}
		bob := h.publisher("bob")
		if got := h.plane.reaching(v.conn()); got["1"] != ids.Track(bob.join.Tracks[1].Track) {
			t.Errorf("the next one: %v", got)
		}
		for range 10 {
			h.media(plane.Event{Kind: plane.SpeakersChanged, Speakers: []plane.Speaker{{Track: ids.Track(ana.join.Tracks[0].Track), Level: 20}}})
		}
		asked := 0
		for _, line := range h.plane.log {
			if line == "refuse "+string(bad) {
				asked++
			}
		}
		if asked != 2 { // once for the slot, once for bob
			t.Errorf("refused %d times: %q", asked, h.plane.log)
		}
		h.plane.mu.Lock()
		h.plane.never = nil
		h.plane.mu.Unlock()
		h.media(plane.Event{Kind: plane.LinkFailed, Conn: ana.conn()})
		ana.newPeer("anabel")
		ana.sends(plane.Audio, "mic")
		ana.sends(plane.Video, "cam")
		ana.negotiates()
		h.media(plane.Event{Kind: plane.SpeakersChanged, Speakers: []plane.Speaker{{Track: ids.Track(ana.join.Tracks[0].Track), Level: 20}}})
		if got := h.plane.reaching(v.conn()); got["1"] != bad {
			t.Errorf("published anew: %v", got)
		}
	})
}

// TestCMD1_RestartByAServiceKey: the client is told to offer, and why; its offer
// with new credentials is the restart.
func TestCMD1_RestartByAServiceKey(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		h.publisher("ana")
		bob := h.client("bob", "ws")
		bob.joins(api.JoinParams{})
		bob.receives(1, 1)
		bob.negotiates()
		key := h.client("key", "http")
		key.caller.By.Service = true
		key.must(api.MediaRestartICE, api.RestartICEParams{MS: bob.join.MS}, nil)
		h.publisher("cyd") // brings another reason to offer in the same moment
		pass(time.Second)
		n := bob.needed()
		if len(n) != 1 || n[0].Reason != "ice-restart" || n[0].Audio != 2 || n[0].MS != bob.join.MS {
			t.Fatalf("media.needed: %+v", n)
		}
		key.refused(409, "bad-state", api.MediaRestartICE, api.RestartICEParams{MS: bob.join.MS})
		bob.local.ICE.Ufrag = "fresh"
		bob.negotiates()
		if h.plane.restarts != 1 {
			t.Errorf("%d restarts", h.plane.restarts)
		}
	})
}
