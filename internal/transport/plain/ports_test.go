package plain

import (
	"errors"
	"net"
	"net/netip"
	"testing"

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
	a.Start(func(_ bool, from netip.AddrPort, _ []byte) { got <- from })
	if !b.Send(true, netip.MustParseAddrPort("127.0.0.1:24203"), []byte("x")) {
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
