package wire

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/transport/dtls"
	"parley/internal/transport/ice"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRFC4571Frames: frames come out whole however TCP cuts them; one that is
// too large ends the path.
func TestRFC4571Frames(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := dialTCP(netip.Addr{}, netip.MustParseAddrPort(l.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stream := []byte{0, 3, 'a', 'b', 'c', 0, 1, 'd', 0, 0, 0, 2, 'e', 'f'}
	want := []string{"abc", "d", "", "ef"}
	var got []string
	for i := range stream { // byte by byte
		if _, err := s.Write(stream[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for len(got) < len(want) {
		if err := c.read(deadline, func(b []byte, _ time.Duration) { got = append(got, string(b)) }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("frame %d is %q, want %q", i, got[i], want[i])
		}
	}
	if err := c.write([]byte("hi")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	if _, err := s.Read(b); err != nil || string(b) != "\x00\x02hi" {
		t.Errorf("wrote %q, %v", b, err)
	}
	_, _ = s.Write([]byte{0xff, 0xff, 1})
	if err := c.read(deadline, func([]byte, time.Duration) {}); err == nil || isTimeout(err) {
		t.Errorf("a frame of 65535 bytes: %v", err)
	}
}

// TestWake: a wake before or during a read ends it, and only once.
func TestWake(t *testing.T) {
	s, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := dialUDP(netip.Addr{}, s.LocalAddr().(*net.UDPAddr).AddrPort(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	deadline := time.Now().Add(30 * time.Second)
	c.wake()
	if err := c.read(deadline, nil); !isTimeout(err) {
		t.Fatalf("wake before: %v", err)
	}
	go c.wake()
	if err := c.read(deadline, nil); !isTimeout(err) {
		t.Fatalf("wake during: %v", err)
	}
	if _, err := s.WriteToUDPAddrPort([]byte("x"), c.local()); err != nil {
		t.Fatal(err)
	}
	for got := false; !got; {
		if err := c.read(deadline, func(b []byte, _ time.Duration) { got = string(b) == "x" }); err != nil && !isTimeout(err) {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the datagram did not come")
		}
	}
}

type skipClock struct {
	*clock.System
	skip atomic.Int64
}

func (c *skipClock) Now() clock.Time { return c.System.Now().Add(time.Duration(c.skip.Load())) }

// TestSilentServer: a server that never answers ends the peer when consent
// would have (RFC 7675), and Close ends one at once.
func TestSilentServer(t *testing.T) {
	s, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	me, err := dtls.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	clk := &skipClock{System: clock.NewSystem()}
	for _, closed := range []bool{false, true} {
		p, err := Dial(Config{
			Local: ice.NewCreds(), Remote: ice.NewCreds(), Server: s.LocalAddr().(*net.UDPAddr).AddrPort(),
			Identity: me, DTLSClient: true, Clock: clk,
		})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- p.Run(context.Background()) }()
		want := ErrConsent
		if closed {
			want = ErrClosed
			p.Close()
		} else {
			clk.skip.Add(int64(time.Minute))
			p.conn().wake()
		}
		select {
		case err := <-done:
			if !errors.Is(err, want) || !errors.Is(p.Err(), want) {
				t.Errorf("got %v, want %v", err, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("does not end")
		}
		if err := p.SendRTP(nil, nil); !errors.Is(err, ErrNotConnected) {
			t.Errorf("send after the end: %v", err)
		}
	}
}
