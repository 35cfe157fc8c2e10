// Package rtcp reads and writes RTCP compounds in place (RFC 3550, section 6;
// RFC 4585; RFC 5104). Readers never allocate and never trust a length; writers
// append to a slice of the caller. No state, no threading: pure functions.
package rtcp

import "encoding/binary"

// Packet types (RFC 3550, section 12.1; RFC 4585, section 6.1; RFC 3611).
const (
	TypeSR    = 200
	TypeRR    = 201
	TypeSDES  = 202
	TypeBYE   = 203
	TypeAPP   = 204
	TypeRTPFB = 205
	TypePSFB  = 206
	TypeXR    = 207
)

// Feedback message types of RTPFB and PSFB.
const (
	FmtNACK  = 1  // RTPFB, RFC 4585, section 6.2.1
	FmtTMMBR = 3  // RTPFB, RFC 5104, section 4.2.1
	FmtTMMBN = 4  // RTPFB, RFC 5104, section 4.2.2
	FmtTWCC  = 15 // RTPFB, draft-holmer-rmcat-transport-wide-cc-extensions-01
	FmtPLI   = 1  // PSFB, RFC 4585, section 6.3.1
	FmtFIR   = 4  // PSFB, RFC 5104, section 4.3.1
	FmtAFB   = 15 // PSFB, application layer; REMB lives here
)

// SDES items (RFC 3550, section 6.5; RFC 8843; RFC 8852).
const SDESCNAME = 1

// MaxBlocks is the most report blocks one SR or RR can hold.
const MaxBlocks = 31

// Packet is one element of a compound; Body follows the 4-byte header and
// excludes padding.
type Packet struct {
	Type  uint8
	Count uint8 // report count, source count or feedback message type
	Body  []byte
}

// Iter walks a compound.
type Iter struct {
	rest []byte
	bad  bool
}

// Parse returns an iterator over a compound.
func Parse(compound []byte) Iter { return Iter{rest: compound} }

// Next reads the next packet; types unknown to the caller are simply returned.
// A lying length or a wrong version ends the walk and sets Bad.
func (it *Iter) Next(p *Packet) bool {
	b := it.rest
	if len(b) == 0 || it.bad {
		return false
	}
	if len(b) < 4 || b[0]>>6 != 2 {
		it.bad = true
		return false
	}
	n := 4 + 4*int(binary.BigEndian.Uint16(b[2:]))
	if n > len(b) {
		it.bad = true
		return false
	}
	body := b[4:n]
	it.rest = b[n:]
	// Padding belongs to the last packet only, but browsers pad transport-cc
	// feedback wherever it stands in the compound.
	if b[0]&0x20 != 0 {
		if len(body) == 0 {
			it.bad = true
			return false
		}
		pad := int(body[len(body)-1])
		if pad == 0 || pad > len(body) {
			it.bad = true
			return false
		}
		body = body[:len(body)-pad]
	}
	*p = Packet{Type: b[1], Count: b[0] & 0x1f, Body: body}
	return true
}

// Bad reports whether the walk ended at a malformed packet.
func (it *Iter) Bad() bool { return it.bad }

func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

// Sender returns the packet sender's SSRC; false when the body is too short.
func (p *Packet) Sender() (uint32, bool) {
	if len(p.Body) < 4 {
		return 0, false
	}
	return be32(p.Body), true
}

// Media returns the media source SSRC of a feedback packet.
func (p *Packet) Media() (uint32, bool) {
	if len(p.Body) < 8 {
		return 0, false
	}
	return be32(p.Body[4:]), true
}

// SenderInfo is the sender part of an SR.
type SenderInfo struct {
	NTP     uint64
	RTP     uint32
	Packets uint32
	Octets  uint32
}

// SenderInfo reads an SR.
func (p *Packet) SenderInfo() (s SenderInfo, ok bool) {
	if p.Type != TypeSR || len(p.Body) < 24 {
		return s, false
	}
	b := p.Body
	return SenderInfo{NTP: binary.BigEndian.Uint64(b[4:]), RTP: be32(b[12:]), Packets: be32(b[16:]), Octets: be32(b[20:])}, true
}

// Block is a report block (RFC 3550, section 6.4.1).
type Block struct {
	SSRC     uint32
	Fraction uint8
	Lost     int32 // 24 bits signed
	Highest  uint32
	Jitter   uint32
	LSR      uint32
	DLSR     uint32
}

const blockLen = 24

func (p *Packet) blocks() []byte {
	off := 4
	switch {
	case p.Type == TypeSR:
		off = 24
	case p.Type != TypeRR:
		return nil
	}
	if len(p.Body) < off {
		return nil
	}
	return p.Body[off:]
}

// Blocks returns how many report blocks are really there.
func (p *Packet) Blocks() int { return min(int(p.Count), len(p.blocks())/blockLen) }

// Block returns the i-th report block, i < Blocks().
func (p *Packet) Block(i int) Block {
	b := p.blocks()[i*blockLen:]
	w := be32(b[4:])
	return Block{SSRC: be32(b), Fraction: uint8(w >> 24), Lost: int32(w<<8) >> 8, Highest: be32(b[8:]),
		Jitter: be32(b[12:]), LSR: be32(b[16:]), DLSR: be32(b[20:])}
}

// fci returns the feedback control information in units of n bytes.
func (p *Packet) fci(n int) []byte {
	if len(p.Body) < 8 {
		return nil
	}
	b := p.Body[8:]
	return b[:len(b)/n*n]
}

// NACKs returns how many PID/BLP pairs a generic NACK holds.
func (p *Packet) NACKs() int { return len(p.fci(4)) / 4 }

// NACK returns the i-th pair.
func (p *Packet) NACK(i int) (pid, blp uint16) {
	b := p.fci(4)[4*i:]
	return binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
}

// FIRs returns how many entries a FIR holds.
func (p *Packet) FIRs() int { return len(p.fci(8)) / 8 }

// FIR returns the i-th entry: target and command sequence number.
func (p *Packet) FIR(i int) (ssrc uint32, seq uint8) {
	b := p.fci(8)[8*i:]
	return be32(b), b[4]
}

// Limit is an entry of TMMBR or TMMBN (RFC 5104, section 4.2.1.1).
type Limit struct {
	SSRC     uint32
	Bitrate  uint64
	Overhead uint16
}

// Limits returns how many entries a TMMBR or TMMBN holds.
func (p *Packet) Limits() int { return len(p.fci(8)) / 8 }

// Limit returns the i-th entry.
func (p *Packet) Limit(i int) Limit {
	b := p.fci(8)[8*i:]
	w := be32(b[4:])
	return Limit{SSRC: be32(b), Bitrate: uint64(w>>9&0x1ffff) << min(w>>26, 46), Overhead: uint16(w & 0x1ff)}
}

// REMB reads a receiver estimated maximum bitrate; false if p is none.
func (p *Packet) REMB() (bitrate uint64, ok bool) {
	if p.Type != TypePSFB || p.Count != FmtAFB || len(p.Body) < 16 || string(p.Body[8:12]) != "REMB" {
		return 0, false
	}
	w := be32(p.Body[12:])
	exp, man := w>>18&0x3f, uint64(w&0x3ffff)
	if exp > 45 { // 18 + 45 bits fill 63: anything above is nonsense (D9)
		return 0, false
	}
	return man << exp, true
}

// ByeSSRC returns the i-th source of a BYE, false past the end.
func (p *Packet) ByeSSRC(i int) (uint32, bool) {
	if p.Type != TypeBYE || i >= int(p.Count) || 4*i+4 > len(p.Body) {
		return 0, false
	}
	return be32(p.Body[4*i:]), true
}

// CNAME walks SDES chunks and calls f for each CNAME item; f must not keep name.
func (p *Packet) CNAME(f func(ssrc uint32, name []byte)) {
	b := p.Body
	for n := int(p.Count); n > 0 && len(b) >= 4; n-- {
		ssrc := be32(b)
		i := 4
		for i < len(b) && b[i] != 0 {
			if i+2 > len(b) || i+2+int(b[i+1]) > len(b) {
				return
			}
			if b[i] == SDESCNAME {
				f(ssrc, b[i+2:i+2+int(b[i+1])])
			}
			i += 2 + int(b[i+1])
		}
		i = (i + 4) &^ 3 // at least one zero, then to the boundary
		if i > len(b) {
			return
		}
		b = b[i:]
	}
}

// Mux reports whether the packet with these first two bytes is RTCP on a port
// that carries both (RFC 5761, section 4).
func Mux(b []byte) bool { return len(b) >= 2 && b[1] >= 192 && b[1] <= 223 }
