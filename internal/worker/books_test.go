package worker

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"

	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

// TestBooksRandom drives the books with random calls, sensible or not, over
// three shards; the engines complain when they are called out of order, and at
// the end nothing is left anywhere.
func TestBooksRandom(t *testing.T) {
	const seed = 20
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, seed))
	r := newRig(t, func(c *Config) {
		c.Workers, c.Caps.LinksPerShard, c.Caps.HalfOpenTotal, c.Caps.HalfOpenPerTrusted = 3, 3, 10000, 10000
	})
	var conns []ids.Connection
	var tracks []ids.Track
	var subs []ids.Subscription
	conf := func() ids.Conference { return ids.Conference(fmt.Sprintf("conf_%d", rnd.IntN(3))) }
	calls := []func(){
		func() {
			c := newConn()
			_, err := r.Open(plane.Open{
				Conf: conf(), Conn: c, Remote: plane.ICECreds{Ufrag: "abcd", Pwd: "0123456789012345678901"}, Trusted: true,
				Fingerprints: []plane.Fingerprint{fingerprint(r.client)}, Origin: netip.MustParseAddr("192.0.2.1"),
			})
			if err == nil {
				conns = append(conns, c)
			}
		},
		func() {
			tr := ids.NewTrack()
			if r.Publish(plane.Track{Conn: pick(rnd, conns), Track: tr, MID: "0"}) == nil {
				tracks = append(tracks, tr)
			}
		},
		func() {
			s := ids.NewSubscription()
			if len(subs) > 0 && rnd.IntN(3) == 0 {
				s = pick(rnd, subs)
			}
			sub := plane.Subscription{Sub: s, Track: pick(rnd, tracks), Conn: pick(rnd, conns), SSRC: 1, Slot: rnd.IntN(2) == 0}
			if sub.Slot && rnd.IntN(3) == 0 {
				sub.Track = ""
			}
			if r.Subscribe(sub) == nil {
				subs = append(subs, s)
			}
		},
		func() { r.Unsubscribe(pick(rnd, subs)) },
		func() { r.Mute("", pick(rnd, tracks), rnd.IntN(2) == 0) },
		func() {
			if rnd.IntN(3) == 0 {
				r.Unpublish("", pick(rnd, tracks))
			}
		},
		func() {
			if rnd.IntN(4) == 0 {
				r.Close(pick(rnd, conns), "left")
			}
		},
		func() {
			if rnd.IntN(40) == 0 {
				r.EndConference(conf())
			}
		},
	}
	for range 8000 {
		i := rnd.IntN(len(calls) + 3)
		if i >= len(calls) {
			i = 2 // mostly subscriptions
		}
		calls[i]()
	}
	for i := range 3 {
		r.EndConference(ids.Conference(fmt.Sprintf("conf_%d", i)))
	}
	c := r.Counters()
	if c.Links+c.HalfOpen+c.Conferences+c.Tracks+len(r.subs)+len(r.ufrags) != 0 {
		t.Errorf("left in the books: %+v, %d subscriptions", c, len(r.subs))
	}
	r.stop()
	for i, e := range r.engines {
		if len(e.wrong) > 0 {
			t.Errorf("shard %d: %d wrong calls, first: %s", i, len(e.wrong), e.wrong[0])
		}
		if len(e.tracks) != 0 || e.removed == 0 {
			t.Errorf("shard %d keeps %d tracks, removed %d", i, len(e.tracks), e.removed)
		}
	}
}

func pick[T ~string](rnd *rand.Rand, from []T) T {
	if len(from) == 0 || rnd.IntN(50) == 0 {
		return "unknown"
	}
	return from[rnd.IntN(len(from))]
}

// TestD12_HalfOpenIsCheap: a link that only exists costs kilobytes.
func TestD12_HalfOpenIsCheap(t *testing.T) {
	r := newRig(t, func(c *Config) { c.NewEngine = nil })
	before := heapNow(r)
	const n = 400
	for i := range n {
		_, err := r.Open(plane.Open{
			Conf: "conf_test", Conn: newConn(), Remote: plane.ICECreds{Ufrag: "abcd", Pwd: "0123456789012345678901"}, Trusted: true,
			Fingerprints: []plane.Fingerprint{fingerprint(r.client)}, Origin: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	per := (int64(heapNow(r)) - int64(before)) / n
	t.Logf("%d bytes for a half-open link", per)
	if per > 12<<10 {
		t.Errorf("%d bytes for a half-open link", per)
	}
	if g := runtime.NumGoroutine(); g > 30 {
		t.Errorf("%d goroutines for %d half-open links", g, n)
	}
}

// TestIdleLinkIsCheap: what a connected link holds on the server. The clients
// vanish first, so that only the server's part is counted.
func TestIdleLinkIsCheap(t *testing.T) {
	r := newRig(t, func(c *Config) { c.NewEngine = nil })
	const n = 60
	before := heapNow(r)
	for i := range n {
		p := r.connect(join{serverDTLS: i%2 == 1})
		if err := r.Configure(p.conn, receiving(11, 12)); err != nil {
			t.Fatal(err)
		}
		p.Vanish()
		<-p.ended
		*p = peer{r: r, conn: p.conn, ended: p.ended} // drop all it holds
	}
	per := (int64(heapNow(r)) - int64(before)) / n
	t.Logf("%d bytes for a connected link", per)
	if per > 16<<10 {
		t.Errorf("%d bytes for a connected link", per)
	}
	if c := r.Counters(); c.Links != n || c.HalfOpen != 0 {
		t.Errorf("%d links, %d half open", c.Links, c.HalfOpen)
	}
}

func heapNow(r *rig) uint64 {
	r.settle()
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
