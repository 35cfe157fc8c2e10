package plain

import (
	"net/netip"
	"time"

	"parley/internal/base/clock"
)

// Latch says who may become a session's peer beside the described address (rule
// A6). Without keys nothing tells a phone from a stranger who sends what a phone
// would, so that another host is let in only for a reason; one whose packets
// authenticate is let in by all but [LatchHost].
type Latch uint8

const (
	// LatchHost hears the described host alone and sends to the described port.
	LatchHost Latch = iota
	// LatchPort follows the described host to another of its ports.
	LatchPort
	// LatchNAT is LatchPort, and follows to a public address when the described one
	// is private: it cannot be reached from where we are, so that the peer is behind
	// a translator if it is anywhere.
	LatchNAT
	// LatchAny follows to any host.
	LatchAny
)

const (
	// Who is not at the described address becomes the peer only after this many
	// packets in a row, over at least this long (rule A6): one who sprays ports
	// with a burst gets nothing, and several who spray at a time hinder each
	// other. A phone behind NAT is heard a fifth of a second late, once.
	strangerPackets = 10
	strangerTime    = 200 * time.Millisecond
	// maxStep is how far a sequence number may go in one step of a probation; a
	// little loss must not start it over.
	maxStep = 8
)

// Path is where a session's RTP comes from and goes to. The address of the
// description is first; packets from elsewhere may move the session there once,
// as [Latch] allows, and only those that look (or, with SRTP, are) right. From then on
// other addresses are neither heard nor sent to; only the described address
// may still take its place back, since a learnt one is a guess and it is not.
type Path struct {
	described netip.AddrPort
	latch     Latch
	from      netip.AddrPort // locked source; invalid: none yet
	to        netip.AddrPort
	rtcpTo    netip.AddrPort // invalid: next to to
	askedRTCP netip.AddrPort // of the description
	mux       bool

	candidate netip.AddrPort
	count     int
	since     clock.Time
	seq       uint16
	ssrc      uint32
}

// NewPath starts at the described addresses. rtcp zero: the port above.
func NewPath(rtp, rtcp netip.AddrPort, mux bool, latch Latch) Path {
	p := Path{latch: latch, mux: mux}
	p.Retarget(rtp, rtcp)
	return p
}

// Retarget takes the addresses of a new description. What was learnt is
// forgotten when they changed.
func (p *Path) Retarget(rtp, rtcp netip.AddrPort) {
	if !p.mux && !rtcp.IsValid() && usable(rtp) {
		rtcp = above(rtp)
	}
	asked := p.askedRTCP
	p.askedRTCP = rtcp
	if rtp == p.described && p.from.IsValid() {
		if rtcp != asked && p.to.Addr() == rtp.Addr() {
			p.rtcpTo = rtcp
		}
		return
	}
	p.described, p.to, p.rtcpTo = rtp, rtp, rtcp
	p.from, p.candidate, p.count = netip.AddrPort{}, netip.AddrPort{}, 0
}

func usable(a netip.AddrPort) bool {
	return a.IsValid() && !a.Addr().IsUnspecified() && a.Port() != 0
}

func above(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr(), a.Port()+1)
}

// Heard judges the source of one valid RTP packet and reports whether it is
// the peer's. sure means that the packet was authenticated.
func (p *Path) Heard(now clock.Time, from netip.AddrPort, ssrc uint32, seq uint16, sure bool) bool {
	switch {
	case from == p.from:
		return true
	case from == p.described:
		p.lock(from)
		return true
	case p.from.IsValid():
		return false
	}
	if !p.may(from.Addr(), sure) {
		return false
	}
	if !sure && !p.probation(now, from, ssrc, seq) {
		return false
	}
	p.lock(from)
	return true
}

// may reports whether a host can become the peer.
func (p *Path) may(host netip.Addr, sure bool) bool {
	switch {
	case host == p.described.Addr() || p.latch == LatchAny:
		return true
	case p.latch == LatchHost:
		return false
	}
	return sure || p.latch == LatchNAT && Inner(p.described.Addr()) && host.IsGlobalUnicast() && !Inner(host)
}

// shared is for the far side of carriers' translators (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// Inner reports whether an address is reached only from networks near it.
func Inner(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsLoopback() || shared.Contains(a)
}

// probation counts packets of one stream from one address.
func (p *Path) probation(now clock.Time, from netip.AddrPort, ssrc uint32, seq uint16) bool {
	step := seq - p.seq
	if from != p.candidate || ssrc != p.ssrc || step == 0 || step > maxStep {
		p.candidate, p.ssrc, p.count, p.since = from, ssrc, 0, now
	}
	p.seq = seq
	p.count++
	return p.count >= strangerPackets && now.Sub(p.since) >= strangerTime
}

// lock is the only place that decides on a source.
func (p *Path) lock(from netip.AddrPort) {
	p.from = from
	was := p.to
	if p.latch != LatchHost || from == p.described {
		p.to = from
	}
	if p.to.Addr() != was.Addr() && !p.mux {
		p.rtcpTo = above(p.to) // until RTCP of its own says better
	}
	p.candidate, p.count = netip.AddrPort{}, 0
}

// HeardRTCP judges the source of one RTCP compound: RTCP follows RTP, never
// the other way round.
func (p *Path) HeardRTCP(from netip.AddrPort, sure bool) bool {
	if p.mux {
		return from == p.from || from == p.described
	}
	host := p.described.Addr()
	if p.from.IsValid() {
		host = p.from.Addr()
	}
	if from == p.rtcpTo {
		return true
	}
	if from.Addr() != host && !(sure && p.latch != LatchHost && !p.from.IsValid()) {
		return false
	}
	if p.latch != LatchHost && p.from.IsValid() && from.Addr() == p.from.Addr() {
		p.rtcpTo = from
	}
	return true
}

// Targets returns where RTP goes: the peer, and beside it the described port of
// the same host when the peer was heard from another of its ports. Such a peer
// is as likely two programs, one sending and one receiving, as a phone behind
// a translator; nobody else is told anything by serving both.
func (p *Path) Targets() (to, also netip.AddrPort) {
	if !usable(p.to) {
		return netip.AddrPort{}, netip.AddrPort{}
	}
	if p.to != p.described && usable(p.described) && p.to.Addr() == p.described.Addr() {
		return p.to, p.described
	}
	return p.to, netip.AddrPort{}
}

// RTCPTarget returns where RTCP goes; invalid: nowhere.
func (p *Path) RTCPTarget() netip.AddrPort {
	to := p.rtcpTo
	if p.mux {
		to = p.to
	}
	if !usable(to) {
		return netip.AddrPort{}
	}
	return to
}

// Locked returns the source that is heard, invalid before the first packet.
func (p *Path) Locked() netip.AddrPort { return p.from }
