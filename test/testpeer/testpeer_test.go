package testpeer

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"parley/internal/simnet"
	"parley/internal/simnet/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func newPeer(t *testing.T) *Peer {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

// TestPeerToPeer: two of us exchange media, in order and whole, and key-frame
// requests go back.
func TestPeerToPeer(t *testing.T) {
	ctx := within(t)
	a, b := newPeer(t), newPeer(t)
	if err := a.Send(DefaultScript); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	bad := 0
	var next uint64
	b.OnRTP(func(r *Received, p *rtp.Packet) {
		if r.Track.Kind() != webrtc.RTPCodecTypeVideo {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if c := binary.BigEndian.Uint64(p.Payload[14:]); c < next {
			bad++
		} else {
			next = c + 1
		}
	})
	if err := Connect(ctx, a, b); err != nil {
		t.Fatal(err)
	}
	tracks, err := b.WaitTracks(ctx, 2, 20)
	if err != nil {
		t.Fatal(err)
	}
	for a.PLIs() == 0 && ctx.Err() == nil {
		if err := b.RequestKeyFrames(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	if a.PLIs() == 0 || a.Sent() < 40 {
		t.Fatalf("%d PLI, %d sent", a.PLIs(), a.Sent())
	}
	mu.Lock()
	defer mu.Unlock()
	for _, r := range tracks {
		t.Logf("%s: %d packets, %d gaps", r.Track.Kind(), r.Packets(), r.Gaps())
	}
	if bad != 0 || next == 0 {
		t.Fatalf("%d out of order, next %d", bad, next)
	}
}

func TestL1_CheckIntervalIsShort(t *testing.T) {
	p := newPeer(t)
	if err := hurry(p.pc); err == nil {
		t.Fatal("no agent yet, but no error")
	}
	if err := p.Receive(1, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := p.offer(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := hurry(p.pc); err != nil {
		t.Fatal(err)
	}
}

// server is a WHIP and WHEP endpoint made of another peer.
type server struct {
	peer    *Peer
	deleted chan string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer secret" {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodDelete {
		s.deleted <- r.URL.Path
		return
	}
	offer, _ := io.ReadAll(r.Body)
	err := s.peer.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(offer)})
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	a, err := s.peer.pc.CreateAnswer(nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer, err := s.peer.local(r.Context(), a)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Location", "/resource/1")
	w.Header().Set("ETag", `"one"`)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer)
}

func TestWHIPAndWHEP(t *testing.T) {
	for _, kind := range []string{"whip", "whep"} {
		t.Run(kind, func(t *testing.T) {
			ctx := within(t)
			s := &server{peer: newPeer(t), deleted: make(chan string, 1)}
			web := httptest.NewServer(s)
			defer web.Close()
			opt := Options{URL: web.URL + "/" + kind + "/room", Token: "secret"}
			start, receiver := Publish, s.peer
			if kind == "whep" {
				start = Play
				if err := s.peer.Send(DefaultScript); err != nil {
					t.Fatal(err)
				}
			}
			p, err := start(ctx, opt)
			if err != nil {
				t.Fatal(err)
			}
			if kind == "whep" {
				receiver = p
			}
			if err := p.Connected(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := receiver.WaitTracks(ctx, 2, 5); err != nil {
				t.Fatal(err)
			}
			if where, etag := p.Resource(); !strings.HasSuffix(where, "/resource/1") || etag != `"one"` {
				t.Fatal(where, etag)
			}
			if err := p.Close(ctx); err != nil {
				t.Fatal(err)
			}
			if got := <-s.deleted; got != "/resource/1" {
				t.Fatal(got)
			}
		})
	}
}

// TestThroughRelay publishes over an impaired path: every packet passes the
// relay, and the media arrives in spite of what it loses.
func TestThroughRelay(t *testing.T) {
	ctx := within(t)
	s := &server{peer: newPeer(t), deleted: make(chan string, 1)}
	web := httptest.NewServer(s)
	defer web.Close()
	path := simnet.Config{Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.05}
	var r *relay.Relay
	p, err := Publish(ctx, Options{
		URL: web.URL, Token: "secret", EditOffer: NoCandidates,
		EditAnswer: func(answer string) string {
			var err error
			if r, err = relay.Start(relay.Config{
				Listen: netip.MustParseAddrPort("127.0.0.1:0"), Target: loopbackCandidate(t, answer),
				Seed: 1, Up: path, Down: path,
			}); err != nil {
				t.Error(err)
				return answer
			}
			return Via(r.Addr())(answer)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	tracks, err := s.peer.WaitTracks(ctx, 2, 30)
	if err != nil {
		t.Fatal(err)
	}
	st := r.Stats()
	if st.Up.Lost == 0 || st.Up.Sent < tracks[0].Packets() {
		t.Fatalf("%+v", st)
	}
	t.Logf("%+v", st)
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// loopbackCandidate finds the address the server peer has on 127.0.0.1.
func loopbackCandidate(t *testing.T, sdp string) netip.AddrPort {
	t.Helper()
	for l := range strings.Lines(sdp) {
		if f := strings.Fields(l); strings.HasPrefix(l, "a=candidate:") && f[2] == "udp" && f[4] == "127.0.0.1" {
			return netip.MustParseAddrPort(f[4] + ":" + f[5])
		}
	}
	t.Error("no loopback candidate in " + sdp)
	return netip.MustParseAddrPort("127.0.0.1:9")
}

func TestRefusalIsAStatusError(t *testing.T) {
	web := httptest.NewServer(&server{peer: newPeer(t)})
	defer web.Close()
	_, err := Publish(within(t), Options{URL: web.URL})
	var s *StatusError
	if !errors.As(err, &s) || s.Status != http.StatusUnauthorized {
		t.Fatal(err)
	}
}
