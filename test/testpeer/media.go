package testpeer

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// Script says what a publisher sends. Payloads are not pictures or sound: they
// have the headers that a forwarder reads, and a counter that a receiver can
// check.
type Script struct {
	// FrameRate of the video; PacketsPerFrame each of PacketBytes, the last two
	// one byte longer, as libwebrtc splits a frame. Zero rate: no video.
	FrameRate, PacketsPerFrame, PacketBytes int
	// Audio sends a 20 ms Opus packet of AudioBytes when not zero.
	AudioBytes int
	// VideoFile (VP8 in IVF) and AudioFile (Opus in Ogg, 20 ms a page) are sent
	// over and over instead of all above: real pictures and sound.
	VideoFile, AudioFile string
}

// DefaultScript is about 1.6 Mbit/s of VP8 and 32 kbit/s of Opus.
var DefaultScript = Script{FrameRate: 30, PacketsPerFrame: 6, PacketBytes: 1100, AudioBytes: 80}

var (
	vp8  = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	opus = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
)

// VP8 payload descriptor: X, S (start of partition), I with a 15-bit PictureID
// (RFC 7741, section 4.2); then the first byte of the VP8 frame header, whose
// low bit is 0 for a key frame (section 4.3).
func vp8Payload(frame uint16, start, key bool, counter uint64, size int) []byte {
	b := make([]byte, max(size, 22))
	b[0], b[1] = 0x80, 0x80
	if start {
		b[0] |= 0x10
	}
	binary.BigEndian.PutUint16(b[2:], frame|0x8000)
	b[4] = 1
	if start && key {
		b[4] = 0x10
		copy(b[7:], []byte{0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01}) // 640x360
	}
	binary.BigEndian.PutUint64(b[14:], counter)
	return b
}

// video sends frames until ctx ends; wantKey asks for a key frame.
func (s Script) video(ctx context.Context, track *webrtc.TrackLocalStaticRTP, wantKey *atomic.Bool, sent *atomic.Uint64) {
	tick := time.NewTicker(time.Second / time.Duration(s.FrameRate))
	defer tick.Stop()
	var seq uint16
	var counter uint64
	for frame := uint16(0); ; frame++ {
		key := frame == 0 || wantKey.Swap(false)
		for i := range s.PacketsPerFrame {
			size := s.PacketBytes
			if i >= s.PacketsPerFrame-2 {
				size++
			}
			p := &rtp.Packet{
				Header: rtp.Header{
					Version: 2, SequenceNumber: seq, Marker: i == s.PacketsPerFrame-1,
					Timestamp: uint32(frame) * uint32(90000/s.FrameRate),
				},
				Payload: vp8Payload(frame&0x7fff, i == 0, key, counter, size),
			}
			seq++
			counter++
			if track.WriteRTP(p) == nil {
				sent.Add(1)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s Script) audio(ctx context.Context, track *webrtc.TrackLocalStaticRTP, sent *atomic.Uint64) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := uint16(0); ; n++ {
		b := make([]byte, max(s.AudioBytes, 9))
		b[0] = 0x78 // TOC: CELT fullband, 20 ms, mono, one frame (RFC 6716, section 3.1)
		binary.BigEndian.PutUint64(b[1:], uint64(n))
		p := &rtp.Packet{
			Header:  rtp.Header{Version: 2, SequenceNumber: n, Timestamp: uint32(n) * 960, Marker: n == 0},
			Payload: b,
		}
		if track.WriteRTP(p) == nil {
			sent.Add(1)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
