package load

import (
	"testing"
	"time"

	"parley/internal/media/payload"
)

func TestSourceSplitsFramesAsLibwebrtcDoes(t *testing.T) {
	s := NewSource(SourceConfig{Codec: "VP8", Bitrate: 2_000_000, FPS: 30, Seed: 1})
	var packets, bytes int
	for f := range 300 {
		var sizes []int
		s.Frame(int64(f)*int64(s.Interval())+1, func(p []byte, _ uint32, marker bool) {
			sizes = append(sizes, len(p))
			n, sent, ok := readStamp(p)
			if !ok || n != uint64(packets) || sent == 0 {
				t.Fatalf("frame %d: stamp %d %d %v, want number %d", f, n, sent, ok, packets)
			}
			packets, bytes = packets+1, bytes+len(p)
		})
		for i := 1; i < len(sizes); i++ {
			if d := sizes[i] - sizes[i-1]; d < 0 || d > 1 {
				t.Fatalf("frame %d: sizes %v", f, sizes)
			}
		}
	}
	if rate := bytes * 8 / 10; rate < 1_800_000 || rate > 2_400_000 {
		t.Errorf("%d bit/s", rate)
	}
	if per := packets / 300; per < 6 || per > 9 {
		t.Errorf("%d packets a frame", per)
	}
}

func TestAudioSourceIsOnePacketEvery20ms(t *testing.T) {
	s := NewSource(SourceConfig{Audio: true, Codec: "opus", Bitrate: 32000})
	if s.Interval() != 20*time.Millisecond {
		t.Fatal(s.Interval())
	}
	for i := range 3 {
		s.Frame(5, func(p []byte, ts uint32, _ bool) {
			if ts != uint32(i)*960 || len(p) != 80 {
				t.Errorf("ts %d, %d bytes", ts, len(p))
			}
		})
	}
}

func TestStreamCountsLossOnceRepaired(t *testing.T) {
	var s Stream
	for _, q := range []uint16{65534, 65535, 1, 2, 3} {
		s.Add(q)
	}
	var miss [8]uint16
	if n := s.Missing(miss[:], 1); n != 1 || miss[0] != 0 || s.Lost() != 1 {
		t.Fatalf("%v, lost %d", miss[:n], s.Lost())
	}
	if !s.Add(0) || s.Add(0) || s.Lost() != 0 {
		t.Error("repair not counted once")
	}
}

func TestQuantiles(t *testing.T) {
	var h Histogram
	for i := 1; i <= 1000; i++ {
		h.Add(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond} {
		if got := h.Quantile(q); got < want || got > want*11/10 {
			t.Errorf("q%v = %v", q, got)
		}
	}
}

// TestEveryCodecReadsAsItself: a server must find keyframes where a source put them.
func TestEveryCodecReadsAsItself(t *testing.T) {
	for _, name := range Codecs {
		s := NewSource(SourceConfig{Codec: name, Bitrate: 1_000_000, FPS: 30, Seed: 3})
		for f := range 20 {
			if f == 10 {
				s.RequestKey()
			}
			first := true
			s.Frame(int64(f+1)*int64(s.Interval()), func(p []byte, _ uint32, _ bool) {
				want := first && (f == 0 || f == 10)
				if got := payload.Keyframe(payload.ByName(name), p); got != want {
					t.Errorf("%s frame %d first %v: keyframe %v", name, f, first, got)
				}
				if _, _, ok := readStamp(p); !ok {
					t.Errorf("%s frame %d: no stamp in % x", name, f, p[:24])
				}
				first = false
			})
		}
	}
}

// TestSampleCountsAll: what is opened for its latency and what is only counted
// by its header add up to every packet, once.
func TestSampleCountsAll(t *testing.T) {
	r := &runner{cfg: &Config{Sample: 7}}
	s := &subscriber{streams: map[uint32]*inStream{}, counted: true}
	if r.receiving(s).OnSealed == nil {
		t.Fatal("all would be opened")
	}
	opened := 0
	for n := range 700 {
		b := make([]byte, 60)
		b[0], b[1], b[2], b[3], b[11] = 0x80, 96, byte(n>>8), byte(n), 9
		for range 1 + n%2 { // every other twice
			if s.onSealed(5, b) {
				opened++
				s.onRTP(5, b)
			}
		}
	}
	if s.packets != 700 || s.streams[9].Lost() != 0 || opened < 140 || opened > 160 {
		t.Errorf("%d packets, %d lost, %d opened", s.packets, s.streams[9].Lost(), opened)
	}
	if (&runner{cfg: &Config{}}).receiving(s).OnSealed != nil {
		t.Error("without sampling a packet might stay closed")
	}
}

// TestRoomsAreFilledOneByOne: participant n of a kind belongs to the room of its turn.
func TestRoomsAreFilledOneByOne(t *testing.T) {
	c := Config{Room: "load", Rooms: 3}
	for n, want := range map[int]string{0: "load-1", 9: "load-1", 10: "load-2", 29: "load-3"} {
		if got := c.room(n, 10); got != want {
			t.Errorf("%d is in %s, want %s", n, got, want)
		}
	}
	if one := (&Config{Room: "load"}).room(5, 10); one != "load" {
		t.Error(one)
	}
}
