// Package narrow holds tests on paths that carry only small packets. They run in
// a network namespace of their own, whose loopback interface is that path.
package narrow

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/internal/simnet"
	"parley/internal/simnet/relay"
	"parley/test/harness"
	"parley/test/testpeer"
)

func TestMain(m *testing.M) { os.Exit(harness.Alone(m)) }

const (
	patience = 30 * time.Second
	mtu      = 1280
	own      = 1200 // bytes of UDP payload of what the server makes itself
	passed   = 1232 // of what it forwards: mtu less 48 of IPv6 and UDP
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestQ15_SmallPacketsOnly joins, publishes and repairs over a path of 1280 bytes
// that tells nobody, with peers whose certificates are short and long.
func TestQ15_SmallPacketsOnly(t *testing.T) {
	harness.NeedNamespace(t)
	for name, key := range map[string]func() (crypto.PrivateKey, error){
		"ECDSA":    func() (crypto.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
		"RSA-2048": func() (crypto.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) },
	} {
		t.Run(name, func(t *testing.T) {
			k, err := key()
			if err != nil {
				t.Fatal(err)
			}
			cert, err := webrtc.GenerateCertificate(k)
			if err != nil {
				t.Fatal(err)
			}
			join(t, testpeer.Setup{Certificate: cert})
		})
	}
}

// join has one peer publish packets as large as browsers make them, and another
// play them over a way that loses a tenth.
func join(t *testing.T, set testpeer.Setup) {
	s := harness.Start(t, harness.Options{})
	harness.Narrow(t, mtu)
	sizes := harness.Sniff(t, s.UDP)
	pub, err := testpeer.Publish(within(t, patience), testpeer.Options{
		URL: s.URL + "/whip/narrow", Setup: set,
		// 1200 bytes of RTP with header and extensions, as libwebrtc's largest; SRTP adds 16.
		Script: testpeer.Script{FrameRate: 25, PacketsPerFrame: 4, PacketBytes: 1170, AudioBytes: 80},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pub.Abandon() })
	if err := pub.Connected(within(t, patience)); err != nil {
		t.Fatalf("publisher: %v", err)
	}
	lossy, err := relay.Start(relay.Config{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Target: s.UDP, Seed: 3, Down: simnet.Config{Loss: 0.1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lossy.Close() })
	sub, err := testpeer.Play(within(t, patience), testpeer.Options{
		URL: s.URL + "/whep/narrow", Setup: set, EditOffer: testpeer.NoCandidates, EditAnswer: testpeer.Via(lossy.Addr()),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Abandon() })
	tracks, err := sub.WaitTracks(within(t, patience), 2, 300)
	if err != nil {
		t.Fatal(err)
	}
	large, made, packets, fragments := sizes.Largest()
	down := lossy.Stats().Down
	var got, gaps uint64
	for _, r := range tracks {
		got, gaps = got+r.Packets(), gaps+r.Gaps()
	}
	t.Logf("Q15: %d datagrams of the server, largest %d, of DTLS and STUN %d, %d fragments; viewer: %d of %d lost, %d packets, %d numbers missing at first",
		packets, large, made, fragments, down.Lost, down.Sent, got, gaps)
	if made > own || large > passed || fragments > 0 {
		t.Errorf("largest %d (want at most %d), of our own making %d (%d), %d fragments", large, passed, made, own, fragments)
	}
	if n := harness.TooLarge(t); n > 0 {
		t.Errorf("%d packets were too large for the path", n)
	}
	if large < own {
		t.Errorf("nothing was larger than %d: nothing is shown", large)
	}
	if down.Lost == 0 {
		t.Error("nothing was lost: no repair was seen")
	}
}
