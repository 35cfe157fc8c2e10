package simnet

import (
	"testing"
	"time"

	"parley/internal/base/clock"
)

// download runs flows over one bottleneck for a minute and returns what each
// received in bit/s, from the tenth second on.
func download(t *testing.T, cfg Config, cubic ...bool) []float64 {
	t.Helper()
	const seed = 7
	t.Logf("seed %d", seed)
	n := New(seed)
	link := n.Link(0, cfg)
	flows := make([]*TCP, len(cubic))
	for i, c := range cubic {
		data, acks := n.Share(link, Endpoint(2*i)), n.Link(Endpoint(2*i+1), Config{Delay: cfg.Delay})
		flows[i] = NewTCP(data, acks, c)
	}
	base := make([]int64, len(flows))
	n.Run(start, start.Add(time.Minute), func(now clock.Time, to Endpoint, p []byte) {
		f := flows[to/2]
		if to%2 == 0 {
			f.OnData(now, p)
			if now.Sub(start) < 10*time.Second {
				base[to/2] = f.Received()
			}
			return
		}
		f.OnAck(now, p)
	}, func(now clock.Time) (next clock.Time) {
		for _, f := range flows {
			next = clock.Earliest(next, f.Tick(now))
		}
		return next
	})
	rates := make([]float64, len(flows))
	for i, f := range flows {
		rates[i] = float64(f.Received()-base[i]) * 8 / 50
	}
	t.Logf("%.0f bit/s", rates)
	return rates
}

var bottleneck = Config{Rate: 1e6, Delay: 50 * time.Millisecond, QueueTime: 300 * time.Millisecond, Overhead: 28}

func TestTCPFillsTheLink(t *testing.T) {
	for _, cubic := range []bool{false, true} {
		if r := download(t, bottleneck, cubic)[0]; r < 0.88e6 || r > 1e6 {
			t.Errorf("cubic %v: %.0f bit/s of 1 Mbit/s", cubic, r)
		}
	}
}

func TestTCPFlowsShare(t *testing.T) {
	for _, cubic := range []bool{false, true} {
		r := download(t, bottleneck, cubic, cubic)
		if r[0]+r[1] < 0.88e6 || r[0] < 0.2e6 || r[1] < 0.2e6 {
			t.Errorf("cubic %v: %.0f", cubic, r)
		}
	}
}

func TestTCPBacksOffFromLoss(t *testing.T) {
	cfg := bottleneck
	cfg.Rate, cfg.Loss = 10e6, 0.02
	// 1.22 MSS / (RTT sqrt p), RFC 5348's simple form: about 1 Mbit/s.
	if r := download(t, cfg, false)[0]; r < 0.4e6 || r > 2.5e6 {
		t.Errorf("%.0f bit/s", r)
	}
}

// TestQueueTimeFollowsTheRate: what waits when the rate falls leaves at the new rate.
func TestQueueTimeFollowsTheRate(t *testing.T) {
	m := NewModel(1, 1, Config{Rate: 1e6, QueueTime: 300 * time.Millisecond})
	for range 20 {
		m.Fate(start, 1250) // 10 ms each
	}
	if w := m.Waiting(start); w != 200*time.Millisecond {
		t.Fatalf("waiting %v", w)
	}
	cfg := m.Config()
	cfg.Rate = 5e5
	m.Set(cfg)
	if _, n := m.Fate(start, 1250); n != 0 { // 400 ms wait: more than may
		t.Error("queue longer than its time")
	}
	if w := m.Waiting(start); w != 400*time.Millisecond {
		t.Errorf("waiting %v", w)
	}
}

// TestPoliceDelaysNothing: twice the rate through a bucket loses half at once.
func TestPoliceDelaysNothing(t *testing.T) {
	m := NewModel(1, 1, Config{Rate: 1e6, Queue: 5000, Police: true})
	now, passed := start, 0
	for range 2000 {
		if at, n := m.Fate(now, 1250); n > 0 {
			passed++
			if at[0] != now {
				t.Fatalf("delayed by %v", at[0].Sub(now))
			}
		}
		now = now.Add(5 * time.Millisecond)
	}
	if passed < 990 || passed > 1010 {
		t.Errorf("%d of 2000 passed", passed)
	}
}
