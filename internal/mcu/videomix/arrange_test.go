package videomix

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"parley/internal/base/ids"
	"parley/internal/mcu/picture"
	"parley/internal/media/plane"
)

// meeting is a room told in words: "a b! c- d* +e" has the cameras of a to d, b
// talking, c's off, d sharing a screen as well, and e by sound only.
func meeting(words string) *plane.MixRoom {
	r := &plane.MixRoom{}
	for i, w := range strings.Fields(words) {
		name := strings.Trim(w, "!-*+")
		dev := ids.Device("dev_" + name)
		mic := plane.MixSource{Track: ids.Track("mic_" + name), Kind: plane.Audio, Source: "microphone", Device: dev, Name: name, SrcID: uint32(100 + i)}
		if !strings.HasPrefix(w, "+") {
			r.Sources = append(r.Sources, plane.MixSource{Track: ids.Track(name), Kind: plane.Video, Source: "camera", Device: dev, Name: name, SrcID: uint32(i + 1), Muted: strings.Contains(w, "-")})
		}
		if strings.Contains(w, "*") {
			r.Sources = append(r.Sources, plane.MixSource{Track: ids.Track("screen_" + name), Kind: plane.Video, Source: "screen", Device: dev, Name: name, SrcID: uint32(200 + i)})
		}
		r.Sources = append(r.Sources, mic)
		if strings.Contains(w, "!") {
			r.Speakers = append(r.Speakers, mic.Track)
		}
	}
	return r
}

// said tells an arrangement in words: who is where, > marks who talks, off: no video.
func said(ps []place) string {
	var out []string
	for _, p := range ps {
		w := string(p.track)
		if p.track == "" {
			w = "off:" + p.Initial
		}
		if p.Active {
			w = ">" + w
		}
		out = append(out, w)
	}
	return strings.Join(out, " ")
}

func TestArrange(t *testing.T) {
	for _, c := range []struct {
		room, layout, pins string
		not                ids.Device
		want               string
	}{
		{"a b c", picture.Grid, "", "", "a b c"},
		{"a b! c", picture.Grid, "", "", "a >b c"}, // nobody jumps about
		{"a- b c", picture.Grid, "", "", "b c off:A"},
		{"a +phone b", picture.Grid, "", "", "a b off:P"},
		{"a b! c", picture.Single, "", "", "b"},
		{"a b! c", picture.Single, "", "dev_b", "a"},
		{"a b! c", picture.PIP, "", "", ">b a"},
		{"a b! c", picture.PIP, "", "dev_b", "a >b"},
		{"a b! c", picture.Speaker, "c", "", "c >b a"},
		{"a b* c!", picture.Speaker, "", "", "screen_b >c a b"},
		{"a b* c!", picture.Automatic, "", "", "screen_b >c a b"},
		{"a b c!", picture.Automatic, "", "", "a b >c"},
		{"a b c d e!", picture.Quad, "", "", "a b c >e"}, // one who talks is seen
		{"a b c d e!", picture.Quad, "d", "", "d a b >e"},
		{"a b c", picture.Dual, "", "", "a b"},
		{"", picture.Grid, "", "", ""},
	} {
		room := meeting(c.room)
		v := view{layout: c.layout, w: 1280, h: 720, not: c.not}
		for _, p := range strings.Fields(c.pins) {
			v.pins += p + " "
		}
		if got := said(arrange(room, v)); got != c.want {
			t.Errorf("%q in %s (pins %q, not %q): %q, want %q", c.room, c.layout, c.pins, c.not, got, c.want)
		}
	}
}

// Whatever the room, everybody who can be shown is shown once, and tiles are
// those of the layout.
func TestArrangeRandomRooms(t *testing.T) {
	const seed = 5
	rng := rand.New(rand.NewPCG(seed, seed))
	layouts := []string{picture.Single, picture.Dual, picture.Quad, picture.Nine, picture.Speaker, picture.PIP, picture.FivePlus1, picture.Grid, picture.Automatic, ""}
	for i := range 3000 {
		var w []string
		for k := range rng.IntN(40) {
			mark := []string{"", "", "", "!", "-", "*"}[rng.IntN(6)]
			pre := []string{"", "", "", "+"}[rng.IntN(4)]
			w = append(w, fmt.Sprintf("%sp%d%s", pre, k, mark))
		}
		room := meeting(strings.Join(w, " "))
		v := view{layout: layouts[rng.IntN(len(layouts))], w: 640, h: 360, names: true, not: ids.Device(fmt.Sprintf("dev_p%d", rng.IntN(5)))}
		ps := arrange(room, v)
		seen := map[ids.Track]bool{}
		for _, p := range ps {
			if p.track != "" && seen[p.track] {
				t.Fatalf("seed %d, %d: %s twice in %q", seed, i, p.track, said(ps))
			}
			seen[p.track] = true
		}
		again := arrange(room, v)
		if !slices.Equal(ps, again) {
			t.Fatalf("seed %d, %d: not the same twice", seed, i)
		}
	}
}

func TestPaceGivesWayAndComesBack(t *testing.T) {
	var p pace
	full := 990_000_000 // ns of a second
	for range 3 {
		p.second(1*950e6, 0, 30)
	}
	if p.level != 3 {
		t.Fatalf("level %d after three full seconds", p.level)
	}
	for range 10 {
		p.second(0, 20, 10)
	}
	if !p.full() {
		t.Fatal("not at the end")
	}
	n := 0
	for ; p.level > 0 && n < 200; n++ {
		p.second(20e6, 0, 30)
	}
	if p.level != 0 || n < 4*5 || n > 60 {
		t.Errorf("level %d after %d calm seconds", p.level, n)
	}
	// What does not fit one level up is not tried every five seconds for ever.
	p = pace{level: 1}
	ups := 0
	for range 600 {
		busy := 340_000_000
		if p.level == 0 {
			busy = full
			ups++
		}
		p.second(timeOf(busy), 0, 30)
	}
	if ups > 20 {
		t.Errorf("%d tries in ten minutes", ups)
	}
}

func TestGrades(t *testing.T) {
	full := fullRate(1280, 720, 30)
	if full < 1_400_000 || full > 1_600_000 {
		t.Errorf("720p30 gets %d", full)
	}
	for _, c := range []struct {
		limit uint64
		want  int
	}{{0, 0}, {3_000_000, 0}, {uint64(full), 0}, {1_000_000, 1}, {400_000, 2}, {100_000, 3}} {
		if g := gradeOf(c.limit, full); g != c.want {
			t.Errorf("%d bit/s: grade %d, want %d", c.limit, g, c.want)
		}
	}
	// Down at once, up after three seconds of plenty, not on a flicker.
	var l limiter
	now := timeAt(1)
	l.update(now, 500_000, full)
	if l.grade != 2 {
		t.Fatalf("grade %d", l.grade)
	}
	l.update(timeAt(2), 2_000_000, full)
	l.update(timeAt(3), 500_000, full)
	l.update(timeAt(4), 2_000_000, full)
	l.update(timeAt(6), 2_000_000, full)
	if l.grade != 2 {
		t.Errorf("went up too soon")
	}
	l.update(timeAt(7.5), 2_000_000, full)
	if l.grade != 0 {
		t.Errorf("did not go up: %d", l.grade)
	}
}
