package stream

import (
	"encoding/binary"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/fec"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
)

// Pictures are sent with parity (FlexFEC-03) to receivers that can use it where a
// path loses and is so long that an answer to a NACK comes late: see farAway. One
// of parityShare packets is parity, of as many packets before it, and columns of
// packets are protected by turns, so that a burst takes one of each.
const (
	parityColumns = 8
	// parityTime is what the packets that are protected together may take: parity
	// that comes later than a retransmission is no use.
	parityTime = 200 * time.Millisecond
	// parityMost is the longest packet that is protected, so that its parity is
	// within 1232 octets of UDP (Q15), the authentication tag included.
	parityMost = udpMost - sealed - parityHead - 24 + 12
	// parityHead is the RTP header of parity: the transport-wide number is all that
	// it has beside.
	parityHead = 12 + 8
)

// parityShare is how many packets share one of parity, by how much is lost.
var parityShare = [maxRepeats]int{9, 5, 4}

// parity is what protects the pictures of one projection.
type parity struct {
	cols  [parityColumns]fec.Encoder
	next  int // column of the next packet
	width int // columns in use
	ssrc  uint32
	seq   uint16
	every time.Duration // between packets, smoothed
	last  clock.Time
}

// Parity returns the SSRC of a projection's parity packets, 0 if there are none.
func (p *Projection) Parity() uint32 {
	if p.sect == nil || p.Passing {
		return 0
	}
	return p.sect.FECSSRC
}

// Protected reports whether parity was sent.
func (p *Projection) Protected() bool { return p.parity != nil && p.Parity() != 0 }

// NoParity ends parity until the section is negotiated anew.
func (p *Projection) NoParity() {
	if p.sect != nil {
		s := *p.sect
		s.FEC, s.FECSSRC = 0, 0
		p.sect = &s
	}
}

// protects reports whether parity is worth its rate.
func (p *Projection) protects(now clock.Time) bool {
	return p.sect.FEC != 0 && !p.Passing && p.leg.cong != nil && p.leg.least >= farAway && p.leg.red.lossy(now) && !p.leg.Crowded()
}

// protect notes a media packet that was written, in two parts, and sends parity
// when enough have come together.
func (p *Projection) protect(now clock.Time, seq uint16, head, rest []byte, ts uint32, out *graph.Batch) {
	x := p.parity
	switch {
	case !p.protects(now):
		if x != nil {
			x.last = 0
		}
		return
	case len(head)+len(rest) > parityMost:
		return
	case x == nil:
		x = &parity{seq: uint16(p.leg.Env.Random32())}
		p.parity = x
	}
	if x.last == 0 || x.ssrc != p.SSRC {
		x.begin(p.SSRC)
	}
	if x.last != 0 {
		x.every += (min(now.Sub(x.last), parityTime) - x.every) / 16
	}
	x.last = now
	share := p.leg.red.share(now)
	x.width = min(max(1, int(parityTime/max(x.every, time.Millisecond))/share), parityColumns)
	c := &x.cols[x.next%x.width]
	x.next++
	m := fec.Mutable{TransportCC: p.sect.Exts[plane.ExtTransportCC], AbsSendTime: p.sect.Exts[plane.ExtAbsSendTime]}
	if !c.Add(seq, head, rest, &m) { // too far from the others, or a late one
		p.sendParity(now, c, ts, out)
		c.Add(seq, head, rest, &m)
	}
	if c.Count() >= share {
		p.sendParity(now, c, ts, out)
	}
}

// begin forgets what was protected.
func (x *parity) begin(ssrc uint32) {
	x.ssrc, x.next, x.every = ssrc, 0, 10*time.Millisecond
	for i := range x.cols {
		x.cols[i].Begin(ssrc)
	}
}

// share returns how many packets share one of parity.
func (r *redundancy) share(now clock.Time) int { return parityShare[max(1, r.depth(now))-1] }

// sendParity sends what a column has and begins it anew.
func (p *Projection) sendParity(now clock.Time, c *fec.Encoder, ts uint32, out *graph.Batch) {
	defer c.Begin(p.SSRC)
	e := p.leg
	if c.Count() == 0 {
		return
	}
	off, b := out.Grow(rtp.MaxHeader + c.Len())
	f := rtp.Fields{PayloadType: p.sect.FEC, Seq: p.parity.seq, TS: ts, SSRC: p.sect.FECSSRC}
	p.parity.seq++
	var w rtp.Writer
	id := p.sect.Exts[plane.ExtTransportCC]
	w.Begin(b, &f, id > 14)
	tw := false
	if s := w.Space(id, 2); id != 0 && s != nil {
		binary.BigEndian.PutUint16(s, e.twSeq)
		tw = true
	}
	n := w.End()
	n += c.Put(b[n:])
	out.Shrink(off, n)
	out.RTP(e.Leg, off, n, nil, 0, 0)
	e.Packets++
	e.Octets += uint64(n)
	e.FEC++
	e.cong.repairs.octets += uint64(n)
	e.sent(now, p, f.SSRC, f.Seq, n, tw)
}
