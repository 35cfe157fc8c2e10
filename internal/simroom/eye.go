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
	stuck clock.Time // nothing could be decoded since, though packets came
	asked clock.Time
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
	since       clock.Time // first packet
	ready       clock.Time // whole
	truth       truth
}

const (
	// giveUp is how long a receiver waits for a lost packet.
	giveUp = 400 * time.Millisecond
	// stuckFor is how long nothing decodable makes a browser ask for a keyframe,
	// and how often it repeats that.
	stuckFor = 200 * time.Millisecond
)

func (e *Eye) init(v *View) {
	e.view, e.base, e.tl0, e.mid = v, map[uint32]*picture{}, map[uint8]bool{}, map[uint8]bool{}
}

func (p *picture) whole() bool {
	return p.first >= 0 && p.last >= 0 && int64(p.got) == p.last-p.first+1
}

// packet takes a packet of a new number.
func (e *Eye) packet(now clock.Time, n int64, ts uint32, marker bool, b []byte) {
	if len(b) < 7 {
		return
	}
	ext := e.extend(ts)
	if e.last != nil && ext <= e.last.ts {
		return // too late
	}
	p := e.base[ts]
	if p == nil {
		p = &picture{ts: ext, first: -1, last: -1, since: now}
		e.base[ts] = p
		at, _ := slices.BinarySearchFunc(e.wait, ext, func(q *picture, t int64) int { return int(q.ts - t) })
		e.wait = slices.Insert(e.wait, at, p)
	}
	p.got++
	p.bytes += len(b)
	p.tl0, p.tid, p.sync = b[4], b[5]>>6, b[5]&0x20 != 0
	if t, ok := readTruth(b); ok {
		p.truth = t
	}
	if b[0]&0x10 != 0 {
		p.first = n
		p.key = b[6]&1 == 0
	}
	if marker {
		p.last = n
	}
	if p.whole() && p.ready == 0 {
		p.ready = now
		e.clock.arrived(now, p.ts)
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
		if !inOrder && now < e.clock.due(p.ts) && now.Sub(e.oldest(i)) < giveUp {
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

// oldest returns since when something before the i-th waiting picture is missing.
func (e *Eye) oldest(i int) clock.Time {
	if i > 0 {
		return e.wait[0].since
	}
	return e.wait[i].ready
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
	e.last, e.stuck = p, 0
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

// gap counts a freeze: longer than three mean gaps and than the mean and 150 ms,
// whichever is more (webrtc-stats, freezeCount).
func (e *Eye) gap(at clock.Time, d time.Duration) {
	const of = 30
	sum := time.Duration(0)
	for _, g := range e.gaps {
		sum += g
	}
	if n := len(e.gaps); n >= 5 {
		mean := sum / time.Duration(n)
		if d > max(3*mean, mean+150*time.Millisecond) {
			e.Freezes = append(e.Freezes, Freeze{at, d})
		}
	}
	if e.gaps = append(e.gaps, d); len(e.gaps) > of {
		e.gaps = e.gaps[1:]
	}
}

// tick lets time pass and tells whether to ask for a keyframe.
func (e *Eye) tick(now clock.Time) bool {
	e.decode(now)
	if len(e.wait) == 0 && e.last != nil {
		return false
	}
	if e.stuck == 0 {
		e.stuck = now
	}
	wait := stuckFor
	if e.last != nil { // NACK has its time first
		wait = giveUp
	}
	if len(e.wait) == 0 && !e.view.begun { // nothing ever came: browsers ask as well
		wait = time.Second
	}
	if now.Sub(e.stuck) < wait || (e.asked != 0 && now.Sub(e.asked) < stuckFor) {
		return false
	}
	return true
}

// playout is when pictures are due on the screen: as evenly as they were made,
// late by as much as lateness was seen, up to giveUp.
type playout struct {
	offset clock.Time // least of arrival minus media time, in the last minute or so
	has    bool
	delay  time.Duration
	at     clock.Time
}

func mediaTime(ts int64) clock.Time { return clock.Time(ts * 1000 / 90 * 1000) }

func (p *playout) arrived(now clock.Time, ts int64) {
	off := now - mediaTime(ts)
	if !p.has || off < p.offset {
		p.has, p.offset = true, off
	}
	if late := time.Duration(off - p.offset); late > p.delay {
		p.delay = min(late, giveUp)
	} else { // forgets half in some ten seconds
		p.delay -= time.Duration(float64(p.delay-late) * min(1, now.Sub(p.at).Seconds()/15))
	}
	p.offset += clock.Time(float64(now.Sub(p.at)) * 0.0005) // clocks drift, and paths change
	p.at = now
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
