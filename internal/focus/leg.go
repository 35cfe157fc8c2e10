package focus

import (
	"cmp"
	"slices"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/model"
	"parley/internal/media/plane"
	"parley/internal/media/sdp"
)

// How long media.needed waits for more of the same (line A30): what is new is
// wanted soon, what ended only costs an unused section.
const (
	needSoon = 50 * time.Millisecond
	needLazy = 500 * time.Millisecond
)

// leg is what the focus knows of one media session's description: which
// section carries what. Pure; changed only by the room's loop. A planned offer
// is a copy of its sections until the answer has been made.
type leg struct {
	ms       ids.MediaSession
	conn     ids.Connection
	dev      *model.Device
	session  sdp.Session
	local    plane.Local
	remote   plane.ICECreds
	prints   []plane.Fingerprint
	media    plane.LegMedia
	opened   bool // the plane has a link of this name
	failed   bool // it said that the link is gone
	stream   ids.Stream
	sections []section
	pending  []*model.Subscription // without a section, oldest first
	// published holds the tracks that the plane knows on this connection.
	published map[ids.Track]bool
	// refused are tracks that the plane would not put on a slot, until the next
	// offer or until they are published anew.
	refused map[ids.Track]bool
	rtp     *plainLeg // nil: WebRTC
	// told is the section on which the client met an SSRC that is not ours.
	told map[uint32]string

	served   model.Leg                         // the manner in force
	pictures int                               // slots for video that its layout calls for
	endAt    [plane.Application + 1]clock.Time // old sections of a kind end; zero: none wait
	numbered int                               // slots that were ever made
	moved    bool                              // a slot shows something else: media.slots is due

	withheld []api.WithheldTrack // that the client was told of
	unsure   bool                // it may have missed that

	needAt  clock.Time // media.needed is due; zero: nothing to tell
	needWhy string
	forced  bool // to be told though nothing lacks
}

// section is one m-section of a leg.
type section struct {
	mid     string
	kind    plane.Kind
	cid     string              // publishes this
	sub     *model.Subscription // carries this; nil: free
	pinned  bool                // by its layout, as the media side was told
	ssrc    uint32
	rtx     uint32
	fec     uint32 // of parity
	receive bool   // offered for us to send on
	sending bool   // told so in the last answer
	slot    *slot
	// ending: what it carries is not how the leg is served any more, and stays
	// until what comes in its place flows.
	ending bool
	as     ids.Subscription // name of sub at the media side; empty: its own
	recipe string           // of what it carries
	unsaid bool             // its SSRC is left out of the answer: the client met it elsewhere
	extra  bool             // one more source on a line of plain RTP
	// translated is the codec into which sub is transcoded; nil: sent as it comes.
	translated *plane.Codec
}

// name is what the media side calls the section's subscription.
func (s *section) name() ids.Subscription {
	switch {
	case s.slot != nil:
		return s.slot.sub
	case s.as != "":
		return s.as
	case s.sub != nil:
		return s.sub.ID
	}
	return ""
}

// passes reports whether sources come under SSRCs of their own.
func (s *section) passes() bool { return s.recipe != "" }

// free takes away what a section carries.
func (s *section) free() {
	s.sub, s.slot, s.ssrc, s.rtx, s.fec, s.ending, s.as, s.recipe, s.translated = nil, nil, 0, 0, 0, false, "", "", nil
	s.unsaid = false
}

// empty reports whether a section that is received could carry something.
func (s *section) empty() bool { return s.receive && s.sub == nil && s.slot == nil }

// plan is a decided offer, not yet in force.
type plan struct {
	offer     *sdp.Description
	sections  []section
	decisions []sdp.Decision
	pending   []*model.Subscription
	ended     []ids.Subscription // names of what lost its section
	placed    []int              // sections with a new source
	slots     [plane.Application + 1]int
}

// sources is what a plan asks about tracks.
type sources interface {
	// publishing tells whether the device of this leg publishes cid.
	publishing(ms ids.MediaSession, cid string) bool
	// into returns the codec of an offer's that a track can be transcoded to, or nil.
	into(kind plane.Kind, offered []plane.Codec) *plane.Codec
	// codec returns what a track is sent with, or nil when that is not known.
	codec(t *model.Track) *plane.Codec
	// own returns the SSRCs that a track comes with, 0 when not known.
	own(t *model.Track) (ssrc, rtx uint32)
	// cname returns the alias CNAME of a track's device (rule C6).
	cname(d *model.Device) string
	// sealed tells that media are encrypted end to end.
	sealed() bool
	// random returns a fresh SSRC.
	random() uint32
}

// plan decides each section of an offer: what the client sends in it, or which
// subscription it carries. Free sections are given to waiting subscriptions of
// their kind in order.
func (l *leg) plan(offer *sdp.Description, tracks map[string]string, src sources) *plan {
	p := &plan{offer: offer, pending: slices.Clone(l.pending), slots: l.slots()}
	for i := range offer.Sections {
		o := &offer.Sections[i]
		s := section{mid: o.MID, kind: o.Kind}
		if i < len(l.sections) && l.sections[i].mid == o.MID {
			s = l.sections[i]
		} else if i < len(l.sections) {
			p.lose(&l.sections[i])
		}
		p.decide(l, &s, o, tracks, src)
		p.sections = append(p.sections, s)
	}
	for i := len(offer.Sections); i < len(l.sections); i++ {
		p.lose(&l.sections[i])
	}
	p.fill(l, src)
	for i := range p.sections {
		p.decisions = append(p.decisions, p.sections[i].decision(l, &p.offer.Sections[i], src))
	}
	return p
}

func (p *plan) decide(l *leg, s *section, o *sdp.Section, tracks map[string]string, src sources) {
	if cid, ok := tracks[o.MID]; ok {
		s.cid = cid
	}
	if s.cid != "" && !src.publishing(l.ms, s.cid) {
		s.cid = ""
	}
	sends := o.Active() && o.Direction.Sends() && s.cid != ""
	s.receive = o.Active() && o.Direction.Receives() && !sends && o.Kind != plane.Application
	if s.slot != nil && !s.receive || s.sub != nil && (!s.receive || spent(s.sub)) || l.yields(s) {
		p.lose(s)
		s.free()
	}
	if s.empty() && p.slots[s.kind] < l.wantsSlots(s.kind) {
		p.slots[s.kind]++
		l.numbered++
		s.slot, s.recipe = newSlot(), l.recipe(s.kind)
		s.slot.n = l.numbered
		s.number(src)
	}
}

// number gives a section new SSRCs.
func (s *section) number(src sources) {
	s.ssrc, s.rtx = src.random(), src.random()
	if s.kind == plane.Video {
		s.fec = src.random()
	}
}

// lose puts a living subscription back in the queue: its section went away.
func (p *plan) lose(s *section) {
	switch {
	case s.slot != nil:
		p.ended = append(p.ended, s.name())
		if !s.ending {
			p.slots[s.kind]--
		}
	case s.sub != nil && !spent(s.sub):
		p.ended = append(p.ended, s.name())
		if !s.ending {
			p.pending = append(p.pending, s.sub)
		}
	}
}

// spent reports whether a subscription has ended or was denied.
func spent(s *model.Subscription) bool {
	return s.State == model.SubEnded || s.State == model.SubDenied
}

// fill gives free sections to waiting subscriptions.
func (p *plan) fill(l *leg, src sources) {
	slices.SortStableFunc(p.pending, func(a, b *model.Subscription) int { return cmp.Compare(a.Order, b.Order) })
	p.back(l, src)
	for i := range p.sections {
		s := &p.sections[i]
		if !s.empty() || l.served.Way(s.kind.String()) != model.WayEach {
			continue
		}
		n := slices.IndexFunc(p.pending, func(w *model.Subscription) bool {
			return w.Track.Kind == s.kind.String() && ready(w)
		})
		if n >= 0 {
			p.place(l, i, n, src)
		}
	}
}

// place gives section i the n-th waiting subscription.
func (p *plan) place(l *leg, i, n int, src sources) {
	s := &p.sections[i]
	s.sub, s.recipe = p.pending[n], l.recipe(s.kind)
	if l.taken(s.sub.ID) {
		s.as = ids.NewSubscription()
	}
	s.number(src) // one SSRC is one source, never used again
	s.unsaid = s.passes() && l.elsewhere(s.sub.Track, s.mid, src)
	p.pending = slices.Delete(p.pending, n, n+1)
	p.placed = append(p.placed, i)
}

// ready reports whether a subscription can be given a section.
func ready(s *model.Subscription) bool {
	return s.Track.Bound() && s.State != model.SubDenied && s.State != model.SubEnded
}

func (s *section) decision(l *leg, offered *sdp.Section, src sources) sdp.Decision {
	if s.kind == plane.Application {
		return sdp.Decision{Receive: true}
	}
	d := sdp.Decision{Receive: s.cid != "", NoRED: src.sealed()}
	switch {
	case s.slot != nil: // declared even while empty, so that filling it needs no new answer
		d.Send = &sdp.SendSource{
			SSRC: s.ssrc, RTXSSRC: s.rtx, FECSSRC: s.fec, Stream: string(l.stream), Track: "slot-" + s.mid, CNAME: l.session.CNAME,
			Unannounced: s.passes(),
		}
	case s.sub != nil:
		k := s.sub.Track
		d.Send = &sdp.SendSource{
			SSRC: s.ssrc, RTXSSRC: s.rtx, FECSSRC: s.fec, Stream: string(k.Stream), Track: cmp.Or(string(s.as), string(k.ID)),
			CNAME: src.cname(k.Device), Codec: s.codec(l, offered, src),
		}
		if s.passes() { // announced as it will come, or not at all
			d.Send.SSRC, d.Send.RTXSSRC = src.own(k)
			d.Send.FECSSRC = 0
			d.Send.Unannounced = d.Send.SSRC == 0 || s.unsaid
			d.Send.SSRC = cmp.Or(d.Send.SSRC, s.ssrc)
		}
	}
	return d
}

// codec is what a section is to send its source with. A leg for which sources
// are translated gets those that it cannot decode in a codec that it can.
func (s *section) codec(l *leg, offered *sdp.Section, src sources) *plane.Codec {
	c := src.codec(s.sub.Track)
	s.translated = nil
	if l.served.Manner != model.Translator || c == nil || s.ending {
		return c
	}
	if _, ok := sdp.FindCodec(offered.Codecs, *c); ok {
		return c
	}
	if s.translated = src.into(s.kind, offered.Codecs); s.translated != nil {
		return s.translated
	}
	return c
}

// accept puts a plan in force after the answer and returns the subscriptions
// whose codec the client lacks. Their sections are free again.
func (l *leg) accept(p *plan, a *sdp.Answered) (denied []*model.Subscription) {
	l.sections, l.pending, l.session, l.media = p.sections, p.pending, a.Session, a.Media
	l.remote, l.prints = p.offer.Transport().ICE, p.offer.Transport().Prints
	sending := map[string]*plane.Section{}
	for i := range a.Media.Sections {
		sending[a.Media.Sections[i].MID] = &a.Media.Sections[i]
	}
	for i := range l.sections {
		s := &l.sections[i]
		m := sending[s.mid]
		s.sending = m != nil && m.Send != nil
		if s.sending || s.sub == nil && s.slot == nil {
			continue
		}
		p.ended = append(p.ended, s.name()) // it may have been carried before
		if s.sub != nil && !s.ending {
			denied = append(denied, s.sub)
		}
		s.free()
	}
	return denied
}

// want notes a new or changed subscription; it returns the section that
// carries it already, or nil.
func (l *leg) want(s *model.Subscription) *section {
	if sec := l.carrying(s.ID); sec != nil {
		return sec
	}
	if !slices.Contains(l.pending, s) {
		l.pending = append(l.pending, s)
	}
	return nil
}

// drop forgets an ended subscription and returns what the media side calls it
// in the sections that carried it.
func (l *leg) drop(id ids.Subscription) (names []ids.Subscription) {
	l.pending = slices.DeleteFunc(l.pending, func(s *model.Subscription) bool { return s.ID == id })
	for i := range l.sections {
		if s := &l.sections[i]; s.sub != nil && s.sub.ID == id {
			names = append(names, s.name())
			s.free()
		}
	}
	return names
}

func (l *leg) carrying(id ids.Subscription) *section {
	for i := range l.sections {
		if s := &l.sections[i]; s.sub != nil && s.sub.ID == id && !s.ending {
			return s
		}
	}
	return nil
}

// taken reports whether the media side knows a subscription by its own name.
func (l *leg) taken(id ids.Subscription) bool {
	return slices.ContainsFunc(l.sections, func(s section) bool { return s.sub != nil && s.sub.ID == id && s.as == "" })
}

// need schedules media.needed; an earlier one that waits takes this along.
func (l *leg) need(now clock.Time, after time.Duration, why string) {
	if at := now.Add(after); l.needAt.IsZero() || at < l.needAt {
		l.needAt = at
	}
	switch {
	case l.needWhy == control.ReasonRestart: // that the client must know
	case l.needWhy == "topology" && why == "ended":
	case l.needWhy != "subscribe" || why == control.ReasonRestart:
		l.needWhy = why
	}
}

// lacking reports whether the client should offer again: something waits for a
// section, or a section is still announced for something that ended.
func (l *leg) lacking() bool {
	if l.lacks(plane.Audio) || l.lacks(plane.Video) {
		return true
	}
	return slices.ContainsFunc(l.sections, func(s section) bool {
		return s.sending && s.sub == nil && s.slot == nil
	})
}

// count tells how many receiving sections of a kind the client should offer in
// all. Sections are recycled, so the number never falls below what exists.
func (l *leg) count(kind plane.Kind) int {
	have, want := 0, 0
	for i := range l.sections {
		s := &l.sections[i]
		if s.kind == kind && s.receive {
			have++
			if !s.empty() {
				want++
			}
		}
	}
	return max(have, want+l.missing(kind))
}

// reset starts over on a fresh connection: all sections are gone, living
// subscriptions wait again.
func (l *leg) reset(conn ids.Connection, session sdp.Session) {
	p := &plan{pending: l.pending}
	for i := range l.sections {
		p.lose(&l.sections[i])
	}
	l.conn, l.session, l.sections, l.pending = conn, session, nil, p.pending
	l.endAt = [plane.Application + 1]clock.Time{}
	l.unsure, l.withheld = l.unsure || len(l.withheld) > 0, nil
	l.opened, l.failed, l.prints, l.media, l.published, l.refused, l.told = false, false, nil, plane.LegMedia{}, nil, nil, nil
}
