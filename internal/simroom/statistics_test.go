package simroom

import (
	"math"
	"testing"
	"time"

	"parley/internal/media/plane"
)

func near(t *testing.T, what string, got, want, share float64) {
	t.Helper()
	if math.Abs(got-want) > share*math.Abs(want) {
		t.Errorf("%s is %.4g, want %.4g within %.0f %%", what, got, want, share*100)
	}
}

func videoOut(s *plane.LinkStats) *plane.StreamOut {
	for i := range s.Out {
		if s.Out[i].Kind == plane.Video {
			return &s.Out[i]
		}
	}
	return &plane.StreamOut{}
}

// TestStatisticsTellTheTruth: what the engine says of a call is what the links
// carried and lost, and what the receiver saw.
func TestStatisticsTellTheTruth(t *testing.T) {
	r := newRoom(t)
	a := r.Join("a", wire(10*ms), wire(10*ms))
	a.Publish(Media{Speaks: true, Layers: Simulcast})
	b := r.Join("b", wire(30*ms), wire(30*ms))
	ear, eye := b.Watch(a, Wants{})
	r.Run(20 * time.Second)

	in := a.Stats()
	if len(in.In) != 4 { // sound, and three encodings
		t.Fatalf("%d streams in", len(in.In))
	}
	for _, s := range in.In {
		if !s.Live || s.LossBefore != 0 || s.LossAfter != 0 || s.Repaired != 0 || s.Expected != s.Packets || s.Score < 4 {
			t.Errorf("in: %+v", s)
		}
	}
	rateIn(t, r, a)
	out := b.Stats()
	v := videoOut(&out)
	was := eye.Bytes + ear.Bytes
	pics := len(eye.Eye.Pictures)
	r.Run(5 * time.Second)
	out = b.Stats()
	v = videoOut(&out)
	if v.State != "flowing" || v.Encoding != 2 || v.Encodings != 3 || v.Lost != 0 || v.FractionLost != 0 || v.Freezes != uint64(len(eye.Eye.Freezes)) {
		t.Errorf("out: %+v, %d freezes seen", v, len(eye.Eye.Freezes))
	}
	near(t, "rate out", float64(out.Goodput), float64(eye.Bytes+ear.Bytes-was)*8/5, 0.15)
	near(t, "pictures a second", v.FPS, float64(len(eye.Eye.Pictures)-pics)/5, 0.1)
	near(t, "round trip", out.RTT.Seconds(), 0.06, 0.2)
	if out.Control.Feedback != "twcc" || out.Control.Target < 1_500_000 || out.ScoreOut < 4 || out.ScoreOut > 5 {
		t.Errorf("%+v, score %.1f", out.Control, out.ScoreOut)
	}
	good := v.Score

	// A tenth lost on the way to us: gaps before repair, next to none after it.
	cfg := a.Up.Config()
	cfg.Loss = 0.1
	a.Up.Set(cfg)
	before, after, fps, n := 0.0, 0.0, 0.0, 0.0
	for range 20 {
		r.Run(time.Second)
		for _, s := range stats(a).In {
			if s.Kind == plane.Video && s.Live && s.Encoding == 2 {
				before, after, fps, n = before+s.LossBefore, after+s.LossAfter, fps+s.FPS, n+1
			}
		}
	}
	if n == 0 {
		t.Fatal("the best encoding is gone")
	}
	near(t, "loss before repair", before/n, 0.1, 0.3)
	near(t, "pictures a second, repairs among them", fps/n, 30, 0.1)
	if after/n > 0.02 {
		t.Errorf("loss after repair %.3f", after/n)
	}

	// A tenth lost on the way to the receiver: it reports it, and the score falls.
	cfg.Loss = 0
	a.Up.Set(cfg)
	down := b.Down.Config()
	down.Loss = 0.1
	b.Down.Set(down)
	lost, worst := 0.0, 5.0
	for range 20 {
		r.Run(time.Second)
		s := stats(b)
		lost += videoOut(&s).FractionLost / 20
		worst = min(worst, videoOut(&s).Score)
	}
	near(t, "reported loss", lost, 0.1, 0.4)
	if worst >= good {
		t.Errorf("the score is %.1f under loss as it was without (%.1f)", worst, good)
	}
	s := stats(b)
	if x := videoOut(&s); x.NACKs == 0 || x.RTX == 0 || s.NACKsIn == 0 || s.RTXOut == 0 {
		t.Errorf("repairs are not counted: %+v", x)
	}
	if x := r.Engine.Totals(); x.Lost == 0 || x.Repaired == 0 || x.Expected < x.Lost || x.NACKsIn == 0 || x.RTX == 0 {
		t.Errorf("totals %+v", x)
	}
}

// rateIn looks at the rates of three encodings. One reading is of half a second to a
// whole one, of fifteen pictures at least of which each may be a fifth larger than
// meant; so the mean of several is held to what was encoded.
func rateIn(t *testing.T, r *Room, a *Peer) {
	t.Helper()
	const readings = 10
	var sum [3]float64
	for range readings {
		r.Run(700 * ms)
		for _, s := range stats(a).In {
			if s.Kind == plane.Video {
				sum[s.Encoding] += float64(s.Bitrate) / readings
			}
		}
	}
	for i, kbit := range Simulcast {
		near(t, "rate in", sum[i], kbit*1000, 0.12)
	}
}

func stats(p *Peer) plane.LinkStats { return p.Stats() }

// TestStatisticsOfAnOutage: a picture that stands is told as frozen while it does
// and counted afterwards, and drags the score down for a while.
func TestStatisticsOfAnOutage(t *testing.T) {
	r := newRoom(t)
	a := r.Join("a", wire(10*ms), wire(10*ms))
	a.Publish(Media{Layers: []float64{500}})
	b := r.Join("b", wire(10*ms), wire(10*ms))
	b.Watch(a, Wants{})
	r.Run(10 * time.Second)
	s := b.Stats()
	calm := *videoOut(&s)
	up := a.Up.Config()
	up.Loss = 1
	a.Up.Set(up)
	r.Run(900 * ms)
	s = b.Stats()
	if x := videoOut(&s); x.State != "frozen" {
		t.Errorf("while nothing comes: %+v", x)
	}
	up.Loss = 0
	a.Up.Set(up)
	r.Run(3 * time.Second)
	s = b.Stats()
	x := videoOut(&s)
	if x.State != "flowing" || x.Freezes == calm.Freezes || x.Frozen-calm.Frozen < 700*ms || x.Score >= calm.Score {
		t.Errorf("after it: %+v; before: %+v", x, calm)
	}
	r.Run(30 * time.Second)
	s = b.Stats()
	if x = videoOut(&s); x.Score < calm.Score-0.1 {
		t.Errorf("the score does not recover: %.1f, was %.1f", x.Score, calm.Score)
	}
	if got := r.Engine.Totals(); got.Freezes == 0 || got.Frozen == 0 {
		t.Errorf("totals %+v", got)
	}
}

// TestAMutedCameraIsNotFrozen: what somebody wished is no fault.
func TestAMutedCameraIsNotFrozen(t *testing.T) {
	r := newRoom(t)
	a := r.Join("a", wire(10*ms), wire(10*ms))
	a.Publish(Media{NoAudio: true, Layers: []float64{500}})
	b := r.Join("b", wire(10*ms), wire(10*ms))
	b.Watch(a, Wants{})
	r.Run(10 * time.Second)
	calm := stats(b)
	r.Engine.MuteTrack(r.now, a.Pub.Video.track.id, true)
	r.Run(5 * time.Second)
	s := stats(b)
	if x := videoOut(&s); x.State == "frozen" || x.Freezes != videoOut(&calm).Freezes {
		t.Errorf("muted: %+v", x)
	}
	r.Engine.MuteTrack(r.now, a.Pub.Video.track.id, false)
	r.Run(5 * time.Second)
	s = stats(b)
	if x := videoOut(&s); x.State != "flowing" || x.Freezes != videoOut(&calm).Freezes || x.Score < videoOut(&calm).Score-0.2 {
		t.Errorf("open again: %+v", x)
	}
}
