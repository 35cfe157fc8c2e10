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
	if err := m.subs.wantsFew(t, p.LastN); err != nil {
		return nil, err
	}
	if p.Auto != nil && t.dev.Subscribe != "slots" {
		t.dev.Subscribe = "none"
		if *p.Auto {
			t.dev.Subscribe = "auto"
			m.subs.all(t, t.dev)
		}
	}
	var res api.SubscribeResults
	for _, w := range p.Tracks {
		res.Tracks = append(res.Tracks, m.subs.request(t, w))
	}
	return res, nil
}

// request starts a subscription or changes what it wants.
func (x *subscriptions) request(t *turn, w api.WantedTrack) api.SubscribedTrack {
	out := api.SubscribedTrack{Track: w.Track, Code: 200}
	if !sane(w) {
		out.Code, out.Reason = 400, "bad-request"
		return out
	}
	k := x.m.conf.Tracks[ids.Track(w.Track)]
	if k == nil {
		out.Code, out.Reason = 404, "not-found"
		if x.m.tracks.ended.has(ids.Track(w.Track)) {
			out.Reason = "track-ended"
		}
		return out
	}
	if k.Device == t.dev || t.dev.Subscribe == "slots" {
		out.Code, out.Reason = 409, "conflict"
		return out
	}
	s := x.find(t.dev.MS, k)
	if s == nil {
		if s = x.add(t, t.dev, k, w); s == nil {
			out.Code, out.Reason = 429, "too-many-subscriptions"
			return out
		}
	} else if s.Want != w && s.State != model.SubDenied {
		x.change(t, s, w)
	}
	if out.State = string(s.State); s.State == model.SubDenied {
		out.Code, out.Reason = 415, "codec"
	}
	return out
}

func (x *subscriptions) change(t *turn, s *model.Subscription, w api.WantedTrack) {
	s.Want = w
	switch {
	case s.Paused() && s.State == model.SubActive:
		s.State = model.SubPaused
	case !s.Paused() && s.State == model.SubPaused:
		s.State = model.SubActive
	}
	t.effect(WantSub{s})
}

// all subscribes a device to everything others publish, oldest first.
func (x *subscriptions) all(t *turn, d *model.Device) {
	for _, k := range x.m.tracks.bound() {
		x.auto(t, d, k)
	}
}

func (x *subscriptions) auto(t *turn, d *model.Device, k *model.Track) {
	if k.Device == d || d.Subscribe != "auto" || x.m.conf.Media[d.MS] == nil {
		return
	}
	if x.find(d.MS, k) == nil {
		x.add(t, d, k, api.WantedTrack{Track: string(k.ID)})
	}
}

// add returns nil when the device holds as many as it may.
func (x *subscriptions) add(t *turn, d *model.Device, k *model.Track, w api.WantedTrack) *model.Subscription {
	if len(x.of(d.MS)) >= x.m.cfg.Policy.MaxSubs {
		return nil
	}
	s := &model.Subscription{
		ID: x.m.cfg.IDs.Subscription(), Track: k, Device: d, MS: d.MS,
		State: model.SubRequested, Want: w, Order: x.m.nextOrder(),
	}
	x.m.conf.Subscriptions[s.ID] = s
	x.index(s)
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
		if s := m.subs.find(t.dev.MS, k); s != nil {
			m.subs.drop(t, s)
			changed = true
		}
	}
	if !changed {
		return already(), nil
	}
	return done(), nil
}

// drop ends a subscription.
func (x *subscriptions) drop(t *turn, s *model.Subscription) {
	x.unindex(s)
	if s.State == model.SubDenied {
		return // it ended when it was denied
	}
	s.State = model.SubEnded
	delete(x.m.conf.Subscriptions, s.ID)
	x.receivesLess(t, s)
	t.effect(EndSub{s.ID, s.MS, s.Track.ID})
}

func (x *subscriptions) receivesLess(t *turn, s *model.Subscription) {
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
	m.subs.receivesLess(t, s)
	s.State = model.SubDenied
	delete(m.conf.Subscriptions, s.ID)
	t.effect(EndSub{s.ID, s.MS, s.Track.ID})
	t.tell(s.Device.Session, "subscription.state", map[string]any{
		"sub": s.ID, "track": s.Track.ID, "state": s.State, "code": 415, "reason": p.Reason,
	})
	return done(), nil
}

// subscriptions is who receives what. It finds them by either end; a denied
// one stays in the index, so that it is not tried again, but is no longer
// counted or shown.
type subscriptions struct {
	m       *Machine
	byMS    map[ids.MediaSession]map[ids.Track]*model.Subscription
	byTrack map[ids.Track]map[ids.Subscription]*model.Subscription
}

func (x *subscriptions) index(s *model.Subscription) {
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

func (x *subscriptions) unindex(s *model.Subscription) {
	delete(x.byMS[s.MS], s.Track.ID)
	if len(x.byMS[s.MS]) == 0 {
		delete(x.byMS, s.MS)
	}
	delete(x.byTrack[s.Track.ID], s.ID)
	if len(x.byTrack[s.Track.ID]) == 0 {
		delete(x.byTrack, s.Track.ID)
	}
}

func (x *subscriptions) find(ms ids.MediaSession, k *model.Track) *model.Subscription {
	return x.byMS[ms][k.ID]
}

// of lists a media session's subscriptions, oldest first.
func (x *subscriptions) of(ms ids.MediaSession) []*model.Subscription {
	out := make([]*model.Subscription, 0, len(x.byMS[ms]))
	for _, s := range x.byMS[ms] {
		out = append(out, s)
	}
	return inOrder(out)
}

// to lists the subscriptions to a track, oldest first.
func (x *subscriptions) to(k *model.Track) []*model.Subscription {
	out := make([]*model.Subscription, 0, len(x.byTrack[k.ID]))
	for _, s := range x.byTrack[k.ID] {
		out = append(out, s)
	}
	return inOrder(out)
}

func inOrder(s []*model.Subscription) []*model.Subscription {
	slices.SortFunc(s, func(a, b *model.Subscription) int { return cmp.Compare(a.Order, b.Order) })
	return s
}
