package interop

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/test/harness"
	"parley/test/testpeer"
)

// TestPlainVideo: a camera of ffmpeg over plain RTP is watched over WebRTC, and
// by another plain endpoint, where ffmpeg decodes it.
func TestPlainVideo(t *testing.T) {
	r := newPlainRoom(t)
	port := evenPort(t)
	offer := func(port int, dir string) string {
		return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=video %[2]d RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=%[3]s\r\n", harness.Address, port, dir)
	}
	var camera, screen struct {
		Streams []struct{ Local string }
	}
	body := func(sdp, name string) string {
		return fmt.Sprintf(`{"sdp":%q,"name":%q,"role":"presenter"}`, sdp, name)
	}
	r.ask("POST", r.URL+"/api/v1/conferences/tones/rtp", "application/json", body(offer(port, "sendonly"), "Camera"), &camera)
	r.tool("ffmpeg", "-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=15", "-c:v", "libvpx", "-b:v", "400k", "-g", "15",
		"-deadline", "realtime", "-cpu-used", "8", "-f", "rtp", "-payload_type", "96", "rtp://"+camera.Streams[0].Local+"?pkt_size=1200")

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p, err := testpeer.Play(ctx, testpeer.Options{URL: r.URL + "/whep/tones", Token: r.token, Audio: 1, Video: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close(ctx) }()
	watch := evenPort(t)
	file := filepath.Join(t.TempDir(), "screen.sdp")
	if err := os.WriteFile(file, []byte(offer(watch, "recvonly")), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "seen.png")
	cmd, said := r.tool("ffmpeg", "-nostdin", "-v", "error", "-protocol_whitelist", "file,rtp,udp", "-i", file, "-frames:v", "20", "-update", "1", out)
	r.ask("POST", r.URL+"/api/v1/conferences/tones/rtp", "application/json", body(offer(watch, "recvonly"), "Screen"), &screen)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("ffmpeg: %v %s", err, said)
	}
	if b, err := os.ReadFile(out); err != nil || !bytes.HasPrefix(b, []byte("\x89PNG")) {
		t.Errorf("no picture: %v", err)
	}
	for end := time.Now().Add(patience); ; {
		frames := uint64(0)
		for _, x := range p.Tracks() {
			if x.Track.Kind() == webrtc.RTPCodecTypeVideo {
				frames = x.Frames()
			}
		}
		if frames >= 15 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d frames over WebRTC", frames)
		}
		<-time.After(50 * time.Millisecond)
	}
}
