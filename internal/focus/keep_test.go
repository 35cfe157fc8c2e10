package focus

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"parley/api"
)

// shelf is a store in memory.
type shelf struct {
	mu   sync.Mutex
	defs map[string]api.Definition
	revs map[string]uint64
	rev  uint64
	bad  error  // what every Put answers
	race func() // runs once before the next Put
}

func newShelf() *shelf {
	return &shelf{defs: map[string]api.Definition{}, revs: map[string]uint64{}}
}

func (s *shelf) Get(uri string) (api.Definition, uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.defs[uri]
	return d, s.revs[uri], ok
}

func (s *shelf) Put(_ context.Context, d api.Definition, rev uint64) (uint64, error) {
	if f := s.race; f != nil {
		s.race = nil
		f()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bad != nil {
		return 0, s.bad
	}
	if s.revs[d.URI] != rev {
		return 0, errors.New("conflict")
	}
	s.rev++
	s.defs[d.URI], s.revs[d.URI] = d, s.rev
	return s.rev, nil
}

func (s *shelf) Delete(_ context.Context, uri string, _ uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.defs, uri)
	delete(s.revs, uri)
	return nil
}

func (s *shelf) All() (out []api.Definition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.defs {
		out = append(out, d)
	}
	return out
}

// TestR11_PolicyBanAndStateAreKept: what a command changed is kept when it is
// answered, and a new instance starts from it.
func TestR11_PolicyBanAndStateAreKept(t *testing.T) {
	kept := newShelf()
	with := func(c *Config) { c.Definitions = kept }
	inHouse(t, with, func(h *house) {
		ana, bob := h.client("ana", "ws"), h.client("bob", "ws")
		ana.joins(api.JoinParams{})
		bob.joins(api.JoinParams{})
		pass(time.Second)
		d, _, ok := kept.Get("standup")
		if !ok || d.State != api.StateActive || d.Conf != ana.join.Conf || d.CreatedAt == "" || d.Owner == "" {
			t.Fatalf("while it runs: %+v", d)
		}
		lobby := true
		ana.must(api.PolicySet, api.SetPolicyParams{Policy: api.Policy{Lobby: &lobby}, Title: "Weekly"}, nil)
		if d, _, _ = kept.Get("standup"); d.Title != "Weekly" || d.Policy.Lobby == nil || !*d.Policy.Lobby {
			t.Fatalf("answered, not kept: %+v", d)
		}
		ana.must(api.ParticipantExpel, api.ExpelParams{Part: bob.join.Part, Ban: true}, nil)
		if d, _, _ = kept.Get("standup"); len(d.Banned) != 1 || d.Banned[0] != bob.join.User {
			t.Fatalf("answered, not kept: %+v", d)
		}
		ana.must(api.ConferenceEnd, api.EndParams{}, nil)
		pass(time.Second)
		if d, _, _ = kept.Get("standup"); d.State != api.StateEnded || d.EndedAt == "" {
			t.Fatalf("after the end: %+v", d)
		}
	})
	inHouse(t, with, func(h *house) { // another process
		ana, bob := h.client("ana", "ws"), h.client("bob", "ws")
		ana.joins(api.JoinParams{})
		bob.refused(403, "banned", api.ConferenceJoin, api.JoinParams{Device: "d"})
		if st, _ := h.f.Status("standup"); st.Title != "Weekly" {
			t.Fatalf("%+v", st)
		}
	})
	if d, _, _ := kept.Get("standup"); d.State != api.StateActive {
		t.Fatalf("a node that stops leaves it to Recover: %+v", d)
	}
}

func TestAChangeThatIsNotStoredIsNotAcknowledged(t *testing.T) {
	kept := newShelf()
	inHouse(t, func(c *Config) { c.Definitions = kept }, func(h *house) {
		ana := h.client("ana", "ws")
		ana.joins(api.JoinParams{})
		pass(time.Second)
		kept.bad = errors.New("no space left on device")
		ana.refused(503, "not-stored", api.PolicySet, api.SetPolicyParams{Title: "x"})
		kept.bad = nil
		ana.must(api.PolicySet, api.SetPolicyParams{Title: "y"}, nil)
	})
}

func TestAmendStartsAgainWhenAnotherCameFirst(t *testing.T) {
	kept := newShelf()
	inHouse(t, func(c *Config) { c.Definitions = kept }, func(h *house) {
		title := func(s string) func(*api.Definition, bool) error {
			return func(d *api.Definition, _ bool) error { d.Title += s; return nil }
		}
		kept.race = func() {
			if _, _, err := h.f.Amend("x", title("b")); err != nil {
				t.Error(err)
			}
		}
		if d, _, err := h.f.Amend("x", title("a")); err != nil || d.Title != "ba" {
			t.Fatalf("%+v %v", d, err)
		}
	})
}

func TestRecoverAfterACrash(t *testing.T) {
	kept := newShelf()
	inHouse(t, func(c *Config) { c.Definitions = kept }, func(h *house) {
		soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		past := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
		for _, d := range []api.Definition{
			{URI: "adhoc", State: api.StateActive},
			{URI: "early", State: api.StateActive, StartsAt: soon},
			{URI: "going", State: api.StateActive, StartsAt: past, EndsAt: soon},
			{URI: "over", State: api.StateActive, StartsAt: past, EndsAt: past},
			{URI: "planned", State: api.StateScheduled, StartsAt: past},
		} {
			if _, err := kept.Put(context.Background(), d, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.f.Recover(); err != nil {
			t.Fatal(err)
		}
		for uri, want := range map[string]string{
			"adhoc": "ended", "early": "scheduled", "going": "scheduled", "over": "ended", "planned": "scheduled",
		} {
			if d, _, _ := kept.Get(uri); d.State != want || (want == "ended") != (d.EndedAt != "") {
				t.Errorf("%s: %+v", uri, d)
			}
		}
	})
}

func TestInspectTellsEverything(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		if _, err := h.f.Inspect(context.Background(), "standup", false); err == nil {
			t.Fatal("nothing runs")
		}
		ana := h.publisher("ana")
		s, err := h.f.Inspect(context.Background(), "standup", false)
		if err != nil {
			t.Fatal(err)
		}
		if s.Live.Conf != ana.join.Conf || s.Live.Users != 1 || len(s.Live.Info) < 100 || len(s.Participants) != 1 ||
			len(s.Devices) != 1 || len(s.Sessions) != 1 || len(s.Tracks) != 2 || s.Connections[0].State != "connected" {
			t.Fatalf("%+v", s)
		}
		if st := h.f.Stats(); st.Conferences != 1 || st.Participants != 1 {
			t.Fatalf("%+v", st)
		}
	})
}
