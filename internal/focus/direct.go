package focus

import (
	"slices"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/model"
)

// Devices that talk directly, and legs whose path is too thin for all of it.

// releaseMedia closes a link that peers have made needless. Should the device
// come again, it does so on a fresh one.
func (r *room) releaseMedia(now clock.Time, e control.ReleaseMedia) {
	l := r.legs[e.MS]
	if l == nil || l.conn != e.Old {
		return
	}
	if l.opened {
		r.f.cfg.Plane.Close(l.conn, "direct")
	}
	delete(r.conns, l.conn)
	l.reset(e.Conn, r.newSession())
	r.conns[l.conn] = l
	r.orphan(now, l.ms)
}

// orphan takes the tracks of a link that is gone off everybody's sections: they
// come again on fresh SSRCs.
func (r *room) orphan(now clock.Time, ms ids.MediaSession) {
	for _, k := range r.m.Conference().Media[ms].Tracks {
		for _, s := range r.m.Subscribers(k) {
			if o := r.legs[s.MS]; o != nil && r.dropped(o, s.ID) {
				o.want(s)
				o.need(now, needSoon, "subscribe")
			}
		}
	}
}

// addServers completes what a device is told of talking directly.
func (r *room) addServers(e *control.Event) {
	if e.Name != "topology.changed" || e.To == "" || e.Fields["manner"] != string(model.Direct) || r.f.cfg.ICEServers == nil {
		return
	}
	if d := r.m.Device(e.To); d != nil {
		e.Fields["iceServers"] = r.f.cfg.ICEServers(d.Part.User)
	}
}

func (r *room) addICE(s *api.LegState, user string) {
	if s != nil && s.Manner == string(model.Direct) && r.f.cfg.ICEServers != nil {
		s.ICEServers = r.f.cfg.ICEServers(user)
	}
}

// What a path can take is looked at now and then. A leg that is sent more than
// its peer says it can take, for a while, is served with less; it gets all again
// when there has been ample room for longer.
const (
	pathEvery = 2 * time.Second
	thinRate  = 150_000 // bit/s: sound and a thumbnail
	ampleRate = 400_000
	pathsMax  = 64 // looked at in a round; the others have their turn
	// thinFor is two probes of the media side and more: a machine that comes late to
	// its packets for a moment looks like a thin path until one of them came back.
	thinFor  = 12 * time.Second
	ampleFor = 10 * time.Second
)

// paths watches what the legs of a room can take. Belongs to the loop.
type paths struct {
	at    clock.Time // next look; zero: nobody is to be looked at
	turn  int        // whose turn it is in a large room
	since map[ids.MediaSession]clock.Time
}

// sample is one look at a leg.
type sample struct {
	ms              ids.MediaSession
	conn            ids.Connection
	estimate, sends uint64
}

// watchPaths asks the media side about every leg that could do with less. The
// answers take a moment, so they come back through the mailbox.
func (r *room) watchPaths(now clock.Time) {
	if r.paths.at.IsZero() || r.paths.at > now {
		return
	}
	r.paths.at = 0
	list := r.watched()
	if len(list) == 0 {
		return
	}
	r.paths.at = now.Add(pathEvery)
	r.f.wg.Go(func() {
		for i := range list {
			if s, ok := r.f.cfg.Plane.Stats(list[i].conn); ok {
				list[i].estimate, list[i].sends = s.EstimateOut, s.Goodput
			}
		}
		r.box.force(&item{paths: list})
	})
}

// watched lists the legs whose manner may hang on their path.
func (r *room) watched() (out []sample) {
	switch r.m.Conference().Choice.Topology {
	case api.TopologyAuto, api.TopologyHybrid, api.TopologyMesh:
	default:
		return nil
	}
	for _, l := range r.legsInOrder() {
		if l.opened && !l.failed && l.rtp == nil && l.dev.Dialect == "ws" && l.dev.Own.Topology == "" && (l.dev.Weak || l.served.Manner == model.SFU) && l.media.Rev > 0 {
			out = append(out, sample{ms: l.ms, conn: l.conn})
		}
	}
	if n := len(out); n > pathsMax {
		from := r.paths.turn % n
		r.paths.turn = (from + pathsMax) % n
		out = slices.Concat(out[from:], out[:from])[:pathsMax]
	}
	return out
}

// measured judges a round of samples.
func (r *room) measured(now clock.Time, list []sample) {
	if r.paths.since == nil {
		r.paths.since = map[ids.MediaSession]clock.Time{}
	}
	for _, s := range list {
		l := r.legs[s.ms]
		if l == nil || s.estimate == 0 {
			delete(r.paths.since, s.ms)
			continue
		}
		other, after := s.estimate < thinRate && s.sends >= s.estimate, thinFor
		if l.dev.Weak {
			other, after = s.estimate >= ampleRate, ampleFor
		}
		since, noted := r.paths.since[s.ms]
		switch {
		case !other:
			delete(r.paths.since, s.ms)
		case !noted:
			r.paths.since[s.ms] = now
		case now.Sub(since) >= after:
			delete(r.paths.since, s.ms)
			r.fact(now, control.LinkWeak, control.Weak{MS: s.ms, Weak: !l.dev.Weak})
		}
	}
}
