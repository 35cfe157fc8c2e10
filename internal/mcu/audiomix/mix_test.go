package audiomix

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

// MIX-1 by spectrum, for every pair of formats.
func TestMIX1_EveryoneHearsTheOthers(t *testing.T) {
	for _, in := range []plane.Codec{opus, pcmu, g722} {
		for _, out := range []plane.Codec{opus, pcmu, pcma, g722} {
			t.Run(in.Name+" to "+out.Name, func(t *testing.T) {
				l := newLab(t, Config{})
				hz := map[string]float64{"a": 400, "b": 700, "c": 1000}
				id := map[string]uint32{"a": 0xa1, "b": 0xb1, "c": 0xc1}
				for _, n := range []string{"a", "b", "c"} {
					l.talk(n, id[n], in, hz[n])
					l.hear(n, out, id[n]<<8, ids.Device("dev-"+n))
				}
				l.run(3 * time.Second)
				for n := range hz {
					ps := l.out[ids.Track("mix-"+n)][50:]
					pcm := l.decode(out, ps)
					pcm = pcm[len(pcm)/4:]
					var others []uint32
					lowest := 0.0
					for o, f := range hz {
						if o != n {
							others = append(others, id[o])
							lowest = min(lowest, strength(pcm, rateOf(out), f))
						}
					}
					if own := strength(pcm, rateOf(out), hz[n]); lowest < -25 || own > lowest-40 {
						t.Errorf("%s hears itself at %.1f dB, the weakest other at %.1f dB", n, own, lowest)
					}
					for _, p := range ps {
						if p.h.CSRCCount != 2 || !slices.Equal(sorted(p.csrc), sorted(others)) {
							t.Fatalf("%s: CSRC %x, want %x", n, p.csrc, others)
						}
					}
				}
			})
		}
	}
}

func TestMIX2_SomeoneStops(t *testing.T) {
	for _, how := range []string{"silence", "no packets", "muted"} {
		t.Run(how, func(t *testing.T) {
			l := newLab(t, Config{})
			l.talk("a", 0xa1, opus, 400).quiet = true
			b := l.talk("b", 0xb1, opus, 700)
			l.talk("c", 0xc1, opus, 1000)
			out := l.hear("a", opus, 0x77, "dev-a")
			l.run(2 * time.Second)
			n := len(l.out[out])
			switch how {
			case "silence":
				b.quiet = true
			case "no packets":
				b.off = true
			case "muted":
				b.Muted, b.off = true, true
				l.refresh()
			}
			l.run(2 * time.Second)
			ps := l.out[out]
			continuous(t, ps, 0x77, 960)
			if len(ps) != 200 {
				t.Errorf("%d packets in 4 s", len(ps))
			}
			if got := sorted(ps[n-1].csrc); !slices.Equal(got, []uint32{0xb1, 0xc1}) {
				t.Errorf("before: %x", got)
			}
			for i := n + 25; i < len(ps); i++ {
				if !slices.Equal(ps[i].csrc, []uint32{0xc1}) {
					t.Fatalf("%d ms after: CSRC %x", (i-n)*20, ps[i].csrc)
				}
			}
		})
	}
}

func TestMIX3_TwentyTalkers(t *testing.T) {
	l := newLab(t, Config{Talkers: 20})
	for i := range 20 {
		l.talk(fmt.Sprint(i), uint32(0x100+i), opus, 300+50*float64(i)).amp = 800 + 100*float64(i)
	}
	outs := []ids.Track{l.hear("x", opus, 1, ""), l.hear("19", opus, 2, "dev-19")}
	l.run(time.Second)
	for _, o := range outs {
		for _, p := range l.out[o][20:] {
			if p.h.CSRCCount != 15 || len(p.levels) != 15 {
				t.Fatalf("CC %d, %d levels", p.h.CSRCCount, len(p.levels))
			}
			if s := slices.Compact(sorted(p.csrc)); len(s) != 15 {
				t.Fatalf("an id twice: %x", p.csrc)
			}
			if !slices.IsSorted(p.levels) || p.levels[0] == p.levels[14] {
				t.Fatalf("levels %v are not those of the list, loudest first", p.levels)
			}
			if slices.Contains(p.csrc, 0x100) {
				t.Fatalf("the quietest of twenty is among fifteen: %x", p.csrc)
			}
			if o == "mix-19" && slices.Contains(p.csrc, 0x100+19) {
				t.Fatal("own id")
			}
		}
	}
}

// Mixer levels (RFC 6465) are those of the sources, in the order of the list.
func TestMIX3_LevelsBelongToTheirSources(t *testing.T) {
	l := newLab(t, Config{})
	l.talk("a", 0xa1, opus, 400).amp = 10000
	l.talk("b", 0xb1, opus, 700).amp = 1000
	o := l.hear("x", opus, 1, "")
	l.run(time.Second)
	p := l.out[o][40]
	if !slices.Equal(p.csrc, []uint32{0xa1, 0xb1}) || len(p.levels) != 2 {
		t.Fatalf("%x %v", p.csrc, p.levels)
	}
	for i, amp := range []float64{10000, 1000} {
		want := -20 * math.Log10(amp/math.Sqrt2/32767)
		if math.Abs(float64(p.levels[i])-want) > 2 {
			t.Errorf("level %d of %x, want %.0f", p.levels[i], p.csrc[i], want)
		}
	}
}

func TestMIX6_SomeoneLeaves(t *testing.T) {
	l := newLab(t, Config{})
	l.talk("a", 0xa1, opus, 400)
	b := l.talk("b", 0xb1, opus, 700)
	l.talk("c", 0xc1, opus, 1000)
	l.talk("d", 0xd1, opus, 1000).quiet = true
	o := l.hear("a", opus, 1, "dev-a")
	l.run(time.Second)
	ids := func() (v []uint32) {
		for _, c := range l.contrib[o] {
			v = append(v, c.SrcID)
			if c.CNAME == "" {
				t.Error("no CNAME")
			}
		}
		return sorted(v)
	}
	if got := ids(); !slices.Equal(got, []uint32{0xb1, 0xc1}) {
		t.Fatalf("contributors %x", got)
	}
	l.leave(b)
	if got := ids(); !slices.Equal(got, []uint32{0xc1}) {
		t.Fatalf("contributors after B left: %x", got)
	}
	n := len(l.out[o])
	l.run(time.Second)
	continuous(t, l.out[o], 1, 960)
	for _, p := range l.out[o][n:] {
		if slices.Contains(p.csrc, 0xb1) {
			t.Fatal("B is on the list")
		}
	}
}

// MIX-7, the mixer's part: equal SSRCs of two legs do not matter, ids tell them apart.
func TestMIX7_EqualSSRCs(t *testing.T) {
	l := newLab(t, Config{})
	l.talk("a", 0xdeadbeef, opus, 400).ssrc = 0xdeadbeef
	l.talk("b", 0x12345678, opus, 700).ssrc = 0xdeadbeef
	o := l.hear("x", opus, 1, "")
	l.run(time.Second)
	p := l.out[o][40]
	if !slices.Equal(sorted(p.csrc), []uint32{0x12345678, 0xdeadbeef}) {
		t.Fatalf("CSRC %x", p.csrc)
	}
	pcm := l.decode(opus, l.out[o])
	for _, hz := range []float64{400, 700} {
		if s := strength(pcm[24000:], 48000, hz); s < -25 {
			t.Errorf("%.0f Hz at %.1f dB", hz, s)
		}
	}
}

func TestMIX9_RateOfOneListener(t *testing.T) {
	l := newLab(t, Config{})
	l.talk("a", 0xa1, opus, 400)
	x, y := l.hear("x", opus, 1, ""), l.hear("y", opus, 2, "")
	l.run(time.Second)
	rate := func(o ids.Track, from int) (bits float64) {
		ps := l.out[o][from:]
		for _, p := range ps {
			bits += float64(8 * (len(p.raw) + 38)) // with IP, UDP and an SRTP tag
		}
		return bits / (float64(len(ps)) / 50)
	}
	before := rate(y, 25)
	for _, limit := range []uint64{200_000, 45_000} {
		l.m.SetRate(x, limit)
		n := len(l.out[x])
		l.run(3 * time.Second)
		if r := rate(x, n); r > float64(limit) {
			t.Errorf("limit %d, sent %.0f", limit, r)
		}
		if r := rate(y, n); math.Abs(r-before) > before/10 {
			t.Errorf("the other listener got %.0f before and %.0f now", before, r)
		}
	}
	continuous(t, l.out[x], 1, 960)
	n := len(l.out[x])
	l.m.SetRate(x, 0)
	l.run(2 * time.Second)
	if r := rate(x, n); math.Abs(r-before) > before/10 {
		t.Errorf("limit lifted: %.0f, before %.0f", r, before)
	}
}

func TestMIX10_OwnMixComesBack(t *testing.T) {
	l := newLab(t, Config{})
	l.talk("a", 0xa1, opus, 400)
	back := l.talk("m2", 0x999, opus, 1500)
	back.Mixed, back.csrc, back.csrcLevel = true, []uint32{0x55}, []byte{20}
	l.refresh()
	o := l.hear("x", opus, 0x77, "")
	l.run(time.Second)
	if got := sorted(l.out[o][45].csrc); !slices.Equal(got, []uint32{0x55, 0xa1}) || len(l.loops) != 0 {
		t.Fatalf("an honest mixer: CSRC %x, loops %x", got, l.loops)
	}
	for _, id := range []uint32{0xa1, 0x77} { // a source of ours, an output of ours
		back.csrc, back.csrcLevel = []uint32{0x55, id}, []byte{20, 30}
		l.run(time.Second)
		n := len(l.out[o])
		l.run(time.Second)
		for _, p := range l.out[o][n:] {
			if !slices.Equal(p.csrc, []uint32{0xa1}) {
				t.Fatalf("looped input is heard: %x", p.csrc)
			}
		}
		pcm := l.decode(opus, l.out[o][n:])
		if s := strength(pcm, 48000, 1500); s > -60 {
			t.Errorf("looped input at %.1f dB", s)
		}
		if !slices.Equal(l.loops, []uint32{id}) {
			t.Fatalf("loops reported: %x", l.loops)
		}
		l.loops = nil
		back.csrc, back.csrcLevel = []uint32{0x55}, []byte{20}
		l.run(6 * time.Second)
		if got := sorted(l.out[o][len(l.out[o])-1].csrc); !slices.Equal(got, []uint32{0x55, 0xa1}) {
			t.Fatalf("after the loop ended: %x", got)
		}
	}
}

func TestCMB1_CascadeNamesSourcesNotMixers(t *testing.T) {
	l := newLab(t, Config{})
	m2 := l.talk("m2", 0x2222, opus, 500)
	m2.Mixed, m2.csrc, m2.csrcLevel = true, []uint32{64}, []byte{25}
	l.talk("e5", 45, opus, 900)
	l.refresh()
	o := l.hear("x", opus, 0x3333, "")
	l.run(time.Second)
	for _, p := range l.out[o][20:] {
		if !slices.Equal(sorted(p.csrc), []uint32{45, 64}) {
			t.Fatalf("CSRC %v", p.csrc)
		}
		if p.levels[slices.Index(p.csrc, 64)] != 25 {
			t.Fatalf("level of the far source: %v for %v", p.levels, p.csrc)
		}
	}
}

func TestCMB2_CascadeIsCapped(t *testing.T) {
	l := newLab(t, Config{Talkers: 11})
	far := l.talk("m2", 0x2222, opus, 500)
	far.Mixed = true
	for i := range 10 {
		far.csrc = append(far.csrc, uint32(0x200+i))
		far.csrcLevel = append(far.csrcLevel, byte(10+i))
		l.talk(fmt.Sprint(i), uint32(0x100+i), opus, 300+70*float64(i)).amp = 1500
	}
	l.refresh()
	o, me := l.hear("x", opus, 1, ""), l.hear("me", opus, 2, "dev-3")
	l.run(time.Second)
	for _, p := range l.out[o][20:] {
		if p.h.CSRCCount != 15 || len(slices.Compact(sorted(p.csrc))) != 15 {
			t.Fatalf("CC %d %x", p.h.CSRCCount, p.csrc)
		}
	}
	for _, p := range l.out[me][20:] {
		if slices.Contains(p.csrc, 0x103) || slices.Contains(p.csrc, 0x2222) {
			t.Fatalf("own id or the mixer's: %x", p.csrc)
		}
	}
}

// RTM-1, the mixer's part: an anonymous output names nobody.
func TestRTM1_AnonymousNamesNobody(t *testing.T) {
	l := newLab(t, Config{})
	l.talk("a", 0xa1, opus, 400)
	open := l.hear("open", opus, 1, "")
	o := Output{SSRC: 5, Levels: mixExt}
	o.Track, o.Codec, o.Anonymous = "anon", opus, true
	if err := l.m.Start(l.now, o); err != nil {
		t.Fatal(err)
	}
	l.run(time.Second)
	for i, p := range l.out["anon"] {
		if p.h.CSRCCount != 0 || p.levels != nil {
			t.Fatalf("CC %d, levels %v", p.h.CSRCCount, p.levels)
		}
		if !slices.Equal(p.payload, l.out[open][i].payload) {
			t.Fatal("anonymous and open listeners do not share the encoder")
		}
	}
	if l.contrib["anon"] != nil {
		t.Error("contributors of an anonymous output")
	}
	if s, _ := l.m.Stats("anon"); s.Shared != 2 || s.Bitrate == 0 || s.Encoder == "" {
		t.Errorf("stats %+v", s)
	}
}

// A listener who begins to speak gets an encoder of its own without a seam in
// the header or a bang in the sound, and goes back when it is quiet.
func TestClassChangeKeepsTheStream(t *testing.T) {
	l := newLab(t, Config{})
	me := l.talk("me", 0xee, opus, 500)
	me.quiet = true
	l.talk("b", 0xb1, opus, 700)
	o, other := l.hear("me", opus, 1, "dev-me"), l.hear("x", opus, 2, "")
	shared := func(t2 ids.Track) int { s, _ := l.m.Stats(t2); return s.Shared }
	l.run(time.Second)
	if shared(o) != 2 {
		t.Fatalf("shared by %d while silent", shared(o))
	}
	me.quiet = false
	l.run(2 * time.Second)
	if shared(o) != 1 || shared(other) != 1 {
		t.Fatal("a talker hears itself")
	}
	me.quiet = true
	l.run(7 * time.Second)
	if shared(o) != 2 {
		t.Fatal("not back with the others")
	}
	continuous(t, l.out[o], 1, 960)
	pcm := l.decode(opus, l.out[o])
	for i := 48000; i < len(pcm); i++ {
		if v := int(pcm[i]); v > 9000 || v < -9000 {
			t.Fatalf("a bang of %d at %d ms", v, i/48)
		}
	}
	if s := strength(pcm[48000:3*48000], 48000, 500); s > -60 {
		t.Errorf("hears itself at %.1f dB", s)
	}
}

func TestLoudestAreMixedAndSilentOnesNotDecoded(t *testing.T) {
	l := newLab(t, Config{})
	for i := range 6 {
		l.talk(fmt.Sprint(i), uint32(0x100+i), opus, 300+100*float64(i)).amp = 1000 + 1500*float64(i)
	}
	quiet := l.talk("q", 0x500, opus, 3000)
	quiet.level = 127 // says that it is silent
	o := l.hear("x", opus, 1, "")
	l.run(time.Second)
	if got := sorted(l.out[o][45].csrc); !slices.Equal(got, []uint32{0x103, 0x104, 0x105}) {
		t.Fatalf("CSRC %x", got)
	}
	if s := l.m.byTrack["q"]; s.jb.highest == 0 || len(s.in) != 0 {
		t.Error("a silent source was decoded")
	}
	// Slightly louder is not enough to take a place, much louder is.
	l.talkers[2].amp = 1.2 * l.talkers[3].amp
	l.run(time.Second)
	if got := sorted(l.out[o][95].csrc); !slices.Equal(got, []uint32{0x103, 0x104, 0x105}) {
		t.Fatalf("after a little more: %x", got)
	}
	l.talkers[2].amp = 20000
	l.run(time.Second)
	if got := sorted(l.out[o][145].csrc); !slices.Contains(got, 0x102) {
		t.Fatalf("after much more: %x", got)
	}
}

// Whoever claims to be loud and sends silence loses the place.
func TestAnnouncedLevelsAreChecked(t *testing.T) {
	l := newLab(t, Config{Talkers: 1})
	liar := l.talk("liar", 0x1, opus, 300)
	liar.level, liar.quiet = 0, true
	l.talk("honest", 0x2, opus, 500).amp = 2000
	o := l.hear("x", opus, 1, "")
	l.run(10 * time.Second)
	n := 0
	for _, p := range l.out[o] {
		if slices.Contains(p.csrc, 2) {
			n++
		}
	}
	if n < len(l.out[o])*3/4 {
		t.Errorf("the honest one is heard in %d of %d slots", n, len(l.out[o]))
	}
}

func TestSumIsLimitedNotClipped(t *testing.T) {
	l := newLab(t, Config{})
	for i := range 3 {
		l.talk(fmt.Sprint(i), uint32(0x100+i), opus, 300*float64(i+1)).amp = 20000
	}
	o := l.hear("x", g722, 1, "") // keeps waveforms better than Opus
	l.run(2 * time.Second)
	pcm := l.decode(g722, l.out[o][50:])
	tone, spur := strength(pcm, 16000, 300), -200.0
	for _, hz := range []float64{1500, 2100, 2700} { // odd products that clipping makes
		spur = max(spur, strength(pcm, 16000, hz))
	}
	if spur > tone-30 {
		t.Errorf("tone %.1f dB, distortion %.1f dB", tone, spur)
	}
}

func TestSilenceCostsOneByte(t *testing.T) {
	l := newLab(t, Config{})
	l.talk("a", 0xa1, opus, 400).quiet = true
	o := l.hear("x", opus, 1, "")
	l.run(2 * time.Second)
	ps := l.out[o]
	continuous(t, ps, 1, 960)
	if n := len(ps[len(ps)-1].payload); n != 1 {
		t.Errorf("%d bytes", n)
	}
	for _, v := range l.decode(opus, ps) {
		if v > 50 || v < -50 {
			t.Fatalf("silence sounds: %d", v)
		}
	}
}
