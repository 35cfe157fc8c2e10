package red

import (
	"bytes"
	"testing"
)

func TestParse(t *testing.T) {
	// Two repeated payloads of 20 and 40 ms ago, as a browser writes them.
	b := []byte{0x80 | 111, 1920 >> 6, 1920 << 2 & 0xff, 2, 0x80 | 111, 960 >> 6, 960 << 2 & 0xff, 3, 111, 'a', 'a', 'b', 'b', 'b', 'c', 'c'}
	var x [MaxBlocks]Block
	n, ok := Parse(b, &x)
	if !ok || n != 3 {
		t.Fatal(n, ok)
	}
	for i, want := range []struct {
		off  uint16
		text string
	}{{1920, "aa"}, {960, "bbb"}, {0, "cc"}} {
		if x[i].PT != 111 || x[i].Offset != want.off || string(b[x[i].From:x[i].To]) != want.text {
			t.Errorf("block %d: %+v", i, x[i])
		}
	}
	if n, ok = Parse([]byte{111}, &x); !ok || n != 1 || x[0].From != x[0].To { // nothing to say
		t.Error("an empty primary is lawful")
	}
}

func TestParseRefuses(t *testing.T) {
	var x [MaxBlocks]Block
	many := bytes.Repeat([]byte{0x80 | 1, 0, 4, 0}, MaxBlocks)
	for name, b := range map[string][]byte{
		"nothing":        nil,
		"half a header":  {0x80 | 111, 0, 0},
		"no primary":     {0x80 | 111, 0, 4, 0},
		"longer than it": {0x80 | 111, 0, 4, 2, 111, 'a'},
		"too many":       append(many, 111),
	} {
		if _, ok := Parse(b, &x); ok {
			t.Error(name)
		}
	}
}

func TestWriteThenParse(t *testing.T) {
	b := make([]byte, HeaderLen(2))
	n := PutRepeated(b, 63, MaxOffset, MaxLength)
	n += PutRepeated(b[n:], 96, 1, 1)
	n += PutPrimary(b[n:], 127)
	if n != len(b) {
		t.Fatal(n)
	}
	b = append(b, make([]byte, MaxLength+1+7)...)
	var x [MaxBlocks]Block
	if k, ok := Parse(b, &x); !ok || k != 3 || x[0].PT != 63 || x[0].Offset != MaxOffset || x[0].To-x[0].From != MaxLength ||
		x[1].PT != 96 || x[1].Offset != 1 || x[1].To-x[1].From != 1 || x[2].PT != 127 || x[2].To-x[2].From != 7 {
		t.Fatalf("%d %v %+v", k, ok, x[:3])
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0x80 | 111, 30, 0, 2, 0x80 | 111, 15, 0, 3, 111, 'a', 'a', 'b', 'b', 'b', 'c', 'c'})
	f.Add([]byte{111})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var x [MaxBlocks]Block
		n, ok := Parse(b, &x)
		if !ok {
			return
		}
		if n < 1 || n > MaxBlocks {
			t.Fatal(n)
		}
		at := HeaderLen(n - 1)
		var again [MaxBlocks * 4]byte
		w := 0
		for i, k := range x[:n] {
			if k.From != at || k.To < k.From || k.To > len(b) {
				t.Fatalf("block %d of %d: %+v in %d", i, n, k, len(b))
			}
			at = k.To
			if i < n-1 {
				w += PutRepeated(again[w:], k.PT, uint32(k.Offset), k.To-k.From)
			} else {
				w += PutPrimary(again[w:], k.PT)
			}
		}
		if at != len(b) || !bytes.Equal(again[:w], b[:w]) {
			t.Fatal("headers do not survive")
		}
	})
}

func BenchmarkParse(b *testing.B) {
	p := append([]byte{0x80 | 111, 30, 0, 80, 0x80 | 111, 15, 0, 80, 111}, make([]byte, 240)...)
	var x [MaxBlocks]Block
	b.ReportAllocs()
	for b.Loop() {
		Parse(p, &x)
	}
}
