package process

import (
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"parley/internal/simnet"
	"parley/internal/simnet/relay"
	"parley/test/harness"
	"parley/test/testpeer"
)

// Figures of scenario R3 for a client that checks each 500 ms, and how often each
// side moves in the long run.
const (
	checkEach = 500 * time.Millisecond
	gapP95    = time.Second
	moves     = 20
)

// relayed starts a relay in front of a server.
func relayed(t *testing.T, s *harness.Server, up, down simnet.Config) *relay.Relay {
	t.Helper()
	r, err := relay.Start(relay.Config{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Target: s.UDP, Seed: 1, Up: up, Down: down})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// ear notes when sound arrives, every 20 ms if all is well.
type ear struct {
	mu    sync.Mutex // guards all below
	at    []time.Time
	fresh chan struct{}
}

func (e *ear) hear(r *testpeer.Received, _ *rtp.Packet) {
	if r.Track.Kind().String() != "audio" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.at = append(e.at, time.Now())
	if e.fresh != nil {
		close(e.fresh)
		e.fresh = nil
	}
}

// since returns the arrivals from an instant on, after the last one before it,
// once there are n, or an error's worth of nothing after patience.
func (e *ear) since(t *testing.T, from time.Time, n int) []time.Time {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		e.mu.Lock()
		i, _ := slices.BinarySearchFunc(e.at, from, time.Time.Compare)
		got := slices.Clone(e.at[max(0, i-1):])
		if e.fresh == nil {
			e.fresh = make(chan struct{})
		}
		fresh := e.fresh
		e.mu.Unlock()
		if len(got) > n {
			return got
		}
		select {
		case <-fresh:
		case <-limit.C:
			t.Fatalf("%d packets within %v of the move", len(got), patience)
		}
	}
}

// TestR3_SourceAddressChanges moves a publisher and a viewer to new source ports,
// as a NAT does that lost its mappings. Both go on without leaving.
func TestR3_SourceAddressChanges(t *testing.T) {
	n := 8
	if os.Getenv("SOAK") != "" {
		n = 2 * moves
	}
	s := harness.Start(t, harness.Options{})
	var near, far ear
	set := testpeer.Setup{Check: checkEach}
	up, down := relayed(t, s, simnet.Config{}, simnet.Config{}), relayed(t, s, simnet.Config{}, simnet.Config{})
	pub := publish(t, s, "moving", testpeer.Options{Setup: set, EditOffer: testpeer.NoCandidates, EditAnswer: testpeer.Via(up.Addr())})
	play := func(opt testpeer.Options) *testpeer.Peer {
		opt.URL = s.URL + "/whep/moving"
		p, err := testpeer.Play(within(t, patience), opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Abandon() })
		if _, err := p.WaitTracks(within(t, patience), 2, 50); err != nil {
			t.Fatal(err)
		}
		return p
	}
	direct := play(testpeer.Options{OnRTP: near.hear})
	behind := play(testpeer.Options{OnRTP: far.hear, Setup: set, EditOffer: testpeer.NoCandidates, EditAnswer: testpeer.Via(down.Addr())})
	before := s.MustStats(t)

	gaps := map[string][]time.Duration{}
	for i := range n {
		who, r, e := "publisher", up, &near
		if i%2 == 1 {
			who, r, e = "viewer", down, &far
		}
		e.since(t, time.Now(), 5+7*(i%4)) // not always at the same distance from a check
		moved := time.Now()
		if err := r.Rebind(); err != nil {
			t.Fatal(err)
		}
		at := e.since(t, moved, 25)
		worst := time.Duration(0)
		for k := 1; k < len(at); k++ {
			worst = max(worst, at[k].Sub(at[k-1]))
		}
		gaps[who] = append(gaps[who], worst)
	}
	for who, g := range gaps {
		p50, p95 := quantile(g, .5), quantile(g, .95)
		t.Logf("R3 %s: %d moves, all followed; longest time without sound p50 %v, p95 %v, worst %v",
			who, len(g), p50.Round(time.Millisecond), p95.Round(time.Millisecond), g[len(g)-1].Round(time.Millisecond))
		if p95 > gapP95 {
			t.Errorf("%s: p95 %v, want at most %v", who, p95, gapP95)
		}
	}
	after := s.MustStats(t)
	if after.Media.Links != before.Media.Links || after.Media.Tracks != before.Media.Tracks {
		t.Errorf("somebody left: %v, before %v", &after, &before)
	}
	for _, p := range []*testpeer.Peer{pub, direct, behind} {
		select {
		case <-p.Failed():
			t.Error("a connection failed")
		default:
		}
	}
}
