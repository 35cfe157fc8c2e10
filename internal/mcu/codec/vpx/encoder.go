package vpx

import (
	"fmt"
	"runtime"
	"unsafe"

	"parley/internal/mcu/codec/cmem"
	"parley/internal/mcu/picture"
)

// Config of an encoder. Size and codec stay for its life.
type Config struct {
	VP9           bool
	Width, Height int
	Rate          int // bit/s
	FPS           int
	Speed         int // 0: 8, the fastest that keeps its rate
}

// Encoder makes one stream, real time, constant rate, one thread.
type Encoder struct {
	cfg            Config
	ctx, conf, img *cmem.Block
	iter           *cmem.Block
	out            []byte
	pts            uint64
}

// Offsets in vpx_codec_enc_cfg_t.
const (
	cThreads, cW, cH, cTimeNum, cTimeDen, cResilient, cPass, cLag = 4, 12, 16, 28, 32, 36, 40, 44
	cDrop, cResize, cEndUsage, cTarget, cMinQ, cMaxQ              = 48, 52, 72, 112, 116, 120
	cUnder, cOver, cBuf, cBufInit, cBufOpt                        = 124, 128, 132, 136, 140
	cKeyMode, cKeyMin, cKeyMax                                    = 160, 164, 168
)

// Controls (vp8cx.h).
const (
	setSpeed, setNoise, setStatic, setParts, setMaxIntra = 13, 15, 17, 18, 26
	setTiles, setAQ                                      = 33, 36
)

// NewEncoder makes an encoder; its first picture is a keyframe.
func NewEncoder(c Config) (*Encoder, error) {
	if err := Load(); err != nil {
		return nil, err
	}
	if c.Width < 16 || c.Height < 16 || (c.Width|c.Height)&1 != 0 || c.FPS < 1 {
		return nil, fmt.Errorf("vpx: %d × %d at %d cannot be encoded", c.Width, c.Height, c.FPS)
	}
	e := &Encoder{cfg: c}
	for _, b := range []struct {
		to **cmem.Block
		n  int
	}{{&e.ctx, ctxSize}, {&e.conf, cfgSize}, {&e.img, imgSize}, {&e.iter, 8}} {
		var err error
		if *b.to, err = cmem.Alloc(b.n); err != nil {
			e.free()
			return nil, err
		}
	}
	if err := e.init(); err != nil {
		e.free()
		return nil, err
	}
	return e, nil
}

func (e *Encoder) init() error {
	iface := lib.vp8e
	if e.cfg.VP9 {
		iface = lib.vp9e
	}
	i := iface.Call()
	if r := int32(lib.encDefault.Call(i, e.conf.Ptr(), 0)); r != 0 {
		return fmt.Errorf("vpx: no settings: %d", r)
	}
	k := e.conf
	k.SetI32(cThreads, 1)
	k.SetI32(cW, e.cfg.Width)
	k.SetI32(cH, e.cfg.Height)
	k.SetI32(cTimeNum, 1)
	k.SetI32(cTimeDen, 90000)
	k.SetI32(cResilient, 0)
	k.SetI32(cPass, 0)
	k.SetI32(cLag, 0)
	k.SetI32(cDrop, 30)
	k.SetI32(cResize, 0)
	k.SetI32(cEndUsage, 1) // constant rate
	k.SetI32(cTarget, max(1, e.cfg.Rate/1000))
	k.SetI32(cMinQ, 2)
	k.SetI32(cMaxQ, 56)
	k.SetI32(cUnder, 100)
	k.SetI32(cOver, 15)
	k.SetI32(cBuf, 1000)
	k.SetI32(cBufInit, 500)
	k.SetI32(cBufOpt, 600)
	k.SetI32(cKeyMode, 0) // keyframes only when asked for
	if err := initABI(lib.encInit, e.ctx, i, k.Ptr()); err != nil {
		return err
	}
	if lib.imgWrap.Call(e.img.Ptr(), i420, uintptr(e.cfg.Width), uintptr(e.cfg.Height), 1, e.conf.Ptr()) == 0 {
		return fmt.Errorf("vpx: no image")
	}
	speed := e.cfg.Speed
	if speed == 0 {
		speed = 8
	}
	// A keyframe may be as large as half the buffer, or one request would stop
	// the stream for a second.
	intra := 600 * e.cfg.FPS / 20
	if e.cfg.VP9 {
		e.ctl(setSpeed, speed)
		e.ctl(setTiles, 0)
		e.ctl(setAQ, 3)
	} else {
		e.ctl(setSpeed, -speed)
		e.ctl(setNoise, 0)
		e.ctl(setParts, 0)
		e.ctl(setStatic, 1)
	}
	e.ctl(setMaxIntra, intra)
	return nil
}

func (e *Encoder) ctl(id, v int) { lib.control.Call(e.ctx.Ptr(), uintptr(id), uintptr(v)) }

// SetRate changes the target, bit/s.
func (e *Encoder) SetRate(bps int) {
	e.conf.SetI32(cTarget, max(1, bps/1000))
	lib.configSet.Call(e.ctx.Ptr(), e.conf.Ptr())
}

// Encode takes one frame of the encoder's size, duration in 1/90000 s after the
// last one, and returns the coded picture until the next call; empty when rate
// control left it out.
func (e *Encoder) Encode(f *picture.Frame, duration uint32, key bool) (data []byte, isKey bool, err error) {
	if f.W != e.cfg.Width || f.H != e.cfg.Height {
		return nil, false, fmt.Errorf("vpx: frame of %d × %d for an encoder of %d × %d", f.W, f.H, e.cfg.Width, e.cfg.Height)
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	for i, p := range [][]byte{f.Y, f.U, f.V} {
		pin.Pin(&p[0])
		e.img.SetWord(imgPlanes+8*i, addr(p))
		s := f.CS
		if i == 0 {
			s = f.YS
		}
		e.img.SetI32(imgStrides+4*i, s)
	}
	flags := uintptr(0)
	if key {
		flags = 1 // VPX_EFLAG_FORCE_KF
	}
	duration = max(duration, 1)
	const realtime = 1
	r := int32(lib.encode.Call(e.ctx.Ptr(), e.img.Ptr(), uintptr(e.pts), uintptr(duration), flags, realtime))
	e.pts += uint64(duration)
	if r != 0 {
		return nil, false, fmt.Errorf("vpx: encoding failed with %d", r)
	}
	e.out = e.out[:0]
	e.iter.SetWord(0, 0)
	for {
		p := lib.getPacket.Call(e.ctx.Ptr(), e.iter.Ptr())
		if p == 0 {
			break
		}
		if cmem.I32(p) != 0 { // VPX_CODEC_CX_FRAME_PKT
			continue
		}
		e.out = append(e.out, cmem.Bytes(cmem.Word(p+8), int(cmem.Word(p+16)))...)
		isKey = isKey || cmem.I32(p+40)&1 != 0
	}
	return e.out, isKey, nil
}

func (e *Encoder) free() {
	for _, b := range []*cmem.Block{e.ctx, e.conf, e.img, e.iter} {
		b.Free()
	}
}

// Close frees the encoder.
func (e *Encoder) Close() {
	if e.ctx.Ptr() != 0 {
		lib.destroy.Call(e.ctx.Ptr())
	}
	e.free()
}

// addr is the address of memory that the caller has pinned.
func addr(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
