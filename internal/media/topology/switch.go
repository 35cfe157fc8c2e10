package topology

import (
	"parley/internal/base/clock"
	"parley/internal/media/graph"
)

// Switch is the media-switching mixer (RFC 7667, section 3.6.2): slots that
// show the same chosen sources to everybody, except nobody to himself.
//
//	who ends RTCP          this server, on every leg, both directions
//	who owns SSRC          this server: one per slot and leg
//	who owns CSRC          the source shown, by its conference-wide id
//	sequence, timestamp    next of the slot; offset anew at each switch
//	SDES, BYE              ours; on behalf of CSRCs theirs; the slot stays
//	congestion control     ends here, on every leg
//	NACK                   answered from the history, across switches
//	PLI, FIR               end here; a switch commands (FIR), loss asks (PLI)
type Switch struct {
	*cloud
	shown  []graph.TrackID // by slot
	before []graph.TrackID // who was shown before: what the one shown sees
}

// none stands for no track.
const none = ^graph.TrackID(0)

// NewSwitch makes a switch with empty slots.
func NewSwitch(e Env) *Switch { return &Switch{cloud: newCloud(e, false)} }

var _ graph.Element = (*Switch)(nil)

// Show puts a source into a slot of every leg but its own, which goes on with
// what it has. The old source stays until the new one has a decodable picture.
func (s *Switch) Show(now clock.Time, slot int, t graph.TrackID, out *graph.Batch) {
	x := s.input(t)
	if x == nil || slot < 0 {
		return
	}
	for len(s.shown) <= slot {
		s.shown, s.before = append(s.shown, none), append(s.before, none)
	}
	if s.shown[slot] != t {
		s.before[slot], s.shown[slot] = s.shown[slot], t
	}
	for _, p := range s.parties {
		s.show(now, p, slot, x)
	}
	s.ask(now, out)
}

// AddParty opens a leg, which sees at once what the others see.
func (s *Switch) AddParty(now clock.Time, p Party) {
	s.cloud.AddParty(now, p)
	q := s.party(p.Leg)
	for i := range s.shown {
		for _, t := range [...]graph.TrackID{s.shown[i], s.before[i]} {
			if x := s.input(t); x != nil && x.Leg != p.Leg {
				s.show(now, q, i, x)
				break
			}
		}
	}
}
