package bwe

import (
	"math/rand/v2"
	"testing"
	"time"

	"parley/internal/base/clock"
)

// lossy plays five minutes of a stream of 1.5 Mbit/s whose path loses some of it
// whatever the rate, and returns the share of time in which the rate was bounded.
func lossy(t *testing.T, seed uint64, share, run float64) float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	var l lossControl
	const rate, gap = Rate(1_500_000), 7 * time.Millisecond
	now, bounded, n := clock.Time(time.Second), 0, 0
	bad := false
	for i := range 43_000 {
		now = now.Add(gap)
		if bad {
			bad = r.Float64() >= 1/run
		} else {
			bad = r.Float64() < share/(1-share)/run
		}
		l.add(&Result{Size: 1200, Received: !bad})
		if i%7 == 0 {
			is := l.apply(rate)
			l.update(now, is, 2*rate, Rate(float64(is)*(1-share)), 100*time.Millisecond, false)
			if n++; is < rate*9/10 {
				bounded++
			}
		}
	}
	return float64(bounded) / float64(n)
}

// TestQ8_RunsOfLossesAreNotCongestion: what a path loses by chance bounds the rate
// for a small part of the time, also where losses come in runs.
func TestQ8_RunsOfLossesAreNotCongestion(t *testing.T) {
	for _, c := range []struct{ share, run, most float64 }{{0.05, 1.05, 0.05}, {0.10, 1.1, 0.08}, {0.05, 3, 0.15}} {
		sum := 0.0
		for seed := range uint64(5) {
			sum += lossy(t, seed, c.share, c.run) / 5
		}
		t.Logf("%.0f %% in runs of %.1f: bounded %.1f %% of the time", 100*c.share, c.run, 100*sum)
		if sum > c.most {
			t.Errorf("more than %.0f %%", 100*c.most)
		}
	}
}

// TestLossOfANewStreamIsNotThePaths: what is lost of a stream of which nothing has
// ever arrived does not lower the rate; of any other it does.
func TestLossOfANewStreamIsNotThePaths(t *testing.T) {
	least := func(isNew bool) Rate {
		c, now, least := New(Config{}), clock.Time(time.Second), Rate(defaultStart)
		var flying []Result
		for i := range 400 {
			now = now.Add(5 * time.Millisecond)
			dropped := i >= 200 && i%2 == 1
			p := Packet{Seq: uint16(i), Size: 200, New: isNew && dropped}
			c.OnSent(now, p)
			flying = append(flying, Result{Size: p.Size, Sent: now, New: p.New, Received: !dropped, Timed: !dropped,
				At: time.Duration(now) + 10*time.Millisecond})
			if len(flying) == 20 {
				c.OnFeedback(now.Add(10*time.Millisecond), flying)
				flying, least = flying[:0], min(least, c.Target())
			}
		}
		return least
	}
	if got := least(true); got < defaultStart {
		t.Errorf("%d bit/s by the loss of a new stream", got)
	}
	if got := least(false); got >= defaultStart {
		t.Errorf("%d bit/s whatever is lost", got)
	}
}
