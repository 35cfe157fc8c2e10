package interop

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"parley/test/harness"
)

// Phones made of ffmpeg: one process plays a tone as RTP, another records what
// its description asks for. They come in by REST (docs/plain-rtp.md).

// group is for documentation (RFC 6676, section 2).
const group = "233.252.0.17"

// plainRoom is a server with a running conference and the right to change it.
type plainRoom struct {
	*harness.Server
	t     *testing.T
	token string
}

func newPlainRoom(t *testing.T) *plainRoom {
	t.Helper()
	harness.NeedNamespace(t)
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("no ffmpeg")
	}
	// A group needs a way out, which the namespace has not by itself.
	if out, err := exec.Command("ip", "route", "replace", "233.252.0.0/24", "dev", "parley0").CombinedOutput(); err != nil {
		t.Fatalf("ip route: %v %s", err, out)
	}
	r := &plainRoom{t: t}
	r.Server = harness.Start(t, harness.Options{Host: harness.Address, Args: []string{"--rtp-ports", "30000-30099"}})
	var x struct{ Token string }
	r.ask("POST", r.URL+"/auth/exchange", "", `{"name":"Ana"}`, &x)
	r.token = x.Token
	r.ask("POST", r.URL+"/api/v1/conferences", "application/json", `{"uri":"tones","start":true}`, nil)
	return r
}

// ask wants success and returns the answer's body.
func (r *plainRoom) ask(method, url, kind, body string, into any) string {
	r.t.Helper()
	q, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if kind != "" {
		q.Header.Set("Content-Type", kind)
	}
	if r.token != "" {
		q.Header.Set("Authorization", "Bearer "+r.token)
	}
	resp, err := (&http.Client{Timeout: patience}).Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		r.t.Fatalf("%s %s: %d %s %v", method, url, resp.StatusCode, b, err)
	}
	if into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			r.t.Fatalf("%s: %v", b, err)
		}
	}
	return string(b)
}

// tool starts a program that ends with the test.
func (r *plainRoom) tool(name string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	cmd := exec.CommandContext(ctx, name, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		cancel()
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	return cmd, &said
}

// evenPort is one that was free a moment ago, with three above it.
func evenPort(t *testing.T) int {
	t.Helper()
	for {
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: harness.Address.AsSlice()})
		if err != nil {
			t.Fatal(err)
		}
		p := c.LocalAddr().(*net.UDPAddr).Port
		_ = c.Close()
		if p%2 == 0 && p < 65000 {
			return p
		}
	}
}

var mAudio = regexp.MustCompile(`m=audio (\d+) `)

// ffmpegPhone joins as a G.711 phone that plays a tone, and returns the
// description by which another ffmpeg records what it is sent.
func (r *plainRoom) ffmpegPhone(name string, hz int) (record string) {
	r.t.Helper()
	port := evenPort(r.t)
	offer := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio %[2]d RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n", harness.Address, port)
	answer := r.ask("POST", r.URL+"/api/v1/conferences/tones/rtp?name="+name, "application/sdp", offer, nil)
	m := mAudio.FindStringSubmatch(answer)
	if m == nil {
		r.t.Fatalf("answer: %s", answer)
	}
	r.tool("ffmpeg", "-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=%d:sample_rate=8000", hz),
		"-c:a", "pcm_mulaw", "-f", "rtp", fmt.Sprintf("rtp://%s:%s?pkt_size=172", harness.Address, m[1]))
	record = filepath.Join(r.t.TempDir(), name+".sdp")
	if err := os.WriteFile(record, []byte(offer), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return record
}

// record lets ffmpeg write what a description brings, as samples at 8 kHz.
func (r *plainRoom) record(sdp string, seconds int) func() []float64 {
	r.t.Helper()
	out := filepath.Join(r.t.TempDir(), "heard.wav")
	cmd, said := r.tool("ffmpeg", "-nostdin", "-v", "error", "-protocol_whitelist", "file,rtp,udp", "-i", sdp,
		"-t", fmt.Sprint(seconds), "-ar", "8000", "-ac", "1", "-c:a", "pcm_s16le", out)
	return func() []float64 {
		r.t.Helper()
		if err := cmd.Wait(); err != nil {
			r.t.Fatalf("ffmpeg: %v %s", err, said)
		}
		return wav(r.t, out)
	}
}

// wav reads 16-bit samples.
func wav(t *testing.T, name string) []float64 {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte("data"))
	if at < 0 {
		t.Fatalf("%s is no WAV", name)
	}
	var x []float64
	for b = b[at+8:]; len(b) >= 2; b = b[2:] {
		x = append(x, float64(int16(binary.LittleEndian.Uint16(b)))/32768)
	}
	return x
}

// level is the power of a tone in dB of full scale, through a Hann window.
func level(x []float64, hz float64) float64 {
	var re, im, norm float64
	for i, v := range x {
		w := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(x)))
		re += v * w * math.Cos(2*math.Pi*hz*float64(i)/8000)
		im += v * w * math.Sin(2*math.Pi*hz*float64(i)/8000)
		norm += w
	}
	return 10 * math.Log10(max(1e-12, 4*(re*re+im*im)/(norm*norm)))
}

// quietest and loudest look second by second, over the last whole ones, since
// others come while a recording begins.
func seconds(x []float64, n int) (out [][]float64) {
	for i := 0; i < n && len(x) >= (i+1)*8000; i++ {
		out = append(out, x[len(x)-(i+1)*8000:len(x)-i*8000])
	}
	return out
}

// TestMulticast_StrangersPlayTheRoom: the conference goes to a group; ffmpeg and
// GStreamer, by the description they are given, hear who talks in it.
func TestMulticast_StrangersPlayTheRoom(t *testing.T) {
	r := newPlainRoom(t)
	r.ffmpegPhone("Ana", 440)
	var leg struct{ ID, SDP string }
	r.ask("POST", r.URL+"/api/v1/conferences/tones/rtp", "application/json",
		`{"group":{"group":"`+group+`:5004","ttl":1,"interface":"parley0","feedback":"rsi"},"name":"Hall"}`, &leg)
	file := filepath.Join(t.TempDir(), "group.sdp")
	if err := os.WriteFile(file, []byte(leg.SDP), 0o600); err != nil {
		t.Fatal(err)
	}
	heard := r.record(file, 4)
	if _, err := exec.LookPath("gst-launch-1.0"); err != nil {
		t.Log("no GStreamer: ffmpeg alone")
	} else {
		out := filepath.Join(t.TempDir(), "gst.wav")
		cmd, said := r.tool("gst-launch-1.0", "-q", "udpsrc", "address="+group, "port=5004", "multicast-iface=parley0", "num-buffers=200",
			"caps=application/x-rtp,media=audio,clock-rate=8000,encoding-name=PCMU,payload=0", "!", "rtppcmudepay", "!", "mulawdec", "!",
			"wavenc", "!", "filesink", "location="+out)
		if err := cmd.Wait(); err != nil {
			t.Fatalf("GStreamer: %v %s", err, said)
		}
		tonesIn(t, "GStreamer", wav(t, out), 2, 440)
	}
	tonesIn(t, "ffmpeg", heard(), 2, 440)
	r.ask("DELETE", r.URL+"/api/v1/conferences/tones/rtp/"+leg.ID, "", "", nil)
}

// tonesIn wants the tones in the last n seconds of a recording, each above -30 dB.
func tonesIn(t *testing.T, who string, x []float64, n int, hz ...float64) {
	t.Helper()
	parts := seconds(x, n)
	if len(parts) < n {
		t.Errorf("%s recorded %.1f s", who, float64(len(x))/8000)
	}
	for _, s := range parts {
		for _, f := range hz {
			if l := level(s, f); l < -30 {
				t.Errorf("%s: %v Hz at %.1f dB", who, f, l)
			}
		}
	}
}

// TestMIX1_ByOutsideTools: three phones of ffmpeg with three tones; each hears
// the other two and not itself, 40 dB at least below them.
func TestMIX1_ByOutsideTools(t *testing.T) {
	r := newPlainRoom(t)
	tones := []int{400, 700, 1000}
	var sdps []string
	for i, hz := range tones {
		sdps = append(sdps, r.ffmpegPhone(fmt.Sprint("phone", i), hz))
	}
	var heard []func() []float64
	for _, s := range sdps {
		heard = append(heard, r.record(s, 6))
	}
	for i := range heard {
		parts := seconds(heard[i](), 3)
		if len(parts) < 3 {
			t.Fatalf("phone %d recorded %d s", i, len(parts))
		}
		for _, s := range parts {
			own := level(s, float64(tones[i]))
			for k, hz := range tones {
				if k == i {
					continue
				}
				if l := level(s, float64(hz)); l < -30 || own > l-40 {
					t.Errorf("phone %d hears %d Hz at %.1f dB, itself at %.1f dB", i, hz, l, own)
				}
			}
		}
		t.Logf("phone %d: itself %.1f dB, the others %.1f and %.1f dB", i, level(parts[0], float64(tones[i])),
			level(parts[0], float64(tones[(i+1)%3])), level(parts[0], float64(tones[(i+2)%3])))
	}
}
