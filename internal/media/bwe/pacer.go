package bwe

import (
	"time"

	"parley/internal/base/clock"
)

const (
	// paceFactor is how much faster than the target packets leave: a frame is
	// out in two thirds of its time, and a queue left by a large one empties.
	paceFactor = 1.5
	// paceBurst is what leaves at one instant, so that it fills a GSO run
	// instead of a system call each packet.
	paceBurst = 5 * time.Millisecond
	// Far below the estimate there is nothing to smooth: what the target carries
	// in bypassBurst leaves at once, which is any frame but a key frame.
	bypassShare = 0.5
	bypassBurst = 40 * time.Millisecond
	bypassSpan  = 500 * time.Millisecond
)

// Pacer says how much may leave at an instant. It holds no packets: the leg
// keeps its queue and asks. Audio need not wait for room; it only tells Sent.
type Pacer struct {
	target, pace Rate
	debt         float64 // bytes not yet paid for by time
	at           clock.Time
	calm         bool
	recent       float64 // bytes sent, decaying over bypassSpan

	cluster    int
	probeFrom  clock.Time
	probeBytes int
}

// SetRate tells the present target.
func (p *Pacer) SetRate(target Rate) { p.target, p.pace = target, Rate(paceFactor*float64(target)) }

// SetQueue tells what stands in the path, after SetRate. Then there is nothing to
// hurry for: what left faster than the target would keep it standing.
func (p *Pacer) SetQueue(queue time.Duration) {
	if p.calm = queue <= standing; !p.calm {
		p.pace = p.target
	}
}

// Calm reports that no queue stands in the path.
func (p *Pacer) Calm() bool { return p.calm }

func (p *Pacer) pay(now clock.Time) {
	if !p.at.IsZero() && now > p.at {
		took := now.Sub(p.at)
		p.debt = max(0, p.debt-float64(p.pace)/8*took.Seconds())
		p.recent *= max(0, 1-float64(took)/float64(bypassSpan))
	}
	p.at = max(p.at, now)
}

// Bypass reports whether the leg sends well below its target.
func (p *Pacer) Bypass() bool {
	return p.recent < bypassShare*float64(p.target.Of(bypassSpan))
}

// Room returns how many bytes may leave now; packets leave while it is above
// zero, so that the last may exceed it. Zero means: ask again at Next.
func (p *Pacer) Room(now clock.Time) int {
	p.pay(now)
	burst := p.pace.Of(paceBurst)
	if p.Bypass() {
		burst = max(burst, p.target.Of(bypassBurst))
		return max(0, burst-int(p.debt))
	}
	if p.debt > 0 {
		return 0
	}
	return max(1, burst)
}

// Sent tells what left, paced or not.
func (p *Pacer) Sent(now clock.Time, size int) {
	p.pay(now)
	p.debt += float64(size)
	p.recent += float64(size)
}

// Next returns when there will be room for a whole burst.
func (p *Pacer) Next(now clock.Time) clock.Time {
	if p.debt <= 0 || p.pace <= 0 {
		return now
	}
	return now.Add(p.pace.Time(int(p.debt)) + time.Microsecond)
}

// Drain returns how long so many bytes wait for room.
func (p *Pacer) Drain(bytes int) time.Duration { return p.pace.Time(bytes) }

// Probe returns how many bytes of a probe are due now, and when more will be;
// media counts as well as padding or RTX. ProbeSent tells what left for it.
func (p *Pacer) Probe(now clock.Time, pr Probe) (due int, next clock.Time) {
	if pr.Cluster != p.cluster {
		p.cluster, p.probeFrom, p.probeBytes = pr.Cluster, now, 0
	}
	ahead := p.probeBytes - pr.Rate.Of(now.Sub(p.probeFrom))
	if ahead <= 0 {
		return max(1, -ahead), now
	}
	return 0, now.Add(pr.Rate.Time(ahead) + time.Microsecond)
}

// ProbeSent tells that a packet of the probe left; call Sent as well.
func (p *Pacer) ProbeSent(size int) { p.probeBytes += size }
