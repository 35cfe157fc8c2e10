//go:build linux && (amd64 || arm64)

package udp

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestECNArrives: the mark that a sender, or a router, puts into the IP header
// comes with the packet (RFC 3168), over both families and with RTCP put aside.
func TestECNArrives(t *testing.T) {
	for _, c := range []struct{ listen, to string }{{"127.0.0.1:0", "127.0.0.1"}, {"[::]:0", "127.0.0.1"}, {"[::1]:0", "::1"}} {
		s, err := Listen(netip.MustParseAddrPort(c.listen), Config{ECN: true, Aside: true})
		if err != nil {
			t.Logf("%s: %v", c.listen, err) // a host without IPv6
			continue
		}
		defer s.Close()
		conn, err := net.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr(c.to), s.Info().Local.Port()).String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for mark := range 4 {
			tos(t, conn.(*net.UDPConn), mark)
			for _, b := range []string{"\x80\x60m" + string(rune('0'+mark)), "\x80\xc9r" + string(rune('0'+mark))} {
				if _, err := conn.Write([]byte(b)); err != nil {
					t.Fatal(err)
				}
			}
		}
		got := map[string]uint8{}
		take := func(b *ReadBatch) {
			for _, d := range b.Items {
				got[string(d.B[2:])] = d.ECN
			}
		}
		batch, side := s.NewBatch(), s.NewAsideBatch()
		for end := time.Now().Add(10 * time.Second); len(got) < 8 && time.Now().Before(end); {
			if _, err := s.Read(batch, time.Now().Add(50*time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			take(batch)
			if side != nil {
				if _, err := s.Aside(side); err != nil {
					t.Fatal(err)
				}
				take(side)
			}
		}
		for mark := range 4 {
			for _, kind := range []string{"m", "r"} {
				name := kind + string(rune('0'+mark))
				if v, ok := got[name]; !ok || v != uint8(mark) {
					t.Errorf("%s to %s: %s came with mark %d, %v", c.to, c.listen, name, v, ok)
				}
			}
		}
	}
}

// tos sets the two bits of all that a socket sends.
func tos(t *testing.T, c *net.UDPConn, mark int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		if c.RemoteAddr().(*net.UDPAddr).IP.To4() != nil {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, mark)
		} else {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TCLASS, mark)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestStampsTellWhenPacketsCame: a reader that comes late is told when each packet
// was there. The kernel begins to stamp a moment after the first socket that asks,
// and what came before carries the time of its reading: only a round that never
// comes true is a failure.
func TestStampsTellWhenPacketsCame(t *testing.T) {
	s, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), Config{ECN: true, Stamps: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := net.Dial("udp", s.Info().Local.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var wrong error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if wrong = stampedAsSent(t, s, conn); wrong == nil {
			return
		}
	}
	t.Error(wrong)
}

// stampedAsSent sends three packets and reads them only then: an error tells of one
// whose stamp is not the time of its sending.
func stampedAsSent(t *testing.T, s *Socket, conn net.Conn) (wrong error) {
	t.Helper()
	var before, after [3]int64
	for i := range before {
		before[i] = time.Now().UnixNano()
		if _, err := conn.Write(make([]byte, 100+i)); err != nil { // of unequal size: no run
			t.Fatal(err)
		}
		after[i] = time.Now().UnixNano()
	}
	batch, n := s.NewBatch(), 0
	for end := time.Now().Add(10 * time.Second); n < 3; {
		if _, err := s.Read(batch, end); err != nil {
			t.Fatal(err)
		}
		for _, d := range batch.Items {
			i := len(d.B) - 100
			if d.Stamp < before[i] || d.Stamp > after[i] {
				wrong = fmt.Errorf("packet %d: stamped %d ns after it was sent, sending took %d", i, d.Stamp-before[i], after[i]-before[i])
			}
			n++
		}
	}
	return wrong
}
