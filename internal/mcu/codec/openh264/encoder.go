package openh264

import (
	"fmt"
	"runtime"
	"unsafe"

	"parley/internal/mcu/codec/cmem"
	"parley/internal/mcu/picture"
)

// Config of an encoder. The size stays for its life.
type Config struct {
	Width, Height int
	Rate          int // bit/s
	FPS           int
	// MaxNAL cuts slices so that none is larger: for receivers that take only
	// whole NAL units (packetization-mode 0). 0: one slice a picture.
	MaxNAL int
}

// Encoder makes one stream: constrained baseline, low complexity, one thread.
type Encoder struct {
	cfg                    Config
	obj                    uintptr
	param, pic, info, rate *cmem.Block
	out                    []byte
	ms                     float64
	begun                  bool
}

// Entries of ISVCEncoder and options.
const (
	encInitializeExt, encDefaults, encUninitialize, encEncode, encForceIntra, encSetOption = 1, 2, 3, 4, 6, 7

	optBitrate, optMaxBitrate, optEncTrace = 5, 6, 25
)

// Offsets in SEncParamExt and SSpatialLayerConfig.
const (
	pUsage, pW, pH, pRate, pRC, pFPS, pTemporal, pSpatial, pLayers          = 0, 4, 8, 12, 16, 20, 24, 28, 32
	lW, lH, lFPS, lRate, lMaxRate, lProfile, lSliceMode, lSliceSize         = 0, 4, 8, 12, 16, 20, 32, 180
	pComplexity, pIntra, pStrategy, pSkip, pMaxRate, pMaxQ, pMinQ, pNalSize = 832, 836, 844, 860, 864, 868, 872, 876
	pThreads, pDenoise, pBackground, pAdaptive, pScene                      = 892, 908, 909, 910, 912
)

// NewEncoder makes an encoder; its first picture is a keyframe.
func NewEncoder(c Config) (*Encoder, error) {
	if err := Load(); err != nil {
		return nil, err
	}
	if c.Width < 16 || c.Height < 16 || (c.Width|c.Height)&1 != 0 || c.FPS < 1 {
		return nil, fmt.Errorf("openh264: %d × %d at %d cannot be encoded", c.Width, c.Height, c.FPS)
	}
	e := &Encoder{cfg: c}
	for _, b := range []struct {
		to **cmem.Block
		n  int
	}{{&e.param, 1200}, {&e.pic, 128}, {&e.info, 8 + 128*lib.layer + 64}, {&e.rate, 16}} {
		var err error
		if *b.to, err = cmem.Alloc(b.n); err != nil {
			e.free()
			return nil, err
		}
	}
	if err := e.init(); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *Encoder) init() error {
	if r := int32(lib.newEnc.Call(e.rate.Ptr())); r != 0 || e.rate.Word(0) == 0 {
		return fmt.Errorf("openh264: no encoder: %d", r)
	}
	e.obj = e.rate.Word(0)
	e.rate.SetI32(0, 0) // quiet
	method(e.obj, encSetOption, optEncTrace, e.rate.Ptr())
	p := e.param
	if r := method(e.obj, encDefaults, p.Ptr()); r != 0 {
		return fmt.Errorf("openh264: no settings: %d", r)
	}
	p.SetI32(pUsage, 0) // camera, real time
	p.SetI32(pW, e.cfg.Width)
	p.SetI32(pH, e.cfg.Height)
	p.SetI32(pRate, e.cfg.Rate)
	p.SetI32(pRC, 1) // bitrate mode
	p.SetF32(pFPS, float32(e.cfg.FPS))
	p.SetI32(pTemporal, 1)
	p.SetI32(pSpatial, 1)
	p.SetI32(pLayers+lW, e.cfg.Width)
	p.SetI32(pLayers+lH, e.cfg.Height)
	p.SetF32(pLayers+lFPS, float32(e.cfg.FPS))
	p.SetI32(pLayers+lRate, e.cfg.Rate)
	p.SetI32(pLayers+lMaxRate, e.cfg.Rate*3/2)
	p.SetI32(pLayers+lProfile, 66)
	p.SetI32(pMaxRate, e.cfg.Rate*3/2)
	p.SetI32(pLayers+lSliceMode, 0)
	if e.cfg.MaxNAL > 0 {
		p.SetI32(pLayers+lSliceMode, 3)
		p.SetI32(pLayers+lSliceSize, e.cfg.MaxNAL)
		p.SetI32(pNalSize, e.cfg.MaxNAL)
	}
	p.SetI32(pComplexity, 0)
	p.SetI32(pIntra, 0) // keyframes only when asked for
	p.SetI32(pStrategy, 0)
	p.B[pSkip] = 1 // or it warns that it cannot hold the rate, and does not
	p.B[pThreads], p.B[pThreads+1] = 1, 0
	p.B[pDenoise], p.B[pScene] = 0, 0
	if r := method(e.obj, encInitializeExt, p.Ptr()); r != 0 {
		return fmt.Errorf("openh264: init failed with %d", r)
	}
	return nil
}

// SetRate changes the target, bit/s.
func (e *Encoder) SetRate(bps int) {
	set := func(opt uintptr, v int) {
		e.rate.SetI32(0, 4) // all layers
		e.rate.SetI32(4, v)
		method(e.obj, encSetOption, opt, e.rate.Ptr())
	}
	// The maximum never lies below the target, not even between the two calls.
	if bps > e.cfg.Rate {
		set(optMaxBitrate, bps*3/2)
		set(optBitrate, bps)
	} else {
		set(optBitrate, bps)
		set(optMaxBitrate, bps*3/2)
	}
	e.cfg.Rate = bps
}

// Encode takes one frame of the encoder's size, duration in 1/90000 s after the
// last one, and returns the coded picture (Annex B) until the next call; empty
// when rate control left it out.
func (e *Encoder) Encode(f *picture.Frame, duration uint32, key bool) (data []byte, isKey bool, err error) {
	if f.W != e.cfg.Width || f.H != e.cfg.Height {
		return nil, false, fmt.Errorf("openh264: frame of %d × %d for an encoder of %d × %d", f.W, f.H, e.cfg.Width, e.cfg.Height)
	}
	if key && e.begun {
		method(e.obj, encForceIntra, 1)
	}
	e.begun = true
	const yuv420 = 23
	var pin runtime.Pinner
	defer pin.Unpin()
	e.pic.SetI32(0, yuv420)
	for i, p := range [][]byte{f.Y, f.U, f.V} {
		pin.Pin(&p[0])
		e.pic.SetWord(24+8*i, addr(p))
		s := f.CS
		if i == 0 {
			s = f.YS
		}
		e.pic.SetI32(4+4*i, s)
	}
	e.pic.SetI32(56, f.W)
	e.pic.SetI32(60, f.H)
	e.ms += float64(duration) / 90
	e.pic.SetWord(64, uintptr(uint64(e.ms)))
	if r := method(e.obj, encEncode, e.pic.Ptr(), e.info.Ptr()); r != 0 {
		return nil, false, fmt.Errorf("openh264: encoding failed with %d", r)
	}
	e.out = e.out[:0]
	const idr, skip = 1, 4
	switch kind := e.info.I32(8 + 128*lib.layer); kind {
	case skip, 0:
		return e.out, false, nil
	default:
		e.collect()
		return e.out, kind == idr, nil
	}
}

// collect joins the layers (parameter sets are one of their own).
func (e *Encoder) collect() {
	for i := range min(e.info.I32(0), 128) {
		at := 8 + i*lib.layer
		n, lengths, size := e.info.I32(at+16), e.info.Word(at+24), 0
		for k := range n {
			size += cmem.I32(lengths + uintptr(4*k))
		}
		e.out = append(e.out, cmem.Bytes(e.info.Word(at+32), size)...)
	}
}

func (e *Encoder) free() {
	for _, b := range []*cmem.Block{e.param, e.pic, e.info, e.rate} {
		b.Free()
	}
}

// Close frees the encoder.
func (e *Encoder) Close() {
	if e.obj != 0 {
		method(e.obj, encUninitialize)
		lib.freeEnc.Call(e.obj)
		e.obj = 0
	}
	e.free()
}

// addr is the address of memory that the caller has pinned.
func addr(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
