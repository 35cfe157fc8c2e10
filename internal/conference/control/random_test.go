package control_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
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

// invariants of section 5.2 that the machine alone can break.
func invariants(t testing.TB, h *hall) {
	t.Helper()
	h.lives.see(t, h.m)
	c := h.m.Conference()
	live := 0
	for user, p := range c.Participants {
		if p.User != user {
			t.Errorf("row %q is %q", user, p.User)
		}
		if p.Live() != (p.State == model.Joined || p.State == model.Lobby) {
			t.Errorf("%s is %s with live devices: %v", user, p.State, p.Live())
		}
		if p.State == model.Joined {
			live++
		}
		if (p.State == model.Lobby) != (p.Live() && p.Role == api.RoleLobby) {
			t.Errorf("%s is %s as %s", user, p.State, p.Role)
		}
		for _, d := range p.Devices {
			if d.Status == model.OnHold && p.State == model.Lobby && len(d.Media) > 0 {
				t.Errorf("%s/%s waits and holds media", user, d.ID)
			}
			if !d.Status.Live() && (len(d.Media) > 0 || len(d.Receives) > 0) {
				t.Errorf("%s/%s is gone and holds media", user, d.ID)
			}
			if d.Status.Live() && c.Phase == model.Ended {
				t.Errorf("%s/%s is live in an ended conference", user, d.ID)
			}
			if d.Status.Live() && h.m.Device(d.Session) != d {
				t.Errorf("%s/%s has no session", user, d.ID)
			}
			subs := map[string]int{}
			for _, s := range c.Subscriptions {
				if s.Device == d {
					subs[s.Track.Label]++
				}
			}
			for label, n := range d.Receives {
				if subs[label] != n {
					t.Errorf("%s/%s counts %d of %s, has %d", user, d.ID, n, label, subs[label])
				}
			}
		}
	}
	if live != h.m.Users() {
		t.Errorf("(v) user-count %d, live %d", h.m.Users(), live)
	}
	for id, k := range c.Tracks {
		if c.Media[k.MS] == nil || !slices.Contains(c.Media[k.MS].Tracks, k) {
			t.Errorf("(ii) track %s without its media session", id)
		}
	}
	for id, s := range c.Subscriptions {
		if c.Media[s.MS] == nil || c.Tracks[s.Track.ID] != s.Track {
			t.Errorf("(ii) subscription %s with an end missing", id)
		}
	}
	for id, s := range c.Media {
		if !s.Device.Status.Live() || !slices.Contains(s.Device.Media, s) {
			t.Errorf("(ii) media session %s without a live endpoint", id)
		}
	}
}

// TestRandomCommands: thousands of commands in random order; after each the
// invariants hold, a refusal has changed nothing, rev steps by at most one, and
// every subscriber's document, sent with losses, equals the truth.
func TestRandomCommands(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3, 4} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			h := newHall(t, func(p *policy.Policy) { p.Dev, p.MaxTracks, p.MaxSubs, p.EmptyAfter = true, 4, 6, 1000*time.Hour })
			var doc *info.Document
			var sub info.Subscriber
			for i := range 1500 {
				h.out = control.Output{}
				c := h.m.Conference()
				rev := c.Rev
				_, err := randomCommand(r, h)
				if err != nil && (c.Rev != rev || len(h.out.Events)+len(h.out.Effects) > 0) {
					t.Fatalf("step %d: refused with %v, yet changed", i, err)
				}
				if err != nil && err.Code >= 500 && err.Code != 501 && err.Reason != "codec-missing" {
					t.Fatalf("step %d: %v", i, err)
				}
				if err == nil && c.Rev > rev+1 {
					t.Fatalf("step %d: rev from %d to %d", i, rev, c.Rev)
				}
				if r.IntN(4) == 0 {
					h.now = h.now.Add(time.Duration(r.IntN(8000)) * time.Millisecond)
					h.m.Tick(h.now, &h.out)
				}
				invariants(t, h)
				if err := floorsHold(h); err != nil {
					t.Errorf("%v", err)
				}
				next := info.Build(c, h.m.Users(), info.View{Labels: control.Labels}, doc)
				fresh := info.Build(c, h.m.Users(), info.View{Labels: control.Labels}, nil)
				if d := info.Diff(next, fresh); d != nil && (d.Users != nil || d.ConferenceState != nil || d.Description != nil) {
					b, _ := json.Marshal(d)
					t.Fatalf("step %d: a shared row is stale: %s", i, b)
				}
				follow(t, &sub, doc, next, r)
				doc = next
				if t.Failed() {
					t.Fatalf("step %d of seed %d", i, seed)
				}
			}
		})
	}
}

// follow brings a subscriber from one document to the next, sometimes with a
// loss and a refresh after it.
func follow(t *testing.T, sub *info.Subscriber, old, next *info.Document, r *rand.Rand) {
	if old == next {
		return
	}
	wire := *next
	if old != nil {
		wire = *info.Diff(old, next)
	}
	wire.Version = 1
	if sub.Doc != nil {
		wire.Version = sub.Doc.Version + 1
	}
	if r.IntN(10) == 0 { // lost: what comes after is a refresh
		wire = *next
		wire.Version += 9 + uint32(r.IntN(3))
		if sub.Doc != nil {
			wire.Version += sub.Doc.Version
		}
	}
	if v := sub.Accept(&wire); v != info.Accepted {
		t.Errorf("verdict %d", v)
	}
	if d := info.Diff(sub.Doc, next); d != nil {
		b, _ := json.Marshal(d)
		t.Errorf("subscriber differs by %s", b)
	}
}

// sortedKeys: so that a seed makes the same commands each time.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func randomCommand(r *rand.Rand, h *hall) (any, *fault.Error) {
	who := caller(fmt.Sprint("p", r.IntN(5)), []api.Role{api.RoleOwner, api.RoleModerator, api.RoleAttendee, ""}[r.IntN(4)])
	who.Session += ids.Session(fmt.Sprint(r.IntN(2)))
	if r.IntN(6) == 0 {
		who.Dialect = "whip"
	}
	track := fmt.Sprint("trk_", 1+r.IntN(60))
	for _, id := range sortedKeys(h.m.Conference().Tracks) {
		if r.IntN(3) > 0 {
			track = string(id)
		}
	}
	if r.IntN(3) == 0 {
		return randomModeration(r, h, who)
	}
	if r.IntN(8) == 0 {
		return randomTopology(r, h, who)
	}
	d := h.m.Device(who.Session)
	switch r.IntN(14) {
	case 0, 1:
		p := api.JoinParams{Device: fmt.Sprint("d", r.IntN(2)), Load: fmt.Sprint(r.IntN(3)), Subscribe: []string{"", "none", "slots"}[r.IntN(3)]}
		for i := range r.IntN(3) {
			p.Tracks = append(p.Tracks, api.PublishParams{CID: fmt.Sprint("c", i), Kind: "audio"})
		}
		return h.do(who, api.ConferenceJoin, p)
	case 2:
		return h.do(who, api.TrackPublish, api.PublishParams{CID: fmt.Sprint("c", r.IntN(6)), Kind: "video", Source: []string{"camera", "screen"}[r.IntN(2)]})
	case 3:
		return h.do(who, api.TrackMute, api.MuteParams{Track: track})
	case 4:
		return h.do(who, api.TrackUnmute, api.MuteParams{Track: track})
	case 5:
		return h.do(who, api.TrackUnpublish, api.TrackParams{Track: track})
	case 6:
		return h.do(who, api.TrackSubscribe, api.SubscribeTracks{Tracks: []api.WantedTrack{{Track: track, Paused: r.IntN(2) == 0}}})
	case 7:
		return h.do(who, api.TrackUnsubscribe, api.SubscribeTracks{Tracks: []api.WantedTrack{{Track: track}}})
	case 8:
		return h.do(who, []string{control.SessionSuspended, control.SessionResumed}[r.IntN(2)], control.Fact{})
	case 9:
		if r.IntN(3) > 0 {
			return h.do(who, control.SessionClosed, control.Closed{Reason: []string{"bye", "grace"}[r.IntN(2)]})
		}
		return h.do(who, api.ConferenceLeave, api.LeaveParams{})
	case 10, 11:
		return negotiate(r, h, who, d)
	case 12:
		if ids := sortedKeys(h.m.Conference().Media); len(ids) > 0 {
			s := h.m.Conference().Media[ids[r.IntN(len(ids))]]
			state := []model.LinkState{model.LinkConnected, model.LinkDisconnected, model.LinkFailed}[r.IntN(3)]
			return h.do(control.Caller{}, control.LinkChanged, control.Link{Conn: s.Conn, State: state})
		}
	case 13:
		for _, id := range sortedKeys(h.m.Conference().Subscriptions) {
			if r.IntN(4) == 0 {
				return h.do(control.Caller{}, control.SubDenied, control.Denied{Sub: id, Reason: "codec"})
			}
		}
		return h.do(control.Caller{}, []string{control.TrackHeard, control.TrackLost}[r.IntN(2)], control.Heard{Track: ids.Track(track)})
	}
	return nil, nil
}

func negotiate(r *rand.Rand, h *hall, who control.Caller, d *model.Device) (any, *fault.Error) {
	tracks := map[string]string{}
	for i := range 3 {
		tracks[fmt.Sprint(i)] = fmt.Sprint("c", (i+r.IntN(2))%6)
	}
	if res, err := h.do(who, api.MediaOffer, api.OfferParams{SDP: "v=0", Tracks: tracks}); err != nil || d == nil {
		return res, err
	}
	if r.IntN(4) == 0 {
		return h.do(who, control.MediaRefused, control.Refused{MS: d.MS})
	}
	n := control.Negotiated{MS: d.MS, Bound: tracks}
	for _, s := range h.m.Subscriptions(d.MS) {
		n.Active = append(n.Active, s.ID)
	}
	return h.do(who, control.MediaNegotiated, n)
}
