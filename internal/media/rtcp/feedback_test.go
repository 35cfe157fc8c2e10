package rtcp

import (
	"math/rand/v2"
	"testing"
)

// TestTWCCRoundTrip writes feedback of every shape and reads it back.
func TestTWCCRoundTrip(t *testing.T) {
	const seed = 20261122
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 2000 {
		want := make([]int32, 1+rng.IntN(400))
		kind := rng.IntN(4)
		for i := range want {
			switch r := rng.IntN(8); {
			case kind == 0 || r == 0 && kind != 1:
				want[i] = Missing
			case r == 1 || kind == 3:
				want[i] = int32(rng.IntN(65536) - 32768)
			default:
				want[i] = int32(rng.IntN(256))
			}
		}
		base := uint16(rng.Uint32())
		b := AppendTWCC(nil, 1, 2, base, 0xabcdef, 7, want)
		it := Parse(b)
		var p Packet
		if !it.Next(&p) {
			t.Fatal("does not parse")
		}
		tw, ok := p.TWCC()
		if !ok || tw.Base != base || tw.Count != len(want) || tw.Ref != 0xabcdef || tw.FB != 7 {
			t.Fatalf("head: %+v %v", tw, ok)
		}
		for i, w := range want {
			seq, d, ok := tw.Next()
			if !ok || seq != base+uint16(i) || d != w {
				t.Fatalf("status %d of %d: %d %d %v, want %d", i, len(want), seq, d, ok, w)
			}
		}
		if _, _, ok := tw.Next(); ok {
			t.Fatal("more than was written")
		}
	}
}

// TestTWCCOneBitVectors reads what other writers send and ours does not.
func TestTWCCOneBitVectors(t *testing.T) {
	body := []byte{0, 0, 0, 1, 0, 0, 0, 2, 0, 10, 0, 15, 0, 0, 1, 0,
		0x80 | 0x20, 0x01, // 14 one-bit symbols: the first and the last arrived
		0x20, 0x01, // a run of one small delta
		4, 8, 12, 0}
	p := Packet{Type: TypeRTPFB, Count: FmtTWCC, Body: body}
	tw, ok := p.TWCC()
	if !ok {
		t.Fatal("refused")
	}
	got := map[uint16]int32{}
	for {
		seq, d, ok := tw.Next()
		if !ok {
			break
		}
		if d != Missing {
			got[seq] = d
		}
	}
	if len(got) != 3 || got[10] != 4 || got[23] != 8 || got[24] != 12 {
		t.Errorf("got %v", got)
	}
}

func TestD9_TWCCNonsenseIsRefused(t *testing.T) {
	head := []byte{0, 0, 0, 1, 0, 0, 0, 2, 0, 10}
	for name, tail := range map[string][]byte{
		"65535 statuses, one chunk":   {0xff, 0xff, 0, 0, 1, 0, 0x20, 0xff},
		"run of nothing":              {0, 4, 0, 0, 1, 0, 0x20, 0, 0, 0},
		"deltas missing":              {0, 4, 0, 0, 1, 0, 0x20, 4, 1, 2},
		"reserved symbol in a run":    {0, 4, 0, 0, 1, 0, 0x60, 4, 1, 2, 3, 4, 5, 6, 7, 8},
		"reserved symbol in a vector": {0, 4, 0, 0, 1, 0, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8},
		"no chunks":                   {0, 4, 0, 0, 1, 0},
	} {
		p := Packet{Type: TypeRTPFB, Count: FmtTWCC, Body: append(head[:len(head):len(head)], tail...)}
		if _, ok := p.TWCC(); ok {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCCFBRoundTrip(t *testing.T) {
	want := []Metric{
		{SSRC: 1, Seq: 65535, Received: true, ECN: 3, ATO: 5}, {SSRC: 1, Seq: 0}, {SSRC: 1, Seq: 1, Received: true, ATO: ATOUnknown},
		{SSRC: 9, Seq: 7, Received: true, ECN: 1, ATO: ATOOverflow}, {SSRC: 9, Seq: 8, Received: true},
	}
	b := AppendCCFB(nil, 77, 0xdeadbeef, want)
	it := Parse(b)
	var p Packet
	if !it.Next(&p) {
		t.Fatal("does not parse")
	}
	c, ok := p.CCFB()
	if !ok || c.Time != 0xdeadbeef {
		t.Fatalf("%+v %v", c, ok)
	}
	var m Metric
	for i, w := range want {
		if !c.Next(&m) || m != w {
			t.Fatalf("metric %d: %+v, want %+v", i, m, w)
		}
	}
	if c.Next(&m) {
		t.Error("more than was written")
	}
}

func TestD9_CCFBNonsenseIsRefused(t *testing.T) {
	for name, body := range map[string][]byte{
		"no timestamp":  {0, 0, 0, 1},
		"count too big": {0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0xff, 0xff, 0x80, 0, 0x80, 0, 0, 0, 0, 9},
	} {
		p := Packet{Type: TypeRTPFB, Count: FmtCCFB, Body: body}
		c, ok := p.CCFB()
		if m := (Metric{}); ok && c.Next(&m) {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func FuzzFeedback(f *testing.F) {
	f.Add(AppendTWCC(nil, 1, 2, 3, 4, 5, []int32{0, 1, Missing, 300, -5, 2, 2, 2, 2, 2, 2, 2})[4:])
	f.Add(AppendCCFB(nil, 1, 2, []Metric{{SSRC: 3, Seq: 4, Received: true}, {SSRC: 3, Seq: 5}, {SSRC: 4}})[4:])
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 2, 0, 10, 0xff, 0xff, 0, 0, 1, 0, 0x1f, 0xff})
	f.Fuzz(func(t *testing.T, body []byte) {
		p := Packet{Type: TypeRTPFB, Count: FmtTWCC, Body: body}
		if tw, ok := p.TWCC(); ok {
			n := 0
			for {
				if _, _, ok := tw.Next(); !ok {
					break
				}
				n++
			}
			if n != tw.Count {
				t.Fatalf("%d statuses of %d", n, tw.Count)
			}
		}
		p.Count = FmtCCFB
		if c, ok := p.CCFB(); ok {
			n := 0
			for m := (Metric{}); c.Next(&m); n++ {
			}
			if 2*n > len(body) {
				t.Fatalf("%d metrics in %d bytes", n, len(body))
			}
		}
	})
}

func BenchmarkTWCCParse(b *testing.B) {
	deltas := make([]int32, 100)
	for i := range deltas {
		deltas[i] = int32(i % 40 * 8)
	}
	raw := AppendTWCC(nil, 1, 2, 3, 4, 5, deltas)
	b.ReportAllocs()
	for b.Loop() {
		it := Parse(raw)
		var p Packet
		it.Next(&p)
		tw, _ := p.TWCC()
		for {
			if _, _, ok := tw.Next(); !ok {
				break
			}
		}
	}
}
