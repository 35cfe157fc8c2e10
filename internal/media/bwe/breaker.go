package bwe

import (
	"math"
	"time"

	"parley/internal/base/clock"
)

// Reason is why a circuit breaker opened (RFC 8083, section 4).
type Reason uint8

// The conditions of RFC 8083.
const (
	Closed       Reason = iota
	RTCPTimeout         // section 4.2: no reports at all
	MediaTimeout        // section 4.1: reports, but nothing arrives
	Congestion          // section 4.3: ten times more than TCP would send
)

const (
	breakerReports = 3  // intervals without a report (section 4.2), and with too much
	breakerMedia   = 5  // k of MEDIA_TIMEOUT (section 4.1)
	breakerTCP     = 10 // times TCP's rate (section 4.3)
	// breakerGroup is 10 G T_f. Where key frames come when they are asked for, G T_f is
	// how soon one can be had: with a single frame three reports of bursts were enough to
	// take a stream away for ten seconds that did well on a path of 5 % and 200 ms.
	breakerGroup = 10 * time.Second
	breakerLimit = 15 * time.Second
)

// Breaker is RFC 8083's circuit breaker of one RTP stream: the last resort
// where congestion control failed. The owner of the stream stops sending it
// when Report or Tick returns a reason.
type Breaker struct {
	// Interval is the time between the receiver's reports (T_dr), 0: 1 s.
	Interval time.Duration

	started  clock.Time
	reported clock.Time
	high     uint32
	seen     bool
	stalled  int
	loss     [64]float64
	sent     [64]Rate
	reports  int
	much     int // reports in a row that tell of too much
	open     Reason
}

// Report is what a receiver reports of the stream, and what was sent meanwhile.
type Report struct {
	Highest  uint32  // extended highest sequence number received
	Fraction float64 // lost, 0..1
	Sent     Rate    // since the last report
	Packet   int     // mean size, bytes
	RTT      time.Duration
}

func (b *Breaker) interval() time.Duration {
	if b.Interval <= 0 {
		return time.Second
	}
	return b.Interval
}

// Start tells that the stream is sent from now on; a stream paused by choice
// must not be taken for one that does not arrive.
func (b *Breaker) Start(now clock.Time) { *b = Breaker{Interval: b.Interval, started: now} }

// Pause stops the clocks until Start.
func (b *Breaker) Pause() { b.started = 0 }

// Open returns why the breaker is open.
func (b *Breaker) Open() Reason { return b.open }

// Tick checks the time-out of reports.
func (b *Breaker) Tick(now clock.Time) Reason {
	if b.open == Closed && !b.started.IsZero() &&
		now.Sub(max(b.started, b.reported)) > breakerReports*b.interval() {
		b.open = RTCPTimeout
	}
	return b.open
}

// Report takes a reception report.
func (b *Breaker) Report(now clock.Time, r Report) Reason {
	if b.started.IsZero() || b.open != Closed {
		return b.open
	}
	b.reported = now
	if b.seen && r.Highest == b.high && r.Sent > 0 {
		if b.stalled++; b.stalled >= b.mediaTimeout(r.RTT) {
			b.open = MediaTimeout
		}
		return b.open
	}
	b.seen, b.high, b.stalled = true, r.Highest, 0
	b.loss[b.reports%len(b.loss)], b.sent[b.reports%len(b.sent)] = r.Fraction, r.Sent
	b.reports++
	n := b.window(r.RTT)
	if b.reports < n {
		return b.open
	}
	var p, sent float64
	for i := range n {
		k := (b.reports - 1 - i) % len(b.loss)
		p += b.loss[k] / float64(n)
		sent += float64(b.sent[k]) / float64(n)
	}
	// The means stay what they were for a while after congestion control has seen to it:
	// what is sent now must be too much as well, and not once.
	if p == 0 || min(sent, float64(r.Sent)) <= breakerTCP*tcpRate(r.Packet, r.RTT, p) {
		b.much = 0
	} else if b.much++; b.much >= breakerReports {
		b.open = Congestion
	}
	return b.open
}

// mediaTimeout is MEDIA_TIMEOUT in reports (section 4.1).
func (b *Breaker) mediaTimeout(rtt time.Duration) int {
	return int(math.Ceil(breakerMedia * float64(max(rtt, b.interval())) / float64(b.interval())))
}

// window is CB_INTERVAL in reports (section 4.3), with T_d = T_dr.
func (b *Breaker) window(rtt time.Duration) int {
	dr := b.interval()
	span := min(max(breakerGroup, 10*rtt, 3*dr), max(breakerLimit, 3*dr))
	return min(len(b.loss), int(math.Ceil(float64(span)/float64(dr))))
}

// tcpRate is the simple throughput equation, s/(R sqrt(2p/3)), in bit/s.
func tcpRate(packet int, rtt time.Duration, p float64) float64 {
	return 8 * float64(packet) / (max(rtt, time.Millisecond).Seconds() * math.Sqrt(2*p/3))
}
