package node

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/internal/config"
	"parley/internal/load"
)

// wholeServer is this process's own server with its media, on loopback.
func wholeServer(t *testing.T, change func(*config.Server)) *Node {
	t.Helper()
	loop := netip.MustParseAddr("127.0.0.1")
	c := &config.Server{
		Dev: true, Workers: 1, Data: t.TempDir(), Drain: config.Span(time.Second), LogLevel: "error", LogFormat: "text",
		TURN: config.Listener{Off: true},
		HTTP: config.Endpoint{Addr: loop, Port: freePort(t, "tcp")}, UDP: config.Endpoint{Addr: loop, Port: freePort(t, "udp")},
		Limits: config.LimitsConf{
			HalfOpen: 1000, HalfOpenTrusted: 1000, HalfOpenNode: 1000, HalfOpenTime: config.Span(herdWait),
			Sessions: 1000, PerAddress: 1000, Conferences: 10, Participants: 1000, SpillAt: 1000,
		},
	}
	if change != nil {
		change(c)
	}
	n, err := New(c, "test", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return n
}

// freePort is one that was free a moment ago; the settings have no "any".
func freePort(t *testing.T, network string) uint16 {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		return c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// TestR1_TwoHundredSocketsCut: 200 people receive somebody's picture over real
// links when all their WebSockets are reset at once. Everybody is back by
// resume, spread in time; not one packet is missing at any receiver, nor had
// one to be sent twice; and somebody who watches the conference sees nobody
// come or go.
func TestR1_TwoHundredSocketsCut(t *testing.T) {
	const n = 200
	s := wholeServer(t, nil)
	addr := strings.TrimPrefix(s.URL(), "http://")
	ctx, cancel := context.WithCancel(context.Background())
	watcher := &visitor{
		t: t, addr: func() string { return addr }, ctx: ctx, name: "watcher", room: "load", watches: true,
		reach: map[string]bool{}, joined: make(chan struct{}, 8),
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	running.Go(watcher.run)
	arrive(t, []*visitor{watcher})
	told := -1 // events until the cut
	rep, err := load.Run(ctx, load.Config{
		URL: s.URL(), Room: "load", Publishers: 1, Subscribers: n, Via: "ws", Cut: true,
		Codec: "VP8", Video: true, VideoBPS: 60_000, AudioBPS: 32_000, FPS: 10, JoinRate: 40,
		Warmup: 2 * time.Second, Duration: 8 * time.Second,
		Progress: func(line string) {
			watcher.mu.Lock()
			defer watcher.mu.Unlock()
			switch {
			case strings.HasPrefix(line, "cut "):
				told, watcher.users, watcher.reach = len(watcher.events), 0, map[string]bool{}
			case strings.HasPrefix(line, "measuring "): // until the next line nobody leaves
				for _, e := range watcher.events[max(told, 0):] {
					if told >= 0 && (strings.HasPrefix(e, "participant.") || strings.HasPrefix(e, "track.")) {
						t.Errorf("the watcher was told %s", e)
					}
				}
				if told >= 0 && watcher.users > 0 {
					t.Error("the watcher saw somebody go")
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Subscribers != n || rep.JoinsFailed != 0 || len(rep.Errors) > 0 {
		t.Fatalf("%d joined, %d did not: %q", rep.Subscribers, rep.JoinsFailed, rep.Errors)
	}
	c := rep.Cut
	watcher.mu.Lock()
	suspended := watcher.reach["suspended"]
	watcher.mu.Unlock()
	t.Logf("%d packets published, %d received, at least %d by each, %d lost, %d sent again; back p50 %.0f ms, p95 %.0f ms, last %.0f ms, over %d slots of 50 ms; watcher saw them suspended: %v",
		rep.PacketsOut, rep.PacketsIn, rep.PacketsLeast, rep.Lost, rep.Retransmitted, c.BackP50, c.BackP95, c.BackMax, c.Slots, suspended)
	if c.Resumed != n {
		t.Errorf("%d of %d are back", c.Resumed, n)
	}
	if c.Slots < 5 {
		t.Errorf("they came in one wave, within %d slots", c.Slots)
	}
	// What is under way at either end, a second of it at most, counts for one only.
	if rep.Lost != 0 || rep.Streams != n || rep.PacketsLeast+10 < rep.PacketsOut {
		t.Errorf("%d lost, %d streams, one had %d of %d packets", rep.Lost, rep.Streams, rep.PacketsLeast, rep.PacketsOut)
	}
	if st := s.sessions.Stats(); st.Resumed != n || st.Expired != 0 {
		t.Errorf("sessions: %+v", st)
	}
}
