package videomix

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"parley/internal/mcu"
	"parley/internal/mcu/picture"
	"parley/internal/media/payload"
	"parley/internal/media/plane"
)

// foreign makes a camera's pictures with ffmpeg, an encoder that is not ours.
func foreign(t *testing.T, c payload.Codec, col string) [][]byte {
	t.Helper()
	args := []string{"-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i", "color=" + col + ":size=640x360:rate=30:duration=1"}
	if c == payload.VP8 {
		args = append(args, "-c:v", "libvpx", "-deadline", "realtime", "-b:v", "500k", "-f", "ivf", "-")
	} else {
		args = append(args, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-profile:v", "baseline", "-tune", "zerolatency", "-g", "100", "-f", "h264", "-")
	}
	cmd := exec.Command("ffmpeg", args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg (make test installs it): %v %s", err, said.String())
	}
	if c == payload.VP8 {
		return ivf(b)
	}
	return accessUnits(b)
}

func ivf(b []byte) (out [][]byte) {
	for b = b[32:]; len(b) >= 12; {
		n := int(binary.LittleEndian.Uint32(b))
		out = append(out, b[12:12+n])
		b = b[12+n:]
	}
	return out
}

// accessUnits cuts an Annex B file before each slice that begins a picture; x264
// with zerolatency may write several slices, told by first_mb_in_slice = 0.
func accessUnits(b []byte) (out [][]byte) {
	start, pictures := 0, 0
	pending := -1 // where parameter sets before the next slice begin
	for i := 0; i+4 < len(b); i++ {
		if b[i] != 0 || b[i+1] != 0 || b[i+2] != 1 {
			continue
		}
		switch t := b[i+3] & 0x1f; {
		case (t == 1 || t == 5) && b[i+4]&0x80 != 0:
			at := i
			if pending >= 0 {
				at = pending
			}
			if pictures > 0 {
				out = append(out, b[start:at])
			}
			start, pending = at, -1
			pictures++
		case t > 5 && pending < 0:
			pending = i
		}
	}
	return append(out, b[start:])
}

func save(t *testing.T, name string, f *picture.Frame) {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, f.W, f.H))
	clip := func(v int) uint8 { return uint8(max(0, min(255, v>>8))) }
	for y := range f.H {
		for x := range f.W {
			c := 298 * (int(f.Y[y*f.YS+x]) - 16)
			u, v := int(f.U[y/2*f.CS+x/2])-128, int(f.V[y/2*f.CS+x/2])-128
			img.Set(x, y, color.RGBA{clip(c + 409*v + 128), clip(c - 100*u - 208*v + 128), clip(c + 516*u + 128), 255})
		}
	}
	dir := filepath.Join("..", "..", "..", "test", "results")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := png.Encode(w, img); err != nil {
		t.Fatal(err)
	}
}

// Four VP8 cameras and an H.264 stream, all coded by ffmpeg, and a person whose
// camera is off: every one is in its tile, in its colour, with a name; the packets
// are one continuous stream that names who is to be seen.
func TestComposedGrid(t *testing.T) {
	s := newStage(t, Config{})
	cols := []struct {
		name, ff string
		col      picture.Color
		codec    payload.Codec
	}{
		{"Ann Berg", "0xc83232", picture.RGB(0xc8, 0x32, 0x32), payload.VP8},
		{"Bo", "0x32a050", picture.RGB(0x32, 0xa0, 0x50), payload.VP8},
		{"李小龙", "0x3250c8", picture.RGB(0x32, 0x50, 0xc8), payload.VP8},
		{"Dörte Ångström-Żółć with a very long name", "0xc8b432", picture.RGB(0xc8, 0xb4, 0x32), payload.VP8},
		{"Room system", "0x8c46b4", picture.RGB(0x8c, 0x46, 0xb4), payload.H264},
	}
	for i, c := range cols {
		s.join(c.name, c.codec, foreign(t, c.codec, c.ff), i == 1)
	}
	s.join("Frank Off", payload.VP8, nil, false)
	s.room.Speakers = append(s.room.Speakers, s.room.Sources[1].Track)
	s.half.SetRoom(s.now(), s.room)
	if err := s.half.Start(s.now(), wanted("trk_out", "VP8")); err != nil {
		t.Fatal(err)
	}
	v := s.viewer(t, "trk_out", payload.VP8)
	at := picture.Places(picture.Grid, 6, 1280, 720)
	s.watch(t, v, "all tiles in their colours", func(f *picture.Frame) bool {
		for i, c := range cols {
			r := at[i]
			if !near(f, r.X+r.W/2, r.Y+r.H/2, c.col) || !near(f, r.X+r.W-20, r.Y+20, c.col) {
				return false
			}
		}
		r := at[5]
		return near(f, r.X+20, r.Y+20, picture.Empty) && near(f, at[0].X+1, at[0].Y+60, picture.Active)
	})
	save(t, "composed-grid.png", v.last)
	for i := range cols { // white letters in the label
		r, ink := at[i], 0
		for y := r.Y + r.H - 24; y < r.Y+r.H-4; y++ {
			for x := r.X + 4; x < r.X+r.W/2; x++ {
				if v.last.Y[y*v.last.YS+x] > 200 {
					ink++
				}
			}
		}
		if ink < 15 {
			t.Errorf("tile %d has no name", i)
		}
	}
	s.until(t, "five contributors", func() bool { return len(s.contribs["trk_out"]) == 5 })
	s.until(t, "five in the packets", func() bool {
		ps := s.out["trk_out"]
		return len(ps) > 0 && ps[len(ps)-1].h.CSRCCount == 5
	})
	v.see(s.house)
	s.house.mu.Lock()
	defer s.house.mu.Unlock()
	checkStream(t, s.out["trk_out"], 0xabc, 100)
}

// checkStream holds a stream to what any receiver may expect: consecutive
// numbers, time that moves forward with the instants told, equal time within a
// picture, the marker on its last packet.
func checkStream(t *testing.T, ps []packet, ssrc uint32, pt uint8) {
	t.Helper()
	for i := 1; i < len(ps); i++ {
		a, b := &ps[i-1], &ps[i]
		if b.h.SSRC != ssrc || b.h.PayloadType != pt || b.h.Seq != a.h.Seq+1 || len(b.b) > 1200 {
			t.Fatalf("packet %d: %+v after %+v", i, b.h, a.h)
		}
		if same := a.h.TS == b.h.TS; same == a.h.Marker {
			t.Fatalf("packet %d: marker %v, then timestamp %d after %d", i, a.h.Marker, b.h.TS, a.h.TS)
		}
		step := int64(b.at.Sub(a.at)) * 9 / 100000
		if d := int64(int32(b.h.TS-a.h.TS)) - step; d < -1 || d > 1 {
			t.Fatalf("packet %d: timestamp moved %d, the instant %d", i, int32(b.h.TS-a.h.TS), step)
		}
		if int32(b.h.TS-a.h.TS) < 0 {
			t.Fatalf("packet %d: time went back", i)
		}
	}
}

// MIX-8: a PLI on tiled video is answered by the mixer's encoder, and no source
// hears of it. Several within half a second are one.
func TestMIX8_PLIOnTiledVideo(t *testing.T) {
	s := newStage(t, Config{})
	a := s.join("a", payload.VP8, film(t, payload.VP8, 320, 180, 30, picture.RGB(200, 40, 40)), false)
	b := s.join("b", payload.H264, film(t, payload.H264, 320, 180, 30, picture.RGB(40, 40, 200)), false)
	if err := s.half.Start(s.now(), wanted("trk_out", "VP8")); err != nil {
		t.Fatal(err)
	}
	v := s.viewer(t, "trk_out", payload.VP8)
	s.watch(t, v, "both tiles", func(f *picture.Frame) bool {
		return near(f, 320, 400, picture.RGB(200, 40, 40)) && near(f, 960, 400, picture.RGB(40, 40, 200))
	})
	upstream := s.asked(a.track) + s.asked(b.track)
	keys := func() (n int) {
		v.see(s.house)
		for _, u := range v.units {
			if u.Key {
				n++
			}
		}
		return n
	}
	before := keys()
	for round := range 3 {
		for range 10 {
			s.half.KeyframeWanted(s.now(), "trk_out")
		}
		s.watch(t, v, "a keyframe", func(*picture.Frame) bool { return keys() > before })
		// The nine others may have asked for one more, half a second later, not sooner.
		n := keys() - before
		if n > 2 {
			t.Errorf("round %d: %d keyframes for one burst", round, n)
		}
		before = keys()
	}
	if up := s.asked(a.track) + s.asked(b.track); up != upstream {
		t.Errorf("%d requests went upstream", up-upstream)
	}
	var last uint32
	for i, u := range v.units {
		if u.Key {
			if i > 0 && u.TS-last < 30000 { // half a second from asking to asking; slow machines code late
				t.Errorf("keyframes %d/90000 s apart", u.TS-last)
			}
			last = u.TS
		}
	}
}

// Outputs that want the same share one encoder and get the same pictures under
// their own numbers; another codec and another rate get their own.
func TestEncodersAreShared(t *testing.T) {
	s := newStage(t, Config{})
	s.join("a", payload.VP8, film(t, payload.VP8, 320, 180, 30, picture.RGB(200, 40, 40)), false)
	for i, codec := range []string{"VP8", "VP8", "VP8", "H264"} {
		o := wanted(trackName(i), codec)
		o.SSRC = uint32(i + 1)
		o.Width, o.Height = 640, 360
		if err := s.half.Start(s.now(), o); err != nil {
			t.Fatal(err)
		}
	}
	s.half.SetRate(s.now(), trackName(2), 60_000)
	for i, want := range []int{2, 2, 1, 1} {
		s.later(t, "stats", func() bool {
			st, ok := s.half.Stats(trackName(i))
			return ok && st.Shared == want && st.Keyframes > 0
		})
	}
	s.later(t, "the slow one's own size", func() bool {
		st, _ := s.half.Stats(trackName(2))
		return st.Width == 320 && st.Height == 180
	})
	s.until(t, "packets", func() bool { return len(s.out[trackName(0)]) > 60 && len(s.out[trackName(1)]) > 60 })
	s.house.mu.Lock()
	defer s.house.mu.Unlock()
	a, b := s.out[trackName(0)], s.out[trackName(1)]
	equal := 0
	for _, p := range a {
		if slices.ContainsFunc(b, func(q packet) bool { return bytes.Equal(p.b[p.h.PayloadOff+4:], q.b[q.h.PayloadOff+4:]) }) {
			equal++
		}
	}
	if equal < len(a)/2 {
		t.Errorf("%d of %d payloads equal", equal, len(a))
	}
	checkStream(t, a, 1, 100)
	checkStream(t, b, 2, 100)
}

func trackName(i int) (t trackID) { return trackID(fmt.Sprintf("trk_out%d", i)) }

// Transcoding one source: its own SSRC and timestamps, in another codec, at its size.
func TestTranscodeOneSource(t *testing.T) {
	s := newStage(t, Config{})
	s.join("a", payload.VP8, film(t, payload.VP8, 480, 270, 30, picture.RGB(200, 40, 40)), false)
	b := s.join("b", payload.VP9, film(t, payload.VP9, 480, 270, 30, picture.RGB(40, 40, 200)), false)
	o := wanted("trk_out", "H264")
	o.Only, o.SSRC = b.track, b.ssrc
	if err := s.half.Start(s.now(), o); err != nil {
		t.Fatal(err)
	}
	v := s.viewer(t, "trk_out", payload.H264)
	s.watch(t, v, "b alone", func(f *picture.Frame) bool {
		return f.W == 480 && f.H == 270 && near(f, 240, 200, picture.RGB(40, 40, 200))
	})
	s.until(t, "packets", func() bool { return len(s.out["trk_out"]) > 100 })
	s.house.mu.Lock()
	defer s.house.mu.Unlock()
	for i, p := range s.out["trk_out"] {
		if p.h.TS%3000 != 0 || p.h.SSRC != b.ssrc || p.h.CSRCCount != 0 {
			t.Fatalf("packet %d: %+v", i, p.h)
		}
	}
	if len(s.wants) != 1 || s.wants[0].Track != b.track {
		t.Errorf("wanted %+v", s.wants)
	}
}

// A change of layout, people coming and going: one stream throughout.
func TestLayoutChangesKeepTheStream(t *testing.T) {
	s := newStage(t, Config{})
	red, blue := picture.RGB(200, 40, 40), picture.RGB(40, 40, 200)
	s.join("a", payload.VP8, film(t, payload.VP8, 320, 180, 30, red), false)
	o := wanted("trk_out", "VP8")
	if err := s.half.Start(s.now(), o); err != nil {
		t.Fatal(err)
	}
	v := s.viewer(t, "trk_out", payload.VP8)
	s.watch(t, v, "one alone", func(f *picture.Frame) bool { return near(f, 100, 500, red) && near(f, 1200, 500, red) })
	s.join("b", payload.VP8, film(t, payload.VP8, 320, 180, 30, blue), false)
	s.watch(t, v, "two side by side", func(f *picture.Frame) bool { return near(f, 320, 400, red) && near(f, 960, 400, blue) })
	o.Layout, o.Pins = picture.PIP, []trackID{"trk_b"}
	if err := s.half.Start(s.now(), o); err != nil {
		t.Fatal(err)
	}
	s.watch(t, v, "b with a inset", func(f *picture.Frame) bool { return near(f, 200, 500, blue) && near(f, 1200, 590, red) })
	save(t, "composed-pip.png", v.last)
	o.Width, o.Height = 640, 360
	if err := s.half.Start(s.now(), o); err != nil {
		t.Fatal(err)
	}
	s.watch(t, v, "smaller", func(f *picture.Frame) bool { return f.W == 640 && near(f, 100, 250, blue) })
	s.room.Sources = s.room.Sources[:2]
	s.half.SetRoom(s.now(), s.room)
	s.watch(t, v, "b has left", func(f *picture.Frame) bool { return near(f, 100, 250, red) })
	s.house.mu.Lock()
	defer s.house.mu.Unlock()
	checkStream(t, s.out["trk_out"], 0xabc, 100)
}

func TestMissingCodecNamesPackages(t *testing.T) {
	if err := Can(plane.Codec{Name: "AV1"}); err == nil {
		t.Error("AV1 cannot be encoded")
	}
	for _, c := range []string{"VP8", "VP9", "H264"} {
		if err := Can(plane.Codec{Name: c}); err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
}

var _ mcu.Half = (*half)(nil)

// Processes are counted, end with what needed them, and are not made without bound.
func TestProcessesAreBounded(t *testing.T) {
	s := newStage(t, Config{MaxProcesses: 3})
	for i := range 5 {
		s.join(fmt.Sprint("p", i), payload.VP8, film(t, payload.VP8, 160, 90, 5, picture.White), false)
	}
	if err := s.half.Start(s.now(), wanted("trk_out", "VP8")); err != nil {
		t.Fatal(err)
	}
	if n := s.half.cfg.running.Load(); n != 3 {
		t.Errorf("%d processes", n)
	}
	s.until(t, "two decoded", func() bool { return len(s.contribs["trk_out"]) == 2 })
	s.half.Stop("trk_out")
	s.later(t, "all processes to end", func() bool { return s.half.cfg.running.Load() == 0 })
	if err := s.half.Start(s.now(), wanted("trk_again", "VP8")); err != nil {
		t.Fatal(err)
	}
	s.until(t, "a picture again", func() bool { return len(s.out["trk_again"]) > 0 && len(s.contribs["trk_again"]) == 2 })
}
