package load

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// stampMagic marks a payload of ours; the number and the send time follow it.
const stampMagic = 0x504c5931 // "PLY1"

// stampLen is magic, packet number and send time.
const stampLen = 4 + 8 + 8

// maxPayload keeps a packet with its extensions and SRTP tag below 1,200 bytes of UDP payload.
const maxPayload = 1100

// SourceConfig describes one synthetic stream.
type SourceConfig struct {
	Audio   bool
	Codec   string        // "opus", or a key of framing; decides the first bytes of the payload
	Bitrate int           // bit/s of payload
	FPS     int           // frames a second (audio: 50)
	Width   int           // of pictures that tell it (VP8's); 0: 640
	KeyInt  time.Duration // between keyframes that nobody asked for
	Seed    uint64        // of the frame sizes
}

// Source makes the payloads of one stream, frame by frame: sizes vary as an
// encoder's do, a frame is split into packets of n, n, n+1 bytes as libwebrtc
// splits it, and every packet is stamped. Not safe for concurrent use.
type Source struct {
	cfg     SourceConfig
	rng     *rand.Rand
	frame   uint64
	number  uint64
	lastKey int64 // ns
	wantKey bool
	picID   uint16
	buf     [maxPayload + 64]byte
}

// NewSource returns a source whose first frame is a keyframe.
func NewSource(c SourceConfig) *Source {
	if c.Audio {
		c.FPS = 50
	}
	if c.Width == 0 {
		c.Width = 640
	}
	if c.KeyInt == 0 {
		c.KeyInt = 10 * time.Second
	}
	return &Source{cfg: c, rng: rand.New(rand.NewPCG(c.Seed, 7)), wantKey: true}
}

// Interval is the time between frames.
func (s *Source) Interval() time.Duration { return time.Second / time.Duration(s.cfg.FPS) }

// Timestamp is the RTP timestamp of the next frame.
func (s *Source) Timestamp() uint32 {
	rate := uint64(90000)
	if s.cfg.Audio {
		rate = 48000
	}
	return uint32(s.frame * rate / uint64(s.cfg.FPS))
}

// RequestKey makes the next frame a keyframe (PLI, FIR).
func (s *Source) RequestKey() { s.wantKey = true }

// Frame emits the packets of the next frame; now is on the clock that the
// receiving [Sink] uses, in nanoseconds. payload is valid during the call only.
func (s *Source) Frame(now int64, emit func(payload []byte, ts uint32, marker bool)) {
	ts := s.Timestamp()
	size := s.frameSize(now)
	s.frame++
	s.picID = (s.picID + 1) & 0x7fff
	if s.cfg.Audio {
		emit(s.fill(0xfc, nil, max(size, stampLen+1), now), ts, false)
		return
	}
	key := s.wantKey || now-s.lastKey >= int64(s.cfg.KeyInt)
	if key {
		s.wantKey, s.lastKey = false, now
		size *= 4
	}
	n := (size + maxPayload - 1) / maxPayload
	each, extra := size/n, size%n
	for i := range n {
		l := each
		if i >= n-extra {
			l++
		}
		at := place{first: i == 0, last: i == n-1, key: key, pic: s.picID, width: s.cfg.Width}
		emit(s.fill(0, framing[s.cfg.Codec](at), max(l, 48), now), ts, at.last)
	}
}

// frameSize varies by a fifth around the mean, so that runs are not all equal.
func (s *Source) frameSize(int64) int {
	mean := s.cfg.Bitrate / 8 / s.cfg.FPS
	if s.cfg.Audio {
		return mean
	}
	return max(mean*9/10+s.rng.IntN(max(mean/5, 1)), 60)
}

// fill writes head (or the one byte toc), the stamp and padding up to size.
func (s *Source) fill(toc byte, head []byte, size int, now int64) []byte {
	b := s.buf[:0]
	if head == nil {
		b = append(b, toc)
	}
	b = append(b, head...)
	b = binary.BigEndian.AppendUint32(b, stampMagic)
	b = binary.BigEndian.AppendUint64(b, s.number)
	b = binary.BigEndian.AppendUint64(b, uint64(now))
	s.number++
	if size > len(b) {
		b = s.buf[:min(size, len(s.buf))]
	}
	return b
}

// readStamp finds the stamp in a received payload.
func readStamp(p []byte) (number uint64, sent int64, ok bool) {
	for off := 1; off <= 18 && off+stampLen <= len(p); off++ {
		if binary.BigEndian.Uint32(p[off:]) == stampMagic {
			return binary.BigEndian.Uint64(p[off+4:]), int64(binary.BigEndian.Uint64(p[off+12:])), true
		}
	}
	return 0, 0, false
}
