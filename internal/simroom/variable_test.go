package simroom

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestQ1_VariableCapacity: the receiver's link wanders between 0.2 and 4 Mbit/s,
// each two seconds by a third up or down; the same settings as everywhere.
func TestQ1_VariableCapacity(t *testing.T) {
	r := newRoom(t)
	a := r.Join("a", wire(10*ms), wire(10*ms))
	a.Publish(Media{Speaks: true, Layers: Simulcast})
	b := r.Join("b", wire(50*ms), bottleneck(1_500_000))
	ear, eye := b.Watch(a, Wants{})
	tr := r.Trace(b, eye)
	took := length(120*time.Second, 300*time.Second)
	rng := rand.New(rand.NewPCG(r.Seed, 99))
	const least, most = 200e3, 4e6
	rate := 1.5e6
	for at := 2 * time.Second; at < took; at += 2 * time.Second {
		rate = max(least, min(most, rate*math.Exp(0.35*rng.NormFloat64())))
		steps(r, b, step{at, int64(rate)})
	}
	r.Run(took)
	keepTrace(t, tr)
	// What could be used: the best sum of sound and one encoding that fits.
	used, could := 0.0, 0.0
	for _, s := range tr.During(10*time.Second, took) {
		used += min(s.Sent, s.Capacity)
		could += min(s.Capacity, (Simulcast[2]+50)*1000)
	}
	n, longest := eye.Eye.Frozen(10*time.Second, took)
	st := b.Down.Stats()
	share, _ := ear.Ear.Concealed(0, 0)
	t.Logf("freezes %d, longest %v; pictures %d; switches %d; overflow %d of %d; concealed %.3f %%", n, longest, len(eye.Eye.Pictures), len(eye.Eye.Switches),
		st.Overflowed, st.Sent, 100*share)
	figure(t, "use of the capacity, %", 100*used/could, ">=", 50)
	figure(t, "queue p95, ms", float64(b.Down.QueueP95(func(at time.Duration) bool { return at > 10*time.Second }))/1e6, "<=", 150)
	figure(t, "loss, %", 100*float64(st.Overflowed)/float64(st.Sent), "<=", 1)
	figure(t, "audio loss, %", 100*ear.Ear.Lost(0, 0), "<=", 0.5)
	figure(t, "longest freeze, s", longest.Seconds(), "<=", 3)
}
