package simroom

import (
	"slices"
	"time"

	"parley/internal/base/clock"
)

// Eye puts pictures together from packets, tells which could be decoded, shows
// them through a jitter buffer, and counts freezes.
type Eye struct {
	Pictures []Shown
	PLIs     int
	Skipped  int // pictures that came whole and could not be shown
	Freezes  []Freeze
	Switches []Switch // between encodings, as decoded
	Keys     int

	view  *View
	base  map[uint32]*picture
	wait  []*picture // by timestamp
	last  *picture   // decoded
	tl0   map[uint8]bool
	mid   map[uint8]bool // the middle layer's picture of a group
	clock playout
	idle  clock.Time      // since when nothing was decoded or asked for
	media clock.Time      // last packet with a payload
	keyed clock.Time      // last first packet of a keyframe
	gaps  []time.Duration // between the last pictures shown
	tsHi  int64
	hasTS bool
}

// Shown is one picture on the screen.
type Shown struct {
	At    clock.Time
	Made  clock.Time
	Layer uint8
	TID   uint8
	Key   bool
	Bytes int
}

// Freeze is a gap between pictures that a person sees.
type Freeze struct {
	At  clock.Time // its end
	Gap time.Duration
}

// Switch is a change of encoding.
type Switch struct {
	At       clock.Time
	From, To uint8
}

type picture struct {
	ts          int64 // extended
	first, last int64 // packet numbers, -1 unknown
	got         int
	bytes       int
	tid, tl0    uint8
	sync, key   bool
	repaired    bool       // a packet of it had to be asked for
	ready       clock.Time // whole
	truth       truth
}

// What libwebrtc's receiver does: how long it waits for a picture that can be
// decoded before it asks for a keyframe, once it has decoded one and before
// that, and for how long without packets a stream is taken to be off.
const (
	waitPicture = 3 * time.Second
	waitKey     = 200 * time.Millisecond
	inactive    = 5 * time.Second
)

func (e *Eye) init(v *View) {
	e.view, e.base, e.tl0, e.mid = v, map[uint32]*picture{}, map[uint8]bool{}, map[uint8]bool{}
}

func (p *picture) whole() bool {
	return p.first >= 0 && p.last >= 0 && int64(p.got) == p.last-p.first+1
}

// packet takes a packet of a new number; asked tells that it was asked for again.
func (e *Eye) packet(now clock.Time, n int64, ts uint32, marker, asked bool, b []byte) {
	if len(b) < 7 {
		return
	}
	e.media = now
	if e.idle == 0 {
		e.idle = now
	}
	ext := e.extend(ts)
	if e.last != nil && ext <= e.last.ts {
		return // too late
	}
	p := e.base[ts]
	if p == nil {
		p = &picture{ts: ext, first: -1, last: -1}
		e.base[ts] = p
		at, _ := slices.BinarySearchFunc(e.wait, ext, func(q *picture, t int64) int { return int(q.ts - t) })
		e.wait = slices.Insert(e.wait, at, p)
	}
	p.got++
	p.repaired = p.repaired || asked
	p.bytes += len(b)
	p.tl0, p.tid, p.sync = b[4], b[5]>>6, b[5]&0x20 != 0
	if t, ok := readTruth(b); ok {
		p.truth = t
	}
	if b[0]&0x10 != 0 {
		p.first = n
		if p.key = b[6]&1 == 0; p.key {
			e.keyed = now
		}
	}
	if marker {
		p.last = n
	}
	if p.whole() && p.ready == 0 {
		p.ready = now
		e.clock.arrived(now, p.ts, p.repaired, e.view.peer.roundTrip())
		e.decode(now)
	}
}

func (e *Eye) extend(ts uint32) int64 {
	if !e.hasTS {
		e.hasTS, e.tsHi = true, int64(ts)+1<<32
		return e.tsHi
	}
	x := e.tsHi + int64(int32(ts-uint32(e.tsHi)))
	e.tsHi = max(e.tsHi, x)
	return x
}

// decodable reports whether all that a picture refers to was decoded.
func (e *Eye) decodable(p *picture) bool {
	switch {
	case !p.whole():
		return false
	case p.key:
		return true
	case e.last == nil:
		return false
	case p.tid == 0:
		return e.tl0[p.tl0-1]
	case p.sync:
		return e.tl0[p.tl0]
	}
	return e.tl0[p.tl0] && e.mid[p.tl0]
}

// decode shows all that can be shown now, in order. A picture behind a gap
// waits for its time, since what is missing may still come.
func (e *Eye) decode(now clock.Time) {
	for {
		i := slices.IndexFunc(e.wait, e.decodable)
		if i < 0 {
			return
		}
		p := e.wait[i]
		inOrder := i == 0 && (p.key && e.last == nil || e.last != nil && p.first == e.last.last+1)
		if !inOrder && now < e.clock.due(p.ts) {
			return
		}
		for _, q := range e.wait[:i] {
			if q.ready != 0 {
				e.Skipped++
			}
		}
		e.wait = e.wait[i+1:]
		e.show(now, p)
	}
}

func (e *Eye) show(now clock.Time, p *picture) {
	if e.last != nil && e.last.truth.layer != p.truth.layer {
		e.Switches = append(e.Switches, Switch{now, e.last.truth.layer, p.truth.layer})
	}
	if p.key {
		clear(e.tl0)
		clear(e.mid)
		e.Keys++
	}
	switch p.tid {
	case 0:
		e.tl0[p.tl0] = true
		delete(e.tl0, p.tl0-64)
		delete(e.mid, p.tl0-64)
	case 1:
		e.mid[p.tl0] = true
	}
	e.last, e.idle = p, now
	e.clock.shown(now, p.ts)
	clear(e.base)
	for _, q := range e.wait {
		e.base[uint32(q.ts)] = q
	}
	e.view.asker.below(p.first)
	at := max(now, e.clock.due(p.ts))
	if k := len(e.Pictures); k > 0 {
		at = max(at, e.Pictures[k-1].At)
		e.gap(at, at.Sub(e.Pictures[k-1].At))
	}
	e.Pictures = append(e.Pictures, Shown{At: at, Made: p.truth.at, Layer: p.truth.layer, TID: p.tid, Key: p.key, Bytes: p.bytes})
}

// gap counts a freeze: as long as three mean gaps and as the mean and 150 ms,
// whichever is more; the mean is of the last thirty gaps with this one
// (webrtc-stats, freezeCount, as libwebrtc does it).
func (e *Eye) gap(at clock.Time, d time.Duration) {
	const of = 30
	if e.gaps = append(e.gaps, d); len(e.gaps) > of {
		e.gaps = e.gaps[1:]
	}
	sum := time.Duration(0)
	for _, g := range e.gaps {
		sum += g
	}
	if n := len(e.gaps); n >= 5 {
		mean := sum / time.Duration(n)
		if d >= max(3*mean, mean+150*time.Millisecond) {
			e.Freezes = append(e.Freezes, Freeze{at, d})
		}
	}
}

// tick lets time pass and tells whether to ask for a keyframe. A stream of which
// nothing ever came is not asked about: browsers do not know of it.
func (e *Eye) tick(now clock.Time) bool {
	e.decode(now)
	wait := waitPicture
	if e.last == nil {
		wait = waitKey
	}
	if e.media == 0 || now.Sub(e.idle) < wait {
		return false
	}
	e.idle = now
	return now.Sub(e.media) < inactive && (e.keyed == 0 || now.Sub(e.keyed) >= waitKey)
}

// playout is when pictures are due on the screen, after libwebrtc's VCMTiming
// and JitterEstimator: as evenly as they were made, late by as much as
// lateness was seen of pictures that needed no repair, and by a round trip more
// for a minute after three that did. The delay follows that slowly, but for
// pictures that come late, which make it longer at once.
type playout struct {
	offset clock.Time // least of arrival minus media time, in the last minute or so
	has    bool
	jitter time.Duration
	delay  time.Duration
	target time.Duration
	nacked int
	nackAt clock.Time
	at     clock.Time
}

const (
	playoutMargin = 20 * time.Millisecond // 10 ms each for the scheduler and the screen
	playoutSlew   = 0.1                   // of a second in a second
	nackLimit     = 3
	nackMemory    = time.Minute
)

func mediaTime(ts int64) clock.Time { return clock.Time(ts * 1000 / 90 * 1000) }

func (p *playout) arrived(now clock.Time, ts int64, repaired bool, rtt time.Duration) {
	if repaired {
		p.nacked, p.nackAt = p.nacked+1, now
	} else {
		p.measure(now, ts)
	}
	if now.Sub(p.nackAt) > nackMemory {
		p.nacked = 0
	}
	p.target = p.jitter + playoutMargin
	if p.nacked >= nackLimit {
		p.target += rtt
	}
	if p.at == 0 {
		p.delay = p.target
	}
	most := time.Duration(playoutSlew * float64(now.Sub(p.at)))
	p.delay += min(most, max(-most, p.target-p.delay))
	p.at = now
}

func (p *playout) measure(now clock.Time, ts int64) {
	p.offset += clock.Time(float64(now.Sub(p.at)) * 0.0005) // clocks drift, and paths change
	off := now - mediaTime(ts)
	if !p.has || off < p.offset {
		p.has, p.offset = true, off
	}
	if late := time.Duration(off - p.offset); late > p.jitter {
		p.jitter = min(late, time.Second)
	} else { // forgets half in some ten seconds
		p.jitter -= time.Duration(float64(p.jitter-late) * min(1, now.Sub(p.at).Seconds()/15))
	}
}

// shown is told when a picture was decoded.
func (p *playout) shown(now clock.Time, ts int64) {
	if late := now.Sub(p.due(ts)); late > 0 {
		p.delay = max(p.delay, min(p.target, p.delay+late))
	}
}

func (p *playout) due(ts int64) clock.Time {
	if !p.has {
		return 0
	}
	return mediaTime(ts) + p.offset + clock.Time(p.delay)
}

// Since returns the pictures shown from an instant of the room on.
func (e *Eye) Since(from time.Duration) []Shown {
	i, _ := slices.BinarySearchFunc(e.Pictures, start.Add(from), func(s Shown, t clock.Time) int { return int(s.At - t) })
	return e.Pictures[i:]
}

// Frozen counts the freezes that ended between two instants of the room.
func (e *Eye) Frozen(from, to time.Duration) (n int, longest time.Duration) {
	for _, f := range e.Freezes {
		if f.At >= start.Add(from) && f.At < start.Add(to) {
			n, longest = n+1, max(longest, f.Gap)
		}
	}
	return n, longest
}
