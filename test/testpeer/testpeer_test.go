package testpeer

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

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

func TestRefusalIsAStatusError(t *testing.T) {
	web := httptest.NewServer(&server{peer: newPeer(t)})
	defer web.Close()
	_, err := Publish(within(t), Options{URL: web.URL})
	var s *StatusError
	if !errors.As(err, &s) || s.Status != http.StatusUnauthorized {
		t.Fatal(err)
	}
}
