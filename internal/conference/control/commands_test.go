package control_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// hall is a machine with people in it, for tests that are no dialogue.
type hall struct {
	t   testing.TB
	m   *control.Machine
	now clock.Time
	out control.Output

	lives lives
}

func newHall(t testing.TB, change func(*policy.Policy)) *hall {
	p := policy.Default()
	if change != nil {
		change(&p)
	}
	h := &hall{t: t, now: epoch}
	h.m = control.NewMachine(control.Config{
		ID: "conf_1", URI: "standup", IDs: countedIDs(), Policy: p, Anchor: clock.Anchor{Mono: epoch, Unix: 0},
	})
	return h
}

func caller(name string, role api.Role) control.Caller {
	return control.Caller{Session: ids.Session("sess_" + name), Dialect: "ws", By: control.Principal{Subject: name, Name: name, Role: role, Trusted: true}}
}

// do runs one command and returns its result or refusal.
func (h *hall) do(c control.Caller, method string, params any) (any, *fault.Error) {
	return h.doIf(c, method, params, nil)
}

func (h *hall) doIf(c control.Caller, method string, params any, rev *uint64) (any, *fault.Error) {
	res, err := h.m.Step(h.now, control.Command{Method: method, Caller: c, Params: params, IfRev: rev}, &h.out)
	var fe *fault.Error
	if err != nil && !errors.As(err, &fe) {
		h.t.Fatalf("%s: an error that is no fault: %v", method, err)
	}
	return res, fe
}

func (h *hall) must(c control.Caller, method string, params any) any {
	h.t.Helper()
	res, err := h.do(c, method, params)
	if err != nil {
		h.t.Fatalf("%s: %v", method, err)
	}
	return res
}

func (h *hall) join(name string, role api.Role, tracks ...api.PublishParams) (control.Caller, api.JoinResult) {
	h.t.Helper()
	c := caller(name, role)
	return c, h.must(c, api.ConferenceJoin, api.JoinParams{Device: "d", Tracks: tracks}).(api.JoinResult)
}

// bind negotiates every track of a device.
func (h *hall) bind(c control.Caller) {
	h.t.Helper()
	d := h.m.Device(c.Session)
	bound := map[string]string{}
	for _, k := range h.m.TracksOf(d.MS) {
		bound["m"+k.CID] = k.CID
	}
	h.must(c, api.MediaOffer, api.OfferParams{SDP: "v=0", Tracks: bound})
	h.must(c, control.MediaNegotiated, control.Negotiated{MS: d.MS, Bound: bound})
}

var (
	micP = api.PublishParams{CID: "mic", Kind: "audio"}
	camP = api.PublishParams{CID: "cam", Kind: "video"}
)

// TestCMD1_WhoMay checks each command × role against the command table of
// docs/protocol.md, section 4.5, typed in here: "-" refused with 403, "+" done.
// Columns: owner moderator presenter attendee observer.
func TestCMD1_WhoMay(t *testing.T) {
	type target struct{ own, other string }
	own := func(p func(string) any) func(target) any { return func(x target) any { return p(x.own) } }
	other := func(p func(string) any) func(target) any { return func(x target) any { return p(x.other) } }
	fixed := func(v any) func(target) any { return func(target) any { return v } }
	mute := func(k string) any { return api.MuteParams{Track: k} }
	rows := []struct {
		name, method string
		params       func(target) any
		may          string
	}{
		{"end", api.ConferenceEnd, fixed(api.EndParams{}), "++---"},
		{"leave", api.ConferenceLeave, fixed(api.LeaveParams{}), "+++++"},
		{"offer", api.MediaOffer, fixed(api.OfferParams{SDP: "v=0"}), "+++++"},
		{"candidate", api.MediaCandidate, fixed(api.CandidateParams{}), "+++++"},
		{"mute own", api.TrackMute, own(mute), "++++."},
		{"mute others", api.TrackMute, other(mute), "++---"},
		{"unmute others", api.TrackUnmute, other(mute), "++---"},
		{"publish", api.TrackPublish, fixed(api.PublishParams{CID: "x", Kind: "audio"}), "++++-"},
		{"publish screen", api.TrackPublish, fixed(api.PublishParams{CID: "x", Kind: "video", Source: "screen"}), "+++--"},
		{"unpublish own", api.TrackUnpublish, own(func(k string) any { return api.TrackParams{Track: k} }), "++++."},
		{"unpublish others", api.TrackUnpublish, other(func(k string) any { return api.TrackParams{Track: k} }), "++---"},
		{"subscribe", api.TrackSubscribe, other(func(k string) any {
			return api.SubscribeTracks{Tracks: []api.WantedTrack{{Track: k}}}
		}), "+++++"},
		{"unsubscribe", api.TrackUnsubscribe, other(func(k string) any {
			return api.SubscribeTracks{Tracks: []api.WantedTrack{{Track: k}}}
		}), "+++++"},
	}
	roles := []api.Role{api.RoleOwner, api.RoleModerator, api.RolePresenter, api.RoleAttendee, api.RoleObserver}
	for _, r := range rows {
		for i, role := range roles {
			if r.may[i] == '.' {
				continue // an observer has no track of its own
			}
			t.Run(r.name+" by "+string(role), func(t *testing.T) {
				h := newHall(t, nil)
				_, o := h.join("other", api.RoleOwner, micP)
				x := target{other: o.Tracks[0].Track}
				var tracks []api.PublishParams
				if role != api.RoleObserver {
					tracks = []api.PublishParams{micP}
				}
				me, j := h.join("me", role, tracks...)
				if len(j.Tracks) > 0 {
					x.own = j.Tracks[0].Track
				}
				before := h.m.Conference().Rev
				_, err := h.do(me, r.method, r.params(x))
				if r.may[i] == '+' && err != nil {
					t.Errorf("refused: %v", err)
				}
				if r.may[i] == '-' && (err == nil || err.Code != 403 || h.m.Conference().Rev != before) {
					t.Errorf("allowed, or not 403: %v", err)
				}
			})
		}
	}
}

// TestCMD1_Outsiders: every command but those of outsiders wants the caller to
// have joined, and a table row exists for each method of the contract.
func TestCMD1_Outsiders(t *testing.T) {
	h := newHall(t, nil)
	h.join("mod", api.RoleModerator)
	for _, method := range control.Methods() {
		p, err := control.Decode(method, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, fe := h.do(caller("eve", api.RoleAttendee), method, p)
		want := map[string]int{api.ConferenceStart: 0, api.ConferenceEnd: 403, api.ConferenceJoin: 400, api.ConferenceLeave: 0, api.ConferenceStatus: 404}
		code, special := want[method]
		if !special {
			code = 481
		}
		if code == 0 && fe != nil || code != 0 && (fe == nil || fe.Code != code) {
			t.Errorf("%s by an outsider: %v, want %d", method, fe, code)
		}
	}
}

// TestCMD3_AlreadyLeavesRevUnchanged: each "200 already" row.
func TestCMD3_AlreadyLeavesRevUnchanged(t *testing.T) {
	h := newHall(t, nil)
	mod, _ := h.join("mod", api.RoleModerator)
	ana, j := h.join("ana", api.RoleAttendee, micP, camP)
	mic, cam := j.Tracks[0].Track, j.Tracks[1].Track
	rows := []struct {
		who    control.Caller
		method string
		params any
	}{
		{mod, api.TrackMute, api.MuteParams{Track: mic}},
		{ana, api.TrackMute, api.MuteParams{Track: cam}},
		{ana, api.TrackUnmute, api.MuteParams{Track: cam}},
		{ana, api.TrackUnpublish, api.TrackParams{Track: cam}},
		{ana, api.ConferenceLeave, api.LeaveParams{}},
		{mod, api.ConferenceEnd, api.EndParams{}},
	}
	for _, r := range rows {
		if res := h.must(r.who, r.method, r.params); res != any(api.Done{}) {
			t.Errorf("%s first: %+v", r.method, res)
		}
		rev, events := h.m.Conference().Rev, len(h.out.Events)
		if res := h.must(r.who, r.method, r.params); res != any(api.Done{Already: true}) {
			t.Errorf("%s again: %+v", r.method, res)
		}
		if h.m.Conference().Rev != rev || len(h.out.Events) != events {
			t.Errorf("%s again changed something", r.method)
		}
	}
}

// TestIfRev: a precondition older than the object's last change is 412 with
// the current revision; changes elsewhere do not matter.
func TestIfRev(t *testing.T) {
	h := newHall(t, nil)
	ana, j := h.join("ana", api.RoleOwner, micP)
	k := j.Tracks[0].Track
	h.join("bob", api.RoleAttendee)
	if _, err := h.doIf(ana, api.TrackMute, api.MuteParams{Track: k}, &j.Rev); err != nil {
		t.Fatalf("rev of the track's last change refused: %v", err)
	}
	_, err := h.doIf(ana, api.TrackUnmute, api.MuteParams{Track: k}, &j.Rev)
	if err == nil || err.Code != 412 || err.Data["rev"] != h.m.Conference().Rev {
		t.Errorf("stale revision: %v %v", err, err.Data)
	}
}

// TestEventsCarryConfRevAtBy as section 4.5 says of all.
func TestEventsCarryConfRevAtBy(t *testing.T) {
	h := newHall(t, nil)
	h.now = epoch.Add(1500 * time.Millisecond)
	h.join("ana", api.RoleOwner, micP)
	for _, e := range h.out.Events {
		var m map[string]any
		if err := json.Unmarshal(e.JSON(), &m); err != nil {
			t.Fatal(err)
		}
		if m["conf"] != "conf_1" || m["rev"] != 1.0 || m["at"] != "1970-01-01T00:00:01.500Z" || m["by"] != "ana" {
			t.Errorf("%s: %v", e.Name, m)
		}
	}
	if len(h.out.Events) != 3 {
		t.Errorf("%d events", len(h.out.Events))
	}
}

// both runs two commands in both orders and checks each outcome.
func both(t *testing.T, setUp func(*hall) [2]func() *fault.Error, check func(t *testing.T, h *hall, first int, errs [2]*fault.Error)) {
	for first := range 2 {
		t.Run([]string{"as written", "other way"}[first], func(t *testing.T) {
			h := newHall(t, nil)
			cmds := setUp(h)
			var errs [2]*fault.Error
			errs[first] = cmds[first]()
			errs[1-first] = cmds[1-first]()
			check(t, h, first, errs)
			invariants(t, h)
		})
	}
}

func TestRACE1_2_EndAndJoin(t *testing.T) {
	both(t, func(h *hall) [2]func() *fault.Error {
		mod, _ := h.join("mod", api.RoleModerator)
		return [2]func() *fault.Error{
			func() *fault.Error { _, e := h.do(mod, api.ConferenceEnd, api.EndParams{}); return e },
			func() *fault.Error {
				_, e := h.do(caller("ana", api.RoleAttendee), api.ConferenceJoin, api.JoinParams{Device: "d"})
				return e
			},
		}
	}, func(t *testing.T, h *hall, first int, errs [2]*fault.Error) {
		if errs[0] != nil || h.m.Conference().Phase != model.Ended || h.m.Users() != 0 {
			t.Errorf("end: %v, %d users", errs[0], h.m.Users())
		}
		if first == 0 && (errs[1] == nil || errs[1].Code != 410) || first == 1 && errs[1] != nil {
			t.Errorf("join: %v", errs[1])
		}
	})
}

func TestRACE3_StartAndStart(t *testing.T) {
	start := func(h *hall, who, mode string) func() *fault.Error {
		return func() *fault.Error {
			_, e := h.do(caller(who, api.RoleOwner), api.ConferenceStart, api.StartParams{Mode: mode})
			return e
		}
	}
	both(t, func(h *hall) [2]func() *fault.Error {
		return [2]func() *fault.Error{start(h, "a", "create"), start(h, "b", "create")}
	}, func(t *testing.T, h *hall, first int, errs [2]*fault.Error) {
		if errs[first] != nil || errs[1-first] == nil || errs[1-first].Code != 409 {
			t.Errorf("create × create: %v", errs)
		}
	})
	both(t, func(h *hall) [2]func() *fault.Error {
		return [2]func() *fault.Error{start(h, "a", "either"), start(h, "b", "either")}
	}, func(t *testing.T, h *hall, _ int, errs [2]*fault.Error) {
		if errs[0] != nil || errs[1] != nil {
			t.Errorf("either × either: %v", errs)
		}
	})
}

func TestRACE7_MuteAndUnmute(t *testing.T) {
	both(t, func(h *hall) [2]func() *fault.Error {
		mod, _ := h.join("mod", api.RoleModerator)
		ana, j := h.join("ana", api.RoleAttendee, api.PublishParams{CID: "mic", Kind: "audio", Muted: true})
		p := api.MuteParams{Track: j.Tracks[0].Track}
		return [2]func() *fault.Error{
			func() *fault.Error { _, e := h.do(mod, api.TrackMute, p); return e },
			func() *fault.Error { _, e := h.do(ana, api.TrackUnmute, p); return e },
		}
	}, func(t *testing.T, h *hall, _ int, errs [2]*fault.Error) {
		for _, k := range h.m.Conference().Tracks {
			if !k.Muted() || !k.FocusMuted {
				t.Errorf("heard: %+v", k)
			}
		}
	})
}

func TestRACE15_ResumeAndDuplicateJoin(t *testing.T) {
	both(t, func(h *hall) [2]func() *fault.Error {
		ana, _ := h.join("ana", api.RoleOwner)
		h.must(ana, control.SessionSuspended, control.Fact{})
		again := ana
		again.Session = "sess_again"
		return [2]func() *fault.Error{
			func() *fault.Error { _, e := h.do(ana, control.SessionResumed, control.Fact{}); return e },
			func() *fault.Error { _, e := h.do(again, api.ConferenceJoin, api.JoinParams{Device: "d"}); return e },
		}
	}, func(t *testing.T, h *hall, first int, errs [2]*fault.Error) {
		if first == 0 && (errs[1] == nil || errs[1].Code != 409) {
			t.Errorf("join after resume: %v", errs[1])
		}
		if first == 1 && (errs[1] != nil || h.m.Device("sess_ana") != nil) {
			t.Errorf("join before resume: %v", errs[1])
		}
		if h.m.Users() != 1 || len(h.m.Conference().Participants["ana"].Devices) != 1 {
			t.Error("more than one row")
		}
	})
}

func TestRACE19_GraceAndResume(t *testing.T) {
	both(t, func(h *hall) [2]func() *fault.Error {
		ana, _ := h.join("ana", api.RoleOwner)
		h.must(ana, control.SessionSuspended, control.Fact{})
		h.now = h.now.Add(30 * time.Second)
		return [2]func() *fault.Error{
			func() *fault.Error { h.m.Tick(h.now, &h.out); return nil },
			func() *fault.Error { _, e := h.do(ana, control.SessionResumed, control.Fact{}); return e },
		}
	}, func(t *testing.T, h *hall, first int, _ [2]*fault.Error) {
		if alive := h.m.Device("sess_ana") != nil; alive != (first == 1) {
			t.Errorf("alive %v", alive)
		}
	})
}

func TestRACE21_UnpublishAndSubscribe(t *testing.T) {
	both(t, func(h *hall) [2]func() *fault.Error {
		ana, j := h.join("ana", api.RoleOwner, micP)
		bob := caller("bob", api.RoleAttendee)
		h.must(bob, api.ConferenceJoin, api.JoinParams{Device: "d", Subscribe: "none"})
		h.bind(ana)
		return [2]func() *fault.Error{
			func() *fault.Error {
				_, e := h.do(ana, api.TrackUnpublish, api.TrackParams{Track: j.Tracks[0].Track})
				return e
			},
			func() *fault.Error {
				_, e := h.do(bob, api.TrackSubscribe, api.SubscribeTracks{Tracks: []api.WantedTrack{{Track: j.Tracks[0].Track}}})
				return e
			},
		}
	}, func(t *testing.T, h *hall, _ int, errs [2]*fault.Error) {
		if errs[0] != nil || errs[1] != nil || len(h.m.Conference().Subscriptions) != 0 {
			t.Errorf("%v, %d subscriptions left", errs, len(h.m.Conference().Subscriptions))
		}
	})
}

// FuzzDecode: parameters of every method; what passes can be run.
func FuzzDecode(f *testing.F) {
	for _, m := range control.Methods() {
		f.Add(m, []byte(`{"device":"d","tracks":[{"cid":"a","kind":"audio"}],"track":"trk_1"}`))
	}
	f.Add(api.MediaOffer, []byte(`{"sdp":"v=0","tracks":{"0":"a"}}`))
	f.Add(api.ConferenceJoin, []byte(`{"device":"d","device":"e"}`))
	f.Add(api.ConferenceJoin, []byte(strings.Repeat(`{"a":[`, 40)))
	f.Fuzz(func(t *testing.T, method string, raw []byte) {
		p, err := control.Decode(method, raw)
		if err != nil {
			return
		}
		h := newHall(t, nil)
		h.join("ana", api.RoleOwner, micP)
		if _, fe := h.do(caller("ana", api.RoleOwner), method, p); fe != nil && fe.Code >= 500 {
			t.Errorf("%s: %v", method, fe)
		}
		invariants(t, h)
	})
}

// BenchmarkMuteIn measures a step in rooms of two sizes: it should cost the same.
func BenchmarkMuteIn(b *testing.B) {
	for _, n := range []int{5, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := newHall(b, nil)
			var who control.Caller
			var j api.JoinResult
			for i := range n {
				who, j = h.join(fmt.Sprint("p", i), api.RoleModerator, micP)
			}
			k := api.MuteParams{Track: j.Tracks[0].Track}
			b.ReportAllocs()
			for b.Loop() {
				h.out = control.Output{Events: h.out.Events[:0], Effects: h.out.Effects[:0]}
				h.must(who, api.TrackMute, k)
				h.must(who, api.TrackUnmute, k)
			}
		})
	}
}
