package topology_test

import (
	"testing"

	"parley/internal/media/graph"
	"parley/internal/media/rtp"
	"parley/internal/media/topology"
)

// BenchmarkRecipes: one packet to all others of a room; nothing may be allocated.
func BenchmarkRecipes(b *testing.B) {
	for _, r := range []struct {
		name string
		make func(l *lab)
	}{
		{"relay", func(l *lab) {
			x := topology.NewRelay(true)
			l.el = x
			for i := 1; i <= 4; i++ {
				x.AddLeg(graph.LegID(i))
				x.Bind(graph.TrackID(i), graph.LegID(i))
			}
		}},
		{"video-switching-mcu", func(l *lab) {
			_, x, _, _ := newVSM(b)
			l.el = x
		}},
	} {
		b.Run(r.name, func(b *testing.B) {
			l := newLab(b)
			r.make(l)
			a := &cam{track: 1, ssrc: 0xA1, pt: 96}
			l.rtp(1, a.frame(true))
			raw := a.frame(false)
			in := make([]graph.Packet, 1)
			b.ReportAllocs()
			for b.Loop() {
				p := graph.Packet{Buf: l.buf(raw), Track: 1, Arrival: l.now, Level: 127}
				raw[3]++
				if raw[3] == 0 {
					raw[2]++
				}
				rtp.Parse(p.Buf.Bytes(), &p.Hdr)
				in[0] = p
				l.now += 1e6
				l.el.HandleBatch(l.now, in, &l.out)
				p.Buf.Release()
				l.out.Reset()
			}
		})
	}
}
