package focus

import (
	"slices"

	"parley/internal/conference/model"
	"parley/internal/media/plane"
)

// Sources that pass keep their own SSRC, so that several sections of a
// connection can come to carry the same one in turn. A browser takes an SSRC for
// the section where it met it last: it refuses an answer that names it in
// another ("Failed to set up demuxing"), and plays nothing when two sections
// have it at once. Hence a source goes where it was, is named nowhere else, and
// what passed in another section ends in the very answer that places it anew.

// maxTold bounds what is remembered of a connection; it is what the media side
// passes on one.
const maxTold = 128

// stays reports whether what a section carries can go on under another recipe:
// as it is, or since it passes in both.
func (s *section) stays(recipe string) bool {
	return s.recipe == recipe || s.passes() && recipe != ""
}

// yields reports whether a section has to end before what comes in its place:
// both pass, and an SSRC cannot be in two sections.
func (l *leg) yields(s *section) bool {
	return s.ending && s.passes() && l.recipe(s.kind) != ""
}

// met notes on which section a browser meets an SSRC.
func (l *leg) met(ssrc uint32, mid string) {
	if ssrc == 0 {
		return
	}
	if l.told == nil || len(l.told) >= maxTold {
		l.told = map[uint32]string{}
	}
	l.told[ssrc] = mid
}

// back puts waiting sources that pass on the sections where they were before.
func (p *plan) back(l *leg, src sources) {
	for i := range p.sections {
		s := &p.sections[i]
		if !s.empty() || l.recipe(s.kind) == "" || l.served.Way(s.kind.String()) != model.WayEach {
			continue
		}
		n := slices.IndexFunc(p.pending, func(w *model.Subscription) bool {
			ssrc, _ := src.own(w.Track)
			return kindOf(w.Track.Kind) == s.kind && ready(w) && ssrc != 0 && l.told[ssrc] == s.mid
		})
		if n >= 0 {
			p.place(l, i, n, src)
		}
	}
}

// elsewhere reports whether the browser has met a source in another section.
func (l *leg) elsewhere(k *model.Track, mid string, src sources) bool {
	ssrc, _ := src.own(k)
	was := l.told[ssrc]
	return was != "" && was != mid
}

// meets notes what the sections in force name.
func (l *leg) meets(src sources) {
	for i := range l.sections {
		if s := &l.sections[i]; s.sub != nil && s.passes() && s.sending && !s.ending {
			ssrc, _ := src.own(s.sub.Track)
			l.met(ssrc, s.mid)
		}
	}
}

// refeed tells the media side of sections whose recipe changed in place.
func (r *room) refeed(l *leg, was map[string]string) {
	for i := range l.sections {
		if s := &l.sections[i]; s.sub != nil && !s.ending && was[s.mid] != s.recipe && s.kind != plane.Application {
			r.feed(l, s)
		}
	}
}

// recipes returns what the sections carry is wired by.
func (l *leg) recipes() map[string]string {
	out := make(map[string]string, len(l.sections))
	for i := range l.sections {
		out[l.sections[i].mid] = l.sections[i].recipe
	}
	return out
}
