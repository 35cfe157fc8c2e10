//go:build linux

package videomix

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"parley/internal/base/fault"
	"parley/internal/mcu/picture"
	"parley/internal/media/payload"
)

// resident is the memory of a process in KiB, 0 if it is not there.
func resident(pid int) (kb int) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			return kb
		}
	}
	return 0
}

// decoderOf is the process that decodes a track, 0: none.
func (s *stage) decoderOf(track trackID) int {
	s.half.mu.Lock()
	defer s.half.mu.Unlock()
	if src := s.half.sources[track]; src != nil {
		return src.dec.PID()
	}
	return 0
}

func (s *stage) refusedOf(track trackID) uint64 {
	s.half.mu.Lock()
	defer s.half.mu.Unlock()
	return s.half.sources[track].refused
}

// M1 in the room: one source's decoder dies again and again while what it sends
// is damaged; its tile is back within a second of the first whole keyframe, the
// other tile and the outputs go on.
func TestM1_OnlyThatTileFreezes(t *testing.T) {
	s := newStage(t, Config{})
	red, blue := picture.RGB(200, 40, 40), picture.RGB(40, 40, 200)
	s.join("good", payload.VP8, film(t, payload.VP8, 320, 180, 30, red), false)
	evil := s.join("evil", payload.VP8, film(t, payload.VP8, 320, 180, 15, blue), false)
	if err := s.half.Start(s.now(), wanted("trk_out", "VP8")); err != nil {
		t.Fatal(err)
	}
	v := s.viewer(t, "trk_out", payload.VP8)
	both := func(f *picture.Frame) bool { return near(f, 320, 400, red) && near(f, 960, 400, blue) }
	s.watch(t, v, "both", both)
	rng := rand.New(rand.NewPCG(8, 8))
	whole := evil.units
	for round := range 3 {
		pid := s.decoderOf(evil.track)
		damaged := make([][]byte, len(whole))
		for i := range damaged {
			damaged[i] = append([]byte(nil), whole[i]...)
			for range 4 {
				damaged[i][3+rng.IntN(len(damaged[i])-3)] ^= byte(1 + rng.IntN(255))
			}
		}
		s.mu.Lock()
		evil.units = damaged
		s.mu.Unlock()
		_ = syscall.Kill(pid, syscall.SIGSEGV)
		died := time.Now()
		shown := s.goodShown()
		s.later(t, "a new process", func() bool { p := s.decoderOf(evil.track); return p != 0 && p != pid })
		if d := time.Since(died); d > time.Second {
			t.Errorf("round %d: %v until the process was back", round, d)
		}
		s.later(t, "the other source going on", func() bool { return s.goodShown() > shown+10 })
		s.mu.Lock()
		evil.units, evil.n = whole, 0
		s.mu.Unlock()
		s.watch(t, v, "both again", both)
	}
	// Between two pictures of the output there was never a second.
	s.house.mu.Lock()
	defer s.house.mu.Unlock()
	worst := time.Duration(0)
	ps := s.out["trk_out"]
	for i := 1; i < len(ps); i++ {
		worst = max(worst, ps[i].at.Sub(ps[i-1].at))
	}
	t.Logf("longest gap of the output %v", worst)
	if worst > time.Second {
		t.Errorf("the output stood still for %v", worst)
	}
}

func (s *stage) goodShown() uint64 {
	s.half.mu.Lock()
	defer s.half.mu.Unlock()
	return s.half.sources["trk_good"].shown
}

// bitWriter makes headers.
type bitWriter struct {
	b []byte
	n int
}

func (w *bitWriter) u(v, n int) {
	for n--; n >= 0; n-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>n&1) << (7 - w.n%8)
		w.n++
	}
}

func (w *bitWriter) ue(v int) {
	n := 0
	for (v+1)>>(n+1) != 0 {
		n++
	}
	w.u(0, n)
	w.u(v+1, n+1)
}

// huge is a keyframe that claims 16,383 × 16,383.
func huge(c payload.Codec) []byte {
	var w bitWriter
	switch c {
	case payload.VP8:
		return append([]byte{0x10, 2, 0, 0x9d, 0x01, 0x2a, 0xff, 0x3f, 0xff, 0x3f}, make([]byte, 200)...)
	case payload.VP9:
		w.u(2, 2)
		w.u(0, 3)
		w.u(0b0100, 3) // key, shown, not resilient
		w.u(0x498342, 24)
		w.u(2, 4)
		w.u(16382, 16)
		w.u(16382, 16)
		w.u(0, 800)
		return w.b
	}
	w.u(66, 8)
	w.u(0, 8)
	w.u(51, 8)
	for _, v := range []int{0, 0, 2, 1} {
		w.ue(v)
	}
	w.u(0, 1)
	w.ue(1023)
	w.ue(1023)
	w.u(0b1101, 4)
	sps := append([]byte{0, 0, 0, 1, 0x67}, w.b...)
	return append(sps, 0, 0, 0, 1, 0x68, 0xce, 0x38, 0x80, 0, 0, 0, 1, 0x65, 0x88, 0x84, 0x21, 0xa0)
}

// M2: a keyframe that claims 16,383 × 16,383 is refused before anything is
// allocated, and so are thirty size changes a second; memory does not grow.
func TestM2_ClaimedSizes(t *testing.T) {
	red := picture.RGB(200, 40, 40)
	for codec, name := range names {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{})
			good := film(t, codec, 320, 180, 15, red)
			cam := s.join("a", codec, good, false)
			if err := s.half.Start(s.now(), wanted("trk_out", "VP8")); err != nil {
				t.Fatal(err)
			}
			v := s.viewer(t, "trk_out", payload.VP8)
			s.watch(t, v, "the picture", func(f *picture.Frame) bool { return near(f, 640, 500, red) })
			var sizes [][]byte
			for i := range 30 {
				sizes = append(sizes, film(t, codec, 160+16*i, 90+8*i&^1, 1, red)[0])
			}
			own, child := resident(os.Getpid()), resident(s.decoderOf(cam.track))
			s.mu.Lock()
			cam.units, cam.keys = [][]byte{huge(codec), huge(codec), huge(codec)}, true
			s.mu.Unlock()
			s.later(t, "refusals", func() bool { return s.refusedOf(cam.track) >= 10 })
			// Thirty different sizes a second.
			s.mu.Lock()
			before := s.refusedOf(cam.track)
			cam.units, cam.n, cam.keys = sizes, cam.n/30*30, true
			s.mu.Unlock()
			s.later(t, "refusals of sizes", func() bool { return s.refusedOf(cam.track) >= before+45 })
			grown := resident(os.Getpid()) + resident(s.decoderOf(cam.track)) - own - child
			t.Logf("grew by %d KiB; decoder %d KiB", grown, resident(s.decoderOf(cam.track)))
			if grown > 64<<10 {
				t.Errorf("memory grew by %d KiB", grown)
			}
			s.mu.Lock()
			cam.units, cam.n, cam.keys = good, 0, false
			s.mu.Unlock()
			s.watch(t, v, "the picture again", func(f *picture.Frame) bool { return near(f, 640, 500, red) })
			if !strings.HasPrefix(strings.Join(s.reported(), ";"), "video-refused") {
				t.Errorf("reports: %q", s.reported())
			}
		})
	}
}

// M3, video's part: with more to make than the machine can, pictures become
// fewer and then smaller, new ones are refused, and the processes yield to the
// server: they are nice, so that the scheduler serves audio first.
func TestM3_VideoGivesWay(t *testing.T) {
	s := newStage(t, Config{Nice: 7})
	s.half.mu.Lock()
	s.half.pace.off = false
	s.half.mu.Unlock()
	s.join("a", payload.VP8, film(t, payload.VP8, 640, 360, 30, picture.RGB(200, 40, 40)), false)
	s.join("b", payload.VP8, film(t, payload.VP8, 640, 360, 30, picture.RGB(40, 200, 40)), false)
	for i := range 4 {
		o := wanted(trackName(i), "VP8")
		o.Width, o.Height = 1280+2*i, 720 // an encoder each
		if err := s.half.Start(s.now(), o); err != nil {
			t.Fatal(err)
		}
	}
	s.until(t, "pictures", func() bool { return len(s.out[trackName(3)]) > 0 })
	for _, pid := range []int{s.decoderOf("trk_a"), s.half.composer.PID()} {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		for _, task := range tasks {
			var tid int
			_, _ = fmt.Sscan(filepath.Base(task), &tid)
			if p, err := unix.Getpriority(unix.PRIO_PROCESS, tid); err == nil && 20-p != 7 {
				t.Errorf("thread of process %d has priority %d", pid, 20-p)
			}
		}
	}
	// A second too full after the other, as the composer would report them.
	busy := s.half.load
	busy.Busy, busy.Late, busy.Ticks = uint64(990*time.Millisecond), 12, 18
	for range steps {
		s.half.second(busy)
	}
	err := s.half.Start(s.now(), func() (o outputT) { o = wanted("trk_more", "VP8"); o.Width, o.Height = 800, 450; return }())
	if f := fault.From(err); err == nil || f.Code != 503 || f.Reason != "overloaded" {
		t.Errorf("another picture while full: %v", err)
	}
	s.later(t, "smaller and fewer", func() bool {
		st, _ := s.half.Stats(trackName(0))
		return st.Width == 640 && st.FPS > 0 && st.FPS < 16
	})
	same := wanted("trk_same", "VP8")
	same.Width, same.Height = 1280, 720
	if err := s.half.Start(s.now(), same); err != nil {
		t.Errorf("one more receiver of what is made anyway: %v", err)
	}
}

// confineTo keeps all threads of a process on one core; threads it makes later
// inherit that.
func confineTo(t *testing.T, pid int, set *unix.CPUSet) {
	t.Helper()
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, task := range tasks {
		var tid int
		_, _ = fmt.Sscan(filepath.Base(task), &tid)
		if err := unix.SchedSetaffinity(tid, set); err != nil && err != unix.ESRCH {
			t.Fatal(err)
		}
	}
}

// M3, two rooms over capacity for real: their composers share one core and have
// twice to do what it can. Pictures become fewer in both, neither stops, and what
// is sent stays decodable and on its line of time.
func TestM3_TwoRoomsOverCapacity(t *testing.T) {
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for i := range 1024 {
		if all.IsSet(i) {
			one.Set(i)
			break
		}
	}
	red := picture.RGB(200, 40, 40)
	units := film(t, payload.VP8, 320, 180, 30, red)
	var rooms []*stage
	var views []*viewer
	for range 2 {
		s := newStage(t, Config{})
		s.half.mu.Lock()
		s.half.pace.off = false
		s.half.mu.Unlock()
		for _, n := range []string{"a", "b", "c", "d"} {
			s.join(n, payload.VP8, units, false)
		}
		for i, n := range []trackID{"trk_a", "trk_b", "trk_c", "trk_d"} {
			o := wanted(trackName(i), "VP8")
			o.Width, o.Height, o.Pins = 1280, 720, []trackID{n} // an encoder each
			if err := s.half.Start(s.now(), o); err != nil {
				t.Fatal(err)
			}
		}
		s.later(t, "a composer", func() bool { return s.half.composer.PID() != 0 })
		confineTo(t, s.half.composer.PID(), &one)
		rooms, views = append(rooms, s), append(views, s.viewer(t, trackName(0), payload.VP8))
	}
	for i, s := range rooms {
		s.later(t, "fewer pictures", func() bool { return s.half.Usage().Level > 0 })
		s.later(t, "the rate told", func() bool {
			st, _ := s.half.Stats(trackName(0))
			return st.FPS > 0 && st.FPS < 25
		})
		s.watch(t, views[i], "a picture", func(f *picture.Frame) bool { return near(f, f.W/4, f.H/4+20, red) })
		s.house.mu.Lock()
		checkStream(t, s.out[trackName(0)], 0xabc, 100)
		s.house.mu.Unlock()
		st, _ := s.half.Stats(trackName(0))
		t.Logf("room %d: level %d, %.1f pictures a second of %d × %d", i, s.half.Usage().Level, st.FPS, st.Width, st.Height)
	}
}
