package audiomix

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu/codec"
	"parley/internal/media/plane"
)

// holes counts 20 ms stretches far below the usual loudness.
func holes(pcm []int16, rate float64) (n, of int) {
	frame := int(rate) / 50
	var levels []float64
	for i := 0; i+frame <= len(pcm); i += frame {
		levels = append(levels, float64(levelOf(pcm[i:i+frame])))
	}
	s := slices.Clone(levels)
	slices.Sort(s)
	usual := s[len(s)/2]
	for _, l := range levels {
		if l > usual+15 {
			n++
		}
	}
	return n, len(levels)
}

// The shape of scenario Q16: loss, jitter and reordering on three uplinks leave
// the mix whole: at most 0.5 % of the slots are holes.
func TestQ16_LossAndJitterLeaveTheMixWhole(t *testing.T) {
	for _, c := range []plane.Codec{opus, pcmu} {
		const seed = 16
		t.Logf("%s, seed %d", c.Name, seed)
		r := rand.New(rand.NewPCG(seed, 0))
		l := newLab(t, Config{Talkers: 6})
		for i, n := range []string{"a", "b", "c", "d", "e", "f"} {
			k := l.talk(n, uint32(i+1), c, 300+130*float64(i))
			if i < 3 {
				k.delay = func(uint16) time.Duration {
					if r.Float64() < 0.05 {
						return -1
					}
					return 10*time.Millisecond + time.Duration(r.ExpFloat64()*float64(15*time.Millisecond))
				}
			}
		}
		outs := []string{"a", "d"}
		for i, n := range outs {
			l.hear(n, opus, uint32(100+i), ids.Device("dev-"+n))
		}
		l.run(12 * time.Second)
		for _, n := range outs {
			ps := l.out[ids.Track("mix-"+n)]
			continuous(t, ps, ps[0].h.SSRC, 960)
			pcm := l.decode(opus, ps)[48000:]
			if h, of := holes(pcm, 48000); float64(h) > 0.005*float64(of) {
				t.Errorf("%s: %d of %d slots are holes", n, h, of)
			}
		}
		for _, k := range l.talkers {
			s, _ := l.m.SourceStats(k.Track)
			t.Logf("%s: %+v", k.Track, s)
			if s.Late > 30 {
				t.Errorf("%s: %d of 600 packets came too late", k.Track, s.Late)
			}
		}
	}
}

// One talker alone: a lost packet is concealed.
func TestOneTalkerUnderLoss(t *testing.T) {
	for _, c := range []plane.Codec{opus, pcmu, g722} {
		l := newLab(t, Config{})
		l.talk("a", 1, c, 440).delay = func(seq uint16) time.Duration {
			if seq%12 == 0 {
				return -1
			}
			return 5 * time.Millisecond
		}
		o := l.hear("x", c, 2, "")
		l.run(10 * time.Second)
		pcm := l.decode(c, l.out[o][50:])
		if h, of := holes(pcm, rateOf(c)); float64(h) > 0.005*float64(of) {
			t.Errorf("%s: %d of %d slots are holes", c.Name, h, of)
		}
		if s, _ := l.m.SourceStats("a"); s.Lost < 35 || s.Lost > 45 {
			t.Errorf("%s: %+v", c.Name, s)
		}
	}
}

func TestReserveFollowsJitter(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 0))
	l := newLab(t, Config{})
	k := l.talk("a", 1, opus, 440)
	o := l.hear("x", opus, 2, "")
	stats := func() SourceStats { s, _ := l.m.SourceStats("a"); return s }
	l.run(5 * time.Second)
	calm := stats()
	if calm.Target > 25*time.Millisecond || calm.Delay > 60*time.Millisecond {
		t.Errorf("calm: %+v", calm)
	}
	k.delay = func(uint16) time.Duration { return time.Duration(r.IntN(120)) * time.Millisecond }
	l.run(10 * time.Second)
	rough := stats()
	if rough.Target < 60*time.Millisecond || rough.Target > maxTarget {
		t.Errorf("rough: %+v", rough)
	}
	n := len(l.out[o])
	before := stats().Late
	l.run(10 * time.Second)
	if late := stats().Late - before; late > 10 {
		t.Errorf("%d of 500 packets late though the reserve has grown", late)
	}
	if h, of := holes(l.decode(opus, l.out[o][n:]), 48000); h > of/200 {
		t.Errorf("%d of %d slots are holes", h, of)
	}
	// The delay goes away again, in silence at the latest.
	k.delay = nil
	l.run(5 * time.Second)
	k.quiet = true
	l.run(6 * time.Second)
	if s := stats(); s.Cut == 0 || s.Delay-s.Target > 2*slot {
		t.Errorf("afterwards: %+v", s)
	}
}

// A sender whose clock is 200 ppm off neither runs dry nor piles up.
func TestDriftIsAbsorbed(t *testing.T) {
	for _, ppm := range []float64{-500, 500} {
		var b buffer
		b.clock = 48000
		now, ts, seq := clock.Time(time.Hour), uint32(1e9), uint16(65000)
		next, tick := float64(now), now
		dry, most := 0, time.Duration(0)
		for range 15000 { // 5 minutes
			for next < float64(tick+clock.Time(slot)) {
				if p := b.put(clock.Time(next), seq, ts, 960); p != nil {
					p.payload = p.payload[:0]
				}
				seq++
				ts += 960
				next += float64(slot) * (1 + ppm/1e6)
			}
			tick += clock.Time(slot)
			b.tick = tick
			b.shrink(true)
			for b.started && b.ahead < b.unit() {
				if s, _, _ := b.take(b.unit() - b.ahead); s == stepDry {
					dry++
				}
			}
			b.ahead -= b.unit()
			if f := b.first(); f != nil {
				most = max(most, b.dur(b.topTS-f.ts))
			}
		}
		if dry > 20 || most > 120*time.Millisecond {
			t.Errorf("%.0f ppm: dry %d times, at most %v waited", ppm, dry, most)
		}
	}
}

// Any order, any jump, any copy: the buffer neither crashes nor stalls, and a
// good stream afterwards is played.
func FuzzBuffer(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 200, 1, 1, 0, 0, 9})
	f.Add([]byte{0xff, 0xff, 0, 0, 0, 1, 2, 3, 0x80, 0x80})
	f.Fuzz(func(t *testing.T, script []byte) {
		var b buffer
		b.clock = 48000
		now := clock.Time(time.Hour)
		seq, ts := uint16(0), uint32(0)
		slotOf := func() {
			now = now.Add(slot)
			b.tick = now
			b.shrink(len(script)%2 == 0)
			for n := 0; b.started && b.ahead < b.unit(); n++ {
				if _, _, k := b.take(b.unit() - b.ahead); k <= 0 || n > 1000 {
					t.Fatalf("a step of %d", k)
				}
			}
			if b.ahead >= b.unit() {
				b.ahead -= b.unit()
			}
		}
		for i := 0; i+3 < len(script); i += 4 {
			seq += uint16(int8(script[i])) * uint16(script[i+1])
			ts += uint32(int32(int8(script[i+2]))) * 4800
			b.put(now, seq, ts, int64(script[i+3])*48+1)
			if script[i+3]&1 == 0 {
				slotOf()
			}
		}
		played := 0
		seq += 30000
		ts += 1 << 30
		for range 60 {
			b.put(now, seq, ts, 960)
			seq++
			ts += 960
			slotOf()
			if p := b.before(); p != nil {
				played++
			}
		}
		if played < 40 {
			t.Fatalf("a good stream afterwards: %d of 60 played", played)
		}
	})
}

// Packets of 10 and 60 ms fit slots of 20.
func TestOtherPacketLengths(t *testing.T) {
	for _, ms := range []int{10, 30, 60} {
		l := newLab(t, Config{})
		src := plane.MixSource{Track: "a", Kind: plane.Audio, SrcID: 1, Codec: pcmu}
		l.m.SetSources([]plane.MixSource{src})
		o := l.hear("x", pcmu, 2, "")
		e, _ := l.lib.Encoder(pcmu, codec.Settings{})
		seq, ts, ph := uint16(9), uint32(7), 0.0
		for end := l.now.Add(5 * time.Second); l.now < end; l.now = l.now.Add(10 * time.Millisecond) {
			if int(l.now/clock.Time(10*time.Millisecond))%(ms/10) == 0 {
				pcm := make([]int16, 8*ms)
				for i := range pcm {
					pcm[i] = int16(6000 * math.Sin(ph))
					ph += 2 * math.Pi * 500 / 8000
				}
				b := make([]byte, 12+len(pcm))
				b[0] = 0x80
				put16(b[2:], seq)
				put32(b[4:], ts)
				if _, err := e.Encode(pcm, b[12:]); err != nil {
					t.Fatal(err)
				}
				seq++
				ts += uint32(len(pcm))
				l.m.HandleRTP(l.now, "a", b)
			}
			if int(l.now/clock.Time(10*time.Millisecond))%2 == 0 {
				l.m.Tick(l.now)
			}
		}
		pcm := l.decode(pcmu, l.out[o][50:])
		if h, of := holes(pcm, 8000); h > 1 {
			t.Errorf("%d ms: %d of %d slots are holes", ms, h, of)
		}
		if s := strength(pcm, 8000, 500); s < -20 {
			t.Errorf("%d ms: tone at %.1f dB", ms, s)
		}
	}
}

// Comfort noise is no speech; a telephone event is no sound at all.
func TestComfortNoiseAndEventsAreNoTalk(t *testing.T) {
	l := newLab(t, Config{})
	l.talk("a", 1, pcmu, 440)
	l.m.SetSources(append(l.sources, plane.MixSource{Track: "b", Kind: plane.Audio, SrcID: 2, Codec: pcmu}))
	o := l.hear("x", opus, 2, "")
	for i := range 100 {
		b := []byte{0x80, noisePT, 0, byte(i), 0, 0, byte(i * 160 >> 8), byte(i * 160), 0, 0, 0, 1, 40}
		if i%2 == 0 {
			b[1], b[12] = 101, 5
		}
		l.m.HandleRTP(l.now, "b", b)
		l.run(slot)
	}
	for _, p := range l.out[o][10:] {
		if !slices.Equal(p.csrc, []uint32{1}) {
			t.Fatalf("CSRC %v", p.csrc)
		}
	}
}
