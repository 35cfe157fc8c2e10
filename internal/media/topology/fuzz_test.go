package topology_test

import (
	"encoding/binary"
	"testing"
	"time"

	prtcp "github.com/pion/rtcp"

	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtp"
	"parley/internal/media/stream"
	"parley/internal/media/topology"
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
		l, p := newPair(t)
		p.Bind(1, 1)
		p.Bind(2, 2)
		l.script(b, func(int) {})
		l.empty()
	})
}

func (l *lab) empty() {
	if n := l.pool.Live(); n != 0 {
		l.t.Fatalf("%d buffers leak", n)
	}
}

// leave ends everything and checks that the memory came back.
func (l *lab) leave(el ender) {
	for i := graph.LegID(1); i <= 4; i++ {
		el.RemoveParty(l.now, i, &l.out)
	}
	l.collect()
	l.empty()
}

func FuzzSwitch(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newLab(t)
		s := topology.NewSwitch(l.env())
		l.room(s, 0)
		l.script(b, func(n int) { s.Show(l.now, 0, graph.TrackID(n), &l.out) })
		l.leave(s)
	})
}

func FuzzTerminating(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newLab(t)
		m := topology.NewTerminating(l.env())
		l.room(m, 64)
		l.script(b, func(n int) { m.Show(l.now, graph.LegID(n), 0, graph.TrackID(1+n&1), &l.out) })
		for leg := range l.got {
			for _, p := range l.media(leg, 0) {
				if len(p.CSRC) != 0 || p.SSRC != slotBase+uint32(leg) && p.SSRC != rtxBase+uint32(leg) {
					t.Fatalf("leg %d got %v", leg, p)
				}
			}
		}
		l.leave(m)
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
// profile, point 4).
func TestRecipesDiffer(t *testing.T) {
	type recipe struct {
		name string
		make func(l *lab) func(t graph.TrackID)
	}
	outputs := map[string]string{}
	for _, r := range []recipe{
		{"relay", func(l *lab) func(graph.TrackID) {
			x := topology.NewRelay(true)
			l.el = x
			for i := 1; i <= 4; i++ {
				x.AddLeg(graph.LegID(i))
				x.Bind(graph.TrackID(i), graph.LegID(i))
			}
			return func(graph.TrackID) {}
		}},
		{"pair", func(l *lab) func(graph.TrackID) {
			x := topology.NewPair(1, 2)
			l.el = x
			x.Bind(1, 1)
			x.Bind(2, 2)
			return func(graph.TrackID) {}
		}},
		{"switch", func(l *lab) func(graph.TrackID) {
			x := topology.NewSwitch(l.env())
			l.room(x, 0)
			return func(t graph.TrackID) { x.Show(l.now, 0, t, &l.out) }
		}},
		{"rtcp-terminating-mcu", func(l *lab) func(graph.TrackID) {
			x := topology.NewTerminating(l.env())
			l.room(x, 0)
			return func(t graph.TrackID) {
				for i := graph.LegID(1); i <= 4; i++ {
					x.Show(l.now, i, 0, t, &l.out)
				}
			}
		}},
		{"video-switching-mcu", func(l *lab) func(graph.TrackID) {
			x := topology.NewVideoSwitch(0xE1, "mcu")
			l.el = x
			for i := graph.LegID(1); i <= 4; i++ {
				x.AddLeg(i)
			}
			for i := graph.TrackID(1); i <= 2; i++ {
				x.AddInput(topology.Input{Track: i, Leg: graph.LegID(i), Kind: plane.Video, Info: stream.Info{Codecs: []plane.Codec{vp8(uint8(88+8*i), 0)}, Layers: 1}})
			}
			return func(t graph.TrackID) { x.Select(l.now, t, &l.out) }
		}},
	} {
		l := newLab(t)
		choose := r.make(l)
		a, b := &cam{track: 1, ssrc: 0xA1, pt: 96}, &cam{track: 2, ssrc: 0xB1, pt: 104}
		choose(1)
		l.play(time.Second, a, a, b)
		l.rtcp(1, &prtcp.SenderReport{SSRC: 0xA1})
		choose(2)
		l.play(time.Second, b, a, b)
		sum := ""
		for leg := graph.LegID(1); leg <= 4; leg++ {
			for _, s := range l.got[leg] {
				sum += string(s.b)
			}
			sum += "|"
		}
		if other, ok := outputs[sum]; ok {
			t.Errorf("%s and %s do the same", r.name, other)
		}
		outputs[sum] = r.name
	}
}
