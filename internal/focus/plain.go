package focus

import (
	"net/netip"
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

// A plain leg has one connection for each m-line (topologies rule C12), the
// first of them under the name that control knows. Each line sends one slot.

// plainLeg is what a leg of plain RTP has beside others.
type plainLeg struct {
	lines   []*plainLine
	latch   bool
	any     bool // latch to any host
	group   *groupOf
	answer  string
	renames int // tracks that came back under another name
}

// plainLine is one m-line.
type plainLine struct {
	mid    string
	kind   plane.Kind
	conn   ids.Connection // empty: rejected
	local  plane.LocalRTP
	remote netip.AddrPort
	rtcp   netip.AddrPort
	mux    bool
	crypto *sdp.Crypto // of the peer
	key    ids.Secret  // our own
	media  plane.LegMedia
	cid    string // what the peer sends is published as
	codecs []string
	dir    sdp.Direction // ours
	silent bool
	lost   bool // its track ended for that
	held   bool // the peer said that it does not send
	alias  string
}

// connOf is the connection that carries a section of a leg.
func (l *leg) connOf(mid string) ids.Connection {
	if l.rtp != nil {
		for _, n := range l.rtp.lines {
			if n.mid == mid && n.conn != "" {
				return n.conn
			}
		}
	}
	return l.conn
}

func (l *leg) line(c ids.Connection) *plainLine {
	if l == nil || l.rtp == nil {
		return nil
	}
	for _, n := range l.rtp.lines {
		if n.conn == c && c != "" {
			return n
		}
	}
	return nil
}

// offerPlain answers a later offer: hold, resume, another address, a line more.
func (r *room) offerPlain(now clock.Time, it *item) (any, error) {
	d := r.m.Device(it.caller.Session)
	if d == nil || r.m.Conference().Media[d.MS] == nil || r.leg(d).rtp == nil {
		return nil, fault.New(404, "not-found", "no such RTP endpoint")
	}
	l := r.leg(d)
	if len(it.plain.offer.Sections) < len(l.rtp.lines) {
		return nil, fault.New(400, "bad-sdp", "an m-line is missing that was there before (RFC 3264, section 8)")
	}
	if err := l.rtp.fits(it.plain.offer); err != nil {
		return nil, err
	}
	it.plain.latch, it.plain.anywhere, it.plain.group = l.rtp.latch, l.rtp.any, l.rtp.group
	return r.answerPlain(now, it, l)
}

// fits refuses a later offer whose lines are others than before (RFC 3264,
// section 8; RFC 9143, section 7.3): tracks and slots hang on them. Nor does a
// phone become a group, which others would not see.
func (p *plainLeg) fits(offer *sdp.Plain) error {
	for i := range offer.Sections {
		o := &offer.Sections[i]
		if o.Rejected {
			continue
		}
		if o.Multicast() != (p.group != nil) {
			return fault.New(488, "bad-sdp", "multicast and unicast need endpoints of their own")
		}
		if i < len(p.lines) && (o.MID != p.lines[i].mid || p.lines[i].conn != "" && o.Kind != p.lines[i].kind) {
			return fault.New(400, "bad-sdp", "m-line %d is another than before", i+1)
		}
	}
	return nil
}

// answerPlain runs one negotiation of plain RTP from offer to answer.
func (r *room) answerPlain(now clock.Time, it *item, l *leg) (*api.AnswerResult, error) {
	wires, ok := r.f.cfg.Plane.(plane.Wires)
	if !ok {
		return nil, fault.New(501, "not-implemented", "no plain RTP here")
	}
	if _, err := r.step(now, it.command(api.MediaOffer, api.OfferParams{})); err != nil {
		return nil, err
	}
	if l.rtp == nil {
		l.rtp = &plainLeg{latch: it.plain.latch, any: it.plain.anywhere, group: it.plain.group}
	}
	r.publishNew(now, it, l)
	text, err := r.negotiatePlain(wires, it.plain.offer, l)
	if err != nil {
		r.fact(now, control.MediaRefused, control.Refused{MS: l.ms})
		return nil, err
	}
	r.endRejected(now, it, l)
	rev, err := r.bindPlain(now, it.caller, l)
	if err != nil {
		return nil, err
	}
	r.holdPlain(now, it, l)
	return &api.AnswerResult{MS: string(l.ms), Rev: rev, SDP: text}, nil
}

// endRejected ends what came by lines that are no more.
func (r *room) endRejected(now clock.Time, it *item, l *leg) {
	for _, n := range l.rtp.lines {
		if n.conn != "" {
			continue
		}
		for _, k := range r.m.TracksOf(l.ms) {
			if k.MID == n.mid {
				_, _ = r.step(now, it.command(api.TrackUnpublish, api.TrackParams{Track: string(k.ID)}))
			}
		}
	}
}

// bindPlain puts the tracks of a leg on its lines and its slots to work.
func (r *room) bindPlain(now clock.Time, c control.Caller, l *leg) (uint32, error) {
	n := &negotiated{plan: &plan{}, bound: map[ids.Track]string{}, fact: control.Negotiated{MS: l.ms, Bound: map[string]string{}}}
	for _, k := range r.m.Conference().Media[l.ms].Tracks {
		n.bound[k.ID] = k.MID
	}
	for i := range l.sections {
		if s := &l.sections[i]; s.cid != "" && r.publishing(l.ms, s.cid) {
			n.fact.Bound[s.mid] = s.cid
		}
	}
	rev, err := r.step(now, control.Command{Method: control.MediaNegotiated, Caller: c, Params: n.fact})
	if err != nil {
		return 0, err
	}
	r.attach(now, l, n)
	return rev.(uint32), nil
}

// publishNew announces what a later offer sends for the first time.
func (r *room) publishNew(now clock.Time, it *item, l *leg) {
	for _, p := range it.plain.publishes() {
		if l.published == nil && r.publishing(l.ms, p.CID) || r.published(l, p.CID) {
			continue
		}
		_, _ = r.step(now, it.command(api.TrackPublish, p)) // refused: the line is answered without
	}
}

// published reports whether the leg publishes cid, or what came back under
// another name.
func (r *room) published(l *leg, cid string) bool {
	for _, n := range l.rtp.lines {
		if "m"+n.mid == cid && n.cid != "" && r.publishing(l.ms, n.cid) {
			return true
		}
	}
	return r.publishing(l.ms, cid)
}

// negotiatePlain decides every m-line, opens and changes links, makes the
// answer and configures them.
func (r *room) negotiatePlain(wires plane.Wires, offer *sdp.Plain, l *leg) (string, error) {
	var opened []ids.Connection
	undo := func(err error) (string, error) {
		for _, c := range opened {
			r.f.cfg.Plane.Close(c, "refused")
			delete(r.conns, c)
			if n := l.line(c); n != nil {
				n.conn = ""
			}
		}
		return "", err
	}
	decisions := make([]sdp.PlainDecision, len(offer.Sections))
	any := false
	for i := range offer.Sections {
		o := &offer.Sections[i]
		if i == len(l.rtp.lines) {
			l.rtp.lines = append(l.rtp.lines, &plainLine{mid: o.MID, kind: o.Kind})
		}
		n := l.rtp.lines[i]
		r.narrow(l, n, o)
		fresh, err := r.openLine(wires, l, n, o)
		if fresh {
			opened = append(opened, n.conn)
		}
		if err != nil {
			return undo(err)
		}
		decisions[i] = r.decideLine(l, n, o)
		any = any || !decisions[i].Reject
	}
	if !any && !l.opened {
		return undo(fault.New(488, "bad-sdp", "no m-line can be accepted: RTP/AVP, AVPF, or SAVP with a=crypto; PCMU, PCMA, G722, opus, VP8, H264"))
	}
	a, err := sdp.AnswerPlain(offer, l.session, decisions)
	if err != nil {
		return undo(err)
	}
	for i, n := range l.rtp.lines[:len(offer.Sections)] {
		if n.conn != "" {
			if err := r.f.cfg.Plane.Configure(n.conn, a.Media[i]); err != nil {
				return undo(err)
			}
		}
	}
	l.opened = true
	l.acceptPlain(offer, decisions, a)
	if l.rtp.group != nil {
		a.SDP = l.rtp.group.describe(l, offer)
	}
	l.rtp.answer = a.SDP
	return a.SDP, nil
}

// narrow leaves one format of the medium, with what rides on it: who hears a
// phone must know what it sends, and a phone changes formats without notice.
// The one in use stays; else it is the first that others can take.
func (r *room) narrow(l *leg, n *plainLine, o *sdp.PlainSection) {
	media, aux := o.Split()
	if len(media) == 0 {
		return
	}
	at := slices.IndexFunc(media, func(c plane.Codec) bool { return len(n.codecs) > 0 && c.Name == n.codecs[0] })
	if at < 0 {
		at = slices.IndexFunc(media, func(c plane.Codec) bool { return r.suits(l, o.Kind, c) })
	}
	at = max(0, at)
	o.Codecs = []plane.Codec{media[at]}
	for _, c := range aux {
		if c.Name == plane.TelephoneEvent || c.ClockRate == media[at].ClockRate {
			o.Codecs = append(o.Codecs, c)
		}
	}
}

// suits reports whether others can be served with a format: sound by the mixer;
// a picture, which is rarely transcoded, when somebody sends or nobody yet.
func (r *room) suits(l *leg, kind plane.Kind, c plane.Codec) bool {
	if r.f.cfg.Mixer != nil && kind == plane.Audio {
		return r.f.cfg.Mixer.Can(kind, c) == nil
	}
	none := true
	for _, k := range r.m.Conference().Tracks {
		if k.Device == l.dev || k.Kind != kind.String() || !k.Bound() {
			continue
		}
		none = false
		if have := r.codec(k); have != nil {
			if _, ok := sdp.FindCodec([]plane.Codec{c}, *have); ok {
				return true
			}
		}
	}
	return none
}

// openLine brings a line's link to what its section says; true: it was opened.
func (r *room) openLine(wires plane.Wires, l *leg, n *plainLine, o *sdp.PlainSection) (bool, error) {
	if !o.Usable() {
		r.closeLine(l, n, "rejected")
		return false, nil
	}
	if n.conn != "" && (!n.sameKeys(o) || n.mux != o.Mux) { // another key, profile or pair of ports is another session
		r.closeLine(l, n, "rekeyed")
	}
	if n.conn != "" {
		if n.remote != o.Addr || n.rtcp != o.RTCP {
			n.remote, n.rtcp = o.Addr, o.RTCP
			return false, wires.RetargetRTP(n.conn, n.remote, n.rtcp)
		}
		return false, nil
	}
	n.kind, n.remote, n.rtcp, n.mux = o.Kind, o.Addr, o.RTCP, o.Mux
	open := plane.OpenRTP{
		Conf: r.id, Conn: r.connFor(l), Kind: o.Kind, Remote: o.Addr, RTCP: o.RTCP, Mux: o.Mux, Latch: l.rtp.latch, Anywhere: l.rtp.any,
	}
	if l.rtp.group != nil {
		open.Group = l.rtp.group.plane()
	}
	n.crypto = nil
	if o.Secure {
		n.crypto = &o.Crypto[0]
		n.key = freshKey(sdp.KeyLen(n.crypto.Suite))
		open.SDES = &plane.SDES{Suite: n.crypto.Suite, Local: n.key, Remote: n.crypto.Key}
	}
	local, err := wires.OpenRTP(open)
	if err != nil {
		return false, err
	}
	n.conn, n.local, n.silent, n.lost = open.Conn, local, false, false
	r.conns[n.conn] = l
	return true, nil
}

func freshKey(n int) ids.Secret {
	b := make([]byte, 0, n+4)
	for len(b) < n {
		v := ids.Random32()
		b = append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	return ids.Secret(b[:n])
}

func (n *plainLine) sameKeys(o *sdp.PlainSection) bool {
	if n.crypto == nil || !o.Secure {
		return (n.crypto == nil) == !o.Secure
	}
	return n.crypto.Suite == o.Crypto[0].Suite && n.crypto.Key == o.Crypto[0].Key
}

// connFor names a new link: the first is the one that control knows.
func (r *room) connFor(l *leg) ids.Connection {
	if r.conns[l.conn] != l || l.line(l.conn) == nil {
		return l.conn
	}
	return ids.NewConnection()
}

// closeLine ends the link of one line.
func (r *room) closeLine(l *leg, n *plainLine, why string) {
	if n.conn == "" {
		return
	}
	r.f.cfg.Plane.Close(n.conn, why)
	if n.conn != l.conn {
		delete(r.conns, n.conn)
	}
	for i := range l.sections {
		if s := &l.sections[i]; s.mid == n.mid && s.slot != nil {
			s.slot = newSlot()
		}
	}
	for _, k := range r.m.Conference().Media[l.ms].Tracks {
		if k.MID == n.mid {
			delete(l.published, k.ID)
			r.f.cfg.Plane.Unpublish(r.id, k.ID)
		}
	}
	n.conn = ""
}

// decideLine says what a line carries.
func (r *room) decideLine(l *leg, n *plainLine, o *sdp.PlainSection) sdp.PlainDecision {
	if n.conn == "" {
		return sdp.PlainDecision{Reject: true}
	}
	if n.cid == "" {
		n.cid = "m" + n.mid
	}
	d := sdp.PlainDecision{Local: n.local, Key: n.key, Receive: r.publishing(l.ms, n.cid)}
	ssrc, rtx := r.random(), r.random()
	for i := range l.sections {
		if s := &l.sections[i]; s.mid == n.mid && s.ssrc != 0 && !s.extra {
			ssrc, rtx = s.ssrc, s.rtx
		}
	}
	d.Send = &sdp.SendSource{SSRC: ssrc, RTXSSRC: rtx, CNAME: l.session.CNAME}
	return d
}

// acceptPlain puts the answer in force.
func (l *leg) acceptPlain(offer *sdp.Plain, decisions []sdp.PlainDecision, a *sdp.PlainAnswered) {
	old := l.sections
	l.session, l.sections = a.Session, nil
	l.rtp.align(offer)
	l.media = plane.LegMedia{Rev: uint32(a.Session.Version), CNAME: a.Session.CNAME}
	for i := range offer.Sections {
		o, n := &offer.Sections[i], l.rtp.lines[i]
		n.dir, n.held, n.codecs = sdp.Inactive, !o.Direction.Sends(), nil
		s := section{mid: o.MID, kind: o.Kind}
		if k := slices.IndexFunc(old, func(s section) bool { return s.mid == o.MID }); k >= 0 {
			s = old[k]
		}
		if decisions[i].Reject {
			s.cid, s.receive, s.sending = "", false, false
			l.sections = append(l.sections, s)
			continue
		}
		for _, c := range o.Codecs {
			n.codecs = append(n.codecs, c.Name)
		}
		m := a.Media[i].Sections[0]
		n.media = a.Media[i]
		l.media.Sections = append(l.media.Sections, m)
		if m.Recv != nil {
			n.dir |= sdp.RecvOnly
		}
		if m.Send != nil {
			n.dir |= sdp.SendOnly
		}
		s.ssrc, s.rtx = decisions[i].Send.SSRC, decisions[i].Send.RTXSSRC
		s.cid = n.cid
		if !decisions[i].Receive {
			s.cid = ""
		}
		s.receive, s.sending = m.Send != nil, m.Send != nil
		if s.slot == nil {
			s.slot = newSlot()
		}
		l.sections = append(l.sections, s)
	}
	for _, s := range old {
		if s.extra {
			l.sections = append(l.sections, s)
		}
	}
}

// align gives lines of another synchronisation context than the first an alias
// of their own, so that nobody plays them in step (SPL-4).
func (p *plainLeg) align(offer *sdp.Plain) {
	for i := range offer.Sections {
		n := p.lines[i]
		if together := offer.Synchronised(0, i); together != (n.alias == "") {
			n.alias = ""
			if !together {
				n.alias = string(ids.NewStream())[len("str_"):]
			}
		}
	}
}

// cnameOf is the alias under which a track of a leg is sent.
func (r *room) cnameOf(l *leg, k *model.Track) string {
	if l.rtp != nil {
		for _, n := range l.rtp.lines {
			if n.mid == k.MID && n.alias != "" {
				return n.alias
			}
		}
	}
	return r.cname(k.Device)
}

// holdPlain shows hold: what the peer does not send is muted by itself.
func (r *room) holdPlain(now clock.Time, it *item, l *leg) {
	for _, n := range l.rtp.lines {
		for _, k := range r.m.Conference().Media[l.ms].Tracks {
			if k.MID != n.mid || k.SelfMuted == n.held {
				continue
			}
			method := api.TrackUnmute
			if n.held {
				method = api.TrackMute
			}
			_, _ = r.step(now, it.command(method, api.MuteParams{Track: string(k.ID)}))
		}
	}
}
