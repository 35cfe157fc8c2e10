package node

import (
	"parley/internal/base/clock"
	"parley/internal/mcu"
	"parley/internal/mcu/codec"
	"parley/internal/mcu/videomix"
	"parley/internal/metrics"
)

// openMixer makes the mixer and hands it to the focus, unless it is off. It
// costs nothing until a conference needs it.
func (n *Node) openMixer(clk *clock.System) {
	if n.cfg.Mixer == "off" {
		return
	}
	lib := codec.Open(codec.Options{})
	n.mixer = mcu.New(mcu.Config{
		Plane: n.pool, Wires: n.pool, Now: clk.Now, Anchor: clk.Anchor(), Log: n.log, Codecs: lib,
		Video: videomix.NewMaker(videomix.Config{MaxWidth: n.cfg.Limits.PictureWidth, MaxHeight: n.cfg.Limits.PictureHeight}),
	})
	n.focus.SetMixer(n.mixer)
	n.log.Debug("mixer", "opus", lib.Names())
}

// closeMixer ends what runs still, before the media workers stop.
func (n *Node) closeMixer() {
	if n.mixer != nil {
		n.mixer.Close()
	}
}

func (n *Node) measureMixer(v metrics.Values) {
	if n.mixer == nil {
		return
	}
	c := n.mixer.Counters()
	v.Set("parley_mixer_rooms", "", float64(c.Rooms))
	v.Set("parley_mixer_outputs", "audio", float64(c.Audio))
	v.Set("parley_mixer_outputs", "video", float64(c.Video))
	byLabel(v, "parley_mixer_slots_total", map[string]uint64{"made": c.Slots, "late": c.Late})
	byLabel(v, "parley_mixer_packets_total", map[string]uint64{"in": c.PacketsIn, "out": c.PacketsOut, "dropped": c.Dropped})
	byLabel(v, "parley_mixer_refused_total", map[string]uint64{"audio": c.Refused[0], "video": c.Refused[1]})
	v.Set("parley_mixer_loops_total", "", float64(c.Loops))
}
