package focus

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/media/plane"
	"parley/internal/media/sdp"
)

// The mixer's outputs: one for each listener and kind, and one for each source
// that is translated for a leg. They are the focus's own affair: a conference
// has no tracks of these names.

// mixPatience is how long a slot waits for the first packet of a mix before it
// leaves what it shows: a mix of nobody has none.
const mixPatience = 2 * time.Second

// mixWarm is what a mix needs from its first packet until everybody is in it:
// jitter buffers fill, decoders wait for keyframes.
const mixWarm = 500 * time.Millisecond

// mixing is what a room has of the mixer. Belongs to the loop.
type mixing struct {
	of    map[mixKey]*output
	room  plane.MixRoom // as last told
	cname string
	used  bool
	again clock.Time // outputs that were refused are tried again; zero: none were
}

// mixAgain is how long a mixer that refused is left alone. Slots serve its
// listeners meanwhile.
const mixAgain = 3 * time.Second

// mixKey names an output; only: the track that is translated.
type mixKey struct {
	ms   ids.MediaSession
	kind plane.Kind
	only ids.Track
}

// output is a stream that the mixer makes.
type output struct {
	plane.MixOutput
	at   clock.Time // when it was started
	live bool       // its packets flow, or were waited for long enough
	from clock.Time // since when it is live
}

// canMix is what a machine asks about mixing; nil without a mixer.
func (f *Focus) canMix() func(string) error {
	return func(kind string) error {
		switch {
		case f.cfg.Mixer == nil:
			return fault.New(503, "codec-missing", "this server has no mixer")
		case kind == "audio":
			return f.cfg.Mixer.Can(plane.Audio, plane.Codec{Name: "opus", ClockRate: 48000, Channels: 2})
		}
		return f.cfg.Mixer.Can(plane.Video, plane.Codec{Name: "VP8", ClockRate: 90000})
	}
}

// due is when an output that has sent nothing is waited for no longer.
func (x *mixing) due() (at clock.Time) {
	at = x.again
	for _, o := range x.of {
		if !o.live {
			at = clock.Earliest(at, o.at.Add(mixPatience))
		}
	}
	return at
}

func (x *mixing) tick(now clock.Time, r *room) {
	if !x.again.IsZero() && x.again <= now {
		x.again, r.refill = 0, true
	}
	for _, o := range x.of {
		if !o.live && o.at.Add(mixPatience) <= now {
			o.live, o.from, r.refill = true, now, true
		}
	}
}

// flows notes the first packet of an output; false: it is none of these.
func (x *mixing) flows(now clock.Time, t ids.Track) bool {
	for _, o := range x.of {
		if o.Track == t {
			if !o.live {
				o.live, o.from = true, now
			}
			return true
		}
	}
	return false
}

// steady is when a mix can be relied on; zero: there is none.
func (x *mixing) steady(key mixKey) clock.Time {
	o := x.of[key]
	switch {
	case o == nil:
		return 0
	case !o.live:
		return o.at.Add(mixPatience)
	}
	return o.from.Add(overlap(key.kind) + mixWarm)
}

// codecOf is the codec of a leg's that an output can have; nil: none.
func (r *room) codecOf(kind plane.Kind, list []plane.Codec) *plane.Codec {
	if r.f.cfg.Mixer == nil {
		return nil
	}
	for i := range list {
		if r.f.cfg.Mixer.Can(kind, list[i]) == nil {
			return &list[i]
		}
	}
	return nil
}

// into implements sources.
func (r *room) into(kind plane.Kind, offered []plane.Codec) *plane.Codec {
	return r.codecOf(kind, slices.DeleteFunc(slices.Clone(offered), func(c plane.Codec) bool { return !sdp.Known(kind, c) }))
}

// sends lists the codecs of the first section of a kind that we send on.
func (l *leg) sends(kind plane.Kind) []plane.Codec {
	for i := range l.media.Sections {
		if s := &l.media.Sections[i]; s.Kind == kind && s.Send != nil {
			return s.Send.Codecs
		}
	}
	return nil
}

// output starts the mix of a kind for a leg, or brings it up to date; nil: it
// cannot be made.
func (r *room) output(l *leg, kind plane.Kind) *output {
	c := r.codecOf(kind, l.sends(kind))
	if c == nil {
		return nil
	}
	o := plane.MixOutput{Kind: kind, Codec: *c, Listener: l.dev.ID, Leg: l.conn, Anonymous: l.served.Anonymous()}
	if l.dev.Group {
		o.Listener = "" // it publishes nothing
	}
	if kind == plane.Video {
		o.Layout = cmp.Or(l.dev.Layout.Mode, r.m.Conference().Layout.Mode, "automatic")
		o.Pins, o.Names = r.pinned(l.dev, kind), !o.Anonymous
	}
	return r.start(mixKey{l.ms, kind, ""}, o)
}

// translation starts the transcoding of a section's source and returns the track
// that it makes; empty: it failed.
func (r *room) translation(l *leg, s *section) ids.Track {
	o := plane.MixOutput{Kind: s.kind, Codec: *s.translated, Listener: l.dev.ID, Only: s.sub.Track.ID}
	if x := r.start(mixKey{l.ms, s.kind, s.sub.Track.ID}, o); x != nil {
		return x.Track
	}
	return ""
}

// start refuses in an encrypted conference, where control asks for none: what
// the mixer would get there is noise at best.
func (r *room) start(key mixKey, o plane.MixOutput) *output {
	if r.m.E2EE() {
		return nil
	}
	old := r.mixing.of[key]
	if old != nil {
		o.Track = old.Track
	} else {
		o.Track = ids.NewTrack()
	}
	if o.Conf = r.id; old != nil && reflect.DeepEqual(old.MixOutput, o) {
		return old
	}
	if r.mixing.of == nil {
		r.mixing.of = map[mixKey]*output{}
	}
	r.mixing.used = true
	r.tellRoom()
	if err := r.f.cfg.Mixer.Start(o); err != nil {
		if r.mixing.again.IsZero() {
			r.log.Warn("a mix was not made", "kind", key.kind.String(), "err", fault.From(err).Reason)
		}
		r.mixing.again = r.f.cfg.Clock.Now().Add(mixAgain)
		if old != nil {
			return old
		}
		return nil
	}
	if old != nil {
		old.MixOutput = o
		return old
	}
	x := &output{MixOutput: o, at: r.f.cfg.Clock.Now()}
	r.mixing.of[key] = x
	return x
}

// fillMix puts a mix on the first of a leg's slots. While nothing of it has
// come, the slot goes on with what it shows.
func (r *room) fillMix(l *leg, mine []*section, x *output) bool {
	first := mine[0].slot
	if first.track != x.Track && (x.live || first.track == "") && !r.switchSlot(l, mine[0], x.Track) {
		return true // the media side will say more of it than we can mend
	}
	for _, s := range mine[1:] {
		if s.slot.track != "" {
			r.switchSlot(l, s, "")
		}
	}
	return true
}

// sweepOutputs ends the outputs that nobody is served by any more.
func (r *room) sweepOutputs() {
	for key, x := range r.mixing.of {
		if l := r.legs[key.ms]; l != nil && l.opened && l.uses(key, x) {
			continue
		}
		r.f.cfg.Mixer.Stop(r.id, x.Track)
		delete(r.mixing.of, key)
	}
}

func (l *leg) uses(key mixKey, x *output) bool {
	if key.only == "" && l.served.Way(key.kind.String()) == model.WayMix && len(l.slotsOf(key.kind)) > 0 {
		return true
	}
	return slices.ContainsFunc(l.sections, func(s section) bool {
		return s.slot != nil && s.slot.track == x.Track ||
			s.translated != nil && s.sub != nil && s.kind == key.kind && s.sub.Track.ID == key.only
	})
}

// tellMixer brings what the mixer knows up to date.
func (r *room) tellMixer() {
	if len(r.mixing.of) > 0 && !r.over {
		r.tellRoom()
	}
}

func (r *room) tellRoom() {
	next := r.mixRoom()
	if reflect.DeepEqual(next, r.mixing.room) {
		return
	}
	r.mixing.room = next
	r.f.cfg.Mixer.Room(next)
}

// mixRoom is the conference as the mixer should know it.
func (r *room) mixRoom() plane.MixRoom {
	if r.mixing.cname == "" {
		r.mixing.cname = string(ids.NewStream())[len("str_"):]
	}
	out := plane.MixRoom{Conf: r.id, CNAME: r.mixing.cname}
	var all []*model.Track
	for _, k := range r.m.Conference().Tracks {
		if k.Bound() && r.legs[k.MS] != nil && r.legs[k.MS].published[k.ID] {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, joinOrder)
	for _, k := range all {
		c := r.codec(k)
		if c == nil {
			continue
		}
		out.Sources = append(out.Sources, plane.MixSource{
			Track: k.ID, Kind: kindOf(k.Kind), Source: k.Source, Device: k.Device.ID, SrcID: k.SrcID, CNAME: r.cname(k.Device),
			Name: r.shownName(k.Device.Part), Codec: *c, Level: r.legs[k.MS].levels(k.MID), Muted: k.Muted(), Mixed: k.Device.Cascade != nil,
		})
	}
	for _, s := range r.floor.list {
		out.Speakers = append(out.Speakers, s.Track)
	}
	return out
}

// shownName is what is drawn on a person's tile. Everybody sees the same
// picture, so the anonymous stay so.
func (r *room) shownName(p *model.Participant) string {
	if p.Anonymous {
		return "Guest"
	}
	return p.Name
}

// levels reports whether a section was agreed to carry audio levels.
func (l *leg) levels(mid string) bool {
	for i := range l.media.Sections {
		if s := &l.media.Sections[i]; s.MID == mid {
			return s.Exts[plane.ExtAudioLevel] != 0
		}
	}
	return false
}

// endMixing forgets the room at the mixer.
func (r *room) endMixing() {
	if r.mixing.used {
		r.f.cfg.Mixer.End(r.id)
	}
}
