// Package fec makes and uses forward error correction by parity: FlexFEC as
// libwebrtc speaks it, which is draft-ietf-payload-flexible-fec-scheme-03 with
// one protected SSRC, flexible masks (R and F 0) and no retransmissions in it.
//
// It is layout and arithmetic: which packets are protected together, and when, is
// decided in package stream, and what was lost is known in package engine. The
// later RFC 8627 has another header and is not read.
//
// Threading: none, values are used by one goroutine at a time. Nothing is
// allocated.
package fec

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
)

const (
	// MaxSpan is the most numbers one parity packet can speak of (section 4.2: masks
	// of 15, 31 and 63 bits).
	MaxSpan = maskA + maskB + maskC
	// ShortSpan and MiddleSpan are those of shorter headers.
	ShortSpan  = maskA
	MiddleSpan = maskA + maskB

	maskA, maskB, maskC = 15, 31, 63

	rtpFixed  = 12 // octets of an RTP header that have fields of their own
	fixedLen  = 18 // octets before the masks
	shortLen  = fixedLen + 2
	middleLen = shortLen + 4
	longLen   = middleLen + 8

	maxBody = 1500
)

// Header tells which packets a parity packet is of.
type Header struct {
	SSRC uint32 // that is protected
	Base uint16 // lowest number
	Len  int    // octets of the header
	mask [2]uint64
}

// Has reports whether the packet Base+i is protected.
func (h *Header) Has(i int) bool {
	return i >= 0 && i < MaxSpan && h.mask[i/64]>>(63-i%64)&1 != 0
}

func (h *Header) set(i int) { h.mask[i/64] |= 1 << (63 - i%64) }

// Span returns one more than the highest i of which Has is true.
func (h *Header) Span() int {
	if h.mask[1] != 0 {
		return 128 - bits.TrailingZeros64(h.mask[1])
	}
	return 64 - bits.TrailingZeros64(h.mask[0])
}

// Count returns how many packets are protected.
func (h *Header) Count() int { return bits.OnesCount64(h.mask[0]) + bits.OnesCount64(h.mask[1]) }

// put sets n mask bits from the i-th on out of the low bits of v.
func (h *Header) put(i, n int, v uint64) {
	for k := range n {
		if v>>(n-1-k)&1 != 0 {
			h.set(i + k)
		}
	}
}

// get is the reverse of put.
func (h *Header) get(i, n int) (v uint64) {
	for k := range n {
		v <<= 1
		if h.Has(i + k) {
			v |= 1
		}
	}
	return v
}

// Parse reads the header that the payload of a parity packet begins with. False
// if it is not of the kind this package speaks.
func Parse(b []byte, h *Header) bool {
	if len(b) < shortLen || b[0]&0xC0 != 0 || b[8] != 1 {
		return false
	}
	*h = Header{SSRC: binary.BigEndian.Uint32(b[12:]), Base: binary.BigEndian.Uint16(b[16:]), Len: shortLen}
	v := binary.BigEndian.Uint16(b[fixedLen:])
	h.put(0, maskA, uint64(v&0x7fff))
	if v&0x8000 == 0 { // k: the last mask has it set
		if len(b) < middleLen {
			return false
		}
		v := binary.BigEndian.Uint32(b[shortLen:])
		h.put(maskA, maskB, uint64(v&0x7fffffff))
		h.Len = middleLen
		if v&0x80000000 == 0 {
			if len(b) < longLen {
				return false
			}
			v := binary.BigEndian.Uint64(b[middleLen:])
			if v&(1<<63) == 0 {
				return false
			}
			h.put(maskA+maskB, maskC, v&^(1<<63))
			h.Len = longLen
		}
	}
	return h.mask != [2]uint64{}
}

// write puts SSRC, base and masks behind the recovered fields.
func (h *Header) write(b []byte) int {
	binary.BigEndian.PutUint32(b[8:], 1<<24)
	binary.BigEndian.PutUint32(b[12:], h.SSRC)
	binary.BigEndian.PutUint16(b[16:], h.Base)
	a := uint16(h.get(0, maskA))
	span := h.Span()
	if span <= ShortSpan {
		binary.BigEndian.PutUint16(b[fixedLen:], a|0x8000)
		return shortLen
	}
	binary.BigEndian.PutUint16(b[fixedLen:], a)
	m := uint32(h.get(maskA, maskB))
	if span <= MiddleSpan {
		binary.BigEndian.PutUint32(b[shortLen:], m|0x80000000)
		return middleLen
	}
	binary.BigEndian.PutUint32(b[shortLen:], m)
	binary.BigEndian.PutUint64(b[middleLen:], h.get(maskA+maskB, maskC)|1<<63)
	return longLen
}

// headerLen is the octets of a header with this span.
func headerLen(span int) int {
	switch {
	case span <= ShortSpan:
		return shortLen
	case span <= MiddleSpan:
		return middleLen
	}
	return longLen
}

// Mutable are the ids of header extensions that are written after the parity was
// made, or by others on the way; they count as zeros. 0: not there.
type Mutable struct {
	TransportCC, AbsSendTime uint8
	VideoTiming              uint8 // from its eighth octet on
}

// timingFixed is how much of the video timing extension its sender writes.
const timingFixed = 7

// Sum is the parity of packets: their first two octets, lengths, times and all
// behind the twelfth octet.
type Sum struct {
	fields [8]byte
	body   [maxBody]byte
	n      int // octets of body
}

// Reset empties a sum.
func (s *Sum) Reset() {
	clear(s.body[:s.n])
	s.fields, s.n = [8]byte{}, 0
}

// Add adds an RTP packet, which may lie in two parts; the first holds the header
// as a whole. False if it is no packet that can be protected.
func (s *Sum) Add(head, rest []byte, m *Mutable) bool {
	n := len(head) + len(rest) - rtpFixed
	if len(head) < rtpFixed || n > maxBody {
		return false
	}
	s.fields[0] ^= head[0]
	s.fields[1] ^= head[1]
	s.fields[2] ^= uint8(n >> 8)
	s.fields[3] ^= uint8(n)
	for i := 4; i < 8; i++ {
		s.fields[i] ^= head[i]
	}
	h := head[rtpFixed:]
	subtle.XORBytes(s.body[:], s.body[:len(h)], h)
	subtle.XORBytes(s.body[len(h):], s.body[len(h):n], rest)
	s.n = max(s.n, n)
	s.spare(head, m)
	return true
}

// spare takes the mutable extensions out again: what is added twice is not there.
func (s *Sum) spare(b []byte, m *Mutable) {
	off := rtpFixed + 4*int(b[0]&0x0f)
	if b[0]&0x10 == 0 || len(b) < off+4 {
		return
	}
	profile := binary.BigEndian.Uint16(b[off:])
	end := off + 4 + 4*int(binary.BigEndian.Uint16(b[off+2:]))
	long := profile&0xfff0 == 0x1000
	if end > len(b) || profile != 0xBEDE && !long {
		return
	}
	for off += 4; off < end; {
		id, n, at := b[off]>>4, int(b[off]&0x0f)+1, off+1
		switch {
		case b[off] == 0: // padding
			off++
			continue
		case !long && id == 15:
			return
		case long && off+1 >= end:
			return
		case long:
			id, n, at = b[off], int(b[off+1]), off+2
		}
		if at+n > end {
			return
		}
		switch id {
		case m.TransportCC, m.AbsSendTime:
			s.xor(at, b[at:at+n])
		case m.VideoTiming:
			if n > timingFixed {
				s.xor(at+timingFixed, b[at+timingFixed:at+n])
			}
		}
		off = at + n
	}
}

func (s *Sum) xor(at int, b []byte) {
	d := s.body[at-rtpFixed:]
	subtle.XORBytes(d, d[:len(b)], b)
}

// AddParity adds the payload of a parity packet with this header.
func (s *Sum) AddParity(b []byte, h *Header) bool {
	n := len(b) - h.Len
	if n < 0 || n > maxBody {
		return false
	}
	for i := range s.fields {
		s.fields[i] ^= b[i]
	}
	subtle.XORBytes(s.body[:], s.body[:n], b[h.Len:])
	s.n = max(s.n, n)
	return true
}

// Packet writes the one packet that is missing in a sum of a parity packet and
// all others it protects. False if what comes out is none that fits out.
func (s *Sum) Packet(out []byte, seq uint16, ssrc uint32) (int, bool) {
	n := int(s.fields[2])<<8 | int(s.fields[3])
	if n > s.n || rtpFixed+n > len(out) {
		return 0, false
	}
	out[0] = s.fields[0]&0x3f | 0x80
	out[1] = s.fields[1]
	binary.BigEndian.PutUint16(out[2:], seq)
	copy(out[4:8], s.fields[4:])
	binary.BigEndian.PutUint32(out[8:], ssrc)
	copy(out[rtpFixed:], s.body[:n])
	return rtpFixed + n, true
}

// Encoder makes one parity packet of the packets it is given.
type Encoder struct {
	h   Header
	sum Sum
}

// Begin starts anew.
func (e *Encoder) Begin(ssrc uint32) {
	e.h = Header{SSRC: ssrc}
	e.sum.Reset()
}

// Count returns how many packets were added.
func (e *Encoder) Count() int { return e.h.Count() }

// Add adds a packet of the protected SSRC. Numbers rise; false if it cannot be
// among the others.
func (e *Encoder) Add(seq uint16, head, rest []byte, m *Mutable) bool {
	at := 0
	if e.h.Count() == 0 {
		e.h.Base = seq
	} else if at = int(seq - e.h.Base); at >= MaxSpan || at < e.h.Span() {
		return false
	}
	if !e.sum.Add(head, rest, m) {
		return false
	}
	e.h.set(at)
	return true
}

// Len returns the length of the payload that Put writes.
func (e *Encoder) Len() int { return headerLen(e.h.Span()) + e.sum.n }

// Put writes the payload of the parity packet.
func (e *Encoder) Put(b []byte) int {
	copy(b, e.sum.fields[:])
	b[0] &= 0x3f // R and F
	n := e.h.write(b)
	return n + copy(b[n:], e.sum.body[:e.sum.n])
}
