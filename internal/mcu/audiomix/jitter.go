package audiomix

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/seqnum"
)

const (
	slot = 20 * time.Millisecond
	// ringSize packets are kept: 1.28 s of usual ones, 160 ms of the shortest.
	ringSize = 64
	// minTarget and maxTarget bound the reserve against jitter. Below a slot the
	// phase between source and room alone would make packets late; above 200 ms
	// people begin to talk over each other.
	minTarget, maxTarget = 20 * time.Millisecond, 200 * time.Millisecond
	// reserve is how many times the mean jitter (RFC 3550, section 6.4.1) is kept:
	// 3 covers what is not a burst.
	reserve = 3
	// window is how long the smallest reserve is watched before delay is given up.
	window = 2 * time.Second
	// tooLong is the excess that is cut even while somebody speaks.
	tooLong = 120 * time.Millisecond
	// idle is after how long without packets a source starts anew.
	idle = time.Second
	// farOff is a jump of the timestamp that is a new start, not a gap.
	farOff = 3 * time.Second
	// noLevel marks packets that announce no level.
	noLevel = 0xff
	maxCSRC = 15
)

// packet is one in the ring. Its payload stays after it was played, until its
// place is needed, so that a decoder can be warmed up with it.
type packet struct {
	seq     int64
	ts      int64
	ticks   int64 // duration
	used    bool
	noise   bool  // comfort noise
	level   uint8 // announced, noLevel
	nc      uint8
	csrc    [maxCSRC]uint32
	levels  [maxCSRC]uint8
	payload []byte
}

// buffer is a jitter buffer that counts in ticks of the source's RTP clock and
// moves by whole slots.
type buffer struct {
	clock   int64 // ticks per second
	ring    [ringSize]packet
	seqs    seqnum.Unwrapper
	started bool
	next    int64 // sequence number to be played next
	highest int64
	play    int64 // timestamp played next
	ahead   int64 // ticks handed out beyond the slots played
	owed    int64 // ticks concealed that nothing has come for yet
	lastTS  uint32
	topTS   int64
	tick    clock.Time // last slot
	jitter  float64    // nanoseconds
	arrival clock.Time
	arrTS   int64
	low     [2]time.Duration // smallest reserve in this and the last window
	since   clock.Time

	late, lost, dropped, stretched, cut uint64
}

func (b *buffer) unit() int64 { return b.clock / 50 }

func (b *buffer) dur(ticks int64) time.Duration {
	return time.Duration(ticks * int64(time.Second) / b.clock)
}

// target is the reserve wanted now.
func (b *buffer) target() time.Duration {
	return max(minTarget, min(maxTarget, time.Duration(reserve*b.jitter)))
}

// unwrapTS extends a timestamp to 64 bits.
func (b *buffer) unwrapTS(ts uint32) int64 {
	if b.lastTS == 0 && b.topTS == 0 {
		b.topTS = int64(ts) + 1<<32
	} else {
		b.topTS += int64(int32(ts - b.lastTS))
	}
	b.lastTS = ts
	return b.topTS
}

// put stores an arrived packet; the fields but seq and ts are filled in by the
// caller, who gets the place, nil if it comes too late or twice.
func (b *buffer) put(now clock.Time, seq16 uint16, ts32 uint32, ticks int64) *packet {
	seq, ts := b.seqs.Unwrap(seq16), b.unwrapTS(ts32)
	if far := b.clock * int64(farOff/time.Second); b.started && (ts-b.pos() > far || b.pos()-ts > far || seq-b.next >= ringSize || b.next-seq > 3000) {
		b.started = false
	}
	b.measure(now, ts)
	if !b.started {
		b.start(now, seq, ts)
	}
	if seq < b.next {
		b.late++
		b.watch(now, b.spare(now, ts))
		return nil
	}
	p := &b.ring[seq&(ringSize-1)]
	if p.seq == seq && !p.used && p.ticks > 0 {
		b.dropped++ // a copy
		return nil
	}
	b.watch(now, b.spare(now, ts))
	b.highest = max(b.highest, seq)
	p.seq, p.ts, p.ticks, p.used, p.noise, p.nc, p.level = seq, ts, ticks, false, false, 0, noLevel
	return p
}

// start begins to play from this packet, one reserve later.
func (b *buffer) start(now clock.Time, seq, ts int64) {
	for i := range b.ring {
		b.ring[i].ticks = 0
	}
	wait := b.target()
	if b.tick != 0 {
		wait -= slot - now.Sub(b.tick)
	}
	slots := max(0, int64((wait+slot-1)/slot))
	b.started, b.next, b.highest = true, seq, seq
	b.play, b.ahead, b.owed = ts-slots*b.unit(), 0, 0
	b.low = [2]time.Duration{b.target(), b.target()}
	b.since = now
}

// pos is the timestamp that the next slot begins with.
func (b *buffer) pos() int64 { return b.play + b.owed - b.ahead }

// spare is how long before its slot a packet came; negative: it was late.
func (b *buffer) spare(now clock.Time, ts int64) time.Duration {
	u := b.unit()
	n := (ts - b.pos()) / u
	if (ts-b.pos())%u < 0 {
		n--
	}
	return b.tick.Add(slot).Add(time.Duration(n) * slot).Sub(now)
}

// measure updates the interarrival jitter (RFC 3550, section 6.4.1). Pauses say
// nothing about the network.
func (b *buffer) measure(now clock.Time, ts int64) {
	if d := now.Sub(b.arrival) - b.dur(ts-b.arrTS); b.arrival != 0 && now.Sub(b.arrival) < time.Second {
		b.jitter += (min(float64(max(d, -d)), float64(maxTarget)) - b.jitter) / 16
	}
	b.arrival, b.arrTS = now, ts
}

// watch keeps the smallest reserve of the last two windows.
func (b *buffer) watch(now clock.Time, spare time.Duration) {
	if now.Sub(b.since) >= window {
		b.low[1], b.low[0], b.since = b.low[0], spare, now
	}
	b.low[0] = min(b.low[0], spare)
}

// excess is how much delay could be given up.
func (b *buffer) excess() time.Duration { return min(b.low[0], b.low[1]) - b.target() }

// first returns the earliest packet that is here, nil if none is.
func (b *buffer) first() *packet {
	for s := b.next; s <= b.highest; s++ {
		if p := &b.ring[s&(ringSize-1)]; p.seq == s && !p.used && p.ticks > 0 {
			return p
		}
	}
	return nil
}

// before returns the packet before the next one, if it was played or passed.
func (b *buffer) before() *packet {
	if p := &b.ring[(b.next-1)&(ringSize-1)]; p.seq == b.next-1 && p.used && p.ticks > 0 {
		return p
	}
	return nil
}

// What a step of the buffer is.
type step uint8

const (
	stepPacket step = iota // play p
	stepLost               // conceal ticks; p is the packet after the gap
	stepPause              // the source sent nothing for ticks
	stepDry                // conceal ticks; nothing more is here
)

// take returns what comes next when the slot still needs that many ticks.
func (b *buffer) take(need int64) (s step, p *packet, ticks int64) {
	p = b.first()
	if p == nil {
		b.owed += need
		b.ahead += need
		if b.owed > b.clock*int64(idle/time.Second) {
			b.started = false
		}
		return stepDry, nil, need
	}
	gap := p.ts - b.play
	if gap < b.owed {
		b.stretched += uint64(b.owed - max(gap, 0))
		b.play, gap = p.ts, 0
	} else {
		b.play += b.owed
		gap -= b.owed
	}
	b.owed = 0
	if gap <= 0 {
		p.used = true
		b.lost += uint64(p.seq - b.next)
		b.next, b.play = p.seq+1, p.ts+p.ticks
		b.ahead += p.ticks
		return stepPacket, p, p.ticks
	}
	ticks = min(gap, need)
	s = stepPause
	if p.seq > b.next {
		// Conceal packet by packet, so that the last one can be had from its
		// successor's copy.
		s, ticks = stepLost, min(gap, p.ticks)
		if rest := gap % p.ticks; gap > p.ticks && rest != 0 {
			ticks = rest
		}
		if gap > p.ticks {
			p = nil
		}
		b.next++
		b.lost++
	}
	b.play += ticks
	b.ahead += ticks
	return s, p, ticks
}

// shrink gives up a slot of delay (a packet, if those are longer) by passing over
// what would come next; quiet tells that nobody would hear it.
func (b *buffer) shrink(quiet bool) bool {
	p := b.first()
	if !b.started || p == nil || b.ahead > 0 || b.owed > 0 {
		return false
	}
	x := b.excess()
	if want := max(slot, b.dur(p.ticks)); x < want || (!quiet && x < tooLong) {
		return false
	}
	passed := int64(0)
	for passed < b.unit() {
		s, _, t := b.take(b.unit() - passed)
		if s == stepDry {
			b.owed = 0
		}
		passed += t
	}
	b.ahead = 0
	b.cut++
	b.low[0] -= b.dur(passed)
	b.low[1] -= b.dur(passed)
	return true
}
