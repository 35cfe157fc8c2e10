package topology_test

import (
	"bytes"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/media/graph"
	"parley/internal/media/topology"
)

func newRelay(t testing.TB, keys bool) (*lab, *topology.Relay) {
	l, r := newLab(t), topology.NewRelay(keys)
	l.el = r
	for i := 1; i <= 4; i++ {
		r.AddLeg(graph.LegID(i))
		r.Bind(graph.TrackID(i), graph.LegID(i))
	}
	return l, r
}

// copies checks that legs 2..4 got exactly b, and leg 1 nothing.
func (l *lab) copies(b []byte, rtcp bool) {
	l.t.Helper()
	if len(l.got[1]) != 0 {
		l.t.Fatalf("the sender got %v", l.got[1])
	}
	for leg := graph.LegID(2); leg <= 4; leg++ {
		if g := l.got[leg]; len(g) != 1 || g[0].rtcp != rtcp || !bytes.Equal(g[0].b, b) {
			l.t.Fatalf("leg %d got %v", leg, g)
		}
	}
	if len(l.got) != 3 {
		l.t.Fatalf("%d legs", len(l.got))
	}
}

func TestRTR1_MediaIsCopiedToAllOthers(t *testing.T) {
	l, r := newRelay(t, true)
	a := cam{ssrc: 0xA, seq: 65535, pt: 96, csrc: []uint32{5, 6}}
	b := a.frame(true)
	l.rtp(1, b)
	l.copies(b, false)
	r.RemoveLeg(4)
	l.clear()
	l.rtp(1, a.frame(false))
	if len(l.got[2]) != 1 || len(l.got[3]) != 1 || len(l.got) != 2 {
		t.Fatalf("%v", l.got)
	}
	l.clear()
	l.rtp(4, (&cam{ssrc: 4}).frame(true)) // left
	l.rtp(9, (&cam{ssrc: 9}).frame(true)) // never was here
	if len(l.got) != 0 || r.Drops().Stranger != 2 {
		t.Fatalf("%v %+v", l.got, r.Drops())
	}
}

func TestRTR2_ControlIsCopiedToAllOthers(t *testing.T) {
	for _, keys := range []bool{true, false} {
		l, _ := newRelay(t, keys)
		c := l.rtcp(1, &prtcp.SenderReport{SSRC: 0xA, NTPTime: 5}, prtcp.NewCNAMESourceDescription(0xA, "a"),
			&prtcp.PictureLossIndication{SenderSSRC: 0xA, MediaSSRC: 0xB}, &prtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 0xA, Bitrate: 1e6})
		l.copies(c, true)
		l.clear()
		if l.run(time.Minute); len(l.got) != 0 {
			t.Fatalf("speaks of its own: %v", l.got)
		}
	}
}

func TestRTR3_ForeignSSRCIsDropped(t *testing.T) {
	l, r := newRelay(t, true)
	a, b := cam{ssrc: 0xA, seq: 10}, cam{ssrc: 0xA, seq: 9000}
	l.rtp(1, a.frame(true))
	l.clear()
	l.rtp(2, b.frame(true))
	l.rtcp(2, &prtcp.ReceiverReport{SSRC: 0xA})
	l.rtcp(2, &prtcp.ReceiverReport{SSRC: 0xB}, &prtcp.Goodbye{Sources: []uint32{0xB, 0xA}})
	if d := r.Drops(); d.Spoofed != 3 || d.Looped != 0 {
		t.Fatalf("%+v", d)
	}
	l.clear()
	x := a.frame(false)
	l.rtp(1, x) // the owner is not harmed
	l.copies(x, false)
	l.clear()
	if d := l.next.Sub(l.now); d < 25*time.Second || d > 31*time.Second {
		t.Fatalf("looks again after %v", d)
	}
	l.run(31 * time.Second) // gone: the SSRC is free
	l.rtp(2, b.frame(true))
	if len(l.got[1]) != 1 {
		t.Fatal("SSRC not freed after its owner went")
	}
}

func TestRTR4_LoopIsBroken(t *testing.T) {
	l, r := newRelay(t, true)
	a := cam{ssrc: 0xA, seq: 65530}
	for range 20 {
		b := a.frame(false)
		l.rtp(1, b)
		l.rtp(2, b) // comes back by a parallel relay
	}
	if len(l.got[3]) != 20 || len(l.got[1]) != 0 || r.Drops().Looped != 20 || r.Drops().Spoofed != 0 {
		t.Fatalf("%d %d %+v", len(l.got[3]), len(l.got[1]), r.Drops())
	}
}

func TestRTR5_ReportsReachTheSender(t *testing.T) {
	l, _ := newRelay(t, true)
	l.rtp(1, (&cam{ssrc: 0xA}).frame(true))
	l.clear()
	l.rtcp(3, &prtcp.ReceiverReport{SSRC: 0xC, Reports: []prtcp.ReceptionReport{{SSRC: 0xA, FractionLost: 13, TotalLost: 5, LastSenderReport: 1, Delay: 2}}})
	rr := control[*prtcp.ReceiverReport](l, 1)
	if len(rr) != 1 || rr[0].SSRC != 0xC || len(rr[0].Reports) != 1 || rr[0].Reports[0].FractionLost != 13 || rr[0].Reports[0].LastSenderReport != 1 || rr[0].Reports[0].Delay != 2 {
		t.Fatalf("%v", rr)
	}
}

func TestRTR7_Goodbye(t *testing.T) {
	l, r := newRelay(t, true)
	for i := range 40 {
		l.rtp(1, (&cam{ssrc: uint32(100 + i)}).frame(true))
	}
	l.rtp(2, (&cam{ssrc: 7}).frame(true))
	l.rtcp(1, &prtcp.ReceiverReport{SSRC: 100}, &prtcp.Goodbye{Sources: []uint32{100}})
	l.rtcp(2, &prtcp.ReceiverReport{SSRC: 7}, prtcp.NewCNAMESourceDescription(7, "b@example.org"))
	r.AddLeg(9) // heard nothing
	l.clear()
	r.Close(&l.out)
	l.collect()
	for leg, want := range map[graph.LegID]int{1: 1, 2: 39, 3: 40, 4: 40, 9: 0} {
		n := map[uint32]bool{}
		for _, b := range control[*prtcp.Goodbye](l, leg) {
			for _, s := range b.Sources {
				n[s] = true
			}
		}
		if len(n) != want || len(l.got[leg]) != min(1, want) || n[100] {
			t.Fatalf("leg %d: %v in %d", leg, n, len(l.got[leg]))
		}
	}
	if d := control[*prtcp.SourceDescription](l, 1); len(d) != 1 || d[0].Chunks[0].Source != 7 || d[0].Chunks[0].Items[0].Text != "b@example.org" {
		t.Fatalf("%v", d)
	}
	l, r = newRelay(t, false)
	l.rtp(1, (&cam{ssrc: 1}).frame(true))
	l.clear()
	if r.Close(&l.out); len(l.out.Sends) != 0 {
		t.Fatal("BYE without keys")
	}
}

// TestRelayBoundsSSRCs: a leg cannot fill the table.
func TestRelayBoundsSSRCs(t *testing.T) {
	l, r := newRelay(t, true)
	for i := range 1000 {
		l.rtp(1, (&cam{ssrc: uint32(1000 + i)}).frame(true))
	}
	l.clear()
	l.rtp(2, (&cam{ssrc: 5}).frame(true))
	if len(l.got[1]) != 1 || r.Drops().TooMany != 1000-64 {
		t.Fatalf("%v %+v", l.got, r.Drops())
	}
}

// TestRelayCountsWhatItRefuses: RTCP of strangers, and what cannot be read.
func TestRelayCountsWhatItRefuses(t *testing.T) {
	l, r := newRelay(t, true)
	l.compound(9, packetOf(0, 201, 1))
	l.compound(1, []byte{0x80, 201, 0, 1})
	l.compound(1, []byte{0x40, 201, 0, 1, 0, 0, 0, 1})
	l.compound(1, []byte{0x80, 201, 0, 1, 0, 0, 0, 1, 0x80, 201, 0, 9})
	if d := r.Drops(); len(l.got) != 0 || d.Stranger != 1 || d.Malformed != 3 {
		t.Fatalf("%v %+v", l.got, d)
	}
}
