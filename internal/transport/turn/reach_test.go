package turn

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// nowhere is one address of each special range, and others' spellings of them.
var nowhere = []string{
	"0.0.0.0:1", "0.1.2.3:1", "10.1.2.3:80", "100.64.0.1:80", "127.0.0.1:22", "127.255.255.254:22", "169.254.169.254:80", "172.16.0.1:80",
	"172.31.255.255:80", "192.0.0.8:80", "192.0.2.1:80", "192.31.196.1:80", "192.52.193.1:80", "192.88.99.1:80", "192.168.1.1:80",
	"192.175.48.1:80", "198.18.0.1:80", "198.51.100.1:80", "203.0.113.1:80", "224.0.0.1:80", "239.255.255.250:1900", "240.0.0.1:80",
	"255.255.255.255:80",
	"[::]:1", "[::1]:22", "[::7f00:1]:22", "[::ffff:127.0.0.1]:22", "[::ffff:7f00:1]:22", "[::ffff:10.0.0.1]:80", "[::ffff:a9fe:a9fe]:80",
	"[::ffff:0:127.0.0.1]:22", "[64:ff9b::7f00:1]:22", "[64:ff9b::a00:1]:80", "[64:ff9b:1::7f00:1]:22", "[100::1]:80", "[100:0:0:1::1]:80",
	"[2001::1]:80", "[2001:2::1]:80", "[2001:db8::1]:80", "[2001:10::1]:80", "[2001:20::1]:80", "[2002:7f00:1::]:22", "[2002:a00:1::1]:80",
	"[2002:c0a8:101::1]:80", "[2620:4f:8000::1]:80", "[3fff::1]:80", "[5f00::1]:80", "[fc00::1]:80", "[fd12:3456::1]:80", "[fe80::1]:80",
	"[fec0::1]:80", "[ff02::1]:80", "[ff0e::1]:80",
}

// TestT1_SpecialAddresses: no method reaches a special range, in any spelling, by
// any transport (reliability line T1).
func TestT1_SpecialAddresses(t *testing.T) {
	l := newLab(t, nil)
	for _, network := range []string{"udp", "tcp", "tls"} {
		c := l.dial(network, "ana")
		if code := c.allocate(); code != 0 {
			t.Fatalf("%s: allocate: %d", network, code)
		}
		own := fmt.Sprintf("127.0.0.1:%d", l.own.LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Port())
		mapped := "[::ffff:127.0.0.1]" + own[len("127.0.0.1"):]
		server := l.Addr().String()
		free := fmt.Sprintf("127.0.0.1:%d", l.cfg.Ports.Max) // a relay port that nobody has
		if c.relay.Port() == l.cfg.Ports.Max {
			free = fmt.Sprintf("127.0.0.1:%d", l.cfg.Ports.Min)
		}
		before := l.Stats()
		for _, a := range append([]string{own, mapped, server, free}, nowhere...) {
			for _, ask := range []struct {
				method stun.Method
				attrs  []stun.Setter
			}{
				{stun.MethodCreatePermission, []stun.Setter{to(a)}},
				{stun.MethodCreatePermission, []stun.Setter{peer(c.relay), to(a)}}, // beside one that is fine
				{stun.MethodChannelBind, []stun.Setter{channel(0x4001), to(a)}},
				{stun.MethodConnect, []stun.Setter{to(a)}},
			} {
				if code, _ := c.ask(ask.method, ask.attrs...); code != 403 {
					t.Errorf("%s: %s to %s: %d, want 403", network, ask.method, a, code)
				}
			}
			c.say(to(a), []byte("hello"))
		}
		// A request is answered after what was said before it.
		if code, _ := c.ask(stun.MethodRefresh, lifetime(600)); code != 0 {
			t.Fatalf("%s: the allocation is gone: %d", network, code)
		}
		if now := l.Stats(); now.Out != before.Out {
			t.Errorf("%s: %d packets left", network, now.Out-before.Out)
		}
	}
	_ = l.own.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, from, err := l.own.ReadFromUDP(make([]byte, 64)); err == nil {
		t.Errorf("an own port got %d bytes from %s", n, from)
	}
}

// TestT1_LeaveIsByAddress: leave for a relay opens no other port of this machine:
// the port is looked at again with every packet.
func TestT1_LeaveIsByAddress(t *testing.T) {
	l := newLab(t, nil)
	a, b := l.dial("udp", "ana"), l.dial("udp", "bo")
	if a.allocate() != 0 || b.allocate() != 0 {
		t.Fatal("no relays")
	}
	a.permit(b.relay)
	b.permit(a.relay)
	own := peer(netip.AddrPortFrom(loopback, uint16(l.own.LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Port())))
	a.say(own, []byte("to a service"))
	a.say(peer(l.Addr()), []byte("to the server itself"))
	a.say(peer(b.relay), []byte("to a relay"))
	if data, _ := b.hear(patience); string(data) != "to a relay" {
		t.Fatalf("got %q", data)
	}
	until(t, "all are counted", func() bool { s := l.Stats(); return s.DropOut == 2 && s.Out == 1 })
	_ = l.own.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, _, err := l.own.ReadFromUDP(make([]byte, 64)); err == nil {
		t.Errorf("the service got %d bytes", n)
	}
}

// TestT1_Judgement: the same by the rule alone, with networks that were opened.
func TestT1_Judgement(t *testing.T) {
	c := Config{
		Relays: []Relay{{netip.IPv4Unspecified(), netip.MustParseAddr("8.8.4.4")}}, Ports: Ports{50000, 50009},
		Own:    []netip.Addr{netip.MustParseAddr("192.168.7.7"), netip.MustParseAddr("8.8.4.4"), netip.MustParseAddr("2606:4700::7")},
		Listen: netip.MustParseAddrPort("[::]:3478"),
		Allow:  []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.0/8")},
	}
	r := newRelays(&c)
	p := newPeers(&c, r)
	r.open[netip.MustParseAddrPort("8.8.4.4:50003")] = &relay{}
	for a, want := range map[string]bool{
		"8.8.8.8:443": true, "[2606:4700::1111]:443": true, "[::ffff:8.8.8.8]:443": true,
		"192.168.1.1:80": true, "[::ffff:192.168.1.1]:80": true, "[fd00::1]:80": true, "10.0.0.1:80": false,
		"192.168.7.7:80": false, "[::ffff:192.168.7.7]:80": false, "[2606:4700::7]:443": false, "127.0.0.1:80": false,
		"8.8.4.4:443": false, "8.8.4.4:3478": false, "8.8.4.4:50003": true, "[::ffff:8.8.4.4]:50003": true, "8.8.4.4:50004": false, "8.8.4.4:0": true,
		"[2002:c0a8:101::1]:80": false, "[64:ff9b::c0a8:101]:80": false,
	} {
		if got := p.mayReach(netip.MustParseAddrPort(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
	if p.mayReach(netip.AddrPort{}) {
		t.Error("no address at all passed")
	}
}

// TestNoTCPRelays: relays carry UDP; nothing is dialled for anybody.
func TestNoTCPRelays(t *testing.T) {
	l := newLab(t, nil)
	c := l.dial("tcp", "ana")
	if code := c.allocate(); code != 0 {
		t.Fatal(code)
	}
	for _, ask := range []struct {
		method stun.Method
		attr   stun.Setter
		want   int
	}{
		{stun.MethodAllocate, raw{stun.AttrRequestedTransport, []byte{6, 0, 0, 0}}, 442},
		{stun.MethodConnect, to("8.8.8.8:80"), 437},
		{stun.MethodConnectionBind, raw{stun.AttrConnectionID, []byte{0, 0, 0, 1}}, 400},
		{stun.MethodAllocate, raw{stun.AttrRequestedAddressFamily, []byte{2, 0, 0, 0}}, 440},
	} {
		if code, _ := c.ask(ask.method, ask.attr); code != ask.want {
			t.Errorf("%s: %d, want %d", ask.method, code, ask.want)
		}
	}
}
