package topology

import (
	"testing"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/stream"
)

type nobody struct{}

func (nobody) RequestKeyframe(clock.Time, graph.TrackID, uint8) {}

func TestEveryNameMakesARecipe(t *testing.T) {
	for _, n := range []string{"", "auto", "sfu", "switch", "mixer", "relay", "video-switching-mcu", "asymmetric", "no-such"} {
		if New(n, Env{}) == nil {
			t.Error(n)
		}
		_, passes := New(Name(n, plane.Video), Env{}).(Passing)
		if passes != (n == "relay" || n == "video-switching-mcu" || n == "asymmetric") {
			t.Errorf("RTCP of %q crosses: %v", n, passes)
		}
	}
	if Name("video-switching-mcu", plane.Audio) != "" {
		t.Error("sound is not switched by pictures")
	}
}

// TestWiring: positions are used again, tables follow what projections take.
func TestWiring(t *testing.T) {
	w := newWiring()
	env := &stream.Env{Up: nobody{}, ReportSoon: func(clock.Time, graph.LegID) {}}
	e := &stream.Egress{Leg: 3, Env: env, Ready: true}
	a, b, c := stream.NewSource(1, plane.Track{}), stream.NewSource(9, plane.Track{}), stream.NewSource(4, plane.Track{})
	w.AddSource(a)
	w.AddSource(b)
	p, q := e.Add(1, 0), e.Add(2, 0)
	p.Attach(1, a, nil)
	q.Attach(1, b, nil)
	w.Connect(e, p)
	w.Connect(e, q)
	w.Connect(e, q) // again changes nothing
	takes := func(s *stream.Source) int {
		x := w.of(&graph.Packet{Track: s.ID})
		if x == nil || x.src != s || x.at >= len(w.find(3).takes) {
			return 0
		}
		return len(w.find(3).takes[x.at])
	}
	if takes(a) != 1 || takes(b) != 1 || w.of(&graph.Packet{Track: 2}) != nil || w.of(&graph.Packet{Track: 100}) != nil {
		t.Fatal("first wiring")
	}
	w.RemoveSource(a)
	w.AddSource(c)
	if w.count != 2 || takes(a) != 0 || takes(c) != 0 {
		t.Fatal("position not used again, or with the old table")
	}
	p.Attach(2, c, nil)
	w.Connect(e, p)
	if takes(c) != 1 || takes(b) != 1 {
		t.Fatal("second wiring")
	}
	w.Disconnect(e, p)
	w.Disconnect(e, q)
	if len(w.legs) != 0 || len(w.byLeg) != 0 || w.find(3) != nil {
		t.Fatal("leg stays")
	}
	w.Disconnect(e, q)
}
