package topology_test

import (
	"encoding/binary"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/media/graph"
	"parley/internal/media/rtp"
)

// script feeds a recipe what the bytes say: kind and number, length, content.
// Whatever comes, nothing breaks, nobody gets his own back, what is sent parses
// if RTP was sent, and every buffer is given back in the end.
func (l *lab) script(b []byte, show func(n int)) {
	for n := 0; len(b) >= 2 && n < 200; n++ {
		kind, leg, size := b[0]>>6, int(b[0]&7), min(int(b[1]), len(b)-2)
		x := b[2 : 2+size]
		b = b[2+size:]
		switch kind {
		case 0, 1:
			p := graph.Packet{Buf: l.buf(x), Track: graph.TrackID(leg), Arrival: l.now, Level: 127, Repaired: kind == 1 && leg > 2}
			if rtp.Parse(x, &p.Hdr) == rtp.OK {
				p.Exts = p.Hdr.ExtMask(x)
				l.el.HandleBatch(l.now, []graph.Packet{p}, &l.out)
			}
			p.Buf.Release()
		case 2:
			l.el.HandleFeedback(l.now, graph.LegID(leg), x, &l.out)
		case 3:
			l.now = l.now.Add(time.Duration(size) * 10 * time.Millisecond)
			show(leg)
		}
		for i := range l.out.Sends {
			s := &l.out.Sends[i]
			if kind < 2 && !s.RTCP && s.Leg == graph.LegID(leg) {
				l.t.Fatal("a leg got its own packet")
			}
		}
		if l.next = l.el.Tick(l.now, &l.out); l.next != 0 && l.next < l.now {
			l.t.Fatal("deadline in the past")
		}
		l.collect()
	}
}

func seeds(f *testing.F) {
	a, b := &cam{ssrc: 0xA1, seq: 65535, pt: 96}, &cam{ssrc: 0xB1, pt: 104}
	step := func(kind, n uint8, x []byte) []byte { return append([]byte{kind<<6 | n, uint8(len(x))}, x...) }
	raw := func(ps ...prtcp.Packet) []byte { return must(prtcp.Marshal(ps)) }
	var all []byte
	for _, s := range [][]byte{
		step(3, 1, nil), step(0, 1, a.frame(true)), step(0, 2, b.frame(true)), step(0, 1, a.frame(false)), step(3, 2, make([]byte, 60)),
		step(0, 2, b.frame(true)), step(1, 1, a.frame(false)),
		step(2, 3, raw(&prtcp.ReceiverReport{SSRC: 3, Reports: []prtcp.ReceptionReport{{SSRC: slotBase + 3}}}, &prtcp.PictureLossIndication{SenderSSRC: 3, MediaSSRC: slotBase + 3})),
		step(2, 3, raw(&prtcp.TransportLayerNack{SenderSSRC: 3, MediaSSRC: slotBase + 3, Nacks: []prtcp.NackPair{{PacketID: 1, LostPackets: 0xffff}}})),
		step(2, 1, raw(&prtcp.SenderReport{SSRC: 0xA1, Reports: []prtcp.ReceptionReport{{SSRC: 1}}}, prtcp.NewCNAMESourceDescription(0xA1, "a"), &prtcp.Goodbye{Sources: []uint32{0xA1}})),
		step(2, 2, *tmmbr(2, slotBase+2, 5)), step(3, 1, make([]byte, 255)),
		step(2, 2, binary.BigEndian.AppendUint64(nil, 0x9fc8_ffff_0000_0001)),
	} {
		all = append(all, s...)
		f.Add(s)
	}
	f.Add(all)
}

func FuzzRelay(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, keys := range []bool{true, false} {
			l, r := newRelay(t, keys)
			l.script(b, func(int) {})
			r.Close(&l.out)
			l.collect()
			l.empty()
		}
	})
}

func (l *lab) empty() {
	if n := l.pool.Live(); n != 0 {
		l.t.Fatalf("%d buffers leak", n)
	}
}

func FuzzSwitch(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newHall(t, "switch")
		l.room(0)
		l.script(b, func(n int) { l.show(graph.TrackID(1 + n&1)) })
		l.leave()
	})
}

func FuzzTerminating(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newHall(t, "rtcp-terminating-mcu")
		l.room(64)
		l.script(b, func(n int) { l.show(graph.TrackID(1+n&1), graph.LegID(1+n&3)) })
		for leg := range l.got {
			for _, p := range l.media(leg, 0) {
				if len(p.CSRC) != 0 || p.SSRC != slotBase+uint32(leg) && p.SSRC != rtxBase+uint32(leg) {
					t.Fatalf("leg %d got %v", leg, p)
				}
			}
		}
		l.leave()
	})
}

// FuzzPassing: the recipes in which RTCP crosses, in the engine.
func FuzzPassing(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, topo := range []string{"relay", "video-switching-mcu", "asymmetric"} {
			l := newHall(t, topo)
			l.stage()
			l.script(b, func(n int) {
				if topo == "video-switching-mcu" {
					l.show(graph.TrackID(1 + n&1))
				}
			})
			l.leave()
		}
	})
}

func FuzzVideoSwitch(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		l, v, _, _ := newVSM(t)
		l.script(b, func(n int) { v.Select(l.now, graph.TrackID(n), &l.out) })
		l.empty()
	})
}

// TestRecipesDiffer: no two recipes give equal output for the same input (server
// profile, point 4), as the engine runs them.
func TestRecipesDiffer(t *testing.T) {
	outputs := map[string]string{}
	for _, topo := range topologies {
		l := newHall(t, topo)
		l.common = true
		a, b := l.stage()
		choose := func(t graph.TrackID) {
			if l.slots() {
				l.show(t)
			}
		}
		choose(1)
		l.play(time.Second, a, a, b)
		l.rtcp(1, &prtcp.SenderReport{SSRC: a.ssrc})
		choose(2)
		l.play(2*time.Second, b, a, b)
		sum := ""
		for leg := graph.LegID(1); leg <= 4; leg++ {
			for _, s := range l.got[leg] {
				sum += string(s.b)
			}
			sum += "|"
		}
		if other, ok := outputs[sum]; ok || len(sum) < 1000 {
			t.Errorf("%s and %s do the same", topo, other)
		}
		outputs[sum] = topo
	}
}
