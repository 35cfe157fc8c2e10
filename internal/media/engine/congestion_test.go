package engine_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
	"parley/internal/media/rtp"
	"parley/internal/simnet"
)

// TestQ2_EstimateThroughEngine: a leg behind 500 kbit/s is estimated near that,
// through the engine and its own RTCP, whatever the camera makes.
func TestQ2_EstimateThroughEngine(t *testing.T) {
	for _, rate := range []int{300_000, 450_000, 900_000} {
		s := newSqueezed(t, rate, simnet.Config{Rate: 500_000, Delay: 50 * time.Millisecond, QueueTime: 300 * time.Millisecond, Overhead: 28})
		sum, n := 0.0, 0
		s.run(30*time.Second, func(at time.Duration) {
			if at > 15*time.Second {
				sum, n = sum+s.estimate(), n+1
			}
		})
		mean := sum / float64(n)
		lost := s.n.link.Stats()
		t.Logf("%d: mean %.0f kbit/s, %+v, arrived %d kbit/s, pads %d, keys %d", rate/1000, mean, lost, s.n.bytes*8/30/1000, len(s.n.pads), s.cam.keys)
		if mean < 300 || mean > 600 {
			t.Errorf("%d: the estimate is %.0f kbit/s", rate, mean)
		}
	}
}

// TestPacingLetsSoundPass: while a key picture that takes a second waits for
// room, sound goes out in the instant it came, and the link's queue stays short.
func TestPacingLetsSoundPass(t *testing.T) {
	s := newSqueezed(t, 300_000, simnet.Config{Rate: 600_000, Delay: 20 * time.Millisecond, QueueTime: 400 * time.Millisecond, Overhead: 28})
	s.run(8*time.Second, nil)
	s.cam.big = 40_000
	s.cam.keys++
	from := s.r.now
	s.n.delays = nil
	sound, worst := 0, time.Duration(0)
	s.run(2*time.Second, func(time.Duration) { worst = max(worst, s.n.link.Waiting(s.r.now)) })
	for _, d := range s.n.delays {
		if d.audio && d.at-time.Duration(from) > 40*time.Millisecond {
			sound++
		}
	}
	t.Logf("sound %d, longest queue %v, keys %d", sound, worst, s.cam.keys)
	if sound < 95 { // of 98
		t.Errorf("%d packets of sound in two seconds", sound)
	}
	if worst > 350*time.Millisecond {
		t.Errorf("the link's queue grew to %v", worst)
	}
	if s.n.link.Stats().Overflowed > 0 {
		t.Error("the link overflowed")
	}
}

// TestQueueIsBounded: a stream far above what the path carries is not queued for
// seconds: frames are left out up to the next key picture.
func TestQueueIsBounded(t *testing.T) {
	s := newSqueezed(t, 1_500_000, simnet.Config{Rate: 400_000, Delay: 20 * time.Millisecond, QueueTime: 300 * time.Millisecond, Overhead: 28})
	s.run(2*time.Second, nil)
	start := s.n.link.Stats()
	s.run(18*time.Second, nil)
	late := time.Duration(0)
	for _, d := range s.n.delays {
		if !d.audio && d.at > time.Duration(s.at)+5*time.Second {
			late = max(late, d.wait)
		}
	}
	st := s.n.link.Stats()
	t.Logf("longest on the link %v, keys %d, %+v", late, s.cam.keys, st)
	if late > 400*time.Millisecond {
		t.Errorf("a packet was %v on the link", late)
	}
	if n := st.Overflowed - start.Overflowed; n > 40 {
		t.Errorf("%d packets overflowed after the start", n)
	}
}

// TestProbeContent: what is sent to find out that a path has become wider is
// retransmissions of what was sent, or padding alone, on the stream of
// retransmissions, in one row of numbers.
func TestProbeContent(t *testing.T) {
	cfg := simnet.Config{Rate: 300_000, Delay: 20 * time.Millisecond, QueueTime: 300 * time.Millisecond}
	s := newSqueezed(t, 400_000, cfg)
	s.run(5*time.Second, nil)
	cfg.Rate = 5_000_000
	s.n.link.Set(cfg)
	s.run(500*time.Millisecond, nil)
	s.n.pads = nil // the narrow queue dropped some
	s.run(12*time.Second, nil)
	empty, again := 0, 0
	for i, p := range s.n.pads {
		if p.SSRC != s.sub.RTXSSRC {
			t.Fatalf("SSRC %x", p.SSRC)
		}
		if i > 0 && p.SequenceNumber != s.n.pads[i-1].SequenceNumber+1 {
			t.Fatalf("%d follows %d", p.SequenceNumber, s.n.pads[i-1].SequenceNumber)
		}
		switch {
		case len(p.Payload) == 0 && p.Padding && p.PaddingSize >= 200:
			empty++
		case len(p.Payload) > 2 && !p.Padding:
			again++
		default:
			t.Fatalf("%+v", p)
		}
	}
	t.Logf("%d empty, %d again, estimate %.0f", empty, again, s.estimate())
	if empty+again == 0 {
		t.Error("nothing was probed with")
	}
}

// TestSatisfiedLegIsNotProbed: who has all that was asked for is sent no padding.
func TestSatisfiedLegIsNotProbed(t *testing.T) {
	s := newSqueezed(t, 150_000, simnet.Config{Rate: 5_000_000, Delay: 20 * time.Millisecond, QueueTime: 300 * time.Millisecond})
	s.run(30*time.Second, nil)
	s.n.pads = nil
	s.run(30*time.Second, nil)
	if n := len(s.n.pads); n > 0 {
		t.Errorf("%d packets to probe with, at an estimate of %.0f kbit/s", n, s.estimate())
	}
}

// TestCircuitBreaker: RFC 8083 stops a stream whose receiver reports what TCP
// would have given up by far, although nobody tells what arrives, and it comes
// back with a key picture.
func TestCircuitBreaker(t *testing.T) {
	r := newRoom(t, 1)
	p := r.publisher(0, plane.Video)
	cam := &filmer{x: p.publish("0", plane.Video, 1), rate: 4_000_000, keys: 1, next: r.now}
	codec := subVP8
	codec.TWCC, codec.REMB = false, false
	v := r.join(0, plane.LegMedia{Sections: []plane.Section{{MID: "s0", Kind: plane.Video, Exts: subExts, Send: &plane.Send{Codecs: []plane.Codec{codec}}}}})
	sub := v.subscribe(cam.x, plane.Subscription{})
	sent, keys, last := make([]int, 40), 0, uint16(0)
	for ms := range 40_000 {
		cam.step()
		r.turn()
		if got := v.rtpGot(sub.SSRC); len(got) > 0 {
			sent[ms/1000] += len(got)
			last = got[len(got)-1].SequenceNumber
		}
		v.clear()
		lost := uint8(0)
		if ms < 15_000 {
			lost = 200
		}
		if ms%1000 == 999 && sent[ms/1000] > 0 {
			v.rawRTCP(rtcp.AppendRR(nil, 77, []rtcp.Block{{SSRC: sub.SSRC, Fraction: lost, Highest: uint32(last)}}))
		}
		if ms == 15_000 {
			keys = cam.keys
		}
		r.now = r.now.Add(time.Millisecond)
	}
	t.Log(sent)
	if sent[1] == 0 || sent[15] != 0 || sent[39] == 0 {
		t.Errorf("packets a second: %v", sent)
	}
	if cam.keys <= keys {
		t.Error("no key picture was asked for")
	}
}

// TestD9_HostileFeedback: what a receiver can say is bounded in what it causes.
func TestD9_HostileFeedback(t *testing.T) {
	s := newSqueezed(t, 500_000, simnet.Config{Rate: 5_000_000, Delay: 20 * time.Millisecond, QueueTime: 300 * time.Millisecond})
	rng := rand.New(rand.NewPCG(9, 9))
	s.run(3*time.Second, nil)
	v := s.n.p
	before := s.n.bytes
	s.n.pads = nil
	nonsense := func(at time.Duration) {
		ms := int(at / time.Millisecond)
		for range 2 {
			deltas := make([]int32, 1+rng.IntN(400))
			for i := range deltas {
				deltas[i] = int32(rng.IntN(65536) - 32768)
			}
			v.rawRTCP(rtcp.AppendTWCC(rtcp.AppendRR(nil, 77, nil), 77, 1, uint16(rng.Uint32()), rng.Uint32()&0xffffff, uint8(ms), deltas))
		}
		var seqs []uint16
		base := uint16(rng.Uint32())
		if n := len(s.n.seen); n > 0 {
			base = s.n.seen[n-1].SequenceNumber
		}
		for i := range 500 {
			seqs = append(seqs, base-uint16(i))
		}
		v.rawRTCP(rtcp.AppendNACK(rtcp.AppendRR(nil, 77, nil), 77, s.sub.SSRC, seqs))
		rate := uint64(0)
		if ms%2 == 0 {
			rate = 1 << 62
		}
		v.rawRTCP(rtcp.AppendREMB(rtcp.AppendRR(nil, 77, nil), 77, rate, []uint32{s.sub.SSRC}))
		v.rawRTCP(rtcp.AppendPLI(rtcp.AppendRR(nil, 77, nil), 77, s.sub.SSRC))
		v.rawRTCP(rtcp.AppendCCFB(rtcp.AppendRR(nil, 77, nil), 77, rng.Uint32(), []rtcp.Metric{{SSRC: s.sub.SSRC, Seq: base, Received: true}}))
	}
	keys := s.cam.keys
	s.run(10*time.Second, nonsense)
	rtx := 0
	for _, p := range s.n.pads {
		rtx += len(p.Payload) + 20
	}
	media := s.n.bytes - before - rtx
	t.Logf("media %d, retransmissions %d, keys %d, estimate %.0f", media, rtx, s.cam.keys-keys, s.estimate())
	if rtx > media {
		t.Errorf("%d bytes again for %d of media", rtx, media)
	}
	if n := s.cam.keys - keys; n > 10 {
		t.Errorf("%d requests for key pictures in ten seconds", n)
	}
	if e := s.estimate(); e < 0 || e > 30_000 {
		t.Errorf("estimate %.0f", e)
	}
}

// TestCCFB_BothWays: a receiver that knows RFC 8888 only is estimated by it, and a
// publisher that does is told, with the marks of its packets.
func TestCCFB_BothWays(t *testing.T) {
	r := newRoom(t, 1)
	m := pubMedia(plane.Video)
	c := &m.Sections[0].Recv.Codecs[0]
	c.TWCC, c.REMB, c.CCFB = false, false, true
	p := r.join(0, m)
	x := p.publish("0", plane.Video, 1)
	codec := subVP8
	codec.TWCC, codec.CCFB = false, true
	exts := subExts
	exts[plane.ExtTransportCC] = 0
	v := r.join(0, plane.LegMedia{Sections: []plane.Section{{MID: "s0", Kind: plane.Video, Exts: exts, Send: &plane.Send{Codecs: []plane.Codec{codec}}}}})
	v.subscribe(x, plane.Subscription{})
	marks, got := 0, 0
	var told []rtcp.Metric
	for ms := range 3000 {
		if ms%33 == 0 {
			for i := range 2 {
				buf := r.pool.Get()
				b := x.packet(append(vp8Key[:len(vp8Key):len(vp8Key)], make([]byte, 900)...), i == 1)
				buf.N = copy(buf.B[:], b)
				buf.ECN = 3
				r.shards[0].HandleRTP(r.now, p.leg, buf, &r.outs[0])
				buf.Release()
			}
			x.ts += 3000
		}
		r.turn()
		for _, s := range v.got {
			var h rtp.Header
			if !s.rtcp && rtp.Parse(s.b, &h) == rtp.OK {
				told = append(told, rtcp.Metric{SSRC: h.SSRC, Seq: h.Seq, Received: true})
			}
		}
		v.clear()
		if ms%60 == 59 {
			for _, k := range told { // the test's numbers may have gaps, one message each
				v.rawRTCP(rtcp.AppendCCFB(rtcp.AppendRR(nil, 77, nil), 77, uint32(r.now*65536/clock.Time(time.Second)), []rtcp.Metric{k}))
			}
			told = told[:0]
		}
		for _, s := range p.got {
			var q rtcp.Packet
			for it := rtcp.Parse(s.b); s.rtcp && it.Next(&q); {
				if f, ok := q.CCFB(); ok {
					for k := (rtcp.Metric{}); f.Next(&k); {
						got++
						if k.ECN == 3 && k.Received && k.SSRC == 1 {
							marks++
						}
					}
				}
			}
		}
		p.clear()
		r.now = r.now.Add(time.Millisecond)
	}
	var st plane.LinkStats
	r.shards[0].LegStats(v.leg, &st)
	t.Logf("%d told, %d marked, estimate %d", got, marks, st.EstimateOut)
	if got < 170 || marks != got {
		t.Errorf("%d told, %d marked", got, marks)
	}
	if st.EstimateOut == 0 {
		t.Error("no estimate")
	}
}

// TestTWCC_TellsWhenPacketsCame: packets that a busy shard sees all at once are told
// as they came, so that the publisher estimates the path and not the shard.
func TestTWCC_TellsWhenPacketsCame(t *testing.T) {
	r := newRoom(t, 1)
	p := r.join(0, pubMedia(plane.Video))
	x := p.publish("0", plane.Video, 1)
	r.now = r.now.Add(time.Second)
	const n, apart = 12, 5 * time.Millisecond
	for i := range n {
		buf := r.pool.Get()
		buf.N = copy(buf.B[:], x.packet(vp8Key, true))
		buf.Came = r.now.Add(-time.Duration(n-i) * apart)
		r.shards[0].HandleRTP(r.now, p.leg, buf, &r.outs[0])
		buf.Release()
		x.ts += 3000
	}
	var told []int32
	for range 200 {
		r.turn()
		for _, s := range p.got {
			var q rtcp.Packet
			for it := rtcp.Parse(s.b); s.rtcp && it.Next(&q); {
				f, _ := q.TWCC()
				for _, d, ok := f.Next(); ok; _, d, ok = f.Next() {
					told = append(told, d)
				}
			}
		}
		p.clear()
		r.now = r.now.Add(time.Millisecond)
	}
	if len(told) != n {
		t.Fatalf("%d packets told", len(told))
	}
	for _, d := range told[1:] { // the first is from the reference
		if got := time.Duration(d) * 250 * time.Microsecond; got != apart {
			t.Errorf("told %v after the one before, came %v after it", got, apart)
		}
	}
}
