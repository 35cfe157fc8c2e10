package simroom

import (
	"slices"
	"testing"
	"time"

	"parley/internal/simnet"
)

func percentile(d []time.Duration, p int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Clone(d)
	slices.Sort(s)
	return s[min(len(s)-1, len(s)*p/100)]
}

// bottleneck is RFC 8867's path: 50 ms, a queue of 300 ms.
func bottleneck(rate int64) simnet.Config {
	return simnet.Config{Delay: 50 * ms, Rate: rate, QueueTime: 300 * ms}
}

// steps plans rates of a peer's downlink.
func steps(r *Room, p *Peer, list ...step) {
	for _, s := range list {
		r.At(s.at, func() {
			cfg := p.Down.Config()
			cfg.Rate = s.rate
			p.Down.Set(cfg)
		})
	}
}

type step struct {
	at   time.Duration
	rate int64
}

// settled returns how long after from a sample first satisfies want and goes on
// to for a second, -1 if never before to.
func settled(tr *Trace, from, to time.Duration, want func(Sample) bool) time.Duration {
	since := time.Duration(-1)
	for _, s := range tr.During(from, to) {
		switch {
		case !want(s):
			since = -1
		case since < 0:
			since = s.At
		}
		if since >= 0 && s.At-since >= time.Second {
			return since - from
		}
	}
	return -1
}

// shows tells whether an encoding is on the screen with at least so many
// pictures a second.
func shows(layer int) func(Sample) bool { return func(s Sample) bool { return s.Layer >= layer } }

// TestQ1_Steps is RFC 8867, section 5.1 on a receiver's link of 1 Mbit/s times
// 1.0, 2.5, 0.6, 1.0.
func TestQ1_Steps(t *testing.T) {
	r := newRoom(t)
	a := r.Join("a", wire(10*ms), wire(10*ms))
	a.Publish(Media{Speaks: true, Layers: Simulcast})
	b := r.Join("b", wire(50*ms), bottleneck(1_000_000))
	ear, eye := b.Watch(a, Wants{})
	const up, down, again, end = 40 * time.Second, 60 * time.Second, 80 * time.Second, 100 * time.Second
	steps(r, b, step{up, 2_500_000}, step{down, 600_000}, step{again, 1_000_000})
	tr := r.Trace(b, eye)
	var lost, sent [100]uint64
	r.Every(time.Second, func() {
		if i := int(r.Now() / time.Second); i < len(lost) {
			lost[i], sent[i] = b.Down.Stats().Overflowed, b.Down.Stats().Sent
		}
	})
	r.Run(end)
	keepTrace(t, tr)
	near := func(at time.Duration) bool {
		for _, s := range []time.Duration{0, up, down, again} {
			if at >= s && at < s+2*time.Second {
				return true
			}
		}
		return false
	}
	figure(t, "500 kbit/s at 1.0, s after start", settled(tr, 0, up, shows(1)).Seconds(), "<=", 10)
	figure(t, "top at 2.5, s after the step", orNever(settled(tr, up, down, shows(2))), "<=", 10)
	fits := settled(tr, down, again, func(s Sample) bool { return s.Sent <= 600_000 && s.Layer >= 0 })
	figure(t, "down at 0.6, s after the step", orNever(fits), "<=", 1)
	figure(t, "500 kbit/s in full at the second 1.0, s", orNever(settled(tr, again, end, func(s Sample) bool { return s.Layer >= 1 && s.FPS >= 20 })), "<=", 10)
	figure(t, "queue p95, ms", float64(b.Down.QueueP95(func(at time.Duration) bool { return !near(at) }))/1e6, "<=", 150)
	var l, n uint64
	for i := 1; i < len(lost); i++ {
		if !near(time.Duration(i-1) * time.Second) {
			l, n = l+lost[i]-lost[i-1], n+sent[i]-sent[i-1]
		}
	}
	figure(t, "loss, %", 100*float64(l)/float64(max(1, n)), "<=", 1)
	figure(t, "audio loss, %", 100*ear.Ear.Lost(0, 0), "<=", 0.1)
	share, _ := ear.Ear.Concealed(0, 0)
	t.Logf("audio concealed, with the growth of the buffer: %.3f %%", 100*share)
	freezes, longest := eye.Eye.Frozen(0, end)
	t.Logf("switches %v; freezes %d, longest %v", switches(eye), freezes, longest)
}

func orNever(d time.Duration) float64 {
	if d < 0 {
		return 999
	}
	return d.Seconds()
}

func switches(v *View) (out []Switch) {
	for _, s := range v.Eye.Switches {
		s.At = s.At - start
		out = append(out, s)
	}
	return out
}

// TestQ3_Recovery: 2 Mbit/s, 250 kbit/s for half a minute, and back.
func TestQ3_Recovery(t *testing.T) {
	r := newRoom(t)
	a := r.Join("a", wire(10*ms), wire(10*ms))
	a.Publish(Media{Speaks: true, Layers: Simulcast})
	b := r.Join("b", wire(50*ms), bottleneck(2_000_000))
	_, eye := b.Watch(a, Wants{})
	const squeeze, lift, end = 30 * time.Second, 60 * time.Second, 90 * time.Second
	steps(r, b, step{squeeze, 250_000}, step{lift, 2_000_000})
	tr := r.Trace(b, eye)
	r.Run(end)
	keepTrace(t, tr)
	figure(t, "estimate >= 1.5 Mbit/s, s after the lift", orNever(settled(tr, lift, end, func(s Sample) bool { return s.Estimate >= 1_500_000 })), "<=", 10)
	back := 0
	for _, s := range eye.Eye.Switches {
		if s.At >= start.Add(lift) && s.To < s.From {
			back++
		}
	}
	figure(t, "switches back after the lift", float64(back), "<=", 1)
	figure(t, "top again, s after the lift", orNever(settled(tr, lift, end, shows(2))), "<=", 10)
	freezes, longest := eye.Eye.Frozen(0, end)
	t.Logf("switches %v; freezes %d, longest %v", switches(eye), freezes, longest)
}

// TestSFM8_Downlink: a downlink falls to 300 kbit/s.
func TestSFM8_Downlink(t *testing.T) {
	r := newRoom(t)
	a := r.Join("a", wire(10*ms), wire(10*ms))
	a.Publish(Media{Speaks: true, Layers: Simulcast})
	b := r.Join("b", wire(30*ms), wire(30*ms))
	ear, eye := b.Watch(a, Wants{})
	c := r.Join("c", wire(30*ms), wire(30*ms))
	c.Watch(a, Wants{})
	const squeeze, end = 20 * time.Second, 60 * time.Second
	r.At(squeeze, func() {
		cfg := b.Down.Config()
		cfg.Rate, cfg.QueueTime = 300_000, 300*ms
		b.Down.Set(cfg)
	})
	tr := r.Trace(b, eye)
	r.Run(end)
	keepTrace(t, tr)
	drop := settled(tr, squeeze, end, func(s Sample) bool { return s.Sent < 330_000 && s.Layer == 0 })
	figure(t, "layers drop, s", orNever(drop), "<=", 5)
	after := 0
	for _, s := range eye.Eye.Switches {
		if s.At > start.Add(squeeze+5*time.Second) {
			after++
		}
	}
	figure(t, "switches in the 30 s after", float64(after), "<=", 1)
	over := 0
	for _, s := range tr.During(squeeze+5*time.Second, end) {
		over += s.Overflowed
	}
	figure(t, "packets dropped by the queue after 5 s", float64(over), "<=", 20)
	for _, v := range c.Views {
		untouched(t, v)
	}
	if n := len(c.Views[1].Eye.Switches); n > 1 {
		t.Errorf("the other leg was switched: %v", c.Views[1].Eye.Switches)
	}
	figure(t, "encodings that the publisher took off", float64(a.Pub.Sheds), "<=", 0)
	share, _ := ear.Ear.Concealed(uint32((squeeze+5*time.Second)/audioEvery), 0)
	n, longest := eye.Eye.Frozen(squeeze+5*time.Second, end)
	t.Logf("afterwards: audio concealed %.4f, freezes %d, longest %v, pictures %d; switches %v", share, n, longest,
		len(eye.Eye.Since(squeeze+5*time.Second)), switches(eye))
}
