package topology

import (
	"net/netip"

	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/media/graph"
)

// Pair is the relay of two parties (RFC 7667, sections 3.2.1.1 and 3.2.1.2): it
// works below RTP and looks at no byte of what it carries, so that STUN, DTLS
// and the ends' own SRTP pass as they are.
//
//	who ends RTCP          nobody here: the two ends
//	who owns SSRC, CSRC    the sender; none is ours
//	sequence, timestamp    untouched
//	congestion control     end to end, over both hops
//	keys                   none here
//	filter                 the permitted address, latched to its first port
type Pair struct {
	ends   [2]pairEnd
	tracks map[graph.TrackID]int
	drops  PairDrops
}

// PairDrops counts what was not carried.
type PairDrops struct {
	Stranger uint64 // no permission, or not the latched peer
}

type pairEnd struct {
	leg     graph.LegID
	allowed netip.Addr
	peer    netip.AddrPort // latched
}

// NewPair relays between two legs. Nothing passes before Permit or Bind.
func NewPair(a, b graph.LegID) *Pair {
	return &Pair{ends: [2]pairEnd{{leg: a}, {leg: b}}, tracks: map[graph.TrackID]int{}}
}

var _ graph.Element = (*Pair)(nil)

// Permit allows an address to send on a leg (a TURN permission, or the address
// of the session description) and forgets the port latched before.
func (p *Pair) Permit(leg graph.LegID, from netip.Addr) {
	if i := p.end(leg); i >= 0 {
		p.ends[i].allowed, p.ends[i].peer = from.Unmap(), netip.AddrPort{}
	}
}

// Bind says that packets of a track come from a leg whose source address the
// link has checked already.
func (p *Pair) Bind(t graph.TrackID, leg graph.LegID) {
	if i := p.end(leg); i >= 0 {
		p.tracks[t] = i
	}
}

// Drops returns the counters.
func (p *Pair) Drops() PairDrops { return p.drops }

func (p *Pair) end(leg graph.LegID) int {
	for i := range p.ends {
		if p.ends[i].leg == leg {
			return i
		}
	}
	return -1
}

// HandleDatagram carries one UDP payload of a leg to the other.
func (p *Pair) HandleDatagram(leg graph.LegID, from netip.AddrPort, buf *ring.Buf, out *graph.Batch) {
	i := p.end(leg)
	if i < 0 || !p.ends[i].accepts(from) {
		p.drops.Stranger++
		return
	}
	whole(out, p.ends[1-i].leg, buf)
}

func (e *pairEnd) accepts(from netip.AddrPort) bool {
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	if e.peer.IsValid() {
		return e.peer == from
	}
	if !e.allowed.IsValid() || e.allowed != from.Addr() {
		return false
	}
	e.peer = from
	return true
}

// HandleBatch implements [graph.Element].
func (p *Pair) HandleBatch(_ clock.Time, in []graph.Packet, out *graph.Batch) {
	for i := range in {
		from, ok := p.tracks[in[i].Track]
		if !ok {
			p.drops.Stranger++
			continue
		}
		whole(out, p.ends[1-from].leg, in[i].Buf)
	}
}

// HandleFeedback implements [graph.Element].
func (p *Pair) HandleFeedback(_ clock.Time, leg graph.LegID, b []byte, out *graph.Batch) {
	if i := p.end(leg); i >= 0 {
		compound(out, p.ends[1-i].leg, b)
		return
	}
	p.drops.Stranger++
}

// Tick implements [graph.Element]: a relay has nothing to say.
func (p *Pair) Tick(clock.Time, *graph.Batch) clock.Time { return 0 }
