package stream

import (
	"parley/internal/media/graph"
	"parley/internal/media/payload"
)

// pictureIDs are a packet's picture counters as they were sent. They must run
// on when a projection goes over to another source or layer: decoders take a
// step back for an old picture and drop it.
type pictureIDs struct {
	codec    payload.Codec
	hasIDs   bool
	hasFrame bool
	pic      uint16
	frame    uint16
	tl0      uint8
	key      uint8
}

// read takes the counters of a source's packet, without offsets.
func (x *pictureIDs) read(p *graph.Packet, s *Source) {
	*x = pictureIDs{}
	if s.Info == nil {
		return
	}
	var d payload.Picture
	x.codec = s.codec(p.Hdr.PayloadType)
	if payload.ParsePicture(x.codec, p.Payload(), &d) {
		x.hasIDs, x.pic, x.tl0 = true, d.ID, d.TL0PICIDX
		x.key = d.KEYIDX
	}
	x.frame, x.hasFrame = s.frameNumber(p)
}

// align chooses a new segment's offsets so that its first packet follows x.
func (x *pictureIDs) align(in *graph.Packet, g *segment) {
	var y pictureIDs
	y.read(in, g.src)
	if g.pic, g.tl0, g.keyidx, g.frames = 0, 0, 0, 0; x.codec != y.codec {
		return
	}
	if x.hasIDs && y.hasIDs {
		g.pic, g.tl0, g.keyidx = x.pic+1-y.pic, x.tl0+1-y.tl0, x.key+1-y.key
	}
	if x.hasFrame && y.hasFrame {
		g.frames = x.frame + 1 - y.frame
	}
}

// note keeps the counters of the last packet sent, while it can be found.
func (p *Projection) note() {
	if p.layer < 0 {
		return
	}
	for num := p.next - 1; num >= p.next-noteBack; num-- { // the very last may be lost
		g := byOut(p.segs, num)
		if g == nil || g.src.Info == nil {
			return
		}
		last := g.recall(num)
		if last == nil || empty(last) {
			continue
		}
		_, pic, _ := g.number(last.ExtSeq)
		p.ids.read(last, g.src)
		p.ids.pic, p.ids.tl0, p.ids.key = p.ids.pic+pic, p.ids.tl0+g.tl0, p.ids.key+g.keyidx
		if p.climb.exact { // frames left out have numbers, too
			p.ids.frame = p.climb.top
		}
		p.ids.frame += g.frames
		return
	}
}

// noteBack is how many numbers it may be back.
const noteBack = 8

// stop ends what is being forwarded by somebody's wish; the next packet begins a
// new segment.
func (p *Projection) stop() {
	p.cut()
	p.Tally.Rest()
}

// cut ends it against all wishes: the receiver's picture stands meanwhile.
func (p *Projection) cut() {
	p.note()
	p.layer = -1
}
