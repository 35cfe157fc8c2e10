package stream

import (
	"encoding/binary"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/layer"
	"parley/internal/media/plane"
)

// carousel repeats the pictures between two key frames of a capture for ever.
type carousel struct {
	s      *stage
	legs   []*Egress
	first  []graph.Packet // up to its first picture that is no key frame
	round  []graph.Packet
	frames uint16 // frame numbers of one round
	ticks  uint32
	out    graph.Batch
	now    clock.Time
	sent   int
}

// newCarousel takes 24 pictures of the capture and shows them to n receivers at
// quality q.
func newCarousel(t testing.TB, name string, n int, q Quality) *carousel {
	const pictures = 24 // full cycles of temporal layers
	c := load(t, name)
	r := &carousel{s: newStage(t, c), now: base}
	s, count, ts := r.s, -1, uint32(0)
	var enc uint8
	if s.src.Info.Layers > 1 {
		enc = uint8(q.Encoding)
	}
	for _, p := range c.Packets {
		in := s.parse(p)
		if in.Hdr.PayloadType != s.pt || in.Layer != enc || empty(&in) {
			in.Buf.Release()
			continue
		}
		if in.Hdr.TS != ts {
			ts = in.Hdr.TS
			count++
		}
		switch {
		case count == 0:
			r.first = append(r.first, in)
		case count <= pictures:
			r.round = append(r.round, in)
		}
	}
	last := &r.round[len(r.round)-1]
	r.frames = last.Frame.Frame - r.first[len(r.first)-1].Frame.Frame
	r.ticks = last.Hdr.TS - r.first[0].Hdr.TS
	for range n {
		e := &Egress{Env: s.leg.Env, Ready: true}
		p := e.Add(replaySSRC, replaySSRC+1)
		p.acked = true
		p.Attach(r.now, s.src, s.p.sect)
		p.Aim(r.now, q)
		r.legs = append(r.legs, e)
	}
	for i := range r.first {
		r.put(r.first[i])
	}
	for range 3 {
		r.turn()
	}
	return r
}

func (r *carousel) put(in graph.Packet) {
	in.Arrival = r.now
	r.s.src.Keep(&in)
	for _, e := range r.legs {
		e.Sends[0].Forward(r.now, &in, r.s.src, &r.out)
	}
	r.sent += len(r.out.Sends)
	r.out.Reset()
}

// turn sends a round and moves its numbers on.
func (r *carousel) turn() {
	for i := range r.round {
		in := &r.round[i]
		r.now = r.now.Add(5 * time.Millisecond)
		r.put(*in)
		in.ExtSeq += int64(len(r.round))
		in.Hdr.Seq += uint16(len(r.round))
		in.Hdr.TS += r.ticks
		in.Frame.Frame += r.frames
		if in.Frame.Has(layer.Exact) {
			if d, ok := in.Hdr.Ext(in.Buf.B[:], r.s.src.Info.Exts[plane.ExtDependency]); ok {
				binary.BigEndian.PutUint16(d[1:], in.Frame.Frame)
			}
		}
	}
}

var carousels = []struct {
	name, capture string
	q             Quality
}{
	{"VP8whole", "vp8-simulcast", Quality{2, 0, 2}},
	{"VP8thinned", "vp8-simulcast", Quality{2, 0, 1}},
	{"VP9whole", "vp9-l3t3", Quality{0, 2, 2}},
	{"VP9thinned", "vp9-l3t3", Quality{0, 1, 1}},
	{"AV1whole", "av1-l3t3", Quality{0, 2, 2}},
	{"AV1thinned", "av1-l3t3", Quality{0, 1, 1}},
}

// TestLayersAllocateNothing: neither those that are sent nor those left out.
func TestLayersAllocateNothing(t *testing.T) {
	for _, c := range carousels {
		r := newCarousel(t, c.capture, 10, c.q)
		r.sent = 0
		if n := testing.AllocsPerRun(20, r.turn); n != 0 {
			t.Errorf("%s: %v allocations a round", c.name, n)
		}
		if want := 20 * 10 * len(r.round) / 5; r.sent < want {
			t.Errorf("%s: %d packets sent, want %d", c.name, r.sent, want)
		}
		for _, e := range r.legs {
			if q := e.Sends[0].Showing(); q != c.q {
				t.Errorf("%s: shows %+v", c.name, q)
			}
		}
	}
}

// BenchmarkLayers tells what a packet costs that is considered for a receiver,
// sent or left out.
func BenchmarkLayers(b *testing.B) {
	for _, c := range carousels {
		b.Run(c.name, func(b *testing.B) {
			const receivers = 100
			r := newCarousel(b, c.capture, receivers, c.q)
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				r.turn()
			}
			n := float64(b.N * len(r.round) * receivers)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/packet")
		})
	}
}
