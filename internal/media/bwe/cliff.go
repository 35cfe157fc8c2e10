package bwe

import (
	"slices"
	"time"
)

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
// have passed before the fall, or met a stall. It is the median, of the time that a
// byte took, so that one packet that was late says nothing.
func (k *cliff) latest() Rate {
	first := &k.last[k.n%cliffPackets]
	span, before, gap := k.til.At-first.at, first.at, time.Duration(0)
	var took [cliffPackets - 1]float64 // ns a byte
	for i := range took {
		x := &k.last[(k.n+1+i)%cliffPackets]
		took[i] = float64(x.at-before) / float64(max(x.size, 1))
		gap, before = max(gap, x.at-before), x.at
	}
	if gap > span/cliffGap {
		return 0
	}
	slices.Sort(took[:])
	middle := (took[(len(took)-1)/2] + took[len(took)/2]) / 2
	if middle <= 0 {
		return 0
	}
	return Rate(8e9 / middle)
}

func (k *cliff) reset() { *k = cliff{} }
