package focus

import (
	"slices"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/media/plane"
	"parley/internal/media/sdp"

	"time"
)

// The room answers what a plan asks about tracks.

func (r *room) publishing(ms ids.MediaSession, cid string) bool {
	s := r.m.Conference().Media[ms]
	return s != nil && slices.ContainsFunc(s.Tracks, func(k *model.Track) bool { return k.CID == cid })
}

// codec is the first of the publisher's section: what it prefers to send.
func (r *room) codec(k *model.Track) *plane.Codec {
	l := r.legs[k.MS]
	if l == nil {
		return nil
	}
	for i := range l.media.Sections {
		if s := &l.media.Sections[i]; s.MID == k.MID && s.Recv != nil && len(s.Recv.Codecs) > 0 {
			return &s.Recv.Codecs[0]
		}
	}
	return nil
}

// own implements sources. A simulcast source has several, of which any may pass.
func (r *room) own(k *model.Track) (ssrc, rtx uint32) {
	l := r.legs[k.MS]
	if l == nil {
		return 0, 0
	}
	for i := range l.media.Sections {
		if s := &l.media.Sections[i]; s.MID == k.MID && s.Recv != nil && len(s.Recv.Layers) == 1 {
			return s.Recv.Layers[0].SSRC, s.Recv.Layers[0].RTXSSRC
		}
	}
	return 0, 0
}

// sealed implements sources.
func (r *room) sealed() bool { return r.m.E2EE() }

// cname returns the alias under which all tracks of a device are sent: one per
// origin device, and never what the device calls itself (rule C6).
func (r *room) cname(d *model.Device) string {
	if c := r.cnames[d]; c != "" {
		return c
	}
	c := string(ids.NewStream())[len("str_"):]
	r.cnames[d] = c
	return c
}

func (r *room) random() uint32 { return ids.Random32() }

// fillAllSlots gives every leg of slots the sources it should have now.
func (r *room) fillAllSlots() {
	var all []*model.Track
	for _, k := range r.m.Conference().Tracks {
		if k.Bound() {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, joinOrder)
	for _, l := range r.legsInOrder() {
		if l.opened && (l.numbered > 0 || l.rtp != nil) { // most legs of most rooms have none
			r.fillSlots(l, plane.Audio, all)
			r.fillSlots(l, plane.Video, all)
		}
	}
	r.sweepOutputs()
}

// fillSlots gives the slots of one kind their sources. A source that the plane
// refuses leaves its slot to the others.
func (r *room) fillSlots(l *leg, kind plane.Kind, all []*model.Track) {
	r.spread(l, kind, all)
	for !r.filled(l, kind, all) {
	}
}

// filled is one round; false: a source was refused, which it is only once.
func (r *room) filled(l *leg, kind plane.Kind, all []*model.Track) bool {
	mine := l.slotsOf(kind)
	if len(mine) == 0 {
		return true
	}
	if l.served.Way(kind.String()) == model.WayMix {
		if x := r.output(l, kind); x != nil {
			return r.fillMix(l, mine, x)
		}
	}
	now := make([]ids.Track, len(mine))
	for i, s := range mine {
		now[i] = s.slot.track
	}
	next := fillSlots(now, r.showable(l, kind, all), pinsFirst(r.pinned(l.dev, kind), r.floor.among(r, kind)), r.floor.age)
	for i, s := range mine {
		if next[i] != now[i] && !r.switchSlot(l, s, next[i]) {
			return false
		}
	}
	return true
}

// wanted reports whether a leg may show a track in a slot. Clients that fill
// what they offer take everything; others what they subscribe to.
func (r *room) wanted(l *leg, k *model.Track) bool {
	if l.dev.Subscribe == "slots" {
		return l.dev.Away.Hears(k.Kind)
	}
	return slices.ContainsFunc(l.pending, func(s *model.Subscription) bool { return s.Track == k && !spent(s) && !s.Paused() })
}

// taken reports whether the sections of a leg can carry a track's codec.
func (r *room) taken(l *leg, kind plane.Kind, k *model.Track) bool {
	c := r.codec(k)
	if c == nil {
		return false
	}
	for i := range l.media.Sections {
		if s := &l.media.Sections[i]; s.Kind == kind && s.Send != nil {
			_, ok := sdp.FindCodec(s.Send.Codecs, *c)
			return ok
		}
	}
	return false
}

// switchSlot puts a source on a slot, or none; false: the plane refused it, and
// the slot is empty. An empty one keeps its SSRC: BYE would be final for it.
func (r *room) switchSlot(l *leg, s *section, to ids.Track) bool {
	l.moved = true
	if s.slot.track = to; to == "" && !s.slot.fed {
		return true
	}
	err := r.f.cfg.Plane.Subscribe(plane.Subscription{
		Conf: r.id, Sub: s.slot.sub, Track: to, Conn: l.connOf(s.mid), MID: s.mid,
		SSRC: s.ssrc, RTXSSRC: s.rtx, Slot: true, Topology: s.recipe, Anonymous: l.served.Anonymous(),
	})
	if s.slot.fed = s.slot.fed || err == nil; err == nil || to == "" {
		if k := r.m.Conference().Tracks[to]; k != nil && s.passes() {
			ssrc, _ := r.own(k)
			l.met(ssrc, s.mid)
		}
		return true
	}
	r.log.Warn("slot refused by the media side", "sub", string(s.slot.sub), "track", string(to), "err", err)
	if l.refused == nil {
		l.refused = map[ids.Track]bool{}
	}
	l.refused[to] = true
	return r.switchSlot(l, s, "") && false // also of what it carried before
}

// speakers is who speaks now, and for how long others have not.
type speakers struct {
	list []plane.Speaker
	turn int
	last map[ids.Track]int // the turn in which a track was last first in the list
	at   clock.Time        // speaker.active is due
	sent clock.Time
}

// heard takes a new list.
func (s *speakers) heard(now clock.Time, list []plane.Speaker) {
	s.list = list
	s.turn++
	if s.last == nil {
		s.last = map[ids.Track]int{}
	}
	for _, sp := range list {
		s.last[sp.Track] = s.turn
	}
	if s.at.IsZero() { // at most one event a second
		s.at = max(now, s.sent.Add(time.Second))
	}
}

// age is how many lists ago a track was in one; never is longest.
func (s *speakers) age(k ids.Track) int {
	if n, ok := s.last[k]; ok {
		return s.turn - n
	}
	return s.turn + 1
}

// among lists the tracks of a kind that go with the speakers: the audio itself,
// or the camera of the same device.
func (s *speakers) among(r *room, kind plane.Kind) []ids.Track {
	var out []ids.Track
	for _, sp := range s.list {
		k := r.m.Conference().Tracks[sp.Track]
		if k == nil {
			continue
		}
		if kind == plane.Audio {
			out = append(out, k.ID)
			continue
		}
		for _, o := range r.m.TracksOf(k.MS) {
			if o.Source == "camera" {
				out = append(out, o.ID)
				s.last[o.ID] = max(s.last[o.ID], s.last[k.ID])
				break
			}
		}
	}
	return out
}

// tell sends speaker.active when it is due.
func (s *speakers) tell(now clock.Time, r *room) {
	if s.at.IsZero() || now < s.at {
		return
	}
	s.at, s.sent = 0, now
	body := api.SpeakerActive{Conf: string(r.id), Speakers: []api.Speaker{}}
	for _, sp := range s.list {
		if k := r.m.Conference().Tracks[sp.Track]; k != nil && !k.Muted() {
			body.Speakers = append(body.Speakers, api.Speaker{
				Track: string(k.ID), User: k.Device.Part.User, Device: string(k.Device.ID), Level: int(sp.Level),
			})
		}
	}
	r.notes.speakers(body)
}
