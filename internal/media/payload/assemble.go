package payload

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/seqnum"
)

// Limits of reassembly. They bound what one source can make the server hold.
const (
	// MaxUnit is the largest coded picture taken. A 1080p keyframe of a camera is
	// below 300 KiB; more is an attack or a stream nobody can receive.
	MaxUnit = 1 << 20
	// window is how many packets may wait for a missing one: a second of 5 Mbit/s.
	window = 512
	// patience is how long a missing packet is waited for: two retransmissions at
	// 80 ms round trip. Longer is delay that everybody sees.
	patience = 200 * time.Millisecond
)

// Unit is one coded picture as a decoder takes it: a VP8 or VP9 frame, an H.264
// access unit with start codes (Annex B), an AV1 temporal unit with sizes.
type Unit struct {
	Data []byte // valid until the next call
	TS   uint32
	Key  bool // needs no earlier picture
}

// Assembler puts the pictures of one RTP stream together from its packets, in
// order, and leaves out those that cannot be decoded because something before
// them is missing. One goroutine; untrusted input.
type Assembler struct {
	codec  Codec
	slots  [window]slot
	unwrap seqnum.Unwrapper
	next   int64 // first packet not yet used
	high   int64
	begun  bool
	broken bool // only a keyframe helps
	want   bool // a keyframe should be asked for
	buf    []byte
	lost   uint64
}

type slot struct {
	seq    int64
	at     clock.Time
	ts     uint32
	marker bool
	b      []byte
}

// NewAssembler starts with nothing: the first unit will be a keyframe.
func NewAssembler(c Codec) *Assembler { return &Assembler{codec: c, broken: true} }

// Reset asks for a keyframe: the decoder lost its state.
func (a *Assembler) Reset() { a.broken, a.want = true, true }

// Wants reports, once, that a keyframe is needed to go on.
func (a *Assembler) Wants() bool {
	w := a.want
	a.want = false
	return w
}

// Lost counts the packets given up.
func (a *Assembler) Lost() uint64 { return a.lost }

// Push takes the payload of a packet and copies it. Doubles and late ones are dropped.
func (a *Assembler) Push(now clock.Time, seq uint16, ts uint32, marker bool, b []byte) {
	if len(b) > 1500 {
		return
	}
	s := a.unwrap.Unwrap(seq)
	switch {
	case !a.begun:
		a.begun, a.next, a.high = true, s, s
	case s < a.next:
		return
	case s >= a.next+window:
		// The sender jumped, or far too much is missing: begin again there.
		a.lost += uint64(s - a.next)
		a.next, a.broken, a.want = s, true, true
	}
	a.high = max(a.high, s)
	p := &a.slots[s%window]
	if p.seq == s {
		return
	}
	*p = slot{seq: s, at: now, ts: ts, marker: marker, b: append(p.b[:0], b...)}
}

// Pop returns the next complete picture, if there is one; call it until false.
func (a *Assembler) Pop(now clock.Time) (Unit, bool) {
	for a.begun && a.next <= a.high {
		first := &a.slots[a.next%window]
		if first.seq != a.next {
			if !a.skip(now) {
				return Unit{}, false
			}
			continue
		}
		end, whole := a.extent(first)
		if !whole {
			if end > a.high || !a.gapOld(now, end) {
				return Unit{}, false
			}
			a.drop(end)
			continue
		}
		u, ok := a.build(first, end)
		a.next = end
		if ok {
			return u, true
		}
	}
	return Unit{}, false
}

// extent finds the end of the picture that begins at a.next: after a marker, or
// before another timestamp (RFC 3550 leaves the marker to the format, and some
// senders forget it).
func (a *Assembler) extent(first *slot) (end int64, whole bool) {
	for s := a.next; ; s++ {
		p := &a.slots[s%window]
		if s > a.high || p.seq != s {
			return s, false
		}
		if p.ts != first.ts {
			return s, true
		}
		if p.marker {
			return s + 1, true
		}
	}
}

// gapOld reports whether the packet missing at s was waited for long enough:
// the age of the first packet behind it tells.
func (a *Assembler) gapOld(now clock.Time, s int64) bool {
	for ; s <= a.high; s++ {
		if p := &a.slots[s%window]; p.seq == s {
			return now.Sub(p.at) >= patience
		}
	}
	return false
}

// skip goes over missing packets at a.next once their time is up.
func (a *Assembler) skip(now clock.Time) bool {
	if !a.gapOld(now, a.next) {
		return false
	}
	for a.next <= a.high && a.slots[a.next%window].seq != a.next {
		a.next++
		a.lost++
	}
	a.broken, a.want = true, true
	return true
}

// drop gives up the picture with a hole at end.
func (a *Assembler) drop(end int64) {
	ts := a.slots[a.next%window].ts
	for a.next = end; a.next <= a.high; a.next++ {
		if p := &a.slots[a.next%window]; p.seq != a.next {
			a.lost++
		} else if p.ts != ts {
			break
		}
	}
	a.broken, a.want = true, true
}

func (a *Assembler) build(first *slot, end int64) (Unit, bool) {
	u := Unit{TS: first.ts}
	a.buf = a.buf[:0]
	j := joiner{codec: a.codec, out: a.buf}
	ok := true
	for s := a.next; s < end && ok; s++ {
		p := &a.slots[s%window]
		if len(p.b) == 0 {
			continue // a bandwidth probe: padding only
		}
		ok = j.add(p.b) && len(j.out) <= MaxUnit
	}
	ok = ok && j.finish()
	a.buf = j.out
	if len(a.buf) == 0 && ok {
		return u, false
	}
	u.Data, u.Key = a.buf, j.key
	if !ok {
		a.broken, a.want = true, true
		return u, false
	}
	if a.broken && !u.Key {
		a.want = true
		return u, false
	}
	a.broken = false
	return u, true
}
