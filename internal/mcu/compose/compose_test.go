package compose

import (
	"errors"
	"testing"
	"time"

	"parley/internal/mcu/codec/videocodec"
	"parley/internal/mcu/picture"
	"parley/internal/media/payload"
)

// plain is an encoder that remembers.
type plain struct {
	set    videocodec.Settings
	frames int
	rate   int
	ticks  []uint32
	closed bool
	fail   error
}

func (p *plain) Encode(f *picture.Frame, d uint32, key bool) ([]byte, bool, error) {
	p.frames++
	p.ticks = append(p.ticks, d)
	return []byte{byte(p.frames), f.Y[0]}, key, p.fail
}
func (p *plain) SetRate(bps int) { p.rate = bps }
func (p *plain) Close()          { p.closed = true }

// still is a film of one colour.
type still struct {
	f  *picture.Frame
	n  uint64
	ts uint32
}

func (s *still) Latest() (*picture.Frame, uint64, uint32) { return s.f, s.n, s.ts }

func fake(t *testing.T) *[]*plain {
	made, real := &[]*plain{}, makeEncoder
	makeEncoder = func(s videocodec.Settings) (videocodec.Encoder, error) {
		p := &plain{set: s, rate: s.Rate}
		*made = append(*made, p)
		return p, nil
	}
	t.Cleanup(func() { makeEncoder = real })
	return made
}

func clock() func() time.Duration { return func() time.Duration { return 0 } }

func tile(source int, r picture.Rect) picture.Tile { return picture.Tile{Source: source, Rect: r} }

func TestStreamsKeepTheirEncoders(t *testing.T) {
	made := fake(t)
	c := New(clock(), nil)
	defer c.Close()
	whole := picture.Rect{W: 64, H: 64}
	s := Scene{
		Canvases: []Canvas{{ID: 1, W: 64, H: 64, Tiles: []picture.Tile{tile(1, whole)}}},
		Streams:  []Stream{{ID: 1, Canvas: 1, Codec: payload.VP8, Rate: 100, Every: 1}, {ID: 2, Canvas: 1, Codec: payload.VP8, Rate: 50, Every: 3}},
	}
	c.Set(s)
	keys := 0
	for i := range 6 {
		for _, o := range c.Tick() {
			if o.Key {
				keys++
			}
		}
		if i == 3 {
			c.Key(1)
		}
	}
	e := *made
	if len(e) != 2 || e[0].frames != 6 || e[1].frames != 2 || keys != 3 || e[1].ticks[0] != 9000 {
		t.Fatalf("%d encoders, %+v, %d keyframes", len(e), e, keys)
	}
	// Another tile and rate: the same encoder. Another size: a new one.
	s.Canvases[0].Tiles[0].Name = "x"
	s.Streams[0].Rate = 70
	c.Set(s)
	c.Tick()
	if len(*made) != 2 || e[0].rate != 70 || e[0].closed {
		t.Errorf("%d encoders, rate %d", len(*made), e[0].rate)
	}
	s.Canvases[0].W = 128
	c.Set(s)
	c.Tick()
	if !e[0].closed || len(*made) != 3 {
		t.Errorf("the old size is still encoded")
	}
	s.Streams = s.Streams[1:]
	c.Set(s)
	if !(*made)[2].closed {
		t.Error("a stream nobody wants is still there")
	}
}

// A failing encoder is told of, and tried again with a keyframe.
func TestEncoderThatFails(t *testing.T) {
	made := fake(t)
	failed := 0
	c := New(clock(), func(uint32, error) { failed++ })
	defer c.Close()
	c.Set(Scene{Canvases: []Canvas{{ID: 1, W: 64, H: 64}}, Streams: []Stream{{ID: 1, Canvas: 1, Every: 1}}})
	c.Tick()
	(*made)[0].fail = errors.New("no")
	if out := c.Tick(); len(out) != 0 || failed != 1 || !(*made)[0].closed {
		t.Fatalf("%d pictures, %d failures", len(out), failed)
	}
	if out := c.Tick(); len(out) != 1 || !out[0].Key {
		t.Errorf("%+v", out)
	}
}

func TestFollowingHasTheSourcesTime(t *testing.T) {
	made := fake(t)
	c := New(clock(), nil)
	defer c.Close()
	f := &still{f: picture.New(64, 64)}
	c.SetFilm(4, f)
	c.Set(Scene{Canvases: []Canvas{{ID: 1, W: 64, H: 64, Tiles: []picture.Tile{tile(4, picture.Rect{W: 64, H: 64})}}}, Streams: []Stream{{ID: 1, Canvas: 1, Follow: true, Every: 1}}})
	var ts []uint32
	for i := range uint32(4) {
		f.n, f.ts = uint64(i+1), 1000+i*4500
		c.Tick() // nothing
		for range 2 {
			for _, o := range c.Frame(1) {
				ts = append(ts, o.TS)
			}
		}
	}
	if len(ts) != 4 || ts[3] != 1000+3*4500 || (*made)[0].ticks[2] != 4500 {
		t.Errorf("%v %v", ts, (*made)[0].ticks)
	}
}

// Only what changed is drawn, and what lies over it.
func TestOnlyChangesAreDrawn(t *testing.T) {
	fake(t)
	c := New(clock(), nil)
	defer c.Close()
	red, blue := picture.RGB(200, 0, 0), picture.RGB(0, 0, 200)
	a, b := &still{f: picture.New(64, 64), n: 1}, &still{f: picture.New(32, 32), n: 1}
	a.f.Fill(red)
	b.f.Fill(blue)
	c.SetFilm(1, a)
	c.SetFilm(2, b)
	c.Set(Scene{
		Canvases: []Canvas{{ID: 1, W: 64, H: 64, Tiles: []picture.Tile{tile(1, picture.Rect{W: 64, H: 64}), tile(2, picture.Rect{X: 32, Y: 32, W: 32, H: 32})}}},
		Streams:  []Stream{{ID: 1, Canvas: 1, Every: 1}},
	})
	c.Tick()
	k := c.canvases[0].frame
	look := func() (byte, byte) { return k.Y[0], k.Y[40*k.YS+40] }
	if x, y := look(); x != red.Y || y != blue.Y {
		t.Fatalf("%d %d", x, y)
	}
	k.Y[0] = 99 // a mark that stays while nothing changes
	c.Tick()
	if x, _ := look(); x != 99 {
		t.Error("drawn though nothing changed")
	}
	a.n++
	c.Tick()
	if x, y := look(); x != red.Y || y != blue.Y {
		t.Errorf("%d %d: the inset is drawn again over what changed", x, y)
	}
	c.SetFilm(2, nil)
	c.Tick()
	if _, y := look(); y != picture.Empty.Y {
		t.Errorf("%d: the place holder", y)
	}
}
