package audiomix

import (
	"slices"
	"time"

	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

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
