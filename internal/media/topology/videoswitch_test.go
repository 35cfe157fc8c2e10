package topology_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/stream"
	"parley/internal/media/topology"
)

func candidateOf(t graph.TrackID, ssrc uint32, k plane.Kind) topology.Candidate {
	src := stream.NewSource(t, plane.Track{Kind: k})
	src.Info = &stream.Info{Codecs: []plane.Codec{vp8(96, 0)}, Layers: 1}
	return topology.Candidate{Leg: graph.LegID(t), SSRC: ssrc, Src: src, PLI: true, FIR: true}
}

// newVSM has A on leg 1, B on leg 2, C on leg 3 who sends nothing.
func newVSM(t testing.TB) (l *lab, v *topology.VideoSwitch, a, b *cam) {
	l, v = newLab(t), topology.NewVideoSwitch(0xE1, "mcu")
	l.el = v
	for i := graph.LegID(1); i <= 3; i++ {
		v.AddLeg(i)
	}
	a, b = &cam{track: 1, ssrc: 0xA1, seq: 65530, ts: 5, pt: 96, csrc: []uint32{0x77, 0x78}}, &cam{track: 2, ssrc: 0xB1, seq: 9, pt: 96}
	for _, c := range []*cam{a, b} {
		v.AddInput(candidateOf(c.track, c.ssrc, plane.Video))
	}
	v.Select(l.now, 1, &l.out)
	l.rtp(1, a.frame(true))
	l.clear()
	return l, v, a, b
}

func TestVSM2_SelectedLeavesAsItCame(t *testing.T) {
	l, _, a, b := newVSM(t)
	var in [][]byte
	for i := range 20 {
		x := a.packet(vp8Inter, i%2 == 1)
		in = append(in, x)
		l.rtp(1, x)
		l.rtp(2, b.frame(i == 5))
	}
	for _, leg := range []graph.LegID{2, 3} {
		if len(l.got[leg]) != len(in) {
			t.Fatalf("leg %d got %d", leg, len(l.got[leg]))
		}
		for i := range in {
			if !bytes.Equal(l.got[leg][i].b, in[i]) {
				t.Fatalf("packet %d changed", i)
			}
		}
	}
	if len(l.got[1]) != 0 {
		t.Fatal("A hears itself, or B who is not selected")
	}
	l.clear()
	c := l.rtcp(1, &prtcp.SenderReport{SSRC: 0xA1, NTPTime: 7, RTPTime: 8, PacketCount: 9, OctetCount: 10}, prtcp.NewCNAMESourceDescription(0xA1, "a"))
	for _, leg := range []graph.LegID{2, 3} {
		if g := l.got[leg]; len(g) != 1 || !g[0].rtcp || !bytes.Equal(g[0].b, c) {
			t.Fatalf("%v", g)
		}
	}
}

func TestVSM3_ReportsCross(t *testing.T) {
	l, _, _, _ := newVSM(t)
	blk := prtcp.ReceptionReport{SSRC: 0xA1, FractionLost: 3, TotalLost: 4, LastSequenceNumber: 5, Jitter: 6, LastSenderReport: 7, Delay: 8}
	c := l.rtcp(3, &prtcp.ReceiverReport{SSRC: 0xC1, Reports: []prtcp.ReceptionReport{blk}}, prtcp.NewCNAMESourceDescription(0xC1, "c"),
		&prtcp.PictureLossIndication{SenderSSRC: 0xC1, MediaSSRC: 0xA1}, &prtcp.TransportLayerNack{SenderSSRC: 0xC1, MediaSSRC: 0xA1, Nacks: []prtcp.NackPair{{PacketID: 1}}})
	for _, leg := range []graph.LegID{1, 2} {
		if g := l.got[leg]; len(g) != 1 || !bytes.Equal(g[0].b, c) {
			t.Fatalf("leg %d: %v", leg, g)
		}
	}
	if len(l.got[3]) != 0 {
		t.Fatal("came back")
	}
	l.clear() // B sends, but is not selected: its blocks about A cross, its SR does not
	l.rtcp(2, &prtcp.SenderReport{SSRC: 0xB1, NTPTime: 1, PacketCount: 2, Reports: []prtcp.ReceptionReport{blk}}, prtcp.NewCNAMESourceDescription(0xB1, "b"))
	for _, leg := range []graph.LegID{1, 3} {
		rr := control[*prtcp.ReceiverReport](l, leg)
		if len(rr) != 1 || rr[0].SSRC != 0xB1 || !slices.Equal(rr[0].Reports, []prtcp.ReceptionReport{blk}) || len(control[*prtcp.SenderReport](l, leg)) != 0 ||
			len(control[*prtcp.SourceDescription](l, leg)) != 1 {
			t.Fatalf("leg %d: %v", leg, rr)
		}
	}
	l.clear() // and nobody, we least, reports on B
	if l.run(time.Minute); len(l.got) != 0 {
		t.Fatalf("%v", l.got)
	}
	l.compound(2, []byte{0x80, 200, 0, 9, 1, 2, 3, 4}) // lies about its length
	l.compound(9, c)
	if len(l.got) != 0 {
		t.Fatalf("%v", l.got)
	}
}

func TestVSM4_SwitchAtAKeyframe(t *testing.T) {
	l, v, a, b := newVSM(t)
	v.Select(l.now, 2, &l.out)
	l.play(300*time.Millisecond, nil, a, b)
	l.play(300*time.Millisecond, b, b, a)
	var order []uint32
	for _, p := range l.media(3, 0) {
		if len(order) == 0 || order[len(order)-1] != p.SSRC {
			if p.SSRC == 0xB1 && !bytes.HasPrefix(p.Payload, vp8Key) {
				t.Fatal("switched in the middle of a picture")
			}
			order = append(order, p.SSRC)
		}
	}
	if !slices.Equal(order, []uint32{0xA1, 0xB1}) || len(l.media(3, 0xA1)) < 9 || len(l.media(3, 0xB1)) < 9 {
		t.Fatalf("%x", order)
	}
	f := control[*prtcp.FullIntraRequest](l, 2)
	if len(f) != 1 || f[0].SenderSSRC != 0xE1 || f[0].MediaSSRC != 0 || f[0].FIR[0].SSRC != 0xB1 {
		t.Fatalf("%v", f)
	}
	for leg := graph.LegID(1); leg <= 3; leg++ {
		if len(control[*prtcp.Goodbye](l, leg)) != 0 {
			t.Fatal("BYE at a switch")
		}
	}
	if len(control[*prtcp.FullIntraRequest](l, 1)) != 0 || len(l.media(1, 0xB1)) < 9 || len(l.media(2, 0xB1)) != 0 {
		t.Fatal("A asked, or does not see B, or B sees itself")
	}
}

// TestVSM6_SelectedAgainAfterSilence is the part of the middlebox: whoever was
// left out for long is asked at once, and again, and shown from its keyframe.
func TestVSM6_SelectedAgainAfterSilence(t *testing.T) {
	l, v, a, b := newVSM(t)
	l.play(20*time.Second, nil, a, b)
	for _, s := range l.got[2] {
		if s.rtcp {
			t.Fatal("reported on")
		}
	}
	l.clear()
	at := l.now
	v.Select(l.now, 2, &l.out)
	l.play(2*time.Second, nil, a) // B had ceased, and the first request is lost
	f := control[*prtcp.FullIntraRequest](l, 2)
	if len(f) < 3 || len(f) > 5 {
		t.Fatalf("%d requests", len(f))
	}
	for _, x := range f {
		if x.FIR[0].SequenceNumber != f[0].FIR[0].SequenceNumber {
			t.Fatal("a repeated command has a new number")
		}
	}
	l.play(100*time.Millisecond, b, b)
	ps := l.media(3, 0xB1)
	if len(ps) == 0 || !bytes.HasPrefix(ps[0].Payload, vp8Key) || l.now.Sub(at) > 3*time.Second {
		t.Fatal("not shown")
	}
}

// TestVideoSwitchLeaving: a leg that goes takes its source along.
func TestVideoSwitchLeaving(t *testing.T) {
	l, v, a, b := newVSM(t)
	v.Select(l.now, 2, &l.out)
	v.RemoveLeg(1)
	v.RemoveInput(2)
	l.collect()
	l.clear()
	v.Select(l.now, 2, &l.out) // nobody any more
	l.collect()
	l.play(time.Second, b, a, b)
	if len(l.got) != 0 || l.pool.Live() != 0 {
		t.Fatalf("%v", l.got)
	}
}

// TestVideoSwitchSSRCChanges: an MCU of this kind dialled in changes its SSRC;
// its reports then pass under the new one.
func TestVideoSwitchSSRCChanges(t *testing.T) {
	l, _, a, _ := newVSM(t)
	a.ssrc = 0xA2
	l.rtp(1, a.frame(false))
	l.rtcp(1, &prtcp.SenderReport{SSRC: 0xA1, NTPTime: 1})
	l.rtcp(1, &prtcp.SenderReport{SSRC: 0xA2, NTPTime: 2})
	sr := control[*prtcp.SenderReport](l, 3)
	if len(l.media(3, 0xA2)) != 1 || len(sr) != 1 || sr[0].SSRC != 0xA2 {
		t.Fatalf("%v", sr)
	}
}

// TestVideoSwitchAudio: sound needs no keyframe.
func TestVideoSwitchAudio(t *testing.T) {
	l, v, a, _ := newVSM(t)
	x := candidateOf(9, 0xC9, plane.Audio)
	x.Leg = 3
	v.AddInput(x)
	v.Select(l.now, 9, &l.out)
	l.rtp(9, (&cam{ssrc: 0xC9}).packet([]byte("sound"), false))
	l.rtp(1, a.frame(false))
	// Who speaks goes on with what he had.
	if len(l.media(1, 0xC9)) != 1 || len(l.media(2, 0)) != 1 || len(l.media(3, a.ssrc)) != 1 || len(l.got[3]) != 1 {
		t.Fatalf("%v", l.got)
	}
}

// TestVSM4_ChangesOfMind: a switch that is taken back does not happen, and the
// next command to the same sender goes at once under the next number.
func TestVSM4_ChangesOfMind(t *testing.T) {
	l, v, a, b := newVSM(t)
	v.Select(l.now, 2, &l.out)
	v.Show(l.now, 3, 1, &l.out)
	l.play(100*time.Millisecond, b, a, b)
	if len(l.media(3, 0xB1)) != 0 || len(l.media(3, 0xA1)) < 3 || len(l.media(1, 0xB1)) < 3 {
		t.Fatal("leg 3 was taken along")
	}
	first := control[*prtcp.FullIntraRequest](l, 2)
	v.Show(l.now, 3, 2, &l.out)
	l.collect()
	next := control[*prtcp.FullIntraRequest](l, 2)
	if len(first) != 1 || len(next) != 2 || next[1].FIR[0].SequenceNumber != first[0].FIR[0].SequenceNumber+1 {
		t.Fatalf("%v then %v", first, next)
	}
}
