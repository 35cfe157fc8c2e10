// Package dav1d decodes AV1 by libdav1d, opened when it is installed. It is not
// containment: decoders of what strangers send run in a process of their own
// (videochild).
//
// A Decoder belongs to one goroutine.
package dav1d

import (
	"fmt"
	"sync"

	"parley/internal/mcu/codec/cmem"
	"parley/internal/mcu/codec/dlopen"
	"parley/internal/mcu/picture"
)

// Packages to install, by system, for the message of a refusal.
const Packages = "libdav1d6 (Debian 12), libdav1d7 (Debian 13, Ubuntu 24.04), dav1d (Fedora, Arch)"

// maxPixels is the largest frame the library decodes: 1920 × 1088. The sequence
// header was looked at before; frames may not go beyond it either.
const maxPixels = 1920 * 1088

var lib struct {
	once                                                              sync.Once
	err                                                               error
	defaults, open, close, create, unrefData, send, get, unrefPicture dlopen.Func
}

// Load opens the library; the error says what is missing.
func Load() error {
	lib.once.Do(func() {
		var l *dlopen.Lib
		if l, lib.err = dlopen.Open("libdav1d.so.6", "libdav1d.so.7"); lib.err != nil {
			return
		}
		lib.err = l.Load(map[string]*dlopen.Func{
			"dav1d_default_settings": &lib.defaults, "dav1d_open": &lib.open, "dav1d_close": &lib.close,
			"dav1d_data_create": &lib.create, "dav1d_data_unref": &lib.unrefData,
			"dav1d_send_data": &lib.send, "dav1d_get_picture": &lib.get, "dav1d_picture_unref": &lib.unrefPicture,
		})
	})
	return lib.err
}

// Offsets, equal in 1.0 to 1.5. The blocks are larger than the structures.
const (
	sThreads, sDelay, sLimit           = 0, 4, 20
	sLogger                            = 48 // cookie, callback
	pData, pStride, pW, pH, pLay       = 16, 40, 56, 60, 64
	pDepth                             = 68
	layoutI420                         = 1
	again                        int32 = -11
)

// Decoder decodes one stream.
type Decoder struct {
	ctx, data, pic *cmem.Block
	held           bool // pic refers to a picture
	frame          picture.Frame
}

// NewDecoder makes a decoder: one thread, no delay.
func NewDecoder() (*Decoder, error) {
	if err := Load(); err != nil {
		return nil, err
	}
	d := &Decoder{}
	var set *cmem.Block
	for _, b := range []struct {
		to **cmem.Block
		n  int
	}{{&d.ctx, 8}, {&d.data, 256}, {&d.pic, 768}, {&set, 512}} {
		var err error
		if *b.to, err = cmem.Alloc(b.n); err != nil {
			d.free()
			return nil, err
		}
	}
	defer set.Free()
	lib.defaults.Call(set.Ptr())
	set.SetI32(sThreads, 1)
	set.SetI32(sDelay, 1)
	set.SetI32(sLimit, maxPixels)
	set.SetWord(sLogger, 0)
	set.SetWord(sLogger+8, 0)
	if r := int32(lib.open.Call(d.ctx.Ptr(), set.Ptr())); r != 0 {
		d.free()
		return nil, fmt.Errorf("dav1d: init failed with %d", r)
	}
	return d, nil
}

// Decode takes one temporal unit. The frame, nil if none is to be shown, points
// into memory of the library until the next call.
func (d *Decoder) Decode(unit []byte) (*picture.Frame, error) {
	if len(unit) == 0 {
		return nil, nil
	}
	d.release()
	clear(d.data.B)
	p := lib.create.Call(d.data.Ptr(), uintptr(len(unit)))
	if p == 0 {
		return nil, fmt.Errorf("dav1d: out of memory")
	}
	copy(cmem.Bytes(p, len(unit)), unit)
	defer lib.unrefData.Call(d.data.Ptr()) // nothing, once all was taken
	const size = 8
	for d.data.Word(size) > 0 {
		r := int32(lib.send.Call(d.ctx.Word(0), d.data.Ptr()))
		if r != 0 && r != again {
			return nil, fmt.Errorf("dav1d: decoding failed with %d", r)
		}
		got, err := d.fetch()
		if err != nil {
			return nil, err
		}
		if r == again && !got {
			return nil, fmt.Errorf("dav1d: takes nothing and gives nothing")
		}
	}
	if _, err := d.fetch(); err != nil || !d.held {
		return nil, err
	}
	return d.view()
}

// fetch takes all pictures there are and keeps the last.
func (d *Decoder) fetch() (got bool, err error) {
	next, err := cmem.Alloc(len(d.pic.B))
	if err != nil {
		return false, err
	}
	defer func() { next.Free() }()
	for {
		clear(next.B)
		switch r := int32(lib.get.Call(d.ctx.Word(0), next.Ptr())); r {
		case 0:
			d.release()
			d.pic, next, d.held, got = next, d.pic, true, true
		case again:
			return got, nil
		default:
			return got, fmt.Errorf("dav1d: decoding failed with %d", r)
		}
	}
}

func (d *Decoder) view() (*picture.Frame, error) {
	w, h := d.pic.I32(pW), d.pic.I32(pH)
	if d.pic.I32(pLay) != layoutI420 || d.pic.I32(pDepth) != 8 {
		return nil, fmt.Errorf("dav1d: only 8 bit 4:2:0 is taken")
	}
	ys, cs := int(d.pic.Word(pStride)), int(d.pic.Word(pStride+8))
	if w < 2 || h < 2 || w*h > maxPixels || ys < w || cs < w/2 {
		return nil, fmt.Errorf("dav1d: picture of %d × %d", w, h)
	}
	w, h = w&^1, h&^1
	d.frame = picture.Frame{
		W: w, H: h, YS: ys, CS: cs,
		Y: cmem.Bytes(d.pic.Word(pData), (h-1)*ys+w),
		U: cmem.Bytes(d.pic.Word(pData+8), (h/2-1)*cs+w/2),
		V: cmem.Bytes(d.pic.Word(pData+16), (h/2-1)*cs+w/2),
	}
	return &d.frame, nil
}

func (d *Decoder) release() {
	if d.held {
		lib.unrefPicture.Call(d.pic.Ptr())
		d.held = false
	}
}

func (d *Decoder) free() {
	d.ctx.Free()
	d.data.Free()
	d.pic.Free()
}

// Close frees the decoder.
func (d *Decoder) Close() {
	d.release()
	if d.ctx.Ptr() != 0 && d.ctx.Word(0) != 0 {
		lib.close.Call(d.ctx.Ptr())
	}
	d.free()
}
