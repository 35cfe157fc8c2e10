package plain

import (
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSendNeverWaits: a socket without room loses the packet at once, tells so,
// and takes the next one when there is room again. Datagrams between processes
// are what can be filled up at will; UDP on loopback cannot.
func TestSendNeverWaits(t *testing.T) {
	name := filepath.Join(t.TempDir(), "far")
	far, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = far.Close() }()
	near, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name + "-near", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = near.Close() }()
	raw, err := near.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan [2]int, 1)
	w, to := wrap(raw), &unix.SockaddrUnix{Name: name}
	go func() {
		var n [2]int
		for range 10000 { // far more than a queue holds
			switch err := w.send(make([]byte, 1200), to); {
			case err == nil:
				n[0]++
			case full(err):
				n[1]++
			default:
				t.Error(err)
			}
		}
		done <- n
	}()
	select {
	case n := <-done:
		if n[0] == 0 || n[1] == 0 {
			t.Errorf("%d sent, %d dropped", n[0], n[1])
		}
	case <-time.After(patience):
		_ = near.Close()
		t.Fatal("it waits for room")
	}
	if _, err := far.Read(make([]byte, 1500)); err != nil {
		t.Fatal(err)
	}
	if err := w.send([]byte("x"), to); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestSendOutcomes: both families, sockets for any address, what the system
// refuses, and no garbage.
func TestSendOutcomes(t *testing.T) {
	r := NewRange(24520, 24539)
	for _, on := range []string{"127.0.0.1", "0.0.0.0", "::", "::1"} {
		p, err := r.Open(netip.MustParseAddr(on), false)
		if err != nil {
			if on == "::1" || on == "::" {
				t.Logf("no IPv6 here: %v", err)
				continue
			}
			t.Fatal(err)
		}
		to := netip.AddrPortFrom(netip.MustParseAddr(on), p.Port())
		if to.Addr().IsUnspecified() {
			to = netip.AddrPortFrom(loop, p.Port())
		}
		got := make(chan netip.AddrPort, 256)
		if err := p.Start(func(_ bool, from netip.AddrPort, _ []byte) {
			select {
			case got <- from:
			default:
			}
		}); err != nil {
			t.Fatal(err)
		}
		for _, x := range []netip.AddrPort{to, netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port())} {
			if s := p.Send(true, x, []byte("to itself")); s != SentOK {
				t.Fatalf("%s to %s: %v", on, x, s)
			}
			select {
			case from := <-got:
				if from != netip.AddrPortFrom(to.Addr(), p.Port()+1) {
					t.Errorf("%s: from %s", on, from)
				}
			case <-time.After(patience):
				t.Fatalf("%s: nothing came", on)
			}
		}
		if s := p.Send(false, to, make([]byte, 1<<17)); s != SentFailed {
			t.Errorf("%s: too large: %v", on, s)
		}
		if s := p.Send(false, netip.MustParseAddrPort("127.255.255.255:9"), []byte("to all")); s == SentOK {
			t.Errorf("%s: broadcast", on)
		}
		b, nobody := []byte("again"), netip.AddrPortFrom(to.Addr(), 1) // reading would make garbage
		if n := testing.AllocsPerRun(100, func() { p.Send(false, nobody, b) }); n != 0 {
			t.Errorf("%s: %v allocations a packet", on, n)
		}
		p.Close()
		if s := p.Send(false, to, b); s != SentFailed {
			t.Errorf("%s: after close: %v", on, s)
		}
	}
	r.Wait()
	if p, err := r.Open(loop, true); err == nil {
		if s := p.Send(false, netip.MustParseAddrPort("[2001:db8::1]:9"), nil); s != SentFailed {
			t.Errorf("another family: %v", s)
		}
		p.Close()
	}
}
