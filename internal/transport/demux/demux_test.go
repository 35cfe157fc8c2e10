package demux

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"parley/internal/base/clock"
)

func packet(first, second byte, n int) []byte {
	b := make([]byte, n)
	if n > 0 {
		b[0] = first
	}
	if n > 1 {
		b[1] = second
	}
	return b
}

// RFC 7983, section 7, every first byte, with the gaps.
func TestRFC7983_FirstByte(t *testing.T) {
	for first := 0; first < 256; first++ {
		want, reason := Drop, Gap
		switch {
		case first <= 3:
			want, reason = STUN, ReasonNone
		case first >= 20 && first <= 63:
			want, reason = DTLS, ReasonNone
		case first >= 128 && first <= 191:
			want, reason = RTP, ReasonNone
		}
		k, r := Classify(packet(byte(first), 96, 100))
		if k != want || r != reason {
			t.Errorf("first byte %d: %v %v, want %v %v", first, k, r, want, reason)
		}
	}
}

// RFC 5761, section 4: 192..223 in the second byte is RTCP.
func TestRFC5761_SecondByte(t *testing.T) {
	for second := 0; second < 256; second++ {
		want := RTP
		if second >= 192 && second <= 223 {
			want = RTCP
		}
		if k, _ := Classify(packet(0x80, byte(second), 100)); k != want {
			t.Errorf("second byte %d: %v, want %v", second, k, want)
		}
	}
}

func TestA5_SizeCaps(t *testing.T) {
	for _, c := range []struct {
		first, second byte
		n             int
		kind          Kind
		reason        Reason
	}{
		{0, 0, 0, Drop, TooSmall},
		{0, 1, 3, Drop, TooSmall},
		{0, 1, 19, Drop, TooSmall},
		{0, 1, 20, STUN, ReasonNone},
		{22, 254, 12, Drop, TooSmall},
		{22, 254, 13, DTLS, ReasonNone},
		{0x80, 96, 21, Drop, TooSmall},
		{0x80, 96, 22, RTP, ReasonNone},
		{0x80, 200, 21, Drop, TooSmall},
		{0x80, 200, 22, RTCP, ReasonNone},
		{0x80, 96, 1500, RTP, ReasonNone},
		{0x80, 96, 1501, Drop, TooBig},
		{0, 1, 65507, Drop, TooBig},
		{9, 0, 65507, Drop, TooBig},
	} {
		if k, r := Classify(packet(c.first, c.second, c.n)); k != c.kind || r != c.reason {
			t.Errorf("%d bytes starting %d %d: %v %v, want %v %v", c.n, c.first, c.second, k, r, c.kind, c.reason)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add([]byte{})
	f.Add(packet(0x80, 200, 28))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, r := Classify(b)
		if (k == Drop) != (r != ReasonNone) {
			t.Fatalf("%v with %v", k, r)
		}
		var c Counters
		c.Count(k, r)
	})
}

func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 4000)
}

// D8: a foreign session, whose checks even authenticate, cannot take an
// address from the link that is alive on it; naming it does nothing at all.
func TestD8_AddressOfLiveLinkIsNotCaptured(t *testing.T) {
	tab := NewTable(Config{})
	now := clock.Time(time.Second)
	tab.Bind(now, addr(1), 7)
	for i := 0; i < 20; i++ { // 1/s for 20 s, the owner checks every 5 s
		now = now.Add(time.Second)
		if i%5 == 4 {
			if st, _ := tab.Bind(now, addr(1), 7); st != Refreshed {
				t.Fatalf("owner's refresh: %v", st)
			}
		}
		if st, _ := tab.Bind(now, addr(1), 8); st != Held {
			t.Fatalf("second %d: foreign bind gave %v", i, st)
		}
		if h, _ := tab.Lookup(addr(1)); h != 7 {
			t.Fatalf("second %d: address belongs to %d", i, h)
		}
	}
}

func TestStaleAddressIsTakenOver(t *testing.T) {
	tab := NewTable(Config{})
	now := clock.Time(time.Second)
	tab.Bind(now, addr(1), 7)
	now = now.Add(DefaultConfig().Hold)
	if st, _ := tab.Bind(now, addr(1), 8); st != Bound {
		t.Fatalf("got %v", st)
	}
	tab.Remove(7) // the dead link must not take the address with it
	if h, ok := tab.Lookup(addr(1)); !ok || h != 8 {
		t.Fatalf("owner %d %v", h, ok)
	}
	tab.Unbind(addr(1), 7)
	if h, _ := tab.Lookup(addr(1)); h != 8 {
		t.Fatal("a stranger's unbind worked")
	}
}

func TestPathsPerLinkAreBounded(t *testing.T) {
	tab := NewTable(Config{PathsPerLink: 8})
	now := clock.Time(time.Second)
	for i := 0; i < 1000; i++ {
		now = now.Add(time.Millisecond)
		_, evicted := tab.Bind(now, addr(i), 3)
		if i >= 8 && evicted != addr(i-8) {
			t.Fatalf("bind %d evicted %v, want the oldest %v", i, evicted, addr(i-8))
		}
	}
	if n, _ := tab.Len(); n != 8 {
		t.Fatalf("%d addresses", n)
	}
	tab.Remove(3)
	if n, _ := tab.Len(); n != 0 || len(tab.paths) != 0 {
		t.Fatalf("%d addresses, %d lists after Remove", n, len(tab.paths))
	}
}

func TestUfrags(t *testing.T) {
	tab := NewTable(Config{})
	if !tab.AddUfrag("abcd", 1) || !tab.AddUfrag("abcd", 1) || tab.AddUfrag("abcd", 2) {
		t.Fatal("a ufrag belongs to the first link that added it")
	}
	if h, ok := tab.LookupUfrag([]byte("abcd")); !ok || h != 1 {
		t.Fatal(h, ok)
	}
	tab.RemoveUfrag("abcd")
	if _, ok := tab.LookupUfrag([]byte("abcd")); ok {
		t.Fatal("still there")
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	tab := NewTable(Config{})
	now := clock.Time(time.Second)
	tab.Bind(now, addr(5), 1)
	tab.AddUfrag("abcdefgh", 1)
	ufrag, p := []byte("abcdefgh"), packet(0x80, 96, 1200)
	if n := testing.AllocsPerRun(100, func() {
		Classify(p)
		tab.Lookup(addr(5))
		tab.Lookup(addr(6))
		tab.LookupUfrag(ufrag)
		tab.Bind(now, addr(5), 1)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestNames(t *testing.T) {
	for k := Kind(0); k <= kindCount; k++ {
		if k.String() == "" {
			t.Errorf("kind %d has no name", k)
		}
	}
	for r := Reason(0); r <= ReasonCount; r++ {
		if r.String() == "" {
			t.Errorf("reason %d has no name", r)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	tab := NewTable(Config{})
	now := clock.Time(time.Second)
	for i := 0; i < 1000; i++ {
		tab.Bind(now, addr(i), Handle(i+1))
	}
	p := packet(0x80, 96, 1200)
	for _, hit := range []bool{true, false} {
		b.Run(fmt.Sprintf("hit=%v", hit), func(b *testing.B) {
			b.ReportAllocs()
			base := 0
			if !hit {
				base = 5000
			}
			for i := 0; i < b.N; i++ {
				Classify(p)
				tab.Lookup(addr(base + i%1000))
			}
		})
	}
}
