package codec

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os/exec"
	"testing"

	"parley/internal/media/plane"
)

// speech makes n samples of something voice-like: a gliding pitch with
// harmonics under a syllable envelope.
func speech(rate, n int, seed uint64) []int16 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]int16, n)
	ph := 0.0
	for i := range out {
		t := float64(i) / float64(rate)
		f := 120 + 30*math.Sin(2*math.Pi*0.7*t+float64(seed))
		ph += 2 * math.Pi * f / float64(rate)
		v := 0.0
		for k := 1; k < 12; k++ {
			v += math.Sin(float64(k)*ph) / float64(k)
		}
		env := 0.5 + 0.5*math.Sin(2*math.Pi*3*t)
		out[i] = int16(7000*env*v*0.5 + 100*r.NormFloat64())
	}
	return out
}

func tone(rate, n int, hz, amp float64) []int16 {
	out := make([]int16, n)
	for i := range out {
		out[i] = int16(amp * math.Sin(2*math.Pi*hz*float64(i)/float64(rate)))
	}
	return out
}

func bytesOf(pcm []int16) []byte {
	b := make([]byte, 0, 2*len(pcm))
	for _, s := range pcm {
		b = append(b, byte(s), byte(uint16(s)>>8))
	}
	return b
}

// ffmpeg converts by an outside tool; test-packages.sh installs it.
func ffmpeg(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal("ffmpeg is not installed: run scripts/test-packages.sh")
	}
	cmd := exec.Command(path, append(append([]string{"-v", "error"}, args...), "-")...)
	cmd.Stdin = bytes.NewReader(in)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, errs.String())
	}
	return out
}

func TestG722IsBitExactWithFFmpeg(t *testing.T) {
	pcm := speech(16000, 16000*3, 7)
	r := rand.New(rand.NewPCG(3, 3))
	for range 16000 { // and what no voice is
		pcm = append(pcm, int16(r.Uint32()))
	}
	mine := make([]byte, len(pcm)/2)
	e := newG722Encoder()
	for i := 0; i < len(pcm); i += 320 {
		if n, err := e.Encode(pcm[i:i+320], mine[i/2:]); err != nil || n != 160 {
			t.Fatal(n, err)
		}
	}
	theirs := ffmpeg(t, bytesOf(pcm), "-f", "s16le", "-ar", "16000", "-ac", "1", "-i", "-", "-c:a", "g722", "-f", "g722")
	if !bytes.Equal(mine, theirs) {
		t.Errorf("encoder differs first at byte %d of %d (theirs %d)", firstDiff(mine, theirs), len(mine), len(theirs))
	}
	random := make([]byte, 16000)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	for name, code := range map[string][]byte{"speech": theirs, "random": random} {
		d := newG722Decoder()
		got := make([]int16, 2*len(code))
		for i := 0; i < len(code); i += 160 {
			if _, err := d.Decode(code[i:i+160], got[2*i:]); err != nil {
				t.Fatal(err)
			}
		}
		want := ffmpeg(t, code, "-f", "g722", "-i", "-", "-f", "s16le")
		if g := bytesOf(got); !bytes.Equal(g, want) {
			t.Errorf("%s: decoder differs first at byte %d of %d (theirs %d)", name, firstDiff(g, want), len(g), len(want))
		}
	}
}

func firstDiff(a, b []byte) int {
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

func TestG711AgainstFFmpeg(t *testing.T) {
	var pcm []int16
	for v := -32768; v < 32768; v += 3 {
		pcm = append(pcm, int16(v))
	}
	for name, l := range map[string]*law{"mulaw": &ulaw, "alaw": &alaw} {
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		g := newG711(l)
		dec := make([]int16, 256)
		if _, err := g.Decode(all, dec); err != nil {
			t.Fatal(err)
		}
		want := ffmpeg(t, all, "-f", name, "-ar", "8000", "-i", "-", "-f", "s16le")
		if !bytes.Equal(bytesOf(dec), want) {
			t.Errorf("%s: decoding differs", name)
		}
		// Encoders may round differently; the result must be a nearest code word.
		code := make([]byte, len(pcm))
		if _, err := g.Encode(pcm, code); err != nil {
			t.Fatal(err)
		}
		for i, s := range pcm {
			got := abs(int(s) - int(l.dec[code[i]]))
			best := 1 << 20
			for _, v := range l.dec {
				best = min(best, abs(int(s)-int(v)))
			}
			if got > 2*best+8 { // segments meet off the middle of two code words
				t.Fatalf("%s: %d coded as %d, off by %d, nearest is off by %d", name, s, l.dec[code[i]], got, best)
			}
		}
	}
}

func abs(v int) int { return max(v, -v) }

func snr(want, got []int16) float64 {
	var s, n float64
	for i := range got {
		d := float64(want[i]) - float64(got[i])
		s += float64(want[i]) * float64(want[i])
		n += d * d
	}
	return 10 * math.Log10(s/(n+1e-9))
}

// aligned returns the SNR at the best delay up to max samples.
func aligned(in, out []int16, maxDelay int) (best float64, at int) {
	best = -100
	for d := range maxDelay {
		if v := snr(in[4800:len(in)-maxDelay], out[4800+d:len(out)-maxDelay+d]); v > best {
			best, at = v, d
		}
	}
	return best, at
}

func libraries() map[string]*Library {
	m := map[string]*Library{"none installed": Open(Options{NoNative: true})}
	if l := Open(Options{}); l.opus != nil {
		m["libopus"] = l
		m["libopus both ways"] = Open(Options{NativeDecode: true})
	}
	return m
}

var opusCodec = plane.Codec{Name: "opus", ClockRate: 48000, Channels: 2}

// Every pair of encoder and decoder keeps the waveform of a tone.
func TestOpusEncodersAndDecodersAgree(t *testing.T) {
	in := tone(48000, 48000, 440, 8000)
	for en, el := range libraries() {
		for dn, dl := range libraries() {
			for _, s := range []Settings{{Bitrate: 32000}, {Bitrate: 32000, FEC: true, Loss: 10}, {Bitrate: 16000, DTX: true}} {
				e, err := el.Encoder(opusCodec, s)
				if err != nil {
					t.Fatal(err)
				}
				d, err := dl.Decoder(opusCodec)
				if err != nil {
					t.Fatal(err)
				}
				out := roundTrip(t, e, d, in, func(int) bool { return false })
				if v, at := aligned(in, out, 600); v < 12 {
					t.Errorf("%s to %s, %+v: SNR %.1f dB at delay %d", en, dn, s, v, at)
				}
				e.Close()
				d.Close()
			}
		}
	}
}

// roundTrip encodes and decodes 20 ms frames; lost ones are concealed with the
// next one at hand.
func roundTrip(t *testing.T, e Encoder, d Decoder, in []int16, lost func(i int) bool) []int16 {
	t.Helper()
	n := e.Rate() / 50
	var packets [][]byte
	for i := 0; i+n <= len(in); i += n {
		buf := make([]byte, 400)
		k, err := e.Encode(in[i:i+n], buf)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, buf[:k])
	}
	var out []int16
	pcm := make([]int16, d.Rate()/1000*MaxMillis)
	for i, p := range packets {
		m := d.Rate() / 50
		if lost(i) {
			var next []byte
			if i+1 < len(packets) && !lost(i+1) {
				next = packets[i+1]
			}
			d.Conceal(next, pcm[:m])
		} else {
			k, err := d.Decode(p, pcm)
			if err != nil || k != m || d.Samples(p) != m {
				t.Fatalf("packet %d: %d samples, %v", i, k, err)
			}
		}
		out = append(out, pcm[:m]...)
	}
	return out
}

func TestLossIsConcealed(t *testing.T) {
	for name, l := range libraries() {
		for _, c := range []plane.Codec{opusCodec, {Name: "PCMU"}, {Name: "PCMA"}, {Name: "G722"}} {
			e, err := l.Encoder(c, Settings{FEC: true, Loss: 20})
			if err != nil {
				t.Fatal(err)
			}
			d, _ := l.Decoder(c)
			in := tone(e.Rate(), e.Rate(), 300, 8000)
			out := roundTrip(t, e, d, in, func(i int) bool { return i%10 == 5 })
			n := e.Rate() / 50
			for i := 5; i+1 < len(out)/n; i += 10 {
				if p := power(out[i*n : (i+1)*n]); p < power(out[(i-1)*n:i*n])/8 {
					t.Errorf("%s %s: lost frame %d is a hole: %.0f", name, c.Name, i, p)
				}
			}
			e.Close()
			d.Close()
		}
	}
}

func power(p []int16) (v float64) {
	for _, s := range p {
		v += float64(s) * float64(s)
	}
	return v / float64(len(p))
}

// M1 for Opus: mutated packets never crash or hang a decoder, and a good packet
// after them is decoded.
func TestM1_MutatedOpus(t *testing.T) {
	const seed = 20261122
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	l := Open(Options{NoNative: true})
	var good [][]byte
	for _, s := range []Settings{{Bitrate: 12000}, {Bitrate: 24000, FEC: true, Loss: 20}, {Bitrate: 64000}} {
		e, _ := l.Encoder(opusCodec, s)
		in := speech(48000, 48000, 5)
		for i := 0; i+960 <= len(in); i += 960 {
			b := make([]byte, 400)
			n, err := e.Encode(in[i:i+960], b)
			if err != nil {
				t.Fatal(err)
			}
			good = append(good, b[:n])
		}
	}
	d, _ := l.Decoder(opusCodec)
	pcm := make([]int16, 48*MaxMillis)
	decoded := 0
	for range 10000 {
		p := mutate(r, good[r.IntN(len(good))])
		if r.IntN(4) == 0 {
			d.Conceal(p, pcm[:960])
		}
		if n, err := d.Decode(p, pcm); err == nil {
			decoded++
			if n > len(pcm) {
				t.Fatalf("%d samples", n)
			}
		}
	}
	t.Logf("%d of 10000 mutated packets decoded to something", decoded)
	if n, err := d.Decode(good[0], pcm); err != nil || n != 960 {
		t.Fatalf("a good packet afterwards: %d, %v", n, err)
	}
}

func mutate(r *rand.Rand, p []byte) []byte {
	p = append([]byte(nil), p...)
	switch r.IntN(4) {
	case 0:
		p = p[:r.IntN(len(p)+1)]
	case 1:
		p = append(p, make([]byte, r.IntN(1200))...)
	case 2:
		p[0] = byte(r.Uint32())
	}
	for range r.IntN(8) {
		if len(p) > 0 {
			p[r.IntN(len(p))] ^= byte(1 << r.IntN(8))
		}
	}
	return p
}

func FuzzOpusDecode(f *testing.F) {
	e, _ := Open(Options{NoNative: true}).Encoder(opusCodec, Settings{Bitrate: 24000, FEC: true, Loss: 20})
	in := speech(48000, 9600, 5)
	for i := 0; i+960 <= len(in); i += 960 {
		b := make([]byte, 400)
		n, _ := e.Encode(in[i:i+960], b)
		f.Add(b[:n])
	}
	f.Add([]byte{0xff, 0xff, 0xff})
	d, _ := newGopusDecoder()
	pcm := make([]int16, 48*MaxMillis)
	f.Fuzz(func(t *testing.T, p []byte) {
		want := d.Samples(p)
		if n, err := d.Decode(p, pcm); err == nil && n != want {
			t.Fatalf("%d samples, %d announced", n, want)
		}
		d.Conceal(p, pcm[:960])
	})
}

func TestComfortNoiseHasTheLevelSaid(t *testing.T) {
	var n Noise
	pcm := make([]int16, 8000)
	for _, level := range []byte{40, 60} {
		if l, ok := n.Set([]byte{level, 1, 2}); !ok || l != level {
			t.Fatal(l, ok)
		}
		n.Fill(pcm)
		if got := -10 * math.Log10(power(pcm)/(32767*32767)); math.Abs(got-float64(level)) > 1.5 {
			t.Errorf("level %d: noise at -%.1f dBov", level, got)
		}
	}
	if _, ok := n.Set(nil); ok {
		t.Error("an empty payload was taken")
	}
}

func TestTooLongPacketsAreRefused(t *testing.T) {
	pcm := make([]int16, 48*MaxMillis)
	for _, name := range []string{"opus", "PCMU", "G722"} {
		d, err := Open(Options{NoNative: true}).Decoder(plane.Codec{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 1501)
		p[0] = 3
		if _, err := d.Decode(p, pcm); err == nil || d.Samples(p) != 0 {
			t.Errorf("%s: %d bytes were decoded", name, len(p))
		}
	}
	if n := opusSamples([]byte{0x18 | 3, 63}); n != 0 { // 63 frames of 60 ms
		t.Errorf("3.8 s in a packet: %d samples", n)
	}
	if err := Open(Options{}).Can(plane.Codec{Name: "AMR"}); err == nil {
		t.Error("AMR can be mixed?")
	}
}

func BenchmarkCodecs(b *testing.B) {
	for name, l := range libraries() {
		for _, c := range []plane.Codec{opusCodec, {Name: "PCMU"}, {Name: "G722"}} {
			for _, s := range []Settings{{}, {FEC: true, Loss: 5}} {
				if c.Name != "opus" && (s.FEC || name != "none installed") {
					continue
				}
				e, _ := l.Encoder(c, s)
				d, _ := l.Decoder(c)
				in := speech(e.Rate(), e.Rate(), 5)
				n := e.Rate() / 50
				var ps [50][]byte
				for i := range ps {
					ps[i] = make([]byte, 400)
					k, _ := e.Encode(in[i*n:(i+1)*n], ps[i])
					ps[i] = ps[i][:k]
				}
				what := name + "/" + c.Name
				if s.FEC {
					what += "+FEC"
				}
				buf, pcm := make([]byte, 400), make([]int16, 48*MaxMillis)
				b.Run(what+"/encode", func(b *testing.B) {
					b.ReportAllocs()
					for i := range b.N {
						_, _ = e.Encode(in[i%50*n:(i%50+1)*n], buf)
					}
				})
				b.Run(what+"/decode", func(b *testing.B) {
					b.ReportAllocs()
					for i := range b.N {
						_, _ = d.Decode(ps[i%50], pcm)
					}
				})
			}
		}
	}
}
