package engine

import (
	"parley/internal/media/graph"
	"parley/internal/media/plane"
)

// manyTracks bounds the work of Unfinished; where more tracks speak in one
// turn, the turn is long enough by itself.
const manyTracks = 8

// Unfinished implements [API].
func (e *Engine) Unfinished() (receivers int) {
	for _, c := range e.dirty {
		if e.splitsPicture(c.packets) {
			receivers += c.legs
		}
	}
	return receivers
}

// splitsPicture reports whether some track's last packet here is of a picture
// that goes on: every payload format of ours sets the marker on a picture's
// last packet.
func (e *Engine) splitsPicture(in []graph.Packet) bool {
	type key struct {
		track graph.TrackID
		layer uint8
	}
	var seen [manyTracks]key
	n := 0
next:
	for i := len(in) - 1; i >= 0; i-- {
		p := &in[i]
		k := key{p.Track, p.Layer}
		for _, s := range seen[:n] {
			if s == k {
				continue next
			}
		}
		if n == len(seen) {
			return false
		}
		seen[n] = k
		n++
		t := e.track(p.Track)
		if !p.Hdr.Marker && !p.Repaired && t != nil && t.leg != nil && t.cfg.Track.Kind == plane.Video {
			return true
		}
	}
	return false
}
