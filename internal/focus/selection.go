package focus

import (
	"slices"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/media/plane"
)

// Which pictures and voices are sent, and what people are told of it. What the
// media side chooses is passed on; nothing is decided here.

// reselect tells the media side what the legs may be sent from now on.
func (r *room) reselect() {
	for _, l := range r.legs {
		lastN, loudest := r.m.Selection(l.dev)
		if !l.opened || l.rtp != nil || l.media.Rev == 0 || (l.media.LastN == lastN && l.media.Loudest == loudest) {
			continue
		}
		l.media.LastN, l.media.Loudest = lastN, loudest
		if err := r.f.cfg.Plane.Configure(l.conn, l.media); err != nil {
			r.log.Warn("selection refused by the media side", "ms", string(l.ms), "err", err)
		}
	}
}

// repin tells the media side which sources a leg's layout has pinned since, or
// not any more.
func (r *room) repin(l *leg) {
	var pins []ids.Track
	for i := range l.sections {
		s := &l.sections[i]
		if s.sub == nil || s.slot != nil || s.ending || !s.sending {
			continue
		}
		if pins == nil {
			pins = append([]ids.Track{}, r.m.Pinned(l.dev)...)
		}
		if slices.Contains(pins, s.sub.Track.ID) != s.pinned {
			r.feed(l, s)
		}
	}
}

// layersWanted names the encodings that are wanted of a track.
func (r *room) layersWanted(now clock.Time, e plane.Event) {
	l := r.conns[e.Conn]
	k := r.m.Conference().Tracks[e.Track]
	if l == nil || k == nil {
		return
	}
	p := control.Layers{Track: e.Track, Count: e.Layers}
	for i := range l.media.Sections {
		if s := &l.media.Sections[i]; s.MID == k.MID && s.Recv != nil {
			p.Of = len(s.Recv.Layers)
			for _, y := range s.Recv.Layers[:min(e.Layers, p.Of)] {
				if y.RID != "" {
					p.RIDs = append(p.RIDs, y.RID)
				}
			}
		}
	}
	r.fact(now, control.LayersWanted, p)
}

// withheld tells a client which pictures it is not sent.
func (r *room) withheld(e plane.Event) {
	l := r.conns[e.Conn]
	if l == nil || l.dev.Dialect != "ws" {
		return
	}
	l.withheld = l.withheld[:0:0]
	for _, w := range e.Withheld {
		l.withheld = append(l.withheld, api.WithheldTrack{Track: string(w.Track), Why: w.Why})
	}
	r.tellWithheld(l)
}

func (r *room) tellWithheld(l *leg) {
	body := api.MediaWithheld{MS: string(l.ms), Tracks: l.withheld}
	if body.Tracks == nil {
		body.Tracks = []api.WithheldTrack{}
	}
	r.notes.tellJSON(l.dev.Session, "media.withheld", body)
}

// retell says again what a client that lost frames may not know.
func (r *room) retell(l *leg) {
	l.unsure = false
	if l.dev.Dialect != "ws" {
		return
	}
	for _, b := range r.m.LayersOf(l.ms) {
		r.notes.tellJSON(l.dev.Session, "track.layers", b)
	}
	r.tellWithheld(l)
}
