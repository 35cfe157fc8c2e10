package stream

import (
	"math/bits"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/layer"
)

const (
	points = layer.MaxSpatial * layer.MaxTemporal
	// span is half of what rates are measured over: long enough to hold pictures
	// of each temporal layer at usual rates, short enough to follow an encoder.
	span = 500 * time.Millisecond
	// layerLiveFor is how long a layer inside an encoding may be silent and still
	// be offered: frames of a still screen come once a second.
	layerLiveFor = 2 * time.Second
	// restsFor is how long the lowest rung of a silent source stays: a source
	// between two pictures is not gone.
	restsFor = 5 * time.Second
	// lateTicks is how far back in time a late packet may belong: 2 s of pictures.
	lateTicks = 180_000
)

// cell counts what an operating point needs.
type cell struct {
	octets, before  uint32 // in the running and the previous span
	frames, earlier uint16 // pictures
	ts              uint32 // of the picture counted last
	begun           bool
	seen            clock.Time // last packet of its own spatial and temporal layer
}

// gauge measures the operating points of one encoding over about a second.
type gauge struct {
	at    clock.Time    // beginning of the running span
	prior time.Duration // length of the previous one
	known uint32        // points whose own layers came
	cells []cell        // one until layers are told, then one a point
}

// add counts a packet for each point that needs it.
func (g *gauge) add(p *graph.Packet) {
	f := &p.Frame
	g.roll(p.Arrival)
	own := 0
	if f.Has(layer.Known) {
		own = int(f.Spatial)*layer.MaxTemporal + int(f.Temporal)
	}
	if own >= len(g.cells) {
		n := 1
		if own > 0 {
			n = points
		}
		g.cells = append(g.cells, make([]cell, n-len(g.cells))...)
	}
	if g.known>>own&1 == 0 {
		g.discover(own)
	}
	g.cells[own].seen = p.Arrival
	set := f.Present & g.known
	if !f.Has(layer.Known) {
		set = 1
	}
	for ; set != 0; set &= set - 1 {
		if at := bits.TrailingZeros32(set); at < len(g.cells) {
			g.cells[at].add(p)
		}
	}
}

// discover begins to count for a point: until now it was the highest below it.
func (g *gauge) discover(own int) {
	c := &g.cells[own]
	for set := g.known & layer.Below(int8(own/layer.MaxTemporal), int8(own%layer.MaxTemporal)); set != 0; set &= set - 1 {
		if x := &g.cells[bits.TrailingZeros32(set)]; x.octets+x.before >= c.octets+c.before {
			*c = *x
		}
	}
	g.known |= 1 << own
}

func (c *cell) add(p *graph.Packet) {
	c.octets += uint32(p.Buf.N)
	// A repair belongs to a picture that was counted; a step back as long as no
	// repair takes is another run of numbers.
	if d := int32(p.Hdr.TS - c.ts); !c.begun || d > 0 || d < -lateTicks {
		c.frames++
		c.ts, c.begun = p.Hdr.TS, true
	}
}

// roll begins a new span when the running one is over.
func (g *gauge) roll(now clock.Time) {
	d := now.Sub(g.at)
	switch {
	case g.at == 0:
		g.at = now
		return
	case d < span:
		return
	}
	g.at, g.prior = now, d
	for i := range g.cells {
		c := &g.cells[i]
		c.before, c.octets, c.earlier, c.frames = c.octets, 0, c.frames, 0
	}
}

// window is the time the counts are over.
func (g *gauge) window(now clock.Time) time.Duration {
	return max(span, g.prior+now.Sub(g.at))
}

// live returns the operating points at which something came lately.
func (g *gauge) live(now clock.Time, within time.Duration) (set uint32) {
	for i := range g.cells {
		if c := &g.cells[i]; c.seen != 0 && now.Sub(c.seen) < within {
			set |= 1 << i
		}
	}
	return set
}

// Points returns the operating points that an encoding offers now, as bits of
// [layer.Point].
func (s *Source) Points(now clock.Time, encoding int) uint32 {
	l := &s.Layers[encoding]
	for _, within := range [...]time.Duration{layerLiveFor, restsFor} {
		set := l.gauge.live(now, within)
		if l.dep != nil && set&l.dep.Active() != 0 {
			set &= l.dep.Active()
		}
		if set != 0 {
			return set
		}
	}
	return 0
}

// Rungs appends the operating points that are live now, cheapest first.
func (s *Source) Rungs(now clock.Time, out []Rung) []Rung {
	from, n := len(out), s.encodings()
	for i := range n {
		if s.Live(now, i) {
			out = s.rungsOf(now, i, out)
		}
	}
	if len(out) == from { // between two pictures, or gone: the lowest stays for a while
		for i := 0; i < n && len(out) == from; i++ {
			if l := &s.Layers[i]; l.Last != 0 && now.Sub(l.Last) < restsFor {
				out = s.rungsOf(now, i, out)
			}
		}
	}
	for i := from + 1; i < len(out); i++ {
		for k := i; k > from && out[k].Rate < out[k-1].Rate; k-- {
			out[k], out[k-1] = out[k-1], out[k]
		}
	}
	return out
}

func (s *Source) rungsOf(now clock.Time, encoding int, out []Rung) []Rung {
	g := &s.Layers[encoding].gauge
	g.roll(now)
	set := s.Points(now, encoding)
	top, _ := layer.Top(set)
	w := g.window(now)
	for k := range points {
		if set>>k&1 == 0 {
			continue
		}
		sp, tp := k/layer.MaxTemporal, k%layer.MaxTemporal
		c := &g.cells[k]
		octets, frames := uint64(c.octets)+uint64(c.before), int(c.frames)+int(c.earlier)
		r := Rung{Quality: Quality{Encoding: int8(encoding), Spatial: int8(sp), Temporal: int8(tp)}}
		r.Rate = octets * 8 * uint64(time.Second) / uint64(w)
		if s.Video() {
			r.Width, r.Height = s.size(encoding, sp, int(top))
			r.FPS = uint8(min(255, (int64(frames)*int64(time.Second)+int64(w)/2)/int64(w)))
		}
		out = append(out, r)
	}
	return out
}

// encodings returns how many encodings the source has.
func (s *Source) encodings() int {
	if s.Info == nil {
		return 1
	}
	return min(max(1, s.Info.Layers), MaxLayers)
}

// size returns the size of a spatial layer: as its sender told, else as another
// encoding's sender did, halved or doubled as browsers do by default.
func (s *Source) size(encoding, spatial, top int) (w, h uint16) {
	l := &s.Layers[encoding]
	if l.dep != nil && l.dep.Width[spatial] != 0 {
		return l.dep.Width[spatial], l.dep.Height[spatial]
	}
	if l.sizes[spatial][0] != 0 {
		return l.sizes[spatial][0], l.sizes[spatial][1]
	}
	n := s.encodings()
	for k := range n {
		if z := s.Layers[k].sizes[0]; z[0] != 0 && k != encoding && spatial == 0 {
			if k > encoding {
				return z[0] >> (k - encoding), z[1] >> (k - encoding)
			}
			return z[0] << (encoding - k), z[1] << (encoding - k)
		}
	}
	down := max(0, n-1-encoding+top-spatial)
	return topWidth >> down, topHeight >> down
}
