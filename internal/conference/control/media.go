package control

import (
	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
)

// maxCandidates is the cap of section 4.3 on one media.candidate.
const maxCandidates = 32

// mediaSessions is the devices' offer/answer histories and their connections.
type mediaSessions struct{ m *Machine }

// offer opens a negotiation. What the sections become is decided by the
// machine's owner, who must follow with MediaNegotiated or MediaRefused.
func offer(m *Machine, t *turn, p api.OfferParams) (any, error) {
	if m.PeerOffer(t.caller.Session, p) {
		return m.peers.offer(t, p)
	}
	s, err := m.media.of(t, p.MS)
	if err != nil {
		return nil, err
	}
	if s.State != model.Stable {
		return nil, errState("a negotiation is running", s.Rev)
	}
	if p.Rev != 0 && p.Rev != s.Rev+1 { // 0: the caller keeps no count (WHIP, WHEP)
		return nil, errState("rev must be the current one plus 1", s.Rev)
	}
	for _, cid := range p.Tracks {
		if m.media.byCID(s, cid) == nil && !s.Past[cid] { // one that ended meanwhile is no fault of the client's
			return nil, fault.New(404, "not-found", "tracks names a cid that is not published")
		}
	}
	s.State = model.HaveRemoteOffer
	return nil, nil
}

// of finds the caller's media session; an empty name means its first.
func (x *mediaSessions) of(t *turn, name string) (*model.MediaSession, error) {
	id := ids.MediaSession(name)
	if name == "" {
		id = t.dev.MS
	}
	s := x.m.conf.Media[id]
	if s == nil || s.Device != t.dev || s.Retiring != 0 {
		return nil, errNoSession()
	}
	return s, nil
}

func (x *mediaSessions) byCID(s *model.MediaSession, cid string) *model.Track {
	for _, k := range s.Tracks {
		if k.CID == cid {
			return k
		}
	}
	return nil
}

// Negotiated are the parameters of MediaNegotiated: what the answer gave.
type Negotiated struct {
	MS        ids.MediaSession
	Bound     map[string]string // mid → cid, as in the offer; sections that were accepted
	Active    []ids.Subscription
	Restarted bool // the offer had new ICE credentials
}

// negotiated completes an offer: rev steps, tracks have their sections, and
// others can be given sections for them.
func negotiated(m *Machine, t *turn, p Negotiated) (any, error) {
	s := m.conf.Media[p.MS]
	if s == nil || s.State != model.HaveRemoteOffer {
		return nil, errState("no negotiation is running", 0)
	}
	s.State = model.Stable
	s.Rev++
	if s.Link == model.LinkNew {
		s.Link = model.LinkConnecting
	}
	if p.Restarted {
		s.Restart = 0
	}
	m.media.bind(t, s, p.Bound)
	m.topo.freed(t)
	for _, id := range p.Active {
		if sub := m.conf.Subscriptions[id]; sub != nil && sub.State == model.SubRequested {
			sub.State = model.SubActive
			if sub.Paused() {
				sub.State = model.SubPaused
			}
		}
	}
	return s.Rev, nil
}

// bind puts tracks on sections and tells everybody who may want them. A track
// whose section now carries another one has ended.
func (x *mediaSessions) bind(t *turn, s *model.MediaSession, bound map[string]string) {
	for mid, cid := range bound {
		for _, k := range x.m.tracks.of(s.ID) {
			if k.MID == mid && k.CID != cid {
				x.m.tracks.end(t, k, "replaced")
			}
		}
	}
	for _, k := range x.m.tracks.of(s.ID) {
		for mid, cid := range bound {
			if cid == k.CID && k.MID != mid {
				k.MID = mid
				x.offerAround(t, k)
			}
		}
	}
}

// offerAround subscribes those who take everything, and wakes subscriptions
// that were made before the track could be received.
func (x *mediaSessions) offerAround(t *turn, k *model.Track) {
	t.touchTrack(k)
	for _, s := range x.m.subs.to(k) {
		t.effect(WantSub{s})
	}
	for _, d := range x.m.devices.live() {
		x.m.subs.auto(t, d, k)
	}
}

// Refused are the parameters of MediaRefused and MediaReset.
type Refused struct{ MS ids.MediaSession }

func refused(m *Machine, t *turn, p Refused) (any, error) {
	if s := m.conf.Media[p.MS]; s != nil && s.State == model.HaveRemoteOffer {
		s.State = model.Stable
		m.topo.freed(t)
	}
	return done(), nil
}

// mediaReset gives a media session a fresh connection: its client made a new
// peer connection (another fingerprint), or the old link had failed. Tracks and
// subscriptions live on. The result is the new connection's name.
func mediaReset(m *Machine, t *turn, p Refused) (any, error) {
	s := m.conf.Media[p.MS]
	if s == nil {
		return nil, errState("no such media session", 0)
	}
	t.effect(CloseMedia{s.ID, s.Conn, "reset"})
	s.Conn, s.Link, s.LinkAt, s.Restart = m.cfg.IDs.Connection(), model.LinkNew, t.now, 0
	m.media.allLayers(t, s)
	for _, k := range m.tracks.of(s.ID) {
		k.MID = "" // sections are counted anew; a number that another track had is no replacement
	}
	return s.Conn, nil
}

// answer is for another device: the server itself never offers (section 5.1,
// mode client-offers), so there is nothing of its own to answer.
func answer(m *Machine, t *turn, p api.OfferParams) (any, error) {
	if s := m.peers.of(t, p.MS); s != nil {
		return m.peers.answer(t, s, p)
	}
	s, err := m.media.of(t, p.MS)
	if err != nil {
		return nil, err
	}
	return nil, errState("no offer of the server is open", s.Rev)
}

// candidate is accepted and ignored: an ICE-lite server sends no checks, so an
// address that a client names is never used (RFC 8445, section 2.5).
func candidate(m *Machine, t *turn, p api.CandidateParams) (any, error) {
	if len(p.Candidates) > maxCandidates {
		return nil, fault.New(413, "too-large", "at most %d candidates in a message", maxCandidates)
	}
	if s := m.peers.of(t, p.MS); s != nil {
		return m.peers.candidate(t, s, p)
	}
	if _, err := m.media.of(t, p.MS); err != nil {
		return nil, err
	}
	return done(), nil
}

// ReasonRestart is why a client is asked to offer when a service key wants its
// connection restarted: its next offer has new credentials.
const ReasonRestart = "ice-restart"

// restartICE marks a restart as running: an offer with new credentials follows,
// or, with credentials in the request (WHIP), the owner restarts at once.
func restartICE(m *Machine, t *turn, p api.RestartICEParams) (any, error) {
	s, err := m.media.restarted(t, p)
	if err != nil {
		return nil, err
	}
	switch {
	case s.State != model.Stable:
		return nil, errState("a negotiation is running", s.Rev)
	case s.Link == model.LinkNew:
		return nil, errState("there is no connection yet to restart", s.Rev)
	case s.Restart != 0 && t.now.Sub(s.Restart) < m.cfg.Policy.RestartMax:
		return nil, errState("a restart is running", s.Rev)
	}
	if p.Ufrag == "" {
		s.Restart = t.now
	}
	if t.dev == nil {
		t.effect(AskOffer{s.ID, ReasonRestart})
	}
	return api.RestartICEResult{}, nil
}

// restarted finds the media session to restart: one of the caller's, or for a
// service key anybody's whose client can be asked for an offer.
func (x *mediaSessions) restarted(t *turn, p api.RestartICEParams) (*model.MediaSession, error) {
	if (p.Ufrag == "") != (p.Pwd == "") || len(p.Ufrag) > 256 || len(p.Pwd) > 256 { // RFC 8839, section 5.4
		return nil, errBadParams("ufrag and pwd")
	}
	if t.dev != nil {
		return x.of(t, p.MS)
	}
	s := x.m.conf.Media[ids.MediaSession(p.MS)]
	switch {
	case p.MS == "" || p.Ufrag != "": // credentials are the client's to make
		return nil, errBadParams("ms, without ufrag and pwd")
	case s == nil || s.Retiring != 0:
		return nil, fault.New(481, "no-session", "no such media session")
	case !movable(s.Device):
		return nil, fault.New(480, "unavailable", "this kind of device cannot be asked for an offer")
	}
	return s, nil
}

// Heard are the parameters of TrackHeard and TrackLost.
type Heard struct {
	Track ids.Track
	SSRC  uint32
}

// trackHeard notes the first packet. The right to publish is looked at again:
// it may have been lost since the track was announced.
func trackHeard(m *Machine, t *turn, p Heard) (any, error) {
	k := m.conf.Tracks[p.Track]
	if k == nil || k.State == model.TrackLive {
		return already(), nil
	}
	if !m.cfg.Policy.MayPublish(k.Device.Part.Role, k.Source) {
		m.tracks.endForbidden(t, k)
		return done(), nil
	}
	k.State = model.TrackLive
	t.touchTrack(k)
	return done(), nil
}

// trackLost ends a track whose source said BYE while its link lives. With the
// link gone the tracks wait for another one, and a muted one is silent on
// purpose: browsers say BYE when every encoding is switched off.
func trackLost(m *Machine, t *turn, p Heard) (any, error) {
	k := m.conf.Tracks[p.Track]
	if k == nil || k.SelfMuted {
		return already(), nil
	}
	if s := m.conf.Media[k.MS]; s == nil || s.Link != model.LinkConnected {
		return already(), nil
	}
	m.tracks.end(t, k, "bye")
	return done(), nil
}
