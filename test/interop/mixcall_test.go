package interop

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media/oggwriter"

	"parley/test/harness"
	"parley/test/testpeer"
)

// listening is who talks with a tone and keeps what it hears: the names in every
// packet, and a recording that ffmpeg decodes.
type listening struct {
	t    *testing.T
	name string
	hz   int
	args []string // how ffmpeg reads the recording

	mu    sync.Mutex // guards what follows
	write func(*rtp.Packet) error
	end   func() error
	names map[string]int // packets by the contributors in them
	ever  map[uint32]bool
	kinds map[string]bool // SSRC and payload type
}

// heard notes and records one packet of the mix.
func (l *listening) heard(p *rtp.Packet) {
	if len(p.Payload) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names[contributors(p.CSRC...)]++
	for _, id := range p.CSRC {
		l.ever[id] = true
	}
	l.kinds[fmt.Sprint(p.SSRC, " ", p.PayloadType)] = true
	_ = l.write(p)
}

// contributors is what getContributingSources would list, sorted.
func contributors(ids ...uint32) string { return fmt.Sprint(slices.Sorted(slices.Values(ids))) }

// until waits for a packet with just these contributors, and forgets the names
// before it.
func (l *listening) until(want string) {
	l.t.Helper()
	end := time.Now().Add(patience)
	for {
		l.mu.Lock()
		n, have := l.names[want], fmt.Sprint(l.names)
		if n > 0 {
			l.names = map[string]int{}
		}
		l.mu.Unlock()
		if n > 0 {
			return
		}
		if time.Now().After(end) {
			l.t.Fatalf("%s waits for %s and gets %s", l.name, want, have)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// samples ends the recording; ffmpeg decodes it.
func (l *listening) samples() []float64 {
	l.t.Helper()
	l.mu.Lock()
	err := l.end()
	l.write = func(*rtp.Packet) error { return nil }
	l.mu.Unlock()
	if err != nil {
		l.t.Fatal(err)
	}
	decoded := filepath.Join(l.t.TempDir(), l.name+".wav")
	args := append([]string{"-nostdin", "-loglevel", "error"}, l.args...)
	cmd := exec.Command("ffmpeg", append(args, "-ar", "8000", "-ac", "1", "-c:a", "pcm_s16le", decoded)...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("ffmpeg: %v: %s", err, msg)
	}
	return wav(l.t, decoded)
}

func (r *plainRoom) listening(name string, hz int) *listening {
	return &listening{t: r.t, name: name, hz: hz, names: map[string]int{}, ever: map[uint32]bool{}, kinds: map[string]bool{}}
}

// browser joins by WebRTC with a tone that ffmpeg made: one transport both ways.
func (r *plainRoom) browser(name string, hz int) *listening {
	r.t.Helper()
	l := r.listening(name, hz)
	file := filepath.Join(r.t.TempDir(), name+".ogg")
	out, err := oggwriter.New(file, 48000, 2)
	if err != nil {
		r.t.Fatal(err)
	}
	l.write, l.end, l.args = out.WriteRTP, out.Close, []string{"-i", file}
	var who struct{ Token string }
	r.ask("POST", r.URL+"/auth/exchange", "", `{"name":"`+name+`"}`, &who)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	call, err := testpeer.Join(ctx, testpeer.CallOptions{
		URL: r.URL, Token: who.Token, Conf: "tones", Name: name, AudioFile: opusTone(r.t, hz),
		OnRTP: func(x *testpeer.Received, p *rtp.Packet) {
			if x.Track.Kind() == webrtc.RTPCodecTypeAudio {
				l.heard(p)
			}
		},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = call.Leave() })
	if err := call.Connected(ctx); err != nil {
		r.t.Fatal(err)
	}
	if got := call.Joined.Answer.Receive; len(got) != 1 || got["1"] != "mix:audio" {
		r.t.Fatalf("%s receives %v", name, got)
	}
	return l
}

// phone joins as a G.711 phone: ffmpeg talks, and what comes to the described
// port is kept as it is on the wire.
func (r *plainRoom) phone(name string, hz int) *listening {
	r.t.Helper()
	l := r.listening(name, hz)
	sdp, err := os.ReadFile(r.ffmpegPhone(name, hz))
	if err != nil {
		r.t.Fatal(err)
	}
	port, err := strconv.Atoi(string(mAudio.FindSubmatch(sdp)[1]))
	if err != nil {
		r.t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: harness.Address.AsSlice(), Port: port})
	if err != nil {
		r.t.Fatal(err)
	}
	file := filepath.Join(r.t.TempDir(), name+".ul")
	var sound bytes.Buffer
	l.write = func(p *rtp.Packet) error { _, err := sound.Write(p.Payload); return err }
	l.end = func() error { return os.WriteFile(file, sound.Bytes(), 0o600) }
	l.args = []string{"-f", "mulaw", "-ar", "8000", "-ac", "1", "-i", file}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			var p rtp.Packet
			if p.Unmarshal(b[:n]) == nil {
				if int(b[0]&15) != len(p.CSRC) || binary.BigEndian.Uint32(b[8:]) != p.SSRC {
					r.t.Errorf("CC %d, CSRC %v", b[0]&15, p.CSRC)
				}
				l.heard(&p)
			}
		}
	}()
	r.t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return l
}

// sources reads the src-id of every track from the document, by display name.
func (r *plainRoom) sources() map[string]uint32 {
	r.t.Helper()
	var doc struct {
		Live struct {
			Info struct {
				Users struct {
					User map[string]struct {
						DisplayText string
						Endpoint    map[string]struct {
							Media map[string]struct{ Type, SrcID string }
						}
					}
				}
			}
		}
	}
	r.ask("GET", r.URL+"/api/v1/conferences/tones", "", "", &doc)
	out := map[string]uint32{}
	for _, u := range doc.Live.Info.Users.User {
		for _, e := range u.Endpoint {
			for _, m := range e.Media {
				if n, err := strconv.ParseUint(m.SrcID, 10, 32); err == nil && m.Type == "audio" {
					out[u.DisplayText] = uint32(n)
				}
			}
		}
	}
	return out
}

// TestMIX1_FullDuplexWebRTC: two WebRTC legs and a G.711 phone talk and listen in
// one room with topology mixer, with three tones that ffmpeg made. In what each
// of them receives, decoded by ffmpeg, the other two are there, itself is 40 dB
// below them at least, and the contributing sources are the others' src-id of
// the roster and nobody else.
func TestMIX1_FullDuplexWebRTC(t *testing.T) {
	r := newPlainRoom(t)
	r.ask("PUT", r.URL+"/api/v1/conferences/tones/topology", "application/json", `{"topology":"mixer"}`, nil)
	all := []*listening{r.browser("Bob", 400), r.browser("Cleo", 700), r.phone("Phone", 1000)}
	ids := r.sources()
	for end := time.Now().Add(patience); len(ids) != len(all); ids = r.sources() { // a track is listed when it flows
		if time.Now().After(end) {
			t.Fatalf("the roster has %v", ids)
		}
		<-time.After(20 * time.Millisecond)
	}
	want := make([]string, len(all))
	for i, l := range all {
		own := ids[l.name]
		delete(ids, l.name)
		want[i] = contributors(slices.Collect(maps.Values(ids))...)
		ids[l.name] = own
	}
	for i, l := range all {
		l.until(want[i])
	}
	<-time.After(5 * time.Second) // what is recorded is as long as it takes
	for i, l := range all {
		parts := seconds(l.samples(), 3)
		if len(parts) < 3 {
			t.Fatalf("%s recorded %d s", l.name, len(parts))
		}
		for _, s := range parts {
			l.measure(s, all)
		}
		l.named(ids[l.name], want[i])
	}
}

// measure looks for the tones in a second of what was heard.
func (l *listening) measure(s []float64, all []*listening) {
	l.t.Helper()
	own, least, text := level(s, float64(l.hz)), 0.0, ""
	for _, o := range all {
		if o != l {
			at := level(s, float64(o.hz))
			least = min(least, at)
			text += fmt.Sprintf(", %s %.1f dB", o.name, at)
		}
	}
	if least < -30 || own > least-40 {
		l.t.Errorf("%s: itself %.1f dB%s", l.name, own, text)
	}
	l.t.Logf("%s hears itself at %.1f dB%s", l.name, own, text)
}

// named checks the contributors since all were in the room. A talker that the
// machine held up may be missing from some packets; nobody else is ever there.
func (l *listening) named(own uint32, want string) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	all := 0
	for _, n := range l.names {
		all += n
	}
	if l.names[want] < all*9/10 || all < 100 {
		l.t.Errorf("%s: %v, want %s", l.name, l.names, want)
	}
	if l.ever[own] || len(l.ever) != 2 {
		l.t.Errorf("%s, who is %d, was ever told of %v", l.name, own, l.ever)
	}
	if len(l.kinds) != 1 {
		l.t.Errorf("%s had streams %v", l.name, l.kinds)
	}
	l.t.Logf("%s: contributors %v", l.name, l.names)
}
