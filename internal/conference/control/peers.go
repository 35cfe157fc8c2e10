package control

import (
	"cmp"
	"slices"
	"strings"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
)

// Sessions between two devices. The server carries their descriptions and
// candidates as they are: a fingerprint that it touched would put it in the
// middle.

const (
	maxPeerSDP   = 128 << 10
	maxPeers     = 16 // sessions of one device
	maxCandidate = 1024
)

// peers is the sessions between devices.
type peers struct{ m *Machine }

// of finds a session that the caller is an end of, or returns nil.
func (x *peers) of(t *turn, ms string) *model.PeerSession {
	s := x.m.conf.Peers[ids.MediaSession(ms)]
	if s == nil || t.dev == nil || s.Other(t.dev) == nil {
		return nil
	}
	return s
}

// PeerOffer reports whether an offer, answer or candidate of a session is for
// another device, and not for the server to look at.
func (m *Machine) PeerOffer(s ids.Session, p api.OfferParams) bool {
	peer := m.conf.Peers[ids.MediaSession(p.MS)]
	return p.Peer != nil || peer != nil && peer.Other(m.bySession[s]) != nil
}

// offer relays an offer. The first one opens the session.
func (x *peers) offer(t *turn, p api.OfferParams) (any, error) {
	if err := checkPeerSDP(p.SDP); err != nil {
		return nil, err
	}
	s := x.of(t, p.MS)
	if s == nil {
		to, err := x.target(t, p)
		if err != nil {
			return nil, err
		}
		s = &model.PeerSession{ID: x.m.cfg.IDs.MediaSession(), A: t.dev, B: to, State: model.Stable}
	}
	switch {
	case s.State != model.Stable && s.Offerer != t.dev:
		return nil, fault.New(491, "request-pending", "the other side has offered")
	case s.State != model.Stable:
		return nil, errState("the last offer is not answered", s.Rev)
	case p.Rev != 0 && p.Rev != s.Rev+1:
		return nil, errState("rev must be the current one plus 1", s.Rev)
	}
	if x.m.conf.Peers[s.ID] == nil {
		x.m.conf.Peers[s.ID] = s
		x.m.topo.opened(t, s)
	}
	s.State, s.Offerer = model.HaveLocalOffer, t.dev
	x.relay(t, s, "media.offer", s.Rev+1, p.SDP)
	return api.PeerDescription{MS: string(s.ID), Rev: s.Rev + 1}, nil
}

// target finds the device that a first offer is for.
func (x *peers) target(t *turn, p api.OfferParams) (*model.Device, error) {
	if p.Peer == nil || p.MS != "" {
		return nil, errNoSession()
	}
	part, err := x.m.devices.part(p.Peer.Part)
	if err != nil {
		return nil, err
	}
	var found *model.Device
	for _, d := range x.m.devices.live() {
		if d.Part != part || part.State != model.Joined || p.Peer.Dev != "" && string(d.ID) != p.Peer.Dev {
			continue
		}
		if found != nil {
			return nil, fault.New(409, "conflict", "several devices; say which by dev")
		}
		found = d
	}
	switch {
	case found == nil:
		return nil, errNoDevice()
	case found == t.dev:
		return nil, fault.New(482, "loop", "that is this device")
	case !movable(found):
		return nil, fault.New(480, "unavailable", "this kind of device takes no offers")
	case x.count(t.dev) >= maxPeers || x.count(found) >= maxPeers:
		return nil, fault.New(429, "too-many-sessions", "at most %d sessions with peers", maxPeers)
	}
	return found, nil
}

func (x *peers) count(d *model.Device) int {
	n := 0
	for _, s := range x.m.conf.Peers {
		if s.Other(d) != nil {
			n++
		}
	}
	return n
}

func checkPeerSDP(s string) error {
	switch {
	case len(s) > maxPeerSDP:
		return fault.New(413, "too-large", "description of more than %d bytes", maxPeerSDP)
	case !strings.HasPrefix(s, "v=0"):
		return fault.New(488, "not-acceptable", "no session description")
	}
	return nil
}

// answer relays the answer to the other side's open offer.
func (x *peers) answer(t *turn, s *model.PeerSession, p api.OfferParams) (any, error) {
	if err := checkPeerSDP(p.SDP); err != nil {
		return nil, err
	}
	switch {
	case s.State != model.HaveLocalOffer || s.Offerer == t.dev:
		return nil, errState("no offer of the other side is open", s.Rev)
	case p.Rev != 0 && p.Rev != s.Rev+1:
		return nil, errState("an answer to another offer", s.Rev)
	}
	s.State, s.Offerer = model.Stable, nil
	s.Rev++
	x.relay(t, s, "media.answer", s.Rev, p.SDP)
	return api.PeerDescription{MS: string(s.ID), Rev: s.Rev}, nil
}

// candidate relays candidates; which description they belong to is for the
// other side to tell by their ufrag.
func (x *peers) candidate(t *turn, s *model.PeerSession, p api.CandidateParams) (any, error) {
	for _, c := range p.Candidates {
		if !validText(c, maxCandidate) {
			return nil, errBadParams("candidates")
		}
	}
	t.tell(s.Other(t.dev).Session, "media.candidate", map[string]any{
		"ms": s.ID, "ufrag": p.Ufrag, "candidates": privateCandidates(t.dev, p.Candidates), "end": p.End, "part": t.dev.Part.ID, "dev": t.dev.ID,
	})
	return done(), nil
}

func (x *peers) relay(t *turn, s *model.PeerSession, event string, rev uint32, sdp string) {
	t.tell(s.Other(t.dev).Session, event, map[string]any{
		"ms": s.ID, "rev": rev, "sdp": privateSDP(t.dev, sdp), "part": t.dev.Part.ID, "dev": t.dev.ID,
	})
}

// gone closes what a device that left had with others.
func (x *peers) gone(t *turn, d *model.Device, why string) {
	for _, s := range x.ordered() {
		if s.Other(d) != nil {
			x.end(t, s, why, d)
		}
	}
}

// end closes a session and tells its ends, but not the one that closed it.
func (x *peers) end(t *turn, s *model.PeerSession, why string, by *model.Device) {
	delete(x.m.conf.Peers, s.ID)
	s.State = model.SessionClosed
	for _, o := range []*model.Device{s.A, s.B} {
		if o != by && o.Status.Live() {
			t.tell(o.Session, "media.closed", map[string]any{"ms": s.ID, "reason": why})
		}
	}
}

// ordered lists the sessions by name, so that what follows is always the same.
func (x *peers) ordered() []*model.PeerSession {
	out := make([]*model.PeerSession, 0, len(x.m.conf.Peers))
	for _, s := range x.m.conf.Peers {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *model.PeerSession) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
