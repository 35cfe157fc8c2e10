package worker

import (
	"errors"
	"net/netip"
	"testing"

	"parley/internal/base/fault"
)

func wantFault(t *testing.T, err error, code int) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != code || f.RetryAfter <= 0 {
		t.Fatalf("got %v, want %d with RetryAfter", err, code)
	}
}

// TestD12_JoinCounts: the three caps, apart from each other, and freeing.
func TestD12_JoinCounts(t *testing.T) {
	j := newJoins(DefaultCaps())
	a := netip.MustParseAddr("203.0.113.1")
	for range 20 {
		if err := j.enter(a, false); err != nil {
			t.Fatal(err)
		}
	}
	wantFault(t, j.enter(a, false), 429)
	wantFault(t, j.enter(netip.MustParseAddr("::ffff:203.0.113.1"), false), 429) // the same address, mapped
	for range 200 {
		if err := j.enter(a, true); err != nil {
			t.Fatal("an anonymous flood keeps trusted people out: ", err)
		}
	}
	wantFault(t, j.enter(a, true), 429)
	for i := range 280 {
		if err := j.enter(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), i >= 256); err != nil {
			t.Fatal(i, err)
		}
	}
	wantFault(t, j.enter(netip.MustParseAddr("192.0.2.77"), true), 503)
	j.leave(a, false)
	if err := j.enter(netip.MustParseAddr("192.0.2.77"), true); err != nil {
		t.Fatal(err)
	}
	j.leave(netip.MustParseAddr("192.0.2.77"), true)
	for range 19 {
		j.leave(a, false)
	}
	for range 200 {
		j.leave(a, true)
	}
	for i := range 280 {
		j.leave(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), i >= 256)
	}
	if j.total != 0 || len(j.addr) != 0 {
		t.Fatalf("left over: %d in %d addresses", j.total, len(j.addr))
	}
}

// TestD12_IPv6Prefix: addresses of one /64 count as one.
func TestD12_IPv6Prefix(t *testing.T) {
	j := newJoins(DefaultCaps())
	for i := range 20 {
		b := netip.MustParseAddr("2001:db8::").As16()
		b[15] = byte(i)
		if err := j.enter(netip.AddrFrom16(b), false); err != nil {
			t.Fatal(err)
		}
	}
	wantFault(t, j.enter(netip.MustParseAddr("2001:db8::ffff:1"), false), 429)
	if err := j.enter(netip.MustParseAddr("2001:db8:0:1::1"), false); err != nil {
		t.Fatal(err)
	}
}

func TestIDPoolQuarantine(t *testing.T) {
	p := idPool{quarantine: 3}
	a, b := p.get(), p.get()
	p.put(a)
	p.put(b)
	if c, d := p.get(), p.get(); c != 3 || d != 4 {
		t.Fatalf("numbers came back too early: %d %d", c, d)
	}
	p.put(3)
	p.put(4)
	if c := p.get(); c != a {
		t.Fatalf("got %d, want the oldest, %d", c, a)
	}
}
