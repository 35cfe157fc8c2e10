package node

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/conference/policy"
	"parley/internal/focus"
	"parley/internal/signaling/session"
)

// wireTap is one end of a signalling connection on virtual time. In a black
// hole what is sent is gone, and neither end is told.
type wireTap struct {
	mu     sync.Mutex // guards what follows
	hole   bool
	closed bool
	frames []string
}

func (w *wireTap) Send(b []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.hole {
		w.frames = append(w.frames, string(b))
	}
	return !w.closed
}

func (w *wireTap) Close(int, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

func (w *wireTap) find(parts ...string) (found []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
next:
	for _, f := range w.frames {
		for _, p := range parts {
			if !strings.Contains(f, p) {
				continue next
			}
		}
		found = append(found, f)
	}
	return found
}

// person drives a session by hand.
type person struct {
	t    *testing.T
	reg  *session.Registry
	s    *session.Session
	wire *wireTap
	w    api.Welcome
	stop chan struct{}
}

func (p *person) open(name string, resume *api.Resume) {
	p.t.Helper()
	p.wire = &wireTap{}
	var err error
	p.s, err = p.reg.Open(&api.Hello{Kind: "hello", Versions: []int{1}, Auth: &api.Auth{Name: name}, Resume: resume}, "ws", netip.MustParseAddr("192.0.2.1"), p.wire)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(p.wire.find(`"welcome"`)[0]), &p.w); err != nil {
		p.t.Fatal(err)
	}
	p.stop = make(chan struct{})
	go p.beat(p.s, p.wire, p.stop)
}

// beat pings as a client does, unless the signalling is in a black hole.
func (p *person) beat(s *session.Session, w *wireTap, stop chan struct{}) {
	tick := time.NewTicker(4 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			w.mu.Lock()
			hole := w.hole
			w.mu.Unlock()
			if !hole {
				s.Ping(w, &api.Ping{Kind: "ping", T: 1})
			}
		}
	}
}

func (p *person) asks(id, method string, params any) {
	p.t.Helper()
	b, err := json.Marshal(params)
	if err != nil {
		p.t.Fatal(err)
	}
	p.s.Request(p.wire, &api.Request{Kind: "request", ID: id, Method: method, Conf: "standup", Params: b})
	synctest.Wait()
	if len(p.wire.find(`"response"`, `"id":"`+id+`"`, `"code":200`)) != 1 {
		p.t.Fatalf("%s: %v", method, p.wire.find(`"id":"`+id+`"`))
	}
}

// TestR2_SignallingBlackholed: for 20 s nothing of the signalling arrives,
// either way. The server notices within 10 s, others see the person suspended
// and never gone; when the network is back the first attempt resumes, with what
// was missed, and no medium was touched.
func TestR2_SignallingBlackholed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		media := &ledger{}
		clk := clock.NewSystem()
		pol := policy.Default()
		pol.Dev = true
		f := focus.New(focus.Config{Plane: media, Clock: clk, Policy: pol})
		reg := session.NewRegistry(session.Config{Port: f, Auth: guests{}, Now: clk.Now})
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { _ = reg.Run(ctx) })
		ana, bob := &person{t: t, reg: reg}, &person{t: t, reg: reg}
		defer func() {
			close(ana.stop)
			close(bob.stop)
			cancel()
			running.Wait()
			if err := f.Shutdown(context.Background(), "test over"); err != nil {
				t.Error(err)
			}
		}()
		for _, p := range []*person{bob, ana} { // the first is the owner
			p.open(map[*person]string{ana: "ana", bob: "bob"}[p], nil)
			p.asks("1", api.ConferenceJoin, api.JoinParams{Device: "laptop", Tracks: []api.PublishParams{{CID: "mic", Kind: "audio", Source: "microphone"}}})
		}
		bob.s.Subscribe(bob.wire, &api.Subscribe{Kind: "subscribe", ID: "2", Conf: "standup", Package: "conference"})
		ana.s.Subscribe(ana.wire, &api.Subscribe{Kind: "subscribe", ID: "2", Conf: "standup", Package: "conference"})
		time.Sleep(9 * time.Second) // virtual
		synctest.Wait()

		start := clk.Now()
		ana.wire.mu.Lock()
		ana.wire.hole = true
		ana.wire.mu.Unlock()
		noticed := time.Duration(0)
		for range 200 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if noticed == 0 && len(bob.wire.find(`"suspended"`)) > 0 {
				noticed = clk.Now().Sub(start)
			}
		}
		if noticed == 0 || noticed > 10*time.Second {
			t.Errorf("noticed after %v", noticed)
		}
		bob.asks("3", api.ConferenceLock, nil) // happens meanwhile
		old := ana.w
		close(ana.stop)
		ana.open("", &api.Resume{Session: old.Session, Token: old.ResumeToken, LastSeq: lastSeq(t, ana.wire)})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !ana.w.Resumed || len(bob.wire.find(`"reachability":"ok"`, `"partial"`)) == 0 {
			t.Errorf("not resumed within 2 s: %+v", ana.w)
		}
		if len(ana.wire.find(`"locked":true`)) == 0 {
			t.Errorf("what happened meanwhile is missing: %v", ana.wire.frames)
		}
		for _, bad := range []string{"participant.left", "track.ended", `"deleted"`, `"disconnected"`} {
			if got := bob.wire.find(bad); len(got) > 0 {
				t.Errorf("bob saw %v", got)
			}
		}
		if n := len(bob.wire.find("participant.joined")); n > 0 {
			t.Errorf("%d joins", n)
		}
		if media.broken.Load() != 0 {
			t.Errorf("%d media were broken", media.broken.Load())
		}
	})
}

// lastSeq is the number of the last frame that arrived.
func lastSeq(t *testing.T, w *wireTap) (last uint64) {
	t.Helper()
	for _, f := range w.find(`"seq"`) {
		var n struct{ Seq uint64 }
		if err := json.Unmarshal([]byte(f), &n); err != nil {
			t.Fatal(err)
		}
		last = max(last, n.Seq)
	}
	return last
}
