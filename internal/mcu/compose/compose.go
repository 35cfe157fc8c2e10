// Package compose makes coded pictures out of frames: canvases with tiles, and
// encoders over canvases. It is told a Scene by the video half and runs in the
// composer process, which owns its clock and its loop.
//
// It is not the decision what is shown where (videomix) and decodes nothing.
// One goroutine calls a Composer; it draws and encodes on several inside a call.
package compose

import (
	"slices"
	"sync"
	"time"

	"parley/internal/mcu/codec/videocodec"
	"parley/internal/mcu/picture"
	"parley/internal/media/payload"
)

// Scene is all that shall be made; each replaces the one before.
type Scene struct {
	Canvases []Canvas
	Streams  []Stream
}

// Canvas is a picture of tiles.
type Canvas struct {
	ID    uint32
	W, H  int
	Tiles []picture.Tile
}

// Stream is one encoding of a canvas.
type Stream struct {
	ID     uint32
	Canvas uint32
	Codec  payload.Codec
	Rate   int // bit/s
	Every  int // of each so many ticks one picture
	MaxNAL int
	// Follow makes a picture for each frame of the canvas's one source, with its
	// timestamp (transcoding), not by ticks.
	Follow bool
}

// Film is where a source's frames come from.
type Film interface {
	// Latest returns the newest frame, its number and its RTP timestamp; number 0:
	// none yet. The frame is valid until the source has shown two more.
	Latest() (f *picture.Frame, number uint64, ts uint32)
}

// Coded is one coded picture. Data is valid until the stream's next one.
type Coded struct {
	Stream uint32
	Key    bool
	W, H   int
	TS     uint32 // of the source, with Follow
	Data   []byte
}

// Load says how busy a composer was since the last asking.
type Load struct {
	Busy    time.Duration // in Tick
	Codec   time.Duration // of it in encoders
	Ticks   int
	Encoded int
}

// TickRate is how many ticks a second has; streams take each, or each second,
// third … one.
const TickRate = 30

// Composer draws and encodes.
type Composer struct {
	films    map[int]Film
	canvases []*canvas
	streams  []*stream
	tick     int
	load     Load
	now      func() time.Duration // CPU or wall time for Load
	errs     func(stream uint32, err error)
}

// New makes an empty composer. now measures time spent; failed hears of encoders
// that could not be made or failed, and may be nil.
func New(now func() time.Duration, failed func(stream uint32, err error)) *Composer {
	if failed == nil {
		failed = func(uint32, error) {}
	}
	return &Composer{films: map[int]Film{}, now: now, errs: failed}
}

// SetFilm gives a source its frames; nil takes them away.
func (c *Composer) SetFilm(source int, f Film) {
	if f == nil {
		delete(c.films, source)
	} else {
		c.films[source] = f
	}
	for _, k := range c.canvases {
		k.forget(source)
	}
}

// Set takes a scene; canvases and streams that stay keep their state.
func (c *Composer) Set(s Scene) {
	old := c.canvases
	c.canvases = nil
	for _, want := range s.Canvases {
		i := slices.IndexFunc(old, func(k *canvas) bool { return k.ID == want.ID })
		var k *canvas
		if i >= 0 {
			k = old[i]
		} else {
			k = &canvas{painter: picture.NewPainter()}
		}
		k.set(want)
		c.canvases = append(c.canvases, k)
	}
	before := c.streams
	c.streams = nil
	for _, want := range s.Streams {
		i := slices.IndexFunc(before, func(t *stream) bool { return t != nil && t.ID == want.ID })
		t := &stream{}
		if i >= 0 {
			t, before[i] = before[i], nil
		}
		t.set(want)
		t.canvas = c.canvas(want.Canvas)
		c.streams = append(c.streams, t)
	}
	for _, t := range before {
		if t != nil {
			t.close()
		}
	}
}

func (c *Composer) canvas(id uint32) *canvas {
	for _, k := range c.canvases {
		if k.ID == id {
			return k
		}
	}
	return nil
}

func (c *Composer) stream(id uint32) *stream {
	for _, t := range c.streams {
		if t.ID == id {
			return t
		}
	}
	return nil
}

// Key makes the next picture of a stream a keyframe.
func (c *Composer) Key(id uint32) {
	if t := c.stream(id); t != nil {
		t.key = true
	}
}

// Rate changes a stream's rate at once.
func (c *Composer) Rate(id uint32, bps int) {
	if t := c.stream(id); t != nil {
		t.rate(bps)
	}
}

// Tick makes the pictures due at this tick.
func (c *Composer) Tick() []Coded {
	c.tick++
	var due []*stream
	for _, t := range c.streams {
		if !t.Follow && t.canvas != nil && c.tick%max(t.Every, 1) == 0 {
			due = append(due, t)
		}
	}
	c.load.Ticks++
	return c.work(due)
}

// Frame makes a following stream's picture, since its source has a new frame.
func (c *Composer) Frame(id uint32) []Coded {
	t := c.stream(id)
	if t == nil || !t.Follow || t.canvas == nil {
		return nil
	}
	return c.work([]*stream{t})
}

func (c *Composer) work(due []*stream) []Coded {
	if len(due) == 0 {
		return nil
	}
	began := time.Now()
	var draw []*canvas
	for _, t := range due {
		if !slices.Contains(draw, t.canvas) {
			draw = append(draw, t.canvas)
		}
	}
	parallel(len(draw), func(i int) { draw[i].paint(c.films) })
	parallel(len(due), func(i int) { due[i].encode(c.now) })
	var out []Coded
	for _, t := range due {
		c.load.Codec += t.spent
		if t.err != nil {
			c.errs(t.ID, t.err)
			continue
		}
		if len(t.out.Data) > 0 {
			c.load.Encoded++
			out = append(out, t.out)
		}
	}
	c.load.Busy += time.Since(began)
	return out
}

// parallel runs f for each i; a single one stays on this goroutine.
func parallel(n int, f func(i int)) {
	if n == 1 {
		f(0)
		return
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// Load returns what was done since the last asking.
func (c *Composer) Load() Load {
	l := c.load
	c.load = Load{}
	return l
}

// Close frees all encoders.
func (c *Composer) Close() {
	for _, t := range c.streams {
		t.close()
	}
	c.streams = nil
}

// makeEncoder is replaced in tests.
var makeEncoder = videocodec.NewEncoder
