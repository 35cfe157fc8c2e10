package payload

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"parley/internal/base/clock"
)

// frameOf makes a picture with a header that says what it is.
func frameOf(c Codec, key bool, size int, rng *rand.Rand) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	switch c {
	case VP8:
		head := []byte{0x11, 0, 0}
		if key {
			head = []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 2, 0x68, 1}
		}
		copy(b, head)
	case VP9:
		b[0] = 0x86
		if key {
			b[0] = 0x82
		}
	case H264:
		for i := range b {
			b[i] |= 1 // no start codes inside
		}
		t := byte(0x41)
		if key {
			t = 0x65
		}
		b = append([]byte{0, 0, 0, 1, t}, b...)
		if key {
			b = append([]byte{0, 0, 0, 1, 0x67, 66, 1, 30, 9, 0, 0, 0, 1, 0x68, 1, 2, 3}, b...)
		}
	}
	return b
}

type packet struct {
	seq    uint16
	ts     uint32
	marker bool
	b      []byte
}

// sent is a stream of n pictures, every 20th a keyframe.
func sent(c Codec, n int, rng *rand.Rand) (frames [][]byte, packets []packet) {
	s := NewSplitter(c, 1100, 0x7ffe)
	seq := uint16(65500)
	for i := range n {
		f := frameOf(c, i%20 == 0, 20+rng.IntN(5000), rng)
		frames = append(frames, f)
		parts := s.Split(f, i%20 == 0, 640, 360)
		for k, p := range parts {
			packets = append(packets, packet{seq, uint32(i) * 3000, k == len(parts)-1, bytes.Clone(p)})
			seq++
		}
	}
	return frames, packets
}

func TestWhatIsSplitComesTogether(t *testing.T) {
	for _, c := range []Codec{VP8, VP9, H264} {
		rng := rand.New(rand.NewPCG(1, uint64(c)))
		frames, packets := sent(c, 60, rng)
		// The very first packet fixes where the stream begins.
		for i := 1; i+1 < len(packets); i += 1 + rng.IntN(3) {
			packets[i], packets[i+1] = packets[i+1], packets[i]
		}
		a := NewAssembler(c)
		now, got := clock.Time(time.Second), 0
		for _, p := range packets {
			a.Push(now, p.seq, p.ts, p.marker, p.b)
			a.Push(now, p.seq, p.ts, p.marker, p.b) // a double changes nothing
			for {
				u, ok := a.Pop(now)
				if !ok {
					break
				}
				if !bytes.Equal(u.Data, frames[got]) || u.TS != uint32(got)*3000 || u.Key != (got%20 == 0) {
					t.Fatalf("codec %d: picture %d differs (%d bytes, want %d, key %v)", c, got, len(u.Data), len(frames[got]), u.Key)
				}
				got++
			}
			now = now.Add(time.Millisecond)
		}
		if got != len(frames) || a.Wants() {
			t.Errorf("codec %d: %d pictures of %d", c, got, len(frames))
		}
	}
}

// After loss nothing comes out that refers to what is missing, the keyframe is
// asked for, and the stream goes on with it; a late repair in time costs nothing.
func TestLossWaitsForAKeyframe(t *testing.T) {
	for _, c := range []Codec{VP8, VP9, H264} {
		rng := rand.New(rand.NewPCG(2, uint64(c)))
		_, packets := sent(c, 45, rng)
		a := NewAssembler(c)
		now := clock.Time(time.Second)
		var late *packet
		var got []uint32
		asked := false
		for i, p := range packets {
			switch {
			case p.ts == 5*3000 && p.marker:
				late = &packets[i] // comes 60 ms later
				now = now.Add(33 * time.Millisecond)
				continue
			case p.ts == 7*3000 && late != nil:
				a.Push(now, late.seq, late.ts, late.marker, late.b)
				late = nil
			case p.ts == 25*3000 && p.marker:
				now = now.Add(33 * time.Millisecond)
				continue // never comes
			}
			a.Push(now, p.seq, p.ts, p.marker, p.b)
			if p.marker {
				now = now.Add(33 * time.Millisecond)
			}
			for {
				u, ok := a.Pop(now)
				if !ok {
					break
				}
				got = append(got, u.TS/3000)
			}
			asked = a.Wants() || asked
		}
		want := []uint32{}
		for i := range uint32(45) {
			if i < 25 || i >= 40 {
				want = append(want, i)
			}
		}
		if len(got) != len(want) || !asked || a.Lost() != 1 {
			t.Errorf("codec %d: pictures %v, asked %v, lost %d", c, got, asked, a.Lost())
		}
	}
}

func TestAV1TemporalUnits(t *testing.T) {
	a := NewAssembler(AV1)
	now := clock.Time(time.Second)
	// A sequence header and the first part of a frame OBU, then its rest.
	a.Push(now, 1, 10, false, []byte{0x68, 3, obuSequence << 3, 0xaa, 0xbb, 6 << 3, 1, 2})
	a.Push(now, 2, 10, true, []byte{0x90, 3, 4})
	u, ok := a.Pop(now)
	want := []byte{0x12, 0, obuSequence<<3 | 2, 2, 0xaa, 0xbb, 6<<3 | 2, 4, 1, 2, 3, 4}
	if !ok || !u.Key || !bytes.Equal(u.Data, want) {
		t.Fatalf("% x %v", u.Data, ok)
	}
}

func FuzzAssemble(f *testing.F) {
	f.Add(uint8(VP8), []byte{0x90, 0x80, 0x81, 2, 0x10, 0, 0, 0x9d, 1, 0x2a})
	f.Add(uint8(VP9), []byte{0x8a, 0x81, 2, 0x18, 1, 0, 1, 0, 1, 0x82})
	f.Add(uint8(H264), []byte{0x78, 0, 2, 9, 0x10, 0, 3, 0x67, 1, 2})
	f.Add(uint8(H264), []byte{0x7c, 0x85, 1, 2, 3})
	f.Add(uint8(AV1), []byte{0x68, 3, 8, 0xaa, 0xbb, 48, 1, 2})
	f.Fuzz(func(t *testing.T, c uint8, b []byte) {
		codec := Codec(1 + c%4)
		a := NewAssembler(codec)
		now := clock.Time(time.Second)
		for i := 0; len(b) > 1; i++ { // first byte of each packet: its length and marker
			n := min(1+int(b[0]&0x3f), len(b)-1)
			a.Push(now, uint16(i), uint32(i/3), b[0]&0x80 != 0, b[1:1+n])
			b = b[1+n:]
			for {
				u, ok := a.Pop(now)
				if !ok {
					break
				}
				if len(u.Data) == 0 || len(u.Data) > MaxUnit+1500 {
					t.Fatalf("unit of %d bytes", len(u.Data))
				}
				Claimed(codec, u.Data)
			}
			now = now.Add(50 * time.Millisecond)
		}
	})
}
