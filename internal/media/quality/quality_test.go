package quality_test

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"parley/internal/media/quality"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/statistics.md")

const ms = time.Millisecond

// The golden cases; docs/statistics.md shows them, made from here.
var voices = []struct {
	what string
	a    quality.Audio
	want float64
}{
	{"Opus, nothing wrong, 50 ms round trip", quality.Audio{Codec: "opus", RTT: 50 * ms}, 4.4},
	{"1 % lost", quality.Audio{Codec: "opus", RTT: 50 * ms, Loss: 0.01}, 4.3},
	{"3 % lost", quality.Audio{Codec: "opus", RTT: 50 * ms, Loss: 0.03}, 4.1},
	{"10 % lost", quality.Audio{Codec: "opus", RTT: 50 * ms, Loss: 0.10}, 3.3},
	{"20 % lost", quality.Audio{Codec: "opus", RTT: 50 * ms, Loss: 0.20}, 2.5},
	{"20 % lost, in-band FEC", quality.Audio{Codec: "opus", RTT: 50 * ms, Loss: 0.20, FEC: true}, 3.5},
	{"20 % lost, each packet repeated (RED)", quality.Audio{Codec: "opus", RTT: 50 * ms, Loss: 0.20, RED: true}, 4.0},
	{"300 ms round trip", quality.Audio{Codec: "opus", RTT: 300 * ms}, 4.3},
	{"600 ms round trip", quality.Audio{Codec: "opus", RTT: 600 * ms}, 3.5},
	{"80 ms of jitter", quality.Audio{Codec: "opus", RTT: 50 * ms, Jitter: 80 * ms}, 4.1},
	{"G.729", quality.Audio{Codec: "G729", RTT: 50 * ms}, 4.0},
	{"nothing arrives", quality.Audio{Codec: "opus", Loss: 1}, 1.2},
}

var hd = quality.Video{Codec: "VP8", Bitrate: 2_500_000, Width: 1280, Height: 720, WantWidth: 1280, WantHeight: 720, FPS: 30, RTT: 50 * ms}

var pictures = []struct {
	what string
	but  func(*quality.Video)
	want float64
}{
	{"VP8, 1280 × 720 at 30/s and 2.5 Mbit/s, shown as large, 50 ms round trip", func(*quality.Video) {}, 4.9},
	{"half of the bits it needs (850 kbit/s)", func(v *quality.Video) { v.Bitrate = 850_000 }, 4.3},
	{"a quarter of them", func(v *quality.Video) { v.Bitrate = 425_000 }, 3.7},
	{"the middle layer, 640 × 360 at 500 kbit/s", func(v *quality.Video) { v.Width, v.Height, v.Bitrate = 640, 360, 500_000 }, 4.1},
	{"the low layer, 320 × 180 at 150 kbit/s", func(v *quality.Video) { v.Width, v.Height, v.Bitrate = 320, 180, 150_000 }, 3.5},
	{"the low layer in a tile no larger", func(v *quality.Video) {
		v.Width, v.Height, v.Bitrate, v.WantWidth, v.WantHeight = 320, 180, 150_000, 320, 180
	}, 4.5},
	{"15 pictures a second", func(v *quality.Video) { v.FPS = 15 }, 4.4},
	{"7.5 pictures a second", func(v *quality.Video) { v.FPS = 7.5 }, 3.6},
	{"1 % of packets not repaired", func(v *quality.Video) { v.Loss = 0.01 }, 4.5},
	{"5 % of packets not repaired", func(v *quality.Video) { v.Loss = 0.05 }, 3.5},
	{"stood still for 5 % of the time", func(v *quality.Video) { v.Frozen = 0.05 }, 3.8},
	{"stood still for half of it", func(v *quality.Video) { v.Frozen = 0.5 }, 1.8},
	{"300 ms round trip", func(v *quality.Video) { v.RTT = 300 * ms }, 4.7},
	{"slides: 2 pictures a second", func(v *quality.Video) { v.Screen, v.FPS, v.Bitrate = true, 2, 100_000 }, 4.9},
	{"AV1 at 1 Mbit/s", func(v *quality.Video) { v.Codec, v.Bitrate = "AV1", 1_000_000 }, 4.8},
	{"still waiting for the first picture", func(v *quality.Video) { v.Waiting = true }, 1.0},
}

// tables is what docs/statistics.md shows between its marks.
func tables() string {
	var b strings.Builder
	b.WriteString("| sound | score |\n|---|---|\n")
	for _, c := range voices {
		fmt.Fprintf(&b, "| %s | %.1f |\n", c.what, quality.Round(c.a.Score()))
	}
	b.WriteString("\n| picture, else as in the first row | score |\n|---|---|\n")
	for _, c := range pictures {
		v := hd
		c.but(&v)
		fmt.Fprintf(&b, "| %s | %.1f |\n", c.what, quality.Round(v.Score()))
	}
	return b.String()
}

func TestGoldenScores(t *testing.T) {
	for _, c := range voices {
		if got := quality.Round(c.a.Score()); got != c.want {
			t.Errorf("sound, %s: %.1f, want %.1f", c.what, got, c.want)
		}
	}
	for _, c := range pictures {
		v := hd
		c.but(&v)
		if got := quality.Round(v.Score()); got != c.want {
			t.Errorf("picture, %s: %.1f, want %.1f", c.what, got, c.want)
		}
	}
}

func TestThePageShowsTheGoldenScores(t *testing.T) {
	const path, from, to = "../../../docs/statistics.md", "<!-- scores: made by go test ./internal/media/quality -update -->\n", "<!-- /scores -->\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := bytes.Cut(page, []byte(from))
	_, tail, ok2 := bytes.Cut(rest, []byte(to))
	if !ok || !ok2 {
		t.Fatalf("%s lacks its marks", path)
	}
	want := string(head) + from + tables() + to + string(tail)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(page) != want {
		t.Errorf("%s shows other scores; run with -update", path)
	}
}

// Whatever is counted, a score stays on its scale and never gets better by what
// makes a call worse.
func TestScoresStayOnTheirScaleAndFallWithFaults(t *testing.T) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, seed))
	for i := range 20_000 {
		a := quality.Audio{Codec: []string{"opus", "PCMU", "G729", "x"}[r.IntN(4)], Loss: r.Float64() * 1.2, RTT: time.Duration(r.Int64N(int64(2 * time.Second))),
			Jitter: time.Duration(r.Int64N(int64(time.Second))), RED: r.IntN(2) == 0, FEC: r.IntN(2) == 0}
		s := a.Score()
		worse := a
		worse.Loss, worse.RTT, worse.Jitter = worse.Loss+0.05, worse.RTT+50*ms, worse.Jitter+10*ms
		if s < 1 || s > 5 || math.IsNaN(s) || worse.Score() > s+1e-9 {
			t.Fatalf("seed %d, %d: %+v is %.3f, worse is %.3f", seed, i, a, s, worse.Score())
		}
		v := quality.Video{Codec: []string{"VP8", "VP9", "AV1", ""}[r.IntN(4)], Bitrate: r.Uint64N(4e6), Width: r.IntN(2000), Height: r.IntN(1200),
			WantWidth: r.IntN(2000), WantHeight: r.IntN(1200), FPS: r.Float64() * 60, Loss: r.Float64(), Frozen: r.Float64(), RTT: a.RTT, Jitter: a.Jitter}
		s = v.Score()
		w := v
		w.Loss, w.Frozen, w.RTT, w.Bitrate = w.Loss+0.05, w.Frozen+0.05, w.RTT+50*ms, w.Bitrate/2+1
		if s < 1 || s > 5 || math.IsNaN(s) || v.Bitrate > 1 && w.Score() > s+1e-9 {
			t.Fatalf("seed %d, %d: %+v is %.3f, worse is %.3f", seed, i, v, s, w.Score())
		}
	}
}

func TestOddNumbersHaveAScore(t *testing.T) {
	for _, x := range []float64{math.NaN(), math.Inf(1), -1} {
		if s := (quality.Audio{Codec: "opus", Loss: x}).Score(); s < 1 || s > 5 {
			t.Errorf("sound with loss %v: %v", x, s)
		}
		if s := (quality.Video{Loss: x, Frozen: x}).Score(); s < 1 || s > 5 {
			t.Errorf("picture with loss %v: %v", x, s)
		}
	}
}

func TestLowestIsTheWorstThatIsKnown(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{0, 0}, 0}, {[]float64{0, 4.5, 3.2, 0}, 3.2}} {
		if got := quality.Lowest(c.in...); got != c.want {
			t.Errorf("%v: %v", c.in, got)
		}
	}
}
