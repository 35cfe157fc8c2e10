package simnet

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"testing"
	"time"

	"parley/internal/base/clock"
)

const start = clock.Time(time.Second)

// arrival is what a test receives.
type arrival struct {
	at  clock.Time
	to  Endpoint
	seq uint32
}

// stream sends count packets, one each interval, and returns what arrives.
func stream(n *Network, l *Link, count, size int, each time.Duration) []arrival {
	var got []arrival
	next := start
	sent := uint32(0)
	end := start.Add(time.Duration(count)*each + time.Hour)
	n.Run(start, end, func(now clock.Time, to Endpoint, p []byte) {
		got = append(got, arrival{now, to, binary.BigEndian.Uint32(p)})
	}, func(now clock.Time) clock.Time {
		if int(sent) == count {
			return 0
		}
		if !now.Before(next) {
			l.Send(now, binary.BigEndian.AppendUint32(make([]byte, 0, size), sent)[:size:size])
			sent++
			next = next.Add(each)
		}
		return next
	})
	return got
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	t.Logf("%s: %.4f, want %.4f", what, got, want)
	if math.Abs(got-want) > tolerance {
		t.Fatalf("%s: %.4f, want %.4f ± %.4f", what, got, want, tolerance)
	}
}

func TestPerfectWire(t *testing.T) {
	n := New(1)
	got := stream(n, n.Link(3, Config{Delay: 20 * time.Millisecond}), 100, 10, time.Millisecond)
	if len(got) != 100 || n.Len() != 0 || n.Next() != 0 {
		t.Fatalf("%d arrived", len(got))
	}
	for i, a := range got {
		if want := start.Add(time.Duration(i)*time.Millisecond + 20*time.Millisecond); a.at != want || a.to != 3 || a.seq != uint32(i) {
			t.Fatalf("%d: %+v, want at %d", i, a, want)
		}
	}
}

// everything is a link with all that the model has.
var everything = Config{
	Delay: 30 * time.Millisecond, Jitter: 15 * time.Millisecond, Loss: 0.02,
	Burst:   &GilbertElliott{ToBad: 0.01, ToGood: 0.3, LossBad: 0.8},
	Reorder: 0.02, ReorderBy: 10 * time.Millisecond, Duplicate: 0.01,
	Rate: 1_000_000, Overhead: 28,
}

func fingerprint(got []arrival) uint64 {
	h := fnv.New64a()
	for _, a := range got {
		fmt.Fprintln(h, a.at, a.to, a.seq)
	}
	return h.Sum64()
}

func TestSameSeedSameFate(t *testing.T) {
	run := func(seed uint64, disturb bool) uint64 {
		n := New(seed)
		l := n.Link(1, everything)
		if disturb { // another link's traffic must not matter
			other := n.Link(2, Config{Loss: 0.5})
			for range 1000 {
				other.Send(start, []byte("aaaa"))
			}
			n.Deliver(start, func(Endpoint, []byte) {})
		}
		return fingerprint(stream(n, l, 5000, 1000, 7*time.Millisecond))
	}
	a := run(7, false)
	if a != run(7, false) || a != run(7, true) {
		t.Fatal("not deterministic")
	}
	if a == run(8, false) {
		t.Fatal("seed has no effect")
	}
	// A golden value: the same on every machine and Go version.
	const golden = 0x8ce50c2998c18cb4
	if a != golden {
		t.Fatalf("%#x, want %#x", a, uint64(golden))
	}
}

func TestRandomLoss(t *testing.T) {
	n := New(2)
	l := n.Link(1, Config{Loss: 0.1})
	got := stream(n, l, 50000, 10, time.Millisecond)
	near(t, "loss", 1-float64(len(got))/50000, 0.1, 0.006)
	if s := l.Stats(); s.Sent != 50000 || int(s.Lost) != 50000-len(got) {
		t.Fatalf("%+v", s)
	}
}

func TestBurstLoss(t *testing.T) {
	n := New(3)
	l := n.Link(1, Config{Burst: &GilbertElliott{ToBad: 0.01, ToGood: 0.25, LossBad: 1}})
	got := stream(n, l, 200000, 4, time.Millisecond)
	near(t, "loss", 1-float64(len(got))/200000, 0.01/0.26, 0.004)
	bursts, last := 0, int64(-1)
	for _, a := range got {
		if int64(a.seq) != last+1 {
			bursts++
		}
		last = int64(a.seq)
	}
	near(t, "mean burst", float64(200000-len(got))/float64(bursts), 4, 0.3)
}

func TestRateAndQueue(t *testing.T) {
	n := New(4)
	// 2 Mbit/s offered into 1 Mbit/s with a queue of 25 kB (200 ms).
	l := n.Link(1, Config{Delay: 10 * time.Millisecond, Rate: 1_000_000, Queue: 25000})
	got := stream(n, l, 2500, 1000, 4*time.Millisecond)
	span := got[len(got)-1].at.Sub(got[0].at).Seconds()
	near(t, "rate", float64(len(got)-1)*8000/span, 1e6, 5e3)
	if s := l.Stats(); s.Overflowed == 0 || s.Lost != 0 {
		t.Fatalf("%+v", s)
	}
	worst := time.Duration(0)
	for _, a := range got {
		sent := start.Add(time.Duration(a.seq) * 4 * time.Millisecond)
		worst = max(worst, a.at.Sub(sent))
	}
	near(t, "longest wait", worst.Seconds(), 0.210, 0.005)
}

func TestJitterKeepsOrderAndReorderDoesNot(t *testing.T) {
	inversions := func(c Config) int {
		n := New(5)
		k, last := 0, uint32(0)
		for _, a := range stream(n, n.Link(1, c), 20000, 4, time.Millisecond) {
			if a.seq < last {
				k++
			}
			last = max(last, a.seq)
		}
		return k
	}
	if k := inversions(Config{Delay: 20 * time.Millisecond, Jitter: 20 * time.Millisecond}); k != 0 {
		t.Fatalf("jitter reordered %d", k)
	}
	k := inversions(Config{Delay: 20 * time.Millisecond, Reorder: 0.05, ReorderBy: 5 * time.Millisecond})
	near(t, "reordered", float64(k)/20000, 0.05, 0.006)
}

func TestDuplicates(t *testing.T) {
	n := New(6)
	got := stream(n, n.Link(1, Config{Duplicate: 0.2}), 20000, 4, time.Millisecond)
	near(t, "duplicates", float64(len(got))/20000-1, 0.2, 0.01)
}

func TestScheduleChangesTheLink(t *testing.T) {
	n := New(7)
	l := n.Link(1, Config{})
	l.Schedule(Step{start.Add(time.Second), Config{Down: true}}, Step{start.Add(3 * time.Second), Config{Delay: time.Second}})
	got := stream(n, l, 5000, 4, time.Millisecond)
	for _, a := range got {
		if a.seq >= 1000 && a.seq < 3000 {
			t.Fatalf("%d passed while down", a.seq)
		}
		if a.seq >= 3000 && a.at.Sub(start) != time.Duration(a.seq)*time.Millisecond+time.Second {
			t.Fatalf("%d at %v", a.seq, a.at.Sub(start))
		}
	}
	if len(got) != 3000 {
		t.Fatalf("%d arrived", len(got))
	}
}

func TestDeliverMaySend(t *testing.T) {
	n := New(8)
	there, back := n.Link(1, Config{Delay: 5 * time.Millisecond}), n.Link(2, Config{Delay: 5 * time.Millisecond})
	there.Send(start, []byte{0})
	var at clock.Time
	hops := 0
	n.Run(start, start.Add(time.Second), func(now clock.Time, to Endpoint, p []byte) {
		at, hops = now, hops+1
		if hops < 10 {
			map[Endpoint]*Link{1: back, 2: there}[to].Send(now, p)
		}
	}, func(clock.Time) clock.Time { return 0 })
	if hops != 10 || at != start.Add(50*time.Millisecond) {
		t.Fatalf("%d hops, %v", hops, at.Sub(start))
	}
}

func TestTenMinutesAreQuick(t *testing.T) {
	n := New(9)
	l := n.Link(1, everything)
	got := stream(n, l, 10*60*100, 1000, 10*time.Millisecond)
	t.Logf("%d of 60000 arrived, %+v", len(got), l.Stats())
	if len(got) < 50000 {
		t.Fatal("too few")
	}
}

func BenchmarkSendDeliver(b *testing.B) {
	b.ReportAllocs()
	n := New(1)
	l := n.Link(1, Config{Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond})
	p := make([]byte, 1200)
	now := start
	for b.Loop() {
		l.Send(now, p)
		now = now.Add(time.Millisecond)
		n.Deliver(now, func(Endpoint, []byte) {})
	}
}
