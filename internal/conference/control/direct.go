package control

import (
	"slices"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
)

// decide says whether the devices talk among themselves: at once when nobody is
// served by the server yet or somebody chose so, else after a calm while; and
// not any more as soon as one too many is there.
func (x *topology) decide(t *turn, devs []*model.Device) {
	if !x.able(devs) {
		x.few = 0
		if x.direct {
			x.direct = false
			x.endLater(t)
		}
		return
	}
	if x.direct {
		return
	}
	if x.few.IsZero() {
		x.few = t.now
	}
	if x.forced || !x.carried(devs) || t.now.Sub(x.few) >= calm {
		x.direct = true
		return
	}
	since := x.few
	x.m.at(since.Add(calm), func(t *turn) {
		if x.few == since {
			x.changed("left")
		}
	})
}

// able reports whether these devices may and can do without the server.
func (x *topology) able(devs []*model.Device) bool {
	limit := 0
	switch x.choice().Topology {
	case api.TopologyAuto:
		limit = pairs
	case api.TopologyMesh:
		limit = meshed
	}
	if len(devs) > limit || x.failed || x.m.cfg.Policy.E2EE || x.m.conf.Recording.State.On() {
		return false
	}
	for _, d := range devs {
		own := d.Own.Topology
		switch {
		case !d.Caps.P2P || d.Caps.Streams > 0 || d.Plain() || d.Dialect != "ws" || d.Subscribe == "slots":
			return false
		case own != "" && own != api.TopologyAuto && own != api.TopologyMesh:
			return false
		case d.Part.Anonymous || d.Away != nil: // peers see each other's addresses
			return false
		case slices.ContainsFunc(x.m.tracks.of(d.MS), func(k *model.Track) bool { return k.FocusMuted }):
			return false
		}
	}
	return true
}

// carried reports whether the server carries media of any of them.
func (x *topology) carried(devs []*model.Device) bool {
	for _, d := range devs {
		if s := x.m.conf.Media[d.MS]; s != nil && s.Link != model.LinkNew {
			return true
		}
	}
	return false
}

// joined notes that a device has come in.
func (x *topology) joined(d *model.Device) {
	x.fresh = append(x.fresh, d)
	x.members("joined")
}

// members notes that who is there has changed, so that what failed with the
// others may be tried again.
func (x *topology) members(why string) {
	x.failed = false
	x.note(why)
}

// held notes that the focus mutes something, or does no more. Peers would have
// to obey of their own will, so that a pair goes by way of the server meanwhile.
func (x *topology) held() {
	if x.direct || !x.few.IsZero() || len(x.arrived) <= meshed {
		x.changed("muted")
	}
}

// release gives up the server's legs of those whose peers carry their media.
func (x *topology) release(t *turn, devs []*model.Device) {
	if !x.direct || !x.flowing(devs) {
		return
	}
	for _, d := range devs {
		s := x.m.conf.Media[d.MS]
		if d.Leg.Manner != model.Direct || s == nil || s.Link == model.LinkNew || s.State != model.Stable {
			continue
		}
		old := s.Conn
		s.Conn, s.Link, s.LinkAt, s.Restart = x.m.cfg.IDs.Connection(), model.LinkNew, t.now, 0
		for _, k := range s.Tracks {
			k.MID = ""
			t.touchTrack(k)
		}
		t.effect(ReleaseMedia{s.ID, old, s.Conn})
		t.tell(d.Session, "media.closed", map[string]any{"ms": s.ID, "reason": "direct"})
	}
}

// freed notes that a negotiation with the server is over: a leg that was in the
// middle of it when peers connected can be given up now.
// Not in this turn: its owner has yet to carry out what was negotiated.
func (x *topology) freed(t *turn) {
	if x.direct {
		x.m.at(t.now, func(*turn) { x.note("direct") })
	}
}

// flowing reports whether every pair has a session that both ends call connected.
func (x *topology) flowing(devs []*model.Device) bool {
	for i, a := range devs {
		for _, b := range devs[i+1:] {
			if !x.m.peers.connected(a, b) {
				return false
			}
		}
	}
	return true
}

// endLater ends what is left of sessions between devices when these had time to
// connect to the server (make before break, MSH-6).
func (x *topology) endLater(t *turn) {
	x.epoch++
	epoch := x.epoch
	x.m.at(t.now.Add(peerWait), func(t *turn) {
		if x.epoch != epoch || x.direct {
			return
		}
		for _, s := range x.m.peers.ordered() {
			if s.Meshed {
				x.m.peers.end(t, s, "topology", nil)
			}
		}
	})
}

// connected reports whether two devices have a session that carries media.
func (x *peers) connected(a, b *model.Device) bool {
	for _, s := range x.m.conf.Peers {
		if s.Other(a) == b && s.Flows[0] && s.Flows[1] {
			return true
		}
	}
	return false
}

// state notes how an end sees a session. One that fails, or has not carried
// media in time, sends everybody to the server.
func peerState(m *Machine, t *turn, p api.PeerStateParams) (any, error) {
	s := m.peers.of(t, p.MS)
	if s == nil {
		return nil, errNoSession()
	}
	switch p.State {
	case "connected":
		i := s.End(t.dev)
		if s.Flows[i] {
			return already(), nil
		}
		s.Flows[i] = true
		m.topo.changed("connected")
	case "failed":
		m.peers.end(t, s, "failed", t.dev)
		if s.Meshed && m.topo.direct {
			m.topo.failed = true
			m.topo.changed("failed")
		}
	case "closed":
		m.peers.end(t, s, p.Reason, t.dev)
	default:
		return nil, errBadParams("state")
	}
	return done(), nil
}

// peerEnd ends a session between devices; that it is over already is fine.
func peerEnd(m *Machine, t *turn, p api.PeerStateParams) (any, error) {
	if !validText(p.Reason, maxWhy) {
		return nil, errBadParams("reason")
	}
	s := m.peers.of(t, p.MS)
	if s == nil {
		return already(), nil
	}
	m.peers.end(t, s, p.Reason, t.dev)
	return done(), nil
}

// opened watches a session that the topology called for.
func (x *topology) opened(t *turn, s *model.PeerSession) {
	if !x.direct || s.A.Leg.Manner != model.Direct || s.B.Leg.Manner != model.Direct {
		return
	}
	s.Meshed = true
	x.m.at(t.now.Add(peerWait), func(t *turn) {
		if x.direct && x.m.conf.Peers[s.ID] == s && !(s.Flows[0] && s.Flows[1]) {
			x.failed = true
			x.changed("failed")
		}
	})
}

// weakened notes what the media side sees of a leg's path.
func weakened(m *Machine, t *turn, p Weak) (any, error) {
	s := m.conf.Media[p.MS]
	if s == nil || s.Device.Weak == p.Weak {
		return already(), nil
	}
	s.Device.Weak = p.Weak
	t.touch(s.Device.Part)
	m.topo.changed("bandwidth")
	return done(), nil
}

// Weak are the parameters of LinkWeak.
type Weak struct {
	MS   ids.MediaSession
	Weak bool
}
