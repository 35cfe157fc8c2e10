package stream

import "parley/internal/base/clock"

// Quality is an operating point of a source: a simulcast encoding and, in it,
// the highest spatial and temporal layer that is forwarded (RFC 9626 calls it
// the target layer). Encodings and layers count from 0, the lowest.
type Quality struct {
	Encoding, Spatial, Temporal int8
}

// Nothing is the quality of a picture that is not sent.
var Nothing = Quality{-1, -1, -1}

// Rung is a quality with what it costs and what it shows.
type Rung struct {
	Quality
	Rate          uint64 // bit/s of RTP packets, measured over about a second
	Width, Height uint16 // pixels; 0: not known
	FPS           uint8  // 0: not known
}

// Aim tells what the allocator has room for; the projection goes there at the
// next place where a decoder can follow, down at once where it can. Nothing
// stops the picture without a word to the receiver. Until the first Aim the
// projection chooses by its width alone.
func (p *Projection) Aim(now clock.Time, q Quality) {
	if p.aimed && p.aim == q {
		return
	}
	was := p.aim
	p.aim, p.aimed = q, true
	if q == Nothing {
		p.abandon()
		p.stop()
		p.target = -1 // a key frame that was asked for before may still come
		return
	}
	if was == Nothing {
		p.seek(now)
		return
	}
	p.climb.want = p.wish()
	p.Review(now)
}

// Showing returns what is being forwarded, Nothing if nothing is.
func (p *Projection) Showing() Quality {
	if p.layer < 0 {
		return Nothing
	}
	return Quality{Encoding: p.layer, Spatial: p.climb.shown.s, Temporal: p.climb.shown.t}
}

// pick is the encoding wanted now: the one aimed at, or the highest live one
// below it; without an aim what fits the width. -1: none.
func (p *Projection) pick(now clock.Time) int {
	if !p.aimed {
		return p.src.Pick(now, p.Width)
	}
	for i := int(p.aim.Encoding); i >= 0; i-- {
		if p.src.Live(now, i) {
			return i
		}
	}
	return -1
}
