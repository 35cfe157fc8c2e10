package topology_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"
	prtp "github.com/pion/rtp"

	"parley/internal/media/graph"
	"parley/internal/media/plane"
)

// The recipes in which RTCP crosses, in the engine: what the elements' own tests
// show of them must hold for what production runs.

func newStage(t testing.TB, topo string) (h *hall, a, b *cam) {
	h = newHall(t, topo)
	a, b = h.stage()
	h.rtp(1, a.frame(true))
	h.rtp(2, b.frame(true))
	h.clear()
	return h, a, b
}

func TestRTR1_EngineCopiesMediaToAllOthers(t *testing.T) {
	h, a, _ := newStage(t, "relay")
	for range 3 {
		h.clear()
		x := a.frame(false)
		h.rtp(1, x)
		h.copies(x, false)
	}
}

func TestRTR2_EngineAddsNothing(t *testing.T) {
	h, a, b := newStage(t, "relay")
	c := h.rtcp(1, &prtcp.SenderReport{SSRC: a.ssrc, NTPTime: 1, Reports: []prtcp.ReceptionReport{{SSRC: b.ssrc, FractionLost: 9}}}, prtcp.NewCNAMESourceDescription(a.ssrc, "a"),
		&prtcp.PictureLossIndication{SenderSSRC: a.ssrc, MediaSSRC: b.ssrc}, &prtcp.TransportLayerNack{SenderSSRC: a.ssrc, MediaSSRC: b.ssrc, Nacks: []prtcp.NackPair{{PacketID: 7}}})
	h.copies(c, true)
	// A minute of media with losses: neither a report nor a request of ours.
	h.clear()
	for i := range 600 {
		x, y := a.frame(false), b.frame(false)
		if i%10 != 3 {
			h.rtp(1, x)
			h.rtp(2, y)
		}
		h.run(100 * time.Millisecond)
	}
	for leg, got := range h.got {
		for _, s := range got {
			if s.rtcp {
				t.Fatalf("leg %d got %x", leg, s.b)
			}
		}
	}
	if n := len(h.media(3, a.ssrc)); n != 540 {
		t.Fatalf("%d packets", n)
	}
}

func TestRTR3_EngineKeepsSSRCsToTheirOwners(t *testing.T) {
	h, a, _ := newStage(t, "relay")
	h.rtp(2, (&cam{ssrc: a.ssrc, seq: 7, pt: 110}).frame(true))
	h.rtcp(2, &prtcp.ReceiverReport{SSRC: a.ssrc})
	h.rtcp(2, &prtcp.ReceiverReport{SSRC: 0xB1B1B1B1}, &prtcp.Goodbye{Sources: []uint32{a.ssrc}})
	if d := h.eng.Drops().Relayed; len(h.got) != 0 || d.Spoofed != 3 {
		t.Fatalf("%v %+v", h.got, d)
	}
	x := a.frame(false)
	h.rtp(1, x)
	h.copies(x, false)
}

func TestRTR4_EngineBreaksLoops(t *testing.T) {
	h, a, _ := newStage(t, "relay")
	for range 20 {
		x := a.frame(false)
		h.rtp(1, x)
		h.rtp(2, x) // a relay beside us brings it back
	}
	if n := len(h.media(3, a.ssrc)); n != 20 {
		t.Fatalf("%d packets", n)
	}
	if n := len(h.media(1, 0)); n != 0 {
		t.Fatalf("%d came back", n)
	}
	if d := h.eng.Drops().Relayed; d.Looped != 20 {
		t.Fatalf("%+v", d)
	}
}

func TestRTR5_EngineLetsTheSenderSeeTheWorstReceiver(t *testing.T) {
	h, a, _ := newStage(t, "relay")
	h.rtcp(3, &prtcp.ReceiverReport{SSRC: 0xC1, Reports: []prtcp.ReceptionReport{{SSRC: a.ssrc, FractionLost: 13}}})
	rr := control[*prtcp.ReceiverReport](h.lab, 1)
	if len(rr) != 1 || len(rr[0].Reports) != 1 || rr[0].Reports[0].FractionLost != 13 {
		t.Fatalf("%v", rr)
	}
}

// TestRTR7_EngineSaysGoodbye: for every SSRC that was forwarded to a leg, when
// the leg ends and when the source does without a word; then never again.
func TestRTR7_EngineSaysGoodbye(t *testing.T) {
	h, a, b := newStage(t, "relay")
	h.close(3)
	g := control[*prtcp.Goodbye](h.lab, 3)
	if len(g) != 1 || len(g[0].Sources) != 2 || !slices.Contains(g[0].Sources, a.ssrc) || !slices.Contains(g[0].Sources, b.ssrc) {
		t.Fatalf("%v", g)
	}
	h.clear()
	h.unpublish(1)
	if g := control[*prtcp.Goodbye](h.lab, 4); len(g) != 1 || !slices.Equal(g[0].Sources, []uint32{a.ssrc}) {
		t.Fatalf("%v", g)
	}
	if g := control[*prtcp.Goodbye](h.lab, 1); len(g) != 0 {
		t.Fatalf("%v", g)
	}
	h.publish(1, 1, plane.Track{Kind: plane.Video, SrcID: srcA, CNAME: "alias-a"})
	h.sub("again", 4, 1, 99, false)
	h.clear()
	h.rtp(1, a.frame(true))
	if len(h.media(4, 0)) != 0 {
		t.Fatal("a spent SSRC came back")
	}
}

// TestRelayBYECrossesOnce: a source that says goodbye itself is not echoed.
func TestRelayBYECrossesOnce(t *testing.T) {
	h, a, _ := newStage(t, "relay")
	c := h.rtcp(1, &prtcp.ReceiverReport{SSRC: a.ssrc}, &prtcp.Goodbye{Sources: []uint32{a.ssrc}})
	h.copies(c, true)
	h.unpublish(1)
	if g := control[*prtcp.Goodbye](h.lab, 3); len(g) != 1 {
		t.Fatalf("%v", g)
	}
	h.leave()
}

// TestRelayNumbersAreUsedOnce: whatever a source does, no number of its SSRC
// leaves twice with different bytes, since the key of a leg stays (rule C11).
func TestRelayNumbersAreUsedOnce(t *testing.T) {
	h, a, _ := newStage(t, "relay")
	seqs := []uint16{100, 101, 100, 60000, 60001, 60002, 100, 101, 102, 30000, 30001, 5, 6, 7, 101, 40000, 40001}
	for i, s := range seqs {
		a.seq = s
		h.rtp(1, a.packet([]byte{0x10, 1, byte(i)}, true))
	}
	// The key's index is the number and how often it has wrapped, as a receiver guesses it.
	seen := map[int64]bool{}
	high := int64(-1)
	for _, p := range h.media(3, a.ssrc) {
		x := int64(p.SequenceNumber)
		if high >= 0 {
			x = high + int64(int16(p.SequenceNumber-uint16(high)))
		}
		if seen[x] {
			t.Fatalf("number %d used twice", p.SequenceNumber)
		}
		seen[x] = true
		high = max(high, x)
	}
	if len(seen) < 2 {
		t.Fatalf("%d packets", len(seen))
	}
}

// TestRelayPassesRetransmissions: who asked its sender is answered by it.
func TestRelayPassesRetransmissions(t *testing.T) {
	h, a, _ := newStage(t, "relay")
	m := legOf(1, 110, 0)
	m.Sections[0].Recv.Layers = []plane.Layer{{SSRC: a.ssrc, RTXSSRC: 0xA2}}
	h.eng.ConfigureLeg(h.now, 1, m)
	lost := a.frame(false)
	h.rtp(1, lost)
	h.clear()
	b, err := (&prtp.Packet{Header: prtp.Header{Version: 2, PayloadType: 111, SSRC: 0xA2, SequenceNumber: 9, Timestamp: 4},
		Payload: append(binary.BigEndian.AppendUint16(nil, a.seq-1), "again"...)}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	h.rtp(1, b)
	h.copies(b, false)
}

// TestC4_SilentOwnersLoseTheirSSRC: after 25 seconds and a report interval a
// number is free again, not before.
func TestC4_SilentOwnersLoseTheirSSRC(t *testing.T) {
	h, a, _ := newStage(t, "relay")
	thief := &cam{ssrc: a.ssrc, seq: a.seq + 100, ts: a.ts, pt: 110}
	h.run(24 * time.Second)
	h.clear()
	h.rtp(2, thief.frame(true))
	if len(h.got) != 0 {
		t.Fatal("taken over while its owner may be back")
	}
	h.run(7 * time.Second)
	h.clear()
	h.rtp(2, thief.frame(true))
	if len(h.media(3, a.ssrc)) != 1 {
		t.Fatal("not free after its owner went")
	}
}

func TestVSM2_EngineSelectedLeavesAsItCame(t *testing.T) {
	h, a, b := newStage(t, "video-switching-mcu")
	for i := range 20 {
		h.clear()
		x := a.packet(vp8Inter, i%2 == 1)
		h.rtp(1, x)
		h.copies(x, false)
		h.clear()
		if h.rtp(2, b.frame(i == 5)); len(h.got) != 0 {
			t.Fatal("an unselected sender is heard")
		}
	}
	h.clear()
	c := h.rtcp(1, &prtcp.SenderReport{SSRC: a.ssrc, NTPTime: 7, RTPTime: 8, PacketCount: 9, OctetCount: 10}, prtcp.NewCNAMESourceDescription(a.ssrc, "a"))
	h.copies(c, true)
}

func TestVSM3_EngineReportsCross(t *testing.T) {
	h, a, b := newStage(t, "video-switching-mcu")
	blk := prtcp.ReceptionReport{SSRC: a.ssrc, FractionLost: 3, TotalLost: 4, LastSequenceNumber: 5, Jitter: 6, LastSenderReport: 7, Delay: 8}
	c := h.rtcp(3, &prtcp.ReceiverReport{SSRC: 0xC1, Reports: []prtcp.ReceptionReport{blk}}, prtcp.NewCNAMESourceDescription(0xC1, "c"))
	for _, leg := range []graph.LegID{1, 2, 4} {
		if g := h.got[leg]; len(g) != 1 || !bytes.Equal(g[0].b, c) {
			t.Fatalf("leg %d: %v", leg, g)
		}
	}
	h.clear() // B sends, but is not selected: its blocks about A cross, its SR does not
	h.rtcp(2, &prtcp.SenderReport{SSRC: b.ssrc, NTPTime: 1, PacketCount: 2, Reports: []prtcp.ReceptionReport{blk}}, prtcp.NewCNAMESourceDescription(b.ssrc, "b"))
	for _, leg := range []graph.LegID{1, 3, 4} {
		rr := control[*prtcp.ReceiverReport](h.lab, leg)
		if len(rr) != 1 || rr[0].SSRC != b.ssrc || !slices.Equal(rr[0].Reports, []prtcp.ReceptionReport{blk}) || len(control[*prtcp.SenderReport](h.lab, leg)) != 0 {
			t.Fatalf("leg %d: %v", leg, rr)
		}
	}
	h.clear() // and nobody, we least, reports on B or A
	h.play(30*time.Second, nil, a, b)
	for leg, got := range h.got {
		for _, s := range got {
			if s.rtcp {
				t.Fatalf("leg %d got %x", leg, s.b)
			}
		}
	}
}

func TestVSM4_EngineSwitchesAtAKeyframe(t *testing.T) {
	h, a, b := newStage(t, "video-switching-mcu")
	h.show(2)
	h.play(300*time.Millisecond, nil, a, b)
	if p := control[*prtcp.PictureLossIndication](h.lab, 2); len(p) != 1 || p[0].MediaSSRC != b.ssrc {
		t.Fatalf("%v", p)
	}
	h.play(300*time.Millisecond, b, b, a)
	var order []uint32
	for _, p := range h.media(3, 0) {
		if len(order) == 0 || order[len(order)-1] != p.SSRC {
			if p.SSRC == b.ssrc && !bytes.HasPrefix(p.Payload, vp8Key) {
				t.Fatal("switched in the middle of a picture")
			}
			order = append(order, p.SSRC)
		}
	}
	if !slices.Equal(order, []uint32{a.ssrc, b.ssrc}) || len(h.media(3, a.ssrc)) < 9 || len(h.media(3, b.ssrc)) < 9 {
		t.Fatalf("%x", order)
	}
	for leg := graph.LegID(1); leg <= 4; leg++ {
		if len(control[*prtcp.Goodbye](h.lab, leg)) != 0 {
			t.Fatal("BYE at a switch")
		}
	}
	if len(h.media(1, b.ssrc)) < 9 || len(h.media(2, b.ssrc)) != 0 || len(h.media(2, a.ssrc)) < 18 {
		t.Fatal("A does not see B, or B sees itself, or no longer A")
	}
	h.leave()
}

// TestVSM6_EngineShowsWhoWasLeftOut: twenty seconds out, asked at once and again.
func TestVSM6_EngineShowsWhoWasLeftOut(t *testing.T) {
	h, a, b := newStage(t, "video-switching-mcu")
	h.play(20*time.Second, nil, a)
	h.clear()
	at := h.now
	h.show(2)
	h.play(time.Second, nil, a)
	if n := len(control[*prtcp.PictureLossIndication](h.lab, 2)); n < 1 || n > 3 {
		t.Fatalf("%d requests", n)
	}
	h.play(100*time.Millisecond, b, b)
	if ps := h.media(3, b.ssrc); len(ps) == 0 || !bytes.HasPrefix(ps[0].Payload, vp8Key) || h.now.Sub(at) > 3*time.Second {
		t.Fatal("not shown")
	}
}

func TestASY2_EngineMixOneWayTranslatorTheOther(t *testing.T) {
	h, a, b := newStage(t, "asymmetric")
	c, mix := &cam{track: 3, ssrc: 0xC1C1C1C1, pt: 110, seq: 5}, &cam{track: 4, ssrc: 0xD1D1D1D1, pt: 110, seq: 60, csrc: []uint32{srcA, srcB}}
	x := c.frame(true)
	h.rtp(3, x)
	for _, leg := range []graph.LegID{1, 2} {
		if g := h.got[leg]; len(g) != 1 || !bytes.Equal(g[0].b, x) {
			t.Fatalf("leg %d: %v", leg, g)
		}
	}
	if len(h.got[3]) != 0 {
		t.Fatal("hears itself")
	}
	h.clear()
	h.play(time.Second, mix, mix, a, b)
	ps := h.media(3, 0)
	if len(ps) < 29 {
		t.Fatalf("%d packets", len(ps))
	}
	for _, p := range ps {
		if p.SSRC != slotBase+3 || !slices.Equal(p.CSRC, []uint32{srcA, srcB}) {
			t.Fatalf("%v", p)
		}
	}
	if len(h.media(2, a.ssrc)) < 29 || len(h.media(1, b.ssrc)) < 29 || len(h.media(1, a.ssrc)) != 0 {
		t.Fatal("the group is not relayed within itself")
	}
	// ASY-5: the mixer's SR goes to the outer leg only, under its SSRC.
	h.play(3*time.Second, nil, mix, a, b)
	if sr := control[*prtcp.SenderReport](h.lab, 3); len(sr) == 0 || sr[0].SSRC != slotBase+3 {
		t.Fatalf("%v", sr)
	}
	for _, leg := range []graph.LegID{1, 2} {
		if sr := control[*prtcp.SenderReport](h.lab, leg); len(sr) != 0 {
			t.Fatalf("leg %d: %v", leg, sr)
		}
	}
}

func TestASY3_EngineReportsOnTheMixGiveWay(t *testing.T) {
	h, a, b := newStage(t, "asymmetric")
	h.rtp(3, (&cam{ssrc: 0xC1C1C1C1, pt: 110}).frame(true))
	h.rtcp(1, &prtcp.SenderReport{SSRC: a.ssrc, NTPTime: 0x0102030405060708})
	at := h.now
	h.play(2*time.Second, nil, a, b)
	h.clear()
	h.rtcp(3, &prtcp.ReceiverReport{SSRC: 0xC1C1C1C1, Reports: []prtcp.ReceptionReport{{SSRC: slotBase + 3, FractionLost: 99}}}, prtcp.NewCNAMESourceDescription(0xC1C1C1C1, "c"))
	for _, leg := range []graph.LegID{1, 2} {
		rr := control[*prtcp.ReceiverReport](h.lab, leg)
		if len(rr) != 1 || rr[0].SSRC != 0xC1C1C1C1 || len(rr[0].Reports) != 2 {
			t.Fatalf("leg %d: %v", leg, rr)
		}
		for _, k := range rr[0].Reports {
			want := float64(h.now.Sub(at)) * 65536 / 1e9
			if k.SSRC == slotBase+3 || k.FractionLost != 0 {
				t.Fatalf("%+v", k)
			}
			if d := float64(k.Delay) - want; k.SSRC == a.ssrc && (k.LastSenderReport != 0x03040506 || d > 131 || d < -131) {
				t.Fatalf("%+v, want DLSR %f", k, want)
			}
		}
	}
}

func TestASY4_EngineFoldsReportsOfTheGroup(t *testing.T) {
	h, a, b := newStage(t, "asymmetric")
	c := &cam{track: 3, ssrc: 0xC1C1C1C1, pt: 110}
	h.rtp(3, c.frame(true))
	h.rtcp(1, &prtcp.ReceiverReport{SSRC: a.ssrc, Reports: []prtcp.ReceptionReport{{SSRC: c.ssrc, FractionLost: 7, LastSequenceNumber: 500}}})
	h.rtcp(2, &prtcp.ReceiverReport{SSRC: b.ssrc, Reports: []prtcp.ReceptionReport{{SSRC: c.ssrc, FractionLost: 70, LastSequenceNumber: 400}}})
	h.clear()
	h.play(10*time.Second, nil, a, b, c)
	var blocks []prtcp.ReceptionReport
	for _, rr := range control[*prtcp.ReceiverReport](h.lab, 3) {
		blocks = append(blocks, rr.Reports...)
	}
	if len(blocks) == 0 {
		t.Fatal("no report")
	}
	for _, k := range blocks {
		if k.SSRC != c.ssrc || k.FractionLost != 70 || k.LastSequenceNumber != 400 {
			t.Fatalf("%+v", k)
		}
	}
}

// TestC7_SlotsMoveOnCollision: a peer that sends with its slot's SSRC gets one
// BYE; the slot goes on under another, and control is told.
func TestC7_SlotsMoveOnCollision(t *testing.T) {
	for _, topo := range []string{"switch", "rtcp-terminating-mcu"} {
		h, a, b := newStage(t, topo)
		h.play(time.Second, a, a, b)
		h.clear()
		thief := &cam{track: 2, ssrc: slotBase + 2, pt: b.pt, seq: 1}
		for range 100 {
			h.rtp(2, thief.frame(false))
			h.rtp(1, a.frame(false))
			h.run(frameTime)
		}
		g := control[*prtcp.Goodbye](h.lab, 2)
		if len(g) != 1 || !slices.Equal(g[0].Sources, []uint32{slotBase + 2}) {
			t.Fatalf("%s: %v", topo, g)
		}
		ps := h.media(2, 0)
		moved := slices.ContainsFunc(h.events, func(e plane.Event) bool {
			return e.Kind == plane.SSRCChanged && e.SSRC == ps[len(ps)-1].SSRC
		})
		if len(h.media(2, slotBase+2)) != 0 || len(ps) < 90 || !moved {
			t.Fatalf("%s: %d packets, %v", topo, len(ps), h.events)
		}
	}
}

// TestVSM7_SwitchInItsPlace: what is recommended instead of the video-switching
// MCU does what that one does for the eye, under one SSRC, and nobody's report
// reaches anybody else.
func TestVSM7_SwitchInItsPlace(t *testing.T) {
	h := newHall(t, "switch")
	a, b := h.room(0)
	h.show(1)
	h.play(time.Second, a, a, b)
	h.show(2)
	for range 3 {
		for leg, ssrc := range map[graph.LegID]uint32{1: a.ssrc, 2: b.ssrc, 3: 0xC1C1C1C1, 4: 0xD1D1D1D1} {
			h.rtcp(leg, &prtcp.SenderReport{SSRC: ssrc, NTPTime: 1, Reports: []prtcp.ReceptionReport{{SSRC: slotBase + uint32(leg)}, {SSRC: a.ssrc}, {SSRC: b.ssrc}}})
		}
		h.play(time.Second, b, a, b)
	}
	ps := h.media(3, 0)
	for i, p := range ps {
		if p.SSRC != slotBase+3 || len(p.CSRC) != 1 || (i > 0 && p.SequenceNumber != ps[i-1].SequenceNumber+1) {
			t.Fatalf("%v", p)
		}
	}
	if len(ps) < 110 {
		t.Fatalf("%d packets", len(ps))
	}
	own := map[graph.LegID]uint32{1: a.ssrc, 2: b.ssrc}
	for leg := graph.LegID(1); leg <= 4; leg++ {
		for _, sr := range control[*prtcp.SenderReport](h.lab, leg) {
			if sr.SSRC != slotBase+uint32(leg) {
				t.Fatalf("leg %d got a report of %x", leg, sr.SSRC)
			}
		}
		for _, rr := range control[*prtcp.ReceiverReport](h.lab, leg) {
			for _, k := range rr.Reports {
				if k.SSRC != own[leg] {
					t.Fatalf("leg %d got a report on %x", leg, k.SSRC)
				}
			}
		}
	}
}
