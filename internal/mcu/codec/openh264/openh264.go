// Package openh264 is H.264 (constrained baseline and what the library takes
// beyond it) by libopenh264, opened when it is installed. It is not containment:
// decoders of what strangers send run in a process of their own (videochild).
//
// Patents: Cisco's licence covers only binaries that Cisco distributes; Debian's
// package libopenh264-cisco7 fetches such a one. VP8 is the default everywhere.
//
// A Decoder or Encoder belongs to one goroutine.
package openh264

import (
	"fmt"
	"sync"
	"unsafe"

	"parley/internal/mcu/codec/cmem"
	"parley/internal/mcu/codec/dlopen"
	"parley/internal/mcu/picture"
)

// Packages to install, by system, for the message of a refusal.
const Packages = "libopenh264-7 (Debian 12), libopenh264-8 (Debian 13), openh264 (Fedora, Arch)"

var lib struct {
	once                                   sync.Once
	err                                    error
	newDec, freeDec, newEnc, freeEnc, vers dlopen.Func
	layer                                  int // bytes of an SLayerBSInfo
}

// Load opens the library; the error says what is missing.
func Load() error {
	lib.once.Do(func() { lib.err = load() })
	return lib.err
}

func load() error {
	l, err := dlopen.Open("libopenh264.so.7", "libopenh264.so.8", "libopenh264.so.6", "libopenh264.so.2.6.0", "libopenh264.so")
	if err != nil {
		return err
	}
	err = l.Load(map[string]*dlopen.Func{
		"WelsCreateDecoder": &lib.newDec, "WelsDestroyDecoder": &lib.freeDec,
		"WelsCreateSVCEncoder": &lib.newEnc, "WelsDestroySVCEncoder": &lib.freeEnc,
		"WelsGetCodecVersionEx": &lib.vers,
	})
	if err != nil {
		return err
	}
	v, err := cmem.Alloc(64)
	if err != nil {
		return err
	}
	defer v.Free()
	lib.vers.Call(v.Ptr())
	major, minor := v.I32(0), v.I32(4)
	if major != 2 {
		return fmt.Errorf("openh264: version %d.%d is not known", major, minor)
	}
	// 2.6 appended float rPsnr[3] to SLayerBSInfo, of which SFrameBSInfo holds
	// 128: the one change that moves what we read. What it appended to parameters
	// and pictures lies in memory that is larger than they and zero.
	lib.layer = 40
	if minor >= 6 {
		lib.layer = 56
	}
	return nil
}

// method calls entry n of an object's function table.
func method(obj uintptr, n int, args ...uintptr) int32 {
	f := dlopen.Func(cmem.Word(cmem.Word(obj) + uintptr(8*n)))
	var a [5]uintptr
	a[0] = obj
	copy(a[1:], args)
	return int32(f.Call(a[:1+len(args)]...))
}

// Entries of ISVCDecoder.
const (
	decInitialize, decUninitialize, decNoDelay, decSetOption = 0, 1, 3, 8
	optDecTrace                                              = 9
)

// Decoder decodes one stream.
type Decoder struct {
	obj        uintptr
	info, dst  *cmem.Block
	frame      picture.Frame
	paramBlock *cmem.Block
}

// NewDecoder makes a decoder.
func NewDecoder() (*Decoder, error) {
	if err := Load(); err != nil {
		return nil, err
	}
	d := &Decoder{}
	for _, b := range []struct {
		to **cmem.Block
		n  int
	}{{&d.info, 72 + 56}, {&d.dst, 3 * 8}, {&d.paramBlock, 32 + 96}} {
		var err error
		if *b.to, err = cmem.Alloc(b.n); err != nil {
			d.free()
			return nil, err
		}
	}
	if r := int32(lib.newDec.Call(d.dst.Ptr())); r != 0 || d.dst.Word(0) == 0 {
		d.free()
		return nil, fmt.Errorf("openh264: no decoder: %d", r)
	}
	d.obj = d.dst.Word(0)
	level := d.info
	level.SetI32(0, 0) // quiet
	method(d.obj, decSetOption, optDecTrace, level.Ptr())
	p := d.paramBlock
	p.B[12] = 0xff  // uiTargetDqLayer: the highest
	p.SetI32(16, 0) // no concealment: a damaged picture is asked for anew
	p.SetI32(24, 8) // size of sVideoProperty
	p.SetI32(28, 0) // VIDEO_BITSTREAM_AVC
	if r := method(d.obj, decInitialize, p.Ptr()); r != 0 {
		d.Close()
		return nil, fmt.Errorf("openh264: init failed with %d", r)
	}
	return d, nil
}

// Decode takes one access unit with start codes. The frame, nil if none is to be
// shown, points into memory of the library until the next call.
func (d *Decoder) Decode(data []byte) (*picture.Frame, error) {
	if len(data) < 5 {
		return nil, nil
	}
	clear(d.info.B)
	clear(d.dst.B)
	f := dlopen.Func(cmem.Word(cmem.Word(d.obj) + 8*decNoDelay))
	r := int32(f.Call(d.obj, uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)), d.dst.Ptr(), d.info.Ptr()))
	const framePending = 1
	if r != 0 && r != framePending {
		return nil, fmt.Errorf("openh264: decoding failed with %#x", r)
	}
	if d.info.I32(0) != 1 {
		return nil, nil
	}
	w, h, ys, cs := d.info.I32(24), d.info.I32(28), d.info.I32(36), d.info.I32(40)
	if w < 2 || h < 2 || w > 1<<14 || h > 1<<14 || ys < w || cs < w/2 {
		return nil, fmt.Errorf("openh264: picture of %d × %d", w, h)
	}
	w, h = w&^1, h&^1
	d.frame = picture.Frame{
		W: w, H: h, YS: ys, CS: cs,
		Y: cmem.Bytes(d.dst.Word(0), (h-1)*ys+w),
		U: cmem.Bytes(d.dst.Word(8), (h/2-1)*cs+w/2),
		V: cmem.Bytes(d.dst.Word(16), (h/2-1)*cs+w/2),
	}
	if d.frame.Y == nil || d.frame.U == nil || d.frame.V == nil {
		return nil, fmt.Errorf("openh264: picture without planes")
	}
	return &d.frame, nil
}

func (d *Decoder) free() {
	d.info.Free()
	d.dst.Free()
	d.paramBlock.Free()
}

// Close frees the decoder.
func (d *Decoder) Close() {
	if d.obj != 0 {
		method(d.obj, decUninitialize)
		lib.freeDec.Call(d.obj)
		d.obj = 0
	}
	d.free()
}
