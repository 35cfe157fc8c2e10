package stream

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/bwe"
	"parley/internal/media/graph"
	"parley/internal/media/rewrite"
	"parley/internal/media/rtp"
)

const (
	probeLeast = 200 // bytes of a packet of a probe, and
	probeMost  = 1000
	probeTurn  = 32 // packets in one instant
	probeEmpty = 5 * time.Millisecond
	probeBack  = 64  // packets looked back for one that fits
	padMost    = 255 // what a padding can tell of itself (RFC 3550, section 5.1)
	paddingBit = 0x20
)

// probe sends what a probe asks for: media that wait, else packets again that
// were sent, else padding. It returns when more is due, zero if no probe is on.
func (e *Egress) probe(now clock.Time, out *graph.Batch) clock.Time {
	c := e.cong
	for range probeTurn {
		pr, ok := c.cc.WantProbe(now)
		c.probing = ok
		if !ok {
			return 0
		}
		due, next := c.pace.Probe(now, pr)
		if due <= 0 {
			return next
		}
		c.cluster, c.size = pr.Cluster, 0
		e.probeOnce(now, pr, out)
		c.cluster = 0
		if c.size == 0 { // wait for media
			return now.Add(probeEmpty)
		}
		c.pace.ProbeSent(c.size)
	}
	return now.Add(time.Millisecond)
}

func (e *Egress) probeOnce(now clock.Time, pr bwe.Probe, out *graph.Batch) {
	c := e.cong
	for c.queue.n > 0 {
		if e.depart(now, c.queue.pop(), out) {
			return
		}
	}
	p := e.fullest()
	if p == nil {
		return
	}
	each := min(max(pr.Bytes/max(pr.Packets, 1), probeLeast), probeMost)
	if !p.repeatOne(now, each, out) {
		p.pad(now, min(each, padMost), out)
	}
}

// fullest returns the stream of pictures with the largest share that has a
// stream for retransmissions: one of which nothing was sent yet, if there is no
// other, since what was left out for want of room must be able to look for it.
func (e *Egress) fullest() (most *Projection) {
	sent := uint32(0)
	for _, p := range e.Sends {
		if p.RTXSSRC == 0 || p.Passing || !p.Awake() || p.sect == nil || p.src == nil || p.src.Info == nil || !p.src.Video() {
			continue
		}
		n := p.Octets
		if g := p.pacing.guard; g != nil {
			n -= g.octets
		}
		if most == nil || n > sent {
			most, sent = p, n
		}
	}
	return most
}

// repeatOne sends the next of the last packets again that is about as long as
// asked for.
func (p *Projection) repeatOne(now clock.Time, size int, out *graph.Batch) bool {
	c := p.leg.cong
	for range probeBack {
		c.back++
		num := p.next - 1 - c.back%probeBack
		g, in := p.recall(num)
		if in == nil || num < p.pacing.floor {
			continue
		}
		if n := in.Buf.N; n < size/2 || n > size+size/2 {
			continue
		}
		_, rtx, codec, ok := p.table(g.src).PT(in.Hdr.PayloadType)
		if !ok || rtx == 0 {
			continue
		}
		f := rtp.Fields{Marker: g.marker(in), PayloadType: rtx, Seq: p.rtxSeq, TS: in.Hdr.TS + g.ts, SSRC: p.RTXSSRC}
		p.rtxSeq++
		p.write(now, in, g, &f, codec, int(uint16(num)), out)
		return true
	}
	return false
}

// pad sends a packet of nothing but padding on the stream of retransmissions:
// there its number means nothing to who plays the media, and an empty payload is
// none to be unpacked.
func (p *Projection) pad(now clock.Time, size int, out *graph.Batch) {
	rtx := p.rtxType()
	if rtx == 0 {
		return
	}
	e := p.leg
	var none graph.Packet
	f := rtp.Fields{PayloadType: rtx, Seq: p.rtxSeq, TS: p.lastTS, SSRC: p.RTXSSRC}
	hop := rewrite.Hop{TWSeq: e.twSeq, AbsSend: e.absSend(now), MID: p.sect.MID}
	p.rtxSeq++
	off, b := out.Grow(rtp.MaxHeader + padMost)
	n, tw := p.table(p.src).Header(b, &f, &hop, &none)
	b[0] |= paddingBit
	clear(b[n : n+size-1])
	b[n+size-1] = uint8(size)
	n += size
	out.Shrink(off, n)
	out.RTP(e.Leg, off, n, nil, 0, 0)
	e.Packets++
	e.Octets += uint64(n)
	e.sent(now, p, f.SSRC, f.Seq, n, tw)
}

// rtxType is a format of retransmissions the receiver knows, that of what was sent
// last where it is still at hand; 0 if it knows none.
func (p *Projection) rtxType() uint8 {
	if g, in := p.recall(p.next - 1); in != nil {
		if _, rtx, _, ok := p.table(g.src).PT(in.Hdr.PayloadType); ok {
			return rtx
		}
	}
	for i := range p.sect.Codecs {
		if rtx := p.sect.Codecs[i].RTX; rtx != 0 {
			return rtx
		}
	}
	return 0
}
