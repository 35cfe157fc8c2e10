package worker

import (
	"math/rand/v2"
	"slices"
	"testing"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
)

// TestTimersOrder checks the heap against a plain map under random wishes.
func TestTimersOrder(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, seed))
	var h timers
	model := map[graph.LegID]clock.Time{}
	for i := range 20000 {
		leg := graph.LegID(r.IntN(200))
		switch r.IntN(4) {
		case 0, 1:
			at := clock.Time(r.IntN(100000) + 1)
			h.want(leg, at)
			if old, ok := model[leg]; !ok || at < old {
				model[leg] = at
			}
		case 2:
			h.drop(leg)
			delete(model, leg)
		case 3:
			now := clock.Time(r.IntN(100000))
			got, ok := h.due(now)
			if ok {
				if model[got] > now {
					t.Fatalf("step %d: leg %d came at %d, wanted %d", i, got, now, model[got])
				}
				delete(model, got)
			}
		}
		want := clock.Time(0)
		for _, at := range model {
			want = clock.Earliest(want, at)
		}
		if h.next() != want {
			t.Fatalf("step %d: next %d, want %d", i, h.next(), want)
		}
	}
	var last clock.Time
	var legs []graph.LegID
	for {
		at := h.next()
		leg, ok := h.due(1 << 40)
		if !ok {
			break
		}
		if at < last {
			t.Fatal("out of order")
		}
		last = at
		legs = append(legs, leg)
	}
	if slices.Sort(legs); len(legs) != len(model) || len(slices.Compact(legs)) != len(model) {
		t.Fatalf("%d legs came out, want %d", len(legs), len(model))
	}
}
