package worker

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

// farEnd is an inside link's far end in a test.
type farEnd struct{ rtp, rtcp chan []byte }

func newFarEnd() *farEnd {
	return &farEnd{rtp: make(chan []byte, 4096), rtcp: make(chan []byte, 4096)}
}

func (f *farEnd) HandleInside(packets [][]byte) {
	for _, b := range packets {
		if rtcp.Mux(b) {
			put(f.rtcp, b)
		} else {
			put(f.rtp, b)
		}
	}
}

func (f *farEnd) next(t *testing.T, c chan []byte, what string) []byte {
	t.Helper()
	select {
	case b := <-c:
		return b
	case <-time.After(patience):
		t.Fatalf("no %s", what)
	}
	return nil
}

func sound(seq uint16, ssrc uint32, payload string) []byte {
	h := header(seq, ssrc)
	h[1] = 111
	return append(h, payload...)
}

// TestInside: what an inside link subscribes to reaches its far end serialised,
// what is injected reaches a browser, and reports go both ways, in one shard
// and across two.
func TestInside(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprintf("shards=%d", shards), func(t *testing.T) {
			r := newRig(t, func(c *Config) {
				c.NewEngine, c.Workers = nil, shards
				if shards > 1 {
					c.Caps.LinksPerShard = 1
				}
			})
			p := r.connect(join{})
			far := newFarEnd()
			const in = ids.Connection("conn_inside")
			inj, err := r.OpenInside("conf_test", in, far)
			if err != nil {
				t.Fatal(err)
			}
			// One link, both directions: it hears the browser and is heard by it.
			both := func(recv, send uint32) plane.LegMedia {
				return plane.LegMedia{Rev: 1, CNAME: "mixer", Sections: []plane.Section{
					{MID: "0", Kind: plane.Audio, Recv: &plane.Recv{Codecs: opus(), Layers: []plane.Layer{{SSRC: recv}}}, Send: &plane.Send{Codecs: opus(), SSRC: send}},
				}}
			}
			for _, err := range []error{
				r.Configure(p.conn, both(1, 11)), r.Configure(in, both(2, 12)),
				r.Publish(plane.Track{Conf: "conf_test", Conn: p.conn, Track: "trk_p", MID: "0", Kind: plane.Audio, CNAME: "c"}),
				r.Publish(plane.Track{Conf: "conf_test", Conn: in, Track: "trk_m", MID: "0", Kind: plane.Audio, CNAME: "m"}),
				r.Subscribe(plane.Subscription{Conf: "conf_test", Sub: "sub_in", Track: "trk_p", Conn: in, MID: "0", SSRC: 12}),
				r.Subscribe(plane.Subscription{Conf: "conf_test", Sub: "sub_p", Track: "trk_m", Conn: p.conn, MID: "0", SSRC: 11}),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			// Right behind the calls, in one turn perhaps: nothing of it is lost. Another
			// shard has to know of the track first.
			if shards > 1 {
				r.settle()
			}
			inj.Inject([][]byte{sound(500, 2, "mix 0"), sound(501, 2, "mix 1")})
			for i := range 2 {
				select {
				case b := <-p.got:
					if ssrc := binary.BigEndian.Uint32(b[8:]); ssrc != 11 || string(b[12:]) != fmt.Sprint("mix ", i) {
						t.Fatalf("browser got %x", b)
					}
				case <-time.After(patience):
					t.Fatal("injected sound did not reach the browser")
				}
			}
			for i := range uint16(20) {
				if err := p.SendRTP(sound(100+i, 1, "")[:12], []byte(fmt.Sprint("voice ", i))); err != nil {
					t.Fatal(err)
				}
				b := far.next(t, far.rtp, "sound at the far end")
				if ssrc := binary.BigEndian.Uint32(b[8:]); ssrc != 12 || string(b[12:]) != fmt.Sprint("voice ", i) {
					t.Fatalf("far end got %x", b)
				}
			}
			insideReports(t, r, p, far, inj)
			if s, ok := r.Stats(in); !ok || s.State != "inside" || s.PacketsOut != 20 || s.PacketsIn != 2 {
				t.Errorf("stats %+v %v", s, ok)
			}
			if _, err := r.Restart(in, plane.ICECreds{}); err == nil {
				t.Error("an inside link has no ICE to restart")
			}
			r.Close(in, "done")
			hasRTCP(t, p, 203, 11)
			inj.Inject([][]byte{sound(502, 2, "late")})
		})
	}
}

// insideReports wants an SR about what the far end hears, an RR about what it
// sends, and that its own feedback is heeded.
func insideReports(t *testing.T, r *rig, p *peer, far *farEnd, inj plane.Injector) {
	t.Helper()
	sr, rr := false, false
	for limit := time.After(patience); !sr || !rr; {
		r.leap(time.Second)
		select {
		case b := <-far.rtcp:
			var q rtcp.Packet
			for it := rtcp.Parse(b); it.Next(&q); {
				s, _ := q.Sender()
				sr = sr || (q.Type == rtcp.TypeSR && s == 12)
				for i := range q.Blocks() {
					rr = rr || q.Block(i).SSRC == 2
				}
			}
		case <-time.After(10 * time.Millisecond):
		case <-limit:
			t.Fatalf("SR %v, RR %v", sr, rr)
		}
	}
	inj.Inject([][]byte{rtcp.AppendRR(nil, 2, []rtcp.Block{{SSRC: 12, Fraction: 64}})})
	waitFor(t, "the far end's report", func() bool {
		s, _ := r.Stats("conn_inside")
		return s.FractionLostOut == 0.25
	})
}

// TestInsideRefusals: names are unique, and an ended pool takes nothing.
func TestInsideRefusals(t *testing.T) {
	r := newRig(t, nil)
	if _, err := r.OpenInside("conf_test", "", newFarEnd()); fault.From(err).Code != 400 {
		t.Errorf("without a name: %v", err)
	}
	inj, err := r.OpenInside("conf_test", "conn_x", newFarEnd())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.OpenInside("conf_test", "conn_x", newFarEnd()); fault.From(err).Code != 409 {
		t.Errorf("twice: %v", err)
	}
	if c := r.Counters(); c.HalfOpen != 0 || c.Links != 1 {
		t.Errorf("an inside link is no unfinished join: %+v", c)
	}
	r.stop()
	inj.Inject([][]byte{sound(1, 2, "late")}) // the rig counts leaked buffers
	if n := r.BuffersInUse(); n != 0 {
		t.Errorf("%d buffers leaked", n)
	}
}

// TestInsideConcurrent: many far ends inject at once while links come and go.
func TestInsideConcurrent(t *testing.T) {
	r := newRig(t, func(c *Config) { c.NewEngine, c.Workers = nil, 2 })
	var g sync.WaitGroup
	for k := range 8 {
		g.Go(func() {
			for round := range 20 {
				conn := ids.Connection(fmt.Sprintf("conn_%d_%d", k, round))
				inj, err := r.OpenInside("conf_test", conn, newFarEnd())
				if err != nil {
					t.Error(err)
					return
				}
				var h sync.WaitGroup
				for range 2 {
					h.Go(func() {
						for i := range uint16(50) {
							inj.Inject([][]byte{sound(i, 2, "x"), rtcp.AppendRR(nil, 2, nil), make([]byte, 4000)})
						}
					})
				}
				if round%2 == 0 {
					h.Wait()
				}
				r.Close(conn, "done")
				h.Wait()
			}
		})
	}
	g.Wait()
}

// TestContributorsReachEveryShard: who is in a mix is told where listeners are,
// also where they come later.
func TestContributorsReachEveryShard(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Workers, c.Caps.LinksPerShard = 2, 1 })
	far := newFarEnd()
	for _, c := range []ids.Connection{"conn_1", "conn_2", "conn_3"} {
		if _, err := r.OpenInside("conf_test", c, far); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Publish(plane.Track{Conf: "conf_test", Conn: "conn_1", Track: "trk_m", MID: "0", Kind: plane.Audio, Mixed: true}); err != nil {
		t.Fatal(err)
	}
	r.Contributors("conf_test", "trk_m", []plane.Contributor{{SrcID: 5, CNAME: "c"}})
	r.Contributors("conf_test", "no such", nil)
	for i, c := range []ids.Connection{"conn_2", "conn_3"} {
		if err := r.Subscribe(plane.Subscription{Conf: "conf_test", Sub: ids.Subscription(c), Track: "trk_m", Conn: c, MID: "0", SSRC: uint32(9 + i)}); err != nil {
			t.Fatal(err)
		}
	}
	r.settle()
	r.stop()
	n := 0
	for _, e := range r.engines {
		n += e.told
	}
	if n != 2 {
		t.Errorf("%d shards know", n)
	}
}
