package stream

import (
	"math/bits"
	"time"

	"parley/internal/base/clock"
)

// meter measures the rate of one encoding over about a second, when asked.
type meter struct {
	octets, rate uint64
	at           clock.Time
}

// bits returns the rate in bit/s; 0 until a span was measured.
func (m *meter) bits(now clock.Time) uint64 {
	switch dt := now.Sub(m.at); {
	case m.at == 0 || dt > 5*time.Second: // nobody asked for long: begin anew
		m.rate = 0
	case dt < time.Second:
		return m.rate
	default:
		m.rate = uint64(float64(m.octets*8) / dt.Seconds())
	}
	m.at, m.octets = now, 0
	return m.rate
}

// Measure keeps the rates of a source's encodings up to date.
func (s *Source) Measure(now clock.Time) {
	for i := range s.Layers {
		if l := &s.Layers[i]; l.Last != 0 {
			l.meter.bits(now)
		}
	}
}

// least returns the rate of the lowest layers of the lowest encoding.
func (s *Source) least(now clock.Time) uint64 {
	l := &s.Layers[0]
	if set := s.Points(now, 0); set&(set-1) != 0 {
		g := &l.gauge
		c := &g.cells[bits.TrailingZeros32(set)]
		return (uint64(c.octets) + uint64(c.before)) * 8 * uint64(time.Second) / uint64(g.window(now))
	}
	return l.meter.bits(now)
}

// within lowers a wanted layer until it fits what the receiver asked for
// (TMMBR, RFC 5104, section 4.2.1) and holds a picture back that has no such
// layer: there is no encoder here to slow down. A mixer has one.
func (p *Projection) within(now clock.Time, want int8) int8 {
	held := false
	if p.Limit != 0 && !p.src.Track.Mixed && want >= 0 {
		for want > 0 && p.src.Layers[want].meter.bits(now) > p.Limit {
			want--
		}
		held = want == 0 && p.src.least(now) > p.Limit
	}
	if held != p.held {
		if p.held = held; held {
			p.stop()
		} else {
			p.seek(now)
		}
	}
	return want
}
