package focus

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
	"parley/internal/conference/model"
	"parley/internal/media/plane"
)

// How a leg goes from one manner to another: what it carried is marked as
// ending and stays; the client is asked for the sections that the new manner
// needs besides; when these are answered and have had time to flow, what was
// ending ends (ADR 8: made before it is broken).

// How long old and new streams overlap after the answer. A client needs one turn
// to put the answer in force and, for a picture, one keyframe; longer only means
// that something is heard twice, shorter that nothing is.
const (
	overlapAudio = 400 * time.Millisecond
	overlapVideo = 1500 * time.Millisecond
)

func overlap(k plane.Kind) time.Duration {
	if k == plane.Audio {
		return overlapAudio
	}
	return overlapVideo
}

// speakerSlots is how many are heard at a time in slots; more at once nobody
// understands.
const speakerSlots = 3

// media kinds that come in sections.
var kindsOf = [...]plane.Kind{plane.Audio, plane.Video}

// recipe is how the media side wires what a kind carries; empty: as usual.
func (l *leg) recipe(kind plane.Kind) string {
	if l.served.Manner == model.VideoSwitching && kind != plane.Video {
		return ""
	}
	return l.served.Recipe()
}

// slots counts the slots of each kind that are to stay.
func (l *leg) slots() (n [plane.Application + 1]int) {
	for i := range l.sections {
		if s := &l.sections[i]; s.slot != nil && !s.ending {
			n[s.kind]++
		}
	}
	return n
}

// slotsOf lists the slots of a kind that are to stay.
func (l *leg) slotsOf(kind plane.Kind) (out []*section) {
	for i := range l.sections {
		if s := &l.sections[i]; s.slot != nil && s.kind == kind && !s.ending {
			out = append(out, s)
		}
	}
	return out
}

// wantsSlots is how many slots a kind should have.
func (l *leg) wantsSlots(kind plane.Kind) int {
	if l.dev.Subscribe == "slots" {
		return len(l.sections) + 1<<10 // each section that it offers
	}
	way := l.served.Way(kind.String())
	if l.dev.Subscribe == "none" && !slices.ContainsFunc(l.pending, func(s *model.Subscription) bool { return s.Track.Kind == kind.String() && !spent(s) }) {
		return 0
	}
	n := 0
	switch {
	case kind == plane.Application:
	case way == model.WayMix:
		n = 1
	case way == model.WaySlots && kind == plane.Audio:
		n = speakerSlots
	case way == model.WaySlots:
		n = max(1, l.pictures)
	}
	if few := l.dev.Caps.Streams; few > 0 {
		n = min(n, few)
	}
	return n
}

// missing is how many sections of a kind lack for how the leg is served.
func (l *leg) missing(kind plane.Kind) int {
	switch l.served.Way(kind.String()) {
	case model.WaySlots, model.WayMix:
		if l.dev.Subscribe == "slots" {
			return 0
		}
		return max(0, l.wantsSlots(kind)-l.slots()[kind])
	case model.WayEach:
		n := 0
		for _, s := range l.pending {
			if s.Track.Kind == kind.String() && ready(s) {
				n++
			}
		}
		return n
	}
	return 0
}

func (l *leg) lacks(kind plane.Kind) bool { return l.missing(kind) > 0 }

// inSlots lists subscriptions that slots or a mix serve.
func (l *leg) inSlots() (out []ids.Subscription) {
	have := l.slots()
	for _, s := range l.pending {
		kind := kindOf(s.Track.Kind)
		if w := l.served.Way(s.Track.Kind); (w == model.WaySlots || w == model.WayMix) && have[kind] > 0 && ready(s) {
			out = append(out, s.ID)
		}
	}
	return out
}

// serve takes a new manner: what does not fit it any more is to end, and what
// was to end and fits again stays.
func (l *leg) serve(to model.Leg) {
	l.served = to
	kept := [plane.Application + 1]int{}
	for i := range l.sections {
		s := &l.sections[i]
		if s.sub == nil && s.slot == nil || l.rtp != nil {
			continue
		}
		way := to.Way(s.kind.String())
		if way == model.WayNone {
			continue // peers carry it; the link as a whole is released later
		}
		fits := s.recipe == l.recipe(s.kind)
		if s.slot != nil {
			fits = fits && way != model.WayEach && kept[s.kind] < l.wantsSlots(s.kind)
			if fits {
				kept[s.kind]++
			}
			s.ending = !fits && l.dev.Subscribe != "slots"
			continue
		}
		l.keep(s, way == model.WayEach && s.stays(l.recipe(s.kind)))
		if !s.ending {
			s.recipe = l.recipe(s.kind)
		}
	}
}

// keep lets a section go on with its subscription, or has it end.
func (l *leg) keep(s *section, fits bool) {
	waits := slices.Index(l.pending, s.sub)
	switch {
	case fits && s.ending && waits >= 0: // nothing carries it otherwise
		s.ending = false
		l.pending = slices.Delete(l.pending, waits, waits+1)
	case !fits && !s.ending:
		s.ending = true
		if !spent(s.sub) {
			l.pending = append(l.pending, s.sub)
		}
	}
}

// ends is when old sections of any kind end.
func (l *leg) ends() clock.Time { return clock.Earliest(l.endAt[plane.Audio], l.endAt[plane.Video]) }

// endings reports whether a kind has old sections.
func (l *leg) endings(kind plane.Kind) bool {
	return slices.ContainsFunc(l.sections, func(s section) bool { return s.ending && s.kind == kind })
}

// legsInOrder lists the legs in the order their devices came.
func (r *room) legsInOrder() []*leg {
	out := make([]*leg, 0, len(r.legs))
	for _, l := range r.legs {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b *leg) int {
		return cmp.Or(cmp.Compare(a.dev.Part.Order, b.dev.Part.Order), cmp.Compare(a.ms, b.ms))
	})
	return out
}

// rewire serves a device's leg in another manner.
func (r *room) rewire(now clock.Time, e control.Rewire) {
	l := r.legs[e.Device.MS]
	if l == nil {
		return // made in this turn, with the manner as it is
	}
	same := e.Was.Anonymous() == e.Device.Leg.Anonymous()
	was := l.recipes()
	l.serve(e.Device.Leg)
	r.refeed(l, was)
	if !same {
		for i := range l.sections { // told again by what follows
			if s := &l.sections[i]; s.slot != nil && !s.ending {
				s.slot.track = ""
			}
		}
	}
	r.turn(now, l)
}

// turn goes on with a change of manner: asks for sections that lack, or sees to
// it that the old ones end.
func (r *room) turn(now clock.Time, l *leg) {
	r.refill = true
	if !l.opened {
		return
	}
	if l.rtp != nil {
		r.serveLines(l)
		return
	}
	if r.paths.at.IsZero() {
		r.paths.at = now.Add(pathEvery)
	}
	if l.lacking() {
		l.need(now, needSoon, "topology")
	}
	for _, k := range kindsOf {
		if l.endings(k) && !l.lacks(k) && l.endAt[k].IsZero() {
			l.endAt[k] = now.Add(overlap(k))
		}
	}
}

// endOld ends what the new sections of a leg have replaced.
func (r *room) endOld(now clock.Time, l *leg) {
	for _, k := range kindsOf {
		if at := l.endAt[k]; at.IsZero() || at > now {
			continue
		}
		l.endAt[k] = 0
		if l.lacks(k) {
			continue // something more came between; when it is there, they end
		}
		if at := r.mixing.steady(mixKey{l.ms, k, ""}); at > now && l.served.Way(k.String()) == model.WayMix {
			l.endAt[k] = at
			continue
		}
		for i := range l.sections {
			if s := &l.sections[i]; s.ending && s.kind == k {
				r.f.cfg.Plane.Unsubscribe(s.name())
				s.free()
			}
		}
		l.need(now, needLazy, "ended")
		r.refill = true
	}
}

// pictures is how many slots for video the layout of a device calls for.
func (r *room) pictures(d *model.Device) int {
	switch cmp.Or(d.Layout.Mode, r.m.Conference().Layout.Mode) {
	case "dual-view", "dual-view-2x1":
		return 2
	case "quad-view", "grid":
		return 4
	case "multiple-3x3":
		return 9
	case "multiple-4x4":
		return 16
	case "multiple-5x1":
		return 6
	}
	return 1
}

// rearrange follows a layout.
func (r *room) rearrange(now clock.Time) {
	r.refill = true
	for _, l := range r.legs {
		if n := r.pictures(l.dev); n != l.pictures {
			l.pictures = n
			l.serve(l.served)
			r.turn(now, l)
		}
		r.repin(l)
	}
}

// again has slots and translations take a track anew: the link that it came by
// is another one.
func (r *room) again(k ids.Track) {
	for _, l := range r.legs {
		for i := range l.sections {
			if s := &l.sections[i]; s.slot != nil && s.slot.track == k && !s.ending {
				s.slot.track, r.refill = "", true
			}
		}
	}
}

// label is a slot's name in answers: mix:audio, mix:video, or slot:1 and so on.
func (l *leg) label(s *section) string {
	if first := l.slotsOf(s.kind); l.served.Way(s.kind.String()) == model.WayMix && len(first) > 0 && first[0] == s {
		return "mix:" + s.kind.String()
	}
	return "slot:" + strconv.Itoa(s.slot.n)
}

// tellSlots says what the slots of each leg show, when that has changed.
func (r *room) tellSlots() {
	for _, l := range r.legs {
		if l.unsure {
			r.retell(l)
		}
		if !l.moved || l.rtp != nil || l.dev.Dialect != "ws" {
			continue
		}
		l.moved = false
		body, _ := json.Marshal(r.slotsOf(l)) // strings
		r.notes.direct(l.dev.Session, "media.slots", body)
	}
}

func (r *room) slotsOf(l *leg) api.MediaSlots {
	c, v := r.m.Conference(), info.View{Group: info.Members}
	if r.notes.knows(l.dev.Session) {
		v.Group = info.Moderators
	}
	out := api.MediaSlots{MS: string(l.ms), Slots: []api.MediaSlot{}}
	for i := range l.sections {
		s := &l.sections[i]
		if s.slot == nil || s.ending {
			continue
		}
		m := api.MediaSlot{MID: s.mid, Name: l.label(s)}
		if k := c.Tracks[s.slot.track]; k != nil {
			m.Track, m.User, m.Device = string(k.ID), v.Name(c, k.Device.Part.User), v.Device(c, k.Device.Part.User, k.Device.ID)
		}
		out.Slots = append(out.Slots, m)
	}
	return out
}
