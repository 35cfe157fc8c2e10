package simroom

import (
	"testing"
	"time"

	"parley/internal/simnet"
)

// lossy is a line of the specification about loss "both ways" on one path.
type lossy struct {
	rtt       time.Duration
	loss      float64
	burst     *simnet.GilbertElliott
	ratio     float64       // of lost video repaired within 400 ms, at least
	first     time.Duration // median of first repairs, at most
	fec, red  float64       // share of audio concealed, at most; 0: not asked
	freezes   float64       // a minute, at most; 0: not asked
	rate      int64         // of the receiver's downlink
	estimate  uint64        // bit/s at 120 s or the end, at least
	oneDipMax bool
	parity    bool // is agreed
}

func (c *lossy) path() simnet.Config {
	cfg := simnet.Config{Delay: c.rtt / 2, Loss: c.loss, Burst: c.burst}
	return cfg
}

// run lets one publisher talk to two receivers, one that decodes Opus' own FEC
// and one that takes RED; the path of the publisher, or those of the receivers,
// are lossy in both directions.
func (c *lossy) run(t *testing.T) {
	for _, side := range []string{"receivers", "publisher"} {
		t.Run(side, func(t *testing.T) {
			r := newRoom(t)
			up, down := wire(10*ms), c.path()
			if side == "publisher" {
				up, down = c.path(), wire(10*ms)
			} else {
				down.Rate = c.rate
			}
			a := r.Join("a", up, up)
			m := Media{Speaks: true, RED: true, Layers: Simulcast}
			if c.parity && side == "publisher" { // browsers protect what is no simulcast
				m.Layers, m.Parity = []float64{1500}, true
			}
			a.Publish(m)
			back := down
			back.Rate = 0
			b, d := r.Join("b", back, down), r.Join("d", back, down)
			fec, eye := b.Watch(a, Wants{FEC: true, Parity: c.parity})
			red, _ := d.Watch(a, Wants{RED: true})
			var dips dipper
			dips.watch(r, b)
			took := 300 * time.Second
			if raced {
				took = 45 * time.Second
			}
			var at120 uint64
			r.At(min(120*time.Second, took-time.Second), func() { at120 = b.Stats().EstimateOut })
			tr := r.Trace(b, eye)
			r.Run(took)
			keepTrace(t, tr)
			hop := b.Down
			if side == "publisher" {
				hop = a.Up
			}
			c.judge(t, hop, hop.Repairs(5*time.Second, took-time.Second), took, fec, red, eye)
			if side == "receivers" && c.estimate > 0 {
				figure(t, "estimate kbit/s", float64(at120)/1000, ">", float64(c.estimate)/1000)
			}
			if side == "receivers" && c.oneDipMax {
				figure(t, "dips > 100 kbit/s in any 500 ms", float64(dips.most), "<", 2)
			}
		})
	}
}

func (c *lossy) judge(t *testing.T, hop *Hop, s Repairs, took time.Duration, fec, red, eye *View) {
	t.Helper()
	least := c.ratio
	if took < 2*time.Minute { // a few hundred are lost: chance may miss three of them
		least -= 3 / float64(max(s.Lost, 1))
	}
	figure(t, "video repaired in 400 ms, %", 100*s.Ratio, ">=", 100*least)
	if c.first > 0 {
		figure(t, "first repair p50, ms", float64(s.First)/1e6, "<=", float64(c.first)/1e6)
	}
	rare := took >= 2*time.Minute // else there are too few to judge by
	if c.fec > 0 && rare {
		share, _ := fec.Ear.Concealed(0, 0)
		figure(t, "audio concealed with FEC, %", 100*share, "<=", 100*c.fec)
		share, _ = red.Ear.Concealed(0, 0)
		figure(t, "audio concealed with RED, %", 100*share, "<=", 100*c.red)
		t.Logf("audio too late: %d of %d with FEC, %d of %d with RED", fec.Ear.Late, fec.Ear.Packets, red.Ear.Late, red.Ear.Packets)
	}
	n, longest := eye.Eye.Frozen(5*time.Second, took)
	if c.freezes > 0 && rare {
		figure(t, "freezes a minute", float64(n)/(took-5*time.Second).Minutes(), "<=", c.freezes)
	}
	last := eye.Eye.Since(took - 2*time.Second)
	if len(last) < 10 {
		t.Errorf("the picture stands at the end: %d pictures in the last two seconds", len(last))
	}
	t.Logf("parity %d of %d sent", hop.FEC, hop.RTP)
	t.Logf("lost %d, first repair p50 %v; freezes %d, longest %v; pictures %d, keyframes %d, PLIs %d; switches %v; skipped %d", s.Lost, s.First, n, longest,
		len(eye.Eye.Pictures), eye.Eye.Keys, eye.Eye.PLIs, len(eye.Eye.Switches), eye.Eye.Skipped)
}

// TestQ5_FivePercent: NACK repairs.
func TestQ5_FivePercent(t *testing.T) {
	c := lossy{rtt: 100 * ms, loss: 0.05, ratio: 0.995, first: 130 * ms, freezes: 1}
	c.run(t)
}

// TestQ6_TenPercent: base layer and audio live.
func TestQ6_TenPercent(t *testing.T) {
	c := lossy{rtt: 100 * ms, loss: 0.10, ratio: 0.985, fec: 0.013, red: 0.002, rate: 2_000_000, estimate: 300_000}
	c.run(t)
}

// TestQ7_TwentyPercent: the call survives.
func TestQ7_TwentyPercent(t *testing.T) {
	c := lossy{rtt: 100 * ms, loss: 0.20, ratio: 0.94, fec: 0.05, red: 0.01, rate: 2_000_000, oneDipMax: true}
	c.run(t)
}

// meanBurst is loss of which runs are n packets long in the mean.
func meanBurst(loss, n float64) *simnet.GilbertElliott {
	good := 1 / n
	return &simnet.GilbertElliott{ToBad: good * loss / (1 - loss), ToGood: good, LossBad: 1}
}

// TestQ8_Bursts: five percent in bursts of three.
func TestQ8_Bursts(t *testing.T) {
	c := lossy{rtt: 100 * ms, burst: meanBurst(0.05, 3), ratio: 0.995}
	c.run(t)
}

// TestQ8_BurstsFarAway: the same with a round trip of 200 ms.
func TestQ8_BurstsFarAway(t *testing.T) {
	c := lossy{rtt: 200 * ms, parity: true, burst: meanBurst(0.05, 3), ratio: 0.97}
	c.run(t)
}

// dipper counts falls of an estimate by more than 100 kbit/s that follow each
// other within 500 ms.
type dipper struct {
	prev float64
	at   []time.Duration
	most int
}

func (d *dipper) watch(r *Room, p *Peer) {
	r.Every(20*ms, func() {
		v := float64(p.Stats().EstimateOut)
		if v < d.prev-100_000 {
			d.at = append(d.at, r.Now())
			n := 0
			for _, x := range d.at {
				if r.Now()-x < 500*ms {
					n++
				}
			}
			d.most = max(d.most, n)
		}
		d.prev = v
	})
}
