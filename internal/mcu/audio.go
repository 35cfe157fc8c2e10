package mcu

import (
	"fmt"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu/audiomix"
	"parley/internal/mcu/codec"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

// audioHalf is the audio of a room: one mixer, and a translator for each source
// that some leg cannot decode.
type audioHalf struct {
	host    host
	lib     *codec.Library
	mix     *audiomix.Mixer
	now     clock.Time // of the slot being made
	outs    map[ids.Track]*outlet
	byIndex []*outlet // lane numbers given to the mixer; nil: free
	index   map[ids.Track]int
	tr      map[ids.Track][]*translation // by source
	room    plane.MixRoom
}

// translation is one source into one codec.
type translation struct {
	out Output
	t   *audiomix.Translator
}

func audioMaker(lib *codec.Library, talkers int) Maker {
	return Maker{
		Can: lib.Can,
		New: func(c HalfConfig) Half {
			h := &audioHalf{
				host: c.Host.(host), lib: lib, outs: map[ids.Track]*outlet{}, index: map[ids.Track]int{},
				tr: map[ids.Track][]*translation{},
			}
			h.mix = audiomix.New(audiomix.Config{
				Codecs: lib, Sink: h, Random: ids.Random32, Talkers: talkers,
				Exts: audiomix.Exts{Level: ExtLevel, MixLevels: ExtMixLevels, Noise: ptNoise},
			})
			return h
		},
	}
}

// SetRoom implements [Half].
func (h *audioHalf) SetRoom(_ clock.Time, room plane.MixRoom) {
	h.room = room
	h.mix.SetSources(room.Sources)
	h.want()
}

// want asks for every source that may be heard, or only for those translated.
func (h *audioHalf) want() {
	var list []Want
	for i := range h.room.Sources {
		s := &h.room.Sources[i]
		if s.Kind == plane.Audio && (len(h.outs) > 0 && !s.Muted || len(h.tr[s.Track]) > 0) {
			list = append(list, Want{Track: s.Track})
		}
	}
	h.host.Want(plane.Audio, list)
}

// Start implements [Half].
func (h *audioHalf) Start(now clock.Time, out Output) error {
	if out.Only != "" {
		return h.translate(out)
	}
	i, ok := h.index[out.Track]
	if !ok {
		i = len(h.byIndex)
		for k, x := range h.byIndex {
			if x == nil {
				i = k
			}
		}
		if i == len(h.byIndex) {
			h.byIndex = append(h.byIndex, nil)
		}
		h.index[out.Track] = i
	}
	h.byIndex[i], h.outs[out.Track] = out.outlet, out.outlet
	err := h.mix.Start(now, audiomix.Output{MixOutput: out.MixOutput, SSRC: out.SSRC, Levels: out.Levels, Lane: i})
	if err != nil {
		h.Stop(out.Track)
		return err
	}
	h.want()
	return nil
}

func (h *audioHalf) translate(out Output) error {
	for _, x := range h.tr[out.Only] {
		if x.out.Track == out.Track {
			x.out = out
			return nil
		}
	}
	for i := range h.room.Sources {
		s := &h.room.Sources[i]
		if s.Track != out.Only {
			continue
		}
		t, err := audiomix.NewTranslator(audiomix.TranslatorConfig{
			Codecs: h.lib, From: s.Codec, To: out.Codec, SSRC: out.SSRC, Seq: uint16(ids.Random32()), TS: ids.Random32(),
		})
		if err != nil {
			return err
		}
		h.tr[out.Only] = append(h.tr[out.Only], &translation{out, t})
		h.want()
		return nil
	}
	return fmt.Errorf("no source %s", out.Only)
}

// Stop implements [Half].
func (h *audioHalf) Stop(out ids.Track) {
	if i, ok := h.index[out]; ok {
		h.mix.Stop(out)
		h.byIndex[i] = nil
		delete(h.index, out)
		delete(h.outs, out)
	}
	for src, list := range h.tr {
		for i, x := range list {
			if x.out.Track == out {
				x.t.Close()
				if h.tr[src] = append(list[:i:i], list[i+1:]...); len(h.tr[src]) == 0 {
					delete(h.tr, src)
				}
				break
			}
		}
	}
	h.want()
}

// HandleRTP implements [Half].
func (h *audioHalf) HandleRTP(now clock.Time, src ids.Track, packet []byte) {
	if len(h.outs) > 0 {
		h.mix.HandleRTP(now, src, packet)
	}
	for _, x := range h.tr[src] {
		x.t.HandleRTP(now, packet, func(b []byte) { h.host.Emit(x.out.Track, now, [][]byte{b}) })
	}
}

// HandleSR implements [Half]; mixed audio needs no wall clock of its sources.
func (h *audioHalf) HandleSR(clock.Time, ids.Track, rtcp.SenderInfo) {}

// Gone implements [Half].
func (h *audioHalf) Gone(clock.Time, ids.Track) {}

// KeyframeWanted implements [Half].
func (h *audioHalf) KeyframeWanted(clock.Time, ids.Track) {}

// SetRate implements [Half].
func (h *audioHalf) SetRate(_ clock.Time, out ids.Track, bps uint64) { h.mix.SetRate(out, bps) }

// SetLoss implements [Half].
func (h *audioHalf) SetLoss(now clock.Time, out ids.Track, fraction float64) {
	h.mix.SetLoss(now, out, fraction)
}

// Tick implements [Half].
func (h *audioHalf) Tick(now clock.Time) {
	h.now = now
	if len(h.outs) > 0 {
		h.mix.Tick(now)
	}
	for _, list := range h.tr {
		for _, x := range list {
			x.t.Tick(now, func(b []byte) { h.host.Emit(x.out.Track, now, [][]byte{b}) })
		}
	}
}

// Stats implements [Half].
func (h *audioHalf) Stats(out ids.Track) (plane.MixStats, bool) {
	for _, list := range h.tr {
		for _, x := range list {
			if x.out.Track == out {
				return plane.MixStats{Encoder: x.t.Encoder(), Shared: 1, Contributors: []uint32{x.out.SSRC}}, true
			}
		}
	}
	return h.mix.Stats(out)
}

// Close implements [Half].
func (h *audioHalf) Close() {
	h.mix.Close()
	for _, list := range h.tr {
		for _, x := range list {
			x.t.Close()
		}
	}
}

// Packet implements audiomix.Sink.
func (h *audioHalf) Packet(lane int, _ ids.Track, b []byte) {
	if x := h.byIndex[lane]; x != nil {
		h.host.link.gather(x, h.now, b)
	}
}

// Contributors implements audiomix.Sink.
func (h *audioHalf) Contributors(out ids.Track, now []plane.Contributor) {
	h.host.Contributors(out, now)
}

// Loop implements audiomix.Sink.
func (h *audioHalf) Loop(src ids.Track, id uint32) {
	h.host.Report("loop", src, fmt.Sprintf("it carries our own id %08x: muted", id))
}
