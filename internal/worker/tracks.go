package worker

import (
	"slices"

	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
)

// Publish binds a track to a section of a link. See plane.Plane.
func (p *Pool) Publish(t plane.Track) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.links[t.Conn]
	if e == nil {
		return unknownConnection()
	}
	if p.tracks[t.Track] != nil {
		return fault.New(409, "track-exists", "track is already published")
	}
	if err := p.readyLocked(e.shard); err != nil {
		return err
	}
	s := &source{track: t, id: graph.TrackID(p.trkIDs.get()), owner: e, remote: make([]int, len(p.shards)), subs: map[*projection]struct{}{}}
	p.tracks[t.Track], e.conf.tracks[t.Track] = s, s
	if e.tracks == nil {
		e.tracks = map[ids.Track]*source{}
	}
	e.tracks[t.Track] = s
	w := p.shards[e.shard]
	cfg := engine.TrackConfig{ID: s.id, Track: t, Home: e.shard, Leg: e.leg}
	w.mail.post(func(now clock.Time) { w.eng.AddTrack(now, cfg, &w.out) })
	return nil
}

// Unpublish ends a track. See plane.Plane.
func (p *Pool) Unpublish(_ ids.Conference, t ids.Track) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unpublishLocked(t)
}

func (p *Pool) unpublishLocked(t ids.Track) {
	s := p.tracks[t]
	if s == nil {
		return
	}
	for sub := range s.subs {
		sub.src = nil
	}
	delete(p.tracks, t)
	delete(s.owner.tracks, t)
	delete(s.owner.conf.tracks, t)
	p.eachShardLocked(s, func(w *Worker) command {
		return func(now clock.Time) { w.eng.RemoveTrack(now, s.id, &w.out) }
	})
	p.trkIDs.put(uint32(s.id))
}

// Mute stops or resumes forwarding of a track. See plane.Plane.
func (p *Pool) Mute(_ ids.Conference, t ids.Track, muted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.tracks[t]
	if s == nil {
		return
	}
	s.track.Muted = muted // a shard that learns of the track later must know
	p.eachShardLocked(s, func(w *Worker) command {
		return func(now clock.Time) { w.eng.MuteTrack(now, s.id, muted) }
	})
}

// Subscribe starts or changes a subscription. See plane.Plane.
func (p *Pool) Subscribe(sub plane.Subscription) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.links[sub.Conn]
	if e == nil {
		return unknownConnection()
	}
	src := p.tracks[sub.Track]
	if src == nil && (sub.Track != "" || !sub.Slot) {
		return fault.New(404, "no-such-track", "unknown track")
	}
	if src != nil && src.owner.conf != e.conf {
		return fault.New(403, "other-conference", "track belongs to another conference")
	}
	if err := p.readyLocked(e.shard); err != nil {
		return err
	}
	old := p.subs[sub.Sub]
	if old != nil && old.link != e {
		return fault.New(409, "subscription-exists", "subscription belongs to another connection")
	}
	pr := &projection{sub: sub, src: src, link: e}
	p.attachLocked(pr)
	cfg := engine.SubConfig{Sub: sub, Leg: e.leg}
	if src != nil {
		cfg.Track = src.id
	}
	w := p.shards[e.shard]
	w.mail.post(func(now clock.Time) { w.eng.Subscribe(now, cfg, &w.out) })
	if old != nil {
		p.detachLocked(old)
	}
	p.subs[sub.Sub] = pr
	if e.subs == nil {
		e.subs = map[ids.Subscription]*projection{}
	}
	e.subs[sub.Sub] = pr
	return nil
}

// Unsubscribe ends a subscription. See plane.Plane.
func (p *Pool) Unsubscribe(id ids.Subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.subs[id]
	if s == nil {
		return
	}
	delete(p.subs, id)
	delete(s.link.subs, id)
	w := p.shards[s.link.shard]
	w.mail.post(func(now clock.Time) { w.eng.Unsubscribe(now, id, &w.out) })
	p.detachLocked(s)
}

// attachLocked makes the source known on the subscriber's shard before the
// first subscription there, and only then tells its home to send packets over.
func (p *Pool) attachLocked(s *projection) {
	if s.src == nil {
		return
	}
	at, src := s.link.shard, s.src
	src.subs[s] = struct{}{}
	src.remote[at]++
	if at == src.owner.shard || src.remote[at] > 1 {
		return
	}
	here, home := p.shards[at], p.shards[src.owner.shard]
	cfg := engine.TrackConfig{ID: src.id, Track: src.track, Remote: true, Home: src.owner.shard, Contributors: src.who}
	here.mail.post(func(now clock.Time) { here.eng.AddTrack(now, cfg, &here.out) })
	home.mail.post(func(now clock.Time) { home.eng.AddRemote(now, src.id, at) })
}

// detachLocked is the reverse, after the last subscription of a shard.
func (p *Pool) detachLocked(s *projection) {
	src, at := s.src, s.link.shard
	if src == nil {
		return
	}
	s.src = nil
	delete(src.subs, s)
	src.remote[at]--
	if at == src.owner.shard || src.remote[at] > 0 {
		return
	}
	here, home := p.shards[at], p.shards[src.owner.shard]
	home.mail.post(func(now clock.Time) { home.eng.RemoveRemote(now, src.id, at) })
	here.mail.post(func(now clock.Time) { here.eng.RemoveTrack(now, src.id, &here.out) })
}

// Contributors tells who is in a mixed track. See plane.Plane.
func (p *Pool) Contributors(_ ids.Conference, t ids.Track, now []plane.Contributor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.tracks[t]
	if s == nil {
		return
	}
	list := slices.Clone(now)
	s.who = list // a shard that learns of the track later must know
	p.eachShardLocked(s, func(w *Worker) command {
		return func(now clock.Time) { w.eng.SetContributors(now, s.id, list, &w.out) }
	})
}

// eachShardLocked posts to every shard that knows a track.
func (p *Pool) eachShardLocked(s *source, what func(w *Worker) command) {
	for i, n := range s.remote {
		if n > 0 || engine.Shard(i) == s.owner.shard {
			p.shards[i].mail.post(what(p.shards[i]))
		}
	}
}
