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
		"vp9 key, spatial layer 1":    {VP9, []byte{0xA8, 0x01, 0x02, 0, 0}, false},
		"vp9 key, spatial layer 0":    {VP9, []byte{0xA8, 0x01, 0x00, 0, 0}, true},
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

func TestPicturePutKeepsForm(t *testing.T) {
	for _, c := range []struct {
		codec Codec
		src   []byte
		id    uint16
		tl0   uint8
	}{
		{VP8, []byte{0x90, 0xE0, 0x81, 0x02, 7, 0x20, 0x55}, 0x102, 7},
		{VP8, []byte{0x90, 0xC0, 0x12, 7, 0x55}, 0x12, 7},
		{VP8, []byte{0x90, 0xF0, 0x81, 0x02, 7, 0x25, 0x55}, 0x102, 7}, // KEYIDX
		{VP8, []byte{0x10, 0x55}, 0, 0},
		{VP9, []byte{0xA8, 0x81, 0x02, 0x20, 9, 0x55}, 0x102, 9}, // non-flexible: TL0PICIDX
		{VP9, []byte{0xB8, 0x12, 0x20, 0x55}, 0x12, 0},           // flexible: none
		{VP9, []byte{0x08, 0x55}, 0, 0},
	} {
		var d, e Picture
		if !ParsePicture(c.codec, c.src, &d) || d.ID != c.id || d.TL0PICIDX != c.tl0 {
			t.Fatalf("% x: %+v", c.src, d)
		}
		dst := make([]byte, len(c.src))
		n := d.Put(dst, c.src, 0x1234, 200, 0xff)
		copy(dst[n:], c.src[n:])
		if !ParsePicture(c.codec, dst, &e) || e.Len != d.Len || e.Long != d.Long || e.HasTL0 != d.HasTL0 {
			t.Fatalf("% x -> % x", c.src, dst)
		}
		if d.HasKEYIDX && (e.KEYIDX != 0x1f || dst[5]&0xe0 != c.src[5]&0xe0) {
			t.Fatalf("KEYIDX %d", e.KEYIDX)
		}
		if d.HasTL0 && e.TL0PICIDX != 200 || d.Long && e.ID != 0x1234 || d.HasID && !d.Long && e.ID != 0x34 {
			t.Fatalf("%+v", e)
		}
		if !d.HasID && !d.HasTL0 && !bytes.Equal(c.src, dst) {
			t.Fatal("changed without ids")
		}
	}
}

func FuzzKeyframe(f *testing.F) {
	f.Add(uint8(VP8), []byte{0x90, 0xE0, 0x81, 0x02, 7, 0x20, 0x00})
	f.Add(uint8(VP9), []byte{0xA8, 0x81, 0x02, 0})
	f.Add(uint8(H264), []byte{0x78, 0, 2, 9, 0x10, 0, 3, 0x67, 1, 2})
	f.Add(uint8(VP8), []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xF0, 0x00})
	f.Add(uint8(AV1), []byte{0x20, 0x83, 0x01, 0x08})
	f.Fuzz(func(t *testing.T, c uint8, b []byte) {
		Keyframe(Codec(c%5), b)
		var d Picture
		if ParsePicture(Codec(c%5), b, &d) {
			if int(d.Len) >= len(b) {
				t.Fatal("descriptor takes the whole payload")
			}
			d.Put(make([]byte, 8), b, 1, 2, 3)
		}
		if z, ok := KeySize(Codec(c%5), b); ok && !z.Odd && (z.Width <= 0 || z.Height <= 0) {
			t.Fatalf("%+v", z)
		}
	})
}
