package plain

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loop = netip.MustParseAddr("127.0.0.1")

// TestRange: pairs are even, go round, pass over ports that others hold, and
// come back when closed.
func TestRange(t *testing.T) {
	r := NewRange(24201, 24207) // 24202 to 24207: three pairs
	held, err := net.ListenUDP("udp", &net.UDPAddr{IP: loop.AsSlice(), Port: 24205})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	a, err := r.Open(loop, false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Open(loop, false)
	if err != nil {
		t.Fatal(err)
	}
	if a.Port() != 24202 || b.Port() != 24206 {
		t.Errorf("%d %d", a.Port(), b.Port())
	}
	if _, err := r.Open(loop, false); !errors.Is(err, ErrNoPorts) || r.Live() != 2 {
		t.Errorf("%v, %d live", err, r.Live())
	}
	got := make(chan netip.AddrPort, 8)
	if err := a.Start(func(_ bool, from netip.AddrPort, _ []byte) { got <- from }); err != nil {
		t.Fatal(err)
	}
	if b.Send(true, netip.MustParseAddrPort("127.0.0.1:24203"), []byte("x")) != SentOK {
		t.Fatal("not sent")
	}
	if from := <-got; from.Port() != 24207 {
		t.Errorf("RTCP from %s", from)
	}
	a.Close()
	a.Close()
	r.Wait()
	c, err := r.Open(loop, true)
	if err != nil || c.Port() != 24204 && c.Port() != 24202 {
		t.Fatalf("%v", err)
	}
	b.Close()
	c.Close()
	if r.Live() != 0 {
		t.Errorf("%d live", r.Live())
	}
	if _, err := NewRange(0, 0).Open(loop, false); !errors.Is(err, ErrNoPorts) {
		t.Errorf("empty range: %v", err)
	}
}

// TestOneReader: many sessions cost one goroutine, which goes with the last of
// them, also while they come and go at once.
func TestOneReader(t *testing.T) {
	r := NewRange(24300, 24499)
	got := make(chan uint16, 1<<12)
	before := runtime.NumGoroutine()
	var all []*Pair
	for range 50 {
		p, err := r.Open(loop, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Start(func(_ bool, from netip.AddrPort, _ []byte) { got <- from.Port() }); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if n := runtime.NumGoroutine() - before; runtime.GOOS == "linux" && n > 1 {
		t.Errorf("%d goroutines for 100 sockets", n)
	}
	for i, p := range all {
		p.Send(false, netip.AddrPortFrom(loop, all[(i+1)%len(all)].Port()), []byte("to the next"))
	}
	for range all {
		select {
		case <-got:
		case <-time.After(patience):
			t.Fatal("lost on loopback")
		}
	}
	for _, p := range all {
		p.Close()
	}
	r.Wait()
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			for range 200 {
				p, err := r.Open(loop, false)
				if err != nil {
					t.Error(err)
					return
				}
				if err := p.Start(func(bool, netip.AddrPort, []byte) {}); err != nil {
					t.Error(err)
				}
				p.Send(true, netip.AddrPortFrom(loop, p.Port()), []byte("to itself"))
				p.Close()
			}
		})
	}
	g.Wait()
	r.Wait()
	if r.Live() != 0 {
		t.Errorf("%d live", r.Live())
	}
}
