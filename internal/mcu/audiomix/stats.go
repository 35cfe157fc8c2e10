package audiomix

import (
	"slices"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

// SenderInfo is an output's state for a sender report at this instant: the RTP
// clock runs by the slots' due times, so that the relation is a line (MIX-5).
func (m *Mixer) SenderInfo(now clock.Time, a clock.Anchor, t ids.Track) (ssrc uint32, s rtcp.SenderInfo, ok bool) {
	o := m.byOut[t]
	if o == nil || o.packets == 0 {
		return 0, s, false
	}
	ticks := int64(now.Sub(o.at)) * int64(o.format.step) / int64(slot)
	return o.SSRC, rtcp.SenderInfo{NTP: a.NTP(now), RTP: o.ts + uint32(ticks), Packets: o.packets, Octets: o.octets}, true
}

// Stats returns a snapshot of an output.
func (m *Mixer) Stats(t ids.Track) (plane.MixStats, bool) {
	o := m.byOut[t]
	if o == nil {
		return plane.MixStats{}, false
	}
	s := plane.MixStats{}
	if c := o.class; c != nil {
		s.Contributors = slices.Clone(c.csrc[:c.nc])
		s.Shared, s.Bitrate = len(c.outputs), uint64(c.bits*50)
		if c.enc != nil {
			s.Encoder = c.enc.Name()
		}
	}
	return s, true
}

// SourceStats is how well a source comes in.
type SourceStats struct {
	Lost, Late, Cut, Bad uint64
	Delay, Target        time.Duration
	Level                uint8
	Chosen, Looped       bool
}

// SourceStats returns a snapshot of a source.
func (m *Mixer) SourceStats(t ids.Track) (SourceStats, bool) {
	s := m.byTrack[t]
	if s == nil {
		return SourceStats{}, false
	}
	b := &s.jb
	return SourceStats{
		Lost: b.lost, Late: b.late, Cut: b.cut, Bad: s.bad, Delay: min(b.low[0], b.low[1]), Target: b.target(),
		Level: s.level, Chosen: s.chosen, Looped: s.looped != 0,
	}, true
}
