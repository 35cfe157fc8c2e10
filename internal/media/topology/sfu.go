package topology

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
)

// sfu is the selective forwarding middlebox (RFC 7667, section 3.7), and with
// slot projections the media-switching mixer (section 3.6.2).
//
//	who ends RTCP          this server, on every leg, both directions
//	who owns SSRC          each leg: one per projected source, or per slot
//	who owns CSRC          none; in a slot the source's conference-wide id
//	sequence, timestamp    gap-free over what is sent; constant offset
//	congestion control     ends here: publisher-server, server-receiver
//	NACK, PLI              served from the history; coalesced at the publisher
type sfu struct {
	wiring
	work []*wiredSource // scratch: the source of each packet of the batch
}

func newSFU() Recipe { return &sfu{wiring: newWiring()} }

// HandleBatch implements [graph.Element]: leg by leg, so that what one receiver
// gets lies together and leaves as one GSO run.
func (s *sfu) HandleBatch(now clock.Time, in []graph.Packet, out *graph.Batch) {
	s.work = s.work[:0]
	for i := range in {
		s.work = append(s.work, s.of(&in[i]))
	}
	for _, l := range s.legs {
		if !l.egress.Ready {
			continue
		}
		for i := range in {
			x := s.work[i]
			if x == nil || x.at >= len(l.takes) {
				continue
			}
			for _, p := range l.takes[x.at] {
				p.Forward(now, &in[i], x.src, out)
			}
		}
	}
}

// HandleFeedback implements [graph.Element].
func (s *sfu) HandleFeedback(now clock.Time, leg graph.LegID, compound []byte, out *graph.Batch) {
	if l := s.find(leg); l != nil {
		l.egress.HandleFeedback(now, compound, out)
	}
}

// review is how often layers are reconsidered.
const review = 250 * time.Millisecond

// Tick implements [graph.Element].
func (s *sfu) Tick(now clock.Time, _ *graph.Batch) clock.Time {
	if len(s.legs) == 0 || len(s.sources) == 0 {
		return 0
	}
	for _, x := range s.sources {
		x.src.Measure(now)
	}
	for _, l := range s.legs {
		for _, p := range l.all {
			if l.egress.Ready {
				p.Review(now)
			}
		}
	}
	return now.Add(review)
}
