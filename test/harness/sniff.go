package harness

import (
	be "encoding/binary"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Narrow lets nothing larger than mtu bytes of IP pass the loopback interface of
// the namespace, without a word to the sender: a path whose ICMP is blocked.
// TCP is told a segment size that fits, as home routers do.
func Narrow(t testing.TB, mtu int) {
	t.Helper()
	NeedNamespace(t)
	const ethernet, ipAndTCP = 14, 40
	for _, c := range []string{
		fmt.Sprintf("route replace local 127.0.0.1 dev lo table local src 127.0.0.1 advmss %d", mtu-ipAndTCP),
		fmt.Sprintf("route replace local %s dev lo table local src %s advmss %d", Address, Address, mtu-ipAndTCP),
	} {
		if err := ip(c); err != nil {
			t.Fatal(err)
		}
	}
	// A token bucket drops what does not fit into it.
	limit := fmt.Sprintf("qdisc replace dev lo root tbf rate 1gbit burst %d limit 4000000", mtu+ethernet)
	if err := run("tc", strings.Fields(limit)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run("tc", "qdisc", "del", "dev", "lo", "root"); err != nil {
			t.Error(err)
		}
	})
}

// Sizes are the UDP payloads that passed the namespace's loopback interface from
// one address.
type Sizes struct {
	mu        sync.Mutex // guards all below
	packets   int
	largest   int
	handshake int // largest of DTLS and STUN
	fragments int
}

// Largest returns the largest payload, the largest of those that are no media
// (RFC 7983), how many packets there were, and how many came in fragments.
func (s *Sizes) Largest() (all, own, packets, fragments int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.largest, s.handshake, s.packets, s.fragments
}

// Sniff watches what from sends until the test ends.
func Sniff(t testing.TB, from netip.AddrPort) *Sizes {
	t.Helper()
	NeedNamespace(t)
	const all = 0x0300 // ETH_P_ALL in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, all)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20); err != nil {
		t.Fatal(err)
	}
	// A time-out, so that the reader looks whether it is over.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
		t.Fatal(err)
	}
	s, quit, ended := &Sizes{}, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 1<<16)
		for {
			select {
			case <-quit:
				return
			default:
			}
			if n, _, err := unix.Recvfrom(fd, b, 0); err == nil {
				s.note(b[:n], from)
			}
		}
	}()
	t.Cleanup(func() {
		close(quit)
		<-ended
		_ = unix.Close(fd)
	})
	return s
}

// note looks at an IPv4 packet (RFC 791, section 3.1).
func (s *Sizes) note(b []byte, from netip.AddrPort) {
	const udp, offset = 17, 0x3fff // with the more-fragments bit
	if len(b) < 28 || b[0]>>4 != 4 || b[9] != udp || netip.AddrFrom4([4]byte(b[12:16])) != from.Addr() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if be.BigEndian.Uint16(b[6:])&offset != 0 {
		s.fragments++
		return
	}
	u := b[int(b[0]&15)*4:]
	if len(u) < 9 || be.BigEndian.Uint16(u) != from.Port() {
		return
	}
	n := len(u) - 8
	s.packets++
	s.largest = max(s.largest, n)
	if u[8] < 128 { // STUN and DTLS
		s.handshake = max(s.handshake, n)
	}
}

// TooLarge tells how many packets Narrow did not let pass.
func TooLarge(t testing.TB) int {
	t.Helper()
	out, err := exec.Command("tc", "-s", "qdisc", "show", "dev", "lo").Output()
	if err != nil {
		t.Fatal(err)
	}
	m := dropped.FindSubmatch(out)
	if m == nil {
		t.Fatalf("no count of drops: %s", out)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var dropped = regexp.MustCompile(`dropped (\d+)`)
