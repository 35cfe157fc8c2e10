package simnet

import (
	"math/rand/v2"
	"time"

	"parley/internal/base/clock"
)

// Config is the behaviour of one direction of a path. The zero value is a
// perfect wire: no delay, no loss, no limit.
type Config struct {
	// Delay is the one-way propagation time; Jitter is added to it, uniform
	// in [0, Jitter). Jitter alone never reorders: a packet waits for the one
	// before it, as in a queue.
	Delay, Jitter time.Duration
	// Loss is the probability that a packet is lost, independent of others.
	Loss float64
	// Burst, if set, adds bursty loss.
	Burst *GilbertElliott
	// Reorder is the probability that a packet is held back by ReorderBy
	// while later ones pass it.
	Reorder   float64
	ReorderBy time.Duration
	// Duplicate is the probability that a packet arrives twice.
	Duplicate float64
	// Rate limits the link, in bits per second of payload plus Overhead bytes
	// a packet (28 for IPv4 and UDP); 0 is unlimited.
	Rate     int64
	Overhead int
	// Queue is how many bytes may wait for the link when Rate is set; more are
	// dropped at the tail. 0 means 100 ms at Rate, at least 3000.
	Queue int
	// QueueTime limits the queue by the time a packet would wait, whatever the
	// Rate; RFC 8867, section 4.1 gives 300 ms. It is used when Queue is 0.
	QueueTime time.Duration
	// Police makes the limit a bucket instead of a queue: what fits into Queue
	// passes without waiting, the rest is dropped.
	Police bool
	// Down loses everything.
	Down bool
}

// GilbertElliott is a two-state loss model: per packet the state may change,
// then the packet is lost with the state's probability. Mean loss is
// (pi_bad LossBad + pi_good LossGood) with pi_bad = ToBad / (ToBad + ToGood);
// the mean burst is 1/ToGood packets.
type GilbertElliott struct {
	ToBad, ToGood, LossGood, LossBad float64
}

// Step changes a link at an instant, once.
type Step struct {
	At     clock.Time
	Config Config
}

// Stats counts what became of the packets of a link.
type Stats struct {
	Sent, Lost, Overflowed, Duplicated, Reordered uint64
	// SentBytes and PassedBytes are payload; PassedBytes includes duplicates.
	SentBytes, PassedBytes uint64
}

// Model decides the fate of packets of one direction; it is the part of a link
// that knows no network. Not safe for concurrent use.
type Model struct {
	cfg   Config
	steps []Step
	rng   *rand.Rand
	bad   bool       // Gilbert-Elliott state
	free  clock.Time // when the rate limiter has sent all it took
	rate  int64      // what free was reckoned with
	last  clock.Time // latest in-order arrival
	stats Stats
}

// NewModel makes a model; the two numbers seed its generator.
func NewModel(seed, stream uint64, cfg Config) *Model {
	return &Model{cfg: cfg, rng: rand.New(rand.NewPCG(seed, stream))}
}

// Set changes the behaviour from now on; packets under way are not touched.
func (m *Model) Set(cfg Config) { m.cfg = cfg }

// Config returns the present behaviour.
func (m *Model) Config() Config { return m.cfg }

// Schedule sets changes to come, in order of time.
func (m *Model) Schedule(steps ...Step) { m.steps = append(m.steps[:0:0], steps...) }

// Stats returns the counters.
func (m *Model) Stats() Stats { return m.stats }

// Waiting returns how long a packet sent now would wait for the limiter.
func (m *Model) Waiting(now clock.Time) time.Duration { return max(0, m.free.Sub(now)) }

// Fate says when a packet of size bytes sent now arrives: n of at are valid,
// none when it is lost, two when it is duplicated. Calls must not go back in time.
func (m *Model) Fate(now clock.Time, size int) (at [2]clock.Time, n int) {
	for len(m.steps) > 0 && !m.steps[0].At.After(now) {
		m.cfg, m.steps = m.steps[0].Config, m.steps[1:]
	}
	m.stats.Sent++
	m.stats.SentBytes += uint64(size)
	lost := m.lost()
	leaves, ok := m.pace(now, size)
	switch {
	case !ok:
		m.stats.Overflowed++
		return at, 0
	case lost:
		m.stats.Lost++
		return at, 0
	}
	at[0], n = m.arrival(leaves), 1
	if m.hit(m.cfg.Duplicate) {
		m.stats.Duplicated++
		at[1], n = m.arrival(leaves), 2
	}
	m.stats.PassedBytes += uint64(n * size)
	return at, n
}

func (m *Model) hit(p float64) bool { return p > 0 && m.rng.Float64() < p }

func (m *Model) lost() bool {
	lost := m.cfg.Down || m.hit(m.cfg.Loss)
	b := m.cfg.Burst
	if b == nil {
		return lost
	}
	if m.bad {
		m.bad = !m.hit(b.ToGood)
	} else {
		m.bad = m.hit(b.ToBad)
	}
	if m.bad {
		return m.hit(b.LossBad) || lost
	}
	return m.hit(b.LossGood) || lost
}

// pace returns when the last bit leaves the limiter; a lost packet has used
// the link as well, since loss is behind it.
func (m *Model) pace(now clock.Time, size int) (clock.Time, bool) {
	if m.cfg.Rate <= 0 {
		return now, true
	}
	if m.rate != m.cfg.Rate && m.free > now && m.rate > 0 { // what waits leaves at the new rate
		bits := float64(m.free.Sub(now)) * float64(m.rate)
		m.free = now.Add(time.Duration(bits / float64(m.cfg.Rate)))
	}
	m.rate = m.cfg.Rate
	start := max(now, m.free)
	waiting := int64(start.Sub(now)) * m.cfg.Rate / 8 / int64(time.Second)
	wire := int64(size + m.cfg.Overhead)
	if waiting > 0 && waiting+wire > m.queue() {
		return 0, false
	}
	m.free = start.Add(time.Duration(wire * 8 * int64(time.Second) / m.cfg.Rate))
	if m.cfg.Police {
		return now, true
	}
	return m.free, true
}

func (m *Model) queue() int64 {
	if m.cfg.Queue > 0 {
		return int64(m.cfg.Queue)
	}
	if m.cfg.QueueTime > 0 {
		return max(3000, int64(m.cfg.QueueTime.Seconds()*float64(m.cfg.Rate)/8))
	}
	return max(3000, m.cfg.Rate/8/10)
}

func (m *Model) arrival(leaves clock.Time) clock.Time {
	at := leaves.Add(m.cfg.Delay)
	if m.cfg.Jitter > 0 {
		at = at.Add(time.Duration(m.rng.Int64N(int64(m.cfg.Jitter))))
	}
	if m.hit(m.cfg.Reorder) {
		m.stats.Reordered++
		return max(at, m.last).Add(m.cfg.ReorderBy)
	}
	m.last = max(at, m.last)
	return m.last
}
