//go:build linux

package videochild

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parley/internal/mcu/codec/videocodec"
	"parley/internal/mcu/compose"
	"parley/internal/mcu/picture"
	"parley/internal/media/payload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const long = 20 * time.Second // for slow machines; nothing here takes that long

func wait[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(long):
		t.Fatalf("%s did not come", what)
	}
	panic("unreachable")
}

// stream is n coded pictures of one colour each, the first a keyframe.
func stream(t testing.TB, c payload.Codec, w, h, n int, col picture.Color) [][]byte {
	t.Helper()
	if c == payload.AV1 {
		return recorded(t)
	}
	e, err := videocodec.NewEncoder(videocodec.Settings{Codec: c, Width: w, Height: h, Rate: 800_000, FPS: 30})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	f := picture.New(w, h)
	var out [][]byte
	for i := range n {
		f.Fill(col)
		f.Sub(picture.Rect{X: 2 * (i % 20), Y: 16, W: 32, H: 32}).Fill(picture.White)
		b, _, err := e.Encode(f, 3000, i == 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 0 {
			out = append(out, append([]byte(nil), b...))
		}
	}
	return out
}

// recorded is a second of ffmpeg's testsrc2, 160 × 90, by libaom.
func recorded(t testing.TB) (out [][]byte) {
	t.Helper()
	b, err := os.ReadFile("testdata/av1.ivf")
	if err != nil {
		t.Fatal(err)
	}
	for b = b[32:]; len(b) >= 12; {
		n := int(binary.LittleEndian.Uint32(b))
		out = append(out, b[12:12+n])
		b = b[12+n:]
	}
	return out
}

type rig struct {
	*Decoder
	up, died chan struct{}
	results  chan Result
}

func decoder(t testing.TB) *rig {
	t.Helper()
	r := &rig{up: make(chan struct{}, 100), died: make(chan struct{}, 100), results: make(chan Result, 1<<16)}
	var err error
	r.Decoder, err = NewDecoder(Settings{Nice: 5}, 1920*1088, DecoderEvents{
		Up:     func() { r.up <- struct{}{} },
		Died:   func(error) { r.died <- struct{}{} },
		Result: func(x Result) { r.results <- x },
	})
	if err != nil {
		t.Fatal(err)
	}
	stop, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				r.Poll()
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-gone })
	return r
}

func TestDecoderProcess(t *testing.T) {
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			d := decoder(t)
			defer d.Close()
			wait(t, "process", d.up)
			col := picture.RGB(200, 40, 40)
			for i, u := range stream(t, c, 320, 180, 10, col) {
				if _, ok := d.Submit(c, 0, uint32(i)*3000, u); !ok {
					t.Fatal("not taken")
				}
				r := wait(t, "result", d.results)
				if r.State != Shown || r.W != 320 || r.H != 180 || r.TS != uint32(i)*3000 {
					t.Fatalf("%+v", r)
				}
			}
			m, err := mapFilm(int(d.Film.f.Fd()), false)
			if err != nil {
				t.Fatal(err)
			}
			defer m.close()
			f, n, ts := m.Latest()
			if n != 10 || ts != 9*3000 || f.W != 320 {
				t.Fatalf("frame %d at %d", n, ts)
			}
			at := 100*f.YS + 200
			if y := int(f.Y[at]) - int(col.Y); y > 6 || y < -6 {
				t.Errorf("luma off by %d", y)
			}
			// Nonsense is an answer, not a death.
			d.Submit(c, 0, 1, []byte("this is no picture at all"))
			if r := wait(t, "result", d.results); r.State == Shown {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestDecoderProcessAV1(t *testing.T) {
	d := decoder(t)
	defer d.Close()
	wait(t, "process", d.up)
	for i, u := range recorded(t) {
		if s, ok := payload.Claimed(payload.AV1, u); !ok || i == 0 && (s.Width != 160 || s.Height != 90) {
			t.Fatalf("unit %d claims %+v %v", i, s, ok)
		}
		d.Submit(payload.AV1, 0, uint32(i), u)
		if r := wait(t, "result", d.results); r.State != Shown || r.W != 160 || r.H != 90 {
			t.Fatalf("%d: %+v", i, r)
		}
	}
}

// A killed process is back within a second, and so is one that hangs, once it is
// found out.
func TestDecoderComesBack(t *testing.T) {
	d := decoder(t)
	defer d.Close()
	units := stream(t, payload.VP8, 320, 180, 2, picture.White)
	wait(t, "process", d.up)
	for range 3 {
		pid := d.PID()
		began := time.Now()
		_ = syscall.Kill(pid, syscall.SIGSEGV)
		wait(t, "death", d.died)
		wait(t, "new process", d.up)
		if d.PID() == pid {
			t.Error("the same process")
		}
		d.Submit(payload.VP8, 0, 7, units[0])
		if r := wait(t, "result", d.results); r.State != Shown {
			t.Errorf("%+v", r)
		}
		t.Logf("back in %v", time.Since(began))
	}
	_ = syscall.Kill(d.PID(), syscall.SIGSTOP)
	d.Submit(payload.VP8, 0, 8, units[0])
	wait(t, "death", d.died)
	wait(t, "new process", d.up)
}

func TestComposerProcess(t *testing.T) {
	d := decoder(t)
	defer d.Close()
	wait(t, "process", d.up)
	units := stream(t, payload.VP8, 320, 180, 1, picture.RGB(30, 60, 220))
	d.Submit(payload.VP8, 0, 1, units[0])
	wait(t, "result", d.results)

	var mu sync.Mutex
	got := map[uint32][]Coded{}
	up, died, some := make(chan struct{}, 10), make(chan struct{}, 10), make(chan struct{}, 10000)
	c := NewComposer(Settings{Nice: 5}, ComposerEvents{
		Up: func() { up <- struct{}{} }, Died: func(error) { died <- struct{}{} },
		Coded: func(o Coded) {
			o.Data = append([]byte(nil), o.Data...)
			mu.Lock()
			got[o.Stream] = append(got[o.Stream], o)
			mu.Unlock()
			some <- struct{}{}
		},
		Load: func(Load) {}, Failed: func(_ uint32, s string) { t.Error(s) },
	})
	defer c.Close()
	c.Map(3, d.Film)
	c.Set(compose.Scene{
		Canvases: []compose.Canvas{{ID: 1, W: 320, H: 180, Tiles: []picture.Tile{{Rect: picture.Rect{W: 320, H: 180}, Source: 3}}}},
		Streams:  []compose.Stream{{ID: 9, Canvas: 1, Codec: payload.VP8, Rate: 300_000, Every: 1}, {ID: 10, Canvas: 1, Codec: payload.H264, Rate: 300_000, Every: 2}},
	})
	check := func() {
		t.Helper()
		for deadline := time.Now().Add(long); ; {
			mu.Lock()
			a, b := len(got[9]), len(got[10])
			mu.Unlock()
			if a >= 10 && b >= 4 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d and %d pictures", a, b)
			}
			wait(t, "picture", some)
		}
		mu.Lock()
		defer mu.Unlock()
		for id, codec := range map[uint32]payload.Codec{9: payload.VP8, 10: payload.H264} {
			dec, err := videocodec.NewDecoder(codec)
			if err != nil {
				t.Fatal(err)
			}
			for i, o := range got[id] {
				if o.Key != (i == 0) || o.W != 320 || o.H != 180 {
					t.Errorf("stream %d picture %d: %v %d × %d", id, i, o.Key, o.W, o.H)
				}
				f, err := dec.Decode(o.Data)
				if err != nil || f == nil {
					t.Fatalf("stream %d picture %d: %v", id, i, err)
				}
				want := picture.RGB(30, 60, 220)
				if u := int(f.U[50*f.CS+100]) - int(want.U); u > 8 || u < -8 {
					t.Errorf("stream %d picture %d: colour off by %d", id, i, u)
				}
			}
			dec.Close()
		}
		clear(got)
	}
	wait(t, "composer", up)
	check()
	_ = syscall.Kill(c.PID(), syscall.SIGKILL)
	wait(t, "death", died)
	mu.Lock()
	clear(got)
	mu.Unlock()
	wait(t, "composer again", up)
	check() // all was told again
}

func FuzzFromWorker(f *testing.F) {
	var r Result
	f.Add(byte(kindResult), r.append(nil)[headLen:])
	c := Coded{Data: []byte{1}}
	f.Add(byte(kindCoded), append(c.appendHead(nil)[headLen:], 1))
	var l Load
	f.Add(byte(kindLoad), l.append(nil)[headLen:])
	comp := &Composer{events: ComposerEvents{Coded: func(Coded) {}, Load: func(Load) {}, Failed: func(uint32, string) {}}}
	f.Fuzz(func(_ *testing.T, kind byte, b []byte) {
		comp.handle(kind, b)
		var r Result
		r.parse(b)
	})
}

// rss is the resident memory of a process in KiB, 0: gone.
func rss(pid int) (kb int) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for l := range strings.Lines(string(b)) {
		if n, _ := fmt.Sscanf(l, "VmRSS: %d kB", &kb); n == 1 {
			return kb
		}
	}
	return 0
}

// The largest pictures allowed fit the memory a decoder is given, and what claims
// more in a place the server does not look at gets none (M2): such as a second
// VP9 frame behind the first without an index.
func TestM2_MemoryOfDecoders(t *testing.T) {
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			d := decoder(t)
			defer d.Close()
			wait(t, "process", d.up)
			units := stream(t, c, 1920, 1088, 10, picture.White)
			for i, u := range units {
				d.Submit(c, 0, uint32(i), u)
				if r := wait(t, "result", d.results); r.State != Shown || r.W != 1920 {
					t.Fatalf("picture %d: %+v", i, r)
				}
			}
			before, pid := rss(d.PID()), d.PID()
			huge := append([]byte(nil), units[0]...)
			switch c {
			case payload.VP8:
				copy(huge[6:], []byte{0xff, 0x3f, 0xff, 0x3f})
			case payload.VP9: // 16 bits of width and height from bit 35 on
				bits := func(at, n int, v uint64) {
					for k := range n {
						m := byte(0x80 >> ((at + k) % 8))
						huge[(at+k)/8] &^= m
						if v>>(n-1-k)&1 == 1 {
							huge[(at+k)/8] |= m
						}
					}
				}
				at := 8 + 24 + 4 // marker, profile, key, shown, resilient; sync; colour
				bits(at, 16, 16382)
				bits(at+16, 16, 16382)
				huge = append(append([]byte(nil), units[0]...), huge...)
			default:
				return
			}
			for i := range 5 {
				d.Submit(c, 0, uint32(100+i), huge)
				select {
				case r := <-d.results:
					if r.State == Shown && (r.W > 1920 || r.H > 1088) {
						t.Fatalf("%+v", r)
					}
				case <-d.died:
					wait(t, "new process", d.up)
				case <-time.After(long):
					t.Fatal("no answer")
				}
			}
			after := rss(d.PID())
			t.Logf("%d KiB, then %d; same process %v", before, after, d.PID() == pid)
			if after > before+64<<10 {
				t.Errorf("grew from %d to %d KiB", before, after)
			}
		})
	}
}
