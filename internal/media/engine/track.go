package engine

import (
	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/stream"
)

// track is a published source, at home or mirrored.
type track struct {
	cfg      TrackConfig
	conf     *conference
	leg      *leg // at home
	sect     int
	src      *stream.Source
	ladder   ladder
	appetite appetite
	voice    voice
	layers   [stream.MaxLayers]layer
	gate     gate
	remotes  []remote
	muted    bool
	live     bool
	contrib  []plane.Contributor
	rest     rest
	pass     int        // subscriptions in which it keeps its SSRC
	endAt    clock.Time // all its SSRCs said BYE: ends unless one comes back
	asked    clock.Time // remote: last keyframe request sent home
}

// layer is one encoding at home.
type layer struct {
	in  *inStream
	top int64 // highest extended number of earlier SSRCs
	key wish
}

// remote is a shard that gets the track's packets.
type remote struct {
	shard Shard
	open  *Cross // being filled during a Flush
	want  int8
	told  *stream.Info
}

// AddTrack implements [API].
func (e *Engine) AddTrack(now clock.Time, c TrackConfig, out *Out) {
	if old := e.track(c.ID); old != nil {
		if old.cfg.Track.Track == c.Track.Track {
			return
		}
		e.RemoveTrack(now, c.ID, out)
	}
	for int(c.ID) >= len(e.tracks) {
		e.tracks = append(e.tracks, nil)
	}
	conf := e.conference(c.Track.Conf)
	t := &track{cfg: c, conf: conf, sect: -1, src: stream.NewSource(c.ID, c.Track), muted: c.Track.Muted, contrib: boundContributors(c.Contributors)}
	e.tracks[c.ID] = t
	conf.tracks = append(conf.tracks, t)
	for _, r := range conf.order {
		r.AddSource(t.src)
	}
	if l := e.leg(c.Leg); !c.Remote && l != nil {
		t.leg = l
		l.tracks = append(l.tracks, t)
		for _, r := range conf.passing {
			r.Bind(t.src, l.cfg.Leg)
		}
		t.configure(l)
		e.rebind(now, l, out)
	}
	for _, s := range e.subs {
		if s.cfg.Track == c.ID && s.cfg.Sub.Track == c.Track.Track && s.conf == conf {
			e.attach(now, s)
		}
	}
	e.settle(now, out)
}

// configure takes over what the leg negotiated for the track's section and
// binds the streams that are already there.
func (t *track) configure(l *leg) {
	if t.sect = l.recvSection(t.cfg.Track.MID); t.sect < 0 {
		return
	}
	s := &l.media.Sections[t.sect]
	info := &stream.Info{Exts: s.Exts, Codecs: s.Recv.Codecs, Layers: max(1, min(len(s.Recv.Layers), stream.MaxLayers))}
	if len(s.Recv.Codecs) > 0 {
		info.Clock = s.Recv.Codecs[0].ClockRate
	}
	t.src.Info = info
	for _, st := range l.streams {
		if st.sect == t.sect && st.track != t {
			t.bind(st)
		}
	}
}

// bind makes a stream carry one layer of the track.
func (t *track) bind(st *inStream) {
	st.track = t
	if st.rtx {
		st.main = t.layers[st.layer].in
		return
	}
	y := &t.layers[st.layer]
	if y.in != nil && y.in != st {
		y.in.track = nil
	}
	if y.top != 0 {
		st.off = (y.top | 0xffff) + 1 // numbers run on; the low 16 bits stay
		t.src.Restart(st.layer)
	}
	y.in = st
	t.endAt = 0
	for _, x := range t.leg.streams {
		if x.rtx && x.sect == st.sect && x.layer == st.layer {
			x.track, x.main = t, st
		}
	}
}

// RemoveTrack implements [API].
func (e *Engine) RemoveTrack(now clock.Time, id graph.TrackID, out *Out) {
	t := e.track(id)
	if t == nil {
		return
	}
	e.tracks[id] = nil
	e.flushConf(now, t.conf, out)
	for _, s := range e.subs {
		if s.proj.Source() == t.src {
			e.orphan(now, s, out)
		}
	}
	for _, r := range t.conf.order {
		r.RemoveSource(t.src)
	}
	t.unlink()
	t.conf.forgets(t.cfg.Track.Conn)
	e.retune(t.leg)
	e.sourceGone(t, out)
	t.src.Close()
	e.tidy(t.conf)
	e.settle(now, out)
}

// orphan takes the source from a subscription: a projection's SSRC gets its
// BYE (SFM-10), a slot stays.
func (e *Engine) orphan(now clock.Time, s *subscription, out *Out) {
	if s.proj.Passing {
		e.bye(s.leg, s.leg.egress.Foreign(e.ssrcs[:0], s.proj.Source()), out)
		for _, ssrc := range e.ssrcs {
			s.leg.egress.Over(ssrc)
		}
	} else if !s.proj.Slot {
		e.bye(s.leg, appendSent(e.ssrcs[:0], s.proj), out)
		s.proj.Dead = s.proj.Packets > 0
	}
	s.proj.Attach(now, nil, s.leg.section(s.cfg.Sub.MID))
	if t := s.passes; t != nil {
		s.passes = nil
		t.pass--
	}
}

func (t *track) unlink() {
	t.conf.det.Remove(t.cfg.ID)
	t.conf.podium.leave(t)
	for i, x := range t.conf.tracks {
		if x == t {
			t.conf.tracks = append(t.conf.tracks[:i], t.conf.tracks[i+1:]...)
			break
		}
	}
	if t.leg == nil {
		return
	}
	for _, st := range t.leg.streams {
		if st.track == t {
			st.track, st.main = nil, nil
		}
	}
	for i, x := range t.leg.tracks {
		if x == t {
			t.leg.tracks = append(t.leg.tracks[:i], t.leg.tracks[i+1:]...)
			break
		}
	}
}

// MuteTrack implements [API].
func (e *Engine) MuteTrack(now clock.Time, id graph.TrackID, muted bool) {
	t := e.track(id)
	if t == nil || t.muted == muted {
		return
	}
	t.muted = muted
	t.conf.podium.leave(t)
	if t.src.Video() {
		t.conf.poll++
		e.wakeConf(t.conf, now)
	}
	if muted {
		t.still()
	} else {
		t.src.Epoch++ // what passed meanwhile is left out, not lost
	}
}

// still tells the statistics of those who see a track that its pictures end for
// now: nothing is frozen.
func (t *track) still() {
	for _, l := range t.conf.members {
		for _, s := range l.subs {
			if s.proj.Source() == t.src {
				s.proj.Tally.Rest()
			}
		}
	}
}

// AddRemote implements [API].
func (e *Engine) AddRemote(_ clock.Time, id graph.TrackID, s Shard) {
	t := e.track(id)
	if t == nil || s == e.cfg.Shard {
		return
	}
	for i := range t.remotes {
		if t.remotes[i].shard == s {
			return
		}
	}
	t.remotes = append(t.remotes, remote{shard: s, want: stream.MaxLayers - 1})
}

// RemoveRemote implements [API].
func (e *Engine) RemoveRemote(_ clock.Time, id graph.TrackID, s Shard) {
	t := e.track(id)
	if t == nil {
		return
	}
	for i := range t.remotes {
		if t.remotes[i].shard == s {
			t.remotes = append(t.remotes[:i], t.remotes[i+1:]...)
			return
		}
	}
}

// codecOf returns the section's codec by the payload type of media, alone or with
// redundancy, or of RTX.
func codecOf(cs []plane.Codec, pt uint8) (c *plane.Codec, rtx bool) {
	for i := range cs {
		if cs[i].PT == pt || (cs[i].RED != 0 && cs[i].RED == pt) {
			return &cs[i], false
		}
		if cs[i].RTX != 0 && cs[i].RTX == pt {
			return &cs[i], true
		}
	}
	return nil, false
}
