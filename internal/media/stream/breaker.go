package stream

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/bwe"
	"parley/internal/media/rtcp"
)

const (
	// reportLeast and reportMost bound the interval of reports that is believed.
	reportLeast = 100 * time.Millisecond
	reportMost  = 5 * time.Second
	// tripFor is how many intervals a stream rests whose breaker opened (RFC 8083,
	// section 4.5 leaves it open): long enough that its queue is gone.
	tripFor = 10
)

// guard is a projection's circuit breaker with what was counted at the last
// report.
type guard struct {
	b               bwe.Breaker
	at              clock.Time
	packets, octets uint32
}

// judge gives a report to the circuit breaker (RFC 8083). An open breaker rests
// the stream, whatever the estimate says; the lack of reports is left to the
// consent of ICE (RFC 7675), which ends the leg sooner.
func (e *Egress) judge(now clock.Time, p *Projection, k rtcp.Block) {
	g := p.pacing.guard
	if g == nil {
		g = &guard{at: now, packets: p.Packets, octets: p.Octets}
		g.b.Start(now)
		p.pacing.guard = g
		return
	}
	span := now.Sub(g.at)
	if span < reportLeast {
		return
	}
	every := min(span, reportMost)
	if g.b.Interval != 0 {
		every = (7*g.b.Interval + every) / 8
	}
	g.b.Interval = every
	n, octets := p.Packets-g.packets, p.Octets-g.octets
	g.at, g.packets, g.octets = now, p.Packets, p.Octets
	r := bwe.Report{Highest: k.Highest, Fraction: float64(k.Fraction) / 256, RTT: e.Roundtrip()}
	if n > 0 {
		r.Sent, r.Packet = bwe.Rate(float64(octets)*8/span.Seconds()), int(octets/n)
	}
	switch g.b.Report(now, r) {
	case bwe.Congestion, bwe.MediaTimeout:
		p.trip(now, now.Add(tripFor*g.b.Interval))
	}
}

// trip makes a projection rest until an instant.
func (p *Projection) trip(now, until clock.Time) {
	p.pacing.tripped, p.pacing.guard = until, nil
	p.leg.trips = clock.Earliest(p.leg.trips, until)
	p.wanted(now, p.resting, p.halted)
	p.leg.wake(until)
}

// untrip ends rests and returns when the next one ends.
func (e *Egress) untrip(now clock.Time) clock.Time {
	if e.trips == 0 || now < e.trips {
		return e.trips
	}
	e.trips = 0
	for _, p := range e.Sends {
		switch t := p.pacing.tripped; {
		case t == 0:
		case t > now:
			e.trips = clock.Earliest(e.trips, t)
		default:
			p.pacing.tripped = 0
			p.wanted(now, p.resting, p.halted)
		}
	}
	return e.trips
}

// Tripped reports whether the circuit breaker makes the projection rest.
func (p *Projection) Tripped() bool { return p.pacing.tripped != 0 }
