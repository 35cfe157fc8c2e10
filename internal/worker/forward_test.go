package worker

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"parley/internal/base/clock"
)

// meter counts what peers receive and rings when a burst is through.
type meter struct {
	n    atomic.Int64
	want atomic.Int64
	bell chan struct{}
}

func newMeter() *meter { return &meter{bell: make(chan struct{}, 1)} }

func (m *meter) add(clock.Time, []byte) {
	if m.n.Add(1) >= m.want.Load() {
		select {
		case m.bell <- struct{}{}:
		default:
		}
	}
}

// burst is one picture as libwebrtc cuts it, sizes n, n, n+1, n+1.
const burst = 8

// flood sends a picture and waits until every receiver has all of it.
func (m *meter) flood(tb testing.TB, pub *peer, h, payload []byte, seq *uint16, receivers int, limit *time.Timer) {
	m.want.Store(m.n.Load() + int64(burst*receivers))
	for i := range burst {
		binary.BigEndian.PutUint16(h[2:], *seq)
		*seq++
		if err := pub.SendRTP(h, payload[:1100+i%4/2]); err != nil {
			tb.Fatal(err)
		}
	}
	for m.n.Load() < m.want.Load() {
		select {
		case <-m.bell:
		case <-limit.C:
			tb.Fatalf("%d of %d packets came", m.n.Load(), m.want.Load())
		}
	}
}

// TestForwardingDoesNotAllocate counts every allocation of the process, peers
// included, over real loopback sockets.
func TestForwardingDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates: the figure means nothing here, only the traffic is checked")
	}
	r := newRig(t, nil)
	m := newMeter()
	pub := r.connect(join{onRTP: m.add})
	track := pub.publish()
	const receivers = 5
	for i := range receivers {
		r.connect(join{onRTP: m.add}).play(track, uint32(100+i))
	}
	r.settle()
	h, payload := header(0, 1), make([]byte, 1200)
	var seq uint16
	limit := time.NewTimer(2 * patience)
	defer limit.Stop()
	rounds := func(n int) {
		for range n {
			m.flood(t, pub, h, payload, &seq, receivers, limit)
		}
	}
	rounds(50) // slabs, tables and slices grow to their size
	var a, b runtime.MemStats
	runtime.ReadMemStats(&a)
	const n = 300
	rounds(n)
	runtime.ReadMemStats(&b)
	per := float64(b.Mallocs-a.Mallocs) / (n * burst * receivers)
	t.Logf("%.4f allocations per forwarded packet", per)
	if per > 0.02 && !raceEnabled { // consent checks and the runtime allocate now and then
		t.Errorf("%.4f allocations per forwarded packet", per)
	}
	c := r.Counters().Shards[0]
	if c.Info.GSO && c.Socket.TxMessages*2 > c.Socket.TxDatagrams {
		t.Errorf("%d datagrams left in %d messages: no runs", c.Socket.TxDatagrams, c.Socket.TxMessages)
	}
	if c.Padded == 0 {
		t.Error("nothing was padded: n, n, n+1 did not share a run")
	}
	t.Logf("%d datagrams in %d messages, %d padded, %d turns", c.Socket.TxDatagrams, c.Socket.TxMessages, c.Padded, c.Turns)
}

// BenchmarkForward is the whole process, peers included, per forwarded packet:
// a trend, not the server's cost.
func BenchmarkForward(b *testing.B) {
	r := newRig(b, nil)
	m := newMeter()
	pub := r.connect(join{onRTP: m.add})
	track := pub.publish()
	const receivers = 10
	for i := range receivers {
		r.connect(join{onRTP: m.add}).play(track, uint32(100+i))
	}
	r.settle()
	h, payload := header(0, 1), make([]byte, 1200)
	var seq uint16
	limit := time.NewTimer(time.Hour)
	defer limit.Stop()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		m.flood(b, pub, h, payload, &seq, receivers, limit)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*burst*receivers), "ns/packet")
}
