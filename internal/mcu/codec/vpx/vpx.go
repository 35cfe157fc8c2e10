// Package vpx is VP8 and VP9 by libvpx, opened when it is installed. It is not
// containment: a crash in the library ends the process, so decoders of what
// strangers send run in a process of their own (videochild).
//
// A Decoder or Encoder belongs to one goroutine.
package vpx

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"parley/internal/mcu/codec/cmem"
	"parley/internal/mcu/codec/dlopen"
	"parley/internal/mcu/picture"
)

// Packages to install, by system, for the message of a refusal.
const Packages = "libvpx7 (Debian 12), libvpx9 (Debian 13, Ubuntu 24.04), libvpx (Fedora, Arch)"

var lib struct {
	once sync.Once
	err  error
	vp8d, vp9d, vp8e, vp9e,
	decInit, decode, getFrame, destroy,
	encDefault, encInit, encode, getPacket, configSet, control, imgWrap dlopen.Func
}

// Load opens the library; the error says what is missing.
func Load() error {
	lib.once.Do(func() {
		var l *dlopen.Lib
		if l, lib.err = dlopen.Open("libvpx.so.7", "libvpx.so.9", "libvpx.so.11", "libvpx.so.12", "libvpx.so.8", "libvpx.so.10", "libvpx.so.6"); lib.err != nil {
			return
		}
		lib.err = l.Load(map[string]*dlopen.Func{
			"vpx_codec_vp8_dx": &lib.vp8d, "vpx_codec_vp9_dx": &lib.vp9d,
			"vpx_codec_vp8_cx": &lib.vp8e, "vpx_codec_vp9_cx": &lib.vp9e,
			"vpx_codec_dec_init_ver": &lib.decInit, "vpx_codec_decode": &lib.decode,
			"vpx_codec_get_frame": &lib.getFrame, "vpx_codec_destroy": &lib.destroy,
			"vpx_codec_enc_config_default": &lib.encDefault, "vpx_codec_enc_init_ver": &lib.encInit,
			"vpx_codec_encode": &lib.encode, "vpx_codec_get_cx_data": &lib.getPacket,
			"vpx_codec_enc_config_set": &lib.configSet, "vpx_codec_control_": &lib.control,
			"vpx_img_wrap": &lib.imgWrap,
		})
	})
	return lib.err
}

// Structures of libvpx, equal in 1.12, 1.15 and 1.17 on 64-bit systems; the
// blocks are larger than these to be safe against what later ones append.
const (
	ctxSize = 56 + 72
	cfgSize = 504 + 520
	imgSize = 136 + 120

	abiMismatch = 3 // VPX_CODEC_ABI_MISMATCH
	i420        = 0x102

	imgFmt, imgDW, imgDH, imgDepth = 0, 24, 28, 20
	imgPlanes, imgStrides          = 48, 80
)

// initABI calls an init function with ABI numbers downwards until it is content:
// the number changes though the structures we use do not.
func initABI(init dlopen.Func, ctx *cmem.Block, iface, cfg uintptr) error {
	for abi := 64; abi > 0; abi-- {
		r := int32(init.Call(ctx.Ptr(), iface, cfg, 0, uintptr(abi)))
		if r == 0 {
			return nil
		}
		if r != abiMismatch {
			return fmt.Errorf("vpx: init failed with %d", r)
		}
	}
	return fmt.Errorf("vpx: no binary interface of this library is known")
}

// Decoder decodes one stream.
type Decoder struct {
	ctx, iter *cmem.Block
	frame     picture.Frame
}

// NewDecoder makes a decoder of VP8, or of VP9.
func NewDecoder(vp9 bool) (*Decoder, error) {
	if err := Load(); err != nil {
		return nil, err
	}
	d := &Decoder{}
	var err error
	if d.ctx, err = cmem.Alloc(ctxSize); err != nil {
		return nil, err
	}
	if d.iter, err = cmem.Alloc(8); err != nil {
		d.ctx.Free()
		return nil, err
	}
	iface := lib.vp8d
	if vp9 {
		iface = lib.vp9d
	}
	cfg, err := cmem.Alloc(12 + 52) // threads, w, h: one thread, sizes from the stream
	if err == nil {
		cfg.SetI32(0, 1)
		err = initABI(lib.decInit, d.ctx, iface.Call(), cfg.Ptr())
		cfg.Free()
	}
	if err != nil {
		d.ctx.Free()
		d.iter.Free()
		return nil, err
	}
	return d, nil
}

// Decode takes one coded picture. The frame, nil if none is to be shown, points
// into memory of the library until the next call.
func (d *Decoder) Decode(data []byte) (*picture.Frame, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if r := int32(lib.decode.Call(d.ctx.Ptr(), uintptr(unsafe.Pointer(&data[0])), uintptr(uint32(len(data))), 0, 0)); r != 0 {
		return nil, fmt.Errorf("vpx: decoding failed with %d", r)
	}
	runtime.KeepAlive(data)
	d.iter.SetWord(0, 0)
	var last uintptr
	for {
		img := lib.getFrame.Call(d.ctx.Ptr(), d.iter.Ptr())
		if img == 0 {
			break
		}
		last = img // spatial layers: the largest comes last
	}
	if last == 0 {
		return nil, nil
	}
	return d.view(last)
}

func (d *Decoder) view(img uintptr) (*picture.Frame, error) {
	if f := cmem.I32(img + imgFmt); f != i420 {
		return nil, fmt.Errorf("vpx: picture format %#x is not taken", f)
	}
	w, h := cmem.I32(img+imgDW), cmem.I32(img+imgDH)
	if w < 2 || h < 2 || w > 1<<14 || h > 1<<14 {
		return nil, fmt.Errorf("vpx: picture of %d × %d", w, h)
	}
	w, h = w&^1, h&^1
	ys, cs := cmem.I32(img+imgStrides), cmem.I32(img+imgStrides+4)
	if ys < w || cs < w/2 {
		return nil, fmt.Errorf("vpx: picture layout is not taken")
	}
	d.frame = picture.Frame{
		W: w, H: h, YS: ys, CS: cs,
		Y: cmem.Bytes(cmem.Word(img+imgPlanes), (h-1)*ys+w),
		U: cmem.Bytes(cmem.Word(img+imgPlanes+8), (h/2-1)*cs+w/2),
		V: cmem.Bytes(cmem.Word(img+imgPlanes+16), (h/2-1)*cs+w/2),
	}
	return &d.frame, nil
}

// Close frees the decoder.
func (d *Decoder) Close() {
	if d.ctx.Ptr() != 0 {
		lib.destroy.Call(d.ctx.Ptr())
	}
	d.ctx.Free()
	d.iter.Free()
}
