package bwe

import (
	"time"

	"parley/internal/base/clock"
)

const (
	// paceFactor is how much faster than the target packets leave: a frame is
	// out in two thirds of its time, and a queue left by a large one empties.
	paceFactor = 1.5
	// nearFactor is that near a known capacity: what leaves faster than the path
	// carries stands in the path instead, and the key frame of a step up would be
	// read as over-use.
	nearFactor = 1.15
	// paceBurst is what leaves at one instant, so that it fills a GSO run
	// instead of a system call each packet.
	paceBurst = 5 * time.Millisecond
	// While nothing waits, what the target carries in freshBurst leaves at once:
	// any frame but a key frame, in one system call. To spread it as well would
	// cost a call for every few packets and add a frame's time of delay, and spare
	// a queue of no more than freshBurst. What has to wait once leaves evenly.
	freshBurst = 40 * time.Millisecond
	// mostDebt bounds what is waited for: what never waits (sound, probes) and what
	// left while nobody paced may not stop all else.
	mostDebt = 250 * time.Millisecond
	// paceCredit is how late we may be called and yet keep the pace: on a busy
	// machine timers come some milliseconds after their time.
	paceCredit = 20 * time.Millisecond
)

// Pacer says how much may leave at an instant. It holds no packets: the leg
// keeps its queue and asks. Audio need not wait for room; it only tells Sent.
type Pacer struct {
	target, pace Rate
	debt         float64    // bytes not yet paid for by time
	due          clock.Time // what Next said last, until it was
	at           clock.Time
	calm         bool
	near         bool

	cluster    int
	probeFrom  clock.Time
	probeBytes int
}

// SetNear tells, before SetRate, whether the target is near the path's capacity.
func (p *Pacer) SetNear(near bool) { p.near = near }

// SetRate tells the present target. What left at once while it was several times
// as high is not to be waited for at this one.
func (p *Pacer) SetRate(target Rate) {
	fell := target < p.target/2
	factor := paceFactor
	if p.near {
		factor = nearFactor
	}
	p.target, p.pace = target, Rate(factor*float64(target))
	if fell {
		p.Forgive()
	}
}

// Forgive ends the wait for what left while there was no rate to keep to.
func (p *Pacer) Forgive() { p.debt = min(p.debt, float64(p.target.Of(freshBurst))) }

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
		p.debt = max(0, p.debt-float64(p.pace)/8*now.Sub(p.at).Seconds())
	}
	p.at = max(p.at, now)
}

// Room returns how many bytes of what waits may leave now; packets leave while
// it is above zero, so that the last may exceed it. Zero means: ask again at Next.
func (p *Pacer) Room(now clock.Time) int {
	p.pay(now)
	if p.debt > 0 {
		return 0
	}
	if p.due != 0 {
		p.debt = -float64(p.pace.Of(min(max(0, now.Sub(p.due)), paceCredit)))
		p.due = 0
	}
	return max(1, p.pace.Of(paceBurst)-int(p.debt))
}

// Fresh is Room for what just came while nothing waits.
func (p *Pacer) Fresh(now clock.Time) int {
	p.pay(now)
	return max(0, max(p.target.Of(freshBurst), 1)-int(p.debt))
}

// Sent tells what left, paced or not.
func (p *Pacer) Sent(now clock.Time, size int) {
	p.pay(now)
	p.debt = min(p.debt+float64(size), max(float64(p.target.Of(mostDebt)), float64(size)))
}

// Next returns when there will be room for a whole burst.
func (p *Pacer) Next(now clock.Time) clock.Time {
	if p.debt <= 0 || p.pace <= 0 {
		return now
	}
	p.due = now.Add(p.pace.Time(int(p.debt)) + time.Microsecond)
	return p.due
}

// Drain returns how long so many bytes wait for room.
func (p *Pacer) Drain(bytes int) time.Duration { return p.pace.Time(bytes) }

// Probe returns how many bytes of a probe are due now, and when more will be;
// media counts as well as padding or RTX. ProbeSent tells what left for it.
func (p *Pacer) Probe(now clock.Time, pr Probe) (due int, next clock.Time) {
	if pr.Cluster != p.cluster {
		p.cluster, p.probeFrom, p.probeBytes = pr.Cluster, now, 0
	}
	if p.probeBytes == 0 {
		p.probeFrom = now // it begins with its first packet
	}
	ahead := p.probeBytes - pr.Rate.Of(now.Sub(p.probeFrom))
	if late := pr.Rate.Of(paceCredit); -ahead > late { // nothing was at hand: not to be caught up with
		p.probeFrom = p.probeFrom.Add(pr.Rate.Time(-ahead - late))
		ahead = -late
	}
	if ahead <= 0 {
		return max(1, -ahead), now
	}
	return 0, now.Add(pr.Rate.Time(ahead) + time.Microsecond)
}

// ProbeSent tells that a packet of the probe left; call Sent as well.
func (p *Pacer) ProbeSent(size int) { p.probeBytes += size }
