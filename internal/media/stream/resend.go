package stream

import (
	"parley/internal/base/clock"
	"parley/internal/base/seqnum"
	"parley/internal/media/graph"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
)

const (
	resendSlots = 128
	// A receiver may cause retransmissions of at most half its media, with a
	// reserve for a burst: more would feed the congestion that lost the packets
	// (reliability A24, D9).
	creditShare = 50
	firstCredit = 32 << 10
	maxCredit   = 64 << 10
)

type resend struct {
	out int64
	at  clock.Time
}

// Resend answers a NACK for one outgoing number from the history, as RFC 4588
// retransmission. Without an agreed RTX format nothing is resent: repeating a
// packet under its own number with another header would use an AEAD nonce twice.
func (p *Projection) Resend(now clock.Time, seq uint16, out *graph.Batch) {
	num := p.next + int64(seqnum.Diff(seq, uint16(p.next)))
	if p.mayResend(now, num) && p.resend(now, num, out) {
		r := &p.resends[num%resendSlots]
		p.leg.copyLater(now, p, num, r.out == num)
		*r = resend{out: num, at: now}
	}
}

// resend sends the packet of a number again, if it was sent, is still there, and
// the share of repairs is not spent.
func (p *Projection) resend(now clock.Time, num int64, out *graph.Batch) bool {
	if p.RTXSSRC == 0 || num < p.pacing.floor || num >= p.next {
		return false
	}
	g, in := p.recall(num)
	if in == nil || !g.covers(in) || in.Repaired && p.coming(now, in, num) {
		return false
	}
	_, rtx, codec, ok := p.table(g.src).PT(in.Hdr.PayloadType)
	size := int(in.Hdr.PayloadEnd - in.Hdr.PayloadOff)
	if !ok || rtx == 0 || size > p.credit {
		return false
	}
	p.credit -= size
	f := rtp.Fields{Marker: g.marker(in), PayloadType: rtx, Seq: p.rtxSeq, TS: in.Hdr.TS + g.ts, SSRC: p.RTXSSRC}
	p.rtxSeq++
	p.write(now, in, g, &f, codec, int(uint16(num)), out)
	p.leg.RTX++
	p.Tally.RTX++
	return true
}

// coming reports that a packet which came late has not left yet: it is of this
// turn, or waits for room behind those that passed it. A receiver has seen these
// and asks for it, and would have it twice (Q9).
func (p *Projection) coming(now clock.Time, in *graph.Packet, num int64) bool {
	if in.Arrival == now {
		return true
	}
	c := p.leg.cong
	return c != nil && c.queue.holds(p, num)
}

// mayResend refuses the same number twice within a round trip: the first answer
// is still on its way (PTP-6). That is so within the shortest one only: when the
// path's queues make it longer, who asks again may have waited for them.
func (p *Projection) mayResend(now clock.Time, num int64) bool {
	if p.resends == nil {
		p.resends = new([resendSlots]resend)
	}
	r := &p.resends[num%resendSlots]
	rtt := p.leg.least
	if rtt == 0 {
		rtt = DefaultRTT
	}
	return r.out != num || r.at == 0 || now.Sub(r.at) >= rtt
}

// SenderInfo makes the sender part of a report for now: our clock, the RTP time
// the source's line shows now, counts of this leg (rule C9). False before the
// first packet.
func (p *Projection) SenderInfo(now clock.Time) (s rtcp.SenderInfo, ok bool) {
	if len(p.segs) == 0 || p.Packets == 0 {
		return s, false
	}
	g := &p.segs[len(p.segs)-1]
	hz := g.src.Clock()
	s = rtcp.SenderInfo{NTP: p.leg.Env.Anchor.NTP(now), Packets: p.Packets, Octets: p.Octets}
	if l := &g.src.Layers[g.layer]; l.Ref.At != 0 && l.Gen == g.gen {
		s.RTP = l.Ref.TimeStamp(now, hz) + g.ts
	} else {
		s.RTP = p.lastTS + Ticks(now.Sub(p.lastAt), hz)
	}
	return s, true
}

// Rename gives the projection another SSRC after a collision (RFC 3550, section
// 8.2); its numbers start afresh.
func (p *Projection) Rename(ssrc uint32) {
	p.SSRC = ssrc
	p.acked, p.arrived, p.Packets, p.Octets = false, false, 0, 0
}
