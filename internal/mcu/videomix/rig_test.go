package videomix

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu"
	"parley/internal/mcu/codec/videocodec"
	"parley/internal/mcu/picture"
	"parley/internal/media/payload"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long is for slow machines; nothing takes that long.
const long = 30 * time.Second

// packet is one emitted packet with the instant its host was told.
type packet struct {
	at clock.Time
	h  rtp.Header
	b  []byte
}

// house is a room's host: it remembers all it is told.
type house struct {
	mu       sync.Mutex
	out      map[ids.Track][]packet
	keys     map[ids.Track]int
	wants    []mcu.Want
	contribs map[ids.Track][]plane.Contributor
	reports  []string
	changed  chan struct{}
}

func (h *house) note() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

func (h *house) Emit(out ids.Track, at clock.Time, packets [][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range packets {
		p := packet{at: at, b: append([]byte(nil), b...)}
		if rtp.Parse(p.b, &p.h) != rtp.OK {
			panic("not RTP")
		}
		h.out[out] = append(h.out[out], p)
	}
	h.note()
}

func (h *house) NeedKeyframe(src ids.Track) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys[src]++
	h.note()
}

func (h *house) Want(_ plane.Kind, list []mcu.Want) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wants = list
}

func (h *house) Contributors(out ids.Track, now []plane.Contributor) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.contribs[out] = now
	h.note()
}

func (h *house) Report(event string, track ids.Track, _ string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reports = append(h.reports, event+" "+string(track))
	h.note()
}

func (h *house) asked(src ids.Track) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.keys[src]
}

func (h *house) reported() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.reports...)
}

// camera sends coded pictures as a phone would.
type camera struct {
	track ids.Track
	codec payload.Codec
	name  string
	units [][]byte // the first is a keyframe; sent round and round
	split *payload.Splitter
	seq   uint16
	n     int
	keys  bool // all units are keyframes
	ssrc  uint32
}

func (c *camera) next(send func([]byte)) {
	i := c.n % len(c.units)
	parts := c.split.Split(c.units[i], i == 0 || c.keys, 640, 360)
	for k, p := range parts {
		m := byte(96)
		if k == len(parts)-1 {
			m |= 0x80
		}
		b := []byte{0x80, m}
		b = binary.BigEndian.AppendUint16(b, c.seq)
		b = binary.BigEndian.AppendUint32(b, uint32(c.n)*3000)
		b = binary.BigEndian.AppendUint32(b, c.ssrc)
		send(append(b, p...))
		c.seq++
	}
	c.n++
}

var names = map[payload.Codec]string{payload.VP8: "VP8", payload.VP9: "VP9", payload.H264: "H264"}

// film makes a camera's pictures: one colour with a white square that moves.
func film(t testing.TB, c payload.Codec, w, h, n int, col picture.Color) [][]byte {
	t.Helper()
	e, err := videocodec.NewEncoder(videocodec.Settings{Codec: c, Width: w, Height: h, Rate: w * h * 2, FPS: 30})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	f := picture.New(w, h)
	var out [][]byte
	for i := 0; len(out) < n; i++ {
		f.Fill(col)
		f.Sub(picture.Rect{X: w/8 + 2*(i%40), Y: h / 8 &^ 1, W: w / 16 &^ 1, H: h / 16 &^ 1}).Fill(picture.White)
		b, _, err := e.Encode(f, 3000, i == 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 0 {
			out = append(out, append([]byte(nil), b...))
		}
	}
	return out
}

// stage is a half with cameras that run at their pace until the test ends.
type stage struct {
	*house
	half *half
	now  func() clock.Time
	room plane.MixRoom

	mu   sync.Mutex // guards cams
	cams []*camera
}

func newStage(t testing.TB, cfg Config) *stage {
	t.Helper()
	if cfg.Nice == 0 { // other tests' work goes on beside, which the idle class would wait for
		cfg.Nice = 5
	}
	sys := clock.NewSystem()
	h := &house{out: map[ids.Track][]packet{}, keys: map[ids.Track]int{}, contribs: map[ids.Track][]plane.Contributor{}, changed: make(chan struct{}, 1)}
	s := &stage{house: h, now: sys.Now}
	s.half = NewMaker(cfg).New(mcu.HalfConfig{Conf: "conf_test", Host: h, Now: sys.Now}).(*half)
	s.half.pace.off = true
	stop, gone := make(chan struct{}), make(chan struct{})
	go func() { // the room's goroutine: cameras at 30, slots at 50 a second
		defer close(gone)
		frames, slots := time.NewTicker(time.Second/30), time.NewTicker(mcu.Slot)
		defer frames.Stop()
		defer slots.Stop()
		for {
			select {
			case <-stop:
				return
			case <-slots.C:
				s.half.Tick(s.now())
			case <-frames.C:
				s.mu.Lock()
				for _, c := range s.cams {
					c.next(func(b []byte) { s.half.HandleRTP(s.now(), c.track, b) })
				}
				s.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-gone
		s.half.Close()
	})
	return s
}

// join adds a camera and its microphone.
func (s *stage) join(name string, c payload.Codec, units [][]byte, muted bool) *camera {
	n := uint32(len(s.room.Sources) + 1)
	cam := &camera{
		track: ids.Track("trk_" + name), codec: c, name: name, units: units, ssrc: n,
		split: payload.NewSplitter(c, 1100, 0),
	}
	dev := ids.Device("dev_" + name)
	s.room.Sources = append(s.room.Sources,
		plane.MixSource{Track: cam.track, Kind: plane.Video, Source: "camera", Device: dev, SrcID: 1000 + n, CNAME: "cname-" + name, Name: name, Codec: plane.Codec{Name: names[c], PT: 96}, Muted: units == nil},
		plane.MixSource{Track: cam.track + "_mic", Kind: plane.Audio, Source: "microphone", Device: dev, SrcID: 2000 + n, Name: name, Muted: muted})
	if units != nil {
		s.mu.Lock()
		s.cams = append(s.cams, cam)
		s.mu.Unlock()
	}
	s.half.SetRoom(s.now(), s.room)
	return cam
}

func wanted(track ids.Track, codec string) mcu.Output {
	o := mcu.Output{MixOutput: plane.MixOutput{Conf: "conf_test", Track: track, Kind: plane.Video, Layout: picture.Grid, Names: true}, SSRC: 0xabc}
	o.Codec = plane.Codec{Name: codec, PT: 100, ClockRate: 90000}
	if codec == "H264" {
		o.Codec.Fmtp = "profile-level-id=42e01f;packetization-mode=1"
	}
	return o
}

// until waits for a condition on what the host was told; it is asked with the
// house's lock held and must not call the half.
func (h *house) until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	h.later(t, what, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return cond()
	})
}

// later waits for a condition on the half.
func (h *house) later(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(long)
	defer deadline.Stop()
	for {
		if cond() {
			return
		}
		select {
		case <-h.changed:
		case <-time.After(50 * time.Millisecond): // what the host is not told
		case <-deadline.C:
			t.Fatalf("%s: not within %v", what, long)
		}
	}
}

// viewer decodes an output as a receiver would.
type viewer struct {
	t     testing.TB
	track ids.Track
	codec payload.Codec
	asm   *payload.Assembler
	dec   videocodec.Decoder
	at    int // packets taken
	units []payload.Unit
	last  *picture.Frame
}

func (s *stage) viewer(t testing.TB, track ids.Track, codec payload.Codec) *viewer {
	t.Helper()
	d, err := videocodec.NewDecoder(codec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return &viewer{t: t, track: track, codec: codec, asm: payload.NewAssembler(codec), dec: d}
}

// see decodes what has come; it reports whether there was a new picture.
func (v *viewer) see(h *house) bool {
	v.t.Helper()
	h.mu.Lock()
	ps := h.out[v.track][v.at:]
	h.mu.Unlock()
	v.at += len(ps)
	fresh := false
	for i := range ps {
		p := &ps[i]
		v.asm.Push(p.at, p.h.Seq, p.h.TS, p.h.Marker, p.b[p.h.PayloadOff:p.h.PayloadEnd])
		for {
			u, ok := v.asm.Pop(p.at)
			if !ok {
				break
			}
			f, err := v.dec.Decode(u.Data)
			if err != nil {
				v.t.Fatalf("a receiver cannot decode the output: %v", err)
			}
			u.Data = nil
			v.units = append(v.units, u)
			if f != nil {
				v.last = picture.New(f.W, f.H)
				v.last.Copy(f)
				fresh = true
			}
		}
	}
	if v.asm.Wants() {
		v.t.Fatal("a receiver misses packets though none were lost")
	}
	return fresh
}

// watch decodes until a picture is as wanted.
func (s *stage) watch(t testing.TB, v *viewer, what string, want func(*picture.Frame) bool) {
	t.Helper()
	deadline := time.NewTimer(long)
	defer deadline.Stop()
	for {
		if v.see(s.house) && want(v.last) {
			return
		}
		select {
		case <-s.changed:
		case <-deadline.C:
			t.Fatalf("%s: not within %v", what, long)
		}
	}
}

// near tells whether the pixel at x, y has about this colour.
func near(f *picture.Frame, x, y int, c picture.Color) bool {
	off := func(a, b byte) bool { return int(a)-int(b) < 14 && int(b)-int(a) < 14 }
	at := y/2*f.CS + x/2
	return off(f.Y[y*f.YS+x], c.Y) && off(f.U[at], c.U) && off(f.V[at], c.V)
}

type trackID = ids.Track

type outputT = mcu.Output

func timeOf(ns int) time.Duration { return time.Duration(ns) }

func timeAt(s float64) clock.Time { return clock.Time(s * 1e9) }
