package stream

import (
	"time"

	"parley/internal/base/clock"
)

const (
	// reorderMin is how long a gap may be mere reordering before it is asked for,
	// where nothing has been seen of it.
	reorderMin = time.Millisecond
	// reorderMax bounds what a path that reorders makes it: longer, and a repair
	// would come too late where it is needed.
	reorderMax = 60 * time.Millisecond
	// reportWait is how long at least a gap is not yet reported as loss.
	reportWait = 10 * time.Millisecond
	// A number that was asked for and then came by itself makes the wait longer by
	// reorderUp, every packet makes it shorter by reorderDown: so it settles where
	// one packet in 250 is asked for in vain.
	reorderUp   = 5 * time.Millisecond
	reorderDown = reorderUp / 250

	maxTries = 10
	// maxMissing bounds the list; a bigger hole is not worth repairing, a
	// keyframe is.
	maxMissing = 256
	// maxPerAsk keeps one NACK within a small packet and bounds what one turn
	// can make the sender resend.
	maxPerAsk = 64
	minRetry  = 15 * time.Millisecond
	// giveUp is the age from which a repair would not be played any more.
	giveUp = 1200 * time.Millisecond
	// doubts is how many answers in a row must be to more than one request each
	// before answers are taken to be slower than thought. Loss alone makes so many
	// but rarely.
	doubts = 4
	// From a share of futile on of requests without an answer in a round trip, by
	// loss of the request or of the answer, requests are repeated after a quarter of
	// one, and twice as often after the first round trip: senders answer at most one
	// in a round trip, so it costs little, and a lost request costs less time.
	futile     = 0.03
	futileRate = 4
	futileOver = 64 // answers that the share is taken over
)

type missing struct {
	ext   int64
	since clock.Time // it was found missing
	due   clock.Time // to be asked for
	asked clock.Time // last
	first clock.Time // asked for first
	tries uint8
}

// Nacker decides which missing packets to ask for again and when. Off until
// Enabled.
type Nacker struct {
	Enabled  bool
	Overflow bool // the hole was too big: ask for a keyframe; cleared by the caller
	list     []missing
	next     clock.Time
	wait     time.Duration // before a gap is taken for a loss
	rtt      time.Duration // from a request to its answer, smoothed; 0: not seen
	spread   time.Duration // mean deviation of it
	guessed  bool          // rtt was made longer on suspicion
	failed   float64       // share of requests without a timely answer
	doubt    int           // answers since the last that told the time
	doubted  clock.Time    // when what they answered was asked for last
}

// Forget drops what was missed.
func (n *Nacker) Forget() { n.reset() }

func (n *Nacker) reset() { n.list, n.next = n.list[:0], 0 }

// miss notes that the numbers from first up to but without end have not come.
func (n *Nacker) miss(now clock.Time, first, end int64) {
	n.wait = max(reorderMin, n.wait-reorderDown)
	if !n.Enabled || first == end {
		return
	}
	if int64(len(n.list))+end-first > maxMissing {
		n.reset()
		n.Overflow = true
		return
	}
	due := now.Add(n.wait)
	for x := first; x < end; x++ {
		n.list = append(n.list, missing{ext: x, since: now, due: due})
	}
	n.next = clock.Earliest(n.next, due)
}

// got takes a number off the list. How it came tells something of the path,
// unless it was made out of others.
func (n *Nacker) got(now clock.Time, ext int64, how arrival) {
	for i := range n.list {
		m := &n.list[i]
		if m.ext != ext {
			continue
		}
		switch {
		case m.tries == 0 || how == restored:
		case how == resent:
			n.judge(now.Sub(m.first) > n.answer()*5/4)
			n.answered(now, m)
		case now.Sub(m.first) < n.answer()/2: // too soon to be an answer
			n.wait = min(n.wait+reorderUp, reorderMax)
		}
		n.list = append(n.list[:i], n.list[i+1:]...)
		return
	}
}

// answer is the time an answer takes, as far as known.
func (n *Nacker) answer() time.Duration {
	if n.rtt == 0 {
		return DefaultRTT
	}
	return n.rtt
}

// judge takes whether a first request was in vain.
func (n *Nacker) judge(failed bool) {
	switch {
	case n.rtt == 0 || n.guessed:
	case failed:
		n.failed += (1 - n.failed) / futileOver
	default:
		n.failed -= n.failed / futileOver
	}
}

// answered measures the time an answer took. With several requests on their way
// it is not known which was answered (Karn's problem, RFC 6298, section 3), but an
// answer cannot be faster by half than others were; and where every number has to
// be asked for twice, it is because answers take longer than thought.
func (n *Nacker) answered(now clock.Time, m *missing) {
	took := now.Sub(m.asked)
	if m.tries > 1 {
		if m.tries > 2 || took >= n.answer()/2 {
			if m.asked != n.doubted {
				n.doubted = m.asked
				n.doubt++
			}
			if n.doubt >= doubts && n.rtt < maxRTT {
				n.rtt, n.guessed, n.doubt = n.answer()*3/2, true, 0
			}
			return
		}
		took = now.Sub(m.first)
	}
	n.doubt = 0
	if n.rtt == 0 || n.guessed {
		n.rtt, n.spread, n.guessed = took, took/8, false
		return
	}
	d := took - n.rtt
	n.rtt += d / 8
	n.spread += (max(d, -d) - n.spread) / 4
}

// retry is the pause before a number is asked for again: no answer is missed for
// being slow, and as many requests as can be fit into the time there is.
func (n *Nacker) retry(rtt time.Duration) time.Duration {
	base := max(n.rtt, rtt)
	if base == 0 {
		base = DefaultRTT
	}
	base += max(2*n.spread, base/16)
	if n.failed > futile {
		base /= futileRate
	}
	return max(base, minRetry)
}

// waiting counts the numbers that may yet come by themselves.
func (n *Nacker) waiting(now clock.Time) (k int64) {
	for i := range n.list {
		if now.Sub(n.list[i].since) < max(n.wait, reportWait) {
			k++
		}
	}
	return k
}

// Due returns when Collect has something to say, zero for never.
func (n *Nacker) Due() clock.Time {
	if len(n.list) == 0 {
		return 0
	}
	return n.next
}

// Collect appends the numbers to ask for now, in ascending order. rtt is what is
// known of the round trip otherwise, 0 for nothing.
func (n *Nacker) Collect(now clock.Time, rtt time.Duration, seqs []uint16) []uint16 {
	if n.next == 0 || now.Before(n.next) {
		return seqs
	}
	retry, tries := n.retry(rtt), uint8(maxTries)
	if n.failed > futile { // several of them are one
		tries *= 2 * futileRate
	}
	keep, asked := n.list[:0], 0
	n.next = 0
	for _, m := range n.list {
		if !now.Before(m.due) && asked < maxPerAsk {
			if m.tries >= tries || now.Sub(m.since) > giveUp {
				continue
			}
			if m.tries++; m.tries == 1 {
				m.first = now
			}
			m.asked, m.due = now, now.Add(retry)
			if n.failed > futile && m.tries > futileRate { // a picture waits for it
				m.due = now.Add(max(retry/2, minRetry))
			}
			seqs = append(seqs, uint16(m.ext))
			asked++
		}
		keep = append(keep, m)
		n.next = clock.Earliest(n.next, max(m.due, now+1))
	}
	n.list = keep
	return seqs
}
