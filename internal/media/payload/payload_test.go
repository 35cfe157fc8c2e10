package payload

import (
	"bytes"
	"testing"
)

func TestKeyframe(t *testing.T) {
	for name, c := range map[string]struct {
		codec Codec
		b     []byte
		want  bool
	}{
		"vp8 key, plain":              {VP8, []byte{0x10, 0x00, 0, 0}, true},
		"vp8 inter":                   {VP8, []byte{0x10, 0x01, 0, 0}, false},
		"vp8 key, 15 bit picture id":  {VP8, []byte{0x90, 0xE0, 0x81, 0x02, 7, 0x20, 0x00}, true},
		"vp8 key, second partition":   {VP8, []byte{0x11, 0x00, 0}, false},
		"vp8 key, not first packet":   {VP8, []byte{0x00, 0x00, 0}, false},
		"vp8 cut in the descriptor":   {VP8, []byte{0x90, 0x80, 0x81}, false},
		"vp9 key":                     {VP9, []byte{0x88, 0x81, 0x02, 0}, true},
		"vp9 inter":                   {VP9, []byte{0xC8, 0x01, 0}, false},
		"vp9 key, spatial layer 1":    {VP9, []byte{0xA8, 0x01, 0x02, 0}, false},
		"vp9 key, spatial layer 0":    {VP9, []byte{0xA8, 0x01, 0x00, 0}, true},
		"vp9 cut":                     {VP9, []byte{0xA8}, false},
		"h264 IDR":                    {H264, []byte{0x65, 1}, true},
		"h264 SPS":                    {H264, []byte{0x67, 1}, true},
		"h264 slice":                  {H264, []byte{0x41, 1}, false},
		"h264 FU-A start of IDR":      {H264, []byte{0x7C, 0x85, 1}, true},
		"h264 FU-A later part of IDR": {H264, []byte{0x7C, 0x05, 1}, false},
		"h264 STAP-A AUD SPS":         {H264, []byte{0x78, 0, 2, 9, 0x10, 0, 3, 0x67, 1, 2}, true},
		"h264 STAP-A slices":          {H264, []byte{0x78, 0, 2, 0x41, 0x10, 0, 2, 0x41, 1}, false},
		"h264 STAP-A lies":            {H264, []byte{0x78, 0xff, 0xff, 0x41, 0x10}, false},
		"av1 N bit":                   {AV1, []byte{0x18, 0x0A, 1}, true},
		"av1 sequence header, W=2":    {AV1, []byte{0x20, 3, 0x08, 1, 2, 0x30}, true},
		"av1 frame":                   {AV1, []byte{0x10, 0x30, 1}, false},
		"av1 continuation":            {AV1, []byte{0x98, 0x0A}, false},
		"opaque":                      {Opaque, nil, true},
	} {
		if got := Keyframe(c.codec, c.b); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestPutVP8KeepsForm(t *testing.T) {
	for _, src := range [][]byte{{0x90, 0xE0, 0x81, 0x02, 7, 0x20, 0x55}, {0x90, 0xC0, 0x12, 7, 0x55}, {0x10, 0x55}} {
		var d, e VP8Desc
		if !ParseVP8(src, &d) {
			t.Fatal("parse")
		}
		dst := make([]byte, len(src))
		n := PutVP8(dst, src, &d, 0x1234, 200)
		copy(dst[n:], src[n:])
		if !ParseVP8(dst, &e) || e.Len != d.Len || e.Long != d.Long {
			t.Fatalf("% x -> % x", src, dst)
		}
		if d.HasTL0 && e.TL0PICIDX != 200 || d.Long && e.PictureID != 0x1234 || d.HasPicture && !d.Long && e.PictureID != 0x34 {
			t.Fatalf("%+v", e)
		}
		if !d.HasPicture && !bytes.Equal(src, dst) {
			t.Fatal("changed without ids")
		}
	}
}

func FuzzKeyframe(f *testing.F) {
	f.Add(uint8(VP8), []byte{0x90, 0xE0, 0x81, 0x02, 7, 0x20, 0x00})
	f.Add(uint8(VP9), []byte{0xA8, 0x81, 0x02, 0})
	f.Add(uint8(H264), []byte{0x78, 0, 2, 9, 0x10, 0, 3, 0x67, 1, 2})
	f.Add(uint8(AV1), []byte{0x20, 0x83, 0x01, 0x08})
	f.Fuzz(func(t *testing.T, c uint8, b []byte) {
		Keyframe(Codec(c%5), b)
		var d VP8Desc
		if ParseVP8(b, &d) {
			if int(d.Len) >= len(b) {
				t.Fatal("descriptor takes the whole payload")
			}
			PutVP8(make([]byte, 8), b, &d, 1, 2)
		}
	})
}
