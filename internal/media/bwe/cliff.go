package bwe

import "time"

const (
	// cliffGrowth of delay within one run of packets that stand behind each other
	// is more than a frame at the pacer's rate makes, and more than jitter.
	cliffGrowth  = 100 * time.Millisecond
	cliffPackets = 5
	// cliffShare of the target or more is for the trend to find.
	cliffShare = 0.5
	// cliffGap: a link that stalls and goes on delivers in clumps; one that is slow
	// does so evenly. No gap among the last packets is a greater share of their time.
	cliffGap = 2
)

// cliff sees a capacity that fell to a fraction in the first frame that meets
// it: its packets come one by one at the new rate. The trend looks at the least
// delay of each burst, which a frame later only tells of the queue that this one
// made; with twenty frames a second that is a quarter of a second too late.
type cliff struct {
	n         int
	from, til Result
	last      [cliffPackets]struct { // of the run, by n
		at   time.Duration
		size int
	}
}

// add takes the next packet that arrived, with the least delay known, and
// returns the rate of the run that it ends, 0 while there is none to speak of.
func (k *cliff) add(r *Result, base time.Duration) Rate {
	if k.n > 0 && r.At < k.til.At {
		return 0 // overtaken
	}
	// Behind another in the queue: it left before that one can have arrived.
	if k.n == 0 || k.til.At-time.Duration(r.Sent) <= base {
		*k = cliff{from: *r, til: *r}
		k.push(r)
		return 0
	}
	k.push(r)
	k.til = *r
	span := r.At - k.from.At
	if k.n < cliffPackets || span-r.Sent.Sub(k.from.Sent) < cliffGrowth {
		return 0
	}
	return k.latest()
}

func (k *cliff) push(r *Result) {
	k.last[k.n%cliffPackets].at, k.last[k.n%cliffPackets].size = r.At, r.Size
	k.n++
}

// latest is the rate of the last packets, 0 if they came in clumps: those before may
// have passed before the fall, or met a stall.
func (k *cliff) latest() Rate {
	first := &k.last[k.n%cliffPackets]
	span, before, gap, bytes := k.til.At-first.at, first.at, time.Duration(0), 0
	for i := 1; i < cliffPackets; i++ {
		x := &k.last[(k.n+i)%cliffPackets]
		gap, before = max(gap, x.at-before), x.at
		bytes += x.size
	}
	if gap > span/cliffGap {
		return 0
	}
	return per(bytes, span)
}

func (k *cliff) reset() { *k = cliff{} }
