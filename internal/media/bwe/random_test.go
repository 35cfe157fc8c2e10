package bwe_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"parley/internal/media/bwe"
	"parley/internal/simnet"
)

// TestRandomSchedules: whatever the network does, the target stays in its
// bounds, and once the path is quiet for half a minute the rate is there again.
func TestRandomSchedules(t *testing.T) {
	for i := range 25 {
		seed := *seedFlag*1000 + uint64(i)
		rng := rand.New(rand.NewPCG(seed, 3))
		some := func() simnet.Config {
			c := path(int64(50_000+rng.IntN(4_000_000)), time.Duration(rng.IntN(250))*time.Millisecond)
			c.Jitter = time.Duration(rng.IntN(40)) * time.Millisecond
			c.QueueTime = time.Duration(20+rng.IntN(1000)) * time.Millisecond
			c.Down = rng.IntN(12) == 0
			switch rng.IntN(4) {
			case 0:
				c.Loss = rng.Float64() * 0.5
			case 1:
				c.Burst = &simnet.GilbertElliott{ToBad: rng.Float64() * 0.1, ToGood: 0.1 + rng.Float64()*0.9, LossBad: rng.Float64()}
			case 2:
				c.Reorder, c.ReorderBy, c.Duplicate = rng.Float64()*0.1, 50*time.Millisecond, rng.Float64()*0.1
			}
			return c
		}
		var steps []simnet.Step
		for s := time.Duration(0); s < 60*second; s += time.Duration(500+rng.IntN(8000)) * time.Millisecond {
			steps = append(steps, simnet.Step{At: at(s), Config: some()})
		}
		steps = append(steps, simnet.Step{At: at(60 * second), Config: path(1_500_000, 50*time.Millisecond)})
		r := newRig(t, some(), steps...)
		l := r.addLeg(settings, bwe.Rate(1_000_000+rng.IntN(2_000_000)))
		l.mute = func(time.Duration) bool { return rng.IntN(20) == 0 }
		r.run(100 * second)
		for _, s := range l.series {
			if s.stats.Target < 30_000 || s.stats.Target > 30_000_000 {
				t.Fatalf("seed %d: target %d at %v", seed, s.stats.Target, s.at)
			}
		}
		_, mean, _ := l.target(90*second, 100*second)
		p95 := l.waitP95(func(at time.Duration) bool { return at > 85*second })
		if mean < 700 || p95 > 200*time.Millisecond {
			l.trace("random", t.Name())
			t.Errorf("seed %d: %.0f kbit/s at the end, queue p95 %v", seed, mean, p95)
		}
	}
}

// TestMoreWantedIsProbedSoon: a leg that only had audio subscribes to video.
func TestMoreWantedIsProbedSoon(t *testing.T) {
	r := newRig(t, path(3_000_000, 50*time.Millisecond))
	l := r.addLeg(settings, 50_000)
	l.onSample = func(d time.Duration) {
		if d >= 20*second && l.max == 50_000 {
			l.max = sourceMax
			l.cc.SetWanted(sourceMax)
		}
	}
	r.run(30 * second)
	up := l.firstAbove(20*second, 30*second, 1_500_000)
	t.Logf("1.5 Mbit/s after %v", up)
	if up < 0 || up > 2*second {
		t.Error("not soon")
	}
}
