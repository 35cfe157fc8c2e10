package topology_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/topology"
)

// mixBase is the mixer's SSRC on leg n: plus n.
const mixBase = 0x0B000000

// newASY has the group E, F, G on legs 1 to 3 (tracks 1 to 3) and the outer legs
// B and D on 4 and 5 (tracks 4 and 5), who hear mixes (tracks 14 and 15).
func newASY(t testing.TB) (l *lab, e, f, b, mix *cam) {
	l = newLab(t)
	a := topology.NewAsymmetric(l.env())
	l.el = a
	for i := 1; i <= 3; i++ {
		a.AddMember(graph.LegID(i), graph.TrackID(i))
	}
	for i := uint32(4); i <= 5; i++ {
		a.AddOuter(l.now, topology.Outer{Leg: graph.LegID(i), Track: graph.TrackID(i), Mix: graph.TrackID(10 + i), SSRC: mixBase + i, CNAME: "mix", Clock: 8000})
	}
	return l, &cam{track: 1, ssrc: 0xE1}, &cam{track: 2, ssrc: 0xF1}, &cam{track: 4, ssrc: 0xB1, seq: 65533, ts: 99}, &cam{track: 14, ssrc: mixBase + 4, csrc: []uint32{0xE1, 0xF1}}
}

// talk lets everybody send 20 ms packets of G.711.
func (l *lab) talk(d time.Duration, cs ...*cam) {
	for end := l.now.Add(d); l.now < end; l.run(20 * time.Millisecond) {
		for _, c := range cs {
			l.rtp(c.track, c.packet(make([]byte, 160), false))
			c.ts += 160
		}
	}
}

func TestASY2_MixOneWayTranslatorTheOther(t *testing.T) {
	l, e, f, b, mix := newASY(t)
	x := b.packet([]byte("b"), true)
	l.rtp(4, x)
	for leg := graph.LegID(1); leg <= 3; leg++ {
		if g := l.got[leg]; len(g) != 1 || !bytes.Equal(g[0].b, x) {
			t.Fatalf("leg %d: %v", leg, g)
		}
	}
	if len(l.got) != 3 {
		t.Fatal("an outer leg hears it")
	}
	l.clear()
	l.talk(time.Second, e, f, mix)
	l.rtp(14, (&cam{ssrc: 0xBAD}).packet(nil, false)) // not the mixer's SSRC
	ps := l.media(4, 0)
	if len(ps) != 50 || len(l.media(5, 0)) != 0 || len(l.media(1, 0xE1)) != 0 || len(l.media(1, 0xF1)) != 50 || len(l.media(3, 0)) != 100 {
		t.Fatalf("%d %d %d", len(ps), len(l.media(5, 0)), len(l.media(3, 0)))
	}
	for _, p := range ps {
		if p.SSRC != mixBase+4 || !slices.Equal(p.CSRC, []uint32{0xE1, 0xF1}) {
			t.Fatalf("%v", p)
		}
	}
}

func TestASY3_ReportsOnTheMixGiveWay(t *testing.T) {
	l, e, f, b, mix := newASY(t)
	l.talk(time.Second, e, f, b, mix)
	l.rtcp(1, &prtcp.SenderReport{SSRC: 0xE1, NTPTime: 0x0102030405060708})
	at := l.now
	e.seq += 5 // lost on its way to us
	l.talk(time.Second, e, f, b, mix)
	l.run(123 * time.Millisecond)
	l.clear()
	blk := prtcp.ReceptionReport{SSRC: mixBase + 4, FractionLost: 200, TotalLost: 1000, LastSenderReport: 5}
	l.rtcp(4, &prtcp.ReceiverReport{SSRC: 0xB1, Reports: []prtcp.ReceptionReport{blk}}, prtcp.NewCNAMESourceDescription(0xB1, "b"),
		&prtcp.ExtendedReport{SenderSSRC: 0xB1}, &prtcp.TransportLayerNack{SenderSSRC: 0xB1, MediaSSRC: mixBase + 4, Nacks: []prtcp.NackPair{{PacketID: 4}}})
	for leg := graph.LegID(1); leg <= 3; leg++ {
		rr := control[*prtcp.ReceiverReport](l, leg)
		if len(rr) != 1 || rr[0].SSRC != 0xB1 || len(rr[0].Reports) != 2 || len(control[*prtcp.TransportLayerNack](l, leg)) != 0 || len(control[*prtcp.ExtendedReport](l, leg)) != 0 {
			t.Fatalf("leg %d: %v", leg, rr)
		}
		for _, k := range rr[0].Reports {
			switch d := float64(l.now.Sub(at)) * 65536 / 1e9; {
			case k.SSRC == 0xE1 && (k.TotalLost != 5 || k.LastSenderReport != 0x03040506 || float64(k.Delay)-d > 131 || d-float64(k.Delay) > 131):
				t.Fatalf("%+v, want DLSR %f", k, d)
			case k.SSRC == 0xF1 && (k.TotalLost != 0 || k.LastSenderReport != 0 || k.Delay != 0):
				t.Fatalf("%+v", k)
			case k.SSRC != 0xE1 && k.SSRC != 0xF1:
				t.Fatalf("a report on %x", k.SSRC)
			}
		}
	}
	if len(l.got) != 3 {
		t.Fatal("an outer leg heard it")
	}
}

func TestASY4_ReportsOfTheGroupAreFolded(t *testing.T) {
	l, e, _, b, mix := newASY(t)
	l.talk(time.Second, e, b, mix)
	rep := func(highest uint32, fraction uint8, lost uint32, lsr uint32) []prtcp.ReceptionReport {
		return []prtcp.ReceptionReport{{SSRC: 0xB1, LastSequenceNumber: highest, FractionLost: fraction, TotalLost: lost, LastSenderReport: lsr, Delay: 65536}}
	}
	l.clear()
	c := l.rtcp(1, &prtcp.SenderReport{SSRC: 0xE1, NTPTime: 1 << 40, Reports: rep(65575, 10, 3, 7)}, prtcp.NewCNAMESourceDescription(0xE1, "e"))
	if len(l.got[2]) != 1 || !bytes.Equal(l.got[2][0].b, c) || len(l.got[1]) != 0 {
		t.Fatal("within the group it passes as it is")
	}
	l.rtcp(2, &prtcp.ReceiverReport{SSRC: 0xF1, Reports: rep(65570, 90, 1, 8)})
	at := l.now
	l.rtcp(3, &prtcp.ReceiverReport{SSRC: 0x61, Reports: rep(65580, 0, 0, 9)})
	l.clear()
	l.run(7 * time.Second)
	n := 0
	for _, s := range l.got[4] {
		for _, q := range must(prtcp.Unmarshal(s.b)) {
			switch x := q.(type) {
			case *prtcp.SenderReport:
				n++
				if x.SSRC != mixBase+4 || len(x.Reports) != 1 {
					t.Fatalf("%v", x)
				}
				k, d := x.Reports[0], 65536+float64(s.at.Sub(at))*65536/1e9
				if k.SSRC != 0xB1 || k.LastSequenceNumber != 65570 || k.FractionLost != 90 || k.TotalLost != 3 || k.LastSenderReport != 8 || float64(k.Delay)-d > 131 || d-float64(k.Delay) > 131 {
					t.Fatalf("%+v", k)
				}
			case *prtcp.SourceDescription:
				if len(x.Chunks) != 1 || x.Chunks[0].Source != mixBase+4 {
					t.Fatalf("%v", x)
				}
			default:
				t.Fatalf("B got %v", x)
			}
		}
	}
	if n == 0 {
		t.Fatal("no report")
	}
	l.run(31 * time.Second) // whoever reported is gone
	l.clear()
	l.run(7 * time.Second)
	for _, x := range control[*prtcp.SenderReport](l, 4) {
		if len(x.Reports) != 0 {
			t.Fatal("old reports are kept")
		}
	}
	// A keyframe asked of B by several is asked once, by us.
	l.clear()
	for range 3 {
		l.rtcp(1, &prtcp.PictureLossIndication{SenderSSRC: 0xE1, MediaSSRC: 0xB1})
		l.rtcp(2, &prtcp.FullIntraRequest{SenderSSRC: 0xF1, FIR: []prtcp.FIREntry{{SSRC: 0xB1}}})
	}
	if p := control[*prtcp.PictureLossIndication](l, 4); len(p) != 1 || p[0].SenderSSRC != mixBase+4 || p[0].MediaSSRC != 0xB1 || len(control[*prtcp.FullIntraRequest](l, 4)) != 0 {
		t.Fatalf("%v", p)
	}
}

func TestASY5_SenderReportsOfBothSides(t *testing.T) {
	l, e, f, b, mix := newASY(t)
	l.talk(time.Second, e, f, b, mix)
	l.clear()
	l.rtcp(4, &prtcp.SenderReport{SSRC: 0xB1, NTPTime: 11, RTPTime: 12, PacketCount: 13, OctetCount: 14}, prtcp.NewCNAMESourceDescription(0xB1, "b"), &prtcp.Goodbye{Sources: []uint32{0xB1}, Reason: "bye"})
	for leg := graph.LegID(1); leg <= 3; leg++ {
		sr, sd, by := control[*prtcp.SenderReport](l, leg), control[*prtcp.SourceDescription](l, leg), control[*prtcp.Goodbye](l, leg)
		if len(sr) != 1 || sr[0].SSRC != 0xB1 || sr[0].NTPTime != 11 || sr[0].RTPTime != 12 || sr[0].PacketCount != 13 || sr[0].OctetCount != 14 ||
			len(sd) != 1 || sd[0].Chunks[0].Items[0].Text != "b" || len(by) != 1 || by[0].Sources[0] != 0xB1 || by[0].Reason != "bye" {
			t.Fatalf("leg %d: %v %v %v", leg, sr, sd, by)
		}
	}
	l.clear()
	first := l.now
	l.talk(20*time.Second, e, mix)
	n := 0
	var at clock.Time
	for _, s := range l.got[4] {
		if !s.rtcp {
			continue
		}
		x := must(prtcp.Unmarshal(s.b))[0].(*prtcp.SenderReport)
		sent := 50 + int(s.at.Sub(first)/(20*time.Millisecond)) // and one, if the report comes after its packet
		if d := int(x.PacketCount) - sent; d < 0 || d > 1 || x.OctetCount != 160*x.PacketCount || x.NTPTime != anchor.NTP(s.at) {
			t.Fatalf("%+v, sent %d", x, sent)
		}
		if want := uint32(int64(s.at-l.now)*8/1e6) + mix.ts; x.RTPTime-want+80 > 160 {
			t.Fatalf("RTP time %d, want %d", x.RTPTime, want)
		}
		if n++; at != 0 && (s.at.Sub(at) < 2*time.Second || s.at.Sub(at) > 7*time.Second) {
			t.Fatalf("interval %v", s.at.Sub(at))
		}
		at = s.at
	}
	for leg := graph.LegID(1); leg <= 3; leg++ {
		for _, s := range l.got[leg] {
			if s.rtcp {
				t.Fatalf("leg %d got %x", leg, s.b)
			}
		}
	}
	if n < 3 {
		t.Fatal(n)
	}
}

// TestAsymmetricLeaving: who said BYE is not reported on, who left gets nothing.
func TestAsymmetricLeaving(t *testing.T) {
	l, e, f, b, mix := newASY(t)
	l.talk(time.Second, e, f, b, mix)
	l.rtcp(1, &prtcp.ReceiverReport{SSRC: 0xE1, Reports: []prtcp.ReceptionReport{{SSRC: 0xB1, FractionLost: 9}}})
	l.rtcp(1, &prtcp.ReceiverReport{SSRC: 0xE1}, &prtcp.Goodbye{Sources: []uint32{0xE1}})
	l.el.(*topology.Asymmetric).Remove(1)
	l.clear()
	l.talk(6*time.Second, e, f, b, mix)
	l.rtcp(4, &prtcp.ReceiverReport{SSRC: 0xB1})
	rr := control[*prtcp.ReceiverReport](l, 2)
	if len(l.got[1]) != 0 || len(l.media(2, 0xE1)) != 0 || len(rr) != 1 || len(rr[0].Reports) != 1 || rr[0].Reports[0].SSRC != 0xF1 {
		t.Fatalf("%v", rr)
	}
	for _, x := range control[*prtcp.SenderReport](l, 4) {
		if len(x.Reports) != 0 {
			t.Fatalf("%v", x)
		}
	}
	l.el.(*topology.Asymmetric).Remove(4)
	l.clear()
	l.talk(6*time.Second, mix, b)
	if len(l.got[4]) != 0 || len(l.media(2, 0)) != 0 {
		t.Fatal("left, and still served")
	}
}

func FuzzAsymmetric(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		l, _, _, _, _ := newASY(t)
		l.script(b, func(int) {})
		l.empty()
	})
}
