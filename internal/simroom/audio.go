package simroom

import (
	"time"

	"parley/internal/base/clock"
)

const (
	audioEvery = 20 * time.Millisecond
	audioSize  = 80 // 32 kbit/s
)

// audioSource makes Opus packets, 50 a second, alone or with two older copies.
type audioSource struct {
	sender
	track  *track
	next   clock.Time
	red    bool
	loud   bool
	sound  func(n uint32) ([]byte, uint8)
	number uint32
	past   [][]byte // the last two
	p      *Peer
}

func newAudioSource(p *Peer, m Media) *audioSource {
	a := &audioSource{p: p, red: m.RED, loud: m.Speaks, sound: m.Sound, next: p.room.now.Add(time.Duration(p.rng.Int64N(int64(audioEvery))))}
	a.sender = sender{ssrc: 0xA0000000 + uint32(p.leg), mid: "a", pt: upOpus, hz: 48000, seq: uint16(p.rng.Uint32()), tsOff: p.rng.Uint32()}
	if a.red {
		a.pt = upRED
	}
	p.Up.carry(a.ssrc, 0, false)
	return a
}

// Sent returns how many packets were made.
func (a *audioSource) Sent() uint32 { return a.number }

func (a *audioSource) make(now clock.Time, u *Publisher) {
	a.next = a.next.Add(audioEvery)
	a.number++
	b, level := a.packet(now)
	payload := b
	if a.red {
		payload = a.redundant(b)
	}
	u.write(now, &outgoing{s: &a.sender, payload: payload, ts: a.tsOff + a.number*960, osn: -1, level: level | 0x80})
	if a.red {
		a.past = append(a.past, b)
		if len(a.past) > 2 {
			a.past = a.past[1:]
		}
	}
}

// packet makes the next payload and tells how loud it is.
func (a *audioSource) packet(now clock.Time) (b []byte, level int) {
	if a.sound != nil {
		b, l := a.sound(a.number)
		return b, int(l)
	}
	b, level = make([]byte, audioSize), 70
	b[0] = 0x78 // Opus, CELT full band, 20 ms, one frame
	t := truth{track: uint8(a.p.leg), number: a.number, at: now}
	t.put(b)
	if a.loud {
		level = 20 + a.p.rng.IntN(10)
	}
	return b, level
}

// redundant puts the older copies before a packet (RFC 2198, section 3).
func (a *audioSource) redundant(b []byte) (out []byte) {
	for i, old := range a.past {
		back := uint32(len(a.past)-i) * 960
		out = append(out, 0x80|upOpus, uint8(back>>6), uint8(back<<2)|uint8(len(old)>>8), uint8(len(old)))
	}
	out = append(out, upOpus)
	for _, old := range a.past {
		out = append(out, old...)
	}
	return append(out, b...)
}

// splitRED returns the blocks of a redundant payload, oldest first; nil if it is
// malformed.
func splitRED(b []byte) (blocks [][]byte) {
	var lens []int
	for len(b) > 0 && b[0]&0x80 != 0 {
		if len(b) < 4 {
			return nil
		}
		lens = append(lens, int(b[2]&3)<<8|int(b[3]))
		b = b[4:]
	}
	if len(b) == 0 {
		return nil
	}
	b = b[1:]
	for _, n := range lens {
		if n > len(b) {
			return nil
		}
		blocks, b = append(blocks, b[:n]), b[n:]
	}
	return append(blocks, b)
}

// A jitter buffer of sound holds at least earLeast, so that the copies of RFC 2198
// and the next packet's repair find their place, and grows to what came later
// than it waited for, up to earMost. As libwebrtc's does, it makes sound up in steps
// of earStep until a late packet is there, and plays that then: what is heard as
// concealment is the time by which it grew, and not the packet.
const (
	earLeast = 80 * time.Millisecond
	earMost  = 2 * time.Second
	earStep  = 10 * time.Millisecond
)

// Ear counts which 20 ms of a source could be played.
type Ear struct {
	first, last uint32
	firstAt     clock.Time
	least       time.Duration // from capture to arrival: the path's own delay
	depth       time.Duration // of the buffer, beyond that
	depthAt     clock.Time
	have        map[uint32]uint8
	fec         bool
	Packets     uint64
	Late        int
	waits       []wait
	LastAt      clock.Time
	Delays      []time.Duration // from capture to arrival, of packets themselves
}

// wait is sound that was made up until a packet came.
type wait struct {
	number uint32
	took   time.Duration
}

const (
	heardSelf = 1 << iota
	heardCopy
	heardFEC
	heardLate // came, but not in time
)

func (e *Ear) take(now clock.Time, payload []byte, red bool) {
	blocks := [][]byte{payload}
	if red {
		blocks = splitRED(payload)
	}
	for i, b := range blocks {
		t, ok := readTruth(b)
		if !ok {
			continue
		}
		how := uint8(heardCopy)
		if i == len(blocks)-1 {
			how = heardSelf
			e.Packets++
			e.LastAt = now
			e.Delays = append(e.Delays, now.Sub(t.at))
		}
		if e.have == nil {
			e.have = map[uint32]uint8{}
			e.first, e.firstAt = t.number, now
		}
		if e.fec && how == heardSelf && t.number > e.first && e.have[t.number-1] == 0 {
			e.place(now, t.number-1, t.at-clock.Time(audioEvery), heardFEC)
		}
		e.place(now, t.number, t.at, how)
	}
}

// place notes what came for a turn.
func (e *Ear) place(now clock.Time, number uint32, at clock.Time, how uint8) {
	next := number > e.last // nothing behind it has been played
	late := e.late(now, now.Sub(at), how, next)
	switch {
	case late == 0:
	case next:
		e.Late++
		e.waits = append(e.waits, wait{number, (late + earStep - 1) / earStep * earStep})
	default:
		how = heardLate
	}
	e.have[number] |= how
	e.last = max(e.last, number)
}

// late returns how much later something that was captured some time ago came than
// at its turn. For what is next the buffer waits, and is deeper from then on.
func (e *Ear) late(now clock.Time, age time.Duration, how uint8, next bool) time.Duration {
	if e.least == 0 || age < e.least {
		e.least = age
	}
	over := age - e.least
	if how == heardSelf { // forgets half in some ten seconds
		e.depth = max(earLeast, e.depth-time.Duration(float64(e.depth-over)*min(1, now.Sub(e.depthAt).Seconds()/15)))
		e.depthAt = now
	}
	late := max(0, over-e.depth)
	if next && late > 0 {
		e.depth = min(over, earMost)
	}
	return late
}

// Concealed returns the share of sound between two numbers (0: the first or last
// heard) that had to be made up, and how many packets were asked about.
func (e *Ear) Concealed(from, to uint32) (share float64, n int) {
	share, n = e.without(from, to, heardSelf|heardCopy|heardFEC)
	for _, w := range e.waits {
		if w.number >= from && (to == 0 || w.number <= to) {
			share += float64(w.took) / float64(audioEvery) / float64(max(1, n))
		}
	}
	return share, n
}

// Lost returns the share of which nothing came, in time or late.
func (e *Ear) Lost(from, to uint32) (share float64) {
	share, _ = e.without(from, to, heardSelf|heardCopy|heardLate)
	return share
}

func (e *Ear) without(from, to uint32, how uint8) (share float64, n int) {
	if from == 0 {
		from = e.first
	}
	if to == 0 {
		to = e.last
	}
	gone := 0
	for x := from; x <= to; x++ {
		n++
		if e.have[x]&how == 0 {
			gone++
		}
	}
	return float64(gone) / float64(max(1, n)), n
}
