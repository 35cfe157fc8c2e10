//go:build abuse && linux

package abusetest

import (
	"crypto/rand"
	"encoding/binary"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"

	"parley/internal/media/plane"
)

// TestD2_A7_ForgedMediaOnTheRightPath: 10,000 forged SRTP and SRTCP packets a
// second from the publisher's own address and port are counted, never acted on.
func TestD2_A7_ForgedMediaOnTheRightPath(t *testing.T) {
	const seed = 2
	t.Logf("seed %d", seed)
	rnd := mrand.NewChaCha8([32]byte{seed})
	s := start(t)
	ctrl := s.control(t)
	room := s.call(t, "forged")
	ssrc := room.pub.section(plane.Audio).Send.SSRC
	pt := room.pub.section(plane.Audio).Send.Codecs[0].PT
	before := s.shard(t)
	began, forged := time.Now(), 0
	for dur := soak(5*time.Second, 30*time.Second); time.Since(began) < dur; {
		for due := int(time.Since(began).Seconds() * 10000); forged < due; forged++ {
			b := make([]byte, 60+forged%1100)
			_, _ = rnd.Read(b)
			b[0], b[1] = 0x80, pt
			binary.BigEndian.PutUint16(b[2:], uint16(forged*7)) // behind, ahead, far ahead: index and window must not move
			binary.BigEndian.PutUint32(b[8:], ssrc)
			if forged%4 == 3 {
				b[1] = byte(200 + forged%8)
				binary.BigEndian.PutUint32(b[4:], ssrc)
			}
			_ = room.pub.SendRaw(b)
		}
		time.Sleep(time.Millisecond)
	}
	after := s.shard(t)
	select {
	case <-room.pub.Over():
		t.Error("the session ended")
	default:
	}
	sent, lost := room.end()
	t.Logf("%d forged, %d of %d own packets lost; dropped: %v", forged, lost, sent, after.Dropped)
	if float64(lost) > float64(sent)/1000 {
		t.Errorf("the publisher lost %d of %d", lost, sent)
	}
	if n := len(room.got.seen); n > sent+1 {
		t.Errorf("%d forged packets were forwarded", n-sent-1)
	}
	if refused := after.Dropped["srtp-auth"] - before.Dropped["srtp-auth"]; refused == 0 {
		t.Errorf("no counter of packets that do not authenticate: %v", after.Dropped)
	}
	ctrl.end(t)
}

// TestD5_JunkAndForgedChecks: 50,000 datagrams a second of junk, then of checks
// with a right user name and a wrong key: silence, cheap, and no room suffers.
func TestD5_JunkAndForgedChecks(t *testing.T) {
	s := start(t)
	ctrl := s.control(t)
	victim := s.mustJoin(t, joining{kind: "whep", room: controlRoom})
	floods := []struct {
		name    string
		packets [][]byte
		aim     float64
	}{
		{"junk", junk(), 25},
		{"checks with a wrong key", forgedChecks(t, victim.remote.Ufrag+":"+victim.creds.Ufrag), 40},
	}
	for _, f := range floods {
		t.Run(f.name, func(t *testing.T) { s.withstand(t, f.packets, f.aim) })
	}
	select {
	case <-victim.Over():
		t.Error("the victim's session ended")
	default:
	}
	victim.leave()
	ctrl.end(t)
}

func (s *server) withstand(t *testing.T, packets [][]byte, aim float64) {
	const pps = 50000
	share := func(dur time.Duration) float64 {
		began, used := time.Now(), s.cpu()
		time.Sleep(dur)
		return (s.cpu() - used).Seconds() / time.Since(began).Seconds()
	}
	dur := soak(8*time.Second, 30*time.Second)
	bare := bareReader(t, pps, dur/4, packets)
	idle := share(2 * time.Second)
	before := s.stats(t, true)
	f := flood(t, netip.AddrPort{}, s.udp, pps, packets)
	busy := share(dur)
	rss := s.rss() // while it lasts
	sent, replies := f.end()
	rate := float64(sent) / dur.Seconds()
	t.Logf("%d datagrams (%.0f/s), %d replies; %.1f %% of a core beside the room's %.1f %% (aim: %.0f %%), %.1f × a bare reader; RSS %+.1f MiB",
		sent, rate, replies, 100*(busy-idle), 100*idle, aim, (busy-idle)/max(bare, .001), mib(int64(rss)-int64(before.rss)))
	if replies > 0 {
		t.Errorf("%d replies", replies)
	}
	if int64(rss)-int64(before.rss) > 5<<20+2<<20 { // a page more or less of the collector's
		t.Errorf("RSS grew from %.1f to %.1f MiB", mib(before.rss), mib(rss))
	}
	if rate < pps/4 {
		t.Logf("this machine could not send %d/s", pps)
	}
	var seen, was uint64
	for _, n := range s.shard(t).Dropped {
		seen += n
	}
	for _, n := range before.Media.Shards[0].Dropped {
		was += n
	}
	t.Logf("%.1f %% of them counted as dropped by the server, the rest by the kernel", 100*float64(seen-was)/float64(sent))
}

// junk has every first byte and many lengths.
func junk() (all [][]byte) {
	rnd := mrand.NewChaCha8([32]byte{5})
	for i := range 1024 {
		b := make([]byte, []int{1, 3, 4, 12, 20, 28, 40, 100, 200, 600, 1200, 1400}[i%12])
		_, _ = rnd.Read(b)
		b[0] = byte(i)
		all = append(all, b)
	}
	return all
}

func forgedChecks(t *testing.T, user string) (all [][]byte) {
	for range 256 {
		var prio, tie [8]byte
		_, _ = rand.Read(tie[:])
		m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(user),
			stun.RawAttribute{Type: stun.AttrPriority, Value: prio[:4]}, stun.RawAttribute{Type: stun.AttrICEControlling, Value: tie[:]},
			stun.RawAttribute{Type: stun.AttrUseCandidate}, stun.NewShortTermIntegrity("notthepasswordofthisconnection"), stun.Fingerprint)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m.Raw)
	}
	return all
}

// TestD6_NoReflector: what has proved nothing gets no byte back from the media
// port; what has gets at most about what it sent.
func TestD6_NoReflector(t *testing.T) {
	s := start(t)
	ctrl := s.control(t)
	c := s.mustJoin(t, joining{kind: "whep", room: controlRoom})
	user := c.remote.Ufrag + ":" + c.creds.Ufrag
	build := func(set ...stun.Setter) []byte {
		m, err := stun.Build(append([]stun.Setter{stun.TransactionID}, set...)...)
		if err != nil {
			t.Fatal(err)
		}
		return m.Raw
	}
	ask := map[string][]byte{
		"binding request, bare":         build(stun.BindingRequest),
		"binding request, fingerprint":  build(stun.BindingRequest, stun.Fingerprint),
		"unknown user":                  build(stun.BindingRequest, stun.NewUsername("nobody:here"), stun.NewShortTermIntegrity("x"), stun.Fingerprint),
		"right user, no integrity":      build(stun.BindingRequest, stun.NewUsername(user), stun.Fingerprint),
		"right user, wrong key":         build(stun.BindingRequest, stun.NewUsername(user), stun.NewShortTermIntegrity("x"), stun.Fingerprint),
		"right user, unknown attribute": build(stun.BindingRequest, stun.NewUsername(user), stun.RawAttribute{Type: 0x7777, Value: []byte("what")}, stun.NewShortTermIntegrity("x"), stun.Fingerprint),
		"role conflict, wrong key": build(stun.BindingRequest, stun.NewUsername(user), stun.RawAttribute{Type: stun.AttrICEControlled, Value: make([]byte, 8)},
			stun.NewShortTermIntegrity("x"), stun.Fingerprint),
		"binding indication": build(stun.NewType(stun.MethodBinding, stun.ClassIndication), stun.NewUsername(user), stun.NewShortTermIntegrity("x")),
		"binding success":    build(stun.BindingSuccess), "binding error": build(stun.BindingError, stun.CodeUnauthorized),
		"TURN allocate": build(stun.NewType(stun.MethodAllocate, stun.ClassRequest), stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{17, 0, 0, 0}}),
		"TURN channel":  {0x40, 0, 0, 4, 1, 2, 3, 4},
		"hello":         hello(0, false), "hello fragment": hello(1, true),
		"DTLS alert": {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40},
		"RTP":        append([]byte{0x80, 111, 0, 1}, make([]byte, 60)...), "RTCP": append([]byte{0x80, 200, 0, 6}, make([]byte, 60)...),
		"DNS": append([]byte{0x12, 0x34, 1, 0, 0, 1}, make([]byte, 20)...), "NTP": append([]byte{0x23}, make([]byte, 47)...),
		"empty": {}, "largest": make([]byte, 65507),
	}
	for name, b := range ask {
		if n := bytesBack(t, s.udp, b, 20, 60*time.Millisecond); n > 0 {
			t.Errorf("%s: %d bytes back for %d", name, n, 20*len(b))
		}
	}
	good := build(stun.BindingRequest, stun.NewUsername(user), stun.RawAttribute{Type: stun.AttrPriority, Value: []byte{1, 2, 3, 4}},
		stun.RawAttribute{Type: stun.AttrICEControlling, Value: make([]byte, 8)}, stun.NewShortTermIntegrity(c.remote.Pwd), stun.Fingerprint)
	back := bytesBack(t, s.udp, good, 1, 2*time.Second)
	t.Logf("%d kinds of unvalidated requests: 0 bytes back; an authenticated check: %d bytes for %d", len(ask), back, len(good))
	if back == 0 || back > len(good) {
		t.Errorf("an authenticated check of %d bytes got %d", len(good), back)
	}
	c.leave()
	ctrl.end(t)
}

// bytesBack sends b some times from a fresh socket and counts what returns.
func bytesBack(t *testing.T, to netip.AddrPort, b []byte, times int, wait time.Duration) (n int) {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range times {
		_, _ = c.Write(b)
	}
	buf := make([]byte, 4096)
	_ = c.SetReadDeadline(time.Now().Add(wait))
	for {
		got, err := c.Read(buf)
		if err != nil {
			return n
		}
		if n += got; times == 1 {
			return n
		}
	}
}
