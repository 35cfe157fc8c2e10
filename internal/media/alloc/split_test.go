package alloc_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/alloc"
)

const start = clock.Time(time.Second)

// simulcast is what a browser sends of a 720p camera.
func simulcast() []alloc.Rung {
	l := []alloc.Rung{
		{Level: 0, Part: 0, Rate: 150_000, Width: 320, Height: 180, FPS: 30},
		{Level: 1, Part: 1, Rate: 500_000, Width: 640, Height: 360, FPS: 30},
		{Level: 2, Part: 2, Rate: 1_700_000, Width: 1280, Height: 720, FPS: 30},
	}
	alloc.Weigh(l)
	return l
}

// scalable has three spatial layers of three temporal ones.
func scalable() []alloc.Rung {
	var l []alloc.Rung
	for s := range 3 {
		for t := range 3 {
			l = append(l, alloc.Rung{
				Level: int32(s<<8 | t), Part: int16(s), Rate: uint64(100_000*(s*s*s+1)) * uint64(t+2) / 2,
				Width: 320 << s, Height: 180 << s, FPS: uint8(15 << t / 2),
			})
		}
	}
	alloc.Weigh(l)
	return l
}

func sound() []alloc.Rung { return []alloc.Rung{{Rate: 40_000}} }

func given(d []*alloc.Demand) (out []int) {
	for _, x := range d {
		out = append(out, x.Given())
	}
	return out
}

func TestSplitByClassAndSize(t *testing.T) {
	room := func() []*alloc.Demand {
		return []*alloc.Demand{
			{Class: alloc.Rest, Ladder: simulcast()},
			{Class: alloc.Speaker, Ladder: simulcast()},
			{Class: alloc.Screen, Ladder: simulcast()},
			{Class: alloc.Audio, Ladder: sound()},
		}
	}
	for _, c := range []struct {
		budget uint64
		want   string
	}{
		{alloc.Unlimited, "[2 2 2 0]"},
		{6_000_000, "[2 2 2 0]"},
		{4_200_000, "[1 2 2 0]"}, // the rest waits
		{3_000_000, "[1 1 2 0]"},
		{1_100_000, "[0 0 1 0]"},
		{900_000, "[0 0 1 0]"},
		{600_000, "[0 0 0 0]"},
		{400_000, "[-1 0 0 0]"},
		{200_000, "[-1 -1 0 0]"},
		{100_000, "[-1 -1 -1 0]"},
		{0, "[-1 -1 -1 0]"}, // sound in any case
	} {
		var s alloc.Splitter
		d := room()
		used, wanted := s.Split(start, c.budget, d)
		if got := fmt.Sprint(given(d)); got != c.want {
			t.Errorf("%d bit/s: %s, want %s", c.budget, got, c.want)
		}
		if wanted != 3*1_700_000+40_000 || (used > c.budget && used != 40_000) {
			t.Errorf("%d bit/s: used %d, wanted %d", c.budget, used, wanted)
		}
	}
}

func TestWantedSizeIsEnough(t *testing.T) {
	for _, c := range []struct{ w, h, want int }{
		{0, 0, 8}, {1280, 0, 8}, {640, 360, 5}, {641, 0, 8}, {641, 360, 5}, {100, 100, 2}, {0, 180, 2}, {4000, 3000, 8},
	} {
		var s alloc.Splitter
		d := &alloc.Demand{Class: alloc.Rest, Width: c.w, Height: c.h, Ladder: scalable()}
		s.Split(start, alloc.Unlimited, []*alloc.Demand{d})
		if d.Given() != c.want || d.Wanted() != c.want {
			t.Errorf("%dx%d: rung %d of %d, want %d", c.w, c.h, d.Given(), d.Wanted(), c.want)
		}
	}
}

func TestPriorityWithinClassAndCap(t *testing.T) {
	var s alloc.Splitter
	a, b := &alloc.Demand{Class: alloc.Rest, Ladder: simulcast()}, &alloc.Demand{Class: alloc.Rest, Priority: 1, Ladder: simulcast()}
	s.Split(start, 2_000_000, []*alloc.Demand{a, b})
	if a.Given() != 0 || b.Given() != 2 {
		t.Errorf("%d %d", a.Given(), b.Given())
	}
	c := &alloc.Demand{Class: alloc.Rest, Cap: 600_000, Ladder: simulcast()}
	if s.Split(start, alloc.Unlimited, []*alloc.Demand{c}); c.Given() != 1 {
		t.Errorf("cap: %d", c.Given())
	}
	c.Cap = 1
	if s.Split(start, alloc.Unlimited, []*alloc.Demand{c}); c.Given() != 0 {
		t.Errorf("cap below all: %d", c.Given())
	}
}

// TestEqualsGrowTogether: nobody is at the top while an equal is at the bottom.
func TestEqualsGrowTogether(t *testing.T) {
	for budget := uint64(1_000_000); budget < 12_000_000; budget += 100_000 {
		var s alloc.Splitter
		var d []*alloc.Demand
		for range 6 {
			d = append(d, &alloc.Demand{Class: alloc.Rest, Ladder: simulcast()})
		}
		s.Split(start, budget, d)
		lo, hi := 9, -1
		for _, x := range d {
			lo, hi = min(lo, x.Given()), max(hi, x.Given())
		}
		if hi-lo > 1 {
			t.Fatalf("%d bit/s: %v", budget, given(d))
		}
	}
}

// anyDemands makes up what a receiver may be sent.
func anyDemands(r *rand.Rand) (out []*alloc.Demand) {
	for range 1 + r.IntN(12) {
		d := &alloc.Demand{Class: alloc.Class(r.IntN(4)), Priority: r.IntN(2), Keep: r.IntN(8) == 0}
		n, rate, w := 1+r.IntN(6), 20_000+r.Uint64N(200_000), 80+r.IntN(200)
		for i := range n {
			d.Ladder = append(d.Ladder, alloc.Rung{Level: int32(i), Rate: rate, Width: uint16(w), Height: uint16(w * 9 / 16), FPS: uint8(r.IntN(31))})
			rate += r.Uint64N(3 * rate)
			w += r.IntN(w)
		}
		if d.Class == alloc.Audio {
			d.Ladder = sound()
		}
		if r.IntN(2) == 0 {
			d.Width = r.IntN(2000)
		}
		alloc.Weigh(d.Ladder)
		out = append(out, d)
	}
	return out
}

func fresh(d []*alloc.Demand) (out []*alloc.Demand) {
	for _, x := range d {
		out = append(out, &alloc.Demand{Class: x.Class, Priority: x.Priority, Width: x.Width, Height: x.Height, Keep: x.Keep, Ladder: x.Ladder})
	}
	return out
}

// cost of what was given, and of what is given in any case.
func cost(d []*alloc.Demand) (all, sure uint64) {
	for _, x := range d {
		if x.Given() == alloc.Nothing {
			continue
		}
		all += x.Ladder[x.Given()].Rate
		if x.Class == alloc.Audio || x.Keep {
			sure += x.Ladder[0].Rate
		}
	}
	return all, sure
}

func TestNeverOverBudget(t *testing.T) {
	const seed = 17
	r := rand.New(rand.NewPCG(seed, 1))
	var s alloc.Splitter
	for n := range 300 {
		d := anyDemands(r)
		now := start
		for range 40 {
			now = now.Add(time.Duration(r.IntN(1500)) * time.Millisecond)
			budget := r.Uint64N(8_000_000)
			used, _ := s.Split(now, budget, d)
			all, sure := cost(d)
			if used != all {
				t.Fatalf("seed %d, room %d: says %d, is %d", seed, n, used, all)
			}
			if all <= max(budget, sure) {
				continue
			}
			for _, x := range d { // only by what is at its lowest
				if x.Given() > 0 {
					t.Fatalf("seed %d, room %d: %d of %d bit/s with %v", seed, n, all, budget, given(d))
				}
			}
		}
		now = now.Add(time.Second)
		s.Split(now, 300_000, d)
		now = now.Add(2 * time.Second)
		s.Split(now, 300_000, d)
		if all, sure := cost(d); all > max(300_000, sure) {
			t.Fatalf("seed %d, room %d: still %d bit/s of 300000 with %v", seed, n, all, given(d))
		}
	}
}

// TestMoreBudgetIsNoLess: the first in order never loses by a larger budget, once
// everybody has the lowest rung, and nobody goes without one who could have it.
func TestMoreBudgetIsNoLess(t *testing.T) {
	const seed = 18
	r := rand.New(rand.NewPCG(seed, 1))
	var s alloc.Splitter
	for n := range 300 {
		d := anyDemands(r)
		first := d[0]
		first.Class, first.Priority, first.Keep = alloc.Screen, 9, false
		before := -1
		for budget := uint64(10_000); budget < 9_000_000; budget += 10_000 + budget/20 {
			f := fresh(d)
			_, wanted := s.Split(start, budget, f)
			all := !slices.ContainsFunc(f, func(x *alloc.Demand) bool { return x.Given() == alloc.Nothing })
			if g := f[0].Given(); all && g < before {
				t.Fatalf("seed %d, room %d: %d of %d at %d bit/s", seed, n, g, before, budget)
			} else if all {
				before = g
			}
			used, _ := cost(f)
			if wanted+wanted/20 <= budget && used != wanted {
				t.Fatalf("seed %d, room %d: %d used of %d wanted with %d", seed, n, used, wanted, budget)
			}
			for i, x := range f { // nobody could have the next rung in what is left
				if x.Given() != alloc.Nothing || x.Wanted() == alloc.Nothing {
					continue
				}
				sum := used + x.Ladder[0].Rate
				if sum+sum/20 <= budget {
					t.Fatalf("seed %d, room %d: demand %d has nothing, %d of %d used", seed, n, i, used, budget)
				}
			}
		}
	}
}

// TestOrderIsKept: no demand is raised while an earlier one could be with the
// same bits.
func TestOrderIsKept(t *testing.T) {
	const seed = 19
	r := rand.New(rand.NewPCG(seed, 1))
	var s alloc.Splitter
	for n := range 300 {
		var d []*alloc.Demand
		for range 8 {
			d = append(d, &alloc.Demand{Class: alloc.Class(1 + r.IntN(3)), Priority: r.IntN(2), Ladder: simulcast()})
		}
		budget := r.Uint64N(10_000_000)
		s.Split(start, budget, d)
		for _, x := range d {
			for _, y := range d {
				first := x.Class < y.Class || (x.Class == y.Class && x.Priority > y.Priority)
				if first && x.Given() < y.Given() {
					t.Fatalf("seed %d, room %d: %v behind %v", seed, n, x, y)
				}
			}
		}
	}
}
