package focus

import (
	"slices"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/model"
	"parley/internal/media/plane"
	"parley/internal/media/sdp"
)

// join lets a device in and, with an offer, answers it in the same breath. If
// the offer cannot be answered, the join is taken back before anybody saw it.
func (r *room) join(now clock.Time, it *item) (any, error) {
	if int(r.f.users.Load()) >= r.f.cfg.MaxParticipants && r.m.Device(it.caller.Session) == nil {
		return nil, overloaded("too many participants")
	}
	fresh := r.m.Conference().Phase == model.Scheduled
	res, err := r.step(now, it.command(it.method, it.params))
	if err != nil {
		return nil, err
	}
	if w, ok := res.(control.Waiting); ok {
		return r.hold(it, w), nil
	}
	out, err := r.joined(now, it, res.(api.JoinResult))
	if err != nil {
		r.undoJoin(now, it, fresh)
	}
	return out, err
}

// joined completes the join of a device that the machine let in.
func (r *room) joined(now clock.Time, it *item, jr api.JoinResult) (any, error) {
	l := r.leg(r.m.Device(it.caller.Session))
	params := it.params.(api.JoinParams)
	var err error
	switch {
	case it.plain != nil:
		jr.Answer, err = r.answerPlain(now, it, l)
	case params.Offer != nil:
		jr.Answer, err = r.answer(now, it, l, *params.Offer)
	}
	if err != nil {
		return nil, err
	}
	jr.Rev = r.m.Conference().Rev
	r.addICE(jr.Leg, jr.User)
	jr.Needed = r.needs(l)
	l.needAt = 0 // told by the result
	return jr, nil
}

func (r *room) undoJoin(now clock.Time, it *item, fresh bool) {
	_, _ = r.step(now, it.command(control.JoinUndone, control.Fact{}))
	clear(r.out.Events)
	r.out.Events = r.out.Events[:0]
	if fresh { // it was started by this join alone
		r.over = true
	}
}

// leg finds or makes what the focus keeps for a device's media session.
func (r *room) leg(d *model.Device) *leg {
	ms := r.m.Conference().Media[d.MS]
	if l := r.legs[ms.ID]; l != nil {
		return l
	}
	l := &leg{
		ms: ms.ID, conn: ms.Conn, dev: d, stream: ids.NewStream(), session: r.newSession(),
		served: d.Leg, pictures: r.pictures(d),
	}
	for _, s := range r.m.Subscriptions(ms.ID) {
		l.want(s)
	}
	r.legs[l.ms], r.conns[l.conn] = l, l
	return l
}

func (r *room) newSession() sdp.Session {
	id := uint64(ids.Random32())<<32 | uint64(ids.Random32())
	return sdp.NewSession(id, string(ids.NewStream())[len("str_"):])
}

// offer answers media.offer.
func (r *room) offer(now clock.Time, it *item) (any, error) {
	p := it.params.(api.OfferParams)
	d := r.m.Device(it.caller.Session)
	if r.m.PeerOffer(it.caller.Session, p) {
		return r.step(now, it.command(it.method, p))
	}
	if it.unread != nil {
		return nil, it.unread
	}
	if d == nil || r.m.Conference().Media[d.MS] == nil { // gone, or in the lobby
		return r.step(now, it.command(it.method, p)) // says why
	}
	a, err := r.answer(now, it, r.leg(d), p)
	if err != nil {
		return nil, err
	}
	return a, nil
}

// answer runs one negotiation from offer to answer.
func (r *room) answer(now clock.Time, it *item, l *leg, p api.OfferParams) (*api.AnswerResult, error) {
	if _, err := r.step(now, it.command(api.MediaOffer, p)); err != nil {
		return nil, err
	}
	n, err := r.negotiate(now, it, l, p)
	if err != nil {
		r.fact(now, control.MediaRefused, control.Refused{MS: l.ms})
		return nil, err
	}
	rev, err := r.step(now, control.Command{Method: control.MediaNegotiated, Caller: it.caller, Params: n.fact})
	if err != nil {
		return nil, err
	}
	r.attach(now, l, n)
	return &api.AnswerResult{MS: string(l.ms), Rev: rev.(uint32), SDP: n.answered.SDP, Receive: l.receive()}, nil
}

// negotiated is an answer made, before tracks and subscriptions use it.
type negotiated struct {
	answered *sdp.Answered
	plan     *plan
	denied   []*model.Subscription
	fact     control.Negotiated
	bound    map[ids.Track]string // what was on a section before
}

// negotiate decides the sections, brings the link to what the offer wants, and
// makes the answer. On an error the leg's description is as before.
func (r *room) negotiate(now clock.Time, it *item, l *leg, p api.OfferParams) (*negotiated, error) {
	tr := it.offer.Transport()
	if tr.ICE.Ufrag == "" {
		return nil, fault.New(488, "not-acceptable", "the offer has no usable transport")
	}
	restarted := l.opened && tr.ICE.Ufrag != l.remote.Ufrag
	if l.failed || l.opened && !slices.Equal(tr.Prints, l.prints) {
		r.reset(now, l)
	}
	pl := l.plan(it.offer, p.Tracks, r)
	if err := r.connect(it, l, tr, restarted); err != nil {
		return nil, err
	}
	a, err := sdp.Answer(it.offer, l.local, l.session, pl.decisions)
	if err != nil {
		return nil, err
	}
	a.Media.LastN, a.Media.Loudest = r.m.Selection(l.dev)
	if err := r.f.cfg.Plane.Configure(l.conn, a.Media); err != nil {
		return nil, err
	}
	n := &negotiated{answered: a, plan: pl, fact: control.Negotiated{MS: l.ms, Restarted: restarted, Bound: map[string]string{}}}
	n.denied = l.accept(pl, a)
	l.meets(r)
	for i := range l.sections {
		s := &l.sections[i]
		if s.cid != "" && recvs(a.Media, s.mid) {
			n.fact.Bound[s.mid] = s.cid
		}
		if s.sub != nil {
			n.fact.Active = append(n.fact.Active, s.sub.ID)
		}
	}
	n.fact.Active = append(n.fact.Active, l.inSlots()...)
	n.bound = map[ids.Track]string{}
	for _, k := range r.m.Conference().Media[l.ms].Tracks {
		n.bound[k.ID] = k.MID
	}
	return n, nil
}

func recvs(m plane.LegMedia, mid string) bool {
	return slices.ContainsFunc(m.Sections, func(s plane.Section) bool { return s.MID == mid && s.Recv != nil })
}

// connect opens the link with the first offer and restarts ICE with a later
// one that has new credentials.
func (r *room) connect(it *item, l *leg, tr sdp.Transport, restarted bool) (err error) {
	switch {
	case !l.opened:
		o := plane.Open{
			Conf: r.id, Conn: l.conn, Remote: tr.ICE, Fingerprints: tr.Prints,
			DTLSClient: tr.Setup == "passive", Origin: it.caller.Addr, Trusted: it.caller.By.Trusted,
		}
		for i := range it.offer.Sections {
			if s := &it.offer.Sections[i]; s.Active() && s.Kind == plane.Application {
				o.Data, o.SCTPPort, o.MaxMessage = true, s.SCTPPort, s.MaxMessage
			}
		}
		l.local, err = r.f.cfg.Plane.Open(o)
		l.opened = err == nil
	case restarted:
		l.local, err = r.f.cfg.Plane.Restart(l.conn, tr.ICE)
	default:
		return nil
	}
	if err == nil {
		l.remote, l.prints = tr.ICE, tr.Prints
	}
	return err
}

// reset gives a leg a fresh connection: the client came with another
// certificate, or the old link was lost. Whoever received its tracks gets them
// on fresh SSRCs, since the old projections went with the link.
func (r *room) reset(now clock.Time, l *leg) {
	conn, err := r.step(now, control.Command{Method: control.MediaReset, Params: control.Refused{MS: l.ms}})
	if err != nil {
		return
	}
	l.reset(conn.(ids.Connection), r.newSession())
	r.conns[l.conn] = l
	r.orphan(now, l.ms)
}

// dropped takes a subscription off a leg and reports whether any section
// carried it.
func (r *room) dropped(l *leg, id ids.Subscription) bool {
	names := l.drop(id)
	for _, n := range names {
		r.f.cfg.Plane.Unsubscribe(n)
	}
	return len(names) > 0
}

// attach binds tracks and subscriptions to the negotiated sections.
func (r *room) attach(now clock.Time, l *leg, n *negotiated) {
	for _, k := range r.m.Conference().Media[l.ms].Tracks {
		if k.MID != "" && (n.bound[k.ID] != k.MID || !l.published[k.ID]) {
			r.publish(l, k)
		}
	}
	for _, id := range n.plan.ended {
		r.f.cfg.Plane.Unsubscribe(id)
	}
	for _, s := range n.denied {
		r.fact(now, control.SubDenied, control.Denied{Sub: s.ID, Reason: "codec"})
	}
	for i := range l.sections {
		if s := &l.sections[i]; s.sub != nil && !s.ending && slices.Contains(n.plan.placed, i) {
			r.feed(l, s)
		}
	}
	l.needAt, l.refused = 0, nil
	if l.lacking() {
		l.need(now, needSoon, "subscribe")
	}
	r.turn(now, l)
}

func (r *room) publish(l *leg, k *model.Track) {
	err := r.f.cfg.Plane.Publish(plane.Track{
		Conf: r.id, Conn: l.connOf(k.MID), Track: k.ID, MID: k.MID, Kind: kindOf(k.Kind), Source: k.Source,
		CNAME: r.cnameOf(l, k), SrcID: k.SrcID, Muted: k.Muted(),
		Encrypted: r.m.E2EE(),
	})
	if err != nil {
		r.log.Warn("publish refused by the media side", "track", string(k.ID), "err", fault.From(err).Reason)
		return
	}
	if l.published == nil {
		l.published = map[ids.Track]bool{}
	}
	l.published[k.ID] = true
	for _, o := range r.legs {
		delete(o.refused, k.ID)
	}
	r.again(k.ID)
}

// feed starts or changes what a section carries.
func (r *room) feed(l *leg, s *section) {
	w := s.sub.Want
	track := s.sub.Track.ID
	if s.translated != nil {
		if track = r.translation(l, s); track == "" {
			return
		}
	}
	if s.pinned = slices.Contains(r.m.Pinned(l.dev), s.sub.Track.ID); s.pinned {
		w.Priority = max(w.Priority, 1)
	}
	err := r.f.cfg.Plane.Subscribe(plane.Subscription{
		Conf: r.id, Sub: s.name(), Track: track, Conn: l.connOf(s.mid), MID: s.mid,
		SSRC: s.ssrc, RTXSSRC: s.rtx, Width: w.Width, Height: w.Height, Priority: w.Priority, Paused: s.sub.Paused(),
		Topology: s.recipe, Anonymous: l.served.Anonymous(),
	})
	if err != nil {
		r.log.Warn("subscription refused by the media side", "sub", string(s.sub.ID), "err", fault.From(err).Reason)
	}
}

// restart answers media.restartIce; with credentials in it at once.
func (r *room) restart(now clock.Time, it *item) (any, error) {
	res, err := r.step(now, it.command(it.method, it.params))
	p := it.params.(api.RestartICEParams)
	if err != nil || p.Ufrag == "" {
		return res, err
	}
	d := r.m.Device(it.caller.Session)
	l := r.leg(d)
	creds := plane.ICECreds{Ufrag: p.Ufrag, Pwd: ids.Secret(p.Pwd)}
	local, err := r.f.cfg.Plane.Restart(l.conn, creds)
	if err != nil {
		return nil, err
	}
	l.local, l.remote = local, creds
	out := api.RestartICEResult{Ufrag: local.ICE.Ufrag, Pwd: local.ICE.Pwd.Reveal()}
	for _, c := range local.Candidates {
		out.Candidates = append(out.Candidates, sdp.FormatCandidate(c))
	}
	return out, nil
}

// wantSub takes up a new or changed subscription.
func (r *room) wantSub(now clock.Time, s *model.Subscription) {
	l := r.legs[s.MS]
	if l == nil {
		return // its leg is made in this same turn and will ask
	}
	if sec := l.want(s); sec != nil {
		r.feed(l, sec)
		return
	}
	if ready(s) {
		l.need(now, needSoon, "subscribe")
	}
}

func (r *room) endSub(now clock.Time, e control.EndSub) {
	l := r.legs[e.MS]
	if l == nil || !r.dropped(l, e.Sub) {
		return
	}
	l.need(now, needLazy, "ended")
}

// tellNeeds sends media.needed if there is still something to tell.
func (r *room) tellNeeds(l *leg) {
	why := l.needWhy
	l.needAt, l.needWhy = 0, ""
	forced := l.forced
	l.forced = false
	if !forced && (l.dev.Subscribe == "slots" || !l.lacking()) {
		return
	}
	n := r.needs(l)
	n.Reason = why
	r.notes.needed(l.dev.Session, n)
}

func (r *room) needs(l *leg) api.MediaNeeded {
	out := api.MediaNeeded{MS: string(l.ms)}
	if s := r.m.Conference().Media[l.ms]; s != nil {
		out.Rev = s.Rev
	}
	if l.dev.Subscribe != "slots" {
		out.Audio, out.Video = l.count(plane.Audio), l.count(plane.Video)
	}
	return out
}

// receive maps sections to the tracks they carry, for the client.
func (l *leg) receive() map[string]string {
	out := map[string]string{}
	for i := range l.sections {
		switch s := &l.sections[i]; {
		case s.sub != nil:
			out[s.mid] = string(s.sub.Track.ID)
		case s.slot != nil && l.dev.Subscribe != "slots":
			out[s.mid] = l.label(s)
		}
	}
	return out
}

func kindOf(name string) plane.Kind {
	if name == "audio" {
		return plane.Audio
	}
	return plane.Video
}
