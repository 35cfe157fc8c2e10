package control_test

import (
	"fmt"
	"testing"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/model"
)

// reselected takes the effects out and reports whether the legs are to be looked at.
func (h *hall) reselected() (yes bool) {
	for _, e := range h.out.Effects {
		_, is := e.(control.Reselect)
		yes = yes || is
	}
	h.out.Effects = h.out.Effects[:0]
	return yes
}

// selection is what a caller's device gets.
func (h *hall) selection(c control.Caller) string {
	n, k := h.m.Selection(h.m.Device(c.Session))
	return fmt.Sprint(n, " ", k)
}

// The policy's numbers hold for everybody who is there and who comes, a device may
// want fewer, and a change takes effect during the call.
func TestLastN_PolicyAndOwnWish(t *testing.T) {
	h := newHall(t, nil)
	mod, _ := h.join("mod", api.RoleModerator)
	ana, _ := h.join("ana", api.RoleAttendee)
	rec := caller("rec", api.RoleAttendee)
	h.must(rec, api.ConferenceJoin, api.JoinParams{Device: "d", Kind: "recorder"})
	set := func(p api.Policy) { h.must(mod, api.PolicySet, api.SetPolicyParams{Policy: p}) }
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	want("at first", h.selection(ana), "0 0")
	h.reselected()
	set(api.Policy{LastN: new(5), LoudestK: new(3)})
	if !h.reselected() {
		t.Error("nobody is told of the new policy")
	}
	want("by the policy", h.selection(ana), "5 3")
	want("a recorder", h.selection(rec), "0 0")
	if c := h.m.Conference().Conditions; c.LastN == nil || *c.LastN != 5 || c.LoudestK == nil || *c.LoudestK != 3 {
		t.Errorf("the document says %+v", c)
	}
	set(api.Policy{Chat: new(false)})
	if h.reselected() {
		t.Error("told though nothing changed")
	}
	h.must(ana, api.TrackSubscribe, api.SubscribeTracks{LastN: new(2)})
	if !h.reselected() {
		t.Error("her wish is not told")
	}
	want("she wants fewer", h.selection(ana), "2 3")
	want("the others", h.selection(mod), "5 3")
	h.must(ana, api.TrackSubscribe, api.SubscribeTracks{LastN: new(9)})
	want("more than there are", h.selection(ana), "5 3")
	set(api.Policy{LastN: new(0)})
	want("without a limit of the policy", h.selection(ana), "9 3")
	for _, n := range []int{-1, 1 << 20} {
		if _, err := h.do(ana, api.TrackSubscribe, api.SubscribeTracks{LastN: &n}); err == nil || err.Code != 400 {
			t.Errorf("wish of %d: %v", n, err)
		}
		if _, err := h.do(mod, api.PolicySet, api.SetPolicyParams{Policy: api.Policy{LastN: &n}}); err == nil || err.Code != 400 {
			t.Errorf("policy of %d: %v", n, err)
		}
		if _, err := h.do(mod, api.PolicySet, api.SetPolicyParams{Policy: api.Policy{LoudestK: &n}}); err == nil || err.Code != 400 {
			t.Errorf("loudest %d: %v", n, err)
		}
	}
	if _, err := h.do(ana, api.PolicySet, api.SetPolicyParams{Policy: api.Policy{LastN: new(1)}}); err == nil || err.Code != 403 {
		t.Errorf("an attendee sets it: %v", err)
	}
}

// A publisher is told which encodings are wanted, whoever does not speak our
// protocol is not, and it makes no revision.
func TestSFM9_PublisherIsTold(t *testing.T) {
	h := newHall(t, nil)
	simulcast := api.PublishParams{CID: "cam", Kind: "video", RIDs: []string{"q", "h", "f"}}
	ana, j := h.join("ana", api.RoleModerator, simulcast)
	h.bind(ana)
	enc := caller("enc", api.RoleAttendee)
	enc.Dialect = "whip"
	w := h.must(enc, api.ConferenceJoin, api.JoinParams{Device: "d", Tracks: []api.PublishParams{simulcast}}).(api.JoinResult)
	rev := h.m.Conference().Rev
	told := func(track string, n int, rids ...string) string {
		h.out.Events = h.out.Events[:0]
		h.must(control.Caller{}, control.LayersWanted, control.Layers{Track: ids.Track(track), Count: n, RIDs: rids, Of: 3})
		out := ""
		for _, e := range h.out.Events {
			out += fmt.Sprint(e.Name, " ", e.To == ana.Session, " ", e.Fields["track"] == track, " ", e.Fields["layers"], " ", e.Fields["rids"])
		}
		return out
	}
	cam := j.Tracks[0].Track
	for _, r := range []struct{ got, want string }{
		{told(cam, 1, "q"), "track.layers true true 1 [q]"},
		{told(cam, 2, "q", "h"), "track.layers true true 2 [q h]"},
		{told(w.Tracks[0].Track, 1, "q"), ""},
		{told("trk_none", 1, "q"), ""},
	} {
		if r.got != r.want {
			t.Errorf("told %q, want %q", r.got, r.want)
		}
	}
	ms := h.m.Device(ana.Session).MS
	if l := h.m.LayersOf(ms); len(l) != 1 || l[0].Layers != 2 {
		t.Errorf("to be told again: %+v", l)
	}
	if got := h.m.Conference().Rev; got != rev {
		t.Errorf("revision %d, was %d", got, rev)
	}
	h.out.Events = h.out.Events[:0]
	h.must(control.Caller{}, control.MediaReset, control.Refused{MS: ms})
	if e := h.out.Events; len(e) != 1 || e[0].Name != "track.layers" || e[0].Fields["layers"] != 0 {
		t.Errorf("on a fresh connection: %+v", e)
	}
	if got := told(cam, 3, "q", "h", "f"); got != "track.layers true true 0 <nil>" {
		t.Errorf("all: %q", got)
	}
	if l := h.m.LayersOf(ms); len(l) != 0 {
		t.Errorf("to be told again: %+v", l)
	}
}

// What is wanted of a track must be a size that a screen can have.
func TestWantedSizesAreChecked(t *testing.T) {
	h := newHall(t, nil)
	ana, j := h.join("ana", api.RoleModerator, camP)
	h.bind(ana)
	bob, _ := h.join("bob", api.RoleAttendee)
	k := j.Tracks[0].Track
	for _, w := range []api.WantedTrack{{Width: -1}, {Height: 1 << 20}, {FPS: -5}, {Priority: 1 << 30}} {
		w.Track = k
		r := h.must(bob, api.TrackSubscribe, api.SubscribeTracks{Tracks: []api.WantedTrack{w}}).(api.SubscribeResults)
		if r.Tracks[0].Code != 400 {
			t.Errorf("%+v: %+v", w, r.Tracks[0])
		}
	}
	r := h.must(bob, api.TrackSubscribe, api.SubscribeTracks{Tracks: []api.WantedTrack{{Track: k, Width: 640, Height: 360, Priority: 1, Paused: true}}}).(api.SubscribeResults)
	if r.Tracks[0].Code != 200 || h.m.Subscriptions(h.m.Device(bob.Session).MS)[0].State == model.SubDenied {
		t.Errorf("%+v", r.Tracks[0])
	}
}
