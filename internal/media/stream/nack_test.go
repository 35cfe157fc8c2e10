package stream

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/simnet"
)

func TestNackerTiming(t *testing.T) {
	n := Nacker{Enabled: true}
	n.miss(start, 70000, 70002)
	if got := n.Collect(start.Add(time.Millisecond/2), 50*time.Millisecond, nil); len(got) != 0 {
		t.Fatalf("asked within the reorder time: %v", got)
	}
	n.got(start.Add(time.Millisecond), 70001, itself)
	tries, asked := 0, clock.Time(0)
	for now := start; now < start.Add(3*time.Second); now = now.Add(time.Millisecond) {
		if got := n.Collect(now, 50*time.Millisecond, nil); len(got) > 0 {
			if len(got) != 1 || got[0] != uint16(70000%65536) {
				t.Fatalf("%v", got)
			}
			if d := now.Sub(asked); asked != 0 && (d < 50*time.Millisecond || d > 60*time.Millisecond) {
				t.Fatalf("again after %v", d)
			}
			tries++
			asked = now
		}
	}
	if tries != maxTries || n.Due() != 0 {
		t.Fatalf("%d tries, due %d", tries, n.Due())
	}
	n.miss(start, 70002, 70003)
	for now := start; now < start.Add(5*time.Second); now = now.Add(time.Millisecond) {
		if got := n.Collect(now, 500*time.Millisecond, nil); len(got) > 0 && now.Sub(start) > giveUp {
			t.Fatalf("asked for what nobody plays any more, after %v", now.Sub(start))
		}
	}
}

func TestNackerBounds(t *testing.T) {
	n := Nacker{Enabled: true}
	for i := range int64(300) {
		n.miss(start, 70000+i, 70001+i)
	}
	if !n.Overflow || len(n.list) > maxMissing {
		t.Fatal("unbounded")
	}
	n = Nacker{Enabled: true}
	if n.miss(start, 70000, 72000); !n.Overflow || len(n.list) != 0 {
		t.Fatal("a hole that a keyframe fills")
	}
	m := Nacker{Enabled: true}
	m.miss(start, 70000, 70200)
	now, total := start.Add(reorderMin), 0
	for range 4 {
		got := m.Collect(now, time.Second, nil)
		if len(got) > maxPerAsk || !slices.IsSorted(got) {
			t.Fatalf("%d in one", len(got))
		}
		total += len(got)
		now++
	}
	if total != 200 {
		t.Fatalf("%d asked", total)
	}
}

// TestNackerLearnsTheRoundTrip: from first answers, whatever it was told; what
// comes by redundancy is no answer.
func TestNackerLearnsTheRoundTrip(t *testing.T) {
	n := Nacker{Enabled: true}
	now := start
	for i := range int64(50) {
		n.miss(now, 70000+i, 70001+i)
		now = now.Add(reorderMin)
		n.Collect(now, 0, nil)
		if i%2 == 0 {
			n.got(now.Add(time.Millisecond), 70000+i, restored)
			continue
		}
		for range 3 { // far beyond what is assumed: it is asked for twice
			now = now.Add(100 * time.Millisecond)
			n.Collect(now, 0, nil)
		}
		n.got(now, 70000+i, resent)
	}
	if d := n.rtt; d < 290*time.Millisecond || d > 310*time.Millisecond {
		t.Fatalf("%v", d)
	}
	if d := n.retry(0); d < n.rtt || d > n.rtt*5/4 {
		t.Fatalf("again after %v", d)
	}
}

// wire is one NACKed stream over a path of simnet, both directions of it bad.
type wire struct {
	rtt        time.Duration
	up, down   simnet.Config
	sent, lost int
	asked      map[uint16]int  // requests by number
	within     map[uint16]bool // repaired within 400 ms of when it was due
	took       []time.Duration // of the repairs
	again      time.Duration   // shortest time between two requests for one number
	dups       int             // packets that were taken twice
	overflows  int
}

func (w *wire) run(t *testing.T, seed uint64, length time.Duration) {
	t.Logf("seed %d", seed)
	net, back := simnet.NewModel(seed, 1, w.up), simnet.NewModel(seed, 2, w.down)
	r := Receiver{Clock: 90000}
	r.Nack.Enabled = true
	type event struct {
		at     clock.Time
		seq    uint16
		rtx    bool
		nack   []uint16
		number int
	}
	var queue []event
	n := 0
	push := func(e event) {
		n++
		e.number = n
		i, _ := slices.BinarySearchFunc(queue, e, func(a, b event) int {
			if a.at != b.at {
				return int(a.at - b.at)
			}
			return a.number - b.number
		})
		queue = slices.Insert(queue, i, e)
	}
	w.asked, w.within, w.again = map[uint16]int{}, map[uint16]bool{}, time.Hour
	due, repaired, lastAsk, taken := map[uint16]clock.Time{}, map[uint16]bool{}, map[uint16]clock.Time{}, map[int64]bool{}
	resent := map[uint16]clock.Time{}
	now, seq, next := start, uint16(0), start
	for end := start.Add(length); now < end; {
		switch {
		case len(queue) > 0 && queue[0].at <= next && (r.Nack.Due() == 0 || queue[0].at <= r.Nack.Due()):
			e := queue[0]
			queue = queue[1:]
			now = e.at
			if e.nack != nil {
				for _, s := range e.nack {
					if at, ok := resent[s]; ok && now.Sub(at) < w.rtt*7/8 {
						continue
					}
					resent[s] = now
					if at, k := net.Fate(now, 1200); k > 0 {
						push(event{at: at[0], seq: s, rtx: true})
					}
				}
				continue
			}
			ext, v := r.Packet(now, e.seq, uint32(e.seq/8)*3000, e.rtx)
			if v == Fresh || v == Late {
				if taken[ext] {
					w.dups++
				}
				taken[ext] = true
				if d, lost := due[e.seq]; lost && e.rtx {
					repaired[e.seq] = true
					w.within[e.seq] = now.Sub(d) <= 400*time.Millisecond
					w.took = append(w.took, now.Sub(d))
				}
			}
		case r.Nack.Due() != 0 && r.Nack.Due() <= next:
			now = max(now, r.Nack.Due())
			list := r.Nack.Collect(now, 0, nil)
			if r.Nack.Overflow {
				r.Nack.Overflow = false
				w.overflows++
			}
			for _, s := range list {
				if at, ok := lastAsk[s]; ok {
					w.again = min(w.again, now.Sub(at))
				}
				lastAsk[s] = now
				w.asked[s]++
			}
			if at, k := back.Fate(now, 60); k > 0 && len(list) > 0 {
				push(event{at: at[0], nack: list})
			}
		default: // a burst of eight each 33 ms, one a millisecond
			now = next
			if w.sent < 60000 { // numbers are keys here
				at, k := net.Fate(now, 1200)
				for i := range k {
					push(event{at: at[i], seq: seq})
				}
				if k == 0 && now.Sub(start) > time.Second && end.Sub(now) > 2*time.Second {
					w.lost++
					due[seq] = now.Add(w.rtt / 2)
				}
				w.sent++
				seq++
			}
			if next = next.Add(time.Millisecond); w.sent%8 == 0 {
				next = next.Add(26 * time.Millisecond)
				back.Fate(now, 80) // other feedback
			}
		}
	}
}

func (w *wire) ratio() float64 {
	ok := 0
	for _, in := range w.within {
		if in {
			ok++
		}
	}
	return float64(ok) / float64(max(1, w.lost))
}

func (w *wire) median() time.Duration {
	slices.Sort(w.took)
	return w.took[len(w.took)/2]
}

// TestQ5_Q6_Q7_Q8_NACKRepairs: five, ten and twenty percent lost in both
// directions, and bursts, with a round trip of 100 ms.
func TestQ5_Q6_Q7_Q8_NACKRepairs(t *testing.T) {
	for _, c := range []struct {
		loss, burst float64
		least       float64
		first       time.Duration
	}{{0.05, 0, 0.995, 130}, {0.10, 0, 0.985, 130}, {0.20, 0, 0.94, 190}, {0.05, 3, 0.995, 130}} {
		cfg := simnet.Config{Delay: 50 * time.Millisecond, Loss: c.loss}
		if c.burst > 0 {
			cfg.Loss = 0
			cfg.Burst = &simnet.GilbertElliott{ToBad: c.loss / (1 - c.loss) / c.burst, ToGood: 1 / c.burst, LossBad: 1}
		}
		w := wire{rtt: 100 * time.Millisecond, up: cfg, down: cfg}
		w.run(t, 5, 200*time.Second)
		t.Logf("%.0f %%, bursts of %.0f: %d lost, %.3f %% repaired within 400 ms, repair p50 %v", 100*c.loss, c.burst, w.lost, 100*w.ratio(), w.median())
		if w.ratio() < c.least || w.median() > c.first*time.Millisecond || w.again < w.rtt/(2*futileRate) {
			t.Errorf("asked again after %v", w.again)
		}
	}
}

// TestQ9_ReorderingIsNotAskedFor: 30 ms of jitter, 2 % reordered, 1 % twice.
func TestQ9_ReorderingIsNotAskedFor(t *testing.T) {
	for _, by := range []time.Duration{5, 20, 40} {
		cfg := simnet.Config{Delay: 25 * time.Millisecond, Jitter: 30 * time.Millisecond, Reorder: 0.02, ReorderBy: by * time.Millisecond, Duplicate: 0.01}
		w := wire{rtt: 50 * time.Millisecond, up: cfg, down: simnet.Config{Delay: 25 * time.Millisecond}}
		w.run(t, 9, 200*time.Second)
		share := float64(len(w.asked)) / float64(w.sent)
		t.Logf("held back %d ms: %.2f %% asked for in vain, of %d", by, 100*share, w.sent)
		if share > 0.01 || w.dups > 0 || w.overflows > 0 {
			t.Errorf("%d taken twice, %d overflows", w.dups, w.overflows)
		}
	}
}

// TestReorderingIsNotReportedAsLoss: what is on its way is counted when it is due.
func TestReorderingIsNotReportedAsLoss(t *testing.T) {
	r := Receiver{Clock: 90000}
	r.Nack.Enabled = true
	rnd := rand.New(rand.NewPCG(1, 1))
	now := start
	for i := uint16(0); i < 20000; i += 2 {
		a, b := i, i+1
		if rnd.IntN(4) == 0 {
			a, b = b, a
		}
		r.Packet(now, a, 0, false)
		if rnd.IntN(10) == 0 {
			if x, ok := r.Block(now.Add(time.Millisecond)); ok && (x.Lost > 0 || x.Fraction > 0) {
				t.Fatalf("%+v", x)
			}
		}
		now = now.Add(2 * time.Millisecond)
		r.Packet(now, b, 0, false)
	}
}

func TestJitterForgetsASenderThatStartedAnew(t *testing.T) {
	r := Receiver{Clock: 48000}
	for i := range uint32(500) {
		ts := i * 960
		if i >= 250 {
			ts += 1 << 30
		}
		r.Packet(start.Add(time.Duration(i)*20*time.Millisecond), uint16(i), ts, false)
	}
	if b, _ := r.Block(start); b.Jitter > 1 {
		t.Fatalf("jitter %d", b.Jitter)
	}
}
