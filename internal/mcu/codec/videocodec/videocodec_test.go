package videocodec

import (
	"testing"

	"parley/internal/mcu/picture"
	"parley/internal/media/payload"
)

var all = map[string]payload.Codec{"VP8": payload.VP8, "VP9": payload.VP9, "H264": payload.H264}

// moving is a picture with something going on.
func moving(f *picture.Frame, i int) {
	f.Fill(picture.RGB(30, 90, 160))
	f.Sub(picture.Rect{X: (8 * i) % (f.W - 64) &^ 1, Y: f.H / 3 &^ 1, W: 64, H: 64}).Fill(picture.RGB(220, 60, 40))
}

func psnrBad(a, b *picture.Frame) int {
	worst, n := 0, 0
	for y := range a.H {
		for x := range a.W {
			if d := int(a.Y[y*a.YS+x]) - int(b.Y[y*b.YS+x]); d > 24 || d < -24 {
				n++
			}
			worst++
		}
	}
	return n * 1000 / worst
}

// What is encoded can be decoded and looks the same; keyframes come when asked
// for and otherwise not; the rate is followed.
func TestEncodeDecode(t *testing.T) {
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			if err := CanEncode(c); err != nil {
				t.Fatal(err)
			}
			e, err := NewEncoder(Settings{Codec: c, Width: 640, Height: 360, Rate: 500_000, FPS: 30})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			d, err := NewDecoder(c)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			f := picture.New(640, 360)
			keys, bytes := 0, 0
			for i := range 90 {
				moving(f, i)
				if i == 60 {
					e.SetRate(150_000)
				}
				data, key, err := e.Encode(f, 3000, i == 45)
				if err != nil {
					t.Fatal(err)
				}
				if key != (i == 0 || i == 45) && len(data) > 0 {
					t.Errorf("picture %d: keyframe %v", i, key)
				}
				if key {
					keys++
					if s, ok := payload.Claimed(c, data); !ok || s.Width < 640 || s.Width > 656 || s.Height < 360 || s.Height > 368 {
						t.Errorf("claims %+v %v", s, ok)
					}
				}
				bytes += len(data)
				if len(data) == 0 {
					continue
				}
				got, err := d.Decode(data)
				if err != nil || got == nil || got.W != 640 || got.H != 360 {
					t.Fatalf("picture %d: %v %v", i, got != nil, err)
				}
				if bad := psnrBad(f, got); bad > 20 {
					t.Errorf("picture %d: %d per mille of pixels far off", i, bad)
				}
			}
			if keys != 2 {
				t.Errorf("%d keyframes", keys)
			}
			t.Logf("%d bytes", bytes)
		})
	}
}

func BenchmarkEncode720(b *testing.B) {
	for name, c := range all {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			e, err := NewEncoder(Settings{Codec: c, Width: 1280, Height: 720, Rate: 1_500_000, FPS: 30})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			f := picture.New(1280, 720)
			i := 0
			for b.Loop() {
				moving(f, i)
				i++
				if _, _, err := e.Encode(f, 3000, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
