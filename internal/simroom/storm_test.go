package simroom

import (
	"math/rand/v2"
	"testing"
	"time"

	"parley/internal/media/rtcp"
)

// limited checks what a publisher saw of a storm of requests that began at an
// instant: at most one a second, then one in two.
func limited(t *testing.T, u *Publisher, from, to time.Duration) {
	t.Helper()
	var at []time.Duration
	for _, q := range u.Requests {
		if d := q.At.Sub(start); d >= from && d < to {
			at = append(at, d)
		}
	}
	most := func(window, after time.Duration) (n int) {
		for i := range at {
			if at[i] < after {
				continue
			}
			k := i
			for k < len(at) && at[k]-at[i] < window {
				k++
			}
			n = max(n, k-i)
		}
		return n
	}
	// A second is taken with a twentieth off, which is the jitter of a tick.
	figure(t, "requests in any second", float64(most(950*ms, 0)), "<=", 1)
	figure(t, "requests in any 10 s, after 5 s", float64(most(9900*ms, from+5*time.Second)), "<=", 5)
	t.Logf("%d requests in %v", len(at), to-from)
}

// TestQ13_KeyframeStorm: fifty join within a second and ask ten times a second.
func TestQ13_KeyframeStorm(t *testing.T) {
	r := newRoom(t)
	a := r.Join("a", wire(20*ms), wire(20*ms))
	a.Publish(Media{Speaks: true, Layers: []float64{1200}})
	const join = 5 * time.Second
	took := length(15*time.Second, 60*time.Second)
	views := make([]*View, 0, 50)
	for i := range 50 {
		r.At(join+time.Duration(i)*20*ms, func() {
			p := r.Join("s", wire(20*ms), wire(20*ms))
			_, eye := p.Watch(a, Wants{})
			views = append(views, eye)
			r.Every(100*ms, func() { eye.keyframe(r.now) })
		})
	}
	var bytes, keys uint64
	r.At(join, func() { bytes, keys = a.Pub.VideoBytes, a.Pub.KeyBytes })
	r.Run(join + took)
	limited(t, a.Pub, join, join+took)
	figure(t, "keyframes, % of bytes", 100*float64(a.Pub.KeyBytes-keys)/float64(a.Pub.VideoBytes-bytes), "<=", 20)
	worst := time.Duration(0)
	for _, v := range views {
		if len(v.Eye.Pictures) == 0 {
			t.Fatalf("%s saw nothing", v.peer.Name)
		}
		worst = max(worst, v.Eye.Pictures[0].At.Sub(v.since))
	}
	figure(t, "first frame of the slowest, ms", float64(worst)/1e6, "<=", 2000)
}

// TestD9_HostileReceiver: one receiver sends what hurts most.
func TestD9_HostileReceiver(t *testing.T) {
	r := newRoom(t)
	a := r.Join("a", wire(20*ms), wire(20*ms))
	a.Publish(Media{Speaks: true, Layers: Simulcast})
	good := []*Peer{r.Join("b", wire(20*ms), wire(20*ms)), r.Join("c", wire(20*ms), wire(20*ms))}
	for _, p := range good {
		p.Watch(a, Wants{})
	}
	h := r.Join("hostile", wire(20*ms), wire(20*ms))
	_, eye := h.Watch(a, Wants{})
	const from = 10 * time.Second
	took := length(15*time.Second, 120*time.Second)
	r.At(from, func() { attack(r, h, eye) })
	var media, rtx uint64 // sent before
	r.At(from, func() { media, rtx = h.Down.Bytes-h.Down.RTXBytes, h.Down.RTXBytes })
	r.Run(from + took)
	limited(t, a.Pub, from, from+took)
	figure(t, "RTX of media to the hostile one", float64(h.Down.RTXBytes-rtx)/float64(max(1, h.Down.Bytes-h.Down.RTXBytes-media)), "<=", 1)
	for _, p := range good {
		for _, v := range p.Views {
			untouched(t, v)
		}
		if v := p.Views[1]; len(v.Eye.Switches) > 1 {
			t.Errorf("%s was switched about: %v", p.Name, v.Eye.Switches)
		}
	}
	figure(t, "encodings that the publisher took off", float64(a.Pub.Sheds), "<=", 0)
	t.Logf("to the hostile one: %d bytes in all, RTX %d packets", h.Down.Bytes, h.Down.RTX)
}

// attack sends, each ten milliseconds: ten PLIs or FIRs, the last thousand
// numbers as a NACK, REMB of nothing and of 2^63, feedback that makes no sense.
func attack(r *Room, h *Peer, eye *View) {
	rng := rand.New(rand.NewPCG(r.Seed, 666))
	fir, turn := uint8(0), 0
	r.Every(10*ms, func() {
		turn++
		var b []byte
		for i := range 10 {
			if i%2 == 0 {
				b = rtcp.AppendPLI(b, h.ssrc, eye.ssrc)
			} else {
				fir++
				b = rtcp.AppendFIR(b, h.ssrc, eye.ssrc, fir)
			}
		}
		h.RTCP(b)
		seqs := make([]uint16, 1000)
		for i := range seqs {
			seqs[i] = uint16(eye.high) - 1000 + uint16(i)
		}
		h.RTCP(rtcp.AppendNACK(nil, h.ssrc, eye.ssrc, seqs))
		rate := uint64(0)
		if turn%2 == 0 {
			rate = 1 << 63
		}
		h.RTCP(rtcp.AppendREMB(nil, h.ssrc, rate, []uint32{eye.ssrc}))
		deltas := make([]int32, 1+rng.IntN(300))
		for i := range deltas {
			deltas[i] = int32(rng.IntN(1<<16)) - 1<<15
			if rng.IntN(3) == 0 {
				deltas[i] = rtcp.Missing
			}
		}
		h.RTCP(rtcp.AppendTWCC(nil, h.ssrc, eye.ssrc, uint16(rng.Uint32()), rng.Uint32()&0xffffff, uint8(rng.Uint32()), deltas))
	})
}

// TestQ12_Isolation: one of ten receivers has a bad path.
func TestQ12_Isolation(t *testing.T) {
	took := length(25*time.Second, 120*time.Second)
	run := func(bad bool) (*Room, *Peer, []*Peer) {
		r := newRoom(t)
		a := r.Join("a", wire(20*ms), wire(20*ms))
		a.Publish(Media{Speaks: true, Layers: Simulcast})
		ps := make([]*Peer, 10)
		for i := range ps {
			down := wire(20 * ms)
			if bad && i == 9 {
				down.Rate, down.QueueTime, down.Loss = 200_000, 300*ms, 0.10
			}
			ps[i] = r.Join("s", wire(20*ms), down)
			ps[i].Watch(a, Wants{})
		}
		r.Run(took)
		return r, a, ps
	}
	_, _, before := run(false)
	_, a, after := run(true)
	worst := time.Duration(0)
	for i := range 9 {
		for _, v := range after[i].Views {
			untouched(t, v)
		}
		x, y := percentile(before[i].Views[0].Ear.Delays, 99), percentile(after[i].Views[0].Ear.Delays, 99)
		worst = max(worst, y-x)
		if got := len(after[i].Views[1].Eye.Switches); got > 1 {
			t.Errorf("%d was switched %d times", i, got)
		}
	}
	figure(t, "added latency p99, ms", float64(worst)/1e6, "<=", 2)
	figure(t, "encodings that the publisher took off", float64(a.Pub.Sheds), "<=", 0)
	// Before that it looks for what the bad path can carry, at the limiter's pace.
	figure(t, "keyframes after 10 s", float64(len(a.Pub.Asked(10*time.Second))), "<=", float64(took/(10*time.Second)))
	ear, eye := after[9].Views[0], after[9].Views[1]
	share, _ := ear.Ear.Concealed(0, 0)
	t.Logf("the bad one: audio concealed %.3f, pictures %d, overflow %+v", share, len(eye.Eye.Pictures), after[9].Down.Stats())
}
