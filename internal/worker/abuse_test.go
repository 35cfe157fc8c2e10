package worker

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"parley/internal/media/plane"
	"parley/internal/transport/ice"
	"parley/internal/transport/link"
)

// TestD14_WrongCertificate: in both DTLS roles, whichever side finds the
// certificate wrong, the link is closed and not one frame gets out.
func TestD14_WrongCertificate(t *testing.T) {
	for _, serverDTLS := range []bool{false, true} {
		for _, atServer := range []bool{true, false} {
			t.Run(fmt.Sprintf("serverIsDTLSClient=%v/serverFindsIt=%v", serverDTLS, atServer), func(t *testing.T) {
				r := newRig(t, nil)
				pub := r.connect(join{})
				bad, err := r.open(join{serverDTLS: serverDTLS, wrongPeer: atServer, wrongServe: !atServer})
				if err != nil {
					t.Fatal(err)
				}
				bad.play(pub.publish(), 7)
				evil := bad.publish()
				pub.play(evil, 8)
				bad.run()
				if atServer {
					if e := r.sink.wait(t, bad.conn, plane.LinkFailed); e.Reason != link.ReasonFingerprint {
						t.Errorf("reason %q", e.Reason)
					}
				} else {
					bad.wait(bad.Over(), "over") // the peer refuses; the server is left to its time limit or the alert
					r.leap(16 * time.Second)
					r.sink.wait(t, bad.conn, plane.LinkFailed)
				}
				for i := range uint16(20) {
					_ = pub.SendRTP(header(i, 1), []byte("secret"))
				}
				r.settle()
				if _, ok := r.sink.find(bad.conn, plane.LinkConnected); ok {
					t.Error("the server took the link for connected")
				}
				if s := bad.Stats(); s.RTPIn+s.RTCPIn != 0 {
					t.Errorf("%d frames got out", s.RTPIn)
				}
				if len(pub.got) != 0 {
					t.Error("frames of the impostor were forwarded")
				}
				if c := r.Counters(); c.HalfOpen != 0 {
					t.Errorf("%d unfinished joins left", c.HalfOpen)
				}
			})
		}
	}
}

// hello is a ClientHello that offers only the NULL cipher; with fragmented set,
// only its first bytes in a fragment that says more will come.
func hello(seq byte, fragmented bool) []byte {
	body := append([]byte{0xfe, 0xfd}, make([]byte, 32)...) // version, random
	body = append(body, 0, 0, 0, 2, 0, 0, 1, 0)             // session, cookie, one suite: NULL, no compression
	total := len(body)
	if fragmented {
		body = body[:10]
	}
	h := []byte{1, 0, 0, byte(total), 0, 0, 0, 0, 0, 0, 0, byte(len(body))}
	rec := []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, seq, 0, byte(len(h) + len(body))}
	return append(append(rec, h...), body...)
}

// TestD1_ForeignClientHello: joins in series succeed in both DTLS roles while
// ClientHellos with the NULL cipher, whole and in fragments, arrive from another
// address and from the joining peer's own.
func TestD1_ForeignClientHello(t *testing.T) {
	r := newRig(t, nil)
	server := r.Addrs()[0]
	attacker, err := net.Dial("udp", server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer attacker.Close()
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-pace.C:
			}
			for range 5 {
				_, _ = attacker.Write(hello(byte(i), i%2 == 0))
			}
		}
	}()
	for i := range 20 {
		p, err := r.open(join{serverDTLS: i%2 == 1})
		if err != nil {
			t.Fatal(err)
		}
		p.run()
		// The victim's own address: what a spoofer could send at best.
		for n := 0; ; n++ {
			_ = p.SendRaw(hello(byte(n), n%2 == 0))
			select {
			case <-p.Connected():
			case <-p.Over():
				t.Fatalf("join %d failed: %v", i, p.Err())
			case <-time.After(2 * time.Millisecond):
				if n < int(patience/(2*time.Millisecond)) {
					continue
				}
				t.Fatalf("join %d does not connect", i)
			}
			break
		}
		r.sink.wait(t, p.conn, plane.LinkConnected)
	}
	close(stop)
	<-ended
	if c := r.Counters(); c.Shards[0].Dropped["demux-unknown-source"] == 0 {
		t.Errorf("foreign hellos were not counted: %v", c.Shards[0].Dropped)
	}
}

// TestD2_ForgedMedia: forged SRTP and SRTCP on the right path are counted; the
// session stays up and loses nothing.
func TestD2_ForgedMedia(t *testing.T) {
	const seed = 2
	t.Logf("seed %d", seed)
	rnd := rand.NewChaCha8([32]byte{seed})
	r := newRig(t, nil)
	pub, sub := r.connect(join{}), r.connect(join{})
	sub.play(pub.publish(), 7)
	r.settle()
	forged := 0
	for i := range uint16(100) {
		for n := range uint16(20) {
			b := make([]byte, 200)
			_, _ = rnd.Read(b)
			copy(b, header(i+n+1, 1)) // ahead of the true ones
			if n%4 == 3 {
				copy(b, []byte{0x80, 200, 0, 49, 0, 0, 0, 1})
			}
			if err := pub.SendRaw(b); err != nil {
				t.Fatal(err)
			}
			forged++
		}
		if err := pub.SendRTP(header(i, 1), []byte("true")); err != nil {
			t.Fatal(err)
		}
		sub.expect(i, 7, "true")
	}
	if n := len(sub.got); n != 0 {
		t.Errorf("%d forged packets were forwarded", n)
	}
	d := r.Counters().Shards[0].Dropped
	if n := d["srtp-auth"] + d["srtp-malformed"] + d["srtp-plain"]; n != uint64(forged) {
		t.Errorf("%d of %d forged packets counted: %v", n, forged, d)
	}
	if s, _ := r.Stats(pub.conn); s.State != "connected" {
		t.Errorf("publisher is %s", s.State)
	}
}

// TestD8_AddressCapture: another session's check, valid in itself, arrives from
// the publisher's address once a second for twenty; the publisher loses nothing
// and the other session gets nothing.
func TestD8_AddressCapture(t *testing.T) {
	r := newRig(t, nil)
	pub, sub := r.connect(join{}), r.connect(join{})
	track := pub.publish()
	sub.play(track, 7)
	thief, err := r.open(join{})
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Peer.Close()
	thief.play(track, 9)
	agent := ice.NewController(r.clk.Now(), ice.ControllerConfig{
		Local: thief.creds, Remote: creds(thief.local), Remotes: []ice.Path{{Addr: thief.server}},
	})
	r.settle()
	for i := range uint16(20) {
		agent.Tick(r.clk.Now(), func(_ ice.Path, b []byte) { _ = pub.SendRaw(b) })
		if err := pub.SendRTP(header(i, 1), []byte("mine")); err != nil {
			t.Fatal(err)
		}
		sub.expect(i, 7, "mine")
		// Life signs of the others while the clock leaps.
		_ = sub.SendRTCP(bye)
		r.leap(time.Second)
	}
	// From the 15th second on the thief's own join has timed out.
	d := r.Counters().Shards[0].Dropped
	if d["link-address-held"] < 15 || d["link-address-held"]+d["demux-unknown-ufrag"] != 20 {
		t.Errorf("dropped: %v", d)
	}
	if s, ok := r.Stats(thief.conn); ok && s.RemoteAddr.IsValid() {
		t.Errorf("the thief's link sends to %v", s.RemoteAddr)
	}
}

// TestD12_Caps: unfinished joins are bounded per address with and without a
// token and per node, and freed after 15 s.
func TestD12_Caps(t *testing.T) {
	r := newRig(t, nil)
	open := func(addr string, trusted bool) error {
		_, err := r.Open(plane.Open{
			Conf: "conf_test", Conn: newConn(), Remote: plane.ICECreds{Ufrag: "abcd", Pwd: "0123456789012345678901"},
			Fingerprints: []plane.Fingerprint{fingerprint(r.client)}, Origin: netip.MustParseAddr(addr), Trusted: trusted,
		})
		return err
	}
	for i := range 20 {
		if err := open("192.0.2.1", false); err != nil {
			t.Fatal(i, err)
		}
	}
	wantFault(t, open("192.0.2.1", false), 429)
	for i := range 200 {
		if err := open("192.0.2.1", true); err != nil {
			t.Fatal(i, err)
		}
	}
	wantFault(t, open("192.0.2.1", true), 429)
	for i := range 280 {
		if err := open(fmt.Sprintf("198.51.100.%d", i/2), false); err != nil {
			t.Fatal(i, err)
		}
	}
	wantFault(t, open("203.0.113.9", true), 503)
	if c := r.Counters(); c.Links != 500 || c.HalfOpen != 500 {
		t.Fatalf("%d links, %d half open", c.Links, c.HalfOpen)
	}
	r.leap(15 * time.Second)
	r.settle()
	if c := r.Counters(); c.Links != 0 || c.HalfOpen != 0 || c.Shards[0].Links != 0 || c.Shards[0].JoinTimeouts != 500 {
		t.Fatalf("not freed: %+v", c)
	}
	if a, u := r.shards[0].table.Len(); a != 0 || u != 0 {
		t.Errorf("table keeps %d addresses, %d ufrags", a, u)
	}
	if err := open("192.0.2.1", false); err != nil {
		t.Fatal(err)
	}
}

// TestD12_StalledHandshakes: peers that pass a check and stop at the first
// DTLS fragment are freed after 15 s too.
func TestD12_StalledHandshakes(t *testing.T) {
	r := newRig(t, nil)
	for range 15 {
		p, err := r.open(join{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Peer.Close()
		agent := ice.NewController(r.clk.Now(), ice.ControllerConfig{
			Local: p.creds, Remote: creds(p.local), Remotes: []ice.Path{{Addr: p.server}},
		})
		agent.Tick(r.clk.Now(), func(_ ice.Path, b []byte) { _ = p.SendRaw(b) })
		_ = p.SendRaw(hello(0, true))
	}
	waitFor(t, "checks", func() bool { return r.Counters().Shards[0].Checks == 15 })
	r.leap(15 * time.Second)
	r.settle()
	if c := r.Counters(); c.Links != 0 || c.HalfOpen != 0 {
		t.Fatalf("not freed: %d links, %d half open", c.Links, c.HalfOpen)
	}
}

// TestD13_ConsentExpires: a client that vanishes is disconnected at 10 s, sent
// nothing from 30 s on, and gone before 35; the others notice nothing.
func TestD13_ConsentExpires(t *testing.T) {
	r := newRig(t, nil)
	pub, ghost, sub := r.connect(join{}), r.connect(join{}), r.connect(join{})
	track := pub.publish()
	ghost.play(track, 6)
	sub.play(track, 7)
	r.settle()
	ghost.Vanish()
	<-ghost.ended
	start := r.clk.Now()
	for i := uint16(0); ; i++ {
		if err := pub.SendRTP(header(i, 1), []byte("on")); err != nil {
			t.Fatal(err)
		}
		sub.expect(i, 7, "on")
		_ = sub.SendRTCP(bye)
		r.settle()
		gone := r.clk.Now().Sub(start)
		_, disconnected := r.sink.find(ghost.conn, plane.LinkDisconnected)
		e, failed := r.sink.find(ghost.conn, plane.LinkFailed)
		if gone < 9*time.Second && disconnected || gone < 25*time.Second && failed {
			t.Fatalf("too early, after %v: disconnected %v, failed %v", gone, disconnected, failed)
		}
		if failed {
			if e.Reason != link.ReasonConsent || !disconnected {
				t.Errorf("reason %q, disconnected %v", e.Reason, disconnected)
			}
			break
		}
		if gone > 30*time.Second {
			t.Fatalf("still sending after %v", gone)
		}
		r.leap(500 * time.Millisecond)
	}
	if c := r.Counters(); c.Links != 2 {
		t.Errorf("%d links", c.Links)
	}
	for _, p := range []*peer{pub, sub} {
		if s, _ := r.Stats(p.conn); s.State != "connected" {
			t.Errorf("a bystander is %s", s.State)
		}
	}
}

// waitFor polls what has no event.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: did not happen", what)
		}
	}
}

// TestA7_Junk: nothing that comes from strangers is answered or acted on.
func TestA7_Junk(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, seed))
	r := newRig(t, nil)
	sub, pub := r.connect(join{}), r.connect(join{})
	sub.play(pub.publish(), 7)
	r.settle()
	c, err := net.Dial("udp", r.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range uint16(50) {
		for range 20 {
			b := make([]byte, rnd.IntN(1600))
			for k := range b {
				b[k] = byte(rnd.Uint32())
			}
			if len(b) > 4 && i%2 == 0 { // looks like STUN
				b[0] &= 3
				binary.BigEndian.PutUint16(b[2:], uint16(max(0, len(b)-20)))
			}
			_, _ = c.Write(b)
		}
		if err := pub.SendRTP(header(i, 1), []byte("x")); err != nil {
			t.Fatal(err)
		}
		sub.expect(i, 7, "x")
	}
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 2000)); err == nil {
		t.Errorf("a stranger got %d bytes", n)
	}
}
