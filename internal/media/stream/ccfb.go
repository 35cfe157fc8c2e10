package stream

import (
	"parley/internal/base/clock"
	"parley/internal/base/seqnum"
	"parley/internal/media/rtcp"
)

const (
	// reportRing is how many numbers of an SSRC are remembered: more than arrive
	// between two messages, since many arrivals make one go out early.
	reportRing = 256
	// reportedMost bounds the SSRCs; the longest unheard gives way.
	reportedMost = 32
	// reportStatuses is the most statuses in one message, under an MTU.
	reportStatuses = 400
)

// Marks notes when packets arrive, and with which congestion mark (RFC 3168),
// and writes the feedback of RFC 8888.
type Marks struct {
	sources []*marked
	due     clock.Time
	pending int
	metrics []rtcp.Metric
}

// marked is what is remembered of one SSRC.
type marked struct {
	ssrc       uint32
	u          seqnum.Unwrapper
	base, high int64 // first number not reported, last that arrived
	heard      clock.Time
	at         [reportRing]clock.Time
	ecn        [reportRing]uint8
}

// Record notes an arrival; ecn are the two bits of the IP header.
func (m *Marks) Record(now clock.Time, ssrc uint32, seq uint16, ecn uint8) {
	s := m.find(ssrc)
	ext := s.u.Unwrap(seq)
	switch {
	case s.heard == 0 || ext-s.high >= reportRing: // a jump: start again
		clear(s.at[:])
		s.base, s.high = ext, ext
	case ext > s.high:
		for x := s.high + 1; x < ext; x++ {
			s.at[x%reportRing] = 0
		}
		s.high = ext
		s.base = max(s.base, ext-reportRing+1)
	case ext <= s.high-reportRing:
		return
	default:
		s.base = min(s.base, ext) // late: it is reported again with what follows
	}
	s.heard = now
	s.at[ext%reportRing], s.ecn[ext%reportRing] = now, ecn&3
	if m.pending++; m.pending >= twccEarly {
		m.due = now
	} else if m.due == 0 {
		m.due = now.Add(twccInterval)
	}
}

func (m *Marks) find(ssrc uint32) *marked {
	oldest := 0
	for i, s := range m.sources {
		if s.ssrc == ssrc {
			return s
		}
		if s.heard < m.sources[oldest].heard {
			oldest = i
		}
	}
	if len(m.sources) < reportedMost {
		m.sources = append(m.sources, &marked{ssrc: ssrc})
		return m.sources[len(m.sources)-1]
	}
	*m.sources[oldest] = marked{ssrc: ssrc}
	return m.sources[oldest]
}

// Due returns when feedback should leave, zero when there is nothing to report.
func (m *Marks) Due() clock.Time { return m.due }

// Append writes one feedback message for now, of which ntp is the wall clock, and
// reports whether more remains.
func (m *Marks) Append(b []byte, sender uint32, now clock.Time, ntp uint64) (_ []byte, more bool) {
	m.metrics = m.metrics[:0]
	for _, s := range m.sources {
		for s.heard != 0 && s.base <= s.high {
			if len(m.metrics) == reportStatuses {
				return m.write(b, sender, ntp), true
			}
			m.metrics = append(m.metrics, s.metric(now))
			s.base++
		}
	}
	m.pending, m.due = 0, 0
	return m.write(b, sender, ntp), false
}

func (m *Marks) write(b []byte, sender uint32, ntp uint64) []byte {
	if len(m.metrics) == 0 {
		return b
	}
	return rtcp.AppendCCFB(b, sender, uint32(ntp>>16), m.metrics)
}

// metric tells of the packet at base.
func (s *marked) metric(now clock.Time) rtcp.Metric {
	x := rtcp.Metric{SSRC: s.ssrc, Seq: uint16(s.base)}
	at := s.at[s.base%reportRing]
	if at == 0 {
		return x
	}
	ago := max(0, int64(now.Sub(at))*1024/1e9)
	x.Received, x.ECN, x.ATO = true, s.ecn[s.base%reportRing], uint16(min(ago, rtcp.ATOOverflow))
	return x
}
