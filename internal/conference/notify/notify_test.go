package notify

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/conference/info"
	"parley/internal/conference/model"
)

// TestSubscribersEqualTheirTruth: 10,000 random changes, one notification in
// ten lost; after each accepted document each subscriber holds its own filtered
// truth, over JSON and XML, fast and slow, whatever its role does meanwhile.
// Versions have no gap of the notifier's making (checks CI-6, CI-8).
func TestSubscribersEqualTheirTruth(t *testing.T) {
	for seed, changes := range map[uint64]int{1: 10000, 2: 500} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			w := newWorld(t)
			for i := range 12 {
				if p := w.join(fmt.Sprintf("sip:u%d@example.net", i), api.RoleAttendee, model.Joined); i%4 == 1 {
					w.c.Hide(p)
				}
			}
			w.commit("sip:u0@example.net")
			for i, o := range []Options{
				{User: "sip:u0@example.net"}, {User: "sip:u1@example.net", Format: info.XML}, {User: "sip:u2@example.net", Format: info.XML, Throttle: SIPThrottle},
				{User: "sip:u3@example.net", Throttle: time.Second}, {User: "sip:u4@example.net"}, {Group: info.Moderators, Format: info.XML}, {Group: info.Moderators, Throttle: SIPThrottle},
			} {
				s := w.subscribe(fmt.Sprint("subscriber ", i), o)
				s.lose = func() bool { return r.IntN(10) == 0 }
			}
			for range changes {
				w.change(r)
				w.pass(time.Duration(r.IntN(200)) * time.Millisecond)
			}
			w.pass(SIPThrottle)
			states := map[info.State]int{}
			for _, s := range w.subs {
				s.lose = func() bool { return false }
				w.deliver(w.n.Again(w.now, s.sub, nil))
				if s.accepted < changes/100 {
					t.Errorf("%s accepted only %d", s.name, s.accepted)
				}
				for _, n := range s.got {
					states[n.State]++
				}
			}
			t.Logf("documents %v", states)
			if states[info.Partial] < changes {
				t.Errorf("hardly a partial document: %v", states)
			}
		})
	}
}

func TestCI6_VersionsAreThoseOfTheSubscription(t *testing.T) {
	w := newWorld(t)
	w.join("ana", api.RoleModerator, model.Joined)
	w.join("bob", api.RoleAttendee, model.Joined)
	w.commit("ana", "bob")
	mod := w.subscribe("ana", Options{User: "ana"})
	mem := w.subscribe("bob", Options{User: "bob"})
	for range 5 { // what only moderators see
		w.pass(time.Second)
		w.join("eve", api.RoleLobby, model.Lobby)
		w.c.Participants["eve"].Name = fmt.Sprint(w.now)
		w.commit("eve")
	}
	if mod.sub.Version() != 6 || len(mod.got) != 6 {
		t.Errorf("the moderator is at %d", mod.sub.Version())
	}
	// The number of users alone is news to members.
	if mem.sub.Version() > 2 {
		t.Errorf("bob is at %d", mem.sub.Version())
	}
}

// TestCI7_Throttling: 100 changes in 5 s.
func TestCI7_Throttling(t *testing.T) {
	w := newWorld(t)
	w.join("ana", api.RoleAttendee, model.Joined)
	w.commit("ana")
	web := w.subscribe("web", Options{User: "ana"})
	sip := w.subscribe("sip", Options{User: "ana", Format: info.XML, Throttle: SIPThrottle, Expires: time.Hour})
	w.pass(SIPThrottle)
	web.got, sip.got = nil, nil
	for i := range 100 {
		w.join("bob", api.RoleAttendee, model.Joined).Name = fmt.Sprint("Bob ", i)
		w.commit("bob")
		w.pass(50 * time.Millisecond)
	}
	if n, m := len(sip.got), len(web.got); n > 2 || m > 51 || n < 1 || m < 45 {
		t.Errorf("SIP got %d documents, WebSocket %d", n, m)
	}
	w.pass(SIPThrottle)
	for _, s := range w.subs {
		s.equal(s.got[len(s.got)-1])
	}
}

// TestCI7_OwnComingAndGoingDoesNotWait for the throttle.
func TestCI7_OwnComingAndGoingDoesNotWait(t *testing.T) {
	w := newWorld(t)
	eve := w.join("eve", api.RoleLobby, model.Lobby)
	w.join("bob", api.RoleAttendee, model.Joined)
	w.commit("eve", "bob")
	sip := w.subscribe("eve", Options{User: "eve", Format: info.XML, Throttle: SIPThrottle})
	if d := sip.doc.Doc; len(d.Users.User) != 1 {
		t.Fatalf("who waits sees %s", text(d))
	}
	w.pass(time.Millisecond)
	eve.State, eve.Role, eve.JoinedAt = model.Joined, api.RoleAttendee, w.now
	eve.Devices["dev_eve"].Status = model.Connected
	w.commit("eve")
	if len(sip.got) != 2 || len(sip.doc.Doc.Users.User) != 2 {
		t.Fatalf("admitted: %d documents", len(sip.got))
	}
	w.c.Participants["bob"].Name = "Bobby"
	w.commit("bob")
	if len(sip.got) != 2 {
		t.Fatal("another's name did not wait")
	}
	eve.State = model.Left
	eve.Devices["dev_eve"].Status, eve.Devices["dev_eve"].Gone = model.Disconnected, model.Booted
	w.commit("eve")
	if len(sip.got) != 3 || sip.doc.Doc.Users.User["eve"].Endpoint["dev_eve"].Status != "disconnected" {
		t.Fatalf("removed: %d documents", len(sip.got))
	}
}

// TestCMD6_WhoWaitsSeesNothingElse, nor does one who was turned away.
func TestCMD6_WhoWaitsSeesNothingElse(t *testing.T) {
	w := newWorld(t)
	eve := w.join("eve", api.RoleLobby, model.Lobby)
	w.commit("eve")
	s := w.subscribe("eve", Options{User: "eve"})
	for i := range 20 {
		w.join(fmt.Sprint("u", i), api.RoleAttendee, model.Joined)
		w.commit(fmt.Sprint("u", i))
		w.pass(time.Second)
	}
	if len(s.got) != 1 {
		t.Errorf("%d documents about others: %s", len(s.got), s.got[len(s.got)-1].Body)
	}
	eve.State = model.Left
	eve.Devices["dev_eve"].Status = model.Disconnected
	w.commit("eve")
	w.pass(time.Second)
	for _, n := range s.got {
		if bytes.Contains(n.Body, []byte("u1")) || bytes.Contains(n.Body, []byte("userCount")) {
			t.Errorf("%s", n.Body)
		}
	}
}

// TestCI8_OnTheWire: what members get holds no secret, whatever happens.
func TestCI8_OnTheWire(t *testing.T) {
	w := newWorld(t)
	w.join("member", api.RoleAttendee, model.Joined)
	w.join("mod", api.RoleModerator, model.Joined)
	w.commit("member", "mod")
	mem := []*subscriber{w.subscribe("json", Options{User: "member"}), w.subscribe("xml", Options{User: "member", Format: info.XML})}
	mod := w.subscribe("mod", Options{User: "mod"})
	anon := w.join("sip:hidden@example.net", api.RoleAttendee, model.Joined)
	w.c.Hide(anon)
	anon.Devices["dev_sip:hidden@example.net"].Dialog = &model.Dialog{CallID: "call-1"}
	w.join("sip:waiting@example.net", api.RoleLobby, model.Lobby)
	w.commit("sip:hidden@example.net", "sip:waiting@example.net")
	w.pass(time.Second)
	for _, step := range []func(){
		func() { anon.Name = "Other" }, func() { anon.State = model.Left },
		func() { anon.State = model.Joined },
		func() { delete(w.c.Participants, "sip:waiting@example.net") },
		func() { delete(w.c.Participants, "sip:hidden@example.net") },
	} {
		step()
		w.commit("sip:hidden@example.net", "sip:waiting@example.net")
		w.pass(time.Second)
	}
	for _, s := range mem {
		for _, n := range s.got {
			for _, secret := range []string{"hidden", "waiting", "call-1", "on-hold", "Other"} {
				if bytes.Contains(n.Body, []byte(secret)) {
					t.Errorf("%s got %s: %s", s.name, secret, n.Body)
				}
			}
		}
	}
	if all := fmt.Sprintf("%s", mod.got[1].Body); !strings.Contains(all, "hidden") || !strings.Contains(all, "waiting") || !strings.Contains(all, "call-1") {
		t.Errorf("the moderator got %s", all)
	}
}

func TestSUB1_FullAtOnce(t *testing.T) {
	w := newWorld(t)
	w.join("ana", api.RoleAttendee, model.Joined)
	w.commit("ana")
	s := w.subscribe("ana", Options{User: "ana", Format: info.XML, Throttle: SIPThrottle, Expires: DefaultExpiry})
	if len(s.got) != 1 || s.got[0].State != info.Full || s.got[0].Life != (Life{Expires: DefaultExpiry}) {
		t.Fatalf("first: %+v", s.got)
	}
	w.pass(time.Second) // a refresh is answered at once, too
	w.deliver(w.n.Refresh(w.now, s.sub, 1200*time.Second, nil))
	if len(s.got) != 2 || s.got[1].State != info.Full || s.got[1].Life.Expires != 1200*time.Second {
		t.Fatalf("refresh: %+v", s.got[1:])
	}
	w.deliver(w.n.Refresh(w.now, s.sub, 0, nil))
	if last := s.got[len(s.got)-1]; len(s.got) != 3 || last.Life.Reason != Timeout || w.n.Len() != 0 {
		t.Fatalf("unsubscribed: %+v", last)
	}
	out := w.n.Fetch(w.now, Options{Group: info.Moderators}, nil)
	if len(out) != 1 || out[0].State != info.Full || !out[0].Life.Terminated() || w.n.Len() != 0 {
		t.Errorf("fetch: %+v", out)
	}
}

func TestSUB1_Expiry(t *testing.T) {
	for asked, want := range map[int]time.Duration{-1: DefaultExpiry, 0: 0, 600: MinExpiry, 3600: time.Hour, 1 << 40: time.Hour} {
		if got, err := Expiry(asked); err != nil || got != want {
			t.Errorf("%d: %v %v", asked, got, err)
		}
	}
	for _, asked := range []int{1, 599} {
		if _, err := Expiry(asked); err == nil || fault.From(err).Code != 423 {
			t.Errorf("%d: %v", asked, err)
		}
	}
}

func TestSUB2_WithoutRefreshItTimesOut(t *testing.T) {
	w := newWorld(t)
	w.join("ana", api.RoleAttendee, model.Joined)
	w.commit("ana")
	s := w.subscribe("ana", Options{User: "ana", Format: info.XML, Throttle: SIPThrottle, Expires: MinExpiry})
	web := w.subscribe("web", Options{User: "ana"})
	w.pass(MinExpiry - time.Second)
	if len(s.got) != 1 {
		t.Fatal("ended early")
	}
	w.pass(6 * time.Second)
	if last := s.got[len(s.got)-1]; len(s.got) != 2 || last.Life.Reason != Timeout || last.State != info.Full {
		t.Fatalf("%+v", last)
	}
	w.c.Title = "new"
	w.commit()
	w.pass(time.Minute)
	if len(s.got) != 2 || len(web.got) != 2 || w.n.Len() != 1 {
		t.Errorf("after the end: %d, %d", len(s.got), len(web.got))
	}
}

func TestSUB3_TheEndIsOneDeletedDocument(t *testing.T) {
	w := newWorld(t)
	w.join("ana", api.RoleAttendee, model.Joined)
	w.commit("ana")
	for i := range 4 {
		w.subscribe(fmt.Sprint(i), Options{User: "ana", Format: info.Format(i % 2), Throttle: SIPThrottle})
	}
	w.deliver(w.n.Finish(nil))
	w.commit("ana")
	w.pass(time.Minute)
	for _, s := range w.subs {
		if last := s.got[len(s.got)-1]; len(s.got) != 2 || last.State != info.Deleted || last.Life.Reason != NoResource {
			t.Errorf("%s: %+v", s.name, last)
		}
	}
}

func TestSUB5_NothingAfterA481(t *testing.T) {
	w := newWorld(t)
	w.join("ana", api.RoleAttendee, model.Joined)
	w.commit("ana")
	s, other := w.subscribe("gone", Options{User: "ana"}), w.subscribe("here", Options{User: "ana"})
	w.n.Drop(s.sub)
	w.n.Drop(s.sub)
	w.pass(time.Second)
	w.c.Title = "new"
	w.commit()
	w.deliver(w.n.Finish(nil))
	if len(s.got) != 1 || len(other.got) != 3 {
		t.Errorf("%d and %d documents", len(s.got), len(other.got))
	}
}

func TestTrapG_VersionsDoNotWrap(t *testing.T) {
	w := newWorld(t)
	w.join("ana", api.RoleAttendee, model.Joined)
	w.commit("ana")
	s := w.subscribe("ana", Options{User: "ana", Version: math.MaxUint32 - 3})
	for i := range 4 {
		w.pass(time.Second)
		w.c.Title = fmt.Sprint(i)
		w.commit()
	}
	last := s.got[len(s.got)-1]
	if len(s.got) != 3 || last.Version != math.MaxUint32 || last.Life.Reason != Deactivated || last.State != info.Full || w.n.Len() != 0 {
		t.Errorf("%d documents, the last %d %s %+v", len(s.got), last.Version, last.State, last.Life)
	}
}

// TestSizeRule: a partial of 0.7 times the full's size or more is sent full,
// with the same step of the version.
func TestSizeRule(t *testing.T) {
	for _, f := range []info.Format{info.JSON, info.XML} {
		w := newWorld(t)
		for i := range 10 {
			w.join(fmt.Sprint("u", i), api.RoleAttendee, model.Joined)
		}
		w.commit("u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9")
		s := w.subscribe("s", Options{Group: info.Moderators, Format: f})
		fulls := 0
		for n := 1; n <= 10; n++ {
			before := info.Build(w.c, w.live(), s.view(), nil)
			var users []string
			for i := range n { // every member of the row changes
				p := w.c.Participants[fmt.Sprint("u", i)]
				p.Name += "!"
				p.ID += "!"
				w.device(resetDevices(p), fmt.Sprint("dev", n))
				users = append(users, p.User)
			}
			w.pass(time.Second)
			w.commit(users...)
			after := info.Build(w.c, w.live(), s.view(), nil)
			d := info.Diff(before, after)
			want := info.Partial
			if 10*info.Encode(d, f).Size() >= 7*info.Encode(after, f).Size() {
				want = info.Full
				fulls++
			}
			last := s.got[len(s.got)-1]
			if last.State != want || last.Version != uint32(n+1) {
				t.Errorf("form %d, %d rows: %s %d, want %s", f, n, last.State, last.Version, want)
			}
		}
		if fulls == 0 || fulls == 10 {
			t.Errorf("form %d: %d of 10 were full; the rule was not exercised", f, fulls)
		}
	}
}

func TestSlowSubscriberBeyondTheJournal(t *testing.T) {
	w := newWorld(t)
	w.join("ana", api.RoleAttendee, model.Joined)
	w.commit("ana")
	s := w.subscribe("slow", Options{User: "ana", Throttle: time.Hour})
	w.subscribe("fast", Options{User: "ana"})
	for i := range 3 * maxJournal {
		w.c.Title = fmt.Sprint(i)
		w.commit()
	}
	w.pass(2 * time.Hour)
	if len(s.got) != 2 || s.got[1].State != info.Full {
		t.Errorf("%d documents", len(s.got))
	}
}
