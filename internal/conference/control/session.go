package control

import (
	"slices"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
)

// Fact is the parameter of facts that carry nothing but their session.
type Fact struct{}

// sessionSuspended notes that the channel is lost. Others see reachability and
// nothing else until the grace is over.
func sessionSuspended(m *Machine, t *turn, _ Fact) (any, error) {
	d := t.dev
	if d == nil || d.Reach == model.ReachSuspended {
		return already(), nil
	}
	d.Reach, d.Suspend = model.ReachSuspended, t.now
	t.touch(d.Part)
	s, since := d.Session, t.now
	m.at(t.now.Add(m.cfg.Policy.Grace), func(t *turn) {
		if d.Session == s && d.Suspend == since {
			m.devices.gone(t, d, model.Failed, lost, "")
		}
	})
	return done(), nil
}

// lost is the reason of RFC 3326 form for a channel that did not come back.
const lost = `SIP;cause=408;text="Connection lost"`

// sessionResumed takes a suspended device back with everything it had. One
// that is too late is told to join again.
func sessionResumed(m *Machine, t *turn, _ Fact) (any, error) {
	d := t.dev
	if d == nil {
		t.effect(SayGoodbye{t.caller.Session, api.Goodbye{Kind: "goodbye", Action: "reconnect", Reason: "expired"}})
		return already(), nil
	}
	if d.Reach == model.ReachOK {
		return already(), nil
	}
	d.Reach, d.Suspend = model.ReachOK, 0
	t.touch(d.Part)
	return done(), nil
}

// Closed are the parameters of SessionClosed.
type Closed struct{ Reason string }

// sessionClosed ends the session's device. A session that said it was leaving
// has departed; any other end is a failure.
func sessionClosed(m *Machine, t *turn, p Closed) (any, error) {
	if t.dev == nil {
		return already(), nil
	}
	switch p.Reason {
	case "leave", "bye", "goodbye", "deleted": // as the dialects call it
		m.devices.gone(t, t.dev, model.Departed, "", "")
	case "", "grace":
		m.devices.gone(t, t.dev, model.Failed, lost, "")
	default:
		m.devices.gone(t, t.dev, model.Failed, p.Reason, "")
	}
	return done(), nil
}

// joinUndone takes back a join whose offer was refused in the same breath:
// nobody has seen it, so nothing lingers.
func joinUndone(m *Machine, t *turn, _ Fact) (any, error) {
	d := t.dev
	if d == nil {
		return already(), nil
	}
	m.devices.gone(t, d, model.Failed, "refused", "")
	m.devices.forget(t, d)
	return done(), nil
}

// Link are the parameters of LinkChanged.
type Link struct {
	Conn  ids.Connection
	State model.LinkState
	Why   string
}

// linkChanged follows the transport. A link that failed may be replaced by an
// offer within the grace when signalling is up; an HTTP resource has no other
// sign of life than its link, so its device goes with it.
func linkChanged(m *Machine, t *turn, p Link) (any, error) {
	s := m.media.byConn(p.Conn)
	if s == nil || s.Link == p.State {
		return already(), nil
	}
	s.Link, s.LinkAt = p.State, t.now
	d := s.Device
	switch {
	case p.State == model.LinkConnected:
		m.media.retireOthers(t, d, s)
	case p.State == model.LinkFailed && s.Retiring != 0:
		m.media.retire(t, s, "replaced")
	case p.State == model.LinkFailed && d.Dialect != "ws":
		m.media.lost(t, s)
	case p.State == model.LinkFailed:
		m.media.watchFailed(t, s)
	}
	return done(), nil
}

// watchFailed gives a client the grace to come with another connection. One
// that is away has closed it on purpose, and has time until it is back.
func (x *mediaSessions) watchFailed(t *turn, s *model.MediaSession) {
	conn := s.Conn
	x.m.at(t.now.Add(x.m.cfg.Policy.Grace), func(t *turn) {
		if s.Link == model.LinkFailed && s.Conn == conn && s.Device.Away == nil && s.Device.Leg.Manner != model.Direct {
			x.lost(t, s)
		}
	})
}

// lost puts out a device whose transport will not come back.
func (x *mediaSessions) lost(t *turn, s *model.MediaSession) {
	session := s.Device.Session
	x.m.devices.gone(t, s.Device, model.Failed, lost, "")
	t.effect(SayGoodbye{session, api.Goodbye{Kind: "goodbye", Action: "reconnect", Reason: "media-failed"}})
}

// retireOthers closes what a replaced load left behind, now that the new one
// carries media.
func (x *mediaSessions) retireOthers(t *turn, d *model.Device, s *model.MediaSession) {
	if s.ID != d.MS {
		return
	}
	for _, o := range slices.Clone(d.Media) {
		if o != s {
			x.retire(t, o, "replaced")
		}
	}
}

func (x *mediaSessions) byConn(c ids.Connection) *model.MediaSession {
	for _, s := range x.m.conf.Media {
		if s.Conn == c {
			return s
		}
	}
	return nil
}
