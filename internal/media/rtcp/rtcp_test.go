package rtcp

import (
	"math/rand/v2"
	"reflect"
	"testing"

	prtcp "github.com/pion/rtcp"
)

func sample() []byte {
	b := AppendSR(nil, 1, SenderInfo{NTP: 0x0102030405060708, RTP: 9, Packets: 10, Octets: 11},
		[]Block{{SSRC: 2, Fraction: 5, Lost: -3, Highest: 1<<16 | 63, Jitter: 4, LSR: 5, DLSR: 6}})
	b = AppendRR(b, 1, []Block{{SSRC: 3, Lost: 1 << 30}})
	b = AppendSDES(b, 1, "alias-1")
	b = AppendSDES(b, 2, "ab")
	b = AppendNACK(b, 1, 2, []uint16{1000, 1001, 1003, 65530, 2})
	b = AppendPLI(b, 1, 2)
	b = AppendFIR(b, 1, 2, 77)
	b = AppendREMB(b, 1, 2_500_000, []uint32{2, 3})
	b = AppendTMMBN(b, 1, []Limit{{SSRC: 2, Bitrate: 200_000, Overhead: 40}})
	b = AppendTWCC(b, 1, 2, 65534, 5, 3, []int32{0, 255, Missing, 256, -1, 3, 3, 3, 3, 3, 3, 3, 3, Missing})
	return AppendBYE(b, 1, 9)
}

func TestBuildersAgainstPion(t *testing.T) {
	ps, err := prtcp.Unmarshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	if len(ps) != 11 {
		t.Fatalf("%d packets", len(ps))
	}
	sr := ps[0].(*prtcp.SenderReport)
	if sr.NTPTime != 0x0102030405060708 || sr.PacketCount != 10 || sr.Reports[0].LastSequenceNumber != 1<<16|63 || sr.Reports[0].TotalLost != 0xfffffd {
		t.Errorf("SR %+v", sr)
	}
	if rr := ps[1].(*prtcp.ReceiverReport); rr.Reports[0].TotalLost != 0x7fffff {
		t.Errorf("RR %+v", rr)
	}
	if s := ps[2].(*prtcp.SourceDescription); s.Chunks[0].Items[0].Text != "alias-1" {
		t.Errorf("SDES %+v", s)
	}
	var got []uint16
	for _, n := range ps[4].(*prtcp.TransportLayerNack).Nacks {
		got = append(got, n.PacketList()...)
	}
	if !reflect.DeepEqual(got, []uint16{1000, 1001, 1003, 65530, 2}) {
		t.Errorf("NACK %v", got)
	}
	if f := ps[6].(*prtcp.FullIntraRequest); f.MediaSSRC != 0 || f.FIR[0].SSRC != 2 || f.FIR[0].SequenceNumber != 77 {
		t.Errorf("FIR %+v", f)
	}
	if r := ps[7].(*prtcp.ReceiverEstimatedMaximumBitrate); int(r.Bitrate) != 2_500_000 || len(r.SSRCs) != 2 {
		t.Errorf("REMB %+v", r)
	}
	if bye := ps[10].(*prtcp.Goodbye); len(bye.Sources) != 2 {
		t.Errorf("BYE %+v", bye)
	}
}

func TestTWCCAgainstPion(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		d := make([]int32, 1+r.IntN(200))
		for i := range d {
			switch r.IntN(6) {
			case 0:
				d[i] = Missing
			case 1:
				d[i] = r.Int32N(60000) - 30000
			default:
				d[i] = r.Int32N(30)
			}
		}
		var p prtcp.TransportLayerCC
		if err := p.Unmarshal(AppendTWCC(nil, 1, 2, 60000, 77, 3, d)); err != nil {
			t.Fatal(err)
		}
		var sym []uint16
		for _, c := range p.PacketChunks {
			switch c := c.(type) {
			case *prtcp.RunLengthChunk:
				for range c.RunLength {
					sym = append(sym, c.PacketStatusSymbol)
				}
			case *prtcp.StatusVectorChunk:
				sym = append(sym, c.SymbolList...)
			}
		}
		k := 0
		for i, v := range d {
			if sym[i] != symbol(v) {
				t.Fatalf("symbol %d: %d, want %d", i, sym[i], symbol(v))
			}
			if v != Missing {
				if p.RecvDeltas[k].Delta != int64(v)*250 {
					t.Fatalf("delta %d: %d", i, p.RecvDeltas[k].Delta)
				}
				k++
			}
		}
		if p.ReferenceTime != 77 || p.FbPktCount != 3 || p.BaseSequenceNumber != 60000 || int(p.PacketStatusCount) != len(d) {
			t.Fatalf("%+v", p)
		}
	}
}

func TestReaders(t *testing.T) {
	it := Parse(sample())
	var p Packet
	seen := 0
	for ; it.Next(&p); seen++ {
		switch {
		case p.Type == TypeSR:
			s, ok := p.SenderInfo()
			if bl := p.Block(0); !ok || s.Octets != 11 || p.Blocks() != 1 || bl.Lost != -3 || bl.Highest != 1<<16|63 {
				t.Errorf("SR %+v %+v", s, p.Block(0))
			}
		case p.Type == TypeSDES:
			p.CNAME(func(ssrc uint32, name []byte) {
				if ssrc == 1 && string(name) != "alias-1" || ssrc == 2 && string(name) != "ab" {
					t.Errorf("CNAME %d %q", ssrc, name)
				}
			})
		case p.Type == TypePSFB && p.Count == FmtAFB:
			if v, ok := p.REMB(); !ok || v != 2_500_000 {
				t.Errorf("REMB %d %v", v, ok)
			}
		case p.Type == TypePSFB && p.Count == FmtFIR:
			if s, n := p.FIR(0); p.FIRs() != 1 || s != 2 || n != 77 {
				t.Error("FIR")
			}
		case p.Type == TypeRTPFB && p.Count == FmtNACK:
			if pid, blp := p.NACK(0); pid != 1000 || blp != 0b101 {
				t.Errorf("NACK %d %b", pid, blp)
			}
		case p.Type == TypeRTPFB && p.Count == FmtTMMBN:
			if l := p.Limit(0); l.SSRC != 2 || l.Bitrate < 199_990 || l.Bitrate > 200_000 || l.Overhead != 40 {
				t.Errorf("limit %+v", p.Limit(0))
			}
		}
	}
	if it.Bad() || seen != 11 {
		t.Fatalf("bad %v after %d", it.Bad(), seen)
	}
	if n := testing.AllocsPerRun(100, func() {
		it := Parse(sampleBytes)
		var p Packet
		for it.Next(&p) {
			_ = p.Blocks() + p.NACKs()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

var sampleBytes = sample()

func TestLengthLies(t *testing.T) {
	b := AppendRR(nil, 1, nil)
	b = append(b, 0x80, 195, 0, 1, 1, 2, 3, 4) // unknown type between
	b = AppendPLI(b, 1, 2)
	var p Packet
	it, types := Parse(b), []uint8{}
	for it.Next(&p) {
		types = append(types, p.Type)
	}
	if it.Bad() || !reflect.DeepEqual(types, []uint8{201, 195, 206}) {
		t.Fatalf("%v bad %v", types, it.Bad())
	}
	b[len(b)-9] = 200 // PLI's length lies
	for it = Parse(b); it.Next(&p); {
	}
	if !it.Bad() {
		t.Error("lie not noticed")
	}
	for _, bad := range [][]byte{{0x80}, {0x40, 200, 0, 0}, {0xa0, 201, 0, 1, 0, 0, 0, 0}, {0xa0, 201, 0, 1, 0, 0, 0, 8}, {0xa0, 203, 0, 0}} {
		if it = Parse(bad); it.Next(&p) || !it.Bad() {
			t.Errorf("% x accepted", bad)
		}
	}
	if p := (Packet{Type: TypePSFB, Count: FmtAFB, Body: append(make([]byte, 8), 'R', 'E', 'M', 'B', 1, 0xff, 0xff, 0xff)}); true {
		if _, ok := p.REMB(); ok {
			t.Error("REMB 2^63 accepted")
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample())
	f.Add([]byte{0x9f, 202, 0, 1, 1, 0xff, 0, 0})
	f.Add([]byte{0x8f, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 'R', 'E', 'M', 'B', 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		it := Parse(b)
		var p Packet
		for it.Next(&p) {
			_, _ = p.Sender()
			_, _ = p.Media()
			_, _ = p.SenderInfo()
			_, _ = p.REMB()
			for i := range p.Blocks() {
				_ = p.Block(i)
			}
			for i := range p.NACKs() {
				p.NACK(i)
			}
			for i := range p.FIRs() {
				p.FIR(i)
				p.Limit(i)
			}
			for i := 0; ; i++ {
				if _, ok := p.ByeSSRC(i); !ok {
					break
				}
			}
			if p.Type == TypeSDES {
				p.CNAME(func(uint32, []byte) {})
			}
		}
	})
}
