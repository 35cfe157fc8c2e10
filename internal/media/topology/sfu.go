package topology

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/stream"
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
	legs    []*sfuLeg
	sources map[graph.TrackID]*sfuSource
	index   []*sfuSource // by TrackID, for the packet path
	free    []int
	count   int
	work    []*sfuSource // scratch: the source of each packet of the batch
}

type sfuSource struct {
	src *stream.Source
	at  int // dense position in every leg's table
}

type sfuLeg struct {
	egress *stream.Egress
	all    []*stream.Projection
	takes  [][]*stream.Projection // by source position
}

func newSFU() Recipe { return &sfu{sources: map[graph.TrackID]*sfuSource{}} }

// AddSource implements [Recipe].
func (s *sfu) AddSource(src *stream.Source) {
	x := &sfuSource{src: src, at: s.count}
	if n := len(s.free); n > 0 {
		x.at, s.free = s.free[n-1], s.free[:n-1]
	} else {
		s.count++
	}
	s.sources[src.ID] = x
	for int(src.ID) >= len(s.index) {
		s.index = append(s.index, nil)
	}
	s.index[src.ID] = x
}

// RemoveSource implements [Recipe].
func (s *sfu) RemoveSource(src *stream.Source) {
	x := s.sources[src.ID]
	if x == nil || x.src != src {
		return
	}
	delete(s.sources, src.ID)
	s.index[src.ID] = nil
	s.free = append(s.free, x.at)
	for _, l := range s.legs {
		if x.at < len(l.takes) {
			l.takes[x.at] = nil
		}
	}
}

// Connect implements [Recipe]. A slot that still shows its old source stays
// connected to that one, too; Forward tells them apart.
func (s *sfu) Connect(e *stream.Egress, p *stream.Projection) {
	l := s.leg(e)
	known := false
	for _, q := range l.all {
		known = known || q == p
	}
	if !known {
		l.all = append(l.all, p)
	}
	l.rebuild(s)
}

// Disconnect implements [Recipe].
func (s *sfu) Disconnect(e *stream.Egress, p *stream.Projection) {
	for i, l := range s.legs {
		if l.egress != e {
			continue
		}
		for k, q := range l.all {
			if q == p {
				l.all = append(l.all[:k], l.all[k+1:]...)
				break
			}
		}
		l.rebuild(s)
		if len(l.all) == 0 {
			s.legs = append(s.legs[:i], s.legs[i+1:]...)
		}
		return
	}
}

func (s *sfu) leg(e *stream.Egress) *sfuLeg {
	for _, l := range s.legs {
		if l.egress == e {
			return l
		}
	}
	l := &sfuLeg{egress: e}
	s.legs = append(s.legs, l)
	return l
}

// rebuild fills the leg's table; rare, so clarity over speed.
func (l *sfuLeg) rebuild(s *sfu) {
	l.takes = make([][]*stream.Projection, s.count)
	for _, x := range s.sources {
		for _, p := range l.all {
			if p.Takes(x.src) {
				l.takes[x.at] = append(l.takes[x.at], p)
			}
		}
	}
}

// HandleBatch implements [graph.Element]: leg by leg, so that what one receiver
// gets lies together and leaves as one GSO run.
func (s *sfu) HandleBatch(now clock.Time, in []graph.Packet, out *graph.Batch) {
	s.work = s.work[:0]
	for i := range in {
		var x *sfuSource
		if t := int(in[i].Track); t < len(s.index) {
			x = s.index[t]
		}
		s.work = append(s.work, x)
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
	for _, l := range s.legs {
		if l.egress.Leg == leg {
			l.egress.HandleFeedback(now, compound, out)
			return
		}
	}
}

// review is how often layers are reconsidered.
const review = 250 * time.Millisecond

// Tick implements [graph.Element].
func (s *sfu) Tick(now clock.Time, _ *graph.Batch) clock.Time {
	if len(s.legs) == 0 || len(s.sources) == 0 {
		return 0
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
