package bwe_test

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"parley/internal/media/bwe"
	"parley/internal/simnet"
)

// TestQ10_TCPComesAndGoes: TCP from the start on and from later on; when it
// ends, the rate returns and the queue empties.
func TestQ10_TCPComesAndGoes(t *testing.T) {
	for _, c := range []struct {
		name  string
		from  time.Duration
		queue time.Duration
		cubic bool
		least float64
	}{{"first", time.Millisecond, 300 * time.Millisecond, true, 250}, {"later", 20 * second, 300 * time.Millisecond, true, 250},
		{"shallow", 20 * second, 100 * time.Millisecond, false, 200}, {"deep", 20 * second, second, false, 100}} {
		t.Run(c.name, func(t *testing.T) {
			cfg := path(1_000_000, 50*time.Millisecond)
			cfg.QueueTime = c.queue
			r := newRig(t, cfg)
			l := r.addLeg(settings, sourceMax)
			r.addTCP(c.from, c.cubic)
			r.stopTCP = at(100 * second)
			r.run(130 * second)
			l.trace("q10-tcp-"+c.name+"-then-none", "TCP ("+c.name+") until 100 s")
			var sent, n float64
			l.during(50*second, 100*second, func(s sample) { sent += s.sent / kbit; n++ })
			_, after, _ := l.target(115*second, 130*second)
			p95 := l.waitP95(func(at time.Duration) bool { return at > 110*second })
			t.Logf("share %.0f kbit/s; afterwards %.0f kbit/s, queue p95 %v", sent/n, after, p95)
			if sent/n < c.least || sent/n > 750 || after < 700 || p95 > 150*time.Millisecond {
				t.Error("starved, greedy, or stuck in the contest")
			}
		})
	}
}

// TestTwoLegsShare: two of ours, the second 20 s later.
func TestTwoLegsShare(t *testing.T) {
	r := newRig(t, path(2_000_000, 50*time.Millisecond))
	a := r.addLeg(settings, sourceMax)
	b := r.addLeg(settings, sourceMax)
	b.idle = 20 * second
	r.run(140 * second)
	a.trace("two-legs-first", "Two legs on 2 Mbit/s: the first")
	b.trace("two-legs-second", "Two legs on 2 Mbit/s: the second")
	_, ma, _ := a.target(80*second, 140*second)
	_, mb, _ := b.target(80*second, 140*second)
	p95 := a.waitP95(func(at time.Duration) bool { return at > 80*second })
	t.Logf("%.0f and %.0f kbit/s, queue p95 %v", ma, mb, p95)
	if ma+mb < 1400 || min(ma, mb) < 350 || p95 > 250*time.Millisecond {
		t.Error("unfair, idle or slow")
	}
}

// TestPolicer: a path that drops what is above 500 kbit/s and queues nothing,
// which only loss tells.
func TestPolicer(t *testing.T) {
	cfg := path(500_000, 50*time.Millisecond)
	cfg.Queue, cfg.Police = 8000, true // a bucket of some packets
	r := newRig(t, cfg)
	l := r.addLeg(settings, sourceMax)
	r.run(60 * second)
	l.trace("policer", "A bucket of 8000 bytes at 500 kbit/s")
	lo, mean, hi := l.target(20*second, 60*second)
	first, last := l.at(20*second), l.at(59*second)
	loss := float64(last.overflowed-first.overflowed) / float64(len(l.waits)*40/60)
	t.Logf("%.0f to %.0f, mean %.0f kbit/s, loss %.3f", lo, hi, mean, loss)
	if mean < 300 || mean > 600 || loss > 0.1 {
		t.Error("not found")
	}
}

// TestOutage: nothing passes for 10 s.
func TestOutage(t *testing.T) {
	cfg := path(2_000_000, 50*time.Millisecond)
	down := cfg
	down.Down = true
	r := newRig(t, cfg, simnet.Step{At: at(30 * second), Config: down}, simnet.Step{At: at(40 * second), Config: cfg})
	l := r.addLeg(settings, sourceMax)
	l.mute = func(at time.Duration) bool { return at > 30*second && at < 40*second }
	r.run(60 * second)
	l.trace("outage", "Nothing passes from 30 to 40 s")
	low, _, _ := l.target(38*second, 40*second)
	up := l.firstAbove(40*second, 60*second, 1_000_000)
	t.Logf("during %.0f kbit/s, 1 Mbit/s again after %v", low, up)
	if low > 150 || up < 0 || up > 5*second {
		t.Error("did not yield, or did not come back")
	}
}

// TestREMBIsObeyed: 250 kbit/s within a second, and back in ten.
func TestREMBIsObeyed(t *testing.T) {
	r := newRig(t, path(2_000_000, 50*time.Millisecond))
	l := r.addLeg(settings, sourceMax)
	r.run(30 * second)
	l.cc.OnREMB(at(30*second), 250_000)
	if got := l.cc.Target(); got > 250_000 {
		t.Errorf("target %d", got)
	}
	l.cc.OnREMB(at(31*second), 0)
	if got := l.cc.Target(); got <= 0 {
		t.Errorf("target %d after REMB 0", got)
	}
	l.cc.OnREMB(at(32*second), math.MaxUint64)
	if got := l.cc.Target(); got < 1_500_000 {
		t.Errorf("target %d after it was lifted", got)
	}
}

// TestQ2_VariableTrace: capacity of a radio link, a random walk in half-second
// steps between 300 kbit/s and 3 Mbit/s with jitter and a little loss.
func TestQ2_VariableTrace(t *testing.T) {
	cfg := path(1_500_000, 40*time.Millisecond)
	cfg.Jitter, cfg.Loss = 10*time.Millisecond, 0.005
	rng := rand.New(rand.NewPCG(*seedFlag, 5))
	var steps []simnet.Step
	rate := 1_500_000.0
	for i := 1; i < 240; i++ {
		rate = min(3_000_000, max(300_000, rate*math.Exp(0.15*rng.NormFloat64())))
		c := cfg
		c.Rate = int64(rate)
		steps = append(steps, simnet.Step{At: at(time.Duration(i) * second / 2), Config: c})
	}
	r := newRig(t, cfg, steps...)
	l := r.addLeg(settings, sourceMax)
	r.run(120 * second)
	l.trace("q2-variable", "Capacity as a random walk, 10 ms jitter, 0.5 % loss")
	var used, could float64
	l.during(10*second, 120*second, func(s sample) {
		used += s.sent
		could += math.Min(float64(s.capacity), sourceMax)
	})
	p95 := l.waitP95(func(at time.Duration) bool { return at > 10*second })
	st := l.fwd.Stats()
	t.Logf("used %.0f %% of capacity, queue p95 %v, dropped %d of %d", 100*used/could, p95, st.Overflowed, st.Sent)
	if used/could < 0.5 || p95 > 300*time.Millisecond || float64(st.Overflowed) > 0.02*float64(st.Sent) {
		t.Error("too little, or too late")
	}
}

// TestQ2_WithJitter: RFC 8867's phases with the 30 ms of jitter it allows.
func TestQ2_WithJitter(t *testing.T) {
	cfg := path(1, 50*time.Millisecond)
	cfg.Jitter = 30 * time.Millisecond
	rates := []int64{1_000_000, 2_500_000, 600_000, 1_000_000}
	l := phases(t, "q2-jitter", cfg, rates, []time.Duration{40 * second, 20 * second, 20 * second, 20 * second})
	var end time.Duration
	for i, d := range []time.Duration{40 * second, 20 * second, 20 * second, 20 * second} {
		end += d
		l.band(end, 0.85*float64(rates[i])/kbit, 0.3*float64(rates[i])/kbit)
	}
}

// TestPlainPaths: ample, long, very slow.
func TestPlainPaths(t *testing.T) {
	for _, c := range []struct {
		name  string
		rate  int64
		delay time.Duration
		max   bwe.Rate
		want  float64 // kbit/s after 20 s at least
	}{
		{"2 Mbit/s 50 ms", 2_000_000, 50 * time.Millisecond, sourceMax, 1500},
		{"50 Mbit/s", 50_000_000, 10 * time.Millisecond, 20_000_000, 12_000},
		{"5 Mbit/s 300 ms", 5_000_000, 300 * time.Millisecond, sourceMax, 1800},
		{"100 kbit/s", 100_000, 100 * time.Millisecond, sourceMax, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, path(c.rate, c.delay))
			l := r.addLeg(settings, c.max)
			r.run(30 * second)
			l.trace("plain-"+strconv.Itoa(int(c.rate/1000)), c.name)
			ten := l.at(10 * second).stats.Target
			_, mean, _ := l.target(20*second, 30*second)
			p95 := l.waitP95(func(at time.Duration) bool { return at > 10*second })
			t.Logf("after 10 s %d, 20 to 30 s mean %.0f kbit/s, queue p95 %v", ten/1000, mean, p95)
			if mean < c.want || p95 > 250*time.Millisecond {
				t.Error("too little or too slow")
			}
		})
	}
}

// TestLayersOnRFC8867Steps: RFC 8867's steps with simulcast layers: the estimator's
// share in Q1, with a simple choice of layers.
func TestLayersOnRFC8867Steps(t *testing.T) {
	cfg := path(1_000_000, 50*time.Millisecond)
	var steps []simnet.Step
	for i, rate := range []int64{2_500_000, 600_000, 1_000_000} {
		c := cfg
		c.Rate = rate
		steps = append(steps, simnet.Step{At: at(time.Duration(40+20*i) * second), Config: c})
	}
	r := newRig(t, cfg, steps...)
	l := r.addLeg(settings, 1_650_000)
	l.layers = []bwe.Rate{150_000, 500_000, 1_500_000}
	r.run(100 * second)
	l.trace("layers", "Layers of 150, 500, 1500 kbit/s on 1, 2.5, 0.6, 1 Mbit/s")
	t.Logf("switches %v", l.switches)
	calm := func(at time.Duration) bool {
		return !(at >= 40*second && at < 42*second || at >= 60*second && at < 62*second || at >= 80*second && at < 82*second || at < 2*second)
	}
	var up, down time.Duration
	flaps := 0
	for _, c := range l.switches {
		switch {
		case c.at > 40*second && c.at < 60*second && c.to == 2 && up == 0:
			up = c.at - 40*second
		case c.at > 60*second && c.at < 80*second && c.to < 2 && down == 0:
			down = c.at - 60*second
		case c.to < c.from:
			flaps++
		}
	}
	t.Logf("up after %v, down after %v, %d other falls, queue p95 %v", up, down, flaps, l.waitP95(calm))
	if up == 0 || up > 10*second || down == 0 || down > second || flaps > 3 || l.waitP95(calm) > 150*time.Millisecond {
		t.Error("too slow, or it flaps")
	}
}

// TestKeyFramesAreNoOveruse: a frame of six times the others each three seconds,
// paced, on a path with a third to spare.
func TestKeyFramesAreNoOveruse(t *testing.T) {
	r := newRig(t, path(2_000_000, 50*time.Millisecond))
	l := r.addLeg(settings, 1_500_000)
	l.keyEvery = 90
	r.run(90 * second)
	l.trace("key-frames", "Key frames each 3 s, 1.5 of 2 Mbit/s")
	lo, mean, _ := l.target(20*second, 90*second)
	t.Logf("least %.0f, mean %.0f kbit/s, %d cuts", lo, mean, l.cc.Stats().Cuts)
	if lo < 1000 || mean < 1350 {
		t.Error("false over-use")
	}
}

// TestSlowFeedback: the steps of Q2 and the squeeze of Q3 with feedback each
// 250 ms, which is the least Chromium's receiver sends.
func TestSlowFeedback(t *testing.T) {
	r := squeeze(t)
	l := r.addLeg(settings, sourceMax)
	l.every = 250 * time.Millisecond
	r.run(80 * second)
	l.trace("slow-feedback", "Q3 with feedback each 250 ms")
	_, before, _ := l.target(15*second, 30*second)
	_, in, _ := l.target(40*second, 60*second)
	up := l.firstAbove(60*second, 80*second, 1_500_000)
	p95 := l.waitP95(func(at time.Duration) bool { return at > 5*second && at < 30*second || at > 35*second })
	t.Logf("%.0f, then %.0f kbit/s, 1.5 Mbit/s after %v, queue p95 %v", before, in, up, p95)
	if before < 1300 || in < 150 || in > 300 || up < 0 || up > 10*second || p95 > 150*time.Millisecond {
		t.Error("too slow")
	}
}

// TestStepsOfAMinute: 10, 1, 10 Mbit/s and 2.5, 0.5, 2.5, each for 60 s: the share of
// capacity, as far as the source can use it.
func TestStepsOfAMinute(t *testing.T) {
	for name, rates := range map[string][]int64{"10-1-10": {10_000_000, 1_000_000, 10_000_000}, "2.5-0.5-2.5": {2_500_000, 500_000, 2_500_000}} {
		t.Run(name, func(t *testing.T) {
			l := phases(t, "steps-"+name, path(1, 25*time.Millisecond), rates, []time.Duration{60 * second, 60 * second, 60 * second})
			var sent, could float64
			l.during(0, 180*second, func(s sample) {
				sent += s.sent
				could += min(float64(s.capacity), sourceMax)
			})
			t.Logf("used %.0f %%", 100*sent/could)
			if sent/could < 0.8 {
				t.Error("too little")
			}
		})
	}
}
