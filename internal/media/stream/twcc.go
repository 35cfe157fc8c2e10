package stream

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/seqnum"
	"parley/internal/media/rtcp"
)

const (
	arrivals = 1024 // transport-wide numbers remembered; at 50 ms that is 20,000 packets/s
	// twccInterval trades feedback bandwidth against the sender's reaction time;
	// browsers are tuned for 50-100 ms.
	twccInterval = 60 * time.Millisecond
	twccEarly    = 100 // packets that make feedback go out before its time
	twccMax      = 400 // statuses in one message, well under an MTU
	tick         = clock.Time(250 * time.Microsecond)
	refUnit      = 64 * clock.Time(time.Millisecond)
)

// Recorder notes when transport-wide numbers arrive and writes the feedback
// (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1).
type Recorder struct {
	u        seqnum.Unwrapper
	at       []clock.Time
	base     int64 // first number not reported yet
	high     int64
	pending  int
	due      clock.Time
	count    uint8
	deltas   []int32
	anything bool
}

// Record notes an arrival.
func (r *Recorder) Record(now clock.Time, seq uint16) {
	ext := r.u.Unwrap(seq)
	if !r.anything {
		r.at = make([]clock.Time, arrivals)
		r.anything, r.base, r.high = true, ext, ext-1
	}
	if ext > r.high {
		if ext-r.high >= arrivals { // a jump: start again
			clear(r.at)
			r.base = ext
		} else {
			for x := r.high + 1; x < ext; x++ {
				r.at[x%arrivals] = 0
			}
			r.base = max(r.base, ext-arrivals+1)
		}
		r.high = ext
	} else if ext <= r.high-arrivals {
		return
	} else if ext < r.base {
		r.base = ext // late: report it again with what follows
	}
	r.at[ext%arrivals] = now
	if r.pending++; r.pending >= twccEarly {
		r.due = now
	} else if r.due == 0 {
		r.due = now.Add(twccInterval)
	}
}

// Due returns when feedback should leave, zero when there is nothing to report.
func (r *Recorder) Due() clock.Time { return r.due }

// Append writes one feedback message and reports whether more remains.
func (r *Recorder) Append(b []byte, sender, media uint32) (_ []byte, more bool) {
	if r.pending == 0 {
		return b, false
	}
	for r.base <= r.high && r.at[r.base%arrivals] == 0 {
		r.base++
	}
	if r.base > r.high {
		r.pending, r.due = 0, 0
		return b, false
	}
	ref := r.at[r.base%arrivals] / refUnit
	prev, x := ref*refUnit, r.base
	r.deltas = r.deltas[:0]
	for ; x <= r.high && len(r.deltas) < twccMax; x++ {
		t := r.at[x%arrivals]
		if t == 0 {
			r.deltas = append(r.deltas, rtcp.Missing)
			continue
		}
		d := (t - prev) / tick
		if d > 32767 || d < -32768 {
			break // the next message has its own reference
		}
		r.deltas = append(r.deltas, int32(d))
		prev += d * tick
	}
	b = rtcp.AppendTWCC(b, sender, media, uint16(r.base), uint32(ref)&0xffffff, r.count, r.deltas)
	r.count++
	r.base = x
	if x > r.high {
		r.pending, r.due = 0, 0
		return b, false
	}
	return b, true
}
