package bwe

import (
	"math/rand/v2"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/rtcp"
)

func twcc(t testing.TB, base uint16, ref uint32, deltas ...int32) rtcp.TWCC {
	t.Helper()
	it := rtcp.Parse(rtcp.AppendTWCC(nil, 1, 2, base, ref, 0, deltas))
	var p rtcp.Packet
	it.Next(&p)
	tw, ok := p.TWCC()
	if !ok {
		t.Fatal("bad feedback")
	}
	return tw
}

const sec = clock.Time(time.Second)

func TestHistoryTellsEachPacketOnce(t *testing.T) {
	var h History
	for i := range 6 { // over the end of the circle
		h.Add(sec.Add(time.Duration(i)*time.Millisecond), Packet{Seq: uint16(65533 + i), Size: 100 + i})
	}
	if h.Inflight() != 615 {
		t.Fatalf("in flight %d", h.Inflight())
	}
	tw := twcc(t, 65533, 10, 4, 4, rtcp.Missing, 4)
	got := h.TWCC(&tw, nil)
	if len(got) != 4 || !got[0].Received || got[2].Received || got[3].Size != 103 || got[3].Sent != sec.Add(3*time.Millisecond) {
		t.Fatalf("%+v", got)
	}
	if want := 10*64*time.Millisecond + 3*time.Millisecond; got[3].At != want {
		t.Errorf("arrived at %v, want %v", got[3].At, want)
	}
	tw = twcc(t, 65533, 10, 4, 4, 4, 4)
	got = h.TWCC(&tw, nil)
	if len(got) != 1 || !got[0].Late || !got[0].Received || got[0].Size != 102 {
		t.Errorf("told again: %+v", got)
	}
	if h.Inflight() != 104+105 {
		t.Errorf("in flight %d", h.Inflight())
	}
}

func TestHistoryKnowsOfLostFeedback(t *testing.T) {
	var h History
	for i := range 10 {
		h.Add(sec, Packet{Seq: uint16(i), Size: 100})
	}
	tw := twcc(t, 0, 1, 1, 1)
	got := h.TWCC(&tw, nil)
	tw = twcc(t, 5, 1, 1)
	got = h.TWCC(&tw, got[:0])
	if len(got) != 4 || !got[0].Untold || !got[2].Untold || got[3].Untold || !got[3].Received {
		t.Errorf("%+v", got)
	}
}

// TestHistoryGrowsOnlyAsNeeded: many packets before the first feedback keep
// their slots, and a long quiet leg stays small.
func TestHistoryGrowsOnlyAsNeeded(t *testing.T) {
	var fast, slow History
	for i := range 3000 {
		fast.Add(sec.Add(time.Duration(i)*200*time.Microsecond), Packet{Seq: uint16(i), Size: 1000})
		slow.Add(sec.Add(time.Duration(i)*20*time.Millisecond), Packet{Seq: uint16(i), Size: 100})
	}
	if len(fast.ring) != 4096 || len(slow.ring) != historyMin {
		t.Errorf("rings of %d and %d", len(fast.ring), len(slow.ring))
	}
	if e := fast.find(1<<16 + 5); e == nil || e.size() != 1000 {
		t.Error("a packet was lost in growing")
	}
	if slow.inflight != historyMin*100 {
		t.Errorf("in flight %d", slow.inflight)
	}
}

// TestReferenceTimeTurnsOver: 24 bits of 64 ms are 12 days.
func TestReferenceTimeTurnsOver(t *testing.T) {
	var h History
	for i := range 2 {
		h.Add(sec, Packet{Seq: uint16(i), Size: 100})
	}
	tw := twcc(t, 0, 0xffffff, 0)
	a := h.TWCC(&tw, nil)
	tw = twcc(t, 1, 0, 0)
	b := h.TWCC(&tw, nil)
	if d := b[0].At - a[0].At; d != 64*time.Millisecond {
		t.Errorf("%v apart", d)
	}
}

func TestD9_FeedbackOnForeignPacketsTellsNothing(t *testing.T) {
	var h History
	tw := twcc(t, 0, 0, 1, 1, 1)
	if got := h.TWCC(&tw, nil); len(got) != 0 {
		t.Errorf("before anything was sent: %+v", got)
	}
	h.Add(sec, Packet{Seq: 100, Size: 1000})
	tw = twcc(t, 20000, 0, 1, 1, 1)
	if got := h.TWCC(&tw, nil); len(got) != 1 || !got[0].Untold {
		t.Errorf("%+v", got)
	}
	tw = rtcp.TWCC{Base: 100, Count: 65535}
	if got := h.TWCC(&tw, nil); len(got) != 0 {
		t.Errorf("endless feedback: %+v", got)
	}
}

func ccfb(t testing.TB, at uint32, m ...rtcp.Metric) rtcp.CCFB {
	t.Helper()
	it := rtcp.Parse(rtcp.AppendCCFB(nil, 1, at, m))
	var p rtcp.Packet
	it.Next(&p)
	c, ok := p.CCFB()
	if !ok {
		t.Fatal("bad feedback")
	}
	return c
}

// TestCCFBFindsPacketsBySource (RFC 8888, section 3.1).
func TestCCFBFindsPacketsBySource(t *testing.T) {
	var h History
	h.TrackRTP()
	h.Add(sec, Packet{Seq: 0, Size: 100, SSRC: 7, RTP: 65535})
	h.Add(sec, Packet{Seq: 1, Size: 200, SSRC: 9, RTP: 65535})
	h.Add(sec, Packet{Seq: 2, Size: 300, SSRC: 7, RTP: 0})
	c := ccfb(t, 0x20000, // 2 s
		rtcp.Metric{SSRC: 7, Seq: 65535, Received: true, ECN: 3, ATO: 512}, rtcp.Metric{SSRC: 7, Seq: 0},
		rtcp.Metric{SSRC: 9, Seq: 65535, Received: true, ATO: rtcp.ATOUnknown}, rtcp.Metric{SSRC: 8, Seq: 1, Received: true})
	got := h.CCFB(&c, nil)
	if len(got) != 3 {
		t.Fatalf("%+v", got)
	}
	if r := got[0]; r.Size != 100 || !r.CE || !r.Timed || r.At != 1500*time.Millisecond {
		t.Errorf("first: %+v", r)
	}
	if r := got[1]; r.Size != 300 || r.Received {
		t.Errorf("second: %+v", r)
	}
	if r := got[2]; r.Size != 200 || !r.Received || r.Timed {
		t.Errorf("third: %+v", r)
	}
	for i := range uint32(100) { // sources that come and go do not pile up
		h.Add(sec.Add(time.Second), Packet{Seq: uint16(3 + i), Size: 1, SSRC: 1000 + i})
	}
	if len(h.sources) != sourcesMax {
		t.Errorf("%d sources", len(h.sources))
	}
}

// FuzzController feeds any bytes as feedback: it must not panic, and the target
// stays in its bounds (scenario D9).
func FuzzController(f *testing.F) {
	f.Add(rtcp.AppendTWCC(nil, 1, 2, 0, 3, 4, []int32{1, 2, rtcp.Missing, 5, -3, 900}), uint64(300_000))
	f.Add(rtcp.AppendCCFB(nil, 1, 99, []rtcp.Metric{{SSRC: 5, Seq: 3, Received: true, ECN: 3}, {SSRC: 5, Seq: 4}}), uint64(0))
	f.Add(rtcp.AppendTWCC(nil, 1, 2, 65500, 0xffffff, 4, []int32{32767, -32768, 32767}), uint64(1)<<63)
	f.Fuzz(func(t *testing.T, raw []byte, remb uint64) {
		c := New(Config{})
		c.TrackRTP()
		rng := rand.New(rand.NewPCG(remb, uint64(len(raw))))
		now := sec
		for i := range 200 {
			now = now.Add(time.Duration(rng.IntN(20)) * time.Millisecond)
			c.OnSent(now, Packet{Seq: uint16(i), Size: rng.IntN(1500), Cluster: rng.IntN(20) - 10, SSRC: 5, RTP: uint16(i)})
			if i%20 != 19 {
				continue
			}
			it := rtcp.Parse(raw)
			for p := (rtcp.Packet{}); it.Next(&p); {
				if tw, ok := p.TWCC(); ok {
					c.OnTWCC(now, tw)
				}
				if cc, ok := p.CCFB(); ok {
					c.OnCCFB(now, cc)
				}
			}
			c.OnREMB(now, remb)
			c.OnLoss(now, rng.Float64())
			if next := c.Tick(now); next <= now {
				t.Fatalf("tick at %d wants %d", now, next)
			}
			if r := c.Target(); r < defaultMin || r > defaultMax {
				t.Fatalf("target %d", r)
			}
		}
	})
}
