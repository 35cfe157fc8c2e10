package focus

import (
	"slices"
	"testing"
	"time"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/media/plane"
)

// publisher joins with microphone and camera and negotiates both.
func (h *house) publisher(name string) *client {
	h.t.Helper()
	c := h.client(name, "ws")
	c.joins(api.JoinParams{Tracks: []api.PublishParams{mic(), cam()}})
	c.sends(plane.Audio, "mic")
	c.sends(plane.Video, "cam")
	c.receives(c.join.Needed.Audio, c.join.Needed.Video)
	c.negotiates()
	h.media(plane.Event{Kind: plane.LinkConnected, Conn: c.conn()})
	return c
}

func TestOfferAnswerSubscriptionsAndEnd(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.publisher("ana")
		bob := h.client("bob", "ws")
		bob.joins(api.JoinParams{})
		if n := bob.join.Needed; n.Audio != 1 || n.Video != 1 || n.MS != bob.join.MS {
			t.Fatalf("needed at join: %+v", n)
		}
		bob.receives(1, 1)
		a, acc := bob.negotiates()
		if len(a.Receive) != 2 || a.Rev != 1 {
			t.Fatalf("answer: %+v", a)
		}
		streams := map[string]bool{}
		for mid, k := range a.Receive {
			s := acc.Media.Sections[slices.IndexFunc(acc.Media.Sections, func(s plane.Section) bool { return s.MID == mid })]
			if s.Recv == nil {
				t.Errorf("section %s of %s does not receive", mid, k)
			}
			streams[k] = true
		}
		for _, k := range ana.join.Tracks {
			if !streams[k.Track] {
				t.Errorf("track %s does not arrive", k.Track)
			}
		}
		if got := h.plane.reaching(bob.conn()); len(got) != 2 {
			t.Errorf("the media side sends %v", got)
		}
		names := map[string]int{} // rule C6: one alias per origin device
		for _, k := range h.plane.tracks {
			names[k.CNAME]++
		}
		if len(names) != 1 || names["client"] != 0 {
			t.Errorf("CNAMEs %v", names)
		}
		ana.must(api.ConferenceEnd, api.EndParams{}, nil)
		if l, k, s := h.plane.counts(); l+k+s != 0 {
			t.Errorf("after the end: %d links, %d tracks, %d subscriptions", l, k, s)
		}
		bob.refused(404, "not-found", api.MediaOffer, bob.params(bob.offer()))
		if len(h.plane.ended) != 1 {
			t.Errorf("conference ended %d times on the media side", len(h.plane.ended))
		}
	})
}

// TestA30_NeedsAreCoalesced: many joins at once ask the receiver to renegotiate
// once; ended sources ask lazily and leave a section to be used again.
func TestA30_NeedsAreCoalesced(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		bob := h.publisher("bob")
		var others []*client
		for _, n := range []string{"c1", "c2", "c3", "c4", "c5"} {
			others = append(others, h.publisher(n))
		}
		pass(time.Second)
		needed := bob.needed()
		if len(needed) != 1 || needed[0].Audio != 5 || needed[0].Video != 5 || needed[0].Reason != "subscribe" {
			t.Fatalf("media.needed: %+v", needed)
		}
		bob.receives(5, 5)
		if a, _ := bob.negotiates(); len(a.Receive) != 10 {
			t.Fatalf("receives %v", a.Receive)
		}
		for _, o := range others[:3] {
			o.must(api.ConferenceLeave, api.LeaveParams{}, nil)
		}
		pass(300 * time.Millisecond)
		if n := len(bob.needed()); n != 1 {
			t.Fatalf("told %d times before the lazy wait was over", n)
		}
		pass(300 * time.Millisecond)
		if needed = bob.needed(); len(needed) != 2 || needed[1].Reason != "ended" || needed[1].Audio != 5 {
			t.Fatalf("media.needed: %+v", needed)
		}
		a, acc := bob.negotiates()
		if len(a.Receive) != 4 {
			t.Errorf("receives %v", a.Receive)
		}
		inactive := 0
		for _, s := range acc.Media.Sections {
			if s.Recv == nil && s.Send == nil {
				inactive++
			}
		}
		if inactive != 6 {
			t.Errorf("%d inactive sections, want 6", inactive)
		}
		// a newcomer takes two of them, on fresh SSRCs (the fake media side checks)
		h.publisher("c6")
		pass(time.Second)
		if needed = bob.needed(); len(needed) != 3 || needed[2].Audio != 5 {
			t.Fatalf("media.needed: %+v", needed)
		}
		if a, _ = bob.negotiates(); len(a.Receive) != 6 {
			t.Errorf("receives %v", a.Receive)
		}
		pass(time.Second)
		if n := len(bob.needed()); n != 3 {
			t.Errorf("told again without need: %d", n)
		}
	})
}

func TestResponseComesBeforeNotifiesToItsAuthor(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.client("ana", "ws")
		ana.joins(api.JoinParams{})
		ana.watches()
		pass(time.Second)
		ana.must(api.TrackPublish, mic(), nil)
		pass(time.Second)
		ana.must(api.ConferenceEnd, api.EndParams{}, nil)
		want := []string{
			"response conference.join 200", "response subscribe", "document full 1",
			"response track.publish 200", "event track.published", "document partial 2",
			"response conference.end 200", "event track.ended", "event participant.left", "event conference.ended", "document deleted 3",
		}
		if got := ana.frames(); !slices.Equal(got, want) {
			t.Errorf("heard\n%q\nwant\n%q", got, want)
		}
	})
}

// TestCI6_SubscribersHaveTheirOwnVersions: two who subscribed at other times
// have gap-free versions of their own and the same content (client.Notify
// checks each document against its predecessor).
func TestCI6_SubscribersHaveTheirOwnVersions(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana, bob := h.client("ana", "ws"), h.client("bob", "ws")
		ana.joins(api.JoinParams{Tracks: []api.PublishParams{mic()}})
		ana.watches()
		track := api.MuteParams{Track: ana.join.Tracks[0].Track}
		for range 5 {
			ana.must(api.TrackMute, track, nil)
			pass(time.Second)
			ana.must(api.TrackUnmute, track, nil)
			pass(time.Second)
		}
		bob.joins(api.JoinParams{})
		bob.watches()
		ana.must(api.TrackMute, track, nil)
		pass(time.Second)
		a, b := ana.doc.Doc, bob.doc.Doc
		if a.Version != 13 || b.Version != 2 {
			t.Errorf("versions %d and %d", a.Version, b.Version)
		}
		if a.Ext.Rev != b.Ext.Rev || len(b.Users.User) != 2 {
			t.Errorf("documents differ: rev %d and %d", a.Ext.Rev, b.Ext.Rev)
		}
		m := b.Users.User["ana"].Endpoint["laptop"].Media[track.Track]
		if m.Status != "inactive" || m.Ext.MutedBy != "self" {
			t.Errorf("row %+v", m)
		}
	})
}

// TestCI7_ThrottleOnWebSocket: 100 changes in 5 s make at most 51 documents.
func TestCI7_ThrottleOnWebSocket(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana, bob := h.client("ana", "ws"), h.client("bob", "ws")
		ana.joins(api.JoinParams{Tracks: []api.PublishParams{mic()}})
		bob.joins(api.JoinParams{})
		pass(time.Second)
		bob.watches()
		pass(time.Second)
		for i := range 100 {
			method := []string{api.TrackMute, api.TrackUnmute}[i%2]
			ana.must(method, api.MuteParams{Track: ana.join.Tracks[0].Track}, nil)
			pass(50 * time.Millisecond)
		}
		pass(time.Second)
		if v := bob.doc.Doc.Version; v > 52 { // and the full one at the start
			t.Errorf("%d documents", v)
		}
		if m := bob.doc.Doc.Users.User["ana"].Endpoint["laptop"].Media; m[ana.join.Tracks[0].Track].Status != "sendonly" {
			t.Errorf("last state lost: %+v", m)
		}
	})
}

func TestSUB3_EndGivesOneDeletedDocument(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana, bob := h.client("ana", "ws"), h.client("bob", "ws")
		ana.joins(api.JoinParams{})
		bob.joins(api.JoinParams{})
		bob.watches()
		ana.must(api.ConferenceEnd, api.EndParams{}, nil)
		n := 0
		for _, f := range bob.frames() {
			if f == "document deleted 2" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("frames %q", bob.frames())
		}
		// the URI may host another instance, the old id may not
		first := ana.join.Conf
		ana.joins(api.JoinParams{})
		if ana.join.Conf == first {
			t.Error("the same instance again")
		}
		r := new(api.Response)
		h.f.Do(bob.caller, &api.Request{ID: "x", Method: api.ConferenceJoin, Conf: first, Params: []byte(`{"device":"d"}`)}, func(x *api.Response) { r = x })
		pass(0)
		if r.Code != 410 {
			t.Errorf("old instance: %+v", r)
		}
		h.f.Do(bob.caller, &api.Request{ID: "y", Method: api.ConferenceLeave, Conf: first}, func(x *api.Response) { r = x })
		pass(0)
		if r.Code != 200 || string(r.Result) != `{"already":true}` {
			t.Errorf("leaving the old instance: %+v", r)
		}
	})
}

func TestSUB4_UnknownPackageAndStrangers(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana, eve := h.client("ana", "ws"), h.client("eve", "ws")
		ana.joins(api.JoinParams{})
		codes := map[string]int{}
		sub := func(c *client, pkg string) {
			h.f.Subscribe(c.caller, &api.Subscribe{ID: "1", Conf: "standup", Package: pkg}, func(r *api.Response) { codes[c.caller.By.Subject+pkg] = r.Code })
			pass(0)
		}
		sub(ana, "presence")
		sub(eve, "conference")
		sub(ana, "conference")
		if codes["anapresence"] != 489 || codes["eveconference"] != 403 || codes["anaconference"] != 200 {
			t.Errorf("codes %v", codes)
		}
	})
}

// TestJoinIsTakenBackWhenItsOfferIsRefused: nobody sees a row that never was.
func TestJoinIsTakenBackWhenItsOfferIsRefused(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.client("ana", "ws")
		ana.joins(api.JoinParams{})
		ana.watches()
		h.plane.refuse = fault.New(429, "too-many-joins", "cap")
		eve := h.client("eve", "whip")
		eve.sends(plane.Audio, "0")
		eve.refused(429, "too-many-joins", api.ConferenceJoin, api.JoinParams{
			Device: "whip", Kind: "whip", Tracks: []api.PublishParams{{CID: "0", Kind: "audio"}},
			Offer: &api.OfferParams{SDP: eve.offer().SDP, Tracks: map[string]string{"0": "0"}},
		})
		pass(time.Second)
		if got := ana.frames(); slices.ContainsFunc(got, func(s string) bool { return s == "event participant.joined" || s == "event participant.left" }) {
			t.Errorf("ana heard %q", got)
		}
		if st, ok := h.f.Status("standup"); !ok || st.UserCount != 1 {
			t.Errorf("status %+v", st)
		}
	})
	inHouse(t, nil, func(h *house) { // and a room that only this join started is gone
		h.plane.refuse = fault.New(503, "overloaded", "cap")
		eve := h.client("eve", "whip")
		eve.sends(plane.Audio, "0")
		eve.refused(503, "overloaded", api.ConferenceJoin, api.JoinParams{Device: "whip", Offer: &api.OfferParams{SDP: eve.offer().SDP}})
		if _, ok := h.f.Status("standup"); ok {
			t.Error("the room runs")
		}
	})
}

// TestR1_ResumeKeepsEverything: the channel is lost and comes back within the
// grace; others see reachability only, and mute and media are as before.
func TestR1_ResumeKeepsEverything(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana, bob := h.publisher("ana"), h.client("bob", "ws")
		bob.joins(api.JoinParams{})
		bob.watches()
		ana.must(api.TrackMute, api.MuteParams{Track: ana.join.Tracks[0].Track}, nil)
		links, tracks, _ := h.plane.counts()
		h.f.Suspended(ana.caller.Session)
		pass(time.Second)
		if r := bob.doc.Doc.Users.User["ana"].Endpoint["laptop"].Ext.Reachability; r != "suspended" {
			t.Errorf("reachability %q", r)
		}
		again := &client{h: h}
		h.f.Resumed(ana.caller.Session, again)
		pass(time.Second)
		e := bob.doc.Doc.Users.User["ana"].Endpoint["laptop"]
		if e.Ext.Reachability != "ok" || e.Media[ana.join.Tracks[0].Track].Ext.MutedBy != "self" {
			t.Errorf("after resume: %+v", e)
		}
		if l, k, _ := h.plane.counts(); l != links || k != tracks {
			t.Error("media was touched")
		}
		for _, f := range bob.frames() {
			if f == "event participant.left" || f == "event participant.joined" {
				t.Errorf("bob heard %s", f)
			}
		}
		h.f.Suspended(ana.caller.Session)
		h.f.Closed(ana.caller.Session, "grace")
		pass(time.Second)
		if n := len(bob.events("participant.left")); n != 1 {
			t.Errorf("left %d times", n)
		}
	})
}

func TestShutdownSaysGoodbyeToAll(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana, idle := h.publisher("ana"), h.client("idle", "ws")
		ana.watches()
		pass(time.Second)
		before := len(ana.frames())
		if err := h.f.Shutdown(h.t.Context(), "shutdown"); err != nil {
			t.Fatal(err)
		}
		for _, c := range []*client{ana, idle} {
			if len(c.bye) != 1 || c.bye[0].Action != "reconnect" || c.bye[0].Reason != "shutdown" {
				t.Errorf("%s: goodbyes %+v", c.caller.By.Subject, c.bye)
			}
		}
		if after := ana.frames(); len(after) != before {
			t.Errorf("told more than goodbye: %q", after[before:])
		}
		ana.refused(503, "overloaded", api.ConferenceJoin, api.JoinParams{Device: "d"})
	})
}

func TestLimitsOfTheNode(t *testing.T) {
	inHouse(t, func(c *Config) { c.MaxConferences, c.MaxParticipants = 1, 2 }, func(h *house) {
		ana, bob, cyd := h.client("ana", "ws"), h.client("bob", "ws"), h.client("cyd", "ws")
		ana.joins(api.JoinParams{})
		bob.joins(api.JoinParams{})
		cyd.refused(503, "overloaded", api.ConferenceJoin, api.JoinParams{Device: "d"})
		var r *api.Response
		h.f.Do(cyd.caller, &api.Request{ID: "1", Method: api.ConferenceStart, Conf: "other"}, func(x *api.Response) { r = x })
		if r == nil || r.Code != 503 || r.Error.RetryAfterMs == 0 {
			t.Errorf("second conference: %+v", r)
		}
		h.f.Do(cyd.caller, &api.Request{ID: "2", Method: api.ConferenceJoin, Conf: "../x", Params: []byte(`{"device":"d"}`)}, func(x *api.Response) { r = x })
		if r.Code != 400 {
			t.Errorf("bad name: %+v", r)
		}
	})
}

func TestFullInboxIsRefusedAndFactsAreNot(t *testing.T) {
	b := newMailbox(1)
	if err := b.put(&item{}); err != nil {
		t.Fatal(err)
	}
	if err := b.put(&item{}); fault.From(err).Code != 503 {
		t.Errorf("full inbox: %v", err)
	}
	b.force(&item{})
	b.media(plane.Event{Kind: plane.SpeakersChanged})
	b.media(plane.Event{Kind: plane.SpeakersChanged, Speakers: []plane.Speaker{{Level: 7}}})
	b.media(plane.Event{Kind: plane.DataMessage})
	q := b.take()
	if len(q) != 3 || len(q[2].event.Speakers) != 1 {
		t.Errorf("%d items", len(q))
	}
	b.close()
	if err := b.put(&item{}); err != errClosed {
		t.Errorf("closed: %v", err)
	}
}

// TestA17_DuplicateKeysAndBadDescriptions: what is not understood is
// refused before anything changes.
func TestA17_DuplicateKeysAndBadDescriptions(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.client("ana", "ws")
		ana.joins(api.JoinParams{})
		ana.refused(400, "bad-sdp", api.MediaOffer, api.OfferParams{MS: ana.join.MS, Rev: 1, SDP: "v=1"})
		ana.refused(481, "no-session", api.MediaOffer, func() api.OfferParams {
			ana.receives(1, 0)
			p := ana.params(ana.offer())
			p.MS = "ms_of_another"
			return p
		}())
		var r *api.Response
		h.f.Do(ana.caller, &api.Request{ID: "d", Method: api.TrackMute, Conf: "standup", Params: []byte(`{"track":"a","Track":"b"}`)}, func(x *api.Response) { r = x })
		pass(0)
		if r.Code != 400 {
			t.Errorf("duplicate keys: %+v", r)
		}
		ana.negotiates() // the session is as it was
	})
}

// TestA20_PanicCostsOneSession: a fault of ours inside a request is answered
// 500 and ends its session; the room goes on.
func TestA20_PanicCostsOneSession(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana, bob := h.client("ana", "ws"), h.client("bob", "ws")
		ana.joins(api.JoinParams{})
		bob.joins(api.JoinParams{})
		var r *api.Response
		it := h.f.newItem(ana.caller, &api.Request{ID: "p", Method: api.MediaOffer, Conf: "standup", Params: []byte(`{"sdp":"x"}`)})
		it.err, it.unread, it.offer = nil, nil, nil // a description that got lost: the loop must survive it
		it.reply = func(x *api.Response) { r = x }
		h.f.route(it)
		pass(0)
		if r == nil || r.Code != 500 {
			t.Fatalf("answer %+v", r)
		}
		if len(ana.bye) != 1 || len(bob.bye) != 0 {
			t.Errorf("goodbyes %v, %v", ana.bye, bob.bye)
		}
		bob.must(api.TrackPublish, mic(), nil)
	})
}

func TestRequestThatWaitedTooLong(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.client("ana", "ws")
		ana.joins(api.JoinParams{})
		var r *api.Response
		it := h.f.newItem(ana.caller, &api.Request{ID: "p", Method: api.TrackPublish, Conf: "standup", TTLMs: 10, Params: []byte(`{"cid":"a","kind":"audio"}`)})
		it.reply = func(x *api.Response) { r = x }
		pass(time.Second)
		h.f.route(it)
		pass(0)
		if r == nil || r.Code != 408 {
			t.Errorf("answer %+v", r)
		}
	})
}
