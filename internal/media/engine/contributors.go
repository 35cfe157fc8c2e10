package engine

import (
	"slices"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/stream"
)

// maxContributors bounds what one mix may have named; its packets name 15.
const maxContributors = 256

func boundContributors(list []plane.Contributor) []plane.Contributor {
	return list[:min(len(list), maxContributors)]
}

// SetContributors implements [API]: whoever is no longer in the mix gets a BYE
// on the legs that had heard of it (RFC 3550, section 7.3; MIX-6).
func (e *Engine) SetContributors(_ clock.Time, id graph.TrackID, list []plane.Contributor, out *Out) {
	t := e.track(id)
	if t == nil {
		return
	}
	t.contrib = boundContributors(list)
	for _, l := range e.legs {
		if l == nil || l.conf != t.conf {
			continue
		}
		for _, s := range l.subs {
			if s.proj.Source() == t.src {
				e.name(s, t.src)
				e.unname(l, out)
				break
			}
		}
	}
}

// contributors calls f for every contributor a projection's receiver is told of.
func (e *Engine) contributors(p *stream.Projection, f func(plane.Contributor)) {
	src := p.Source()
	switch {
	case src == nil || p.Anonymous || p.Dead:
	case src.Track.Mixed:
		if t := e.track(src.ID); t != nil && t.src == src {
			for _, c := range t.contrib {
				f(c)
			}
		}
	case p.Slot && src.Track.SrcID != 0:
		f(plane.Contributor{SrcID: src.Track.SrcID, CNAME: src.Track.CNAME})
	}
}

// name notes whom a leg hears of by a subscription.
func (e *Engine) name(s *subscription, src *stream.Source) {
	if s.proj.Anonymous || src == nil {
		return
	}
	add := func(id uint32) {
		if s.leg.named == nil {
			s.leg.named = map[uint32]bool{}
		}
		s.leg.named[id] = true
	}
	if src.Track.Mixed {
		if t := e.track(src.ID); t != nil {
			for _, c := range t.contrib {
				add(c.SrcID)
			}
		}
	} else if s.proj.Slot && src.Track.SrcID != 0 {
		add(src.Track.SrcID)
	}
}

// unname says BYE for contributors that a leg has heard of, who are in no mix
// of it any more and no source of the conference either: a slot only rests.
func (e *Engine) unname(l *leg, out *Out) {
	if len(l.named) == 0 {
		return
	}
	still := map[uint32]bool{}
	for _, s := range l.subs {
		e.contributors(s.proj, func(c plane.Contributor) { still[c.SrcID] = true })
	}
	for _, t := range l.conf.tracks {
		if l.shown(t) {
			still[t.cfg.Track.SrcID] = true
		}
	}
	gone := e.ssrcs[:0]
	for id := range l.named {
		if !still[id] {
			gone = append(gone, id)
			delete(l.named, id)
		}
	}
	slices.Sort(gone)
	e.ssrcs = gone
	e.byeFor(l, gone, out)
}

// shown reports whether a leg with slots may have seen a track, or see it again.
func (l *leg) shown(t *track) bool {
	return slices.ContainsFunc(l.subs, func(s *subscription) bool {
		return s.proj.Slot && t.cfg.Track.SrcID != 0 && s.kind() == t.cfg.Track.Kind
	})
}

// sourceGone tells slots' receivers, and those of a mix, that a track ended.
func (e *Engine) sourceGone(t *track, out *Out) {
	if t.cfg.Track.SrcID == 0 && len(t.contrib) == 0 {
		return
	}
	for _, l := range e.legs {
		if l == nil || l.conf != t.conf || len(l.named) == 0 {
			continue
		}
		if l.named[t.cfg.Track.SrcID] || t.cfg.Track.Mixed {
			e.unname(l, out)
		}
	}
}

// byeFor says goodbye on behalf of others; their ids may come again.
func (e *Engine) byeFor(l *leg, ids []uint32, out *Out) {
	for len(ids) > 0 {
		n := min(len(ids), rtcp.MaxBlocks)
		b := rtcp.AppendSDES(rtcp.AppendRR(e.rtcp[:0], l.ssrc, nil), l.ssrc, l.media.CNAME)
		e.rtcp = rtcp.AppendBYE(b, ids[:n]...)
		e.emit(l, out)
		ids = ids[n:]
	}
}

// kind returns what the subscription's section carries.
func (s *subscription) kind() plane.Kind {
	for i := range s.leg.media.Sections {
		if x := &s.leg.media.Sections[i]; x.MID == s.cfg.Sub.MID {
			return x.Kind
		}
	}
	return 0
}

// free reports whether an SSRC can be taken into use on a leg: neither the peer
// nor we have it, and we never said BYE for it (rules C5 and C7).
func (e *Engine) free(id graph.LegID, ssrc uint32) bool {
	l := e.leg(id)
	return l != nil && ssrc != l.ssrc && !l.bye[ssrc] && len(l.bye) < maxByes && l.find(ssrc) == nil
}
