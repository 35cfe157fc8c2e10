// Command video measures what composing video costs, beside the codec libraries
// alone: make bench. It runs the mixer's video half with its processes, four
// sources and a number of outputs, in real time, and adds up CPU time.
//
//	go run ./bench/video -seconds 8
//
// Figures are ratios first: CPU of all against CPU inside codec calls of the
// same run, and against the same codec work done by one loop in one process.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu"
	"parley/internal/mcu/codec/videocodec"
	"parley/internal/mcu/picture"
	"parley/internal/mcu/videomix"
	"parley/internal/media/payload"
	"parley/internal/media/plane"
)

var only string

func main() {
	flag.StringVar(&only, "only", "", "part of the names of the rows to run")
	seconds := flag.Int("seconds", 8, "measured part of each run")
	profile := flag.String("profile", "", "file for a CPU profile of the server's part")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "video:", err)
			os.Exit(1)
		}
		defer pprof.StopCPUProfile()
	}
	if err := run(*seconds); err != nil {
		fmt.Fprintln(os.Stderr, "video:", err)
		os.Exit(1)
	}
}

// shape is one row: four sources, some outputs.
type shape struct {
	name    string
	w, h    int // of sources
	rate    int
	codec   payload.Codec
	outputs int
	own     bool // an encoder each
}

func run(seconds int) error {
	shapes := []shape{
		{"4 × 360p to 720p VP8", 640, 360, 500_000, payload.VP8, 1, false},
		{"4 × 720p to 720p VP8", 1280, 720, 1_500_000, payload.VP8, 1, false},
		{"4 × 360p to 720p H.264", 640, 360, 500_000, payload.H264, 1, false},
		{"same as the first, 10 outputs share", 640, 360, 500_000, payload.VP8, 10, false},
		{"100 outputs share", 640, 360, 500_000, payload.VP8, 100, false},
		{"2 outputs, own encoders", 640, 360, 500_000, payload.VP8, 2, true},
		{"4 outputs, own encoders", 640, 360, 500_000, payload.VP8, 4, true},
	}
	fmt.Println("| | ms CPU/s | of it server | decoders: all, codec | in codecs, of all | of the processes | codecs alone | ratio | pictures/s | 720p30 outputs/core | late |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, s := range shapes {
		if !strings.Contains(s.name, only) {
			continue
		}
		if err := videocodec.CanEncode(s.codec); err != nil {
			return err
		}
		units, err := sources(s)
		if err != nil {
			return err
		}
		alone, err := floor(s, units)
		if err != nil {
			return err
		}
		r, err := mixed(s, units, seconds)
		if err != nil {
			return err
		}
		fmt.Printf("| %s | %.0f | %.0f | %.0f, %.0f | %.0f %% | %.0f %% | %.0f | %.2f | %.0f | %.1f | %d |\n", s.name,
			r.all, r.server, r.decAll, r.decCodec, 100*r.codec/r.all, 100*r.codec/(r.all-r.server), alone*r.fps/30, r.all/(alone*r.fps/30), r.fps*float64(s.outputs), float64(s.outputs)*1000/r.all*r.fps/30, r.late)
	}
	return nil
}

// scene paints what a camera sees: a textured wall, somebody moving, light noise.
func scene(f *picture.Frame, i int, hue uint64, wall []byte) {
	copy(f.Y, wall)
	cx, cy := float64(f.W)*(0.5+0.12*math.Sin(float64(i)/17)), float64(f.H)*(0.55+0.03*math.Cos(float64(i)/9))
	rx, ry := float64(f.W)/7, float64(f.H)/3.2
	for y := max(0, int(cy-ry)); y < min(f.H, int(cy+ry)); y++ {
		dy := (float64(y) - cy) / ry
		half := rx * math.Sqrt(max(0, 1-dy*dy))
		row := f.Y[y*f.YS : y*f.YS+f.W]
		for x := max(0, int(cx-half)); x < min(f.W, int(cx+half)); x++ {
			row[x] = byte(140 + 40*math.Sin(float64(x-int(cx))/9) + 20*dy)
		}
	}
	noise := uint64(i)*0x9e3779b97f4a7c15 + hue
	for k := range f.Y {
		if k&7 == 0 {
			noise ^= noise << 13
			noise ^= noise >> 7
			noise ^= noise << 17
		}
		f.Y[k] += byte(noise>>(8*(k&7))) & 3
	}
}

func wall(w, h int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 3))
	b := make([]byte, w*h)
	for y := range h {
		for x := range w {
			b[y*w+x] = byte(80 + 50*math.Sin(float64(x)/37)*math.Cos(float64(y)/23) + float64(rng.IntN(14)))
		}
	}
	return b
}

// sources codes two seconds of four cameras.
func sources(s shape) ([][][]byte, error) {
	var all [][][]byte
	f := picture.New(s.w, s.h)
	for k := range uint64(4) {
		e, err := videocodec.NewEncoder(videocodec.Settings{Codec: payload.VP8, Width: s.w, Height: s.h, Rate: s.rate, FPS: 30})
		if err != nil {
			return nil, err
		}
		back := wall(s.w, s.h, k)
		var units [][]byte
		for i := range 60 {
			scene(f, i, k, back)
			b, _, err := e.Encode(f, 3000, i == 0)
			if err != nil {
				return nil, err
			}
			if len(b) > 0 {
				units = append(units, append([]byte(nil), b...))
			}
		}
		e.Close()
		all = append(all, units)
	}
	return all, nil
}

func cpu(id int32) time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(id, &ts)
	return time.Duration(ts.Nano())
}

// floor is the same codec work in one loop: four decoders and the encoders, ms of
// CPU a second of video; what lies between (scaling, copying) is not counted.
func floor(s shape, units [][][]byte) (float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var decs []videocodec.Decoder
	for range units {
		d, err := videocodec.NewDecoder(payload.VP8)
		if err != nil {
			return 0, err
		}
		defer d.Close()
		decs = append(decs, d)
	}
	encoders := 1
	if s.own {
		encoders = s.outputs
	}
	var encs []videocodec.Encoder
	for range encoders {
		e, err := videocodec.NewEncoder(videocodec.Settings{Codec: s.codec, Width: 1280, Height: 720, Rate: 1_500_000, FPS: 30})
		if err != nil {
			return 0, err
		}
		defer e.Close()
		encs = append(encs, e)
	}
	canvas, scaler := picture.New(1280, 720), picture.Scaler{}
	var spent time.Duration
	const frames = 90
	for i := range frames {
		for k, d := range decs {
			began := cpu(unix.CLOCK_THREAD_CPUTIME_ID)
			f, err := d.Decode(units[k][i%len(units[k])])
			spent += cpu(unix.CLOCK_THREAD_CPUTIME_ID) - began
			if err != nil || f == nil {
				continue
			}
			scaler.Scale(canvas.Sub(picture.Rect{X: k % 2 * 640, Y: k / 2 * 360, W: 640, H: 360}), f)
		}
		began := cpu(unix.CLOCK_THREAD_CPUTIME_ID)
		for _, e := range encs {
			if _, _, err := e.Encode(canvas, 3000, false); err != nil {
				return 0, err
			}
		}
		spent += cpu(unix.CLOCK_THREAD_CPUTIME_ID) - began
	}
	return spent.Seconds() * 1000 * 30 / frames, nil
}

// sink counts pictures and forgets them.
type sink struct {
	mu       sync.Mutex
	pictures map[ids.Track]int
}

func (s *sink) Emit(out ids.Track, _ clock.Time, packets [][]byte) {
	s.mu.Lock()
	s.pictures[out]++
	s.mu.Unlock()
}
func (s *sink) NeedKeyframe(ids.Track)                      {}
func (s *sink) Want(plane.Kind, []mcu.Want)                 {}
func (s *sink) Contributors(ids.Track, []plane.Contributor) {}
func (s *sink) Report(e string, t ids.Track, d string)      { fmt.Fprintln(os.Stderr, e, t, d) }

type result struct {
	decAll, decCodec        float64
	all, server, codec, fps float64 // ms a second; pictures of one output a second
	late                    uint64
}

// player plays the sources packet by packet in real time, and ticks.
func player(units [][][]byte, frames int, at func(n int), tick func(), packet func(k int, p []byte)) {
	packets := packetise(units)
	clock := time.NewTicker(time.Second / 60)
	defer clock.Stop()
	var seq [4]uint16
	for n := range frames {
		at(n)
		<-clock.C
		tick()
		if n%2 == 1 {
			continue
		}
		for k := range packets {
			for _, p := range packets[k][n/2%len(packets[k])] {
				binary.BigEndian.PutUint16(p[2:], seq[k])
				binary.BigEndian.PutUint32(p[4:], uint32(n/2*3000))
				seq[k]++
				packet(k, p)
			}
		}
	}
}

// generator is what playing costs without a mixer, ms of CPU a second.
func generator(units [][][]byte, now func() clock.Time) float64 {
	const seconds = 2
	before := cpu(unix.CLOCK_PROCESS_CPUTIME_ID)
	player(units, seconds*60, func(int) {}, func() { now() }, func(int, []byte) { now() })
	return float64(cpu(unix.CLOCK_PROCESS_CPUTIME_ID)-before) / 1e6 / seconds
}

// mixed runs the real thing.
func mixed(s shape, units [][][]byte, seconds int) (result, error) {
	sys := clock.NewSystem()
	playing := generator(units, sys.Now)
	out := &sink{pictures: map[ids.Track]int{}}
	half := videomix.NewMaker(videomix.Config{Nice: 5}).New(mcu.HalfConfig{Conf: "conf_bench", Host: out, Now: sys.Now})
	defer half.Close()
	room := plane.MixRoom{}
	for k := range units {
		t := ids.Track(fmt.Sprint("trk_", k))
		room.Sources = append(room.Sources, plane.MixSource{
			Track: t, Kind: plane.Video, Source: "camera", Device: ids.Device(t), SrcID: uint32(k + 1), Name: fmt.Sprint("Person ", k), Codec: plane.Codec{Name: "VP8"},
		})
	}
	half.SetRoom(sys.Now(), room)
	for i := range s.outputs {
		o := mcu.Output{SSRC: uint32(i + 1)}
		o.Track, o.Kind, o.Layout, o.Names = ids.Track(fmt.Sprint("out_", i)), plane.Video, picture.Quad, true
		o.Codec = plane.Codec{Name: map[payload.Codec]string{payload.VP8: "VP8", payload.H264: "H264"}[s.codec], Fmtp: "packetization-mode=1"}
		if s.own { // an order of its own makes a class of its own, the cost the same
			o.Pins = []ids.Track{room.Sources[i%4].Track}
		}
		if err := half.Start(sys.Now(), o); err != nil {
			return result{}, err
		}
	}
	var before, after videomix.Usage
	var own, made [2]float64
	read := func(i int, u *videomix.Usage) {
		*u = half.(interface{ Usage() videomix.Usage }).Usage()
		own[i] = float64(cpu(unix.CLOCK_PROCESS_CPUTIME_ID)) / 1e6
		out.mu.Lock()
		made[i] = float64(out.pictures["out_0"])
		out.mu.Unlock()
	}
	warm := 3 * 60
	player(units, warm+seconds*60, func(n int) {
		if n == warm {
			read(0, &before)
		}
	}, func() { half.Tick(sys.Now()) }, func(k int, p []byte) { half.HandleRTP(sys.Now(), room.Sources[k].Track, p) })
	read(1, &after)
	d := float64(seconds)
	r := result{fps: (made[1] - made[0]) / d, late: after.Late - before.Late, server: (own[1]-own[0])/d - playing}
	r.decAll = float64(after.Decoders.CPU-before.Decoders.CPU) / 1e6 / d
	r.decCodec = float64(after.Decoders.Codec-before.Decoders.Codec) / 1e6 / d
	r.codec = float64(after.Codec-before.Codec) / 1e6 / d
	r.all = float64(after.CPU-before.CPU)/1e6/d + r.server
	return r, nil
}

// packetise makes each source's packets once; sequence and time are set on sending.
func packetise(units [][][]byte) (all [][][][]byte) {
	for _, src := range units {
		s := payload.NewSplitter(payload.VP8, 1100, 0)
		var frames [][][]byte
		for i, u := range src {
			var ps [][]byte
			parts := s.Split(u, i == 0, 0, 0)
			for k, p := range parts {
				h := make([]byte, 12, 12+len(p))
				h[0], h[1] = 0x80, 96
				if k == len(parts)-1 {
					h[1] |= 0x80
				}
				ps = append(ps, append(h, p...))
			}
			frames = append(frames, ps)
		}
		all = append(all, frames)
	}
	return all
}
