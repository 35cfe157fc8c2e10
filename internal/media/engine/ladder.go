package engine

import (
	"cmp"
	"slices"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/alloc"
	layers "parley/internal/media/layer"
	"parley/internal/media/stream"
)

// ladder is a track's operating points as the allocator sees them, made once for
// all legs.
type ladder struct {
	at    clock.Time
	rungs []alloc.Rung
	prev  []alloc.Rung                                     // before
	found []stream.Rung                                    // scratch
	size  [stream.MaxLayers]struct{ width, height uint16 } // last known, of each encoding
	begun [stream.MaxLayers][layers.MaxSpatial]clock.Time  // when each began, 0: it is not there
}

// sameLook is how old a ladder may be: legs look at the same instant or in one
// burst of feedback.
const sameLook = 50 * time.Millisecond

// swellOver is how fast a measured rate that grows is believed: a key frame swells
// it for about a second, and is no reason to step down, which would cost two more.
const swellOver = 2 * time.Second

// fresh is how long a layer that has just begun is taken to cost at least what
// browsers give such a picture: what is measured of it starts from nothing, and its
// encoder may start from little. The lowest layer, which everybody gets, is not.
const fresh = 2 * time.Second

// rungs returns the track's ladder.
func (t *track) rungs(now clock.Time) []alloc.Rung {
	y := &t.ladder
	if y.at != 0 && now.Sub(y.at) < sameLook {
		return y.rungs
	}
	since := min(now.Sub(y.at), swellOver)
	y.at = now
	y.rungs, y.prev = y.prev[:0], y.rungs
	y.found = t.src.Rungs(now, y.found[:0])
	y.note(now)
	for i := range y.found {
		r := &y.found[i]
		n := alloc.Rung{Level: level(r.Quality), Rate: r.Rate, Width: r.Width, Height: r.Height, FPS: r.FPS, Part: int16(r.Encoding)<<8 | int16(r.Spatial)}
		if n.Rate == 0 {
			n.Rate = t.guess(r)
		} else if least := t.least(now, r); least > 0 {
			n.Rate = least
		} else if was := y.before(n.Level); was > n.Rate {
			n.Rate = (2*was + n.Rate) / 3
		} else if was != 0 {
			n.Rate = was + (n.Rate-was)*uint64(since/time.Millisecond)/uint64(swellOver/time.Millisecond)
		}
		if k := r.Encoding; k >= 0 && int(k) < len(y.size) {
			y.size[k].width, y.size[k].height = max(r.Width, 1), r.Height
		}
		y.rungs = append(y.rungs, n)
	}
	slices.SortStableFunc(y.rungs, func(a, b alloc.Rung) int { return cmp.Compare(a.Rate, b.Rate) })
	alloc.Weigh(y.rungs)
	return y.rungs
}

// note keeps when the layers that are there began.
func (y *ladder) note(now clock.Time) {
	var there [stream.MaxLayers][layers.MaxSpatial]bool
	for i := range y.found {
		r := &y.found[i]
		there[r.Encoding][r.Spatial] = true
	}
	for k := range y.begun {
		for s := range y.begun[k] {
			switch at := &y.begun[k][s]; {
			case !there[k][s]:
				*at = 0
			case *at == 0:
				*at = now
			}
		}
	}
}

// least is what a rung of a layer that has just begun is taken to cost, 0 if that
// is not more than what is measured of it.
func (t *track) least(now clock.Time, r *stream.Rung) uint64 {
	y := &t.ladder
	if (r.Encoding <= 0 && r.Spatial <= 0) || now.Sub(y.begun[r.Encoding][r.Spatial]) >= fresh {
		return 0
	}
	top := r.Rate
	for i := range y.found {
		if o := &y.found[i]; o.Encoding == r.Encoding && o.Spatial == r.Spatial {
			top = max(top, o.Rate)
		}
	}
	if g := t.guess(r); g > top {
		return g * r.Rate / top
	}
	return 0
}

// before is the rate of a level when the ladder was made last, 0 if it was not in it.
func (y *ladder) before(level int32) uint64 {
	for i := range y.prev {
		if y.prev[i].Level == level {
			return y.prev[i].Rate
		}
	}
	return 0
}

// guess stands in for a rate that has not been measured yet: what browsers give
// a picture of that size.
func (t *track) guess(r *stream.Rung) uint64 {
	switch {
	case !t.src.Video():
		return 40_000
	case r.Width != 0 && r.Height != 0:
		return 50_000 + 2*uint64(r.Width)*uint64(r.Height)
	case r.Width != 0:
		return 50_000 + uint64(r.Width)*uint64(r.Width)
	}
	return 150_000 << (2 * max(0, r.Encoding))
}

// level packs a quality into a number, and qualityOf unpacks it.
func level(q stream.Quality) int32 {
	return int32(q.Encoding)<<16 | int32(uint8(q.Spatial))<<8 | int32(uint8(q.Temporal))
}

func qualityOf(l int32) stream.Quality {
	return stream.Quality{Encoding: int8(l >> 16), Spatial: int8(l >> 8), Temporal: int8(l)}
}
