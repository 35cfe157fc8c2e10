package control

import (
	"slices"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
)

// syncMedia compares what a client that resumed believes with what is. On 409
// the owner of the machine asks it for an offer.
func syncMedia(m *Machine, t *turn, p api.SyncParams) (any, error) {
	s, err := m.media.of(t, p.MS)
	if err != nil {
		return nil, err
	}
	if s.Rev == p.Rev && s.State == model.Stable && m.sameTracks(s, p.Tracks) && m.sameSubs(s, p.Subscriptions) {
		return done(), nil
	}
	e := fault.New(409, "resync-media", "the media session is not as the client believes")
	e.Data = map[string]any{"rev": s.Rev, "ms": s.ID}
	return nil, e
}

// sameTracks compares names of tracks; a client that names none is not asked.
func (m *Machine) sameTracks(s *model.MediaSession, names []string) bool {
	if names == nil {
		return true
	}
	for _, k := range s.Tracks {
		if k.Bound() && !slices.Contains(names, string(k.ID)) {
			return false
		}
	}
	return !slices.ContainsFunc(names, func(n string) bool {
		k := m.conf.Tracks[ids.Track(n)]
		return k == nil || k.MS != s.ID
	})
}

// sameSubs compares what is received, named by subscription or by track.
func (m *Machine) sameSubs(s *model.MediaSession, names []string) bool {
	if names == nil {
		return true
	}
	subs := m.subs.of(s.ID)
	is := func(n string) func(*model.Subscription) bool {
		return func(o *model.Subscription) bool { return string(o.ID) == n || string(o.Track.ID) == n }
	}
	for _, o := range subs {
		if o.State == model.SubActive && !slices.ContainsFunc(names, func(n string) bool { return is(n)(o) }) {
			return false
		}
	}
	return !slices.ContainsFunc(names, func(n string) bool { return !slices.ContainsFunc(subs, is(n)) })
}

// status tells how the conference is. Strangers are told of none that they
// have no right to.
func status(m *Machine, t *turn, _ struct{}) (any, error) {
	c := m.conf
	insider := t.dev != nil && t.dev.Part.State == model.Joined
	by := t.caller.By
	if !insider && !by.Service && !(t.forHere() && (by.Room != "" || moderates(by.Role) || m.cfg.Policy.Dev)) {
		return nil, errNotFound()
	}
	out := api.StatusResult{
		Conf: string(c.ID), URI: c.URI, Title: c.Title, Phase: string(c.Phase), Active: c.Phase == model.Active,
		Locked: c.Locked, UserCount: m.users, Intent: c.Intent, Recording: string(c.Recording.State),
	}
	if c.Since != 0 {
		out.Since = Wall(m.cfg.Anchor, c.Since)
	}
	for _, s := range c.SidebarsInOrder() {
		out.Sidebars = append(out.Sidebars, api.SidebarResult{Sidebar: string(s.ID), URI: s.URI})
	}
	if c.Main != nil {
		out.Main = c.Main.URI
	}
	return out, nil
}
