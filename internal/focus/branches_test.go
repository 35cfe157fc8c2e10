package focus

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
	"parley/internal/media/plane"
)

// elsewhere is the same session and device in another conference, with a peer
// connection of its own.
func (c *client) elsewhere(conf string) *client {
	o := &client{h: c.h, caller: c.caller, conf: conf, cids: map[string]string{}}
	o.newPeer(c.caller.By.Subject + " in " + conf)
	return o
}

func (c *client) lastMoved() (m api.Moved) {
	c.h.t.Helper()
	all := c.events("moved")
	if len(all) == 0 {
		c.h.t.Fatal("was not told to move")
	}
	b, _ := json.Marshal(all[len(all)-1])
	if err := json.Unmarshal(b, &m); err != nil {
		c.h.t.Fatal(err)
	}
	return m
}

func (p *fakePlane) mutedTracks() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.tracks {
		if k.Muted {
			n++
		}
	}
	return n
}

func (p *fakePlane) pausedTo(c ids.Connection) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.subs {
		if s.Conn == c && s.Paused {
			n++
		}
	}
	return n
}

// TestSidebarTakesMediaAndGivesItBack: who is in a sidebar neither is heard nor
// hears in the main conference, and has everything back at its end.
func TestSidebarTakesMediaAndGivesItBack(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		mod := h.moderator()
		ana, bea := h.publisher("ana"), h.publisher("bea")
		pass(time.Second)
		ana.receives(1, 1)
		ana.negotiates()
		bea.receives(1, 1)
		bea.negotiates()
		mainConn := ana.conn()
		mod.watches()
		var sb api.SidebarResult
		mod.must(api.SidebarCreate, api.SidebarCreateParams{Title: "Corner", Members: []string{mod.part("ana")}}, &sb)
		pass(time.Second)
		if n := h.plane.mutedTracks(); n != 2 {
			t.Errorf("%d tracks are held, want both of ana's", n)
		}
		if n := h.plane.pausedTo(mainConn); n != 2 {
			t.Errorf("%d subscriptions are held, want both", n)
		}
		if e := mod.doc.Doc.SidebarsByRef; e == nil || e.Entry["standup+sb1"].DisplayText != "Corner" {
			t.Errorf("document %+v", e)
		}
		m := ana.lastMoved()
		if m.To != sb.Sidebar || m.URI != sb.URI || m.Token == "" || m.Back {
			t.Errorf("moved %+v, sidebar %+v", m, sb)
		}
		in := ana.elsewhere(m.URI)
		in.joins(api.JoinParams{Load: "2", Moved: m.Token, Tracks: []api.PublishParams{mic()}})
		in.sends(plane.Audio, "mic")
		in.negotiates()
		links, tracks, _ := h.plane.counts()
		bea.elsewhere(m.URI).refused(403, "forbidden", api.ConferenceJoin, api.JoinParams{Device: "laptop"})
		mod.must(api.SidebarEnd, api.SidebarParams{Sidebar: sb.Sidebar}, nil)
		pass(time.Second)
		if n := h.plane.mutedTracks() + h.plane.pausedTo(mainConn); n != 0 {
			t.Errorf("%d tracks and subscriptions are still held", n)
		}
		if l, k, _ := h.plane.counts(); l != links-1 || k != tracks-1 {
			t.Errorf("%d links, %d tracks; the sidebar's should be gone", l, k)
		}
		if back := ana.lastMoved(); !back.Back || back.URI != "standup" {
			t.Errorf("moved %+v", back)
		}
		if mod.doc.Doc.SidebarsByRef != nil {
			t.Errorf("document %+v", mod.doc.Doc.SidebarsByRef)
		}
		ana.negotiates() // the main session is as it was
		in.refused(410, "gone", api.ConferenceJoin, api.JoinParams{Device: "laptop"})
	})
}

// TestSidebarByValue: its people are seen from the main conference.
func TestSidebarByValue(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		mod := h.moderator()
		ana := h.publisher("ana")
		mod.watches()
		var sb api.SidebarResult
		mod.must(api.SidebarCreate, api.SidebarCreateParams{Title: "Corner", ByVal: true, Members: []string{mod.part("ana")}}, &sb)
		in := ana.elsewhere(sb.Sidebar)
		in.joins(api.JoinParams{})
		pass(time.Second)
		c := mod.doc.Doc.SidebarsByVal
		if c == nil || c.Entry[sb.URI] == nil || c.Entry[sb.URI].Users.User["ana"] == nil {
			t.Fatalf("document %+v", c)
		}
		in.must(api.ConferenceLeave, api.LeaveParams{}, nil)
		pass(40 * time.Second)
		if u := mod.doc.Doc.SidebarsByVal.Entry[sb.URI].Users.User["ana"]; u != nil {
			t.Errorf("ana is still shown: %+v", u)
		}
		if m := ana.lastMoved(); !m.Back {
			t.Errorf("moved %+v", m)
		}
	})
}

// TestS7_ExpelReachesIntoSidebars: who is put out of the main conference has no
// transport anywhere and does not come back by the side door.
func TestS7_ExpelReachesIntoSidebars(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		mod := h.moderator()
		ana := h.publisher("ana")
		var sb api.SidebarResult
		mod.must(api.SidebarCreate, api.SidebarCreateParams{Members: []string{mod.part("ana")}}, &sb)
		in := ana.elsewhere(sb.URI)
		in.joins(api.JoinParams{Tracks: []api.PublishParams{mic()}})
		in.sends(plane.Audio, "mic")
		in.negotiates()
		mod.must(api.ParticipantExpel, api.ExpelParams{Part: mod.part("ana")}, nil)
		pass(time.Second)
		if l, k, s := h.plane.counts(); k+s != 0 {
			t.Errorf("%d links, %d tracks, %d subscriptions are left", l, k, s)
		}
		in.refused(403, "forbidden", api.ConferenceJoin, api.JoinParams{Device: "laptop"})
	})
}

// TestMoveThatNobodyFollows is taken back after a minute; a page that is loaded
// anew while away is back at once.
func TestMoveThatNobodyFollows(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		mod := h.moderator()
		ana := h.publisher("ana")
		var sb api.SidebarResult
		mod.must(api.SidebarCreate, api.SidebarCreateParams{Members: []string{mod.part("ana")}}, &sb)
		pass(61 * time.Second)
		if m := ana.lastMoved(); !m.Back || m.Reason != "not-arrived" || h.plane.mutedTracks() != 0 {
			t.Errorf("moved %+v", m)
		}
		mod.must(api.ParticipantTransfer, api.TransferParams{Part: mod.part("ana"), To: sb.URI}, nil)
		ana.joins(api.JoinParams{Load: "new", Tracks: []api.PublishParams{mic()}})
		pass(10 * time.Second)
		if h.plane.mutedTracks() != 0 {
			t.Error("back, and not heard")
		}
	})
}

func TestTransferToAnotherConference(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		mod := h.moderator()
		ana := h.publisher("ana")
		part := mod.part("ana")
		mod.refused(404, "not-found", api.ParticipantTransfer, api.TransferParams{Part: part, To: "backstage"})
		other := h.client("boss", "ws")
		other.conf = "backstage"
		other.joins(api.JoinParams{})
		mod.must(api.ParticipantTransfer, api.TransferParams{Part: part, To: "backstage"}, nil)
		m := ana.lastMoved()
		in := ana.elsewhere(m.URI)
		in.joins(api.JoinParams{Moved: m.Token})
		pass(time.Second)
		if _, k, _ := h.plane.counts(); k != 0 {
			t.Errorf("%d tracks are left behind", k)
		}
		ana.refused(481, "no-session", api.TrackPublish, mic())
		var st api.StatusResult
		in.must(api.ConferenceStatus, nil, &st)
		if st.UserCount != 2 {
			t.Errorf("status %+v", st)
		}
	})
}

// TestSidebarWithoutRoomOnTheNode: it has ended before anybody came.
func TestSidebarWithoutRoomOnTheNode(t *testing.T) {
	inHouse(t, func(c *Config) { c.MaxConferences = 1 }, func(h *house) {
		mod := h.moderator()
		ana := h.publisher("ana")
		mod.must(api.SidebarCreate, api.SidebarCreateParams{Members: []string{mod.part("ana")}}, nil)
		pass(time.Second)
		if m := ana.lastMoved(); !m.Back || h.plane.mutedTracks() != 0 {
			t.Errorf("moved %+v", m)
		}
	})
}

type inviter struct{}

func (inviter) Invite(room string, role api.Role, _ time.Duration) (string, error) {
	return room + "-" + string(role), nil
}

// TestInviteTellsProgressThenOutcome: 183, then one final answer for all.
func TestInviteTellsProgressThenOutcome(t *testing.T) {
	inHouse(t, func(c *Config) { c.Inviter = inviter{} }, func(h *house) {
		mod := h.moderator()
		var res api.InviteResult
		mod.must(api.ParticipantInvite, api.InviteParams{Targets: []api.InviteTarget{{URI: "zoe"}, {URI: "sip:max@example.org", Mode: "dial"}}}, &res)
		if len(res.Targets) != 2 || res.Targets[0].Invite != "standup-attendee" || res.Targets[1].Code != 480 {
			t.Errorf("outcome %+v", res)
		}
		f := mod.frames()
		i := slices.Index(f, "response participant.invite 183")
		if i < 0 || i > slices.Index(f, "response participant.invite 200") {
			t.Errorf("frames %q", f)
		}
	})
}

// TestMediaIsAskedForWhenOutOfStep: media.sync and lost codecs make the server
// ask for an offer although nothing waits for a section.
func TestMediaIsAskedForWhenOutOfStep(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.publisher("ana")
		ana.must(api.MediaSync, api.SyncParams{MS: ana.join.MS, Rev: 1, Tracks: []string{ana.join.Tracks[0].Track, ana.join.Tracks[1].Track}}, nil)
		pass(time.Second)
		if n := ana.needed(); len(n) != 0 {
			t.Errorf("asked without need: %+v", n)
		}
		r := ana.ask(api.MediaSync, api.SyncParams{MS: ana.join.MS, Rev: 4})
		if r.Code != 409 || r.Error.Reason != "resync-media" || fmt.Sprint(r.Error.Data["rev"]) != "1" {
			t.Errorf("sync: %+v", r.Error)
		}
		pass(time.Second)
		if n := ana.needed(); len(n) != 1 || n[0].Reason != "resync" {
			t.Fatalf("media.needed %+v", n)
		}
		ana.must(api.DeviceUpdate, api.DeviceParams{Codecs: []string{"opus", "VP8"}}, nil)
		ana.must(api.DeviceUpdate, api.DeviceParams{Codecs: []string{"opus"}}, nil)
		pass(time.Second)
		if n := ana.needed(); len(n) != 2 || n[1].Reason != "codecs" {
			t.Errorf("media.needed %+v", n)
		}
		ana.negotiates()
	})
}

// TestPeersAreRelayedUntouched: the description arrives byte by byte as it was
// sent, whatever the server could read of it.
func TestPeersAreRelayedUntouched(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana, bea := h.client("ana", "ws"), h.client("bea", "ws")
		ana.joins(api.JoinParams{})
		bea.joins(api.JoinParams{})
		text := "v=0\r\na=fingerprint:sha-256 AA:BB\r\nno line of ours\r\n"
		r := ana.ask(api.MediaOffer, api.OfferParams{Peer: &api.Peer{Part: bea.join.Part}, SDP: text})
		if r.Code != 202 {
			t.Fatalf("offer: %+v", r)
		}
		e := bea.events("media.offer")
		if len(e) != 1 || e[0]["sdp"] != text || e[0]["part"] != ana.join.Part {
			t.Fatalf("bea heard %v", e)
		}
		ms := e[0]["ms"].(string)
		bea.must(api.MediaAnswer, api.OfferParams{MS: ms, Rev: 1, SDP: text}, nil)
		bea.must(api.MediaCandidate, api.CandidateParams{MS: ms, Candidates: []string{"candidate:1"}}, nil)
		if a, c := ana.events("media.answer"), ana.events("media.candidate"); len(a) != 1 || a[0]["sdp"] != text || len(c) != 1 {
			t.Errorf("ana heard %v, %v", a, c)
		}
		// Another offer of the same session, of a kind the server cannot parse.
		if r := bea.ask(api.MediaOffer, api.OfferParams{MS: ms, Rev: 2, SDP: text}); r.Code != 202 {
			t.Errorf("offer back: %+v", r.Error)
		}
		bea.must(api.ConferenceLeave, api.LeaveParams{}, nil)
		if len(ana.events("media.closed")) != 1 {
			t.Error("ana was not told that bea is gone")
		}
		if l, _, _ := h.plane.counts(); l != 0 {
			t.Errorf("%d links of the server's", l)
		}
	})
}

// TestRACE20_NodeDrain: a join that comes before the drain is told to connect
// again; one behind it is refused; a second node starts with a full document.
func TestRACE20_NodeDrain(t *testing.T) {
	for _, joinFirst := range []bool{true, false} {
		t.Run(fmt.Sprint("join first ", joinFirst), func(t *testing.T) {
			inHouse(t, nil, func(h *house) {
				ana, bea := h.publisher("ana"), h.client("bea", "ws")
				ana.watches()
				var r *api.Response
				done := make(chan error, 1)
				if joinFirst {
					r = bea.start(api.ConferenceJoin, api.JoinParams{Device: "laptop"})
				}
				go func() { done <- h.f.Shutdown(h.t.Context(), "drain") }()
				synctest.Wait()
				if !joinFirst {
					r = bea.start(api.ConferenceJoin, api.JoinParams{Device: "laptop"})
				}
				synctest.Wait()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if want := map[bool]int{true: 200, false: 503}[joinFirst]; r.Code != want {
					t.Errorf("join: %d, want %d", r.Code, want)
				}
				for _, c := range []*client{ana, bea} {
					if len(c.bye) != 1 || c.bye[0].Action != "reconnect" {
						t.Errorf("%s: goodbyes %+v", c.caller.By.Subject, c.bye)
					}
				}
			})
			inHouse(t, nil, func(h *house) { // the other node
				ana := h.publisher("ana")
				ana.watches()
				if d := ana.doc.Doc; d == nil || d.Version != 1 || d.State != info.Full {
					t.Errorf("document %+v", d)
				}
			})
		})
	}
}

// TestRACE28_NotifyGap: one who lost a document subscribes again and gets a
// full one, whether the next change comes before that or after.
func TestRACE28_NotifyGap(t *testing.T) {
	for _, changeFirst := range []bool{true, false} {
		inHouse(t, nil, func(h *house) {
			ana, bea := h.client("ana", "ws"), h.client("bea", "ws")
			ana.joins(api.JoinParams{Tracks: []api.PublishParams{mic()}})
			bea.joins(api.JoinParams{})
			bea.watches()
			change := func(method string) {
				ana.must(method, api.MuteParams{Track: ana.join.Tracks[0].Track}, nil)
				pass(time.Second)
			}
			had := *bea.doc.Doc
			change(api.TrackMute)
			bea.mu.Lock()
			lost := &info.Subscriber{Doc: &had} // as if the last one had not come
			next := *bea.doc.Doc
			bea.mu.Unlock()
			next.State, next.Version = info.Partial, had.Version+2
			if v := lost.Accept(&next); v != info.Refresh {
				t.Errorf("a gap is accepted: %v", v)
			}
			if changeFirst {
				change(api.TrackUnmute)
			}
			bea.watches()
			if !changeFirst {
				change(api.TrackUnmute)
			}
			truth := map[string]string{}
			for id, m := range bea.doc.Doc.Users.User["ana"].Endpoint["laptop"].Media {
				truth[id] = m.Status
			}
			if truth[ana.join.Tracks[0].Track] != "sendonly" {
				t.Errorf("document %v", truth)
			}
		})
	}
}

func TestPinsComeFirst(t *testing.T) {
	got := pinsFirst([]ids.Track{"b"}, []ids.Track{"a", "b", "c"})
	if !slices.Equal(got, []ids.Track{"b", "a", "c"}) {
		t.Errorf("got %v", got)
	}
	spoke := func(ids.Track) int { return 1 }
	if got := fillSlots([]ids.Track{"x"}, []ids.Track{"x", "y", "z"}, pinsFirst([]ids.Track{"z"}, []ids.Track{"y"}), spoke); got[0] != "z" {
		t.Errorf("the pin has no slot: %v", got)
	}
}

var _ control.Inviter = inviter{}
