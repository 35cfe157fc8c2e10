package control

import (
	"cmp"
	"slices"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
)

func subscribe(m *Machine, t *turn, p api.SubscribeTracks) (any, error) {
	if len(p.Tracks) > m.cfg.Policy.MaxSubs {
		return nil, errBadParams("too many tracks in one request")
	}
	if p.Auto != nil && t.dev.Subscribe != "slots" {
		t.dev.Subscribe = "none"
		if *p.Auto {
			t.dev.Subscribe = "auto"
			m.subscribeAll(t, t.dev)
		}
	}
	var res api.SubscribeResults
	for _, w := range p.Tracks {
		res.Tracks = append(res.Tracks, m.subscribeOne(t, w))
	}
	return res, nil
}

// subscribeOne starts a subscription or changes what it wants.
func (m *Machine) subscribeOne(t *turn, w api.WantedTrack) api.SubscribedTrack {
	out := api.SubscribedTrack{Track: w.Track, Code: 200}
	k := m.conf.Tracks[ids.Track(w.Track)]
	if k == nil {
		out.Code, out.Reason = 404, "not-found"
		if m.ended.has(ids.Track(w.Track)) {
			out.Reason = "track-ended"
		}
		return out
	}
	if k.Device == t.dev || t.dev.Subscribe == "slots" {
		out.Code, out.Reason = 409, "conflict"
		return out
	}
	s := m.findSub(t.dev.MS, k)
	if s == nil {
		if s = m.addSub(t, t.dev, k, w); s == nil {
			out.Code, out.Reason = 429, "too-many-subscriptions"
			return out
		}
	} else if s.Want != w && s.State != model.SubDenied {
		m.changeSub(t, s, w)
	}
	if out.State = string(s.State); s.State == model.SubDenied {
		out.Code, out.Reason = 415, "codec"
	}
	return out
}

func (m *Machine) changeSub(t *turn, s *model.Subscription, w api.WantedTrack) {
	s.Want = w
	switch {
	case w.Paused && s.State == model.SubActive:
		s.State = model.SubPaused
	case !w.Paused && s.State == model.SubPaused:
		s.State = model.SubActive
	}
	t.effect(WantSub{s})
}

// subscribeAll subscribes a device to everything others publish, oldest first.
func (m *Machine) subscribeAll(t *turn, d *model.Device) {
	for _, k := range m.boundTracks() {
		m.autoSubscribe(t, d, k)
	}
}

func (m *Machine) autoSubscribe(t *turn, d *model.Device, k *model.Track) {
	if k.Device == d || d.Subscribe != "auto" || m.conf.Media[d.MS] == nil {
		return
	}
	if m.findSub(d.MS, k) == nil {
		m.addSub(t, d, k, api.WantedTrack{Track: string(k.ID)})
	}
}

// addSub returns nil when the device holds as many as it may.
func (m *Machine) addSub(t *turn, d *model.Device, k *model.Track, w api.WantedTrack) *model.Subscription {
	if len(m.subsOf(d.MS)) >= m.cfg.Policy.MaxSubs {
		return nil
	}
	s := &model.Subscription{
		ID: m.cfg.IDs.Subscription(), Track: k, Device: d, MS: d.MS,
		State: model.SubRequested, Want: w, Order: m.nextOrder(),
	}
	m.conf.Subscriptions[s.ID] = s
	m.index(s)
	d.Receives[k.Label]++
	if d.Receives[k.Label] == 1 {
		t.touch(d.Part)
	}
	t.dirty = true
	t.effect(WantSub{s})
	return s
}

func unsubscribe(m *Machine, t *turn, p api.SubscribeTracks) (any, error) {
	changed := false
	if p.Auto != nil && t.dev.Subscribe == "auto" {
		t.dev.Subscribe, changed = "none", true
		t.touch(nil)
	}
	for _, w := range p.Tracks {
		k := m.conf.Tracks[ids.Track(w.Track)]
		if k == nil {
			continue
		}
		if s := m.findSub(t.dev.MS, k); s != nil {
			m.dropSub(t, s)
			changed = true
		}
	}
	if !changed {
		return already(), nil
	}
	return done(), nil
}

// dropSub ends a subscription.
func (m *Machine) dropSub(t *turn, s *model.Subscription) {
	m.unindex(s)
	if s.State == model.SubDenied {
		return // it ended when it was denied
	}
	s.State = model.SubEnded
	delete(m.conf.Subscriptions, s.ID)
	m.receivesLess(t, s)
	t.effect(EndSub{s.ID, s.MS, s.Track.ID})
}

func (m *Machine) receivesLess(t *turn, s *model.Subscription) {
	d, label := s.Device, s.Track.Label
	d.Receives[label]--
	if d.Receives[label] <= 0 {
		delete(d.Receives, label)
		t.touch(d.Part)
	}
	t.dirty = true
}

// Denied are the parameters of SubDenied: the receiver cannot take the codec.
type Denied struct {
	Sub    ids.Subscription
	Reason string
}

func subDenied(m *Machine, t *turn, p Denied) (any, error) {
	s := m.conf.Subscriptions[p.Sub]
	if s == nil || s.State == model.SubDenied {
		return already(), nil
	}
	m.receivesLess(t, s)
	s.State = model.SubDenied
	delete(m.conf.Subscriptions, s.ID)
	t.effect(EndSub{s.ID, s.MS, s.Track.ID})
	t.tell(s.Device.Session, "subscription.state", map[string]any{
		"sub": s.ID, "track": s.Track.ID, "state": s.State, "code": 415, "reason": p.Reason,
	})
	return done(), nil
}

// subIndex finds subscriptions by either end. A denied one stays in the index,
// so that it is not tried again, but is no longer counted or shown.
type subIndex struct {
	byMS    map[ids.MediaSession]map[ids.Track]*model.Subscription
	byTrack map[ids.Track]map[ids.Subscription]*model.Subscription
}

func (m *Machine) index(s *model.Subscription) {
	x := &m.subs
	if x.byMS == nil {
		x.byMS = map[ids.MediaSession]map[ids.Track]*model.Subscription{}
		x.byTrack = map[ids.Track]map[ids.Subscription]*model.Subscription{}
	}
	if x.byMS[s.MS] == nil {
		x.byMS[s.MS] = map[ids.Track]*model.Subscription{}
	}
	if x.byTrack[s.Track.ID] == nil {
		x.byTrack[s.Track.ID] = map[ids.Subscription]*model.Subscription{}
	}
	x.byMS[s.MS][s.Track.ID] = s
	x.byTrack[s.Track.ID][s.ID] = s
}

func (m *Machine) unindex(s *model.Subscription) {
	delete(m.subs.byMS[s.MS], s.Track.ID)
	if len(m.subs.byMS[s.MS]) == 0 {
		delete(m.subs.byMS, s.MS)
	}
	delete(m.subs.byTrack[s.Track.ID], s.ID)
	if len(m.subs.byTrack[s.Track.ID]) == 0 {
		delete(m.subs.byTrack, s.Track.ID)
	}
}

func (m *Machine) findSub(ms ids.MediaSession, k *model.Track) *model.Subscription {
	return m.subs.byMS[ms][k.ID]
}

// subsOf lists a media session's subscriptions, oldest first.
func (m *Machine) subsOf(ms ids.MediaSession) []*model.Subscription {
	out := make([]*model.Subscription, 0, len(m.subs.byMS[ms]))
	for _, s := range m.subs.byMS[ms] {
		out = append(out, s)
	}
	return inOrder(out)
}

// subsTo lists the subscriptions to a track, oldest first.
func (m *Machine) subsTo(k *model.Track) []*model.Subscription {
	out := make([]*model.Subscription, 0, len(m.subs.byTrack[k.ID]))
	for _, s := range m.subs.byTrack[k.ID] {
		out = append(out, s)
	}
	return inOrder(out)
}

func inOrder(s []*model.Subscription) []*model.Subscription {
	slices.SortFunc(s, func(a, b *model.Subscription) int { return cmp.Compare(a.Order, b.Order) })
	return s
}
