package fec

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

const media, twcc, abs = 0xCAFE0001, 3, 2

var mutable = Mutable{TransportCC: twcc, AbsSendTime: abs}

// packet makes an RTP packet with extensions that change on the way.
func packet(r *rand.Rand, seq uint16) []byte {
	b := []byte{0x90, 96, byte(seq >> 8), byte(seq), 0, 0, 0, 0, 0, 0, 0, 0}
	if r.IntN(4) == 0 {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint32(b[4:], r.Uint32())
	binary.BigEndian.PutUint32(b[8:], media)
	if r.IntN(3) == 0 {
		b[0] |= 1
		b = binary.BigEndian.AppendUint32(b, r.Uint32())
	}
	b = append(b, 0xBE, 0xDE, 0, 3, twcc<<4|1, byte(r.Uint32()), byte(r.Uint32()), abs<<4|2, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), 9<<4|1, 'a', 'b', 0, 0)
	for range 1 + r.IntN(1100) {
		b = append(b, byte(r.Uint32()))
	}
	return b
}

// later is the packet with other values of what changes.
func later(r *rand.Rand, b []byte, zero bool) []byte {
	b = bytes.Clone(b)
	off := 12 + 4*int(b[0]&15) + 4
	for _, i := range []int{1, 2, 4, 5, 6} {
		b[off+i] = byte(r.Uint32())
		if zero {
			b[off+i] = 0
		}
	}
	return b
}

// TestOneOfManyIsRecovered: whichever packet is missing, for all lengths of masks.
func TestOneOfManyIsRecovered(t *testing.T) {
	const seed = 3
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for round := range 400 {
		step, n := 1+r.IntN(4), 1+r.IntN(26)
		base := uint16(r.Uint32())
		var e Encoder
		e.Begin(media)
		var ps [][]byte
		for i := range n {
			seq := base + uint16(i*step)
			p := packet(r, seq)
			cut := 12 + 4*int(p[0]&15) + 16 + r.IntN(len(p)-(12+4*int(p[0]&15)+16)+1)
			if !e.Add(seq, p[:cut], p[cut:], &mutable) {
				t.Fatalf("%d of %d, step %d", i, n, step)
			}
			ps = append(ps, p)
		}
		wire := make([]byte, e.Len())
		if k := e.Put(wire); k != len(wire) {
			t.Fatalf("%d octets, %d told", k, len(wire))
		}
		var h Header
		if !Parse(wire, &h) || h.SSRC != media || h.Base != base || h.Count() != n || h.Span() != (n-1)*step+1 {
			t.Fatalf("round %d: %+v", round, h)
		}
		gone := r.IntN(n)
		var s Sum
		if !s.AddParity(wire, &h) {
			t.Fatal("no parity")
		}
		for i, p := range ps {
			if !h.Has(i * step) {
				t.Fatalf("%d is not protected", i*step)
			}
			if i != gone {
				s.Add(later(r, p, false), nil, &mutable)
			}
		}
		out := make([]byte, 1600)
		k, ok := s.Packet(out, base+uint16(gone*step), media)
		if want := later(r, ps[gone], true); !ok || !bytes.Equal(out[:k], want) {
			t.Fatalf("round %d, %d of %d:\n% x\n% x", round, gone, n, out[:min(k, 60)], want[:60])
		}
	}
}

// TestLayout holds a parity packet against one worked out by hand from section
// 4.2 of the draft and libwebrtc's notes on it.
func TestLayout(t *testing.T) {
	var e Encoder
	e.Begin(0x01020304)
	a, _ := hex.DecodeString("80600010000003e8" + "01020304" + "aabbcc")
	b, _ := hex.DecodeString("80e00012000007d0" + "01020304" + "11223344")
	e.Add(0x10, a, nil, &Mutable{})
	e.Add(0x12, b, nil, &Mutable{})
	out := make([]byte, e.Len())
	e.Put(out)
	want := "00" + "80" + "0007" + // P, X, CC; M and PT; 3 xor 4
		"00000438" + // 1000 xor 2000
		"01000000" + "01020304" + "0010" + // one SSRC, its base
		"d000" + // k, and bits 0 and 2
		"bb99ff44"
	if got := hex.EncodeToString(out); got != want {
		t.Fatalf("%s\n%s", got, want)
	}
	if e.Add(0x11, a, nil, &Mutable{}) || e.Add(0x12, a, nil, &Mutable{}) || e.Add(0x10+MaxSpan, a, nil, &Mutable{}) {
		t.Error("numbers that cannot be added")
	}
	if !e.Add(0x10+MiddleSpan, a, nil, &Mutable{}) || e.Len() != longLen+4 {
		t.Error("the longest mask")
	}
}

func TestWhatIsNotRead(t *testing.T) {
	good, _ := hex.DecodeString("00800007000004380100000001020304" + "0010" + "d000" + "bb99ff44")
	var h Header
	if !Parse(good, &h) {
		t.Fatal("not even what is right")
	}
	for name, change := range map[string]func(b []byte) []byte{
		"short":            func(b []byte) []byte { return b[:19] },
		"R":                func(b []byte) []byte { b[0] |= 0x80; return b },
		"F":                func(b []byte) []byte { b[0] |= 0x40; return b },
		"two SSRCs":        func(b []byte) []byte { b[8] = 2; return b },
		"no SSRC":          func(b []byte) []byte { b[8] = 0; return b },
		"nothing":          func(b []byte) []byte { b[18], b[19] = 0x80, 0; return b },
		"no middle mask":   func(b []byte) []byte { b[18] &= 0x7f; return b[:20] },
		"no long mask":     func(b []byte) []byte { b[18] &= 0x7f; b[20] &= 0x7f; return b },
		"masks do not end": func(b []byte) []byte { return append(b[:18], make([]byte, 14)...) },
	} {
		if Parse(change(bytes.Clone(good)), &h) {
			t.Error(name)
		}
	}
	var s Sum
	if s.Add(make([]byte, 11), nil, &mutable) || s.Add(make([]byte, 12), make([]byte, maxBody+1), &mutable) {
		t.Error("what is no packet")
	}
	s.fields[3] = 200 // longer than all parts
	if _, ok := s.Packet(make([]byte, 1600), 1, 1); ok {
		t.Error("a length that cannot be")
	}
	s.Reset()
	s.fields[2], s.n = 0x04, maxBody
	if _, ok := s.Packet(make([]byte, 100), 1, 1); ok {
		t.Error("longer than the room for it")
	}
}

func FuzzParity(f *testing.F) {
	good, _ := hex.DecodeString("00800007000004380100000001020304" + "0010" + "d000" + "bb99ff44")
	r := rand.New(rand.NewPCG(1, 1))
	f.Add(good, packet(r, 0x12))
	f.Add(append(bytes.Clone(good[:18]), 0x7f, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2), packet(r, 0x20))
	f.Add(good, []byte("\x90\x60\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x01\x03\xff\x02\x01"))
	f.Fuzz(func(t *testing.T, parity, p []byte) {
		var h Header
		if !Parse(parity, &h) {
			return
		}
		if h.Count() == 0 || h.Span() > MaxSpan || h.Len > len(parity) {
			t.Fatalf("%+v", h)
		}
		var s Sum
		if s.AddParity(parity, &h) {
			s.Add(p, nil, &mutable)
			var out [1500]byte
			if n, ok := s.Packet(out[:], h.Base, h.SSRC); ok && n < rtpFixed {
				t.Fatal(n)
			}
		}
		s.Reset()
		if s != (Sum{}) {
			t.Fatal("a sum keeps something")
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var ps [][]byte
	for i := range 10 {
		ps = append(ps, packet(r, uint16(i)))
	}
	e, s, out := new(Encoder), new(Sum), make([]byte, 1600)
	if n := testing.AllocsPerRun(100, func() {
		e.Begin(media)
		for i, p := range ps {
			e.Add(uint16(i), p[:40], p[40:], &mutable)
		}
		k := e.Put(out)
		var h Header
		Parse(out[:k], &h)
		s.Reset()
		s.AddParity(out[:k], &h)
		for _, p := range ps[1:] {
			s.Add(p, nil, &mutable)
		}
		s.Packet(out, 0, media)
	}); n != 0 {
		t.Fatalf("%v", n)
	}
}

func BenchmarkEncode(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	p := packet(r, 1)
	for len(p) < 1100 {
		p = packet(r, 1)
	}
	var e Encoder
	out := make([]byte, 1600)
	b.ReportAllocs()
	b.SetBytes(int64(len(p)))
	for i := range b.N {
		if i%8 == 0 {
			e.Begin(media)
		}
		e.Add(uint16(i%8), p[:40], p[40:], &mutable)
		if i%8 == 7 {
			e.Put(out)
		}
	}
}
