package turn

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

func FuzzFrame(f *testing.F) {
	for _, b := range [][]byte{{}, {0, 1, 0, 4}, {0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0}, {0x4F, 0xFF, 0xFF, 0xFF}, {0x80, 0, 0, 0}, {0, 1, 0, 3}, {0x16, 3, 1, 2}} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := frameLen(b)
		if err != nil && n != 0 || n < 0 || n > maxFrame || n > 0 && n < 4 {
			t.Fatalf("%d, %v", n, err)
		}
	})
}

func FuzzJudge(f *testing.F) {
	c := Config{Relays: []Relay{{loopback, loopback}}, Ports: Ports{50000, 50009}, Listen: netip.AddrPortFrom(loopback, 1)}
	r := newRelays(&c)
	g := &guard{peers: newPeers(&c, r), relays: r, cap: &limiter{}}
	key := stun.MessageIntegrity("key")
	for _, m := range []stun.Method{stun.MethodAllocate, stun.MethodCreatePermission, stun.MethodChannelBind, stun.MethodConnect, stun.MethodSend} {
		f.Add(stun.MustBuild(stun.TransactionID, stun.NewType(m, stun.ClassRequest), to("10.0.0.1:1"), overUDP, key).Raw)
		f.Add(stun.MustBuild(stun.TransactionID, stun.NewType(m, stun.ClassRequest), to("[::1]:1"), key).Raw)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, code := g.judge(b, loopback, time.Unix(int64(len(b)), 0))
		if v != refuse {
			return
		}
		m := &stun.Message{Raw: answer(b, code)}
		if err := m.Decode(); err != nil || len(m.Raw) > len(b) {
			t.Fatalf("an answer of %d bytes to %d: %v", len(m.Raw), len(b), err)
		}
	})
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"", ":", "1:aaaaaaaaaaaa.bbbbbbbbbbbb", "-1:aaaaaaaaaaaa.bbbbbbbbbbbb", "99999999999999:a.b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if at, user, ok := parseName(s); ok && (len(user) != tagLen || at.Unix() < 0) {
			t.Fatalf("%q: %v %q", s, at, user)
		}
	})
}
