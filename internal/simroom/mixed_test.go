package simroom

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu/audiomix"
	"parley/internal/mcu/codec"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
)

// desk is the product's audio mixer as a subscriber of the room, and what two
// listeners hear of it.
type desk struct {
	t    *testing.T
	mix  *audiomix.Mixer
	opus plane.Codec
	out  map[ids.Track][]int16
	dec  map[ids.Track]codec.Decoder
}

const (
	toneAmp    = 4000
	toneFrames = 100 // two seconds, in which every tone is whole
	pcmRate    = 48000
)

// toneOf spaces tones so far that 20 ms tell them apart.
func toneOf(i int) float64 { return 400 + 550*float64(i) }

// tone returns two seconds of a tone as Opus.
func tone(t *testing.T, lib *codec.Library, c plane.Codec, hz float64) (frames [][]byte) {
	e, err := lib.Encoder(c, codec.Settings{Bitrate: 40000})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	pcm, buf := make([]int16, pcmRate/50), make([]byte, 1000)
	for k := range 2 * toneFrames { // the second time round: the encoder has settled
		for i := range pcm {
			pcm[i] = int16(toneAmp * math.Sin(2*math.Pi*hz*float64(k*len(pcm)+i)/pcmRate))
		}
		n, err := e.Encode(pcm, buf)
		if err != nil {
			t.Fatal(err)
		}
		if k >= toneFrames {
			frames = append(frames, slices.Clone(buf[:n]))
		}
	}
	return frames
}

func newDesk(t *testing.T, r *Room, lib *codec.Library, c plane.Codec, talkers int) *desk {
	d := &desk{t: t, opus: c, out: map[ids.Track][]int16{}, dec: map[ids.Track]codec.Decoder{}}
	n := uint32(0)
	d.mix = audiomix.New(audiomix.Config{Codecs: lib, Sink: d, Talkers: talkers,
		Exts: audiomix.Exts{Level: downExts[plane.ExtAudioLevel]}, Random: func() uint32 { n += 77777; return n }})
	t.Cleanup(d.mix.Close)
	r.Every(20*ms, func() { d.mix.Tick(r.now) })
	return d
}

// hear starts a mix without what a device itself says.
func (d *desk) hear(lib *codec.Library, now clock.Time, who ids.Device) ids.Track {
	o := audiomix.Output{SSRC: 0x70000000 + uint32(len(d.dec))}
	o.Track, o.Kind, o.Codec, o.Listener = ids.Track("mix-"+who), plane.Audio, d.opus, who
	dec, err := lib.Decoder(d.opus)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(dec.Close)
	d.dec[o.Track] = dec
	if err := d.mix.Start(now, o); err != nil {
		d.t.Fatal(err)
	}
	return o.Track
}

// Packet implements audiomix.Sink: a listener decodes.
func (d *desk) Packet(_ int, out ids.Track, b []byte) {
	var h rtp.Header
	if rtp.Parse(b, &h) != rtp.OK {
		d.t.Fatal("the mix is no RTP")
	}
	pcm := make([]int16, pcmRate/1000*codec.MaxMillis)
	n, err := d.dec[out].Decode(b[h.PayloadOff:h.PayloadEnd], pcm)
	if err != nil {
		d.t.Fatal(err)
	}
	d.out[out] = append(d.out[out], pcm[:n]...)
}

// Contributors implements audiomix.Sink.
func (*desk) Contributors(ids.Track, []plane.Contributor) {}

// Loop implements audiomix.Sink.
func (d *desk) Loop(src ids.Track, _ uint32) { d.t.Errorf("%s is taken for a loop", src) }

// gaps counts the 20 ms in which a tone is 15 dB below its usual strength.
func gaps(pcm []int16, hz float64) (n, of int) {
	const slot = pcmRate / 50
	var level []float64
	for ; len(pcm) >= slot; pcm = pcm[slot:] {
		level = append(level, strength(pcm[:slot], hz))
	}
	s := slices.Clone(level)
	slices.Sort(s)
	for _, l := range level {
		if l < s[len(s)/2]-15 {
			n++
		}
	}
	return n, len(level)
}

// strength is the power of one frequency in dB (Goertzel with a Hann window).
func strength(pcm []int16, hz float64) float64 {
	c := 2 * math.Cos(2*math.Pi*hz/pcmRate)
	var s1, s2 float64
	for i, v := range pcm {
		w := 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(pcm)))
		s1, s2 = float64(v)*w+c*s1-s2, s1
	}
	return 10 * math.Log10(s1*s1+s2*s2-c*s1*s2+1)
}

// TestQ16_MixedRoom: six people who all sound at once, three of them on Q6's
// path; the mix is the product's, its sources come through the engine. A gap is
// 20 ms without one of those who should be in the mix, so that a gap of one is
// not covered by the others.
func TestQ16_MixedRoom(t *testing.T) {
	r := newRoom(t)
	lib := codec.Open(codec.Options{NoNative: true})
	c := plane.Codec{Name: "opus", PT: downOpus, ClockRate: 48000, Channels: 2}
	const people, lossyOnes = 6, 3
	d := newDesk(t, r, lib, c, people)
	mcu := r.Join("mcu", wire(0), wire(0))
	mcu.NoTWCC = true
	bySSRC := map[uint32]ids.Track{}
	var tiles []*View
	var sources []plane.MixSource
	for i := range people {
		up := wire(20 * ms)
		if i < lossyOnes {
			up.Delay, up.Loss = 50*ms, 0.10
		}
		p := r.Join(fmt.Sprint("p", i), up, up)
		frames := tone(t, lib, c, toneOf(i))
		p.Publish(Media{RED: true, Layers: Simulcast, Sound: func(n uint32) ([]byte, uint8) { return frames[n%toneFrames], 20 }})
		sound, tile := mcu.Watch(p, Wants{Inside: true, Width: 640})
		bySSRC[sound.ssrc] = sound.track.t.Track
		tiles = append(tiles, tile)
		sources = append(sources, plane.MixSource{Track: sound.track.t.Track, Kind: plane.Audio, Device: ids.Device(p.Name),
			SrcID: sound.track.t.SrcID, CNAME: p.Name, Codec: c, Level: true})
	}
	d.mix.SetSources(sources)
	mcu.OnRTP = func(now clock.Time, v *View, b []byte) {
		if src, ok := bySSRC[v.ssrc]; ok {
			d.mix.HandleRTP(now, src, b)
		}
	}
	listeners := map[ids.Track]int{d.hear(lib, r.now, "p5"): 5}
	if full() {
		listeners[d.hear(lib, r.now, "p0")] = 0
	}
	took := length(10*time.Second, 300*time.Second)
	const settle = 3 * time.Second
	r.Run(took)
	worst, sum, slots := 0.0, 0, 0
	for out, self := range listeners {
		pcm := d.out[out][int(settle/time.Second)*pcmRate:]
		for i := range people {
			if i == self {
				continue
			}
			n, of := gaps(pcm, toneOf(i))
			sum, slots = sum+n, slots+of
			worst = max(worst, 100*float64(n)/float64(of))
		}
	}
	figure(t, "gaps in the mix, % of 20 ms slots of all its sources", 100*float64(sum)/float64(slots), "<=", 0.5)
	figure(t, "gaps of the worst source, %", worst, "<=", 0.5)
	for i, s := range sources {
		st, _ := d.mix.SourceStats(s.Track)
		n, longest := tiles[i].Eye.Frozen(settle, took)
		t.Logf("%s: sound lost %d, late %d, reserve %v; tile: %d pictures, %d freezes, longest %v", s.CNAME, st.Lost, st.Late, st.Target,
			len(tiles[i].Eye.Pictures), n, longest)
		if i >= lossyOnes {
			figure(t, "freezes of a tile whose uplink is clean", float64(n), "<=", 0)
		}
		if len(tiles[i].Eye.Since(took-2*time.Second)) < 10 {
			t.Errorf("the tile of %s stands at the end", s.CNAME)
		}
	}
}
