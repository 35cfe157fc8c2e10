package engine_test

import (
	"fmt"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
)

// load is a room of publishers and receivers fed with ready packets, bursts of
// six as a browser's pacer makes them.
type load struct {
	r    *room
	e    *engine.Engine
	pubs []*pub
	tmpl [][]byte
	out  engine.Out
	now  clock.Time
	n    int
}

func newLoad(t testing.TB, pubs, subs int) *load {
	r := newRoom(t, 1)
	l := &load{r: r, e: r.shards[0].(*engine.Engine), now: r.now}
	var all []*peer
	for i := range pubs {
		m := pubMedia(plane.Video)
		for k := range pubs {
			m.Sections = append(m.Sections, plane.Section{MID: fmt.Sprint("s", k), Kind: plane.Video, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{subVP8}}})
		}
		p := r.join(0, m)
		x := p.publish("0", plane.Video, uint32(i+1))
		l.pubs = append(l.pubs, x)
		l.tmpl = append(l.tmpl, x.packet(append(append([]byte(nil), vp8Inter...), make([]byte, 1160)...), false))
		all = append(all, p)
		x.frame(true)
	}
	if subs > 0 {
		all = nil
		for range subs {
			all = append(all, r.subscriber(0, pubs, plane.Video))
		}
	}
	for _, p := range all {
		for k, x := range l.pubs {
			if x.p != p {
				p.subscribe(x, plane.Subscription{MID: fmt.Sprint("s", k)})
			}
		}
	}
	for _, x := range l.pubs {
		x.frame(true)
	}
	r.run(10 * time.Millisecond)
	l.now = r.now
	for range 200 { // warm up: histories, scratch, pools
		l.burst()
	}
	return l
}

// burst puts six packets of one publisher in and takes what comes out.
func (l *load) burst() (sent int) {
	i := l.n % len(l.pubs)
	l.n++
	x, b := l.pubs[i], l.tmpl[i]
	l.now = l.now.Add(5 * time.Millisecond)
	for range 6 {
		b[2], b[3] = byte(x.seq>>8), byte(x.seq)
		x.seq++
		buf := l.r.pool.Get()
		buf.N = copy(buf.B[:], b)
		l.e.HandleRTP(l.now, x.p.leg, buf, &l.out)
		buf.Release()
	}
	l.e.Flush(l.now, &l.out)
	l.e.Tick(l.now, &l.out)
	sent = len(l.out.Batch.Sends)
	l.out.Batch.Reset()
	l.out.Events = l.out.Events[:0]
	return sent
}

func TestForwardingDoesNotAllocate(t *testing.T) {
	for _, c := range [][2]int{{1, 100}, {10, 0}} {
		l := newLoad(t, c[0], c[1])
		sent := 0
		n := testing.AllocsPerRun(400, func() { sent += l.burst() })
		if n != 0 {
			t.Errorf("%v: %v allocations per burst", c, n)
		}
		if want := 400 * 6 * max(c[1], c[0]-1); sent < want {
			t.Errorf("%v: %d packets sent, want %d", c, sent, want)
		}
	}
}

func TestSendsOfOneLegLieTogether(t *testing.T) {
	l := newLoad(t, 3, 20)
	for i, x := range l.pubs {
		for range 4 {
			b := l.tmpl[i]
			b[2], b[3] = byte(x.seq>>8), byte(x.seq)
			x.seq++
			buf := l.r.pool.Get()
			buf.N = copy(buf.B[:], b)
			l.e.HandleRTP(l.now, x.p.leg, buf, &l.out)
			buf.Release()
		}
	}
	l.e.Flush(l.now, &l.out)
	runs := map[graph.LegID]int{}
	var last *graph.Send
	for i := range l.out.Batch.Sends {
		s := &l.out.Batch.Sends[i]
		if !s.RTCP && (last == nil || last.Leg != s.Leg) {
			runs[s.Leg]++
		}
		last = s
	}
	if len(runs) != 20 {
		t.Fatalf("%d legs", len(runs))
	}
	for leg, n := range runs {
		if n != 1 {
			t.Fatalf("leg %d in %d runs", leg, n)
		}
	}
	l.out.Batch.Reset()
}

func benchmark(b *testing.B, pubs, subs int) {
	l := newLoad(b, pubs, subs)
	b.ReportAllocs()
	b.ResetTimer()
	sent := 0
	for b.Loop() {
		sent += l.burst()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(sent), "ns/packet")
}

func BenchmarkForward1x100(b *testing.B) { benchmark(b, 1, 100) }
func BenchmarkForward10x10(b *testing.B) { benchmark(b, 10, 0) }

// BenchmarkIdleLeg shows what a receiver that waits costs.
func BenchmarkIdleLeg(b *testing.B) {
	r := newRoom(b, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	b.ReportAllocs()
	for b.Loop() {
		r.subscriber(0, 1, plane.Video).subscribe(x, plane.Subscription{})
	}
}

func FuzzHandle(f *testing.F) {
	r := newRoom(f, 1)
	x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
	v := r.subscriber(0, 1, plane.Video)
	v.subscribe(x, plane.Subscription{})
	f.Add(x.packet(vp8Key, true), false)
	f.Add([]byte{0x81, 206, 0, 2, 0, 0, 0, 77, 0, 0, 0x50, 0}, true)
	f.Add([]byte{0x81, 205, 0, 3, 0, 0, 0, 77, 0, 0, 0x50, 0, 3, 232, 0xff, 0xff}, true)
	f.Fuzz(func(t *testing.T, b []byte, rtcp bool) {
		r := newRoom(t, 1)
		x := r.publisher(0, plane.Video).publish("0", plane.Video, 1)
		v := r.subscriber(0, 1, plane.Video)
		v.subscribe(x, plane.Subscription{})
		x.frame(true)
		r.run(time.Millisecond)
		if len(b) > ring.Size {
			return
		}
		for _, p := range []*peer{x.p, v} {
			if rtcp {
				p.rawRTCP(b)
			} else {
				p.rtp(b)
			}
		}
		x.frame(false)
		r.run(2 * time.Second)
		for i := range r.shards {
			r.shards[i].RemoveTrack(r.now, x.id, &r.outs[i])
			r.shards[i].CloseLeg(r.now, x.p.leg, &r.outs[i])
		}
		r.run(time.Millisecond)
		if n := r.pool.Live(); n != 0 {
			t.Fatalf("%d buffers live", n)
		}
	})
}
