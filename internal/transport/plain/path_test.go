package plain

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"parley/internal/base/clock"
)

var (
	described = netip.MustParseAddrPort("192.0.2.10:4000")
	moved     = netip.MustParseAddrPort("198.51.100.7:6000")
	near      = netip.MustParseAddrPort("192.0.2.10:4444")
)

const ms = clock.Time(time.Millisecond)

// talk lets one source send n packets, 20 ms apart, and returns how many were
// taken.
func talk(p *Path, now *clock.Time, from netip.AddrPort, ssrc uint32, seq uint16, n int) (taken int) {
	for i := range n {
		if p.Heard(*now, from, ssrc, seq+uint16(i), false) {
			taken++
		}
		*now += 20 * ms
	}
	return taken
}

func target(p *Path) netip.AddrPort {
	to, _ := p.Targets()
	return to
}

// TestA6_DescribedAddressFirst: once the described address was heard, nobody
// else is; not even with many good packets.
func TestA6_DescribedAddressFirst(t *testing.T) {
	p, now := NewPath(described, netip.AddrPort{}, false, LatchAny), clock.Time(1)
	if target(&p) != described || p.RTCPTarget() != netip.MustParseAddrPort("192.0.2.10:4001") {
		t.Fatalf("%v %v", target(&p), p.RTCPTarget())
	}
	if talk(&p, &now, described, 1, 10, 1) != 1 {
		t.Fatal("described address not taken at once")
	}
	if n := talk(&p, &now, moved, 1, 11, 1000); n != 0 || target(&p) != described {
		t.Errorf("%d foreign packets taken, target %v", n, target(&p))
	}
	if p.HeardRTCP(moved, false) {
		t.Error("foreign RTCP taken")
	}
}

// TestA6_MovesOnceThenLocked: a steady stream from elsewhere, as from behind
// NAT, moves the session; another does not move it again.
func TestA6_MovesOnceThenLocked(t *testing.T) {
	p, now := NewPath(described, netip.AddrPort{}, false, LatchAny), clock.Time(1)
	if n := talk(&p, &now, moved, 7, 65530, 30); n < 15 || target(&p) != moved {
		t.Fatalf("%d taken, target %v", n, target(&p))
	}
	if p.RTCPTarget() != netip.MustParseAddrPort("198.51.100.7:6001") {
		t.Errorf("RTCP to %v", p.RTCPTarget())
	}
	third := netip.MustParseAddrPort("203.0.113.5:9")
	if n := talk(&p, &now, third, 9, 1, 500); n != 0 || target(&p) != moved {
		t.Errorf("%d taken, target %v", n, target(&p))
	}
	if from := netip.MustParseAddrPort("198.51.100.7:7777"); !p.HeardRTCP(from, false) || p.RTCPTarget() != from {
		t.Errorf("RTCP of the peer's host: target %v", p.RTCPTarget())
	}
	if n := talk(&p, &now, described, 1, 1, 3); n != 3 || target(&p) != described {
		t.Errorf("the described address does not take its place back: %d, %v", n, target(&p))
	}
	if n := talk(&p, &now, moved, 7, 100, 500); n != 0 {
		t.Errorf("moved a second time: %d", n)
	}
}

// TestD3_SprayMovesNothing: single packets and bursts from many addresses are
// neither taken nor answered.
func TestD3_SprayMovesNothing(t *testing.T) {
	p, now := NewPath(described, netip.AddrPort{}, false, LatchAny), clock.Time(1)
	for i := range 250 {
		from := netip.MustParseAddrPort(fmt.Sprintf("203.0.113.%d:%d", i, 1000+i))
		for seq := range uint16(9) { // in one burst
			if p.Heard(now, from, uint32(i), seq, false) {
				t.Fatal("taken")
			}
		}
		now += ms
	}
	if target(&p) != described || p.Locked().IsValid() {
		t.Errorf("target %v, locked %v", target(&p), p.Locked())
	}
	// A long burst at once is no stream either.
	for seq := range uint16(200) {
		if p.Heard(now, moved, 3, seq, false) {
			t.Fatal("a burst was taken")
		}
	}
	// Nor are unrelated packets of one address over a long time.
	for i := range uint16(200) {
		now += 20 * ms
		if p.Heard(now, moved, 3, i*100, false) {
			t.Fatal("noise was taken")
		}
	}
}

// TestD3_SteadyStrangerMovesNothing: one who streams like a phone, for a minute
// before the phone speaks, is neither heard nor sent to, unless the description
// cannot be where the phone is. Who authenticates is no stranger.
func TestD3_SteadyStrangerMovesNothing(t *testing.T) {
	a := netip.MustParseAddrPort
	for _, x := range []struct {
		what            string
		latch           Latch
		described, from netip.AddrPort
		moves           bool
	}{
		{"public", LatchNAT, described, moved, false},
		{"public, from a private one", LatchNAT, described, a("10.0.0.5:6000"), false},
		{"loopback", LatchNAT, a("127.0.0.1:4000"), a("127.0.0.2:6000"), false},
		{"private, from a private one", LatchNAT, a("192.168.1.7:4000"), a("10.0.0.5:6000"), false},
		{"private, from a link-local one", LatchNAT, a("192.168.1.7:4000"), a("169.254.0.5:6000"), false},
		{"on hold", LatchNAT, a("0.0.0.0:4000"), moved, false},
		{"behind NAT", LatchNAT, a("192.168.1.7:4000"), moved, true},
		{"behind a carrier's NAT", LatchNAT, a("100.70.1.7:4000"), moved, true},
		{"behind NAT, while we are, too", LatchPort, a("192.168.1.7:4000"), moved, false},
		{"asked for", LatchAny, described, moved, true},
		{"fixed", LatchHost, a("192.168.1.7:4000"), moved, false},
	} {
		p, now := NewPath(x.described, netip.AddrPort{}, false, x.latch), clock.Time(1)
		n := talk(&p, &now, x.from, 7, 1, 3000)
		if x.moves != (n > 2900) || x.moves != (target(&p) == x.from) || x.moves != p.Locked().IsValid() {
			t.Errorf("%s: %d of 3000 taken, target %v", x.what, n, target(&p))
		}
		if !x.moves && (n != 0 || p.HeardRTCP(x.from, false) || p.RTCPTarget().Addr() == x.from.Addr()) {
			t.Errorf("%s: %d taken, RTCP to %v", x.what, n, p.RTCPTarget())
		}
		if usable(x.described) && (talk(&p, &now, x.described, 1, 1, 1) != 1 || target(&p) != x.described) {
			t.Errorf("%s: the described address is not taken", x.what)
		}
		p = NewPath(x.described, netip.AddrPort{}, false, x.latch)
		if p.Heard(now, x.from, 1, 1, true) != (x.latch != LatchHost) {
			t.Errorf("%s: authenticated", x.what)
		}
	}
}

// TestA6_AuthenticatedMovesAtOnce: with SRTP one packet is proof.
func TestA6_AuthenticatedMovesAtOnce(t *testing.T) {
	p := NewPath(described, netip.AddrPort{}, false, LatchAny)
	if !p.Heard(1, moved, 1, 1, true) || target(&p) != moved {
		t.Error("not taken")
	}
}

// TestNoLatching: only the described host is heard, and only the described
// port sent to.
func TestNoLatching(t *testing.T) {
	p, now := NewPath(described, netip.AddrPort{}, false, LatchHost), clock.Time(1)
	if talk(&p, &now, moved, 1, 1, 100) != 0 {
		t.Error("another host was heard")
	}
	if talk(&p, &now, near, 1, 1, 30) == 0 {
		t.Error("another port of the host was not")
	}
	if to, also := p.Targets(); to != described || also.IsValid() {
		t.Errorf("%v %v", to, also)
	}
}

// TestAnotherPortOfThePeer: the host may send from a port of its own; both get
// what we send, since it may be two programs.
func TestAnotherPortOfThePeer(t *testing.T) {
	p, now := NewPath(described, netip.AddrPort{}, false, LatchAny), clock.Time(1)
	if n := talk(&p, &now, near, 1, 1, 30); n < 15 {
		t.Errorf("%d of 30 taken", n)
	}
	if to, also := p.Targets(); to != near || also != described {
		t.Errorf("%v %v", to, also)
	}
}

func TestRetarget(t *testing.T) {
	p, now := NewPath(described, netip.AddrPort{}, false, LatchAny), clock.Time(1)
	talk(&p, &now, moved, 7, 1, 30)
	p.Retarget(described, netip.AddrPort{})
	if target(&p) != moved {
		t.Error("forgotten though nothing changed")
	}
	q := NewPath(described, netip.AddrPort{}, false, LatchNAT)
	talk(&q, &now, described, 7, 1, 1)
	if q.Retarget(described, netip.MustParseAddrPort("192.0.2.11:9000")); q.RTCPTarget().Port() != 9000 || q.Locked() != described {
		t.Errorf("RTCP alone elsewhere: %v", q.RTCPTarget())
	}
	next := netip.MustParseAddrPort("192.0.2.99:5000")
	p.Retarget(next, netip.MustParseAddrPort("192.0.2.99:5555"))
	if target(&p) != next || p.Locked().IsValid() || p.RTCPTarget().Port() != 5555 {
		t.Errorf("%v %v %v", target(&p), p.Locked(), p.RTCPTarget())
	}
	hold := netip.MustParseAddrPort("0.0.0.0:5000") // RFC 2543
	p.Retarget(hold, netip.AddrPort{})
	if target(&p).IsValid() || p.RTCPTarget().IsValid() {
		t.Error("sent to nowhere")
	}
	m := NewPath(described, netip.AddrPort{}, true, LatchAny)
	if m.RTCPTarget() != described || !m.HeardRTCP(described, false) || m.HeardRTCP(moved, false) {
		t.Error("rtcp-mux")
	}
}

func FuzzPath(f *testing.F) {
	f.Add([]byte{1, 0, 1, 2, 0, 2, 3, 1, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, now := NewPath(described, netip.AddrPort{}, false, LatchAny), clock.Time(1)
		hosts := []netip.AddrPort{described, moved, near, netip.MustParseAddrPort("203.0.113.5:9")}
		first := false
		for i := 0; i+2 < len(b); i += 3 {
			now += clock.Time(b[i]) * ms
			from := hosts[b[i+1]&3]
			took := p.Heard(now, from, uint32(b[i+1]>>7), uint16(b[i+2]), false)
			if first && took && from != described {
				t.Fatalf("%v taken after the described address", from)
			}
			first = first || from == described
			if first && target(&p) != described {
				t.Fatal("media led away")
			}
		}
	})
}
