package focus

import (
	"slices"

	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/media/plane"
)

// Lines of plain RTP have no sections to be asked for: one session takes as many
// SSRCs as come (RFC 3550), so that a manner is changed at once. Where every
// source is to come by itself, a line has a slot for each.

// maxSpread bounds the sources on one line.
const maxSpread = 32

// serveLines brings the lines of a plain leg in step with its manner. A recipe
// holds for as long as an SSRC lives, so another one begins with another SSRC.
func (r *room) serveLines(l *leg) {
	for i := range l.sections {
		s := &l.sections[i]
		if want := l.recipe(s.kind); s.slot == nil || s.recipe == want {
			continue
		} else if s.recipe = want; !s.slot.fed {
			continue
		}
		r.f.cfg.Plane.Unsubscribe(s.slot.sub)
		s.slot = newSlot()
		s.ssrc, s.rtx = r.random(), r.random()
		if !s.extra {
			r.retuneLine(l, s)
		}
	}
}

// retuneLine tells the media side of a line's new SSRC.
func (r *room) retuneLine(l *leg, s *section) {
	for _, n := range l.rtp.lines {
		if n.mid != s.mid || n.conn == "" {
			continue
		}
		n.media.Sections = slices.Clone(n.media.Sections)
		for i := range n.media.Sections {
			if x := &n.media.Sections[i]; x.Send != nil {
				send := *x.Send
				send.SSRC = s.ssrc
				if send.RTXSSRC != 0 {
					send.RTXSSRC = s.rtx
				}
				x.Send = &send
			}
		}
		n.media.Rev++
		if err := r.f.cfg.Plane.Configure(n.conn, n.media); err != nil {
			r.log.Warn("a line was not configured", "conn", string(n.conn), "err", err)
		}
	}
}

// spread gives a line as many slots as there are sources to show, when each is
// to come by itself, and otherwise one.
func (r *room) spread(l *leg, kind plane.Kind, all []*model.Track) {
	if l.rtp == nil {
		return
	}
	want, have := 1, 0
	var base *section
	for i := range l.sections {
		if s := &l.sections[i]; s.kind == kind && s.slot != nil {
			if have++; base == nil {
				base = s
			}
		}
	}
	if base == nil {
		return
	}
	if l.served.Way(kind.String()) == model.WayEach {
		want = min(maxSpread, max(1, len(r.showable(l, kind, all))))
	}
	for mid := base.mid; have < want; have++ {
		l.sections = append(l.sections, section{
			mid: mid, kind: kind, receive: true, sending: true, slot: newSlot(), ssrc: r.random(), rtx: r.random(),
			recipe: l.recipe(kind), extra: true,
		})
	}
	l.sections = slices.DeleteFunc(l.sections, func(s section) bool {
		if have <= want || !s.extra || s.kind != kind {
			return false
		}
		if have--; s.slot.fed {
			r.f.cfg.Plane.Unsubscribe(s.slot.sub)
		}
		return true
	})
}

// showable lists what a leg may be shown of a kind.
func (r *room) showable(l *leg, kind plane.Kind, all []*model.Track) (out []ids.Track) {
	for _, k := range all {
		if k.Device != l.dev && k.Kind == kind.String() && !l.refused[k.ID] && r.wanted(l, k) && r.taken(l, kind, k) {
			out = append(out, k.ID)
		}
	}
	return out
}
