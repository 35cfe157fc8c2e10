package codec

import (
	"strings"

	"parley/internal/base/fault"
	"parley/internal/media/plane"
)

// Options choose implementations; the zero value is what the server uses.
type Options struct {
	NoNative     bool // as if no library were installed
	NativeDecode bool // decode Opus by libopus: for tests that compare
}

// Library makes decoders and encoders by codec name.
type Library struct {
	opts Options
	opus *libopus // nil: not installed
}

// Open looks for native libraries. It never fails: everything works without.
func Open(o Options) *Library {
	l := &Library{opts: o}
	if !o.NoNative {
		l.opus, _ = openLibopus()
	}
	return l
}

// Names says which implementations encode, for logs: "libopus 1.3.1".
func (l *Library) Names() string {
	if l.opus != nil {
		return l.opus.version
	}
	return "gopus"
}

// Can tells whether a codec can be decoded and encoded.
func (l *Library) Can(c plane.Codec) error {
	switch strings.ToLower(c.Name) {
	case "opus", "pcmu", "pcma", "g722":
		return nil
	}
	return fault.New(503, "codec-missing", "audio codec %q cannot be mixed", c.Name)
}

// Decoder makes a decoder for a codec.
func (l *Library) Decoder(c plane.Codec) (Decoder, error) {
	switch strings.ToLower(c.Name) {
	case "opus":
		if l.opus != nil && l.opts.NativeDecode {
			return l.opus.decoder()
		}
		return newGopusDecoder()
	case "pcmu":
		return newG711(&ulaw), nil
	case "pcma":
		return newG711(&alaw), nil
	case "g722":
		return newG722Decoder(), nil
	}
	return nil, l.Can(c)
}

// Encoder makes an encoder for a codec.
func (l *Library) Encoder(c plane.Codec, s Settings) (Encoder, error) {
	if s.Bitrate == 0 {
		s.Bitrate = DefaultBitrate
	}
	switch strings.ToLower(c.Name) {
	case "opus":
		if l.opus != nil {
			return l.opus.encoder(s)
		}
		return newGopusEncoder(s)
	case "pcmu":
		return newG711(&ulaw), nil
	case "pcma":
		return newG711(&alaw), nil
	case "g722":
		return newG722Encoder(), nil
	}
	return nil, l.Can(c)
}
