package videomix

import (
	"log/slog"
	"maps"
	"sync"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/mcu"
	"parley/internal/mcu/compose"
	"parley/internal/mcu/videochild"
	"parley/internal/media/payload"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

// half is one conference's video.
type half struct {
	cfg  Config
	host mcu.Host
	now  func() clock.Time
	log  *slog.Logger
	wg   sync.WaitGroup // of processes being closed

	mu       sync.Mutex // guards all below
	room     plane.MixRoom
	sources  map[ids.Track]*source
	outputs  map[ids.Track]*output
	streams  map[streamKey]*stream
	canvases map[view]uint32
	composer *videochild.Composer // from the first output on
	scene    compose.Scene
	wants    []mcu.Want
	told     map[ids.Track]bool // that a source cannot be decoded
	pace     pace
	load     videochild.Load
	spent    Usage // of composers
	lastID   uint32
	closed   bool
	strained bool       // counted in cfg.strained
	bored    clock.Time // since when there is no output, 0: there are
	shift    clock.Time // of our clock against the monotonic one of processes
}

func newHalf(c Config, h mcu.HalfConfig) *half {
	log := h.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &half{
		cfg: c, host: h.Host, now: h.Now, log: log,
		sources: map[ids.Track]*source{}, outputs: map[ids.Track]*output{},
		streams: map[streamKey]*stream{}, canvases: map[view]uint32{}, told: map[ids.Track]bool{},
		shift: h.Now() - clock.Time(videochild.Monotonic()),
	}
}

func (h *half) id() uint32 {
	h.lastID++
	return h.lastID
}

// SetRoom implements mcu.Half.
func (h *half) SetRoom(now clock.Time, room plane.MixRoom) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.room = room
	known := map[ids.Track]bool{}
	for i := range room.Sources {
		if s := &room.Sources[i]; s.Kind == plane.Video {
			known[s.Track] = true
			if have := h.sources[s.Track]; have != nil && have.codec != payload.ByName(s.Codec.Name) {
				h.drop(have)
			}
		}
	}
	for t, s := range h.sources {
		if !known[t] {
			h.drop(s)
		}
	}
	maps.DeleteFunc(h.told, func(t ids.Track, _ bool) bool { return !known[t] })
	h.arrange(now)
}

// Start implements mcu.Half.
func (h *half) Start(now clock.Time, out mcu.Output) error {
	if err := Can(out.Codec); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fault.New(503, "ended", "the conference has ended")
	}
	o := h.outputs[out.Track]
	if o == nil {
		if h.cfg.strained.Load() > 0 && h.lonely(out) { // whoever it is: they share the processors
			return fault.New(503, "overloaded", "the mixer has no room for another picture")
		}
		if h.composer == nil && !h.compose() {
			return fault.New(503, "overloaded", "the mixer has no room for another conference with pictures")
		}
		o = newOutput(now, out)
		h.outputs[out.Track] = o
	}
	o.Output = out
	h.arrange(now)
	return nil
}

// compose starts the composer.
func (h *half) compose() bool {
	if !h.cfg.take() {
		return false
	}
	h.composer, h.scene, h.pace = videochild.NewComposer(videochild.Settings{Nice: h.cfg.Nice}, h.composerEvents()), compose.Scene{}, pace{off: h.pace.off}
	for _, s := range h.sources {
		h.composer.Map(s.film, s.dec.Film)
	}
	return true
}

// rest ends a composer that has had nothing to do for a while; with h.mu held.
func (h *half) rest(now clock.Time) {
	if len(h.outputs) > 0 || h.composer == nil {
		h.bored = 0
		return
	}
	if h.bored == 0 {
		h.bored = now
	}
	if now.Sub(h.bored) > 2*linger {
		h.stopComposer()
	}
}

// stopComposer ends the composer; with h.mu held. It is waited for elsewhere,
// since its callbacks want the lock.
func (h *half) stopComposer() {
	if c := h.composer; c != nil {
		h.composer = nil
		h.strain(false)
		h.wg.Go(func() {
			c.Close()
			h.cfg.running.Add(-1)
		})
	}
}

// strain counts this half among those that cannot give up more; with h.mu held.
func (h *half) strain(now bool) {
	switch {
	case now && !h.strained:
		h.cfg.strained.Add(1)
	case !now && h.strained:
		h.cfg.strained.Add(-1)
	}
	h.strained = now
}

// lonely tells that an output would need an encoder of its own.
func (h *half) lonely(out mcu.Output) bool {
	for _, o := range h.outputs {
		if o.Codec.Name == out.Codec.Name && o.Layout == out.Layout && o.Width == out.Width && o.Height == out.Height && o.Only == out.Only {
			return false
		}
	}
	return true
}

// Stop implements mcu.Half.
func (h *half) Stop(out ids.Track) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.outputs, out)
	h.arrange(h.now())
}

// HandleRTP implements mcu.Half.
func (h *half) HandleRTP(now clock.Time, src ids.Track, packet []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.sources[src]; s != nil {
		s.packet(now, packet)
		h.feed(now, s)
	}
}

// HandleSR implements mcu.Half. Composed pictures are on the mixer's clock; a
// transcoded one keeps its source's timestamps, whose pace tells enough.
func (h *half) HandleSR(clock.Time, ids.Track, rtcp.SenderInfo) {}

// Gone implements mcu.Half.
func (h *half) Gone(now clock.Time, src ids.Track) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.sources[src]; s != nil {
		h.drop(s)
		h.arrange(now)
	}
}

// KeyframeWanted implements mcu.Half: the mixer's encoder answers, no source is
// asked (MIX-8).
func (h *half) KeyframeWanted(now clock.Time, out ids.Track) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o := h.outputs[out]; o != nil && o.stream != nil {
		h.wantKey(now, o.stream)
	}
}

// SetRate implements mcu.Half.
func (h *half) SetRate(now clock.Time, out ids.Track, bps uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o := h.outputs[out]; o != nil {
		o.limit = bps
		h.rates(now)
	}
}

// SetLoss implements mcu.Half. Loss is repaired by retransmission and answered by
// the estimate; a coded picture has nothing to set.
func (h *half) SetLoss(clock.Time, ids.Track, float64) {}

// Tick implements mcu.Half.
func (h *half) Tick(now clock.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.sources {
		s.dec.Poll()
		h.feed(now, s)
		s.ask(now, h.host)
	}
	for _, st := range h.streams {
		if st.later != 0 && !now.Before(st.later) {
			h.wantKey(now, st)
		}
	}
	for _, o := range h.outputs {
		if o.second(now) {
			h.rates(now)
		}
	}
	for _, s := range h.sources {
		if s.idle != 0 && now.Sub(s.idle) > linger {
			h.drop(s)
		}
	}
	h.rest(now)
}

// Stats implements mcu.Half.
func (h *half) Stats(out ids.Track) (plane.MixStats, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := h.outputs[out]
	if o == nil {
		return plane.MixStats{}, false
	}
	s := o.stats
	s.Contributors = append([]uint32(nil), o.csrc...)
	if o.stream != nil {
		s.Encoder, s.Shared = o.stream.encoder(), o.stream.members
	}
	return s, true
}

// Usage is what video mixing of a conference has cost so far in its processes.
type Usage struct {
	CPU, Codec time.Duration // all, and of it inside the codec libraries
	// Decoders is their part of both.
	Decoders struct{ CPU, Codec time.Duration }
	Late     uint64 // ticks left out
	Level    int    // of the pace, 0: nothing given up
}

// Usage returns the present processes' sum.
func (h *half) Usage() Usage {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.spent
	u.Level = h.pace.level
	for _, s := range h.sources {
		u.Decoders.CPU += time.Duration(s.cpu)
		u.Decoders.Codec += time.Duration(s.inCodec)
	}
	u.CPU += u.Decoders.CPU
	u.Codec += u.Decoders.Codec
	return u
}

// Close implements mcu.Half.
func (h *half) Close() {
	h.mu.Lock()
	h.closed = true
	for _, s := range h.sources {
		h.drop(s)
	}
	h.stopComposer()
	h.mu.Unlock()
	h.wg.Wait()
}

func (h *half) composerEvents() videochild.ComposerEvents {
	return videochild.ComposerEvents{
		Up:    func() {},
		Coded: h.coded,
		Load:  h.second,
		Failed: func(id uint32, text string) {
			h.log.Warn("video encoder failed", "conf", h.room.Conf, "stream", id, "err", text)
		},
		Died: func(err error) {
			h.log.Warn("video composer died", "err", err)
			h.host.Report("video-composer-died", "", err.Error())
		},
	}
}

// second takes a composer's report and lowers or raises the work.
func (h *half) second(l videochild.Load) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.load = l
	h.spent.CPU, h.spent.Codec = max(h.spent.CPU, time.Duration(l.CPU)), h.spent.Codec+time.Duration(l.Codec)
	h.spent.Late += uint64(l.Late)
	if h.pace.second(busy(l), int(l.Late), int(l.Ticks)) {
		h.log.Info("video pace", "conf", h.room.Conf, "level", h.pace.level)
		h.arrange(h.now())
	}
	h.strain(h.pace.full() && h.composer != nil && len(h.outputs) > 0)
}
