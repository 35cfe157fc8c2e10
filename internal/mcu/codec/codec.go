// Package codec is how the mixer decodes and encodes audio: one Decoder and one
// Encoder interface over Opus (libopus where it is installed, else gopus), G.711
// and G.722 (our own), with concealment and comfort noise. Video codecs have
// packages of their own below this one. All audio is mono, 16 bit.
//
// What strangers send is decoded by memory-safe code only (ADR 10): native
// libraries encode.
//
// Threading: a Decoder or Encoder belongs to one goroutine; Library is safe for
// concurrent use.
package codec

import "errors"

const (
	// MaxPayload is the largest payload that is decoded; no audio frame that fits
	// a packet is larger, and checking it first bounds what a decoder may be asked.
	MaxPayload = 1500
	// MaxMillis is the longest packet that is decoded: the longest of Opus (RFC
	// 6716, section 2.1.4), and more than any sensible one of the others.
	MaxMillis = 120
)

// Errors of decoders. The caller conceals.
var (
	ErrTooLong = errors.New("codec: packet too long")
	ErrCorrupt = errors.New("codec: corrupt packet")
)

// Decoder turns payloads into samples.
type Decoder interface {
	// Rate is the sampling rate of the output, Hz.
	Rate() int
	// Samples tells how many samples a payload holds without decoding it, 0 if
	// it is not valid.
	Samples(payload []byte) int
	// Decode fills pcm, which has room for MaxMillis, and returns how many samples.
	Decode(payload []byte, pcm []int16) (int, error)
	// Conceal fills pcm for a lost packet of that length; next is the payload
	// after it if it has already come (it may hold a copy: RFC 6716, section
	// 2.1.7), else nil.
	Conceal(next []byte, pcm []int16)
	Close()
}

// Encoder turns 20 ms frames into payloads. Its settings never change: some
// encoders glitch when they do.
type Encoder interface {
	Rate() int
	// Encode writes the payload of one frame of Rate/50 samples and returns its length.
	Encode(pcm []int16, out []byte) (int, error)
	// Name is the implementation: "libopus", "gopus", "g711", "g722".
	Name() string
	Close()
}

// Settings of an encoder; G.711 and G.722 have none.
type Settings struct {
	Bitrate int  // bit/s, 0: 32,000
	FEC     bool // in-band copies for a receiver that loses packets; dear
	Loss    int  // percent expected, with FEC
	DTX     bool // one byte while there is silence
}

// DefaultBitrate is what speech in mono needs to be clear at full band.
const DefaultBitrate = 32000
