package topology_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
)

// newRTM shows A to all others and B to A, and lets both send for two seconds.
func newRTM(t testing.TB, kbps int) (l *hall, a, b *cam) {
	l = newHall(t, "rtcp-terminating-mcu")
	a, b = l.room(kbps)
	l.show(1)
	l.show(2, 1)
	l.rtp(2, b.frame(true))
	l.play(2*time.Second, a, a, b)
	return l, a, b
}

func TestRTM1_NoContributorsAndOneName(t *testing.T) {
	l, a, b := newRTM(t, 0)
	l.show(2, 3) // another source in the slot
	l.play(time.Second, b, a, b)
	for leg := graph.LegID(1); leg <= 4; leg++ {
		ps := l.media(leg, 0)
		for i, p := range ps {
			if len(p.CSRC) != 0 || p.SSRC != slotBase+uint32(leg) || (i > 0 && p.SequenceNumber != ps[i-1].SequenceNumber+1) {
				t.Fatalf("leg %d: %v", leg, p)
			}
		}
		ds := control[*prtcp.SourceDescription](l.lab, leg)
		if len(ps) < 60 || len(ds) == 0 {
			t.Fatalf("leg %d: %d packets, %d descriptions", leg, len(ps), len(ds))
		}
		for _, d := range ds {
			for _, c := range d.Chunks {
				if len(c.Items) != 1 || c.Items[0].Text != "mcu-"+string(rune('0'+leg)) || c.Source == a.ssrc || c.Source == b.ssrc {
					t.Fatalf("leg %d: %v", leg, c)
				}
			}
		}
	}
}

func TestRTM2_NothingOfAnotherLegLeaks(t *testing.T) {
	l, a, b := newRTM(t, 0)
	l.rtcp(1, &prtcp.SenderReport{SSRC: a.ssrc, NTPTime: 1}, prtcp.NewCNAMESourceDescription(a.ssrc, "secret-a"))
	l.rtcp(2, &prtcp.SenderReport{SSRC: b.ssrc, NTPTime: 1, Reports: []prtcp.ReceptionReport{{SSRC: slotBase + 2}}}, prtcp.NewCNAMESourceDescription(b.ssrc, "secret-b"),
		&prtcp.ExtendedReport{SenderSSRC: b.ssrc}, &prtcp.ApplicationDefined{SSRC: b.ssrc, Name: "abcd"})
	l.show(2, 3)
	l.play(time.Second, b, a, b)
	be := func(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
	for leg := graph.LegID(1); leg <= 4; leg++ {
		for _, s := range l.got[leg] {
			foreign := [][]byte{[]byte("secret"), []byte("alias"), be(srcA), be(srcB), be(0x77)}
			for o := uint32(1); o <= 4; o++ {
				if o != uint32(leg) {
					foreign = append(foreign, be(slotBase+o), be(rtxBase+o), []byte("mcu-"+string(rune('0'+o))))
				}
			}
			if leg != 1 {
				foreign = append(foreign, be(a.ssrc))
			}
			if leg != 2 {
				foreign = append(foreign, be(b.ssrc))
			}
			for _, f := range foreign {
				if bytes.Contains(s.b, f) {
					t.Fatalf("leg %d got %x in %x", leg, f, s.b)
				}
			}
		}
	}
}

// TestRTM2_ExtensionsEnd: a publisher's extensions are not carried, even when
// both legs know them.
func TestRTM2_ExtensionsEnd(t *testing.T) {
	l := newHall(t, "rtcp-terminating-mcu")
	pcmu := []plane.Codec{{Name: "PCMU", PT: 0, ClockRate: 8000}}
	for i := graph.LegID(1); i <= 2; i++ {
		l.open(i, plane.LegMedia{CNAME: "mcu", Sections: []plane.Section{{MID: "0", Kind: plane.Audio, Exts: plane.ExtIDs{plane.ExtAudioLevel: 3, plane.ExtAbsCapture: 4},
			Recv: &plane.Recv{Codecs: pcmu}, Send: &plane.Send{Codecs: pcmu}}}})
	}
	l.publish(1, 1, plane.Track{Kind: plane.Audio, SrcID: srcA, CNAME: "alias-a"})
	l.show(1, 2)
	l.rtp(1, append([]byte{0x90, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9, 0xBE, 0xDE, 0, 1, 0x30, 0x05, 0, 0}, "audio"...))
	ps := l.media(2, 0)
	if len(ps) != 1 || len(ps[0].Extensions) != 0 || string(ps[0].Payload) != "audio" {
		t.Fatalf("%v", ps)
	}
}

func TestRTM3_RenegotiationOfAnotherLeg(t *testing.T) {
	l, a, b := newRTM(t, 0)
	before := l.media(3, 0)
	l.clear()
	m := legOf(2, 104, 0)
	m.Sections[0].Send.Codecs[0].PT = 120
	l.eng.ConfigureLeg(l.now, 2, m)
	l.play(time.Second, nil, a, b)
	after := l.media(3, 0)
	if len(after) < 25 || after[0].SequenceNumber != before[len(before)-1].SequenceNumber+1 {
		t.Fatal("A's watcher is disturbed")
	}
	for i, p := range after {
		if p.SSRC != slotBase+3 || p.PayloadType != 110 || p.SequenceNumber != after[0].SequenceNumber+uint16(i) {
			t.Fatalf("%v", p)
		}
	}
	if ps := l.media(2, 0); len(ps) < 25 || ps[0].PayloadType != 120 || ps[0].SSRC != slotBase+2 {
		t.Fatalf("%d under the old format", len(ps))
	}
}

func TestRTM4_FeedbackActsOnTheLegAlone(t *testing.T) {
	l, a, b := newRTM(t, 0)
	l.clear()
	twin := func(leg graph.LegID) (out [][]byte) {
		for _, p := range l.media(leg, 0) {
			out = append(out, p.Payload)
		}
		return out
	}
	l.rtcp(3, &prtcp.PictureLossIndication{SenderSSRC: 3, MediaSSRC: slotBase + 3}, &prtcp.FullIntraRequest{SenderSSRC: 3, FIR: []prtcp.FIREntry{{SSRC: slotBase + 3, SequenceNumber: 200}}})
	if p := control[*prtcp.PictureLossIndication](l.lab, 1); len(p) != 1 || p[0].MediaSSRC != a.ssrc {
		t.Fatalf("%v", p)
	}
	if len(l.got[2]) != 0 || len(l.got[4]) != 0 {
		t.Fatal("others hear of it")
	}
	l.clear()
	l.rtcp(3, tmmbr(3, slotBase+3, 1000)) // less than A sends
	if p := tmmbn(l.lab, 3); !slices.Equal(p, []uint64{1000}) {
		t.Fatalf("TMMBN %v", p)
	}
	l.play(2*time.Second, nil, a, b)
	if len(twin(4)) < 55 || len(twin(2)) < 55 {
		t.Fatal("others are limited, too")
	}
	if n := len(twin(3)); n > 15 {
		t.Fatalf("%d packets beyond the limit", n)
	}
	l.rtcp(3, tmmbr(3, slotBase+3, 1_000_000))
	l.clear()
	l.run(time.Second)
	l.play(time.Second, a, a, b)
	if ps := l.media(3, 0); len(ps) < 20 || !bytes.HasPrefix(ps[0].Payload, vp8Key) {
		t.Fatalf("%d after the limit was raised", len(ps))
	}
	for leg := graph.LegID(1); leg <= 4; leg++ {
		for _, s := range l.got[leg] {
			if s.rtcp && s.b[1] == 205 && s.b[0]&31 == 3 {
				t.Fatal("TMMBR passed on")
			}
		}
	}
}

// tmmbr is a raw RTPFB 3, which the test library lacks.
func tmmbr(from, target uint32, bps uint32) *prtcp.RawPacket {
	b := []byte{0x83, 205, 0, 4}
	exp := uint32(0)
	for ; bps > 0x1ffff; bps >>= 1 {
		exp++
	}
	for _, v := range []uint32{from, 0, target, exp<<26 | bps<<9 | 40} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	p := prtcp.RawPacket(b)
	return &p
}

// tmmbn returns the limits that a leg was notified of.
func tmmbn(l *lab, leg graph.LegID) (bps []uint64) {
	for _, s := range l.got[leg] {
		for b := s.b; s.rtcp && len(b) >= 4; b = b[4+4*int(binary.BigEndian.Uint16(b[2:])):] {
			if b[1] == 205 && b[0]&31 == 4 && binary.BigEndian.Uint32(b[12:]) == uint32(leg) {
				v := binary.BigEndian.Uint32(b[16:])
				bps = append(bps, uint64(v>>9&0x1ffff)<<(v>>26))
			}
		}
	}
	return bps
}

func TestRTM5_ComingAndGoingIsNotHeard(t *testing.T) {
	l, a, b := newRTM(t, 0)
	l.clear()
	l.open(9, legOf(9, 96, 0))
	l.show(1, 9)
	l.play(time.Second, a, a, b)
	l.unpublish(2)
	l.close(2)
	l.play(time.Second, nil, a)
	for _, leg := range []graph.LegID{1, 3, 4, 9} {
		if g := control[*prtcp.Goodbye](l.lab, leg); len(g) != 0 {
			t.Fatalf("leg %d: %v", leg, g)
		}
	}
	if g := control[*prtcp.Goodbye](l.lab, 2); len(g) != 1 || !slices.Equal(g[0].Sources, []uint32{slotBase + 2, rtxBase + 2}) {
		t.Fatalf("%v", g)
	}
	l.rtcp(1, &prtcp.ReceiverReport{SSRC: a.ssrc}, &prtcp.Goodbye{Sources: []uint32{a.ssrc}})
	l.run(time.Second)
	if len(control[*prtcp.Goodbye](l.lab, 3)) != 0 || len(l.media(9, slotBase+9)) < 50 {
		t.Fatal("BYE of a source heard by others, or the newcomer saw nothing")
	}
}

func TestRTM7_ReportsByTheLegAlone(t *testing.T) {
	gaps := func(legs int) (least, most time.Duration) {
		l := newHall(t, "rtcp-terminating-mcu")
		a, b := l.room(64)
		for i := 5; i <= legs; i++ {
			l.open(graph.LegID(i), legOf(graph.LegID(i), 96, 64))
		}
		for i := 2; i <= legs; i++ {
			l.show(1, graph.LegID(i))
		}
		l.play(time.Second, a, a, b)
		l.clear()
		for range 30 {
			l.play(2*time.Second, nil, a, b)
		}
		least = time.Hour
		for leg := graph.LegID(1); leg <= graph.LegID(legs); leg++ {
			var at clock.Time
			n := 0
			for _, s := range l.got[leg] {
				if !s.rtcp || !slices.Contains([]byte{200, 201}, s.b[1]) || bytes.Contains(s.b, []byte{0x84, 206}) || bytes.Contains(s.b, []byte{0x81, 206}) {
					continue
				}
				n++
				if at != 0 {
					least, most = min(least, s.at.Sub(at)), max(most, s.at.Sub(at))
				}
				at = s.at
			}
			if n < 5 {
				t.Fatalf("leg %d: %d reports in a minute", leg, n)
			}
		}
		return least, most
	}
	few, fewMost := gaps(4)
	many, manyMost := gaps(20)
	if few < 2*time.Second || many < 2*time.Second || fewMost > 7*time.Second || manyMost > 7*time.Second {
		t.Fatalf("4 legs %v to %v, 20 legs %v to %v", few, fewMost, many, manyMost)
	}
}

// TestRTM7_SwitchesDoNotHastenReports: a switch brings a report forward, but not
// beyond the share of a thin leg.
func TestRTM7_SwitchesDoNotHastenReports(t *testing.T) {
	l, a, b := newRTM(t, 64)
	l.clear()
	for i := range 40 {
		c := []*cam{a, b}[i%2]
		l.show(c.track, 3)
		l.play(700*time.Millisecond, c, a, b)
	}
	var at clock.Time
	n := 0
	for _, s := range l.got[3] {
		if !s.rtcp {
			continue
		}
		if n++; at != 0 && s.at.Sub(at) < 2*time.Second {
			t.Fatalf("reports %v apart", s.at.Sub(at))
		}
		at = s.at
	}
	if n < 8 {
		t.Fatalf("%d reports", n)
	}
}
