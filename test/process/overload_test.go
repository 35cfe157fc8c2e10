package process

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"parley/api"
	"parley/test/harness"
	"parley/test/testpeer"
)

const (
	fullRooms   = 2
	fullSources = 10 // in each room, of 720p
	// lateAllowed is the share of audio slots that may be 20 ms late or more.
	lateAllowed = 0.001
)

// recorded has ffmpeg write a file: what a camera or a microphone sends.
func recorded(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("no ffmpeg")
	}
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("ffmpeg", append(append([]string{"-nostdin", "-loglevel", "error", "-f", "lavfi"}, args...), path)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	return path
}

func moving(t *testing.T) string {
	return recorded(t, "moving.ivf", "-i", "testsrc2=size=1280x720:rate=30", "-t", "2", "-vf", "noise=alls=4:allf=t",
		"-c:v", "libvpx", "-b:v", "1500k", "-g", "60", "-deadline", "realtime", "-cpu-used", "8")
}

func humming(t *testing.T) string {
	return recorded(t, "humming.ogg", "-i", "sine=frequency=400:sample_rate=48000", "-t", "2", "-c:a", "libopus", "-b:a", "32k", "-page_duration", "20000")
}

// do makes a request that must succeed.
func (p *person) do(t *testing.T, room, method, params string) {
	t.Helper()
	p.say(t, api.Request{Kind: "request", ID: method, Method: method, Conf: room, Params: json.RawMessage(params)})
	b, err := p.until(within(t, patience), "response")
	var res api.Response
	if err == nil {
		err = json.Unmarshal(b, &res)
	}
	if err != nil || res.Error != nil {
		t.Fatalf("%s: %v, %s", method, err, b)
	}
}

// measured reads one sample of the metrics.
func measured(t *testing.T, s *harness.Server, sample string) float64 {
	t.Helper()
	_, b := call(t, "GET", s.Admin+"/metrics", "")
	for line := range strings.Lines(b) {
		if v, ok := strings.CutPrefix(line, sample+" "); ok {
			x, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
	}
	t.Fatalf("no %s in the metrics", sample)
	return 0
}

// h264 leaves one H.264 format in an offer of video; mode is its packetization.
func h264(mode string) func(string) string {
	return func(sdp string) string {
		m := regexp.MustCompile(`a=fmtp:(\d+) .*packetization-mode=` + mode + `.*42[0-9a-f]{4}`).FindStringSubmatch(sdp)
		if m == nil {
			return sdp
		}
		sdp = regexp.MustCompile(`(m=video \d+ \S+)( \d+)+`).ReplaceAllString(sdp, "${1} "+m[1])
		var out strings.Builder
		_, video, _ := strings.Cut(sdp, "m=video")
		for line := range strings.Lines(sdp) {
			of := regexp.MustCompile(`^a=(?:rtpmap|fmtp|rtcp-fb):(\d+) `).FindStringSubmatch(line)
			if of == nil || of[1] == m[1] || !strings.Contains(video, line) {
				out.WriteString(line)
			}
		}
		return out.String()
	}
}

// punctual runs beside a measurement: a thread like those that mix, as far as
// that is allowed here, which wakes each 20 ms. Stop returns the share of its
// turns that came a slot late: the machine's own.
func punctual() (stop func() (share float64, worst time.Duration)) {
	quit, out := make(chan struct{}), make(chan func() (float64, time.Duration), 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its priority
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -10)
		const slot = 20 * time.Millisecond
		due, n, late, worst := time.Now().Add(slot), 0, 0, time.Duration(0)
		for {
			select {
			case <-quit:
				out <- func() (float64, time.Duration) { return float64(late) / float64(max(n, 1)), worst }
				return
			default:
			}
			ts := unix.NsecToTimespec(max(0, time.Until(due).Nanoseconds()))
			_ = unix.Nanosleep(&ts, nil)
			d := time.Since(due)
			if n++; d >= slot {
				late++
			}
			worst = max(worst, d)
			due = due.Add(slot)
		}
	}()
	return func() (float64, time.Duration) {
		close(quit)
		return (<-out)()
	}
}

// full is a server with more pictures to make than its processors can.
type full struct {
	*harness.Server
	t         *testing.T
	listeners []*testpeer.Peer // of composed pictures
	heads     int
}

func (f *full) listen(room string, edit func(string) string) *testpeer.Peer {
	f.t.Helper()
	f.heads++
	p, err := testpeer.Play(within(f.t, patience), testpeer.Options{URL: fmt.Sprint(f.URL, "/whep/", room, "?device=screen-", f.heads), EditOffer: edit})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = p.Abandon() })
	if err := p.Connected(within(f.t, patience)); err != nil {
		f.t.Fatal(err)
	}
	return p
}

func overCapacity(t *testing.T) *full {
	f := &full{t: t}
	onTwoCores(t, func() { f.Server = harness.Start(t, harness.Options{Args: []string{"--limits.half-open", "200"}}) })
	script := testpeer.Script{VideoFile: moving(t), AudioFile: humming(t)}
	come := func(room, first, n int) {
		for k := range n {
			publish(t, f.Server, fmt.Sprintf("full%d?device=camera-%d", room, first+k), testpeer.Options{Script: script})
		}
	}
	for i := range fullRooms {
		room := fmt.Sprint("full", i)
		host := enter(t, f.Server, room)
		host.do(t, room, "conference.setTopology", `{"topology":"mixer"}`)
		host.do(t, room, "layout.set", `{"mode":"grid","scope":"all"}`)
		come(i, 0, 1)
		for _, mode := range []string{"1", "0"} { // an encoder each
			f.listeners = append(f.listeners, f.listen(room, h264(mode)))
		}
	}
	f.await("mixed for everybody", func() bool {
		for _, p := range f.listeners {
			if pictures(p) == 0 {
				return false
			}
		}
		return f.videos() == float64(len(f.listeners))
	})
	for i := range fullRooms {
		come(i, 1, fullSources-1)
	}
	return f
}

// pictures is how many pictures a listener has had.
func pictures(p *testpeer.Peer) (n uint64) {
	for _, r := range p.Tracks() {
		if r.Track.Kind().String() == "video" {
			n += r.Frames()
		}
	}
	return n
}

// window is what one measurement saw.
type window struct {
	made, late, fps, control float64
	worst                    time.Duration
}

func (f *full) measure(d time.Duration) (w window) {
	stop := punctual()
	made, late := measured(f.t, f.Server, `parley_mixer_slots_total{event="made"}`), measured(f.t, f.Server, `parley_mixer_slots_total{event="late"}`)
	var before uint64
	for _, p := range f.listeners {
		before += pictures(p)
	}
	began := time.Now()
	<-time.After(d) // what is measured is as long as it takes
	for _, p := range f.listeners {
		w.fps += float64(pictures(p))
	}
	w.fps = (w.fps - float64(before)) / time.Since(began).Seconds() / float64(len(f.listeners))
	w.made = measured(f.t, f.Server, `parley_mixer_slots_total{event="made"}`) - made
	w.late = measured(f.t, f.Server, `parley_mixer_slots_total{event="late"}`) - late
	w.control, w.worst = stop()
	return w
}

func (f *full) videos() float64 { return measured(f.t, f.Server, `parley_mixer_outputs{kind="video"}`) }

// TestM3_AudioOnTimeWhenVideoIsTooMuch: two rooms of ten 720p cameras, each
// composed for two encoders, on two cores. Sound stays on time, pictures become
// fewer, who would need another encoder is refused it and sees what is
// forwarded, and a room that is forwarded notices nothing. The slots are judged
// beside a thread of the same kind in this process. SOAK=1 measures a minute.
func TestM3_AudioOnTimeWhenVideoIsTooMuch(t *testing.T) {
	harness.Quiet(t)
	length := 8 * time.Second
	if os.Getenv("SOAK") != "" {
		length = time.Minute
	}
	f := overCapacity(t)
	publish(t, f.Server, "plain", testpeer.Options{Script: testpeer.DefaultScript})
	plain := f.listen("plain", nil)
	f.await("forwarding", func() bool { return pictures(plain) > 0 })
	for n := 1; ; n++ {
		before := pictures(plain)
		w := f.measure(length)
		forwarded := float64(pictures(plain)-before) / length.Seconds()
		t.Logf("window %d: %.0f slots, %.0f late (%.2f %%; the machine's own %.2f %%, at most %v); %.1f composed and %.1f forwarded pictures a second",
			n, w.made, w.late, 100*w.late/w.made, 100*w.control, w.worst, w.fps, forwarded)
		if w.late/w.made <= lateAllowed+3*w.control && w.fps > 0.5 && w.fps < 20 && forwarded > 20 {
			break
		}
		if n == 3 {
			t.Fatalf("want at most %.1f %% late beyond three times the machine's own, 0.5 to 20 composed and more than 20 forwarded pictures a second\n%s", 100*lateAllowed, f.Log())
		}
	}
	f.refuses()
}

// refuses has somebody come who would need one more encoder.
func (f *full) refuses() {
	f.t.Helper()
	refused := func() float64 { return measured(f.t, f.Server, `parley_mixer_refused_total{kind="video"}`) }
	was := refused()
	p := f.listen("full0", nil) // VP8
	f.await("refused", func() bool { return refused() > was })
	if n := f.videos(); n > float64(len(f.listeners)) {
		f.t.Errorf("%.0f pictures are mixed for %d listeners", n, len(f.listeners))
	}
	if !strings.Contains(f.Log(), "overloaded") {
		f.t.Errorf("the reason is not told\n%s", f.Log())
	}
	at := pictures(p)
	f.await("forwarded instead", func() bool { return pictures(p) > at+20 })
}

func (f *full) await(what string, ok func() bool) {
	f.t.Helper()
	ctx := within(f.t, patience)
	for !ok() {
		select {
		case <-ctx.Done():
			f.t.Fatalf("not %s\n%s", what, f.Log())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// onTwoCores has what f starts stay on two cores, however many there are: a new
// process inherits that from the thread that makes it.
func onTwoCores(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var old, two unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 1024 && two.Count() < 2; i++ {
		if old.IsSet(i) {
			two.Set(i)
		}
	}
	if err := unix.SchedSetaffinity(0, &two); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.SchedSetaffinity(0, &old) }()
	f()
}
