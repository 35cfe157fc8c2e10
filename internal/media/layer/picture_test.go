package layer

import "testing"

func TestVP9Descriptors(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		len  uint8
		want Info
	}{
		{"key picture, flexible", []byte{0xB8, 0x81, 0x23, 0x00, 1}, 4, Info{Frame: 0x123, Present: allPoints, Switch: allPoints, Flags: Known | Start | Key}},
		{"its second layer", []byte{0xBC, 0x81, 0x23, 0x03, 1}, 4, Info{Frame: 0x123, Spatial: 1, Present: Above(1, 0), Flags: Known | Start | End}},
		{"not flexible: TL0PICIDX", []byte{0xE8, 0x12, 0x50, 7, 1}, 4, Info{Frame: 0x12, Temporal: 2, Present: Above(0, 2), Switch: Above(0, 3), Flags: Known | Start}},
		{"up from the lowest", []byte{0xF8, 0x12, 0x10, 0x04, 1}, 4, Info{Frame: 0x12, Present: Above(0, 0), Switch: Above(0, 1), Flags: Known | Start}},
		{"two references", []byte{0xF8, 0x12, 0x20, 0x05, 0x04, 1}, 5, Info{Frame: 0x12, Temporal: 1, Present: Above(0, 1), Flags: Known | Start}},
		{"no layers told", []byte{0x88, 0x12, 1}, 2, Info{Frame: 0x12, Flags: Start | Key}},
		{"a spatial layer too many", []byte{0xB8, 0x12, 0x08, 1}, 3, Info{Frame: 0x12, Spatial: 3, Flags: Start}},
	} {
		var v VP9
		if !ParseVP9(c.b, &v) || v.Len != c.len || v.Info != c.want {
			t.Errorf("%s: %+v, want %d %+v", c.name, v, c.len, c.want)
		}
	}
	// 3 spatial layers with sizes, a group of one picture with one reference.
	b := []byte{0xAA, 0x12, 0x00, 0x09, 0x58, 0, 240, 0, 135, 1, 224, 1, 14, 3, 192, 2, 28, 1, 0x14, 1, 9}
	var v VP9
	if !ParseVP9(b, &v) || !v.Structure || v.Spatials != 3 || v.Width[2] != 960 || v.Height[1] != 270 || int(v.Len) != len(b)-1 {
		t.Errorf("structure: %+v", v)
	}
	for n := range b {
		if ParseVP9(b[:n], &v) {
			t.Errorf("taken though cut at %d", n)
		}
	}
	for _, bad := range [][]byte{{0xF8, 0x12, 0x10, 0x05, 0x05, 0x05, 0x04, 1}, {0x80, 0x80}, {0xA0, 0x12}} {
		if ParseVP9(bad, &v) {
			t.Errorf("% x is taken", bad)
		}
	}
}

func TestVP8Descriptors(t *testing.T) {
	for _, c := range []struct {
		name   string
		b      []byte
		marker bool
		want   Info
		ok     bool
	}{
		{"key", []byte{0x90, 0xF0, 0x81, 0x23, 7, 0x01, 0x10, 0}, false, Info{Frame: 0x123, Present: 0xff, Switch: 0xff, Flags: Known | Start | Key}, true},
		{"sync", []byte{0x90, 0xF0, 0x12, 7, 0xA1, 0x11, 0}, true, Info{Frame: 0x12, Temporal: 2, Present: 0xfc, Switch: 4, Flags: Known | Start | End | Sync}, true},
		{"second packet, no sync", []byte{0x80, 0xE0, 0x12, 7, 0x40, 9}, false, Info{Frame: 0x12, Temporal: 1, Present: 0xfe, Flags: Known}, true},
		{"no picture id", []byte{0x90, 0x20, 0x40, 0x11}, false, Info{Frame: 0x5678, Temporal: 1, Present: 0xfe, Flags: Known | Start}, true},
		{"no layers", []byte{0x90, 0x80, 0x12, 0x10, 0}, false, Info{}, false},
		{"cut", []byte{0x90, 0xF0, 0x81, 0x23, 7}, false, Info{}, false},
	} {
		if got, ok := ParseVP8(c.b, 0x12345678, c.marker); ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %+v %v, want %+v", c.name, got, ok, c.want)
		}
	}
}

// TestGain: where a receiver may go up, by what VP8 and VP9 tell.
func TestGain(t *testing.T) {
	sync := func(k uint8) Info {
		return Info{Temporal: k, Switch: Point(0, k), Present: Above(0, k), Flags: Known | Sync}
	}
	up := func(s, k uint8) Info {
		return Info{Spatial: s, Temporal: k, Switch: Above(0, k+1), Present: Above(s, k), Flags: Known}
	}
	for _, c := range []struct {
		name         string
		f            Info
		intact, want uint32
	}{
		{"key", Info{Switch: allPoints, Flags: Known | Key}, 0, allPoints},
		{"VP8: one layer up", sync(1), 1, 2},
		{"VP8: not two, the layer between may need what was left out", sync(2), 1, 0},
		{"VP8: then the next", sync(2), 3, 4},
		{"VP8: without the mark", Info{Temporal: 1, Present: 0xfe, Flags: Known}, 1, 0},
		{"VP9: all temporal layers", up(0, 0), 1, 0xfe},
		{"VP9: not of spatial layers that are broken", up(0, 0), Below(1, 0), 0xfefe},
		{"VP9: above the frame's own", up(1, 1), Below(1, 1), 0xfcfc},
		{"VP9: not where its own is broken", up(0, 1), Below(2, 0), 0},
	} {
		if got := c.f.Gain(c.intact); got != c.want {
			t.Errorf("%s: %x, want %x", c.name, got, c.want)
		}
	}
}

func TestPoints(t *testing.T) {
	for s := range int8(MaxSpatial) {
		for k := range int8(MaxTemporal) {
			p := Point(uint8(s), uint8(k))
			if Below(s, k)&Above(uint8(s), uint8(k)) != p {
				t.Errorf("%d/%d", s, k)
			}
			if a, b := Top(Below(s, k)); a != s || b != k {
				t.Errorf("top of %d/%d is %d/%d", s, k, a, b)
			}
		}
	}
	if Below(-1, 3)|Below(2, -1) != 0 || Below(100, 100) != allPoints {
		t.Error("bounds")
	}
	if s, k := Top(0); s != -1 || k != -1 {
		t.Error("top of nothing")
	}
}

func FuzzVP9(f *testing.F) {
	f.Add([]byte{0xAA, 0x12, 0x00, 0x09, 0x58, 0, 240, 0, 135, 1, 224, 1, 14, 3, 192, 2, 28, 1, 0x14, 1, 9})
	f.Add([]byte{0xF8, 0x12, 0x20, 0x05, 0x04, 1})
	f.Add([]byte{0x0A, 0xE8, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, b []byte) {
		var v VP9
		if ParseVP9(b, &v) && (int(v.Len) >= len(b) || v.Spatial >= MaxSpatial || v.Temporal >= MaxTemporal) {
			t.Fatalf("%+v", v)
		}
	})
}

func FuzzVP8(f *testing.F) {
	f.Add([]byte{0x90, 0xF0, 0x81, 0x23, 7, 0x01, 0x10, 0}, uint32(1), true)
	f.Add([]byte{0x90, 0x20, 0x40, 0x11}, uint32(1), false)
	f.Fuzz(func(t *testing.T, b []byte, ts uint32, marker bool) {
		if i, ok := ParseVP8(b, ts, marker); ok && (!i.Has(Known) || i.Temporal > 3 || i.Spatial != 0) {
			t.Fatalf("%+v", i)
		}
	})
}
