package stream

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rewrite"
	"parley/internal/media/rtcp"
)

// Env is what projections need of their engine.
type Env struct {
	Anchor   clock.Anchor
	Random32 func() uint32
	Up       graph.Upstream
	// ReportSoon is told that a stream started or switched on a leg: its
	// receiver waits for an SR.
	ReportSoon func(now clock.Time, leg graph.LegID)
	// Free tells whether nobody on a leg has had an SSRC yet; nil: nobody has.
	Free func(leg graph.LegID, ssrc uint32) bool
	// Wake asks for the [Egress.Tick] of a leg at an instant; nil: nobody can.
	Wake func(leg graph.LegID, at clock.Time)
}

// DefaultRTT is assumed until a leg has told one.
const DefaultRTT = 100 * time.Millisecond

// Egress is the send side of one leg: what all its projections share.
type Egress struct {
	Leg   graph.LegID
	Env   *Env
	Ready bool // keys exist: packets may leave
	// Passes tells that others' RTCP crosses to the leg: what bounds its streams
	// is for their senders to heed.
	Passes bool
	Sends  []*Projection

	RTT          time.Duration // 0 until measured
	FractionLost float64
	Packets      uint64
	Octets       uint64 // RTP packets as a whole
	FEC          uint64 // parity packets sent
	NACKs, RTX   uint64 // sequence numbers asked for; packets resent
	PLIs         uint64
	REMB         uint64

	foreign map[uint32]*foreign // by SSRC
	red     redundancy
	cong    *congestion   // nil: no receiver tells what arrives
	least   time.Duration // of RTT in a while
	trips   clock.Time    // when the first circuit breaker closes

	twSeq uint16
	absAt clock.Time
	abs   uint32
}

// Roundtrip returns the measured or the assumed round trip time.
func (e *Egress) Roundtrip() time.Duration {
	if e.RTT == 0 {
		return DefaultRTT
	}
	return e.RTT
}

// absSend returns the abs-send-time of now, computed once per instant.
func (e *Egress) absSend(now clock.Time) uint32 {
	if now != e.absAt {
		e.absAt, e.abs = now, rewrite.AbsSendTime(e.Env.Anchor.NTP(now))
	}
	return e.abs
}

// Find returns the projection with this SSRC.
func (e *Egress) Find(ssrc uint32) *Projection {
	for _, p := range e.Sends {
		if p.SSRC == ssrc && !p.Passing {
			return p
		}
	}
	return nil
}

// Uses reports whether the leg sends with this SSRC.
func (e *Egress) Uses(ssrc uint32) bool {
	for _, p := range e.Sends {
		if !p.Passing && (p.SSRC == ssrc || p.RTXSSRC == ssrc || ssrc != 0 && p.Parity() == ssrc) {
			return true
		}
	}
	return false
}

// Add makes a projection. It is idle until Attach.
func (e *Egress) Add(ssrc, rtx uint32) *Projection {
	p := &Projection{SSRC: ssrc, RTXSSRC: rtx, leg: e, layer: -1, target: -1}
	e.Sends = append(e.Sends, p)
	return p
}

// Remove takes a projection off.
func (e *Egress) Remove(p *Projection) {
	for i, q := range e.Sends {
		if q == p {
			e.Sends = append(e.Sends[:i], e.Sends[i+1:]...)
			p.segs = nil
			return
		}
	}
}

// HandleFeedback takes a receiver's compound: what is about our streams is
// acted on, the rest is others' business.
func (e *Egress) HandleFeedback(now clock.Time, compound []byte, out *graph.Batch) {
	var p rtcp.Packet
	for it := rtcp.Parse(compound); it.Next(&p); {
		switch {
		case p.Type == rtcp.TypeSR || p.Type == rtcp.TypeRR:
			for i := range p.Blocks() {
				e.handleBlock(now, p.Block(i))
			}
		case p.Type == rtcp.TypeRTPFB && p.Count == rtcp.FmtNACK:
			e.handleNACK(now, &p, out)
		case p.Type == rtcp.TypeRTPFB:
			e.handleCongestion(now, &p, out)
		case p.Type == rtcp.TypePSFB && p.Count == rtcp.FmtPLI:
			if m, ok := p.Media(); ok {
				e.wantKeyframe(now, m)
			}
		case p.Type == rtcp.TypePSFB && p.Count == rtcp.FmtFIR:
			for i := range p.FIRs() {
				m, _ := p.FIR(i)
				e.wantKeyframe(now, m)
			}
		case p.Type == rtcp.TypePSFB && p.Count == rtcp.FmtAFB:
			if v, ok := p.REMB(); ok {
				e.handleREMB(now, v)
			}
		}
	}
}

func (e *Egress) wantKeyframe(now clock.Time, ssrc uint32) {
	if p := e.Find(ssrc); p != nil {
		e.PLIs++
		p.Tally.PLIs++
		p.RequestKeyframe(now)
	}
}

func (e *Egress) handleNACK(now clock.Time, p *rtcp.Packet, out *graph.Batch) {
	m, ok := p.Media()
	if !ok || !e.Ready {
		return
	}
	pr := e.Find(m)
	if pr == nil {
		return
	}
	for i := range p.NACKs() {
		pid, blp := p.NACK(i)
		e.NACKs++
		pr.Tally.NACKs++
		e.repair(now, pr, pid, out)
		for b := range 16 {
			if blp&(1<<b) != 0 {
				e.NACKs++
				pr.Tally.NACKs++
				e.repair(now, pr, pid+1+uint16(b), out)
			}
		}
	}
}

// maxRTT bounds what a report may claim.
const maxRTT = 5 * time.Second

func (e *Egress) handleBlock(now clock.Time, b rtcp.Block) {
	pr := e.Find(b.SSRC)
	if pr == nil {
		return
	}
	pr.acked = true
	pr.FractionLost = float64(b.Fraction) / 256
	pr.Tally.report(&b)
	e.FractionLost = 0
	for _, q := range e.Sends {
		e.FractionLost = max(e.FractionLost, q.FractionLost)
	}
	e.red.heard(now, pr.FractionLost, e.cong != nil && e.cong.cc.Filled(now, lossSpan))
	if e.cong != nil {
		e.cong.cc.OnLoss(now, e.FractionLost)
	}
	e.judge(now, pr, b)
	if b.LSR == 0 {
		return
	}
	// RFC 3550, section 6.4.1: A - LSR - DLSR in units of 1/65536 s.
	d := int32(uint32(e.Env.Anchor.NTP(now)>>16) - b.LSR - b.DLSR)
	rtt := time.Duration(d) * time.Second / 65536
	if rtt < 0 || rtt > maxRTT {
		return
	}
	rtt = max(rtt, time.Millisecond)
	if e.RTT == 0 {
		e.RTT = rtt
	} else {
		e.RTT += (rtt - e.RTT) / 4
	}
	if e.least == 0 || rtt < e.least {
		e.least = rtt
	} else {
		e.least += (rtt - e.least) / 16
	}
	if e.cong != nil {
		e.cong.cc.OnRTT(e.RTT)
	}
}

// Section is the negotiated section a projection is sent on.
type Section struct {
	MID    string
	Exts   plane.ExtIDs
	Codecs []plane.Codec
	// FEC is the payload type of FlexFEC-03 parity, FECSSRC its SSRC; 0: none.
	FEC     uint8
	FECSSRC uint32
}
