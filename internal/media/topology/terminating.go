package topology

import (
	"parley/internal/base/clock"
	"parley/internal/media/graph"
)

// Terminating is the RTCP-terminating MCU (RFC 7667, section 3.9) in its
// switched form: for every leg an independent session with this server alone,
// and RTP tells nothing about anybody else.
//
//	who ends RTCP          this server, on every leg, both directions
//	who owns SSRC          this server, on every leg
//	who owns CSRC          nobody: CC is 0
//	sequence, timestamp    ours, by leg
//	SDES, BYE              ours alone; comings and goings are signalled
//	extensions             none is carried; hop-local ones are made anew
//	congestion control     ends here, on every leg, RTCP's share too
//	PLI, FIR, TMMBR        act on this leg's stream only; TMMBN answers
type Terminating struct{ *cloud }

// NewTerminating makes a recipe without legs.
func NewTerminating(e Env) *Terminating { return &Terminating{newCloud(e, true)} }

var _ graph.Element = (*Terminating)(nil)

// Show puts a source into a slot of one leg.
func (m *Terminating) Show(now clock.Time, leg graph.LegID, slot int, t graph.TrackID, out *graph.Batch) {
	p, x := m.party(leg), m.input(t)
	if p == nil || x == nil || slot < 0 {
		return
	}
	m.show(now, p, slot, x)
	m.ask(now, out)
}
