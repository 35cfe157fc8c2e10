package picture

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func noise(w, h int, seed uint64) *Frame {
	f := New(w, h)
	r := rand.New(rand.NewPCG(seed, 1))
	for _, p := range [][]byte{f.Y, f.U, f.V} {
		for i := range p {
			p[i] = byte(r.Uint32())
		}
	}
	return f
}

// The word-wise kernels give what the plain rules give.
func TestScalersAgreeWithPlainRules(t *testing.T) {
	for _, w := range []int{16, 34, 62, 128, 194, 1280} {
		src, dst := noise(w, 36, 7), New(w/2, 18)
		halve(dst, src)
		for y := range dst.H {
			for x := range dst.W {
				s := src.Y[2*y*src.YS+2*x:]
				l := src.Y[(2*y+1)*src.YS+2*x:]
				if want := (int(s[0]) + int(s[1]) + int(l[0]) + int(l[1]) + 2) >> 2; dst.Y[y*dst.YS+x] != byte(want) {
					t.Fatalf("box at %d,%d of %d: %d, want %d", x, y, w, dst.Y[y*dst.YS+x], want)
				}
			}
		}
	}
	top, low, o := noise(126, 2, 1).Y[:125], noise(126, 2, 2).Y[:125], make([]byte, 125)
	for f := range 256 {
		blend(o, top, low, uint64(f))
		for i := range o {
			if want := byte((int(top[i])*(256-f) + int(low[i])*f + 128) >> 8); o[i] != want {
				t.Fatalf("blend %d at %d: %d, want %d", f, i, o[i], want)
			}
		}
	}
}

// A flat picture stays flat at every scale, and a step stays where it was.
func TestScaleKeepsColourAndPlace(t *testing.T) {
	var s Scaler
	for _, to := range [][2]int{{640, 360}, {426, 240}, {320, 180}, {1920, 1080}, {98, 56}, {2, 2}, {1280, 720}} {
		src, dst := New(1280, 720), New(to[0], to[1])
		src.Sub(Rect{0, 0, 640, 720}).Fill(Color{60, 90, 200})
		src.Sub(Rect{640, 0, 640, 720}).Fill(Color{200, 160, 40})
		s.Scale(dst, src)
		l, r := dst.Y[dst.YS*(dst.H/2)], dst.Y[dst.YS*(dst.H/2)+dst.W-1]
		if to[0] > 2 && (l != 60 || r != 200 || dst.U[0] != 90 || dst.V[dst.W/2-1] != 40) {
			t.Errorf("%v: %d %d %d %d", to, l, r, dst.U[0], dst.V[dst.W/2-1])
		}
		if m := dst.W / 2; m > 20 && (dst.Y[m-3] != 60 || dst.Y[m+3] != 200) {
			t.Errorf("%v: the edge moved", to)
		}
	}
}

func TestLayoutsPlaceTiles(t *testing.T) {
	for _, size := range [][2]int{{1280, 720}, {640, 360}, {1920, 1080}, {720, 1280}, {176, 144}} {
		w, h := size[0], size[1]
		for _, name := range []string{Single, Dual, DualTall, Quad, Nine, Sixteen, FivePlus1, Speaker, PIP, Grid, Automatic, "odd"} {
			for n := 1; n <= 30; n++ {
				at := Places(name, n, w, h)
				if m := Shows(name); m > 0 && len(at) != min(n, m) || m == 0 && len(at) != min(n, 25) {
					t.Fatalf("%s of %d: %d tiles", name, n, len(at))
				}
				for i, r := range at {
					if r.X < 0 || r.Y < 0 || r.X+r.W > w || r.Y+r.H > h || (r.X|r.Y|r.W|r.H)&1 != 0 || r.W < 8 || r.H < 8 {
						t.Fatalf("%s of %d in %v: tile %d at %+v", name, n, size, i, r)
					}
					for k, o := range at[:i] {
						apart := r.X >= o.X+o.W || o.X >= r.X+r.W || r.Y >= o.Y+o.H || o.Y >= r.Y+r.H
						if !apart && name != PIP {
							t.Fatalf("%s of %d in %v: tiles %d and %d overlap: %+v %+v", name, n, size, k, i, o, r)
						}
					}
				}
			}
		}
	}
}

// Places that people expect, at 720p.
func TestLayoutsGolden(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int
		want []Rect
	}{
		{Single, 3, []Rect{{0, 0, 1280, 720}}},
		{Quad, 4, []Rect{{0, 0, 640, 360}, {640, 0, 640, 360}, {0, 360, 640, 360}, {640, 360, 640, 360}}},
		{Grid, 5, []Rect{{0, 120, 426, 240}, {426, 120, 426, 240}, {852, 120, 426, 240}, {212, 360, 426, 240}, {638, 360, 426, 240}}},
		{PIP, 2, []Rect{{0, 0, 1280, 720}, {952, 532, 320, 180}}},
		{Speaker, 3, []Rect{{136, 4, 1008, 568}, {388, 576, 250, 140}, {642, 576, 250, 140}}},
	} {
		got := Places(c.name, c.n, 1280, 720)
		if len(got) != len(c.want) {
			t.Errorf("%s: %+v", c.name, got)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s of %d: %+v", c.name, c.n, got)
				break
			}
		}
	}
}

func TestFitKeepsShape(t *testing.T) {
	if r := Fit(Rect{10, 10, 640, 360}, 480, 640); r.H != 360 || r.W != 270 || r.X != 10+184 {
		t.Errorf("%+v", r)
	}
	if r := Fit(Rect{0, 0, 634, 354}, 1280, 720); r != (Rect{0, 0, 634, 354}) {
		t.Errorf("%+v", r)
	}
}

func TestNamesAreMadeHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"Ann\nBerg\t":      "Ann Berg",
		"\u202egnp.exe":    "gnp.exe",
		"  a \x00\x1b[0m ": "a [0m",
		"李小龙":              "李小龙",
		"\xff\xfe":         "",
	} {
		if got := Clean(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	if got := Clean(strings.Repeat("x", 5000)); len(got) != maxName {
		t.Errorf("%d characters", len(got))
	}
	for in, want := range map[string]string{"Ann Berg": "AB", "ann": "A", "": "", "李小龙": "李", "!! ??": "", "Jean-Luc  van Damme": "JD"} {
		if got := Initials(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestTextFitsAndShows(t *testing.T) {
	f := NewFonts()
	for _, s := range []string{"Ann Berg", "李小龙", "\U0001F600", strings.Repeat("W", 40)} {
		m := f.Text(s, 20, 150)
		ink := 0
		for _, a := range m.A {
			if a > 128 {
				ink++
			}
		}
		if m.W > 150 || ink < 20 {
			t.Errorf("%q: %d wide, ink %d", s, m.W, ink)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("Ann \u202e\u0301\u200d", 18, 40)
	fonts := NewFonts()
	f.Fuzz(func(t *testing.T, s string, size, width int) {
		m := fonts.Text(Clean(s), size%64, width%400)
		if m.W < 0 || len(m.A) != m.W*m.H {
			t.Fatal("size")
		}
	})
}

func BenchmarkScale(b *testing.B) {
	for name, to := range map[string][2]int{"box 720p to 360p": {640, 360}, "720p to 240p": {426, 240}, "720p to 634x354": {634, 354}, "360p to 634x354": {634, 354}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var s Scaler
			src, dst := noise(1280, 720, 1), New(to[0], to[1])
			if strings.HasPrefix(name, "360p") {
				src = noise(640, 360, 1)
			}
			s.Scale(dst, src)
			for b.Loop() {
				s.Scale(dst, src)
			}
		})
	}
}

func TestTurning(t *testing.T) {
	src := New(64, 36)
	src.Sub(Rect{0, 0, 20, 10}).Fill(White) // top left
	for q, at := range [][2]int{{4, 4}, {36 - 5, 4}, {64 - 5, 36 - 5}, {4, 64 - 5}} {
		w, h := 64, 36
		if q&1 == 1 {
			w, h = h, w
		}
		f := New(w, h)
		f.CopyTurned(src, q)
		light := 0
		for _, v := range f.Y {
			if v == White.Y {
				light++
			}
		}
		if f.Y[at[1]*f.YS+at[0]] != White.Y || light != 200 {
			t.Errorf("%d quarters: %d light", q, light)
		}
	}
}
