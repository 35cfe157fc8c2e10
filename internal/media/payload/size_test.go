package payload

import (
	"encoding/hex"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestClaimed(t *testing.T) {
	sps := func(s string) []byte { return append([]byte{0, 0, 0, 1, 0x67}, unhex(t, s)...) }
	vp9 := func(w, h int) []byte {
		b := []byte{0x82, 0x49, 0x83, 0x42, 0, 0, 0, 0, 0}
		v := uint64(w-1)<<16 | uint64(h-1) // 32 bits after 4 of color config
		b[4] = byte(v >> 28)
		b[5], b[6], b[7], b[8] = byte(v>>20), byte(v>>12), byte(v>>4), byte(v<<4)
		return b
	}
	for name, c := range map[string]struct {
		codec Codec
		b     []byte
		want  Size
		ok    bool
	}{
		"vp8 key":            {VP8, []byte{0x10, 0, 0, 0x9d, 1, 0x2a, 0x80, 2, 0x68, 1}, Size{Width: 640, Height: 360}, true},
		"vp8 inter":          {VP8, []byte{0x11, 0, 0}, Size{}, true},
		"vp8 huge":           {VP8, []byte{0x10, 0, 0, 0x9d, 1, 0x2a, 0xff, 0x3f, 0xff, 0x3f}, Size{Width: 16383, Height: 16383}, true},
		"vp8 without code":   {VP8, []byte{0x10, 0, 0, 0x9d, 1, 0x2b, 0xff, 0x3f, 0xff, 0x3f}, Size{}, false},
		"vp9 key":            {VP9, vp9(1280, 720), Size{Width: 1280, Height: 720}, true},
		"vp9 huge":           {VP9, vp9(65536, 16383), Size{Width: 65536, Height: 16383}, true},
		"vp9 cut":            {VP9, vp9(1280, 720)[:6], Size{}, false},
		"h264 baseline 720p": {H264, sps("42c01f8c8d4014016e8402fb4400000300040000030078840" + "8"), Size{}, true},
		"h264 cut":           {H264, sps("42c0"), Size{}, false},
	} {
		got, ok := Claimed(c.codec, c.b)
		if name == "h264 baseline 720p" {
			if !ok || got.Width == 0 {
				t.Errorf("%s: %+v %v", name, got, ok)
			}
			continue
		}
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %+v %v", name, got, ok)
		}
	}
}

func FuzzClaimed(f *testing.F) {
	f.Add(uint8(VP8), []byte{0x10, 0, 0, 0x9d, 1, 0x2a, 0x80, 2, 0x68, 1})
	f.Add(uint8(VP9), []byte{0x82, 0x49, 0x83, 0x42, 0, 4, 0xff, 2, 0xcf})
	f.Add(uint8(H264), []byte{0, 0, 0, 1, 0x67, 0x64, 0, 0x1f, 0xac, 0xd9, 0x40, 0x50, 5, 0xbb})
	f.Add(uint8(AV1), []byte{0x12, 0, 0x0a, 10, 0, 0, 0, 2, 0x27, 0xfe})
	f.Fuzz(func(t *testing.T, c uint8, b []byte) {
		s, ok := Claimed(Codec(c%5), b)
		if ok && (s.Width < 0 || s.Height < 0 || s.Width > 1<<16 || s.Height > 1<<16) {
			t.Fatalf("%+v", s)
		}
	})
}
