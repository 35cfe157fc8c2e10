package focus

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

// person is a client whose token grants a role.
func (h *house) person(name string, role api.Role) *client {
	c := h.client(name, "ws")
	c.caller.By.Role, c.caller.By.Trusted = role, true
	h.f.Attach(c.caller, c)
	return c
}

// moderator joins and watches.
func (h *house) moderator() *client {
	h.t.Helper()
	c := h.person("mod", api.RoleModerator)
	c.joins(api.JoinParams{})
	c.watches()
	return c
}

func (c *client) sets(p api.Policy) {
	c.h.t.Helper()
	c.must(api.PolicySet, api.SetPolicyParams{Policy: p}, nil)
}

// part is the name of a participant in the last document.
func (c *client) part(user string) string {
	c.h.t.Helper()
	pass(200 * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.doc.Doc.Users.User[user]
	if u == nil {
		c.h.t.Fatalf("%s is not in the document", user)
	}
	return u.Ext.Part
}

func (c *client) result(r *api.Response, into any) {
	c.h.t.Helper()
	if err := json.Unmarshal(r.Result, into); err != nil {
		c.h.t.Fatalf("%s: %v", r.Result, err)
	}
}

// subscribes asks for a package and returns the code.
func (c *client) subscribes(pkg string) int {
	code := 0
	c.h.f.Subscribe(c.caller, &api.Subscribe{ID: "p", Conf: "standup", Package: pkg}, func(r *api.Response) { code = r.Code })
	synctest.Wait()
	return code
}

// TestCMD6_LobbyUserGetsNoMediaNoRoster: a join is held beyond any time to
// live, its person hears of nothing but the lobby, and once admitted gets what
// everybody gets.
func TestCMD6_LobbyUserGetsNoMediaNoRoster(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		mod := h.moderator()
		bob := h.publisher("bob")
		bob.watches()
		mod.sets(api.Policy{Lobby: new(true)})
		ana := h.person("ana", api.RoleAttendee)
		r := ana.start(api.ConferenceJoin, api.JoinParams{Device: "laptop", Tracks: []api.PublishParams{mic()}})
		synctest.Wait()
		var ticket api.LobbyTicket
		ana.result(r, &ticket)
		if r.Code != 182 || r.Final || ticket.Reason != "lobby" || ticket.User != "ana" {
			t.Fatalf("answer %+v, %+v", r, ticket)
		}
		links, tracks, subs := h.plane.counts()
		for _, pkg := range []string{pkgSpeakers, pkgChat} {
			if code := ana.subscribes(pkg); code != 403 {
				t.Errorf("subscribe %s from the lobby: %d", pkg, code)
			}
		}
		ana.sends(plane.Audio, "mic")
		ana.refused(403, "forbidden", api.MediaOffer, api.OfferParams{SDP: ana.offer().SDP})
		bob.must(api.TrackMute, api.MuteParams{Medium: "audio"}, nil)
		h.media(plane.Event{Kind: plane.SpeakersChanged, Speakers: []plane.Speaker{{Track: ids.Track(bob.join.Tracks[0].Track)}}})
		pass(time.Minute)
		if r.Final || len(ana.notes) != 0 {
			t.Errorf("in the lobby: answered %v, heard %v", r.Final, ana.frames())
		}
		if l, k, s := h.plane.counts(); l != links || k != tracks || s != subs {
			t.Errorf("the media side works for one who waits: %d %d %d, was %d %d %d", l, k, s, links, tracks, subs)
		}
		if n := len(bob.events("lobby.changed")); n != 0 || len(mod.events("lobby.changed")) != 1 {
			t.Errorf("lobby.changed: bob %d, mod %d", n, len(mod.events("lobby.changed")))
		}
		if strings.Contains(fmt.Sprint(bob.doc.Doc.Users.User), "ana") {
			t.Error("a member's document names who waits")
		}
		mod.must(api.LobbyAdmit, api.AdmitParams{Parts: []string{ticket.Part}}, nil)
		if !r.Final || r.Code != 200 {
			t.Fatalf("after admission: %+v", r)
		}
		ana.result(r, &ana.join)
		if n := ana.join.Needed; n.Audio != 1 || n.Video != 1 || len(ana.join.Tracks) != 1 || ana.join.Role != api.RoleAttendee {
			t.Fatalf("result %+v", ana.join)
		}
		ana.receives(1, 1)
		if a, _ := ana.negotiates(); len(a.Receive) != 2 {
			t.Errorf("receives %v", a.Receive)
		}
	})
}

// TestLobbyJoinWithOffer: the offer that came with a join is answered with the
// admission; if it cannot be, nothing is left.
func TestLobbyJoinWithOffer(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		mod := h.moderator()
		mod.sets(api.Policy{Lobby: new(true)})
		ana := h.person("ana", api.RoleAttendee)
		ana.sends(plane.Audio, "mic")
		o := ana.offer()
		p := api.JoinParams{Device: "laptop", Tracks: []api.PublishParams{mic()}, Offer: &api.OfferParams{SDP: o.SDP, Tracks: ana.cids}}
		r := ana.start(api.ConferenceJoin, p)
		twin := ana.start(api.ConferenceJoin, p) // the same join again waits for the same answer
		bea := h.person("bea", api.RoleAttendee)
		bea.sends(plane.Audio, "mic")
		bad := bea.start(api.ConferenceJoin, api.JoinParams{
			Device: "laptop", Tracks: []api.PublishParams{mic()},
			Offer: &api.OfferParams{SDP: bea.offer().SDP, Tracks: map[string]string{"0": "nosuch"}},
		})
		synctest.Wait()
		mod.must(api.LobbyAdmit, api.AdmitParams{All: true}, nil)
		for _, x := range []*api.Response{r, twin} {
			if !x.Final || x.Code != 200 {
				t.Fatalf("answer %+v", x)
			}
			ana.result(x, &ana.join)
			if ana.join.Answer == nil || ana.join.Answer.SDP == "" {
				t.Error("admitted without an answer to the offer")
			}
		}
		ana.takes(o, *ana.join.Answer)
		if !bad.Final || bad.Code != 404 {
			t.Errorf("a bad offer: %+v", bad)
		}
		if l, k, _ := h.plane.counts(); l != 1 || k != 1 {
			t.Errorf("%d links, %d tracks", l, k)
		}
		if st, _ := h.f.Status("standup"); st.UserCount != 2 {
			t.Errorf("%d users", st.UserCount)
		}
	})
}

// TestLobbyEndsWithOneAnswer: rejected, gone and ended; each pending join gets
// one final answer.
func TestLobbyEndsWithOneAnswer(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		mod := h.moderator()
		mod.sets(api.Policy{Lobby: new(true)})
		var people []*client
		var answers []*api.Response
		for _, n := range []string{"ana", "bea", "cem", "dan"} {
			c := h.person(n, api.RoleAttendee)
			people = append(people, c)
			answers = append(answers, c.start(api.ConferenceJoin, api.JoinParams{Device: "laptop"}))
		}
		synctest.Wait()
		mod.must(api.LobbyReject, api.AdmitParams{Parts: []string{mod.part("ana")}}, nil)
		people[1].must(api.ConferenceLeave, api.LeaveParams{}, nil)
		h.f.Closed(people[2].caller.Session, "grace")
		synctest.Wait()
		mod.must(api.ConferenceEnd, api.EndParams{}, nil)
		for i, want := range []int{603, 487, 487, 410} {
			if !answers[i].Final || answers[i].Code != want {
				t.Errorf("%s: %+v, want %d", people[i].caller.By.Subject, answers[i], want)
			}
		}
	})
}

// TestCMD4_FocusMutedIsSilentAtOnce: forwarding stops in the very step that
// mutes, before the moderator has the answer; a fresh track of the muted source
// and a resumed session stay silent (line A18).
func TestCMD4_FocusMutedIsSilentAtOnce(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		mod := h.moderator()
		ana := h.publisher("ana")
		muted := func(id string) bool {
			h.plane.mu.Lock()
			defer h.plane.mu.Unlock()
			return h.plane.tracks[ids.Track(id)].Muted
		}
		k := ana.join.Tracks[0].Track
		if muted(k) {
			t.Fatal("muted before")
		}
		mod.must(api.TrackMute, api.MuteParams{Medium: "audio", Scope: "others"}, nil) // no time has passed
		if !muted(k) {
			t.Error("still forwarded when the command was answered")
		}
		ana.refused(403, "focus-muted", api.TrackUnmute, api.MuteParams{Track: k})
		h.f.Suspended(ana.caller.Session)
		pass(time.Second)
		h.f.Resumed(ana.caller.Session, ana)
		synctest.Wait()
		ana.refused(403, "focus-muted", api.TrackUnmute, api.MuteParams{Track: k})
		var fresh api.PublishResult
		ana.must(api.TrackPublish, api.PublishParams{CID: "mic2", Kind: "audio"}, &fresh)
		ana.sends(plane.Audio, "mic2")
		ana.negotiates()
		if !muted(fresh.Track) || !muted(k) {
			t.Error("a fresh track, or the old one after resuming, is forwarded")
		}
		mod.must(api.TrackUnmute, api.MuteParams{Medium: "audio", Scope: "all"}, nil)
		if muted(k) || muted(fresh.Track) {
			t.Error("lifted, yet silent")
		}
	})
}

// TestRACE4_ExpelAndOfferOnTheWay: whichever is first, the expelled one's
// transport is closed and nothing of it is forwarded.
func TestRACE4_ExpelAndOfferOnTheWay(t *testing.T) {
	for _, offerFirst := range []bool{false, true} {
		t.Run(fmt.Sprint("offer first ", offerFirst), func(t *testing.T) {
			inHouse(t, nil, func(h *house) {
				mod := h.moderator()
				ana := h.publisher("ana")
				part := mod.part("ana")
				links, _, _ := h.plane.counts()
				ana.receives(2, 2)
				p := ana.params(ana.offer())
				expel := func() *api.Response {
					return mod.start(api.ParticipantExpel, api.ExpelParams{Part: part, Reason: "noise"})
				}
				var offer, out *api.Response
				want := 481
				if offerFirst {
					want = 200
					offer, out = ana.start(api.MediaOffer, p), expel()
				} else {
					out, offer = expel(), ana.start(api.MediaOffer, p)
				}
				synctest.Wait()
				if out.Code != 200 || offer.Code != want {
					t.Errorf("expel %d, offer %d, want %d", out.Code, offer.Code, want)
				}
				if l, k, s := h.plane.counts(); l != links-1 || k+s != 0 {
					t.Errorf("%d links, %d tracks, %d subscriptions are left", l, k, s)
				}
				ana.refused(481, "no-session", api.MediaOffer, p)
			})
		})
	}
}

// TestS7_ExpelledAndRevoked: forwarding stops with the command, not later; the
// session cannot be resumed; a banned person's token is good for nothing.
func TestS7_ExpelledAndRevoked(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		mod := h.moderator()
		ana, bea := h.publisher("ana"), h.publisher("bea")
		begin := h.f.cfg.Clock.Now()
		part, other := mod.part("ana"), mod.part("bea")
		mod.must(api.ParticipantExpel, api.ExpelParams{Part: part, Ban: true}, nil)
		if _, k, _ := h.plane.counts(); k != 2 {
			t.Errorf("%d tracks are left, want bea's 2", k)
		}
		if len(ana.bye) != 1 || ana.bye[0].Action != "disconnect" || ana.bye[0].Reason != "expelled" {
			t.Errorf("goodbye %+v", ana.bye)
		}
		h.f.Resumed(ana.caller.Session, ana) // a resume that slipped through
		synctest.Wait()
		if len(ana.bye) != 2 {
			t.Error("resumed after having been removed")
		}
		again := h.person("ana", api.RoleModerator)
		again.refused(403, "banned", api.ConferenceJoin, api.JoinParams{Device: "laptop"})
		again.refused(403, "forbidden", api.ConferenceEnd, api.EndParams{})
		if code := again.subscribes(pkgConference); code != 403 {
			t.Errorf("a banned person watches: %d", code)
		}
		mod.must(api.ParticipantSetRole, api.SetRoleParams{Part: other, Role: api.RoleObserver}, nil)
		h.plane.mu.Lock()
		for id, k := range h.plane.tracks {
			if !k.Muted {
				t.Errorf("%s is forwarded without the right", id)
			}
		}
		h.plane.mu.Unlock()
		if took := h.f.cfg.Clock.Now().Sub(begin); took > 500*time.Millisecond {
			t.Errorf("took %v", took)
		}
		bea.refused(403, "forbidden", api.TrackPublish, api.PublishParams{CID: "x", Kind: "audio"})
		pass(6 * time.Second)
		if _, k, _ := h.plane.counts(); k != 0 {
			t.Errorf("%d tracks go on without the right", k)
		}
		if e := bea.events("track.ended"); len(e) != 0 { // bea does not watch
			t.Errorf("%v", e)
		}
	})
}

func (c *client) says(method, params string) {
	c.h.f.Message(c.caller, &api.Message{Kind: "message", Method: method, Conf: "standup", From: "forged", Params: json.RawMessage(params)})
	synctest.Wait()
}

// TestS6_ChatSaysWhoWroteIt: sender, id and time are the server's whatever the
// message claims; a text for one person reaches nobody else, nor does the
// history give it away; who comes later reads what was for all.
func TestS6_ChatSaysWhoWroteIt(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		mod := h.moderator()
		ana, bea := h.person("ana", api.RoleAttendee), h.person("bea", api.RoleAttendee)
		for _, c := range []*client{ana, bea} {
			c.joins(api.JoinParams{})
		}
		for _, c := range []*client{mod, ana, bea} {
			if code := c.subscribes(pkgChat); code != 200 {
				t.Fatalf("subscribe chat: %d", code)
			}
		}
		ana.says(api.ChatSend, `{"text":"Hello","from":"mod","id":"msg_77","at":"1999","name":"Root"}`)
		ana.says(api.ChatSend, `{"text":"Only you","to":["`+mod.part("mod")+`"]}`)
		ana.says(api.ChatSend, `{"text":"twice","text":"keys"}`)
		ana.says("participant.expel", `{"part":"`+mod.part("bea")+`"}`) // no message
		got := bea.events("chat.message")
		if len(got) != 1 || got[0]["from"] != "ana" || got[0]["id"] != "msg_1" || got[0]["name"] != "ana" || got[0]["text"] != "Hello" {
			t.Errorf("bea reads %v", got)
		}
		if n := len(ana.events("chat.message")); n != 2 {
			t.Errorf("the author reads %d", n)
		}
		if n := len(mod.events("chat.message")); n != 2 {
			t.Errorf("the addressee reads %d", n)
		}
		late := h.person("cem", api.RoleAttendee)
		late.joins(api.JoinParams{})
		late.subscribes(pkgChat)
		last := late.notes[len(late.notes)-1]
		var history api.ChatHistory
		if err := json.Unmarshal(last.Body, &history); err != nil || last.Package != pkgChat || last.State != "full" {
			t.Fatalf("%+v %v", last, err)
		}
		if len(history.Messages) != 1 || history.Messages[0].Text != "Hello" || history.Messages[0].From != "ana" {
			t.Errorf("history %+v", history)
		}
	})
}

// TestChatIsOnlyForThoseWhoAsked, and floods of a moment are cut.
func TestChatIsOnlyForThoseWhoAsked(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		mod := h.moderator()
		ana := h.person("ana", api.RoleAttendee)
		ana.joins(api.JoinParams{})
		ana.subscribes(pkgChat)
		for range 20 {
			ana.says(api.ChatSend, `{"text":"spam"}`)
		}
		if n := len(ana.events("chat.message")); n != 5 {
			t.Errorf("%d of a second", n)
		}
		if n := len(mod.events("chat.message")); n != 0 {
			t.Errorf("one who did not subscribe reads %d", n)
		}
		if slices.ContainsFunc(ana.frames(), func(f string) bool { return strings.HasPrefix(f, "response chat") }) {
			t.Error("a message was answered")
		}
		ana.refused(429, "too-many", api.ChatSend, api.ChatParams{Text: "more"})
		ana.refused(413, "too-large", api.ChatSend, api.ChatParams{Text: strings.Repeat("x", 8<<10+1)})
		pass(time.Second)
		var receipt api.ChatReceipt
		ana.must(api.ChatSend, api.ChatParams{Text: "more"}, &receipt)
		if receipt.ID != "msg_6" {
			t.Errorf("receipt %+v", receipt)
		}
	})
}

// TestPresenceIsCoalesced: many updates of a second are one change of the
// document, and the last one wins.
func TestPresenceIsCoalesced(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		mod := h.moderator()
		ana := h.person("ana", api.RoleAttendee)
		ana.joins(api.JoinParams{})
		pass(time.Second)
		before := len(mod.notes)
		for i := range 50 {
			ana.says(api.PresenceUpdate, fmt.Sprintf(`{"state":"busy","note":"%d","typing":true}`, i))
			pass(10 * time.Millisecond)
		}
		pass(2 * time.Second)
		if n := len(mod.notes) - before; n != 2 {
			t.Errorf("%d documents", n)
		}
		if p := mod.doc.Doc.Users.User["ana"].Ext.Presence; p == nil || p.Note != "49" || p.State != "busy" || !p.Typing {
			t.Errorf("presence %+v", p)
		}
	})
}
