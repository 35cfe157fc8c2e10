package audiomix

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/mcu/codec"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

const mtrSSRC = 0x11111111

// bench is a source on one side of a translator and what comes out on the other.
type bench struct {
	t    *testing.T
	lib  *codec.Library
	tr   *Translator
	enc  codec.Encoder
	from plane.Codec
	to   plane.Codec
	now  clock.Time
	ph   float64
	seq  uint16
	ts   uint32
	out  []got
}

func newBench(t *testing.T, from, to plane.Codec, frames int) *bench {
	lib := codec.Open(codec.Options{})
	tr, err := NewTranslator(TranslatorConfig{Codecs: lib, From: from, To: to, SSRC: mtrSSRC, Seq: 7000, TS: 5000, Frames: frames})
	if err != nil {
		t.Fatal(err)
	}
	e, err := lib.Encoder(from, codec.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close(); e.Close() })
	return &bench{t: t, lib: lib, tr: tr, enc: e, from: from, to: to, now: clock.Time(time.Hour), seq: 100, ts: 160000}
}

// frame makes the next packet of the source.
func (x *bench) frame() []byte {
	pcm := make([]int16, x.enc.Rate()/50)
	for i := range pcm {
		pcm[i] = int16(8000 * math.Sin(x.ph))
		x.ph += 2 * math.Pi * 440 / float64(x.enc.Rate())
	}
	b := make([]byte, 600)
	b[0], b[1] = 0x80, x.from.PT
	put16(b[2:], x.seq)
	put32(b[4:], x.ts)
	put32(b[8:], mtrSSRC)
	n, err := x.enc.Encode(pcm, b[12:])
	if err != nil {
		x.t.Fatal(err)
	}
	x.seq++
	x.ts += uint32(clockRate(x.from) / 50)
	return b[:12+n]
}

func (x *bench) emit(b []byte) {
	l := &lab{t: x.t, out: map[ids.Track][]got{}}
	l.Packet(0, "o", b)
	x.out = append(x.out, l.out["o"]...)
}

// send passes n packets, but for those that lost names.
func (x *bench) send(n int, lost func(seq uint16) bool) {
	for range n {
		seq := x.seq
		b := x.frame()
		if lost == nil || !lost(seq) {
			x.tr.HandleRTP(x.now, b, x.emit)
		}
		x.now = x.now.Add(slot)
		x.tr.Tick(x.now, x.emit)
	}
}

func (x *bench) back(b rtcp.Block) rtcp.Block {
	rr := rtcp.AppendRR(nil, 0x77, []rtcp.Block{{SSRC: 0x5555, Lost: 9, Highest: 9}, b})
	var p rtcp.Packet
	it := rtcp.Parse(x.tr.Back(nil, rr))
	if !it.Next(&p) || p.Type != rtcp.TypeRR || p.Blocks() != 2 {
		x.t.Fatal("no report came back")
	}
	if o := p.Block(0); o.Lost != 9 || o.Highest != 9 {
		x.t.Errorf("a block about another stream was touched: %+v", o)
	}
	return p.Block(1)
}

func TestMTR1_Repacketised(t *testing.T) {
	x := newBench(t, pcmu, pcma, 2)
	x.send(50, nil)
	if len(x.out) != 25 {
		t.Fatalf("%d packets", len(x.out))
	}
	continuous(t, x.out, mtrSSRC, 320)
	for _, p := range x.out {
		if len(p.payload) != 320 || p.h.PayloadType != 8 {
			t.Fatalf("%d bytes of type %d", len(p.payload), p.h.PayloadType)
		}
	}
	pcm := x.decode()
	if s := strength(pcm, 8000, 440); s < -15 {
		t.Errorf("tone at %.1f dB", s)
	}
}

func (x *bench) decode() []int16 {
	l := &lab{t: x.t, lib: x.lib}
	return l.decode(x.to, x.out)
}

func TestMTR1_OpusPairs(t *testing.T) {
	x := newBench(t, pcmu, opus, 2)
	x.send(100, nil)
	if len(x.out) < 50 || len(x.out) > 60 {
		t.Fatalf("%d packets", len(x.out))
	}
	for i, p := range x.out[1:] {
		if p.h.Seq != x.out[i].h.Seq+1 || p.h.SSRC != mtrSSRC {
			t.Fatal("numbers do not run on")
		}
	}
	if pcm := x.decode(); len(pcm) < 95*960 || strength(pcm, 48000, 440) < -15 {
		t.Errorf("%d samples", len(pcm))
	}
}

func TestMTR2_ReportsComeBackInSourceNumbers(t *testing.T) {
	x := newBench(t, pcmu, pcma, 2)
	x.send(50, nil)
	last := uint32(x.out[24].h.Seq)
	b := x.back(rtcp.Block{SSRC: mtrSSRC, Highest: last, LSR: 0x12345678, DLSR: 77})
	if b.SSRC != mtrSSRC || b.Highest != 149 || b.Lost != 0 || b.LSR != 0x12345678 || b.DLSR != 77 {
		t.Errorf("%+v", b)
	}
	b = x.back(rtcp.Block{SSRC: mtrSSRC, Highest: last, Lost: 1, Fraction: 10})
	if b.Lost != 2 || b.Fraction != 10 {
		t.Errorf("a loss of one packet of 40 ms: %+v", b)
	}
	if b = x.back(rtcp.Block{SSRC: mtrSSRC, Highest: uint32(x.out[9].h.Seq)}); b.Highest != 119 {
		t.Errorf("halfway: %d", b.Highest)
	}
}

// What the source loses is a gap for the far end, and told once in the report back.
func TestMTR2_LossBeforeTheTranslator(t *testing.T) {
	x := newBench(t, pcmu, opus, 1)
	x.send(50, func(s uint16) bool { return s == 120 || s == 121 })
	var missing []uint16
	for i, p := range x.out[1:] {
		prev := x.out[i].h
		for s := prev.Seq + 1; s != p.h.Seq; s++ {
			missing = append(missing, s)
		}
		if d := p.h.TS - prev.TS; d != 960*uint32(p.h.Seq-prev.Seq) {
			t.Fatalf("timestamp +%d at sequence +%d", d, p.h.Seq-prev.Seq)
		}
	}
	if slices.ContainsFunc(x.out, func(p got) bool { return p.h.Marker }) {
		t.Error("a loss is taken for a pause")
	}
	if !slices.Equal(missing, []uint16{7020, 7021}) {
		t.Fatalf("missing %v", missing)
	}
	b := x.back(rtcp.Block{SSRC: mtrSSRC, Highest: uint32(x.out[len(x.out)-1].h.Seq), Lost: 2})
	if b.Lost != 2 || b.Highest != 149 {
		t.Errorf("%+v", b)
	}
	if n := len(x.out); n != 48 {
		t.Errorf("%d packets", n)
	}
}

func TestMTR2_ReorderedIsNotLost(t *testing.T) {
	x := newBench(t, pcmu, pcma, 1)
	for range 20 {
		a, b, c := x.frame(), x.frame(), x.frame()
		for _, p := range [][]byte{c, a, a, b} {
			x.tr.HandleRTP(x.now, p, x.emit)
		}
		x.now = x.now.Add(3 * slot)
		x.tr.Tick(x.now, x.emit)
	}
	continuous(t, x.out[2:], mtrSSRC, 160)
}

func TestMTR3_SenderReport(t *testing.T) {
	x := newBench(t, pcmu, pcma, 2)
	x.send(50, nil)
	in := rtcp.AppendSR(nil, mtrSSRC, rtcp.SenderInfo{NTP: 0xabcdef, RTP: x.ts, Packets: 50, Octets: 8000}, nil)
	var p rtcp.Packet
	it := rtcp.Parse(x.tr.Forward(nil, in))
	s, ok := rtcp.SenderInfo{}, it.Next(&p)
	if ok {
		s, ok = p.SenderInfo()
	}
	ssrc, _ := p.Sender()
	octets := 0
	for _, o := range x.out {
		octets += len(o.payload)
	}
	if !ok || ssrc != mtrSSRC || s.NTP != 0xabcdef || s.Packets != 25 || int(s.Octets) != octets || s.RTP != x.ts {
		t.Errorf("%x %+v", ssrc, s)
	}
}

func TestMTR4_ClocksAreScaledAboutOneBase(t *testing.T) {
	x := newBench(t, pcmu, opus, 1)
	base := x.ts
	x.send(100, nil)
	continuous(t, x.out, mtrSSRC, 960)
	for i, p := range x.out {
		if p.h.TS-x.out[0].h.TS != 6*uint32(160*i) {
			t.Fatalf("packet %d at %d", i, p.h.TS)
		}
	}
	sr := rtcp.AppendSR(nil, mtrSSRC, rtcp.SenderInfo{NTP: 1, RTP: base + 4000}, nil)
	var p rtcp.Packet
	it := rtcp.Parse(x.tr.Forward(nil, sr))
	it.Next(&p)
	if s, _ := p.SenderInfo(); s.RTP != x.out[0].h.TS+24000 {
		t.Errorf("report's clock: %d, data's base: %d", s.RTP, x.out[0].h.TS)
	}
	if b := x.back(rtcp.Block{SSRC: mtrSSRC, Jitter: 480}); b.Jitter != 80 {
		t.Errorf("jitter %d in the source's units", b.Jitter)
	}
}

func TestMTR5_WhatIsNotOursCrossesUntouched(t *testing.T) {
	x := newBench(t, pcmu, opus, 1)
	x.send(10, nil)
	app := []byte{0x81, 204, 0, 3, 0x11, 0x11, 0x11, 0x11, 't', 'e', 's', 't', 1, 2, 3, 4}
	rest := rtcp.AppendBYE(append(rtcp.AppendSDES(nil, mtrSSRC, "source@alias"), app...), mtrSSRC)
	in := append(rtcp.AppendSR(nil, mtrSSRC, rtcp.SenderInfo{NTP: 5}, []rtcp.Block{{SSRC: 3, LSR: 0x99, DLSR: 0x88}}), rest...)
	out := x.tr.Forward(nil, in)
	if !bytes.HasSuffix(out, rest) {
		t.Error("SDES, APP or BYE changed")
	}
	var p rtcp.Packet
	it := rtcp.Parse(out)
	if !it.Next(&p) || p.Block(0) != (rtcp.Block{SSRC: 3, LSR: 0x99, DLSR: 0x88}) {
		t.Errorf("a block in the report: %+v", p.Block(0))
	}
	// Back: BYE, SDES and APP of the far end cross; what asks an encoder ends here.
	far := append(rtcp.AppendSDES(nil, 9, "far"), app...)
	if got := x.tr.Back(nil, rtcp.AppendPLI(slices.Clone(far), 9, mtrSSRC)); !bytes.Equal(got, far) {
		t.Errorf("%x", got)
	}
	if got := x.tr.Back(nil, []byte{0x81, 201, 0xff, 0xff, 1, 2, 3, 4}); len(got) != 0 {
		t.Error("a lying length crossed")
	}
}

// A pause of the source is no loss, a jump is a new start; neither stops it.
func TestTranslatorFollowsPauses(t *testing.T) {
	x := newBench(t, opus, pcmu, 1)
	x.send(20, nil)
	x.ts += 48000 // a second of silence, DTX
	x.send(20, nil)
	for i, p := range x.out[1:] {
		if p.h.Seq != x.out[i].h.Seq+1 {
			t.Fatalf("sequence +%d", p.h.Seq-x.out[i].h.Seq)
		}
		if jump := p.h.TS-x.out[i].h.TS > 160; p.h.Marker != jump {
			t.Errorf("packet %d: marker %v, timestamp +%d", i+1, p.h.Marker, p.h.TS-x.out[i].h.TS)
		}
	}
	if d := x.out[len(x.out)-1].h.TS - x.out[0].h.TS; d != 160*39+8000 {
		t.Errorf("the clock went on by %d", d)
	}
	x.seq += 5000
	n := len(x.out)
	x.send(20, nil)
	if len(x.out)-n < 18 {
		t.Errorf("%d packets after a jump", len(x.out)-n)
	}
}

func FuzzTranslatorRTCP(f *testing.F) {
	f.Add(rtcp.AppendSR(nil, mtrSSRC, rtcp.SenderInfo{NTP: 5}, []rtcp.Block{{SSRC: mtrSSRC}}))
	f.Add(rtcp.AppendRR(nil, 5, []rtcp.Block{{SSRC: mtrSSRC, Highest: 1 << 31, Lost: -5}}))
	f.Add([]byte{0x9f, 201, 0, 1, 0, 0, 0, 0})
	lib := codec.Open(codec.Options{NoNative: true})
	tr, err := NewTranslator(TranslatorConfig{Codecs: lib, From: pcmu, To: pcma, SSRC: mtrSSRC})
	if err != nil {
		f.Fatal(err)
	}
	p := make([]byte, 172)
	p[0] = 0x80
	binary.BigEndian.PutUint32(p[8:], mtrSSRC)
	tr.HandleRTP(1, p, func([]byte) {})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := tr.Forward(nil, b); len(got) > len(b) {
			t.Fatal("longer")
		}
		if got := tr.Back(nil, b); len(got) > len(b) {
			t.Fatal("longer")
		}
	})
}
