package stream

import (
	"time"

	"parley/internal/base/clock"
)

const (
	// reorderWait is how long a gap may be mere reordering before it is asked for.
	reorderWait = 10 * time.Millisecond
	maxTries    = 10
	// maxMissing bounds the list; a bigger hole is not worth repairing, a
	// keyframe is.
	maxMissing = 256
	// maxPerAsk keeps one NACK within a small packet and bounds what one turn
	// can make the sender resend.
	maxPerAsk = 64
	minRetry  = 20 * time.Millisecond
)

type missing struct {
	ext   int64
	due   clock.Time
	tries uint8
}

// Nacker decides which missing packets to ask for again and when. Off until
// Enabled.
type Nacker struct {
	Enabled  bool
	Overflow bool // the hole was too big: ask for a keyframe; cleared by the caller
	list     []missing
	next     clock.Time
}

// Forget drops what was missed.
func (n *Nacker) Forget() { n.reset() }

func (n *Nacker) reset() { n.list, n.next = n.list[:0], 0 }

func (n *Nacker) miss(now clock.Time, ext int64) {
	if !n.Enabled {
		return
	}
	if len(n.list) >= maxMissing {
		n.reset()
		n.Overflow = true
	}
	due := now.Add(reorderWait)
	n.list = append(n.list, missing{ext: ext, due: due})
	n.next = clock.Earliest(n.next, due)
}

func (n *Nacker) got(ext int64) {
	for i := range n.list {
		if n.list[i].ext == ext {
			n.list = append(n.list[:i], n.list[i+1:]...)
			return
		}
	}
}

// Due returns when Collect has something to say, zero for never.
func (n *Nacker) Due() clock.Time {
	if len(n.list) == 0 {
		return 0
	}
	return n.next
}

// Collect appends the numbers to ask for now, in ascending order. A retry
// follows after the time an answer takes, the round trip and a reserve.
func (n *Nacker) Collect(now clock.Time, rtt time.Duration, seqs []uint16) []uint16 {
	if n.next == 0 || now.Before(n.next) {
		return seqs
	}
	retry := max(rtt+rtt/4, minRetry)
	keep, asked := n.list[:0], 0
	n.next = 0
	for _, m := range n.list {
		if !now.Before(m.due) && asked < maxPerAsk {
			if m.tries == maxTries {
				continue
			}
			m.tries++
			m.due = now.Add(retry)
			seqs = append(seqs, uint16(m.ext))
			asked++
		}
		keep = append(keep, m)
		n.next = clock.Earliest(n.next, max(m.due, now+1))
	}
	n.list = keep
	return seqs
}
