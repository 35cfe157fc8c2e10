package focus

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

// TestRandomHouse: clients come, publish, negotiate when asked, lose their
// peer connection, and leave, in random order. The fake media side watches its
// contract (no SSRC twice, no section unanswered, nothing sent from nowhere);
// once all is calm, everybody is sent exactly what the others publish.
func TestRandomHouse(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inHouse(t, nil, func(h *house) {
				r := rand.New(rand.NewPCG(seed, 2))
				keep := h.client("keeper", "ws") // so that the room stays
				keep.joins(api.JoinParams{})
				keep.watches()
				people := make([]*guest, 5)
				for i := range people {
					people[i] = &guest{client: h.client(fmt.Sprint("p", i), "ws")}
				}
				for range 150 {
					people[r.IntN(len(people))].act(r)
					pass(time.Duration(r.IntN(400)) * time.Millisecond)
					for _, p := range people {
						p.obey()
					}
				}
				for range 3 {
					pass(time.Second)
					for _, p := range people {
						p.obey()
					}
				}
				calm(t, h, people)
			})
		})
	}
}

// guest is a client that renegotiates whenever it is asked to.
type guest struct {
	*client
	in     bool
	told   int
	tracks []string // ids, by order of publishing
	peers  int

	device  string // empty: laptop
	streams int    // of a kind that it can take
}

func (g *guest) act(r *rand.Rand) {
	if !g.in {
		g.newPeer(fmt.Sprint(g.caller.By.Subject, "-", g.fresh()))
		g.cids, g.tracks, g.in = map[string]string{}, nil, true
		g.joins(api.JoinParams{Load: fmt.Sprint(g.peers), Device: g.device, Caps: api.Caps{Streams: g.streams}})
		g.told = len(g.needed())
		g.receives(g.join.Needed.Audio, g.join.Needed.Video)
		if len(g.lines) > 0 {
			g.negotiates()
		}
		return
	}
	switch r.IntN(6) {
	case 0:
		g.must(api.ConferenceLeave, api.LeaveParams{}, nil)
		g.in = false
	case 1, 2:
		kind := []plane.Kind{plane.Audio, plane.Video}[r.IntN(2)]
		cid := fmt.Sprint("c", g.fresh())
		var res api.PublishResult
		g.must(api.TrackPublish, api.PublishParams{CID: cid, Kind: kind.String()}, &res)
		g.tracks = append(g.tracks, res.Track)
		g.sends(kind, cid)
		g.negotiates()
	case 3:
		if len(g.tracks) > 0 {
			g.must(api.TrackUnpublish, api.TrackParams{Track: g.tracks[0]}, nil)
			g.tracks = g.tracks[1:]
		}
	case 4: // a new peer connection in the same session
		if len(g.tracks) == 0 && g.rev > 0 {
			g.newPeer(fmt.Sprint(g.caller.By.Subject, "-", g.fresh()))
			g.cids = map[string]string{}
			g.receives(1, 1)
			g.negotiates()
		}
	case 5:
		g.h.f.Suspended(g.caller.Session)
		synctest.Wait()
		g.h.f.Resumed(g.caller.Session, g.client)
		synctest.Wait()
	}
}

func (g *guest) fresh() int {
	g.peers++
	return g.peers
}

// obey answers the last media.needed.
func (g *guest) obey() {
	all := g.needed()
	if !g.in || len(all) == g.told {
		return
	}
	g.told = len(all)
	if n := all[len(all)-1]; n.MS == g.join.MS {
		g.receives(n.Audio, n.Video)
		g.negotiates()
	}
}

// calm checks who is sent what.
func calm(t *testing.T, h *house, people []*guest) {
	h.plane.mu.Lock()
	tracks := map[ids.Track]ids.Connection{}
	for id, k := range h.plane.tracks {
		tracks[id] = k.Conn
	}
	h.plane.mu.Unlock()
	published := 0
	for _, p := range people {
		if p.in {
			published += len(p.tracks)
		}
	}
	t.Logf("%d tracks, %d media.needed told", published, func() (n int) {
		for _, p := range people {
			n += len(p.needed())
		}
		return
	}())
	if len(tracks) != published {
		t.Errorf("the media side knows %d tracks, %d are published", len(tracks), published)
	}
	for _, p := range people {
		if !p.in || p.rev == 0 && published == len(p.tracks) {
			continue
		}
		want := map[ids.Track]bool{}
		conn := p.conn()
		for id, at := range tracks {
			if at != conn {
				want[id] = true
			}
		}
		got := h.plane.reaching(conn)
		for mid, id := range got {
			if !want[id] {
				t.Errorf("%s is sent %s in section %s", p.caller.By.Subject, id, mid)
			}
			delete(want, id)
		}
		if len(want) > 0 {
			t.Errorf("%s misses %v of %d, told %+v", p.caller.By.Subject, want, len(tracks), p.needed()[max(0, len(p.needed())-1):])
		}
	}
}
