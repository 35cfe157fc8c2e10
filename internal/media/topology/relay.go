package topology

import (
	"slices"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
)

// Relay is the multipoint transport translator (RFC 7667, section 3.5.1): what
// comes from one leg goes to all others as it came, never back.
//
//	who ends RTCP          nobody here: everybody hears everybody's
//	who owns SSRC, CSRC    the senders; none is ours
//	sequence, timestamp    untouched; payload types are common to all
//	congestion control     each sender, by the worst receiver's reports
//	NACK, PLI              pass to everybody
//	filter                 an SSRC belongs to the leg it first came from
type Relay struct {
	keys   bool
	legs   []relayLeg
	tracks map[graph.TrackID]graph.LegID
	owners relayOwners
	turn   uint64 // counts forwarded packets
	out    outlet
}

type relayLeg struct {
	id    graph.LegID
	since uint64 // turn at which it came
}

// NewRelay makes a relay; keys says that it holds the group key, hence may look
// into RTCP and says BYE for what it forwarded when it closes.
func NewRelay(keys bool) *Relay {
	return &Relay{keys: keys, tracks: map[graph.TrackID]graph.LegID{}, owners: relayOwners{by: map[uint32]*relayOwner{}, drops: &RelayDrops{}}, out: asItCame{}}
}

var _ graph.Element = (*Relay)(nil)

// AddLeg lets a leg take part; RemoveLeg ends that and frees its SSRCs.
func (r *Relay) AddLeg(leg graph.LegID) {
	if !r.has(leg) {
		r.legs = append(r.legs, relayLeg{id: leg, since: r.turn})
	}
}

// RemoveLeg undoes AddLeg.
func (r *Relay) RemoveLeg(leg graph.LegID) {
	r.legs = slices.DeleteFunc(r.legs, func(l relayLeg) bool { return l.id == leg })
	r.owners.release(leg)
	for t, l := range r.tracks {
		if l == leg {
			delete(r.tracks, t)
		}
	}
}

// Bind says which leg the packets of a track come from.
func (r *Relay) Bind(t graph.TrackID, leg graph.LegID) { r.tracks[t] = leg }

// Drops returns the counters.
func (r *Relay) Drops() RelayDrops { return *r.owners.drops }

func (r *Relay) has(leg graph.LegID) bool {
	return slices.ContainsFunc(r.legs, func(l relayLeg) bool { return l.id == leg })
}

// HandleBatch implements [graph.Element].
func (r *Relay) HandleBatch(now clock.Time, in []graph.Packet, out *graph.Batch) {
	for i := range in {
		p := &in[i]
		from, ok := r.tracks[p.Track]
		if !ok || !r.has(from) {
			r.owners.drops.Stranger++
			continue
		}
		o := r.owners.media(now, from, &p.Hdr)
		if o == nil {
			continue
		}
		r.turn++
		o.sent = r.turn
		for _, l := range r.legs {
			if l.id != from {
				r.out.media(now, l.id, p, out)
			}
		}
	}
}

// HandleFeedback implements [graph.Element].
func (r *Relay) HandleFeedback(now clock.Time, leg graph.LegID, b []byte, out *graph.Batch) {
	if !r.has(leg) {
		r.owners.drops.Stranger++
		return
	}
	if !r.owners.control(now, leg, b, r.keys) {
		return
	}
	for _, l := range r.legs {
		if l.id != leg {
			r.out.control(now, l.id, b, out)
		}
	}
}

// Tick implements [graph.Element]: only forgets SSRCs that went silent.
func (r *Relay) Tick(now clock.Time, _ *graph.Batch) clock.Time { return r.owners.expire(now) }

// Close says BYE to every leg for every SSRC that was forwarded there, in one
// compound; a relay without keys cannot.
func (r *Relay) Close(out *graph.Batch) {
	if !r.keys {
		return
	}
	for _, l := range r.legs {
		if b := r.owners.goodbye(l); len(b) > 0 {
			compound(out, l.id, b)
		}
	}
}
