package layer

import (
	"encoding/hex"
	"os"
	"testing"

	"parley/internal/media/layer/capture"
	"parley/internal/media/rtp"
)

// descriptors returns the dependency descriptors of a capture's streams.
func descriptors(t testing.TB, name string) map[uint32][][]byte {
	t.Helper()
	c, err := capture.Load(os.DirFS("testdata/captures"), name)
	if err != nil {
		t.Fatal(err)
	}
	id, found := c.Description.Extension("dependency-descriptor"), map[uint32][][]byte{}
	pt, _ := c.Description.Codec()
	for _, p := range c.Packets {
		var h rtp.Header
		if rtp.Parse(p.RTP, &h) != rtp.OK || h.PayloadType != pt {
			continue
		}
		if b, ok := h.Ext(p.RTP, id); ok {
			found[h.SSRC] = append(found[h.SSRC], b)
		}
	}
	return found
}

var described = []string{"vp8-simulcast-dd", "vp9-l3t3-key-dd", "av1-l1t3", "av1-l2t2", "av1-l3t3", "av1-l3t3-key"}

// TestDescriptorsOfChromium: all are read; frames refer to frames that were
// there, and belong to the targets of their layer.
func TestDescriptorsOfChromium(t *testing.T) {
	for _, name := range described {
		for _, list := range descriptors(t, name) {
			var d Dependency
			have, keys := map[uint16]bool{}, 0
			for i, b := range list {
				f, ok := d.Read(b)
				if !ok || !f.Has(Known|Exact) {
					t.Fatalf("%s: % x (%d): %v %+v", name, b, i, ok, f)
				}
				if f.Has(Key) {
					keys++
				}
				for k := range uint16(64) {
					if f.Refs>>k&1 != 0 && !have[f.Frame-1-k] {
						t.Fatalf("%s: frame %d needs %d", name, f.Frame, f.Frame-1-k)
					}
				}
				have[f.Frame] = true
				if f.Present&Point(f.Spatial, f.Temporal) == 0 || f.Present&^Above(f.Spatial, f.Temporal) != 0 || f.Switch&^f.Present != 0 {
					t.Fatalf("%s: frame %d of %d/%d: present %x, switch %x", name, f.Frame, f.Spatial, f.Temporal, f.Present, f.Switch)
				}
			}
			if keys < 2 || d.Width[0] == 0 {
				t.Errorf("%s: %d key frames, width %d", name, keys, d.Width[0])
			}
		}
	}
}

// TestL1T3 reads the example of three temporal layers bit by bit.
func TestL1T3(t *testing.T) {
	var d Dependency
	b, _ := hex.DecodeString("c00001800214eaa860414d141020842703bf021b")
	f, ok := d.Read(b)
	if !ok || f.Flags != Known|Start|End|Key|Exact|Tells|Struct || f.Frame != 1 || f.Present != 7 || f.Switch != 7 || f.Refs != 0 {
		t.Fatalf("%v %+v", ok, f)
	}
	if d.Width[0] != 960 || d.Height[0] != 540 || d.Active() != 7 || d.targets != 3 || d.chains != 1 {
		t.Fatalf("%+v", d)
	}
	for _, c := range []struct {
		hex              string
		t                uint8
		refs             uint64
		present, switchT uint32
		flags            Flags
	}{
		{"c30002", 2, 1, 4, 0, Start | End}, {"c20003", 1, 2, 6, 4, Start | End}, {"c40004", 2, 1, 4, 0, Start | End},
		{"810005", 0, 8, 7, 7, Start}, {"010005", 0, 8, 7, 7, 0}, {"410005", 0, 8, 7, 7, End},
	} {
		b, _ := hex.DecodeString(c.hex)
		f, ok := d.Read(b)
		if !ok || f.Temporal != c.t || f.Refs != c.refs || f.Present != c.present || f.Switch != c.switchT || f.Flags != c.flags|Known|Exact {
			t.Errorf("%s: %+v", c.hex, f)
		}
	}
	for _, bad := range []string{"", "c0", "c500", "c90006" /* no such template */, "c000078002" /* cut */} {
		b, _ := hex.DecodeString(bad)
		if f, ok := d.Read(b); ok {
			t.Errorf("%q: %+v", bad, f)
		}
	}
	if _, ok := new(Dependency).Read([]byte{0xc3, 0, 2}); ok {
		t.Error("read without a structure")
	}
}

// TestRestrictedDescriptors: what is served is told, and nothing else changed.
func TestRestrictedDescriptors(t *testing.T) {
	for _, name := range described {
		for _, list := range descriptors(t, name) {
			for s := range int8(MaxSpatial) {
				for k := range int8(MaxTemporal) {
					restrictAll(t, name, list, s, k)
				}
			}
		}
	}
}

func restrictAll(t *testing.T, name string, list [][]byte, s, k int8) {
	t.Helper()
	var a, b Dependency
	var space [255]byte
	for i, x := range list {
		f, ok := a.Read(x)
		if !ok {
			t.Fatal(name)
		}
		y := x
		n := a.Restrict(space[:], x, s, k)
		if n > 0 {
			y = space[:n]
		}
		g, ok := b.Read(y)
		if n > 0 {
			f.Flags |= Tells
		}
		if !ok || f != g {
			t.Fatalf("%s to %d/%d: % x became % x, %+v became %+v (%d)", name, s, k, x, y, f, g, i)
		}
		if want := a.Active() & Below(s, k); b.Active() != want {
			t.Fatalf("%s to %d/%d: active %x, not %x", name, s, k, b.Active(), want)
		}
	}
}

// FuzzDependency: nothing that comes makes the reader fail, and what Restrict
// makes of it says the same of the frame.
func FuzzDependency(f *testing.F) {
	for _, name := range described {
		for _, list := range descriptors(f, name) {
			f.Add(list[0], list[1], list[len(list)/2], int8(1), int8(1))
		}
	}
	f.Add([]byte{0xc0, 0, 1, 0x80, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff}, []byte{0, 0, 0}, []byte{}, int8(0), int8(0))
	f.Fuzz(func(t *testing.T, a, b, c []byte, s, k int8) {
		var d, e Dependency
		for _, x := range [][]byte{a, b, c} {
			i, ok := d.Read(x)
			if i.Spatial >= MaxSpatial || i.Temporal >= MaxTemporal {
				t.Fatalf("%+v", i)
			}
			var space [255]byte
			n := d.Restrict(space[:], x, s, k)
			y := x
			if n > 0 {
				y = space[:n]
			}
			j, again := e.Read(y)
			if i.Flags &^= Tells; again {
				j.Flags &^= Tells
			}
			// A later packet of a frame may be short and of no known template.
			if ok && n > 0 && i.Has(Start) && (!again || i != j) {
				t.Fatalf("% x -> % x: %+v %v, %+v", x, y, i, again, j)
			}
			e = d
		}
	})
}

// TestStructuresThatComeLate do not replace what is in force; a sender that
// begins its numbers anew does.
func TestStructuresThatComeLate(t *testing.T) {
	old, _ := hex.DecodeString("c00001800214eaa860414d141020842703bf021b")
	now, _ := hex.DecodeString("c00100800214eaa860414d141020842701df010d") // half the size
	var d Dependency
	for _, b := range [][]byte{old, now} {
		if _, ok := d.Read(b); !ok {
			t.Fatal("not read")
		}
	}
	d.Late = true
	if _, ok := d.Read(old); ok || d.Width[0] != 480 {
		t.Errorf("taken when late: %d", d.Width[0])
	}
	d.Late = false
	if _, ok := d.Read(old); !ok || d.Width[0] != 960 {
		t.Errorf("not taken: %d", d.Width[0])
	}
}
