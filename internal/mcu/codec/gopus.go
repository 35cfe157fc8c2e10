package codec

import (
	"errors"
	"fmt"

	"github.com/thesyncim/gopus"
)

// gopusDecoder decodes Opus in pure Go to 48 kHz mono.
type gopusDecoder struct {
	d *gopus.Decoder
	f []float32 // scratch of Conceal
}

func newGopusDecoder() (Decoder, error) {
	d, err := gopus.NewDecoder(gopus.DefaultDecoderConfig(opusRate, 1))
	if err != nil {
		return nil, fmt.Errorf("gopus: %w", err)
	}
	return &gopusDecoder{d: d}, nil
}

// Rate implements [Decoder].
func (g *gopusDecoder) Rate() int { return opusRate }

// Close implements [Decoder].
func (g *gopusDecoder) Close() {}

// Samples implements [Decoder].
func (g *gopusDecoder) Samples(p []byte) int { return opusSamples(p) }

// Decode implements [Decoder].
func (g *gopusDecoder) Decode(p []byte, pcm []int16) (n int, err error) {
	want := opusSamples(p)
	if want == 0 {
		return 0, ErrCorrupt
	}
	if want > len(pcm) {
		return 0, ErrTooLong
	}
	return safely(func() (int, error) { return g.d.DecodeInt16(p, pcm) })
}

// Conceal implements [Decoder]: from the copy in the next packet if it has one,
// else by extrapolation. Opus wants multiples of 2.5 ms.
func (g *gopusDecoder) Conceal(next []byte, pcm []int16) {
	n, err := safely(func() (int, error) { return g.conceal(next, pcm[:len(pcm)/120*120]) })
	if err != nil {
		n = 0
	}
	clear(pcm[n:])
}

func (g *gopusDecoder) conceal(next []byte, pcm []int16) (int, error) {
	if opusSamples(next) == 0 {
		return g.d.DecodeInt16(nil, pcm)
	}
	if g.f == nil {
		g.f = make([]float32, opusRate/1000*MaxMillis)
	}
	f := g.f[:len(pcm)]
	n, err := g.d.DecodeWithFEC(next, f, true)
	if err != nil {
		return g.d.DecodeInt16(nil, pcm)
	}
	for i, v := range f[:n] {
		pcm[i] = int16(max(-32768, min(32767, v*32768)))
	}
	return n, nil
}

// gopusEncoder encodes 48 kHz mono in pure Go. Version 0.1.2 is sound in mono
// with settings that never change, which is how it is used here.
type gopusEncoder struct{ e *gopus.Encoder }

func newGopusEncoder(s Settings) (Encoder, error) {
	e, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: opusRate, Channels: 1, Application: gopus.ApplicationVoIP})
	if err != nil {
		return nil, fmt.Errorf("gopus: %w", err)
	}
	if err := errors.Join(e.SetBitrate(s.Bitrate), e.SetComplexity(complexity), e.SetPacketLoss(s.Loss)); err != nil {
		return nil, fmt.Errorf("gopus: %w", err)
	}
	e.SetFEC(s.FEC)
	e.SetDTX(s.DTX)
	return &gopusEncoder{e}, nil
}

// Rate implements [Encoder].
func (g *gopusEncoder) Rate() int { return opusRate }

// Name implements [Encoder].
func (g *gopusEncoder) Name() string { return "gopus" }

// Close implements [Encoder].
func (g *gopusEncoder) Close() {}

// Encode implements [Encoder].
func (g *gopusEncoder) Encode(pcm []int16, out []byte) (int, error) {
	n, err := g.e.EncodeInt16(pcm, out)
	if err == nil && n == 0 && len(out) > 0 {
		n, out[0] = 1, dtxTOC
	}
	return n, err
}
