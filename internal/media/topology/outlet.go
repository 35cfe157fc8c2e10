package topology

import (
	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/media/graph"
)

// outlet is how the recipes that pass packets on reach a leg. Alone they send
// what they got; in the engine each leg has its own formats and keys.
type outlet interface {
	// media sends a packet of a source to a leg.
	media(now clock.Time, leg graph.LegID, p *graph.Packet, out *graph.Batch)
	// control sends a compound to a leg.
	control(now clock.Time, leg graph.LegID, b []byte, out *graph.Batch)
	// keyframe asks a source for one; false: the recipe asks by itself.
	keyframe(now clock.Time, t graph.TrackID) bool
}

// asItCame changes nothing.
type asItCame struct{}

func (asItCame) media(_ clock.Time, leg graph.LegID, p *graph.Packet, out *graph.Batch) {
	whole(out, leg, p.Buf)
}

func (asItCame) control(_ clock.Time, leg graph.LegID, b []byte, out *graph.Batch) {
	compound(out, leg, b)
}

func (asItCame) keyframe(clock.Time, graph.TrackID) bool { return false }

// whole appends a packet as it was received, without a copy.
func whole(out *graph.Batch, leg graph.LegID, buf *ring.Buf) {
	off, _ := out.Grow(0)
	out.RTP(leg, off, 0, buf, 0, uint16(buf.N))
}

// compound appends an RTCP compound as it was received.
func compound(out *graph.Batch, leg graph.LegID, b []byte) {
	off, p := out.Grow(len(b))
	copy(p, b)
	out.RTCP(leg, off, len(b))
}
