package rtcp

import (
	"encoding/binary"
	"slices"
)

// FmtCCFB is RTP congestion control feedback (RFC 8888, section 3.1), RTPFB.
const FmtCCFB = 11

// Arrival time offsets with a meaning of their own (RFC 8888, section 3.1).
const (
	ATOOverflow = 0x1ffe // arrived longer ago than can be told
	ATOUnknown  = 0x1fff // arrived, the time is not known
)

// Metric is what RFC 8888 feedback says of one packet.
type Metric struct {
	SSRC     uint32
	Seq      uint16
	Received bool
	ECN      uint8  // the two bits of the IP header as they arrived
	ATO      uint16 // arrival before CCFB.Time, in units of 1/1024 s
}

// CCFB walks congestion control feedback (RFC 8888, section 3.1).
type CCFB struct {
	Time uint32 // report timestamp, the middle 32 bits of an NTP time

	rest  []byte
	ssrc  uint32
	begin uint16
	n, i  int
}

// CCFB opens RFC 8888 feedback; false if p is none or is too short.
func (p *Packet) CCFB() (c CCFB, ok bool) {
	if p.Type != TypeRTPFB || p.Count != FmtCCFB || len(p.Body) < 8 {
		return c, false
	}
	end := len(p.Body) - 4
	return CCFB{Time: be32(p.Body[end:]), rest: p.Body[4:end]}, true
}

// Next reads the next metric; false at the end or where a length lies.
func (c *CCFB) Next(m *Metric) bool {
	for c.i == c.n {
		if len(c.rest) < 8 {
			return false
		}
		c.ssrc, c.begin = be32(c.rest), binary.BigEndian.Uint16(c.rest[4:])
		c.i, c.n = 0, int(binary.BigEndian.Uint16(c.rest[6:]))
		c.rest = c.rest[8:]
		if (2*c.n+3)&^3 > len(c.rest) {
			c.i, c.n, c.rest = 0, 0, nil
			return false
		}
	}
	w := binary.BigEndian.Uint16(c.rest[2*c.i:])
	*m = Metric{SSRC: c.ssrc, Seq: c.begin + uint16(c.i), Received: w>>15 == 1, ECN: uint8(w >> 13 & 3), ATO: w & 0x1fff}
	if c.i++; c.i == c.n {
		c.rest = c.rest[(2*c.n+3)&^3:]
		c.i, c.n = 0, 0
	}
	return true
}

// AppendCCFB appends RFC 8888 feedback; metrics of one source stand together
// with ascending numbers and no gap, at most 16384 a source.
func AppendCCFB(b []byte, sender, time uint32, metrics []Metric) []byte {
	at := len(b)
	b = put32(head(b, FmtCCFB, TypeRTPFB, 0), sender)
	for len(metrics) > 0 {
		first := metrics[0]
		n := slices.IndexFunc(metrics, func(m Metric) bool { return m.SSRC != first.SSRC })
		if n < 0 {
			n = len(metrics)
		}
		b = put32(b, first.SSRC)
		b = binary.BigEndian.AppendUint16(b, first.Seq)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
		for _, m := range metrics[:n] {
			w := uint16(0)
			if m.Received {
				w = 1<<15 | uint16(m.ECN&3)<<13 | m.ATO&0x1fff
			}
			b = binary.BigEndian.AppendUint16(b, w)
		}
		if n%2 == 1 {
			b = append(b, 0, 0)
		}
		metrics = metrics[n:]
	}
	b = put32(b, time)
	binary.BigEndian.PutUint16(b[at+2:], uint16((len(b)-at)/4-1))
	return b
}
