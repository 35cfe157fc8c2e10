// Package graph is the contract every topology recipe is built on: batches of
// packets in, batches of packets out. Packets carry plaintext RTP; encryption is
// the transport's. Nothing here blocks, allocates per packet, reads a clock or
// takes a lock; a value belongs to one shard's goroutine.
package graph

import (
	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/media/layer"
	"parley/internal/media/rtp"
)

// LegID numbers a leg (one peer's RTP session) on its shard; TrackID numbers a
// published track on the node. Both are dense small integers used as indexes.
type (
	LegID   uint32
	TrackID uint32
)

// Packet is one received RTP packet with what the Ingress learnt about it. Buf
// is borrowed until the callee returns (see package ring).
type Packet struct {
	Buf      *ring.Buf
	Hdr      rtp.Header
	Track    TrackID
	Layer    uint8 // index into the track's simulcast layers
	Arrival  clock.Time
	ExtSeq   int64  // unwrapped sequence number of this layer's stream
	Keyframe bool   // first packet of an independently decodable picture
	Repaired bool   // arrived late by RTX or reordering: fills a reserved gap
	Level    uint8  // audio level, -dBov; 127 when unknown
	Exts     uint32 // header extension ids present, a bit each (ids from 31 share the top bit)
	Frame    layer.Info
}

// Payload returns the payload bytes without padding.
func (p *Packet) Payload() []byte { return p.Buf.B[p.Hdr.PayloadOff:p.Hdr.PayloadEnd] }

// Send is one packet to one leg. The RTP header is rebuilt per leg and lies in
// the batch's arena; the payload stays where it was received.
type Send struct {
	Leg            LegID
	RTCP           bool      // true: the whole compound lies in the arena, Src is nil
	Src            *ring.Buf // payload storage, retained by the batch; nil if all lies in the arena
	Off, End       uint16    // payload range in Src
	HdrOff, HdrLen uint32    // range in the arena (RTP header, plus OSN for RTX; or the RTCP compound)
}

// Batch is what a turn of the engine wants sent, appended to by recipes and
// owned by the caller. Sends of one leg that follow each other leave as one GSO
// run, so recipes fan out leg by leg.
type Batch struct {
	Sends []Send
	arena []byte
}

// Header returns the arena bytes of s.
func (b *Batch) Header(s *Send) []byte { return b.arena[s.HdrOff : s.HdrOff+s.HdrLen] }

// Grow returns n fresh arena bytes and their offset. The slice is valid until
// the next Grow.
func (b *Batch) Grow(n int) (off uint32, p []byte) {
	l := len(b.arena)
	if cap(b.arena)-l < n {
		b.arena = append(b.arena, make([]byte, n)...)[:l]
	}
	b.arena = b.arena[:l+n]
	return uint32(l), b.arena[l : l+n]
}

// RTP appends one packet: hdr is what Grow returned at off, of n bytes; the
// payload src[from:to] is retained until Reset.
func (b *Batch) RTP(leg LegID, off uint32, n int, src *ring.Buf, from, to uint16) {
	if src != nil {
		src.Retain()
	}
	b.Sends = append(b.Sends, Send{Leg: leg, Src: src, Off: from, End: to, HdrOff: off, HdrLen: uint32(n)})
}

// RTCP appends one compound packet that lies in the arena.
func (b *Batch) RTCP(leg LegID, off uint32, n int) {
	b.Sends = append(b.Sends, Send{Leg: leg, RTCP: true, HdrOff: off, HdrLen: uint32(n)})
}

// Reset releases the payloads and empties the batch, keeping its memory.
func (b *Batch) Reset() {
	for i := range b.Sends {
		if s := b.Sends[i].Src; s != nil {
			s.Release()
		}
		b.Sends[i].Src = nil
	}
	b.Sends = b.Sends[:0]
	b.arena = b.arena[:0]
}

// Element is one recipe at work for one conference on one shard. Dispatch is
// once per batch, never per packet.
type Element interface {
	// HandleBatch forwards what one turn received, in order of arrival.
	HandleBatch(now clock.Time, in []Packet, out *Batch)
	// HandleFeedback takes one RTCP compound (plaintext, validated) from a leg.
	HandleFeedback(now clock.Time, leg LegID, rtcp []byte, out *Batch)
	// Tick does what time asks for and returns the next instant it wants (zero: none).
	Tick(now clock.Time, out *Batch) clock.Time
}

// Upstream takes what elements ask of publishers; the engine coalesces it at the
// publisher's own shard.
type Upstream interface {
	// RequestKeyframe asks for a decodable picture of one layer, soon.
	RequestKeyframe(now clock.Time, t TrackID, layer uint8)
}

// Shrink gives back what a Grow at off got beyond n bytes; only right after it.
func (b *Batch) Shrink(off uint32, n int) { b.arena = b.arena[:int(off)+n] }
