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
	"parley/internal/media/rtp"
)

const (
	levelExt = 1
	mixExt   = 2
	noisePT  = 13
)

var (
	opus = plane.Codec{Name: "opus", PT: 111, ClockRate: 48000, Channels: 2}
	pcmu = plane.Codec{Name: "PCMU", PT: 0, ClockRate: 8000}
	pcma = plane.Codec{Name: "PCMA", PT: 8, ClockRate: 8000}
	g722 = plane.Codec{Name: "G722", PT: 9, ClockRate: 8000}
)

// got is one packet that came out.
type got struct {
	h       rtp.Header
	csrc    []uint32
	levels  []byte
	payload []byte
	raw     []byte
}

// lab is a room on a virtual clock: talkers send serialised packets, outputs are
// collected as serialised packets.
type lab struct {
	t       testing.TB
	lib     *codec.Library
	m       *Mixer
	now     clock.Time
	sources []plane.MixSource
	talkers []*talker
	out     map[ids.Track][]got
	contrib map[ids.Track][]plane.Contributor
	loops   []uint32
	queue   []queued
	rand    *rand.Rand
	mute    bool // do not keep packets
}

type queued struct {
	at  clock.Time
	src ids.Track
	b   []byte
}

// talker sends a tone.
type talker struct {
	plane.MixSource
	enc       codec.Encoder
	hz, amp   float64
	level     int // announced, -1: measured
	ssrc      uint32
	seq       uint16
	ts        uint32
	phase     float64
	quiet     bool                           // sends silence
	off       bool                           // sends nothing
	delay     func(seq uint16) time.Duration // negative: lost
	csrc      []uint32
	csrcLevel []byte
}

func newLab(t testing.TB, c Config) *lab {
	l := &lab{
		t: t, lib: codec.Open(codec.Options{}), now: clock.Time(time.Hour), rand: rand.New(rand.NewPCG(4, 4)),
		out: map[ids.Track][]got{}, contrib: map[ids.Track][]plane.Contributor{},
	}
	c.Codecs, c.Sink, c.Random = l.lib, l, l.rand.Uint32
	c.Exts = Exts{Level: levelExt, MixLevels: mixExt, Noise: noisePT}
	l.m = New(c)
	t.Cleanup(l.m.Close)
	return l
}

func (l *lab) Packet(lane int, out ids.Track, b []byte) {
	if l.mute {
		return
	}
	g := got{raw: slices.Clone(b)}
	if d := rtp.Parse(g.raw, &g.h); d != rtp.OK {
		l.t.Fatalf("output is no RTP packet: %v", d)
	}
	for i := range int(g.h.CSRCCount) {
		g.csrc = append(g.csrc, g.h.CSRC(g.raw, i))
	}
	g.levels, _ = g.h.Ext(g.raw, mixExt)
	g.payload = g.raw[g.h.PayloadOff:g.h.PayloadEnd]
	l.out[out] = append(l.out[out], g)
}

func (l *lab) Contributors(out ids.Track, now []plane.Contributor) { l.contrib[out] = now }

func (l *lab) Loop(_ ids.Track, id uint32) { l.loops = append(l.loops, id) }

// talk adds somebody who sends a tone.
func (l *lab) talk(name string, id uint32, c plane.Codec, hz float64) *talker {
	e, err := l.lib.Encoder(c, codec.Settings{Bitrate: 48000})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(e.Close)
	k := &talker{
		MixSource: plane.MixSource{
			Track: ids.Track(name), Kind: plane.Audio, Device: ids.Device("dev-" + name), SrcID: id,
			CNAME: "cname-" + name, Codec: c, Level: c.Name == "opus",
		},
		enc: e, hz: hz, amp: 6000, level: -1, ssrc: id ^ 0xffff, seq: uint16(l.rand.Uint32()), ts: l.rand.Uint32(),
	}
	l.talkers = append(l.talkers, k)
	l.refresh()
	return k
}

// refresh tells the mixer who is there.
func (l *lab) refresh() {
	l.sources = l.sources[:0]
	for _, k := range l.talkers {
		l.sources = append(l.sources, k.MixSource)
	}
	l.m.SetSources(slices.Clone(l.sources))
}

// leave removes a talker.
func (l *lab) leave(k *talker) {
	l.talkers = slices.DeleteFunc(l.talkers, func(x *talker) bool { return x == k })
	l.refresh()
}

// hear starts an output for somebody's device.
func (l *lab) hear(name string, c plane.Codec, ssrc uint32, listener ids.Device) ids.Track {
	o := Output{SSRC: ssrc, Levels: mixExt}
	o.Track, o.Kind, o.Codec, o.Listener = ids.Track("mix-"+name), plane.Audio, c, listener
	if err := l.m.Start(l.now, o); err != nil {
		l.t.Fatal(err)
	}
	return o.Track
}

// run lets that much time pass.
func (l *lab) run(d time.Duration) {
	for end := l.now.Add(d); l.now < end; {
		for _, k := range l.talkers {
			if b, seq := k.frame(); b != nil {
				after := 7 * time.Millisecond
				if k.delay != nil {
					after = k.delay(seq)
				}
				if after >= 0 {
					l.queue = append(l.queue, queued{l.now.Add(after), k.Track, b})
				}
			}
		}
		l.now = l.now.Add(slot)
		slices.SortStableFunc(l.queue, func(a, b queued) int { return int(a.at - b.at) })
		n := 0
		for n < len(l.queue) && l.queue[n].at < l.now {
			l.m.HandleRTP(l.queue[n].at, l.queue[n].src, l.queue[n].b)
			n++
		}
		l.queue = slices.Delete(l.queue, 0, n)
		l.m.Tick(l.now)
	}
}

// frame makes the next 20 ms packet.
func (k *talker) frame() (b []byte, seq uint16) {
	n := k.enc.Rate() / 50
	pcm := make([]int16, n)
	for i := range pcm {
		if !k.quiet {
			pcm[i] = int16(k.amp * math.Sin(k.phase))
		}
		k.phase += 2 * math.Pi * k.hz / float64(k.enc.Rate())
	}
	k.seq++
	k.ts += uint32(k.Codec.ClockRate / 50)
	if k.off {
		return nil, 0
	}
	buf := make([]byte, 1000)
	size, err := k.enc.Encode(pcm, buf)
	if err != nil {
		panic(err)
	}
	level := levelOf(pcm)
	if k.level >= 0 {
		level = uint8(k.level)
	}
	b = []byte{0x80 | byte(len(k.csrc)), k.Codec.PT, byte(k.seq >> 8), byte(k.seq)}
	b = append(b, byte(k.ts>>24), byte(k.ts>>16), byte(k.ts>>8), byte(k.ts))
	b = append(b, byte(k.ssrc>>24), byte(k.ssrc>>16), byte(k.ssrc>>8), byte(k.ssrc))
	for _, id := range k.csrc {
		b = append(b, byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
	}
	var ext []byte
	if k.Level {
		ext = append(ext, levelExt<<4, level)
	}
	if len(k.csrcLevel) > 0 {
		ext = append(append(ext, mixExt<<4|byte(len(k.csrcLevel)-1)), k.csrcLevel...)
	}
	if len(ext) > 0 {
		for len(ext)%4 != 0 {
			ext = append(ext, 0)
		}
		b[0] |= 0x10
		b = append(append(b, 0xbe, 0xde, 0, byte(len(ext)/4)), ext...)
	}
	return append(b, buf[:size]...), k.seq
}

// decode turns an output's packets into samples.
func (l *lab) decode(c plane.Codec, ps []got) []int16 {
	d, err := l.lib.Decoder(c)
	if err != nil {
		l.t.Fatal(err)
	}
	defer d.Close()
	var out []int16
	pcm := make([]int16, d.Rate()/1000*codec.MaxMillis)
	for _, p := range ps {
		n, err := d.Decode(p.payload, pcm)
		if err != nil {
			l.t.Fatal(err)
		}
		out = append(out, pcm[:n]...)
	}
	return out
}

// strength is the power of one frequency, dB relative to full scale (Goertzel,
// with a Hann window so that neighbours do not leak).
func strength(pcm []int16, rate, hz float64) float64 {
	c := 2 * math.Cos(2*math.Pi*hz/rate)
	var s1, s2 float64
	n := float64(len(pcm))
	for i, v := range pcm {
		w := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/n)
		s1, s2 = float64(v)*w+c*s1-s2, s1
	}
	return 10 * math.Log10((s1*s1+s2*s2-c*s1*s2)/(n/4*n/4)/(32767*32767)+1e-15)
}

func rateOf(c plane.Codec) float64 {
	switch c.Name {
	case "opus":
		return 48000
	case "G722":
		return 16000
	}
	return 8000
}

func sorted(v []uint32) []uint32 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v
}

// continuous checks rule MIX: one SSRC, sequence +1, timestamp + 20 ms.
func continuous(t *testing.T, ps []got, ssrc, step uint32) {
	t.Helper()
	for i, p := range ps {
		if p.h.SSRC != ssrc {
			t.Fatalf("packet %d: SSRC %x", i, p.h.SSRC)
		}
		if i > 0 && (p.h.Seq != ps[i-1].h.Seq+1 || p.h.TS != ps[i-1].h.TS+step) {
			t.Fatalf("packet %d: sequence %d after %d, timestamp +%d", i, p.h.Seq, ps[i-1].h.Seq, p.h.TS-ps[i-1].h.TS)
		}
	}
}
