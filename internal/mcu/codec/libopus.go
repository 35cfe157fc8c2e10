package codec

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"parley/internal/mcu/codec/dlopen"
)

// libopus is the C library, version 1.1 or later (libopus.so.0).
type libopus struct {
	version                            string
	newEnc, encode, encCtl, freeEnc    dlopen.Func
	newDec, decode, freeDec, versionOf dlopen.Func
}

// Requests of opus_encoder_ctl and applications (opus_defines.h, part of the ABI).
const (
	opusVoIP          = 2048
	opusSetBitrate    = 4002
	opusSetComplexity = 4010
	opusSetInbandFEC  = 4012
	opusSetLoss       = 4014
	opusSetDTX        = 4016
)

var openLibopus = sync.OnceValues(func() (*libopus, error) {
	lib, err := dlopen.Open("libopus.so.0")
	if err != nil {
		return nil, err
	}
	o := &libopus{}
	err = lib.Load(map[string]*dlopen.Func{
		"opus_encoder_create": &o.newEnc, "opus_encode": &o.encode, "opus_encoder_ctl": &o.encCtl, "opus_encoder_destroy": &o.freeEnc,
		"opus_decoder_create": &o.newDec, "opus_decode": &o.decode, "opus_decoder_destroy": &o.freeDec,
		"opus_get_version_string": &o.versionOf,
	})
	if err != nil {
		return nil, err
	}
	o.version = dlopen.String(o.versionOf.Call())
	return o, nil
})

// libopusEncoder is an OpusEncoder of the library; C owns its memory.
type libopusEncoder struct {
	o  *libopus
	st uintptr
}

func (o *libopus) encoder(s Settings) (Encoder, error) {
	code := new(int32)
	st := o.newEnc.Call(opusRate, 1, opusVoIP, uintptr(unsafe.Pointer(code)))
	if st == 0 || *code != 0 {
		return nil, fmt.Errorf("libopus: no encoder: %d", *code)
	}
	e := &libopusEncoder{o, st}
	for _, c := range [][2]int{
		{opusSetBitrate, s.Bitrate}, {opusSetComplexity, complexity}, {opusSetInbandFEC, flag(s.FEC)},
		{opusSetLoss, s.Loss}, {opusSetDTX, flag(s.DTX)},
	} {
		if r := int32(o.encCtl.Call(st, uintptr(c[0]), uintptr(c[1]))); r != 0 {
			e.Close()
			return nil, fmt.Errorf("libopus: ctl %d: %d", c[0], r)
		}
	}
	return e, nil
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Rate implements [Encoder].
func (e *libopusEncoder) Rate() int { return opusRate }

// Name implements [Encoder].
func (e *libopusEncoder) Name() string { return "libopus" }

// Close implements [Encoder].
func (e *libopusEncoder) Close() {
	if e.st != 0 {
		e.o.freeEnc.Call(e.st)
		e.st = 0
	}
}

// Encode implements [Encoder].
func (e *libopusEncoder) Encode(pcm []int16, out []byte) (int, error) {
	if len(pcm) == 0 || len(out) == 0 || e.st == 0 {
		return 0, ErrTooLong
	}
	n := int32(e.o.encode.Call(e.st, uintptr(unsafe.Pointer(&pcm[0])), uintptr(len(pcm)), uintptr(unsafe.Pointer(&out[0])), uintptr(len(out))))
	runtime.KeepAlive(e)
	if n <= 0 {
		return 0, fmt.Errorf("libopus: encode: %d", n)
	}
	return int(n), nil
}

// libopusDecoder is the library's decoder. The server does not use it for
// strangers' packets; tests compare with it.
type libopusDecoder struct {
	o  *libopus
	st uintptr
}

func (o *libopus) decoder() (Decoder, error) {
	code := new(int32)
	st := o.newDec.Call(opusRate, 1, uintptr(unsafe.Pointer(code)))
	if st == 0 || *code != 0 {
		return nil, fmt.Errorf("libopus: no decoder: %d", *code)
	}
	return &libopusDecoder{o, st}, nil
}

// Rate implements [Decoder].
func (d *libopusDecoder) Rate() int { return opusRate }

// Close implements [Decoder].
func (d *libopusDecoder) Close() {
	if d.st != 0 {
		d.o.freeDec.Call(d.st)
		d.st = 0
	}
}

// Samples implements [Decoder].
func (d *libopusDecoder) Samples(p []byte) int { return opusSamples(p) }

// Decode implements [Decoder].
func (d *libopusDecoder) Decode(p []byte, pcm []int16) (int, error) {
	if n := opusSamples(p); n == 0 || n > len(pcm) || d.st == 0 {
		return 0, ErrCorrupt
	}
	n := int32(d.o.decode.Call(d.st, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), uintptr(unsafe.Pointer(&pcm[0])), uintptr(len(pcm)), 0))
	if n < 0 {
		return 0, fmt.Errorf("%w: libopus %d", ErrCorrupt, n)
	}
	return int(n), nil
}

// Conceal implements [Decoder].
func (d *libopusDecoder) Conceal(next []byte, pcm []int16) {
	n := int32(0)
	if want := uintptr(len(pcm) / 120 * 120); want > 0 && d.st != 0 {
		if opusSamples(next) > 0 {
			n = int32(d.o.decode.Call(d.st, uintptr(unsafe.Pointer(&next[0])), uintptr(len(next)), uintptr(unsafe.Pointer(&pcm[0])), want, 1))
		} else {
			n = int32(d.o.decode.Call(d.st, 0, 0, uintptr(unsafe.Pointer(&pcm[0])), want, 0))
		}
	}
	clear(pcm[max(n, 0):])
}
