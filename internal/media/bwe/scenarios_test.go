package bwe_test

import (
	"testing"
	"time"

	"parley/internal/media/bwe"
	"parley/internal/simnet"
)

// settings are the same for all scenarios, and are the defaults.
var settings = bwe.Config{}

const sourceMax = 2_500_000

// TestQ2_GoogleSteps: the three steps of libwebrtc's own pass conditions.
func TestQ2_GoogleSteps(t *testing.T) {
	r := newRig(t, path(500_000, 100*time.Millisecond),
		simnet.Step{At: at(25 * second), Config: path(800_000, 100*time.Millisecond)},
		simnet.Step{At: at(45 * second), Config: path(100_000, 200*time.Millisecond)})
	l := r.addLeg(settings, sourceMax)
	r.run(95 * second)
	l.trace("q2-google-steps", "Q2: 500 kbit/s 100 ms, 800 kbit/s 100 ms, 100 kbit/s 200 ms")
	l.band(25*second, 450, 100)
	l.band(45*second, 750, 150)
	l.band(95*second, 90, 25)
}

// phases runs a schedule of capacities with the path of RFC 8867.
func phases(t *testing.T, name string, cfg simnet.Config, rates []int64, spans []time.Duration) *leg {
	t.Helper()
	var steps []simnet.Step
	var end time.Duration
	for i, rate := range rates {
		c := cfg
		c.Rate = rate
		if i > 0 {
			steps = append(steps, simnet.Step{At: at(end), Config: c})
		}
		end += spans[i]
	}
	cfg.Rate = rates[0]
	r := newRig(t, cfg, steps...)
	l := r.addLeg(settings, sourceMax)
	r.run(end)
	l.trace(name, t.Name())
	return l
}

// TestQ2_RFC8867VaryingCapacity: sections 5.1 and 5.2; the target ends each
// phase within the same share of capacity as Google's bands allow.
func TestQ2_RFC8867VaryingCapacity(t *testing.T) {
	for _, c := range []struct {
		name  string
		rates []int64
		spans []time.Duration
	}{
		{"5.1", []int64{1_000_000, 2_500_000, 600_000, 1_000_000}, []time.Duration{40 * second, 20 * second, 20 * second, 20 * second}},
		{"5.2", []int64{2_000_000, 1_000_000, 1_750_000, 500_000, 1_000_000},
			[]time.Duration{25 * second, 25 * second, 25 * second, 25 * second, 25 * second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := phases(t, "q2-rfc8867-"+c.name, path(1, 50*time.Millisecond), c.rates, c.spans)
			var end time.Duration
			var changes []time.Duration
			for i, rate := range c.rates {
				end += c.spans[i]
				changes = append(changes, end)
				l.band(end, 0.9*float64(rate)/kbit, 0.2*float64(rate)/kbit)
			}
			p95 := l.waitP95(func(at time.Duration) bool {
				for _, ch := range changes {
					if at >= ch && at < ch+2*second {
						return false
					}
				}
				return true
			})
			t.Logf("queue p95 outside 2 s after a step: %v", p95)
			if p95 > 150*time.Millisecond {
				t.Errorf("queue p95 %v", p95)
			}
		})
	}
}

// squeeze is Q3's path: 2 Mbit/s, 250 kbit/s for 30 s, 2 Mbit/s.
func squeeze(t *testing.T) *rig {
	const d = 50 * time.Millisecond
	return newRig(t, path(2_000_000, d), simnet.Step{At: at(30 * second), Config: path(250_000, d)},
		simnet.Step{At: at(60 * second), Config: path(2_000_000, d)})
}

// TestQ3_RecoversWithinTenSeconds with an encoder that follows the target.
func TestQ3_RecoversWithinTenSeconds(t *testing.T) {
	r := squeeze(t)
	l := r.addLeg(settings, sourceMax)
	r.run(80 * second)
	l.trace("q3-squeeze", "Q3: 2 Mbit/s, 250 kbit/s for 30 s, 2 Mbit/s")
	down := time.Duration(-1)
	l.during(30*second, 60*second, func(s sample) {
		if down < 0 && s.stats.Target <= 250_000 {
			down = s.at - 30*second
		}
	})
	up := l.firstAbove(60*second, 80*second, 1_500_000)
	_, held, _ := l.target(70*second, 80*second)
	t.Logf("down after %v, at 1.5 Mbit/s after %v, mean of the ten seconds after: %.0f kbit/s", down, up, held)
	if down < 0 || down > 2*second || up < 0 || up > 10*second || held < 1500 {
		t.Error("too slow")
	}
}

// TestQ3_LayersDoNotFlap with simulcast layers, whose sender is limited by
// itself most of the time and learns of capacity by probes only.
func TestQ3_LayersDoNotFlap(t *testing.T) {
	r := squeeze(t)
	l := r.addLeg(settings, sourceMax)
	l.layers = []bwe.Rate{150_000, 500_000, 1_500_000}
	r.run(80 * second)
	l.trace("q3-squeeze-layers", "Q3 with layers of 150, 500 and 1500 kbit/s")
	t.Logf("switches %v", l.switches)
	var down, up time.Duration
	back := 0
	for _, c := range l.switches {
		switch {
		case c.at > 30*second && c.at < 60*second && c.to <= 0 && down == 0:
			down = c.at - 30*second
		case c.at > 60*second && c.to == 2 && up == 0:
			up = c.at - 60*second
		}
		if c.at > 60*second && c.to < c.from {
			back++
		}
	}
	t.Logf("lowest layer after %v, highest after %v, %d switches back", down, up, back)
	if down == 0 || down > 2*second || up == 0 || up > 10*second || back > 1 {
		t.Error("too slow or flapping")
	}
}

// TestQ10_OneTCPFlow: neither starved nor starving.
func TestQ10_OneTCPFlow(t *testing.T) {
	for _, c := range []struct {
		name  string
		cubic bool
	}{{"reno", false}, {"cubic", true}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, path(1_000_000, 50*time.Millisecond))
			l := r.addLeg(settings, sourceMax)
			r.addTCP(10*second, c.cubic)
			r.run(120 * second)
			l.trace("q10-tcp-"+c.name, "Q10: one TCP download ("+c.name+") on 1 Mbit/s from 10 s")
			lo, mean, hi := l.target(40*second, 120*second)
			var sent, tcp, n float64
			l.during(40*second, 120*second, func(s sample) { sent += s.sent / kbit; tcp += s.tcp / kbit; n++ })
			t.Logf("target %.0f to %.0f, mean %.0f kbit/s; sent %.0f, TCP %.0f", lo, hi, mean, sent/n, tcp/n)
			if sent/n < 250 || sent/n > 750 {
				t.Errorf("share %.0f kbit/s", sent/n)
			}
		})
	}
}

// TestQ6_EstimateUnderRandomLoss: 5, 10 and 20 % of loss that no lower rate
// would mend, on feedback as well.
func TestQ6_EstimateUnderRandomLoss(t *testing.T) {
	for name, loss := range map[string]float64{"5": 0.05, "10": 0.10, "20": 0.20} {
		t.Run(name, func(t *testing.T) {
			cfg := path(2_000_000, 50*time.Millisecond)
			cfg.Loss = loss
			r := newRig(t, cfg)
			l := r.addLeg(settings, sourceMax)
			l.mute = func(time.Duration) bool { return r.rng.Float64() < loss }
			r.run(130 * second)
			l.trace("q6-loss-"+name, "Random loss of "+name+" % both ways on 2 Mbit/s")
			lo, mean, hi := l.target(20*second, 130*second)
			_, end, _ := l.target(119*second, 121*second)
			t.Logf("%s %%: at 120 s %.0f kbit/s; from 20 s %.0f to %.0f, mean %.0f; own loss %.3f", name, end, lo, hi, mean,
				l.cc.Stats().PathLoss)
			if end < 300 || lo < 150 || mean < 800 {
				t.Error("collapsed")
			}
		})
	}
}

// TestBurstLoss: 5 % in bursts of three.
func TestBurstLoss(t *testing.T) {
	cfg := path(2_000_000, 50*time.Millisecond)
	cfg.Burst = &simnet.GilbertElliott{ToBad: 0.05 / 0.95 / 3, ToGood: 1.0 / 3, LossBad: 1}
	r := newRig(t, cfg)
	l := r.addLeg(settings, sourceMax)
	r.run(120 * second)
	l.trace("burst-loss", "5 % loss in bursts of three on 2 Mbit/s")
	lo, mean, hi := l.target(20*second, 120*second)
	t.Logf("%.0f to %.0f, mean %.0f kbit/s", lo, hi, mean)
	if lo < 300 || mean < 1000 {
		t.Error("collapsed")
	}
}

// TestJitterIsNoOveruse: 30 ms of jitter, reordering and duplicates on a
// path with room for all that is sent.
func TestJitterIsNoOveruse(t *testing.T) {
	cfg := path(10_000_000, 50*time.Millisecond)
	cfg.Jitter, cfg.Reorder, cfg.ReorderBy, cfg.Duplicate = 30*time.Millisecond, 0.02, 20*time.Millisecond, 0.01
	r := newRig(t, cfg)
	l := r.addLeg(settings, sourceMax)
	r.run(120 * second)
	l.trace("jitter", "Jitter of 30 ms, 2 % reordered, 1 % duplicated on 10 Mbit/s")
	lo, mean, hi := l.target(20*second, 120*second)
	var cuts uint64
	l.during(20*second, 120*second, func(s sample) { cuts = max(cuts, s.stats.Cuts) })
	t.Logf("%.0f to %.0f, mean %.0f kbit/s, %d cuts", lo, hi, mean, cuts)
	if mean < 2000 || cuts > 2 {
		t.Error("false over-use")
	}
}
