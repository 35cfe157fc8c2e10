package topology

import (
	"slices"

	"parley/internal/media/graph"
	"parley/internal/media/stream"
)

// wiring knows which projections of which leg take which source, for recipes
// that forward. The packet path reads slices only; the rest is rare.
type wiring struct {
	legs    []*wiredLeg
	byLeg   map[*stream.Egress]*wiredLeg
	sources []*wiredSource
	index   []*wiredSource // by TrackID
	free    []int
	count   int
}

type wiredSource struct {
	src *stream.Source
	at  int // dense position in every leg's table
}

type wiredLeg struct {
	egress *stream.Egress
	all    []*stream.Projection
	takes  [][]*stream.Projection // by source position
}

func newWiring() wiring { return wiring{byLeg: map[*stream.Egress]*wiredLeg{}} }

// AddSource implements [Recipe].
func (w *wiring) AddSource(src *stream.Source) {
	x := &wiredSource{src: src, at: w.count}
	if n := len(w.free); n > 0 {
		x.at, w.free = w.free[n-1], w.free[:n-1]
	} else {
		w.count++
	}
	w.sources = append(w.sources, x)
	for int(src.ID) >= len(w.index) {
		w.index = append(w.index, nil)
	}
	w.index[src.ID] = x
}

// RemoveSource implements [Recipe].
func (w *wiring) RemoveSource(src *stream.Source) {
	i := slices.IndexFunc(w.sources, func(x *wiredSource) bool { return x.src == src })
	if i < 0 {
		return
	}
	x := w.sources[i]
	w.sources = slices.Delete(w.sources, i, i+1)
	if w.index[src.ID] == x {
		w.index[src.ID] = nil
	}
	w.free = append(w.free, x.at)
	for _, l := range w.legs {
		if x.at < len(l.takes) {
			l.takes[x.at] = nil
		}
	}
}

// Connect implements [Recipe]. A slot that still shows its old source stays
// connected to that one, too; the projection tells them apart.
func (w *wiring) Connect(e *stream.Egress, p *stream.Projection) {
	l := w.byLeg[e]
	if l == nil {
		l = &wiredLeg{egress: e}
		w.byLeg[e] = l
		w.legs = append(w.legs, l)
	}
	if !slices.Contains(l.all, p) {
		l.all = append(l.all, p)
	}
	l.rebuild(w)
}

// Disconnect implements [Recipe].
func (w *wiring) Disconnect(e *stream.Egress, p *stream.Projection) {
	l := w.byLeg[e]
	if l == nil {
		return
	}
	l.all = slices.DeleteFunc(l.all, func(q *stream.Projection) bool { return q == p })
	if l.rebuild(w); len(l.all) == 0 {
		delete(w.byLeg, e)
		w.legs = slices.DeleteFunc(w.legs, func(x *wiredLeg) bool { return x == l })
	}
}

// find returns a leg by number.
func (w *wiring) find(leg graph.LegID) *wiredLeg {
	for _, l := range w.legs {
		if l.egress.Leg == leg {
			return l
		}
	}
	return nil
}

// rebuild fills the leg's table; rare, so clarity over speed.
func (l *wiredLeg) rebuild(w *wiring) {
	l.takes = make([][]*stream.Projection, w.count)
	for _, x := range w.sources {
		for _, p := range l.all {
			if p.Takes(x.src) {
				l.takes[x.at] = append(l.takes[x.at], p)
			}
		}
	}
}

// of returns the source of a packet, nil if it is not wired.
func (w *wiring) of(p *graph.Packet) *wiredSource {
	if int(p.Track) < len(w.index) {
		return w.index[p.Track]
	}
	return nil
}
