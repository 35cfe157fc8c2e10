package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

func sample() *Picture {
	var up, down []Point
	for i := range 200 {
		at := time.Duration(i) * 100 * time.Millisecond
		up, down = append(up, Point{at, float64(i) * 10_000}), append(down, Point{at, float64(200-i) * 10_000})
	}
	return &Picture{Title: "Rates & <others>", Span: 20 * time.Second, Notes: []string{"a note"}, Panels: []Panel{
		{Height: 200, Grid: 5, Unit: Rate, Lines: []Line{{"up", "#c00", 1.5, up}, {"down", "#2a2a2a", 1, down}}},
		{Unit: Millis, Lines: []Line{{"queue", "#06c", 1, []Point{{0, 10}, {20 * time.Second, 40}}}}},
		{Rows: []Row{{"camera", []Bar{{0, 5 * time.Second, "#fc0", "low"}, {5 * time.Second, 20 * time.Second, "#0a0", "high"}}}}},
	}}
}

func TestSVGIsXMLWithWhatWasAsked(t *testing.T) {
	b := sample().SVG()
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"Rates &amp; &lt;others&gt;", ">up<", ">queue<", ">camera<", ">high<", ">20 s<", "kbit/s<", " ms<", ">a note<"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q", want)
		}
	}
	if !bytes.Equal(b, sample().SVG()) {
		t.Error("drawn twice it differs")
	}
}

func TestPNGShowsTheLines(t *testing.T) {
	var b bytes.Buffer
	p := sample()
	if err := p.PNG(&b); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if s := img.Bounds().Size(); s.X != width || s.Y != p.size() {
		t.Fatalf("%v", s)
	}
	red := 0
	for y := range p.size() {
		for x := range width {
			if r, g, bl, _ := img.At(x, y).RGBA(); r > 0xb000 && g < 0x4000 && bl < 0x4000 {
				red++
			}
		}
	}
	if red < 500 {
		t.Errorf("%d red pixels for a line of 780", red)
	}
}

func TestThinKeepsPeaks(t *testing.T) {
	var pts []Point
	for i := range 100_000 {
		v := 1.0
		if i == 77_777 {
			v = 9
		}
		pts = append(pts, Point{time.Duration(i) * time.Millisecond, v})
	}
	got := thin(pts, 100*time.Second)
	if len(got) > 2*columns+2 {
		t.Errorf("%d points", len(got))
	}
	most := 0.0
	for _, p := range got {
		most = max(most, p.V)
	}
	if most != 9 {
		t.Errorf("the peak is gone: %v", most)
	}
}

func TestOddValuesDoNotLeaveThePicture(t *testing.T) {
	p := &Picture{Panels: []Panel{{Lines: []Line{{"x", "red", 1, []Point{{time.Second, math.Inf(1)}, {-time.Second, math.NaN()}, {0, -3}}}}}}}
	p.SVG()
	if err := p.PNG(io.Discard); err != nil {
		t.Error(err)
	}
	(&Picture{}).SVG()
	(&Picture{Span: 10_000 * time.Hour}).SVG()
}

func TestLabels(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Rate(1_234_567), "1235 kbit/s"}, {Millis(50), "50 ms"}, {Percent(0.125), "12.5 %"},
		{instant(90 * time.Second), "90 s"}, {instant(10 * time.Minute), "10 min"}, {instant(2 * time.Hour), "2 h"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
