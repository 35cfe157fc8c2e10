package stream

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/layer"
	"parley/internal/media/rewrite"
	"parley/internal/media/rtp"
)

// everything is the operating point of an encoding that is sent as a whole.
const (
	mostSpatial  = layer.MaxSpatial - 1
	mostTemporal = layer.MaxTemporal - 1
)

// climb follows which operating points of the encoding being sent a receiver
// could decode from here on (see docs/layers.md).
type climb struct {
	intact  uint32 // points whose frames were all sent since the last place to begin
	sent    uint64 // bit i: the frame 1+i before the next one was sent; frame numbers of dependency descriptors
	ts      uint32 // picture of the last frame
	top     uint16 // highest frame number
	frame   uint16 // of the last packet
	spatial uint8
	begun   bool
	exact   bool // frame numbers count
	ahead   bool // the frame is newer than all before
	want    point
	shown   point      // highest layers that were sent lately
	since   clock.Time // when more was wanted than can be reached without a key frame
}

// point is an operating point of an encoding.
type point struct{ s, t int8 }

func (q point) bit() uint32 { return layer.Point(uint8(q.s), uint8(q.t)) }

// next takes the first packet of a frame that is met. It returns the points that
// can be decoded from it on.
func (c *climb) next(f *layer.Info) (gain uint32) {
	c.frame, c.spatial = f.Frame, f.Spatial
	if f.Has(layer.Key) {
		// The points of another structure are others, and a sender that began anew
		// may have begun its numbers, too.
		c.intact, c.sent, c.exact = 0, ^uint64(0), false
	}
	if !f.Has(layer.Exact) {
		return f.Gain(c.intact)
	}
	d := int16(f.Frame - c.top)
	if c.ahead = d > 0 || !c.exact; !c.ahead {
		return 0
	}
	if c.exact && d > 1 { // what has not come may yet, and is sent then
		c.sent = c.sent<<uint(d-1) | (1<<uint(d-1) - 1)
	}
	c.exact, c.top = true, f.Frame
	if f.Refs&^c.sent != 0 {
		return 0
	}
	return f.Switch
}

// done notes whether the frame is sent.
func (c *climb) done(f *layer.Info, gain uint32, sent bool) {
	bit := uint64(0)
	if sent {
		bit = 1
		c.intact |= gain
		c.shown.s, c.shown.t = max(c.shown.s, int8(f.Spatial)), max(c.shown.t, int8(f.Temporal))
	} else {
		c.intact &^= f.Present
	}
	if f.Has(layer.Exact) && c.ahead {
		c.sent = c.sent<<1 | bit
	}
}

// fresh reports whether a packet is the first met of its frame.
func (c *climb) fresh(f *layer.Info) bool {
	return !c.begun || f.Frame != c.frame || f.Spatial != c.spatial
}

// choose reports whether a packet of known layers ahead in the running segment is sent, and if
// not, whether a frame begins with it. Layers change where a picture begins.
func (p *Projection) choose(in *graph.Packet, s *Source) (sent, fresh bool) {
	g := &p.segs[len(p.segs)-1]
	f, c := &in.Frame, &p.climb
	if !c.fresh(f) {
		return g.covers(in), false
	}
	gain := c.next(f)
	if in.Hdr.TS != c.ts || !c.begun {
		c.begun, c.ts = true, in.Hdr.TS
		if q := p.best(s, g.layer, c.intact|gain, point{g.s, g.t}); q.s != g.s || q.t != g.t {
			p.move(in, q)
			g = &p.segs[len(p.segs)-1]
		}
		if f.Has(layer.Struct) && g.tell {
			g.tell = g.narrow(s)
		}
	}
	sent = g.covers(in)
	c.done(f, gain, sent)
	return sent, true
}

// enter chooses the layers that a segment begins with at its key frame.
func (p *Projection) enter(in *graph.Packet, s *Source, g *segment) {
	c := &p.climb
	*c = climb{sent: ^uint64(0), want: p.wish(), ts: in.Hdr.TS}
	g.s, g.t = mostSpatial, mostTemporal
	if f := &in.Frame; f.Has(layer.Known) {
		c.begun = true
		gain := c.next(f)
		q := p.best(s, in.Layer, gain, c.want)
		g.s, g.t = q.s, q.t
		c.done(f, gain, true)
		c.shown.s, c.shown.t = layer.Top(s.Points(in.Arrival, int(in.Layer)) & layer.Below(g.s, g.t))
		c.shown = point{max(c.shown.s, 0), max(c.shown.t, 0)}
		g.tell = g.narrow(s)
	}
	g.point = point{g.s, g.t}.bit()
}

// best is the highest of the points that can be decoded and are wanted; the
// present one if there is none.
func (p *Projection) best(s *Source, encoding uint8, can uint32, now point) (q point) {
	can &= layer.Below(p.climb.want.s, p.climb.want.t)
	if d := s.Layers[encoding].dep; d != nil && can&d.Active() != 0 {
		can &= d.Active()
	}
	if can == 0 {
		return now
	}
	q.s, q.t = layer.Top(can)
	return q
}

// move begins a segment for other layers of the same encoding with this packet.
func (p *Projection) move(in *graph.Packet, q point) {
	g := &p.segs[len(p.segs)-1]
	g.skip(in.ExtSeq)
	n := *g
	n.pic, n.sieve = g.picture(), nil
	n.from, n.out = in.ExtSeq, g.next()
	n.s, n.t, n.point = q.s, q.t, q.bit()
	n.tell = in.Frame.Has(layer.Exact)
	p.climb.shown = point{min(p.climb.shown.s, q.s), min(p.climb.shown.t, q.t)}
	p.segs = push(p.segs, n)
}

// narrow reports whether the segment leaves out decode targets that the source
// serves.
func (g *segment) narrow(s *Source) bool {
	d := s.Layers[g.layer].dep
	return d != nil && d.Active()&^layer.Below(g.s, g.t) != 0
}

// wish is the operating point wanted of the encoding being sent.
func (p *Projection) wish() point {
	switch {
	case !p.aimed || p.aim == Nothing || p.aim.Encoding > p.layer:
		return point{mostSpatial, mostTemporal}
	case p.aim.Encoding == p.layer:
		return point{max(p.aim.Spatial, 0), max(p.aim.Temporal, 0)}
	case p.leg.Crowded() || p.leg.strained(): // a lower one is waited for: less of this one at least
		return point{}
	}
	return point{mostSpatial, mostTemporal}
}

// temporalPatience is how long a place to go up a temporal layer is waited for
// before a key frame is asked for: senders that mark such places have several a
// second.
const temporalPatience = 3 * time.Second

// stuck reports whether layers are wanted of the running encoding that only a key
// frame can bring.
func (p *Projection) stuck(now clock.Time) bool {
	c := &p.climb
	if p.layer < 0 || !p.shows(p.src) || !c.begun {
		return false
	}
	g := &p.segs[len(p.segs)-1]
	live := p.src.Points(now, int(p.layer))
	has, most := live&layer.Below(g.s, g.t), live&layer.Below(c.want.s, c.want.t)
	s, t := layer.Top(most)
	hs, ht := layer.Top(has)
	if most == 0 || (hs == s && ht == t) || c.intact&(point{s, t}).bit() != 0 {
		c.since = 0
		return false
	}
	if c.since == 0 {
		c.since = now
	}
	return hs != s || now.Sub(c.since) >= temporalPatience
}

// fill puts padding under a number that was kept for a packet which turned out,
// when it came, to be of a layer that is left out: the receiver need not ask for
// it.
func (p *Projection) fill(now clock.Time, in *graph.Packet, g *segment, num int64, pt uint8, out *graph.Batch) {
	e := p.leg
	var none graph.Packet
	f := rtp.Fields{PayloadType: pt, Seq: uint16(num), TS: in.Hdr.TS + g.ts, SSRC: p.SSRC}
	hop := rewrite.Hop{TWSeq: e.twSeq, AbsSend: e.absSend(now)}
	if !p.acked {
		hop.MID = p.sect.MID
	}
	off, b := out.Grow(rtp.MaxHeader + 1)
	n, tw := p.m.Header(b, &f, &hop, &none)
	b[0] |= paddingBit
	b[n] = 1
	n++
	out.Shrink(off, n)
	out.RTP(e.Leg, off, n, nil, 0, 0)
	p.Packets++
	e.Packets++
	e.Octets += uint64(n)
	e.sent(now, p, f.SSRC, f.Seq, n, tw)
}
