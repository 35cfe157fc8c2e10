package codec

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
)

// oggPackets returns the packets of an Ogg stream (RFC 3533), without the two
// headers of Opus (RFC 7845).
func oggPackets(t *testing.T, b []byte) (out [][]byte) {
	t.Helper()
	var part []byte
	for len(b) >= 27 && bytes.HasPrefix(b, []byte("OggS")) {
		n := int(b[26])
		sizes, body := b[27:27+n], b[27+n:]
		for _, s := range sizes {
			part = append(part, body[:s]...)
			body = body[s:]
			if s < 255 {
				out = append(out, part)
				part = nil
			}
		}
		b = body
	}
	if len(out) < 3 {
		t.Fatal("no Opus in what ffmpeg made")
	}
	return out[2:]
}

func goertzel(pcm []int16, hz float64) float64 {
	c := 2 * math.Cos(2*math.Pi*hz/48000)
	var s1, s2 float64
	for _, v := range pcm {
		s1, s2 = float64(v)+c*s1-s2, s1
	}
	return 2 * math.Sqrt(s1*s1+s2*s2-c*s1*s2) / float64(len(pcm))
}

// What other encoders send, in every mode and in stereo, comes out as libopus
// would have it: both channels at half their strength.
func TestPacketsOfAnotherEncoder(t *testing.T) {
	in := make([]byte, 0, 48000*4*2)
	for i := range 2 * 48000 {
		s := 2 * math.Pi * float64(i) / 48000
		in = binary.LittleEndian.AppendUint16(in, uint16(int16(9000*math.Sin(440*s))))
		in = binary.LittleEndian.AppendUint16(in, uint16(int16(9000*math.Sin(700*s))))
	}
	for _, args := range [][]string{
		{"-b:a", "96k", "-application", "audio"},
		{"-b:a", "24k", "-application", "voip"},
		{"-b:a", "48k", "-application", "voip", "-frame_duration", "60"},
		{"-b:a", "64k", "-application", "lowdelay", "-frame_duration", "5"},
		{"-b:a", "32k", "-application", "voip", "-ac", "1", "-packet_loss", "20", "-fec", "1"},
	} {
		ogg := ffmpeg(t, in, append(append([]string{"-f", "s16le", "-ar", "48000", "-ac", "2", "-i", "-", "-c:a", "libopus"}, args...), "-f", "ogg")...)
		d, err := Open(Options{}).Decoder(opusCodec)
		if err != nil {
			t.Fatal(err)
		}
		var out []int16
		pcm := make([]int16, 48*MaxMillis)
		stereo := false
		for i, p := range oggPackets(t, ogg) {
			stereo = stereo || p[0]&4 != 0
			n, err := d.Decode(p, pcm)
			if err != nil || n != d.Samples(p) {
				t.Fatalf("%v, packet %d: %d samples, %v", args, i, n, err)
			}
			out = append(out, pcm[:n]...)
		}
		if len(out) < 90000 {
			t.Fatalf("%v: %d samples", args, len(out))
		}
		for _, hz := range []float64{440, 700} {
			if a := goertzel(out[24000:72000], hz); a < 3000 || a > 6000 {
				t.Errorf("%v (stereo %v): %.0f Hz has amplitude %.0f, want about 4500", args, stereo, hz, a)
			}
		}
	}
}
