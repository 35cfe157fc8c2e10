package stream

import "parley/internal/base/clock"

// waiting is a packet that has no room yet. Nothing of it is kept but its place:
// it lies in its source's history, where repairs are found too.
type waiting struct {
	p    *Projection
	num  int64 // outgoing number; of a repair the number asked for
	at   clock.Time
	size int32
	key  bool // of a key picture
}

// Bounds of lanes in packets: 1024 are two seconds at 5 Mbit/s; a receiver that
// asks for more repairs than 256 at once is not helped by them.
const (
	mediaLane  = 1024
	repairLane = 256
	laneMin    = 32
)

// lane is a queue of packets of one leg, allocated when first needed.
type lane struct {
	ring    []waiting // its length is a power of two
	head, n int
	bytes   int // of all
	keys    int // of those of key pictures
}

// push appends, false if most are waiting already.
func (l *lane) push(w waiting, most int) bool {
	if l.n == most {
		return false
	}
	if l.n == len(l.ring) {
		ring := make([]waiting, max(laneMin, 2*len(l.ring)))
		for i := range l.n {
			ring[i] = l.ring[(l.head+i)&(len(l.ring)-1)]
		}
		l.ring, l.head = ring, 0
	}
	l.ring[(l.head+l.n)&(len(l.ring)-1)] = w
	l.n++
	l.count(w, 1)
	return true
}

// pop takes the first; there must be one.
func (l *lane) pop() waiting {
	w := l.ring[l.head]
	l.ring[l.head] = waiting{}
	l.head = (l.head + 1) & (len(l.ring) - 1)
	l.n--
	l.count(w, -1)
	return w
}

// holds reports whether a packet waits here.
func (l *lane) holds(p *Projection, num int64) bool {
	for i := range l.n {
		if w := &l.ring[(l.head+i)&(len(l.ring)-1)]; w.num == num && w.p == p {
			return true
		}
	}
	return false
}

func (l *lane) count(w waiting, sign int) {
	size := sign * int(w.size)
	l.bytes += size
	w.p.pacing.queued += size
	if w.key {
		l.keys += size
	}
}
