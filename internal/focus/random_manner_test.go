package focus

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/media/plane"
)

// TestRandomTopologies: a thousand changes of topology, for all and for one,
// while people come, publish, go and obey late. Whenever all is calm, each leg is
// served as it should be, and nothing is left of how it was served before.
func TestRandomTopologies(t *testing.T) {
	const seeds, changes = 4, 250
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			studio(t, func(h *house, x *fakeMixer) {
				r := rand.New(rand.NewPCG(seed, 77))
				keep := h.client("keeper", "ws")
				keep.joins(api.JoinParams{Device: "keeper", Subscribe: "none"})
				people := make([]*guest, 5)
				for i := range people {
					people[i] = &guest{client: h.client(fmt.Sprint("p", i), "ws"), device: fmt.Sprint("d", i)}
				}
				people[4].streams = 1
				for i := range changes {
					change(r, keep, people)
					people[r.IntN(len(people))].act(r)
					pass(time.Duration(r.IntN(700)) * time.Millisecond)
					for _, p := range people {
						if r.IntN(3) > 0 {
							p.obey()
						}
					}
					if i%10 == 9 {
						calmDown(people...)
						served(t, h, x)
						if t.Failed() {
							t.Fatalf("seed %d, after change %d", seed, i)
						}
					}
				}
			})
		})
	}
}

// change chooses another topology, or sets another layout.
func change(r *rand.Rand, keep *client, people []*guest) {
	names := api.Topologies()
	p := api.SetTopologyParams{Topology: names[r.IntN(len(names))], AllowDiscouraged: true}
	if g := people[r.IntN(len(people))]; g.in && r.IntN(3) == 0 {
		p.Part = g.join.Part
		if r.IntN(3) == 0 {
			p.Topology = ""
		}
	}
	keep.must(api.TopologySet, p, nil)
	if r.IntN(5) == 0 {
		keep.must(api.LayoutSet, api.LayoutParams{Mode: []string{"automatic", "quad-view", "dual-view"}[r.IntN(3)], Scope: "all"}, nil)
	}
}

// served looks at every leg from inside the loop.
func served(t *testing.T, h *house, x *fakeMixer) {
	t.Helper()
	h.f.mu.RLock()
	in := h.f.byURI["standup"]
	h.f.mu.RUnlock()
	if err := in.box.put(&item{look: func(r *room) { inspectLegs(t, h, x, r) }}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func inspectLegs(t *testing.T, h *house, x *fakeMixer, r *room) {
	h.plane.mu.Lock()
	subs := maps.Clone(h.plane.subs)
	h.plane.mu.Unlock()
	x.mu.Lock()
	outputs := maps.Clone(x.outputs)
	x.mu.Unlock()
	for _, l := range r.legs {
		if l.served != l.dev.Leg {
			t.Errorf("%s is served as %+v, should be %+v", l.dev.ID, l.served, l.dev.Leg)
		}
		if !l.opened {
			continue
		}
		for _, kind := range kindsOf {
			inspectKind(t, r, l, kind)
		}
		for i := range l.sections {
			s := &l.sections[i]
			if s.ending {
				t.Errorf("%s: section %s has not ended", l.dev.ID, s.mid)
			}
			if name := s.name(); name != "" {
				if got, ok := subs[name]; ok && got.MID != s.mid {
					t.Errorf("%s: section %s is sent as %s", l.dev.ID, s.mid, got.MID)
				}
				delete(subs, name)
			}
			if s.slot != nil {
				delete(outputs, s.slot.track)
			}
			if s.translated != nil {
				delete(outputs, r.mixing.of[mixKey{l.ms, s.kind, s.sub.Track.ID}].Track)
			}
		}
	}
	for _, s := range subs {
		t.Errorf("orphan subscription %+v", s)
	}
	for _, o := range outputs {
		t.Errorf("orphan output %+v", o)
	}
}

func inspectKind(t *testing.T, r *room, l *leg, kind plane.Kind) {
	var want []ids.Track
	for _, k := range r.m.Conference().Tracks {
		if k.Bound() && k.Kind == kind.String() && k.Device != l.dev {
			want = append(want, k.ID)
		}
	}
	if l.dev.Subscribe == "none" {
		return
	}
	var each, slots []ids.Track
	for i := range l.sections {
		switch s := &l.sections[i]; {
		case s.kind != kind:
		case s.sub != nil:
			each = append(each, s.sub.Track.ID)
		case s.slot != nil:
			slots = append(slots, s.slot.track)
		}
	}
	slices.Sort(want)
	slices.Sort(each)
	fail := func(what string) {
		t.Errorf("%s (%s): %s of %s: each %v, slots %v, want %v", l.dev.ID, l.served.Manner, what, kind, each, slots, want)
	}
	switch l.served.Way(kind.String()) {
	case model.WayEach:
		if !slices.Equal(each, want) || len(slots) > 0 {
			fail("each")
		}
	case model.WaySlots:
		filled := slices.DeleteFunc(slices.Clone(slots), func(k ids.Track) bool { return k == "" })
		if len(each) > 0 || len(slots) != l.wantsSlots(kind) || len(filled) != min(len(want), len(slots)) {
			fail("slots")
		}
	case model.WayMix:
		x := r.mixing.of[mixKey{l.ms, kind, ""}]
		if len(each) > 0 || len(slots) != 1 || x == nil || slots[0] != x.Track {
			fail("mix")
		}
	}
}
