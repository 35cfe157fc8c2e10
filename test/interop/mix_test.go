package interop

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media/oggwriter"

	"parley/test/testpeer"
)

// opusTone makes a second of a tone, to be sent over and over without a seam.
func opusTone(t *testing.T, hz int) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "tone.ogg")
	cmd := exec.Command("ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=%d:sample_rate=48000", hz),
		"-t", "10", "-c:a", "libopus", "-b:a", "32k", "-page_duration", "20000", out)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, msg)
	}
	return out
}

// browserHears plays the room over WebRTC for some seconds and returns what its
// one audio stream held, decoded by ffmpeg.
func (r *plainRoom) browserHears(d time.Duration) []float64 {
	r.t.Helper()
	out := filepath.Join(r.t.TempDir(), "browser.ogg")
	w, err := oggwriter.New(out, 48000, 2)
	if err != nil {
		r.t.Fatal(err)
	}
	var mu sync.Mutex // guards w
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p, err := testpeer.Play(ctx, testpeer.Options{
		URL: r.URL + "/whep/tones", Token: r.token, Audio: 1,
		OnRTP: func(x *testpeer.Received, q *rtp.Packet) {
			mu.Lock()
			defer mu.Unlock()
			if x.Track.Kind() == webrtc.RTPCodecTypeAudio && len(q.Payload) > 0 {
				_ = w.WriteRTP(q)
			}
		},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = p.Close(ctx) }()
	if err := p.Connected(ctx); err != nil {
		r.t.Fatal(err)
	}
	<-time.After(d) // what is recorded is as long as it takes
	// Who was too many for a busy node is forwarded to, not mixed for: then this says so.
	r.t.Log(r.ask("GET", r.URL+"/api/v1/conferences/tones/topology", "", "", nil))
	mu.Lock()
	defer mu.Unlock()
	if err := w.Close(); err != nil {
		r.t.Fatal(err)
	}
	decoded := filepath.Join(r.t.TempDir(), "browser.wav")
	cmd := exec.Command("ffmpeg", "-nostdin", "-loglevel", "error", "-i", out, "-ar", "8000", "-ac", "1", "-c:a", "pcm_s16le", decoded)
	if msg, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("ffmpeg: %v: %s", err, msg)
	}
	return wav(r.t, decoded)
}

// TestMIX1_WebRTCAndPhones: one room with topology mixer: two phones of G.711
// and a WebRTC publisher talk; the phones hear the publisher and each other,
// not themselves, and a WebRTC listener hears all three in one stream.
func TestMIX1_WebRTCAndPhones(t *testing.T) {
	r := newPlainRoom(t)
	r.ask("PUT", r.URL+"/api/v1/conferences/tones/topology", "application/json", `{"topology":"mixer"}`, nil)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pub, err := testpeer.Publish(ctx, testpeer.Options{URL: r.URL + "/whip/tones", Token: r.token, Script: testpeer.Script{AudioFile: opusTone(t, 1000)}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pub.Close(ctx) }()
	tones := []int{400, 700}
	var heard []func() []float64
	for i, hz := range tones {
		heard = append(heard, r.record(r.ffmpegPhone(fmt.Sprint("phone", i), hz), 6))
	}
	browser := r.browserHears(6 * time.Second)
	for i := range heard {
		for _, s := range seconds(heard[i](), 2) {
			own, other, web := level(s, float64(tones[i])), level(s, float64(tones[1-i])), level(s, 1000)
			if other < -30 || web < -30 || own > min(other, web)-40 {
				t.Errorf("phone %d: itself %.1f dB, the phone %.1f dB, WebRTC %.1f dB", i, own, other, web)
			}
		}
	}
	tonesIn(t, "WebRTC", browser, 2, 400, 700, 1000)
	for _, s := range seconds(browser, 1) {
		t.Logf("WebRTC hears %.1f, %.1f and %.1f dB", level(s, 400), level(s, 700), level(s, 1000))
	}
}
