package topology_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
)

// play lets cameras send frames for a while; key says who begins with a keyframe.
func (l *lab) play(d time.Duration, key *cam, cams ...*cam) {
	for i, end := 0, l.now.Add(d); l.now < end; i++ {
		for _, c := range cams {
			l.rtp(c.track, c.frame(i == 0 && c == key))
		}
		l.run(frameTime)
	}
}

// switched plays A for a second, switches to B, whose keyframe comes 200 ms later.
func switched(t testing.TB) (l *hall, a, b *cam) {
	l = newHall(t, "switch")
	a, b = l.room(0)
	l.show(1)
	l.play(time.Second, a, a, b)
	l.show(2)
	l.play(200*time.Millisecond, nil, a, b)
	l.play(time.Second, b, a, b)
	return l, a, b
}

func TestSWX1_SwitchKeepsTheSlot(t *testing.T) {
	l, _, _ := switched(t)
	ps := l.media(3, 0)
	turn := 0
	for i, p := range ps {
		if p.SSRC != slotBase+3 || len(p.CSRC) != 1 || !p.Marker {
			t.Fatalf("%v", p)
		}
		if i > 0 && p.SequenceNumber != ps[i-1].SequenceNumber+1 {
			t.Fatalf("seq at %d", i)
		}
		if i > 0 && p.CSRC[0] != ps[i-1].CSRC[0] {
			turn++
			if ps[i-1].CSRC[0] != srcA || p.CSRC[0] != srcB {
				t.Fatalf("CSRC %x", p.CSRC)
			}
		}
	}
	if turn != 1 || len(ps) < 60 {
		t.Fatalf("%d turns in %d", turn, len(ps))
	}
}

func TestSWX1_MarkerAsInTheSource(t *testing.T) {
	l, _, b := switched(t)
	l.clear()
	for i := range 6 {
		l.rtp(2, b.packet(vp8Inter, i%3 == 2))
	}
	for i, p := range l.media(3, 0) {
		if p.Marker != (i%3 == 2) {
			t.Fatalf("marker of %d", i)
		}
	}
}

// firstOf returns the index of the first packet with this CSRC.
func (l *lab) firstOf(leg graph.LegID, csrc uint32) int {
	l.t.Helper()
	for i, p := range l.media(leg, 0) {
		if len(p.CSRC) == 1 && p.CSRC[0] == csrc {
			return i
		}
	}
	l.t.Fatal("source never shown")
	return 0
}

func TestSWX2_TimestampFollowsTheWallClock(t *testing.T) {
	l, _, _ := switched(t)
	ps, i := l.media(3, 0), l.firstOf(3, srcB)
	var at []clock.Time
	for _, s := range l.got[3] {
		if !s.rtcp {
			at = append(at, s.at)
		}
	}
	wall := int64(at[i].Sub(at[i-1])) * 90000 / 1e9
	if d := int64(int32(ps[i].Timestamp - ps[i-1].Timestamp)); d <= 0 || d-wall > 3000 || wall-d > 3000 {
		t.Fatalf("step %d, wall %d", d, wall)
	}
}

func TestSWX3_SwitchAtAKeyframeAskedForOnce(t *testing.T) {
	l, _, b := switched(t)
	ps, i := l.media(3, 0), l.firstOf(3, srcB)
	if !bytes.HasPrefix(ps[i].Payload, vp8Key) {
		t.Fatalf("begins with %x", ps[i].Payload)
	}
	if i < 35 { // a second and 200 ms of A at 30 a second
		t.Fatalf("A ended after %d frames", i)
	}
	if p := control[*prtcp.PictureLossIndication](l.lab, 2); len(p) != 1 || p[0].MediaSSRC != b.ssrc || len(control[*prtcp.FullIntraRequest](l.lab, 2)) != 0 {
		t.Fatalf("%v", p)
	}
}

// TestSWX3_CommandsAreCounted: where only FIR was agreed, a switch is one
// command; repeated under its number, the next switch has the next.
func TestSWX3_CommandsAreCounted(t *testing.T) {
	l := newHall(t, "switch")
	a, b := l.room(0)
	m := legOf(1, 96, 0)
	m.Sections[0].Recv.Codecs[0].PLI = false
	l.eng.ConfigureLeg(l.now, 1, m)
	commands := func() []*prtcp.FullIntraRequest { return control[*prtcp.FullIntraRequest](l.lab, 1) }
	l.play(200*time.Millisecond, nil, a, b)
	l.show(1)
	l.play(200*time.Millisecond, nil, a, b)
	l.play(3*time.Second, a, a, b)
	first := commands()
	if len(first) != 1 || first[0].MediaSSRC != 0 || len(first[0].FIR) != 1 || first[0].FIR[0].SSRC != a.ssrc {
		t.Fatalf("%v", first)
	}
	l.show(2)
	l.play(3*time.Second, b, a, b)
	l.clear()
	l.show(1)
	l.play(2*time.Second, nil, a, b)
	again := commands()
	if len(again) < 2 || len(again) > 4 {
		t.Fatalf("%d commands", len(again))
	}
	for _, f := range again {
		if f.FIR[0].SequenceNumber != first[0].FIR[0].SequenceNumber+1 {
			t.Fatalf("%d after %d", f.FIR[0].SequenceNumber, first[0].FIR[0].SequenceNumber)
		}
	}
}

func TestSWX4_NACKAcrossTheSwitch(t *testing.T) {
	l, _, _ := switched(t)
	ps, i := l.media(3, 0), l.firstOf(3, srcB)
	want := ps[i-3]
	l.clear()
	l.rtcp(3, &prtcp.TransportLayerNack{SenderSSRC: 3, MediaSSRC: slotBase + 3, Nacks: []prtcp.NackPair{{PacketID: want.SequenceNumber}}})
	re := l.media(3, rtxBase+3)
	if len(re) != 1 || re[0].PayloadType != 111 || binary.BigEndian.Uint16(re[0].Payload) != want.SequenceNumber ||
		!bytes.Equal(re[0].Payload[2:], want.Payload) || re[0].Timestamp != want.Timestamp || re[0].CSRC[0] != srcA {
		t.Fatalf("%v for %v", re, want)
	}
	if len(control[*prtcp.TransportLayerNack](l.lab, 1)) != 0 {
		t.Fatal("NACK passed on")
	}
}

func TestSWX5_SourceOutsideSlotsGetsItsTrueReport(t *testing.T) {
	l := newHall(t, "switch")
	a, b := l.room(0)
	l.show(1)
	l.play(frameTime, a, a, b)
	l.rtcp(2, &prtcp.SenderReport{SSRC: b.ssrc, NTPTime: 0x0102030405060708})
	at := l.now
	for i := range 300 { // every tenth of B is lost, B is never shown
		l.rtp(1, a.frame(false))
		if x := b.frame(false); i%10 != 5 {
			l.rtp(2, x)
		}
		l.run(frameTime)
	}
	n := 0
	for _, g := range l.got[2] {
		if !g.rtcp {
			continue
		}
		for _, q := range must(prtcp.Unmarshal(g.b)) {
			rr, ok := q.(*prtcp.ReceiverReport)
			if !ok || len(rr.Reports) == 0 || g.at == at {
				continue
			}
			k := rr.Reports[0]
			if n++; rr.SSRC == b.ssrc || len(rr.Reports) != 1 || k.SSRC != b.ssrc || k.FractionLost > 60 {
				t.Fatalf("%+v", rr)
			}
			if d := float64(g.at.Sub(at)) * 65536 / 1e9; g.at > at.Add(2*time.Second) && (k.LastSenderReport != 0x03040506 || float64(k.Delay)-d > 131 || d-float64(k.Delay) > 131) {
				t.Fatalf("%+v, want DLSR %f", k, d)
			}
		}
	}
	if n < 4 {
		t.Fatalf("%d reports", n)
	}
	var last []prtcp.ReceptionReport
	for _, rr := range control[*prtcp.ReceiverReport](l.lab, 2) {
		if len(rr.Reports) > 0 { // others lead NACKs
			last = rr.Reports
		}
	}
	if len(last) != 1 || last[0].TotalLost < 20 || last[0].TotalLost > 30 {
		t.Fatalf("lost %+v", last)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestSWX6_ReportRightAfterTheSwitch(t *testing.T) {
	l, _, _ := switched(t)
	ps, i := l.media(3, 0), l.firstOf(3, srcB)
	var at clock.Time // of the switch
	var sr *prtcp.SenderReport
	n, octets := 0, 0
	for _, g := range l.got[3] {
		if !g.rtcp {
			if n == i {
				at = g.at
			}
			octets += len(ps[n].Payload)
			n++
			continue
		}
		for _, q := range must(prtcp.Unmarshal(g.b)) {
			x, ok := q.(*prtcp.SenderReport)
			if ok && x.SSRC != slotBase+3 {
				t.Fatalf("SR of %x", x.SSRC)
			}
			if ok && x.PacketCount != uint32(n) || ok && x.OctetCount != uint32(octets) {
				t.Fatalf("counts %d %d, sent %d %d", x.PacketCount, x.OctetCount, n, octets)
			}
			if ok && at != 0 && sr == nil {
				if sr = x; g.at.Sub(at) > time.Second || sr.NTPTime != anchor.NTP(g.at) {
					t.Fatalf("SR after %v", g.at.Sub(at))
				}
			}
		}
	}
	if sr == nil {
		t.Fatal("no SR after the switch")
	}
	n = 0
	for _, g := range l.got[3] {
		if g.rtcp {
			continue
		}
		if n++; n <= i+1 {
			continue
		}
		secs := float64(int64(anchor.NTP(g.at)-sr.NTPTime)) / (1 << 32)
		if d := float64(int32(ps[n-1].Timestamp-sr.RTPTime)) - secs*90000; d > 3000 || d < -3000 {
			t.Fatalf("packet %d is %f ticks off the line", n, d)
		}
	}
	named := map[uint32]bool{}
	defer func() {
		if !named[srcA] || !named[srcB] {
			t.Fatalf("contributors not named: %v", named)
		}
	}()
	for _, d := range control[*prtcp.SourceDescription](l.lab, 3) {
		for _, c := range d.Chunks {
			named[c.Source] = true
			want := map[uint32]string{srcA: "alias-a", srcB: "alias-b"}[c.Source]
			if want = cmp.Or(want, "mcu-3"); c.Items[0].Text != want {
				t.Fatalf("%x is called %q", c.Source, c.Items[0].Text)
			}
		}
	}
}

func TestSWX7_PayloadTypeOfTheLeg(t *testing.T) {
	l, _, _ := switched(t)
	for _, p := range append(l.media(3, 0), l.media(4, 0)...) {
		if p.PayloadType != 110 {
			t.Fatalf("%v", p)
		}
	}
}

func TestSWX8_NobodySeesHimself(t *testing.T) {
	l, _, _ := switched(t)
	for leg, own := range map[graph.LegID]uint32{1: srcA, 2: srcB} {
		ps := l.media(leg, 0)
		if len(ps) == 0 {
			t.Fatal("nothing shown")
		}
		for _, p := range ps {
			if p.CSRC[0] == own {
				t.Fatalf("leg %d is shown to itself", leg)
			}
		}
	}
	l.clear()
	l.show(2)
	if l.run(time.Second); len(control[*prtcp.PictureLossIndication](l.lab, 2)) != 0 {
		t.Fatal("showing again asks again")
	}
}

// TestSwitchSourceLeaves: its CSRC says BYE where it was shown, the slot stays.
func TestSwitchSourceLeaves(t *testing.T) {
	l, a, b := switched(t)
	l.clear()
	l.rtcp(2, &prtcp.ReceiverReport{SSRC: b.ssrc}, &prtcp.Goodbye{Sources: []uint32{b.ssrc}})
	l.run(8 * time.Second) // it might only have changed its SSRC
	if !slices.ContainsFunc(l.events, func(e plane.Event) bool { return e.Kind == plane.TrackEnded }) {
		t.Fatal("control does not hear of it")
	}
	l.unpublish(2)
	for _, leg := range []graph.LegID{1, 3, 4} {
		if g := control[*prtcp.Goodbye](l.lab, leg); len(g) != 1 || len(g[0].Sources) != 1 || g[0].Sources[0] != srcB {
			t.Fatalf("leg %d: %v", leg, g)
		}
	}
	if len(control[*prtcp.Goodbye](l.lab, 2)) != 0 {
		t.Fatal("BYE came back")
	}
	l.show(1)
	l.clear()
	l.play(time.Second, a, a)
	if ps := l.media(3, slotBase+3); len(ps) < 20 {
		t.Fatal("slot went")
	}
	l.leave()
}

// TestSwitchEndsFeedback: nothing of one endpoint's RTCP reaches another.
func TestSwitchEndsFeedback(t *testing.T) {
	l, _, b := switched(t)
	l.clear()
	l.rtcp(3, &prtcp.ReceiverReport{SSRC: 3, Reports: []prtcp.ReceptionReport{{SSRC: slotBase + 3, FractionLost: 99}}}, &prtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 3, Bitrate: 1000, SSRCs: []uint32{slotBase + 3}},
		&prtcp.ExtendedReport{SenderSSRC: 3}, &prtcp.TransportLayerCC{SenderSSRC: 3, MediaSSRC: slotBase + 3, Header: prtcp.Header{Count: 15, Type: 205, Length: 4}})
	if len(l.got) != 0 {
		t.Fatalf("%v", l.got)
	}
	for range 10 { // loss: one request of ours, a PLI
		l.rtcp(3, &prtcp.PictureLossIndication{SenderSSRC: 3, MediaSSRC: slotBase + 3})
		l.rtcp(4, &prtcp.PictureLossIndication{SenderSSRC: 4, MediaSSRC: slotBase + 4})
	}
	if p := control[*prtcp.PictureLossIndication](l.lab, 2); len(p) != 1 || p[0].MediaSSRC != b.ssrc || len(control[*prtcp.FullIntraRequest](l.lab, 2)) != 0 {
		t.Fatalf("%v", p)
	}
}

// TestSwitchPlainRTPChangesSSRC: hold and transfer change it without notice; the
// slot goes on from the next keyframe, reports follow the new SSRC.
func TestSwitchPlainRTPChangesSSRC(t *testing.T) {
	l, a, b := switched(t)
	old := b.ssrc
	b.ssrc, b.seq, b.ts = 0xB2, 30000, 123456
	before := l.media(3, 0)
	l.clear()
	l.play(4*time.Second, b, a, b)
	ps := l.media(3, 0)
	if len(ps) < 100 || ps[0].SequenceNumber != before[len(before)-1].SequenceNumber+1 || ps[0].SSRC != slotBase+3 || int32(ps[0].Timestamp-before[len(before)-1].Timestamp) <= 0 {
		t.Fatalf("%d packets, first %v", len(ps), ps[:min(1, len(ps))])
	}
	n := 0
	for _, rr := range control[*prtcp.ReceiverReport](l.lab, 2) {
		for _, k := range rr.Reports {
			if k.SSRC == old {
				continue // the rest of the interval before
			}
			if n++; k.SSRC != 0xB2 || k.TotalLost != 0 || k.LastSequenceNumber < 30000 || k.LastSequenceNumber > 31000 {
				t.Fatalf("%+v", k)
			}
		}
	}
	if n == 0 {
		t.Fatal("no report")
	}
}

// TestSwitchLateParty sees what the others see; the one shown, who came before.
func TestSwitchLateParty(t *testing.T) {
	l, a, b := switched(t)
	for leg := graph.LegID(8); leg <= 9; leg++ {
		l.open(leg, legOf(leg, 96, 0))
		l.show(2, leg)
	}
	l.close(9)
	l.clear()
	l.play(6*time.Second, b, a, b)
	ps := l.media(8, slotBase+8)
	if len(ps) < 100 || ps[0].CSRC[0] != srcB || len(l.got[9]) != 0 {
		t.Fatalf("%d packets; %d to the one who left", len(ps), len(l.got[9]))
	}
	l.unpublish(2)
	l.close(2)
	l.open(2, legOf(2, 96, 0))
	l.show(1, 2)
	l.clear()
	l.play(time.Second, a, a)
	if ps := l.media(2, slotBase+2); len(ps) < 20 || ps[0].CSRC[0] != srcA {
		t.Fatalf("%d packets", len(ps))
	}
}

// TestSwitchManySlots: reports of many slots come as several compounds that fit
// a datagram, each beginning with a report.
func TestSwitchManySlots(t *testing.T) {
	l := newHall(t, "switch")
	a, _ := l.room(0)
	l.open(9, legOf(9, 96, 0))
	for i := range uint32(40) {
		l.sub(fmt.Sprint("slot ", i), 9, 1, 900+i, true)
	}
	l.play(4*time.Second, a, a)
	seen := map[uint32]bool{}
	for _, g := range l.got[9] {
		if !g.rtcp {
			continue
		}
		if len(g.b) > 1300 || (g.b[1] != 200 && g.b[1] != 201) {
			t.Fatalf("%d bytes, begins with %d", len(g.b), g.b[1])
		}
		for _, q := range must(prtcp.Unmarshal(g.b)) {
			if x, ok := q.(*prtcp.SenderReport); ok {
				seen[x.SSRC] = true
			}
		}
	}
	if len(seen) != 40 {
		t.Fatalf("%d slots reported", len(seen))
	}
}

// TestSwitchRequestsOnce: a loss told once is asked about once, whatever comes.
func TestSwitchRequestsOnce(t *testing.T) {
	l, a, b := switched(t)
	l.clear()
	l.rtcp(3, &prtcp.PictureLossIndication{SenderSSRC: 3, MediaSSRC: slotBase + 3})
	l.play(3*time.Second, nil, a, b)
	if p := control[*prtcp.PictureLossIndication](l.lab, 2); len(p) != 1 {
		t.Fatalf("%d requests", len(p))
	}
}

// TestSwitchReportsWithoutSources: a leg that sends and is sent nothing still
// hears from us, at instants that differ.
func TestSwitchReportsWithoutSources(t *testing.T) {
	l := newHall(t, "switch")
	l.open(1, legOf(1, 96, 0))
	l.run(100 * time.Second)
	rr := control[*prtcp.ReceiverReport](l.lab, 1)
	if len(rr) < 10 || len(control[*prtcp.SourceDescription](l.lab, 1)) != len(rr) {
		t.Fatalf("%d reports", len(rr))
	}
	gaps := map[time.Duration]bool{}
	for i, g := range l.got[1][1:] {
		gaps[g.at.Sub(l.got[1][i].at)] = true
	}
	if len(gaps) < 5 {
		t.Fatalf("%v", gaps)
	}
}
