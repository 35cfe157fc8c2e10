// Package interop lets strangers publish by WHIP and play by WHEP through the
// real binary: GStreamer, aiortc and pion, each of which is another WebRTC stack
// than the server's. See README.md for the client scripts.
package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/test/harness"
	"parley/test/testpeer"
)

func TestMain(m *testing.M) { os.Exit(harness.Alone(m)) }

// patience bounds each step; the scripts end by themselves before it.
const patience = 90 * time.Second

// result is the line that a script prints.
type result struct {
	OK          bool    `json:"ok"`
	Error       string  `json:"error"`
	State       string  `json:"state"`
	AudioFrames int     `json:"audioFrames"`
	VideoFrames int     `json:"videoFrames"`
	Codec       string  `json:"codec"`
	Delete      int     `json:"delete"`
	AudioPeak   float64 `json:"audioPeak"`
	Size        []int   `json:"size"`
}

// script is a running client.
type script struct {
	name     string
	cmd      *exec.Cmd
	out, err bytes.Buffer
	cancel   context.CancelFunc
}

func run(t *testing.T, name, url string, args ...string) *script {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s := &script{name: name, cancel: cancel}
	// Debian's own Python has the packages, whatever else is in the PATH.
	s.cmd = exec.CommandContext(ctx, "/usr/bin/python3", append([]string{name, url}, args...)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.err
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		cancel()
		t.Skipf("no /usr/bin/python3: %v", err)
	}
	t.Cleanup(func() { cancel(); _ = s.cmd.Wait() }) // a second Wait only fails
	return s
}

// wait returns the script's line.
func (s *script) wait(t *testing.T) result {
	t.Helper()
	err := s.cmd.Wait()
	s.cancel()
	var r result
	if json.Unmarshal(bytes.TrimSpace(s.out.Bytes()), &r) != nil {
		t.Fatalf("%s ended with %v and said %q; %s", s.name, err, s.out.String(), s.err.String())
	}
	if strings.HasPrefix(r.Error, "missing ") {
		t.Skipf("%s: %s", s.name, r.Error)
	}
	if !r.OK || err != nil {
		t.Errorf("%s ended with %v: %s; %s", s.name, err, s.out.String(), s.err.String())
	}
	return r
}

// publisher starts to publish into a room and returns what stops it and checks
// what it says.
type publisher func(t *testing.T, s *harness.Server, room, video string) (stop func())

// player plays a room for some seconds and fails the test unless audio and video
// came.
type player func(t *testing.T, s *harness.Server, room, video string)

func scriptPublisher(name string) publisher {
	return func(t *testing.T, s *harness.Server, room, video string) func() {
		t.Helper()
		p := run(t, name, s.URL+"/whip/"+room, "--video", video, "--seconds", "60")
		return func() {
			t.Helper()
			if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			r := p.wait(t)
			if r.Delete/100 != 2 {
				t.Errorf("%s: DELETE answered %d", name, r.Delete)
			}
			t.Logf("%s sent %d audio, %d video packets of %s", name, r.AudioFrames, r.VideoFrames, r.Codec)
		}
	}
}

func scriptPlayer(name string) player {
	return func(t *testing.T, s *harness.Server, room, video string) {
		t.Helper()
		r := run(t, name, s.URL+"/whep/"+room, "--video", video, "--seconds", "4").wait(t)
		t.Logf("%s decoded %d audio, %d video frames of %s, peak %v, size %v", name, r.AudioFrames, r.VideoFrames, r.Codec, r.AudioPeak, r.Size)
		if r.AudioFrames < 50 || r.VideoFrames < 10 {
			t.Errorf("%s decoded %d audio and %d video frames in 4 s", name, r.AudioFrames, r.VideoFrames)
		}
		if !strings.EqualFold(r.Codec, video) {
			t.Errorf("%s: codec %s, want %s", name, r.Codec, video)
		}
		if strings.HasPrefix(name, "aiortc") && (r.AudioPeak < 1000 || len(r.Size) != 2 || r.Size[0] != 320) {
			t.Errorf("%s: peak %v, size %v: not what was sent", name, r.AudioPeak, r.Size)
		}
		if r.Delete/100 != 2 {
			t.Errorf("%s: DELETE answered %d", name, r.Delete)
		}
	}
}

func pionPublisher(t *testing.T, s *harness.Server, room, _ string) func() {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	video, audio := recorded(t)
	p, err := testpeer.Publish(ctx, testpeer.Options{
		URL: s.URL + "/whip/" + room, Script: testpeer.Script{VideoFile: video, AudioFile: audio},
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	if err := p.Connected(ctx); err != nil {
		t.Error(err)
	}
	return func() {
		t.Helper()
		defer cancel()
		t.Logf("pion sent %d frames, was asked for %d key frames", p.Sent(), p.PLIs())
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
	}
}

func pionPlayer(t *testing.T, s *harness.Server, room, video string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p, err := testpeer.Play(ctx, testpeer.Options{URL: s.URL + "/whep/" + room})
	if err != nil {
		t.Fatal(err)
	}
	tracks, err := p.WaitTracks(ctx, 2, 60)
	if err != nil {
		t.Error(err)
	}
	for _, r := range tracks {
		t.Logf("pion got %d packets, %d with marker, %d gaps of %s", r.Packets(), r.Frames(), r.Gaps(), r.Track.Codec().MimeType)
		if r.Track.Kind() == webrtc.RTPCodecTypeVideo && (r.Frames() < 3 || !strings.EqualFold(r.Track.Codec().MimeType, "video/"+video)) {
			t.Errorf("%d frames of %s", r.Frames(), r.Track.Codec().MimeType)
		}
	}
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
}

// recorded makes two seconds of VP8 and Opus, once a test.
func recorded(t *testing.T) (video, audio string) {
	t.Helper()
	dir := t.TempDir()
	video, audio = filepath.Join(dir, "video.ivf"), filepath.Join(dir, "audio.ogg")
	for out, args := range map[string]string{
		video: "-f lavfi -i testsrc=size=320x240:rate=15 -t 2 -c:v libvpx -b:v 400k -g 15 -deadline realtime -cpu-used 8",
		audio: "-f lavfi -i sine=frequency=440:sample_rate=48000 -t 2 -c:a libopus -b:a 32k -page_duration 20000",
	} {
		cmd := exec.Command("ffmpeg", append(append([]string{"-nostdin", "-loglevel", "error"}, strings.Fields(args)...), out)...)
		msg, err := cmd.CombinedOutput()
		if errors.Is(err, exec.ErrNotFound) {
			t.Skip("ffmpeg is not installed: no pictures for pion to send")
		}
		if err != nil {
			t.Fatalf("ffmpeg: %v: %s", err, msg)
		}
	}
	return video, audio
}

func TestStrangersPublishAndPlay(t *testing.T) {
	harness.NeedNamespace(t)
	harness.Busy(t)
	s := harness.Start(t, harness.Options{Host: harness.Address, Workers: 2})
	publishers := map[string]publisher{
		"gst": scriptPublisher("gst_whip.py"), "aiortc": scriptPublisher("aiortc_whip.py"), "pion": pionPublisher,
	}
	players := map[string]player{
		"gst": scriptPlayer("gst_whep.py"), "aiortc": scriptPlayer("aiortc_whep.py"), "pion": pionPlayer,
	}
	// Two at a time: a client takes seconds of CPU to start, and then little.
	t.Run("pairs", func(t *testing.T) {
		gate := make(chan struct{}, 2)
		for _, c := range []struct{ from, to, video string }{
			{"gst", "gst", "vp8"},
			{"aiortc", "aiortc", "vp8"},
			{"gst", "aiortc", "h264"},
			{"aiortc", "gst", "vp8"},
			{"gst", "gst", "h264"}, // aiortc 1.4 makes no H.264 key frame when asked, so nobody can join it late
			{"gst", "pion", "h264"},
			{"aiortc", "pion", "vp8"},
			{"pion", "gst", "vp8"},
			{"pion", "aiortc", "vp8"},
		} {
			name := fmt.Sprintf("%s-to-%s-%s", c.from, c.to, c.video)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				gate <- struct{}{}
				defer func() { <-gate }()
				stop := publishers[c.from](t, s, name, c.video)
				inRoom(t, s, name)
				players[c.to](t, s, name, c.video)
				stop()
			})
		}
	})
	st, took := s.Eventually(t, 20*time.Second, "everything freed after the goodbyes", func(st *harness.Stats) bool {
		return st.Media.Links == 0 && st.Media.Tracks == 0
	})
	t.Logf("after %v: %v", took, &st)
}

// inRoom waits until the publisher is in the room's roster.
func inRoom(t *testing.T, s *harness.Server, room string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; <-tick.C {
		var st struct {
			UserCount int `json:"userCount"`
		}
		_, b, err := s.Get("/r/" + room + "/status")
		if err == nil && json.Unmarshal(b, &st) == nil && st.UserCount > 0 {
			return
		}
		if time.Since(began) > patience/2 {
			t.Fatalf("nobody in the room: %s %v", b, err)
		}
	}
}
