package process

import (
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/internal/simnet"
	"parley/internal/simnet/relay"
	"parley/test/harness"
	"parley/test/testpeer"
)

// Figures of scenario D13: RFC 7675, section 5.1, gives consent 30 s.
const (
	quietWithin = 30 * time.Second
	freedWithin = 35 * time.Second
	slack       = 2 * time.Second // reading accounts on a busy machine takes its time
)

// TestD13_ClientVanishes cuts a viewer's way to the server without a word; what
// the server still sends is seen on the relay between them.
func TestD13_ClientVanishes(t *testing.T) {
	t.Parallel() // with L3: both mostly wait
	s := harness.Start(t, harness.Options{})
	publish(t, s, "gone", testpeer.Options{})
	before := s.MustStats(t)
	r, err := relay.Start(relay.Config{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Target: s.UDP, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	p, err := testpeer.Play(within(t, patience), testpeer.Options{
		URL: s.URL + "/whep/gone", EditOffer: testpeer.NoCandidates, EditAnswer: testpeer.Via(r.Addr()),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Abandon() })
	if _, err := p.WaitTracks(within(t, patience), 2, 20); err != nil {
		t.Fatal(err)
	}

	r.Set(simnet.Config{Loss: 1}, simnet.Config{})
	cut := time.Now()
	quiet := watchQuiet(r, cut)
	st, freed := s.Eventually(t, freedWithin+slack, "the link freed", func(st *harness.Stats) bool {
		return st.Media.Links == before.Media.Links
	})
	sent := quiet()
	t.Logf("sent for %v after the cut, freed after %v: %v", sent, freed, &st)
	if sent > quietWithin+slack {
		t.Errorf("the server sent for %v", sent)
	}
	s.Eventually(t, patience, "goroutines", func(st *harness.Stats) bool { return st.Goroutines <= before.Goroutines+2 })
	if st.Media.Tracks != before.Media.Tracks || st.Media.Conferences != 1 {
		t.Errorf("the publisher's room changed: %v", &st)
	}
}

// watchQuiet notes when the server last sent something; the returned function
// ends that and tells how long after cut it was.
func watchQuiet(r *relay.Relay, cut time.Time) func() time.Duration {
	quit, last := make(chan struct{}), make(chan time.Time)
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		seen, at := r.Stats().Down.Sent, cut
		for {
			select {
			case <-quit:
				last <- at
				return
			case now := <-tick.C:
				if n := r.Stats().Down.Sent; n != seen {
					seen, at = n, now
				}
			}
		}
	}()
	return func() time.Duration { close(quit); return (<-last).Sub(cut) }
}

// churnFor is ten minutes with SOAK=1, as the scenario has it; a few rounds of 25
// show a leak of one goroutine a join as well.
func churnFor() time.Duration {
	if os.Getenv("SOAK") != "" {
		return 10 * time.Minute
	}
	return 15 * time.Second
}

// churn lets 25 viewers in, leaves them 2 s, and ends their process without
// goodbye, by WHEP and by WebSocket in turn.
func churn(t *testing.T, s *harness.Server, round int) {
	t.Helper()
	via := []string{"whep", "ws"}[round%2]
	l := startLoad(t, s, "--room", "churn", "--via", via, "--publishers", "0", "--subscribers", "25", "--sections", "1",
		"--join-rate", "50", "--warmup", "0s", "--duration", "1m")
	l.joined(t)
	select {
	case <-time.After(2 * time.Second): // they stay; nothing is waited for
	case <-s.Exited():
	}
	l.kill()
}

func TestL3_Churn(t *testing.T) {
	t.Parallel()
	harness.Busy(t)
	s := harness.Start(t, harness.Options{Args: []string{"--limits.half-open", "200"}})
	publish(t, s, "churn", testpeer.Options{Script: small})
	churn(t, s, 0) // what the first viewer brings into being stays: pools, handshake workers
	churn(t, s, 1)
	start, _ := s.Eventually(t, 2*freedWithin, "the first round freed", onlyPublisher)
	rounds := 2
	for began := time.Now(); time.Since(began) < churnFor(); rounds++ {
		churn(t, s, rounds)
	}
	worst := s.MustStats(t)
	end, took := s.Eventually(t, freedWithin+patience, "all freed", func(st *harness.Stats) bool {
		return onlyPublisher(st) && st.Goroutines <= start.Goroutines+10
	})
	t.Logf("%d rounds of 25; start: %v; at the last cut: %v; %v later: %v", rounds, &start, &worst, took, &end)
	// A session over the WebSocket may be resumed for a while and is freed after.
	s.Eventually(t, 2*time.Minute, "heap", func(st *harness.Stats) bool {
		return st.HeapBytes < start.HeapBytes+start.HeapBytes/4+(4<<20) && st.Buffers <= start.Buffers+64
	})
}

func onlyPublisher(st *harness.Stats) bool { return st.Media.Links == 1 && st.Media.HalfOpen == 0 }

// TestL3_ChurnDuringDrain stops the server while people join and vanish.
func TestL3_ChurnDuringDrain(t *testing.T) {
	harness.Busy(t)
	s := harness.Start(t, harness.Options{Args: []string{"--limits.half-open", "200"}})
	publish(t, s, "churn", testpeer.Options{Script: small})
	churn(t, s, 0)
	churn(t, s, 1)
	joining := startLoad(t, s, "--room", "churn", "--publishers", "0", "--subscribers", "500", "--sections", "1",
		"--join-rate", "50", "--duration", "1m")
	s.Eventually(t, patience, "joins under way", func(st *harness.Stats) bool { return st.Media.Links > 60 })
	t.Logf("stopped in %v", s.Stop())
	joining.kill()
}

// TestSIGTERM_SaysGoodbye has rooms with people on every kind of signalling.
func TestSIGTERM_SaysGoodbye(t *testing.T) {
	harness.Busy(t)
	s := harness.Start(t, harness.Options{Workers: 2})
	pub := publish(t, s, "one", testpeer.Options{})
	play, err := testpeer.Play(within(t, patience), testpeer.Options{URL: s.URL + "/whep/one"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = play.Abandon() })
	if _, err := play.WaitTracks(within(t, patience), 2, 20); err != nil {
		t.Fatal(err)
	}
	l := startLoad(t, s, "--room", "two", "--via", "ws", "--publishers", "2", "--subscribers", "10", "--duration", "1m")
	l.joined(t)
	var people []*person
	for _, room := range []string{"", "one", "one", "three", "three", "three"} { // "": no room
		people = append(people, enter(t, s, room))
	}

	began := time.Now()
	s.Signal(syscall.SIGTERM)
	var g sync.WaitGroup
	for i, p := range people {
		g.Go(func() {
			bye, err := p.goodbye(within(t, patience))
			if err != nil || bye.Action != "reconnect" || bye.Reason != "shutdown" {
				t.Errorf("person %d: goodbye %+v, %v", i, bye, err)
			}
		})
	}
	took := s.Await(began)
	g.Wait()
	t.Logf("%d people heard goodbye; ended after %v", len(people), took)
	for _, p := range []*testpeer.Peer{pub, play} { // the media side says it too
		select {
		case <-p.Failed():
		case <-time.After(patience):
			t.Errorf("a peer of WHIP or WHEP was left: %v", p.PeerConnection().ConnectionState())
		}
	}
	if st := play.PeerConnection().ConnectionState(); st == webrtc.PeerConnectionStateConnected {
		t.Error("still connected")
	}
}
