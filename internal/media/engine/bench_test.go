package engine_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
	"parley/internal/media/stream"
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
	next clock.Time // when the engine wants a Tick
	n    int

	// Receivers that tell each tellEvery what arrived, and ask for one packet in
	// askFor again.
	tells  bool
	asks   bool
	told   clock.Time
	ears   map[graph.LegID]*ear
	keys   map[graph.LegID]bool // asked for
	rtcp   []byte
	resent int
}

const (
	tellEvery = 50 * time.Millisecond
	askFor    = 100
)

// ear is what a receiver heard.
type ear struct {
	arrived stream.Recorder
	ssrc    uint32
	seq     uint16
}

// newLoad makes a room of so many; receivers agree to tell what arrives unless
// bare, and those of a load that tells do.
func newLoad(t testing.TB, pubs, subs int, bare ...bool) *load {
	codec, exts := subVP8, subExts
	if len(bare) > 0 && bare[0] {
		codec.TWCC, codec.RTX, exts[plane.ExtTransportCC] = false, 0, 0
	}
	r := newRoom(t, 1)
	l := &load{r: r, e: r.shards[0].(*engine.Engine), now: r.now}
	var all []*peer
	for i := range pubs {
		m := pubMedia(plane.Video)
		for k := range pubs {
			m.Sections = append(m.Sections, plane.Section{MID: fmt.Sprint("s", k), Kind: plane.Video, Exts: exts, Send: &plane.Send{Codecs: []plane.Codec{codec}}})
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
			var m plane.LegMedia
			for k := range pubs {
				m.Sections = append(m.Sections, plane.Section{MID: fmt.Sprint("s", k), Kind: plane.Video, Exts: exts, Send: &plane.Send{Codecs: []plane.Codec{codec}}})
			}
			all = append(all, r.join(0, m))
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
	end := l.now.Add(33 * time.Millisecond / time.Duration(len(l.pubs))) // 1.7 Mbit/s each
	for l.next != 0 && l.next < end {
		l.now = max(l.next, l.now.Add(time.Millisecond)) // the grain of a worker
		sent += l.tick()
	}
	l.now = max(l.now, end)
	first := b[len(b)-1160-len(vp8Inter):]
	if copy(first, vp8Inter); l.keys[x.p.leg] {
		copy(first, vp8Key)
		delete(l.keys, x.p.leg)
	}
	x.ts += 3000
	binary.BigEndian.PutUint32(b[4:], x.ts)
	for k := range 6 {
		b[2], b[3] = byte(x.seq>>8), byte(x.seq)
		x.seq++
		b[1] &= 0x7f
		if k == 5 {
			b[1] |= 0x80
		}
		if k > 0 {
			copy(first, vp8Inter)
		}
		buf := l.r.pool.Get()
		buf.N = copy(buf.B[:], b)
		l.e.HandleRTP(l.now, x.p.leg, buf, &l.out)
		buf.Release()
	}
	return sent + l.tick()
}

// tick ends a turn.
func (l *load) tick() (sent int) {
	l.e.Flush(l.now, &l.out)
	l.next = l.e.Tick(l.now, &l.out)
	sent = len(l.out.Batch.Sends)
	if l.tells {
		l.tell()
	}
	l.out.Batch.Reset()
	l.out.Events = l.out.Events[:0]
	return sent
}

// talk makes the receivers tell what arrives from now on, and pays for what grows.
func (l *load) talk(asks bool) {
	l.tells, l.asks, l.ears, l.keys = true, asks, map[graph.LegID]*ear{}, map[graph.LegID]bool{}
	for range 600 * len(l.pubs) { // twenty seconds: probes, histories
		l.burst()
	}
}

// tell takes what was sent as arrived 10 ms later, and tells of it.
func (l *load) tell() {
	for i := range l.out.Batch.Sends {
		s := &l.out.Batch.Sends[i]
		h := l.out.Batch.Header(s)
		if s.RTCP {
			var q rtcp.Packet
			for it := rtcp.Parse(h); it.Next(&q); {
				if q.Type == rtcp.TypePSFB && q.Count == rtcp.FmtPLI {
					l.keys[s.Leg] = true
				}
			}
			continue
		}
		var p rtp.Header
		if rtp.Parse(h, &p) != rtp.OK {
			continue
		}
		d, ok := p.Ext(h, subExts[plane.ExtTransportCC])
		if !ok {
			continue
		}
		x := l.ears[s.Leg]
		if x == nil {
			x = &ear{}
			l.ears[s.Leg] = x
		}
		x.arrived.Record(l.now.Add(10*time.Millisecond), binary.BigEndian.Uint16(d))
		if p.PayloadType == subVP8.PT {
			x.ssrc, x.seq = p.SSRC, p.Seq
		} else {
			l.resent++
		}
	}
	l.out.Batch.Reset()
	if l.now.Sub(l.told) < tellEvery {
		return
	}
	l.told = l.now
	for leg, x := range l.ears {
		for more := x.arrived.Due() != 0; more; {
			l.rtcp, more = x.arrived.Append(rtcp.AppendRR(l.rtcp[:0], 77, nil), 77, 1)
			if l.asks && x.seq%askFor < 20 {
				l.rtcp = rtcp.AppendNACK(l.rtcp, 77, x.ssrc, l.seqs(x.seq-5))
			}
			l.e.HandleRTCP(l.now, leg, l.rtcp, &l.out)
		}
	}
}

var oneSeq [1]uint16

func (l *load) seqs(n uint16) []uint16 {
	oneSeq[0] = n
	return oneSeq[:]
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

// TestForwardingWithFeedbackDoesNotAllocate is the same with receivers that tell
// what arrives and ask for packets again: estimate, pacing, probes and repairs.
func TestForwardingWithFeedbackDoesNotAllocate(t *testing.T) {
	for _, c := range [][2]int{{1, 100}, {10, 0}} {
		l := newLoad(t, c[0], c[1])
		l.talk(true)
		l.resent = 0
		sent := 0
		n := testing.AllocsPerRun(1000, func() { sent += l.burst() })
		if n != 0 {
			t.Errorf("%v: %v allocations per burst", c, n)
		}
		if want := 1000 * 6 * max(c[1], c[0]-1) * 95 / 100; sent < want {
			t.Errorf("%v: %d packets sent, want %d", c, sent, want)
		}
		if l.resent == 0 {
			t.Errorf("%v: nothing was repaired", c)
		}
		var st plane.LinkStats
		for leg := range l.ears {
			l.e.LegStats(leg, &st)
		}
		t.Logf("%v: %d sent, %d of them again, estimate %d", c, sent, l.resent, st.EstimateOut)
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

// benchmark forwards to receivers that agreed to nothing, that agreed to tell what
// arrives, and that do so.
func benchmark(b *testing.B, pubs, subs int) {
	for _, c := range []struct {
		name        string
		bare, tells bool
	}{{"bare", true, false}, {"silent", false, false}, {"feedback", false, true}} {
		b.Run(c.name, func(b *testing.B) {
			l := newLoad(b, pubs, subs, c.bare)
			if c.tells {
				l.talk(false)
			}
			b.ReportAllocs()
			b.ResetTimer()
			sent := 0
			for b.Loop() {
				sent += l.burst()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(sent), "ns/packet")
		})
	}
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
