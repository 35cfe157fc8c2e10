package focus

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/media/plane"
)

// stats subscribes to package stats and returns the answer's code.
func (c *client) statistics(filter string, expires *int) int {
	c.h.t.Helper()
	code := 0
	s := &api.Subscribe{ID: "q", Conf: "standup", Package: pkgStats, ExpiresS: expires}
	if filter != "" {
		s.Filter = json.RawMessage(filter)
	}
	c.h.f.Subscribe(c.caller, s, func(r *api.Response) { code = r.Code })
	synctest.Wait()
	return code
}

func (c *client) reports() (out []api.StatsReport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.notes {
		if n.Package != pkgStats {
			continue
		}
		var rep api.StatsReport
		if err := json.Unmarshal(n.Body, &rep); err != nil {
			c.h.t.Error(err)
		}
		if out = append(out, rep); n.State != "full" || n.Version != uint32(len(out)) {
			c.h.t.Errorf("state %q, version %d of report %d", n.State, n.Version, len(out))
		}
	}
	return out
}

// measured gives every link statistics.
func (h *house) measured(streams int) {
	h.plane.mu.Lock()
	defer h.plane.mu.Unlock()
	h.plane.stats = map[ids.Connection]plane.LinkStats{}
	for id := range h.plane.links {
		s := plane.LinkStats{RTT: 20 * time.Millisecond, ScoreOut: 4.2, Control: plane.RateControl{Target: 1_000_000}}
		for i := range streams {
			s.Out = append(s.Out, plane.StreamOut{Track: ids.Track(fmt.Sprintf("trk_%d", i)), Kind: plane.Video, Source: "camera", State: "flowing", Score: 4.2})
			s.In = append(s.In, plane.StreamIn{Track: ids.Track(fmt.Sprintf("trk_%d", i)), Kind: plane.Audio, Live: true})
		}
		h.plane.stats[id] = s
	}
}

// links joins and connects, without media.
func (h *house) linked(name string) *client {
	c := h.client(name, "ws")
	c.joins(api.JoinParams{Device: "dev-" + name, Tracks: []api.PublishParams{mic()}})
	c.sends(plane.Audio, "mic")
	c.negotiates()
	h.media(plane.Event{Kind: plane.LinkConnected, Conn: c.conn()})
	return c
}

func TestStatisticsOfOnesOwnConnection(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana, bob := h.linked("ana"), h.linked("bob")
		h.measured(2)
		if code := bob.statistics("", nil); code != 200 {
			t.Fatal(code)
		}
		first := bob.reports()
		if len(first) != 1 {
			t.Fatalf("%d reports at once", len(first))
		}
		r := first[0]
		if len(r.Connections) != 1 || r.Scope != "own" || r.IntervalMs != 2000 || r.Omitted != 0 {
			t.Fatalf("%+v", r)
		}
		c := r.Connections[0]
		if c.Conn != string(bob.conn()) || !c.Own || c.User != "bob" || c.Part != bob.join.Part || c.RTTMs != 20 || c.ScoreOut != 4.2 || len(c.Out) != 2 || c.Control.Target != 1_000_000 {
			t.Errorf("%+v", c)
		}
		pass(10*time.Second + time.Millisecond)
		if n := len(bob.reports()); n != 6 {
			t.Errorf("%d reports in ten seconds, want 6", n)
		}
		if len(ana.reports()) != 0 {
			t.Error("who did not ask is told")
		}
		// Leaving ends it.
		bob.must(api.ConferenceLeave, struct{}{}, nil)
		n := len(bob.reports())
		pass(10 * time.Second)
		if got := len(bob.reports()); got != n {
			t.Errorf("%d reports after leaving", got-n)
		}
	})
}

func TestStatisticsOfOthersAreForModerators(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana, bob, eve := h.linked("ana"), h.linked("bob"), h.client("eve", "ws")
		h.measured(1)
		if code := bob.statistics(`{"scope":"all"}`, nil); code != 403 {
			t.Errorf("an attendee: %d", code)
		}
		if code := eve.statistics("", nil); code != 403 {
			t.Errorf("a stranger: %d", code)
		}
		for _, bad := range []string{`{"scope":"mine"}`, `[]`, `{"intervalMs":"x"}`} {
			if code := ana.statistics(bad, nil); code != 400 {
				t.Errorf("%s: %d", bad, code)
			}
		}
		if code := ana.statistics(`{"scope":"all","intervalMs":1}`, nil); code != 200 {
			t.Fatal(code)
		}
		r := ana.reports()
		if len(r) != 1 || len(r[0].Connections) != 2 || r[0].Scope != "all" || r[0].IntervalMs != 1000 {
			t.Fatalf("%+v", r)
		}
		for _, c := range r[0].Connections {
			if c.Remote != "" || c.Own != (c.Conn == string(ana.conn())) {
				t.Errorf("%+v", c)
			}
		}
		// A role that is taken away takes the sight with it.
		ana.must(api.ParticipantSetRole, api.SetRoleParams{Part: bob.join.Part, Role: api.RoleOwner}, nil)
		bob.must(api.ParticipantSetRole, api.SetRoleParams{Part: ana.join.Part, Role: api.RoleAttendee}, nil)
		before := len(ana.reports())
		pass(3 * time.Second)
		after := ana.reports()[before:]
		if len(after) == 0 {
			t.Fatal("no more reports")
		}
		if last := after[len(after)-1]; last.Scope != "own" || len(last.Connections) != 1 {
			t.Errorf("%+v", last)
		}
	})
}

func TestStatisticsCanBeFetched(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.linked("ana")
		h.measured(1)
		zero := 0
		ana.statistics("", &zero)
		pass(20 * time.Second)
		if n := len(ana.reports()); n != 1 {
			t.Errorf("%d reports for one fetch", n)
		}
	})
}

// Subscribing again and again is no way around the interval.
func TestStatisticsComeAtMostOnceASecond(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.linked("ana")
		h.measured(1)
		for range 50 {
			ana.statistics(`{"intervalMs":1}`, nil)
			pass(100 * time.Millisecond)
		}
		if n := len(ana.reports()); n > 6 {
			t.Errorf("%d reports in five seconds", n)
		}
	})
}

// What waits for a resume is bounded: statistics must not push out what matters.
func TestNoStatisticsForASuspendedSession(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.linked("ana")
		h.measured(1)
		ana.statistics("", nil)
		h.f.Suspended(ana.caller.Session)
		n := len(ana.reports())
		pass(10 * time.Second)
		if got := len(ana.reports()); got != n {
			t.Errorf("%d reports while suspended", got-n)
		}
		h.f.Resumed(ana.caller.Session, control.Sink(ana))
		pass(5 * time.Second)
		if len(ana.reports()) <= n {
			t.Error("none after the resume")
		}
	})
}

func TestStatisticsAreBoundedInSize(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.linked("ana")
		for i := range 70 {
			h.linked(fmt.Sprintf("guest%d", i))
		}
		h.measured(100)
		ana.statistics(`{"scope":"all"}`, nil)
		r := ana.reports()[0]
		if len(r.Connections) == 0 || !r.Connections[0].Own || len(r.Connections[0].Out) != 64 || r.Connections[0].Omitted != 36+68 {
			t.Errorf("one's own: %d connections, %+v", len(r.Connections), r.Connections[0].Omitted)
		}
		if len(r.Connections)+r.Omitted != 71 {
			t.Errorf("%d told, %d omitted of 71", len(r.Connections), r.Omitted)
		}
		ana.mu.Lock()
		for _, n := range ana.notes {
			if n.Package == pkgStats && len(n.Body) > statsBody+1024 {
				t.Errorf("a body of %d bytes", len(n.Body))
			}
		}
		ana.mu.Unlock()
		// Small rows: everybody is seen in turn.
		h.measured(0)
		seen := map[string]bool{}
		before := len(ana.reports())
		pass(20 * time.Second)
		for _, r := range ana.reports()[before:] {
			for _, c := range r.Connections {
				seen[c.Conn] = true
			}
		}
		if len(seen) != 71 {
			t.Errorf("%d of 71 connections were seen", len(seen))
		}
	})
}

// Who administers sees all without having joined.
func TestStatisticsFromOutside(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		h.linked("ana")
		h.linked("bob")
		h.measured(1)
		eye := h.client("service:1", "ws")
		eye.caller.By = control.Principal{Subject: "service:1", Service: true}
		h.f.Attach(eye.caller, eye)
		if code := eye.statistics("", nil); code != 200 {
			t.Fatal(code)
		}
		r := eye.reports()
		if len(r) != 1 || r[0].Scope != "all" || len(r[0].Connections) != 2 || r[0].Connections[0].Own {
			t.Errorf("%+v", r)
		}
	})
}
