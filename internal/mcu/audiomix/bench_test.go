//go:build unix

package audiomix

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu/codec"
	"parley/internal/media/plane"
)

// crowd is a room of n people, three of whom talk; the packets of two seconds
// are made beforehand.
type crowd struct {
	m      *Mixer
	now    clock.Time
	names  []ids.Track
	loud   [][]byte // by slot, a talker's
	low    [][]byte // by slot, a listener's: sounds little, says that it is silent
	clock  uint32
	seq    uint16
	ts     uint32
	level  bool
	packet []byte
	bytes  int
}

type noSink struct{ c *crowd }

func (s noSink) Packet(_ int, _ ids.Track, b []byte)       { s.c.bytes += len(b) }
func (noSink) Contributors(ids.Track, []plane.Contributor) {}
func (noSink) Loop(ids.Track, uint32)                      {}

func newCrowd(b *testing.B, n int, c plane.Codec, separate bool, opt codec.Options) *crowd {
	lib := codec.Open(opt)
	x := &crowd{now: 1e12, clock: c.ClockRate, level: c.Name == "opus", packet: make([]byte, 0, 1500)}
	x.m = New(Config{Codecs: lib, Sink: noSink{x}, Exts: Exts{Level: levelExt}, Random: func() uint32 { return 7 }, Separate: separate})
	b.Cleanup(x.m.Close)
	for k, amp := range []float64{6000, 20} {
		e, err := lib.Encoder(c, codec.Settings{})
		if err != nil {
			b.Fatal(err)
		}
		t := &talker{MixSource: plane.MixSource{Codec: c, Level: x.level}, enc: e, hz: 220, amp: amp, level: -1}
		for range 100 {
			p, _ := t.frame()
			if k == 0 {
				x.loud = append(x.loud, p)
			} else {
				x.low = append(x.low, p)
			}
		}
		e.Close()
	}
	var list []plane.MixSource
	for i := range n {
		t := ids.Track(fmt.Sprint("t", i))
		x.names = append(x.names, t)
		list = append(list, plane.MixSource{Track: t, Kind: plane.Audio, Device: ids.Device(t), SrcID: uint32(i + 1), Codec: c, Level: x.level})
	}
	x.m.SetSources(list)
	for i, t := range x.names {
		o := Output{SSRC: uint32(1e6 + i), Levels: mixExt}
		o.Track, o.Codec, o.Listener = "mix-"+t, c, ids.Device(t)
		if err := x.m.Start(x.now, o); err != nil {
			b.Fatal(err)
		}
	}
	for range 50 {
		x.slot()
	}
	return x
}

// slot lets everybody send and the mixer make its packets.
func (x *crowd) slot() {
	x.seq++
	x.ts += x.clock / 50
	for i, t := range x.names {
		src := x.low
		if i < 3 {
			src = x.loud
		}
		x.packet = append(x.packet[:0], src[int(x.seq)%len(src)]...)
		put16(x.packet[2:], x.seq)
		put32(x.packet[4:], x.ts)
		x.m.HandleRTP(x.now, t, x.packet)
	}
	x.now = x.now.Add(slot)
	x.m.Tick(x.now)
}

// measure runs slots and returns the processor time of one in µs: other work on
// the machine must not count.
func (x *crowd) measure(b *testing.B) float64 {
	b.ReportAllocs()
	b.ResetTimer()
	from := cpu(b)
	for range b.N {
		x.slot()
	}
	per := float64((cpu(b) - from).Nanoseconds()) / float64(b.N) / 1000
	b.ReportMetric(per, "cpu-µs/slot")
	return per
}

// cpu is the processor time of this process, user and system.
func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkMix is a whole slot: every leg's packet in, every leg's packet out.
// legs/core is how many legs one core carries at this room size.
func BenchmarkMix(b *testing.B) {
	for _, kind := range []struct {
		name     string
		c        plane.Codec
		separate bool
		opt      codec.Options
	}{
		{"opus shared", opus, false, codec.Options{}},
		{"opus an encoder each", opus, true, codec.Options{}},
		{"opus shared, gopus", opus, false, codec.Options{NoNative: true}},
		{"g711 all decoded", pcmu, false, codec.Options{}},
	} {
		for _, n := range []int{10, 100, 300, 1000} {
			b.Run(fmt.Sprintf("%s/legs=%d", kind.name, n), func(b *testing.B) {
				x := newCrowd(b, n, kind.c, kind.separate, kind.opt)
				per := x.measure(b)
				b.ReportMetric(float64(n)*20e3/per, "legs/core")
			})
		}
	}
}

// BenchmarkListener is what one more listener who does not speak costs: the
// difference of rooms with equal sources.
func BenchmarkListener(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("listeners=%d", n), func(b *testing.B) {
			x := newCrowd(b, 10, opus, false, codec.Options{})
			for i := range n - 10 {
				o := Output{SSRC: uint32(2e6 + i), Levels: mixExt}
				o.Track, o.Codec = ids.Track(fmt.Sprint("extra", i)), opus
				if err := x.m.Start(x.now, o); err != nil {
					b.Fatal(err)
				}
			}
			x.measure(b)
		})
	}
}

// BenchmarkMixMinus is the signal part alone for one listener who speaks: the sum
// without its own voice, limited.
func BenchmarkMixMinus(b *testing.B) {
	x := newCrowd(b, 10, opus, false, codec.Options{})
	c := &class{key: classKey{dev: x.m.mixed[0].dev}}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		x.m.fill(c)
	}
}

func BenchmarkResample(b *testing.B) {
	up, down := upsampler{ratio: 6}, downsampler{ratio: 6}
	lo, hi := make([]int16, 160), make([]int16, Frame)
	b.Run("8 to 48 kHz", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			up.run(lo, hi)
		}
	})
	b.Run("48 to 8 kHz", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			down.run(hi, lo)
		}
	})
}
