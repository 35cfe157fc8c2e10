package turn

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// TestT2_Quota: a user gets twelve relays and no more, others still get theirs; a
// full range is 508 (reliability line T2).
func TestT2_Quota(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Ports = freePorts(t, 16) })
	var mine []*client
	for i := range 12 {
		c := l.dial("udp", "ana")
		if code := c.allocate(); code != 0 {
			t.Fatalf("allocation %d: %d", i+1, code)
		}
		mine = append(mine, c)
	}
	for range 100 {
		if code := l.dial("udp", "ana").allocate(); code != 486 {
			t.Fatalf("beyond the quota: %d, want 486", code)
		}
	}
	for i := range 4 {
		if code := l.dial("tcp", fmt.Sprint("other ", i)).allocate(); code != 0 {
			t.Fatalf("another user: %d", code)
		}
	}
	if code := l.dial("udp", "one more").allocate(); code != 508 {
		t.Errorf("all ports taken: %d, want 508", code)
	}
	if code, _ := mine[0].ask(stun.MethodRefresh, lifetime(0)); code != 0 {
		t.Fatalf("giving back: %d", code)
	}
	until(t, "the port is free", func() bool { return l.Stats().Allocations == 15 })
	if code := l.dial("udp", "one more").allocate(); code != 0 {
		t.Errorf("after one was given back: %d", code)
	}
	if s := l.Stats(); s.OverQuota != 100 || s.Made != 17 {
		t.Errorf("%+v", s)
	}
}

// TestT2_Permissions: ten thousand wishes for leave end at the cap, and what was
// given before holds.
func TestT2_Permissions(t *testing.T) {
	l := newLab(t, nil)
	c, other := l.dial("udp", "ana"), l.dial("udp", "bo")
	if c.allocate() != 0 || other.allocate() != 0 {
		t.Fatal("no relays")
	}
	c.permit(other.relay)
	given, refused := 0, 0
	for i := range 10_000 {
		a := netip.AddrFrom4([4]byte{8, byte(i >> 16), byte(i >> 8), byte(i)})
		switch code, _ := c.ask(stun.MethodCreatePermission, peer(netip.AddrPortFrom(a, 9))); code {
		case 0:
			given++
		case 403:
			refused++
		default:
			t.Fatalf("permission %d: %d", i, code)
		}
	}
	if given != defaultPermissions-1 || refused != 10_000-given {
		t.Errorf("%d given, %d refused", given, refused)
	}
	c.permit(other.relay) // a refresh of what it has
	other.permit(c.relay)
	c.say(peer(other.relay), []byte("still"))
	if data, _ := other.hear(patience); string(data) != "still" {
		t.Errorf("got %q", data)
	}
}

// TestLifetimeEnds: an allocation ends by itself, by LIFETIME 0 and with its TCP
// connection (RFC 8656, sections 3.2 and 8.2).
func TestLifetimeEnds(t *testing.T) {
	l := newLab(t, nil)
	if code := l.dial("udp", "ana").allocate(lifetime(1)); code != 0 {
		t.Fatal(code)
	}
	c := l.dial("tcp", "bo")
	if code := c.allocate(); code != 0 {
		t.Fatal(code)
	}
	if n := l.Stats().Allocations; n != 2 {
		t.Fatalf("%d allocations", n)
	}
	until(t, "the first ends after its second", func() bool { return l.Stats().Allocations == 1 })
	_ = c.conn.Close()
	until(t, "the other ends with its connection", func() bool { return l.Stats().Allocations == 0 })
}

// TestCredentials: a name that has ended allocates nothing more, but what it has is
// kept; it says nothing of who it is for, and cannot be made up.
func TestCredentials(t *testing.T) {
	var late atomic.Int64
	l := newLab(t, func(c *Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	})
	c := l.dial("udp", "sip:ana@example.net")
	if strings.Contains(c.name, "ana") || strings.Contains(c.name, "session") {
		t.Errorf("the name tells: %s", c.name)
	}
	if code := c.allocate(); code != 0 {
		t.Fatal(code)
	}
	late.Store(int64(defaultLifetime + time.Minute))
	if code, _ := c.ask(stun.MethodRefresh, lifetime(600)); code != 0 {
		t.Errorf("refresh after the end: %d", code)
	}
	second := l.dial("udp", "sip:ana@example.net")
	second.name, second.key = c.name, c.key
	if code := second.allocate(); code != 400 {
		t.Errorf("an allocation after the end: %d", code)
	}
	late.Store(int64(defaultLifetime + maxAge + time.Minute))
	if code, _ := c.ask(stun.MethodRefresh, lifetime(600)); code != 400 {
		t.Errorf("refresh a day after the end: %d", code)
	}
	late.Store(0)
	for _, name := range []string{"", "x", "9999999999:a.b", "9999999999:aaaaaaaaaaaa.bbbbbbbbbbbb", c.name[:len(c.name)-1] + "a"} {
		forged := l.dial("udp", "eve")
		forged.name = name
		if code := forged.allocate(); code != 400 {
			t.Errorf("%q: %d", name, code)
		}
	}
}

// TestChallengesAreBounded: who shows no credentials is answered so often and no
// oftener (line A13).
func TestChallengesAreBounded(t *testing.T) {
	now := time.Unix(1, 0)
	g := &guard{cap: &limiter{}}
	m := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), overUDP)
	count := func(a string) (n int) {
		for range 10_000 {
			if v, _ := g.judge(m.Raw, netip.MustParseAddr(a), now); v == pass {
				n++
			}
		}
		return n
	}
	for a, want := range map[string]int{"192.0.2.1": challenges, "192.0.2.2": challenges, "2001:db8::1": challenges} {
		if n := count(a); n != want {
			t.Errorf("%s: %d", a, n)
		}
	}
	if n := count("2001:db8::2"); n != 0 { // of the same subscriber
		t.Errorf("a neighbour in the /64: %d", n)
	}
	now = now.Add(time.Second)
	if n := count("192.0.2.1"); n != challenges {
		t.Errorf("a second later: %d", n)
	}
}
