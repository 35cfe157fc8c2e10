// Package videocodec chooses the implementation of a video codec: libvpx for VP8
// and VP9, libopenh264 for H.264, libdav1d for AV1, which is only decoded. What is not installed is refused with the
// names of the packages.
//
// Decoders of what strangers send are made in decoder processes only (package
// videochild). A Decoder or Encoder belongs to one goroutine.
package videocodec

import (
	"parley/internal/base/fault"
	"parley/internal/mcu/codec/dav1d"
	"parley/internal/mcu/codec/openh264"
	"parley/internal/mcu/codec/vpx"
	"parley/internal/mcu/picture"
	"parley/internal/media/payload"
)

// Decoder decodes one stream.
type Decoder interface {
	// Decode takes one picture as payload.Unit has it and returns the frame to
	// show, if any, in memory of its own until the next call.
	Decode(unit []byte) (*picture.Frame, error)
	Close()
}

// Encoder makes one stream of one size.
type Encoder interface {
	// Encode takes a frame, duration in 1/90000 s after the one before; data is
	// valid until the next call and empty when rate control left the frame out.
	Encode(f *picture.Frame, duration uint32, key bool) (data []byte, isKey bool, err error)
	SetRate(bps int)
	Close()
}

// Settings of an encoder.
type Settings struct {
	Codec         payload.Codec
	Width, Height int
	Rate, FPS     int
	MaxNAL        int // H.264 with packetization-mode 0
}

// Name is the library that does a codec, for statistics.
func Name(c payload.Codec) string {
	switch c {
	case payload.VP8, payload.VP9:
		return "libvpx"
	case payload.H264:
		return "libopenh264"
	}
	return ""
}

func missing(what, packages string) error {
	return fault.New(503, "codec-missing", "%s needs a library that is not installed: %s", what, packages)
}

// CanDecode tells whether a codec can be decoded; a 503 codec-missing names packages.
func CanDecode(c payload.Codec) error {
	if c == payload.AV1 {
		if dav1d.Load() != nil {
			return missing("decoding AV1 video", dav1d.Packages)
		}
		return nil
	}
	return can(c)
}

// CanEncode tells whether a codec can be encoded.
func CanEncode(c payload.Codec) error { return can(c) }

func can(c payload.Codec) error {
	switch c {
	case payload.VP8, payload.VP9:
		if vpx.Load() != nil {
			return missing("mixing VP8 and VP9 video", vpx.Packages)
		}
		return nil
	case payload.H264:
		if openh264.Load() != nil {
			return missing("mixing H.264 video", openh264.Packages)
		}
		return nil
	}
	return fault.New(503, "codec-missing", "this video codec cannot be made by the mixer; VP8, VP9 and H.264 can")
}

// NewDecoder makes a decoder.
func NewDecoder(c payload.Codec) (Decoder, error) {
	if err := CanDecode(c); err != nil {
		return nil, err
	}
	switch c {
	case payload.H264:
		return openh264.NewDecoder()
	case payload.AV1:
		return dav1d.NewDecoder()
	}
	return vpx.NewDecoder(c == payload.VP9)
}

// NewEncoder makes an encoder.
func NewEncoder(s Settings) (Encoder, error) {
	if err := CanEncode(s.Codec); err != nil {
		return nil, err
	}
	if s.Codec == payload.H264 {
		return openh264.NewEncoder(openh264.Config{Width: s.Width, Height: s.Height, Rate: s.Rate, FPS: s.FPS, MaxNAL: s.MaxNAL})
	}
	return vpx.NewEncoder(vpx.Config{VP9: s.Codec == payload.VP9, Width: s.Width, Height: s.Height, Rate: s.Rate, FPS: s.FPS})
}
