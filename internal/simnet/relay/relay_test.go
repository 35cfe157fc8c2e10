package relay

import (
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parley/internal/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

func socket(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(loopback))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func addr(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func relay(t *testing.T, cfg Config) *Relay {
	t.Helper()
	cfg.Listen = loopback
	r, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func read(t *testing.T, c *net.UDPConn) (string, netip.AddrPort) {
	t.Helper()
	b := make([]byte, 2000)
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n]), from
}

func write(t *testing.T, c *net.UDPConn, s string, to netip.AddrPort) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort([]byte(s), to); err != nil {
		t.Fatal(err)
	}
}

func TestForwardsBothWaysAndKeepsClientsApart(t *testing.T) {
	server, a, b := socket(t), socket(t), socket(t)
	r := relay(t, Config{Target: addr(server), Up: simnet.Config{Delay: 5 * time.Millisecond}})
	write(t, a, "from a", r.Addr())
	_, fa := read(t, server)
	write(t, b, "from b", r.Addr())
	got, fb := read(t, server)
	if got != "from b" || fa == fb {
		t.Fatal(got, fa, fb)
	}
	write(t, server, "to a", fa)
	write(t, server, "to b", fb)
	if got, from := read(t, a); got != "to a" || from != r.Addr() {
		t.Fatal(got, from)
	}
	if got, _ := read(t, b); got != "to b" {
		t.Fatal(got)
	}
}

func TestR3_RebindChangesTheSourcePort(t *testing.T) {
	server, a := socket(t), socket(t)
	r := relay(t, Config{Target: addr(server)})
	write(t, a, "1", r.Addr())
	_, before := read(t, server)
	if err := r.Rebind(); err != nil {
		t.Fatal(err)
	}
	write(t, a, "2", r.Addr())
	got, after := read(t, server)
	if got != "2" || before == after {
		t.Fatal(got, before, after)
	}
	write(t, server, "back", after)
	if got, _ := read(t, a); got != "back" {
		t.Fatal(got)
	}
}

// TestLoss: what arrives is what the model says arrives, packet by packet.
func TestLossIsTheModels(t *testing.T) {
	const n = 2000
	cfg := simnet.Config{Loss: 0.2}
	server, a := socket(t), socket(t)
	_ = server.SetReadBuffer(socketBuffer)
	r := relay(t, Config{Target: addr(server), Up: cfg, Seed: 11})
	model := simnet.NewModel(11, 1, cfg)
	var want []uint32
	for i := range uint32(n) {
		write(t, a, string(binary.BigEndian.AppendUint32(nil, i)), r.Addr())
		if _, k := model.Fate(1, 4); k == 1 {
			want = append(want, i)
			got, _ := read(t, server) // in step: the kernel must not lose any
			if s := binary.BigEndian.Uint32([]byte(got)); s != i {
				t.Fatalf("got %d, want %d", s, i)
			}
		}
	}
	s := r.Stats().Up
	for deadline := time.Now().Add(patience); s.Sent < n && time.Now().Before(deadline); s = r.Stats().Up {
		runtime.Gosched() // the last ones may still be in the socket
	}
	if s.Sent != n || int(s.Sent-s.Lost) != len(want) {
		t.Fatalf("%+v, want %d", s, len(want))
	}
}

func TestDelayIsAtLeastWhatWasAsked(t *testing.T) {
	server, a := socket(t), socket(t)
	r := relay(t, Config{Target: addr(server), Up: simnet.Config{Delay: 50 * time.Millisecond}})
	began := time.Now()
	write(t, a, "x", r.Addr())
	read(t, server)
	if d := time.Since(began); d < 50*time.Millisecond {
		t.Fatal(d)
	}
	r.Set(simnet.Config{Down: true}, simnet.Config{})
	write(t, a, "lost", r.Addr())
	for deadline := time.Now().Add(patience); r.Stats().Up.Lost == 0; {
		if time.Now().After(deadline) {
			t.Fatal("not lost")
		}
	}
}
