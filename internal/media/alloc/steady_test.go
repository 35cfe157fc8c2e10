package alloc_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/alloc"
)

// path plays a budget over time and counts what a demand goes through.
type path struct {
	s        alloc.Splitter
	now      clock.Time
	d        []*alloc.Demand
	ups      int
	downs    int
	lastUp   clock.Time
	lastDown clock.Time
}

func newPath(d ...*alloc.Demand) *path { return &path{now: start, d: d} }

const review = 250 * time.Millisecond

func (p *path) run(d time.Duration, budget func(at time.Duration) uint64) {
	for at := time.Duration(0); at < d; at += review {
		p.now = p.now.Add(review)
		was := p.d[0].Given()
		p.s.Split(p.now, budget(at), p.d)
		switch is := p.d[0].Given(); {
		case is > was:
			p.ups, p.lastUp = p.ups+1, p.now
		case is < was:
			p.downs, p.lastDown = p.downs+1, p.now
		}
	}
}

func always(rate uint64) func(time.Duration) uint64 {
	return func(time.Duration) uint64 { return rate }
}

// TestSFM8_SplitHoldsStillOnASawtooth: an estimate that swings around what a
// rung needs, as that of additive increase does, moves the rung a few times in
// the first seconds and then not any more for half a minute.
func TestSFM8_SplitHoldsStillOnASawtooth(t *testing.T) {
	saw := func(at time.Duration) uint64 { // 460 to 600 kbit/s in 4 s
		return 460_000 + uint64(at%(4*time.Second))*140_000/uint64(4*time.Second)
	}
	p := newPath(&alloc.Demand{Class: alloc.Rest, Ladder: simulcast()})
	p.run(5*time.Second, always(3_000_000))
	p.run(30*time.Second, saw)
	if p.ups > 4 {
		t.Errorf("%d times up in the first half minute", p.ups)
	}
	p.ups, p.downs = 0, 0
	p.run(30*time.Second, saw)
	if p.ups > 1 || p.downs > 1 {
		t.Errorf("%d times up, %d down in the second half minute", p.ups, p.downs)
	}
}

// TestQ3_BackAfterASqueeze: 2 Mbit/s, 250 kbit/s for 30 s, 2 Mbit/s again, with
// an estimate that needs 6 s for it. Down at once, up once, nothing back.
func TestQ3_BackAfterASqueeze(t *testing.T) {
	p := newPath(&alloc.Demand{Class: alloc.Rest, Ladder: simulcast()})
	p.run(20*time.Second, always(2_000_000))
	if p.d[0].Given() != 2 {
		t.Fatalf("at 2 Mbit/s: %d", p.d[0].Given())
	}
	squeezed := p.now
	p.run(30*time.Second, always(250_000))
	if p.downs != 1 || p.lastDown.Sub(squeezed) > review {
		t.Errorf("%d times down, the last after %v", p.downs, p.lastDown.Sub(squeezed))
	}
	lifted := p.now
	p.downs = 0
	p.run(30*time.Second, func(at time.Duration) uint64 {
		return min(2_000_000, 250_000+uint64(at)*1_750_000/uint64(6*time.Second))
	})
	if p.d[0].Given() != 2 || p.lastUp.Sub(lifted) > 7*time.Second || p.downs > 0 {
		t.Errorf("at rung %d, last up after %v, %d times down", p.d[0].Given(), p.lastUp.Sub(lifted), p.downs)
	}
}

// TestRetryWaitsLonger: rises into a budget that cannot bear them grow rare,
// until there is clearly more.
func TestRetryWaitsLonger(t *testing.T) {
	p := newPath(&alloc.Demand{Class: alloc.Rest, Ladder: simulcast()})
	lying := func(time.Duration) uint64 { // room until somebody uses it
		if p.d[0].Given() > 0 {
			return 400_000
		}
		return 560_000
	}
	p.run(60*time.Second, lying)
	first := p.ups
	p.ups = 0
	p.run(60*time.Second, lying)
	if p.ups >= first || p.ups > 2 {
		t.Errorf("%d rises in the first minute, %d in the second", first, p.ups)
	}
	before := p.now
	p.run(5*time.Second, always(1_000_000))
	if p.d[0].Given() != 1 || p.lastUp.Sub(before) > time.Second {
		t.Errorf("clearly more: rung %d after %v", p.d[0].Given(), p.lastUp.Sub(before))
	}
}

func TestSplitDipDoesNotStopAPicture(t *testing.T) {
	p := newPath(&alloc.Demand{Class: alloc.Rest, Ladder: simulcast()})
	p.run(5*time.Second, always(200_000))
	p.run(750*time.Millisecond, always(90_000))
	p.run(5*time.Second, always(200_000))
	if p.downs != 0 {
		t.Error("a dip stopped the picture")
	}
	from := p.now
	p.run(3*time.Second, always(90_000))
	if p.d[0].Given() != alloc.Nothing || p.lastDown.Sub(from) > 1500*time.Millisecond {
		t.Errorf("rung %d after %v", p.d[0].Given(), p.lastDown.Sub(from))
	}
}

// TestSpeakersTakeTurns: what one speaker gives up for the next counts as no
// mistake of his: he has it back as soon as he speaks again.
func TestSpeakersTakeTurns(t *testing.T) {
	a, b := &alloc.Demand{Ladder: simulcast()}, &alloc.Demand{Ladder: simulcast()}
	p := newPath(a, b)
	for i := range 20 {
		x, y := a, b
		if i%2 == 1 {
			x, y = b, a
		}
		x.Class, y.Class = alloc.Speaker, alloc.Rest
		p.run(3*time.Second, always(2_000_000))
		if x.Given() != 2 || y.Given() != 0 {
			t.Fatalf("turn %d: %d and %d", i, x.Given(), y.Given())
		}
	}
}

// TestRungsComeAndGo: what was given is found again in another ladder.
func TestRungsComeAndGo(t *testing.T) {
	all := simulcast()
	d := &alloc.Demand{Class: alloc.Rest, Ladder: all}
	p := newPath(d)
	p.run(time.Second, always(800_000))
	d.Ladder = append([]alloc.Rung(nil), all[1:]...) // the lowest is switched off
	p.run(time.Second, always(800_000))
	if d.Given() != 0 || d.Ladder[0].Level != 1 {
		t.Errorf("given %d", d.Given())
	}
	d.Ladder = all[:1]
	p.run(time.Second, always(800_000))
	if d.Given() != 0 {
		t.Errorf("given %d of one", d.Given())
	}
	d.Ladder = nil
	p.run(time.Second, always(800_000))
	if d.Given() != alloc.Nothing || d.Wanted() != alloc.Nothing {
		t.Errorf("given %d of none", d.Given())
	}
	d.Ladder = all
	p.run(time.Second, always(800_000))
	if d.Given() != 1 {
		t.Errorf("given %d", d.Given())
	}
}

// big is a receiver of a hundred cameras that has room for some.
func big() (d []*alloc.Demand) {
	l := scalable()
	for i := range 100 {
		c := alloc.Rest
		if i == 7 {
			c = alloc.Speaker
		}
		d = append(d, &alloc.Demand{Class: c, Width: 320 << (i % 3), Ladder: l}, &alloc.Demand{Class: alloc.Audio, Ladder: sound()})
	}
	return d
}

func TestSplitDoesNotAllocate(t *testing.T) {
	var s alloc.Splitter
	d := big()
	r := rand.New(rand.NewPCG(1, 1))
	now := start
	if n := testing.AllocsPerRun(50, func() {
		now = now.Add(review)
		s.Split(now, 4_000_000+r.Uint64N(30_000_000), d)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSplit(b *testing.B) {
	for _, c := range []struct {
		name   string
		budget uint64
	}{{"plenty", alloc.Unlimited}, {"scarce", 30_000_000}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var s alloc.Splitter
			d := big()
			now := start
			for b.Loop() {
				now = now.Add(review)
				s.Split(now, c.budget, d)
			}
		})
	}
}

// TestNothingIsNotHeldBack: however often rises were taken back, a picture that
// is not shown comes as soon as there is ample room for its lowest rung.
func TestNothingIsNotHeldBack(t *testing.T) {
	p := newPath(&alloc.Demand{Class: alloc.Rest, Ladder: simulcast()})
	for range 8 {
		p.run(5*time.Second, always(3_000_000))
		p.run(3*time.Second, always(10_000))
	}
	if p.d[0].Given() != alloc.Nothing {
		t.Fatal("shown without room")
	}
	p.run(review, always(2*simulcast()[0].Rate+1))
	if p.d[0].Given() != 0 {
		t.Errorf("given %d", p.d[0].Given())
	}
}

// TestHalfOfTheBudgetIsNoRisk: rises that were taken back hold back what needs
// most of the budget, not what needs half of it.
func TestHalfOfTheBudgetIsNoRisk(t *testing.T) {
	top := len(simulcast()) - 1
	p := newPath(&alloc.Demand{Class: alloc.Rest, Ladder: simulcast()})
	full := simulcast()[top].Rate * 12 / 10
	for range 5 { // each rise to the top turns out to be too much
		for range 400 {
			if p.run(review, always(full)); p.d[0].Given() == top {
				break
			}
		}
		p.run(2*time.Second, always(100_000))
	}
	p.run(2*time.Second, always(full))
	if g := p.d[0].Given(); g == 0 || g == top {
		t.Errorf("rung %d with room for the best", g)
	}
}

// TestAKeyFrameIsPaidForOnlyForMore: a larger picture that moves less is not worth a
// change of encoding, in either direction; one that is more is.
func TestAKeyFrameIsPaidForOnlyForMore(t *testing.T) {
	ladder := func(fps uint8) []alloc.Rung {
		var out []alloc.Rung
		for i, w := range []uint16{240, 480} {
			for k, share := range []uint64{40, 60, 100} {
				out = append(out, alloc.Rung{
					Level: int32(10*i + k), Part: int16(i), Width: w, Height: w * 9 / 16,
					FPS: fps >> (2 - k), Rate: []uint64{1_500, 3_750}[i] * share,
				})
			}
		}
		slices.SortFunc(out, func(a, b alloc.Rung) int { return cmp.Compare(a.Rate, b.Rate) })
		alloc.Weigh(out)
		return out
	}
	var s alloc.Splitter
	for _, c := range []struct {
		fps            uint8
		before, budget uint64
		want           int32
	}{
		{15, 150_000, 290_000, 2},  // stays: the larger one would have half of the frames
		{16, 150_000, 290_000, 2},  // and does not come and go with what is measured
		{14, 150_000, 290_000, 2},  //
		{15, 400_000, 290_000, 11}, // stays with the larger one
		{15, 150_000, 400_000, 12}, // larger and as smooth
		{30, 150_000, 290_000, 11}, // larger and smooth enough
		{15, 400_000, 200_000, 2},  // no room for smooth enough
	} {
		d := &alloc.Demand{Class: alloc.Speaker, Ladder: ladder(c.fps)}
		at := clock.Time(time.Second)
		for _, budget := range []uint64{c.before, c.budget} {
			for range 40 {
				at = at.Add(250 * time.Millisecond)
				s.Split(at, budget, []*alloc.Demand{d})
			}
		}
		if got := d.Ladder[d.Given()].Level; got != c.want {
			t.Errorf("%d frames/s, from %d to %d kbit/s: rung %d, want %d", c.fps, c.before/1000, c.budget/1000, got, c.want)
		}
	}
}

// TestFramesComeBackSoon: fewer frames of the same picture were no mistake that must
// not be repeated; they come back as soon as there is room, however often larger
// pictures had to be taken back before.
func TestFramesComeBackSoon(t *testing.T) {
	var l []alloc.Rung
	for s := range 2 {
		for k, share := range []uint64{40, 60, 100} {
			l = append(l, alloc.Rung{
				Level: int32(10*s + k), Part: int16(s), Width: 480 << s, Height: 270 << s, FPS: 30 >> (2 - k),
				Rate: []uint64{3_750, 17_000}[s] * share,
			})
		}
	}
	slices.SortFunc(l, func(a, b alloc.Rung) int { return cmp.Compare(a.Rate, b.Rate) })
	alloc.Weigh(l)
	d := &alloc.Demand{Class: alloc.Speaker, Ladder: l}
	var s alloc.Splitter
	at := clock.Time(time.Second)
	play := func(budget uint64, span time.Duration) int32 {
		for end := at.Add(span); at < end; at = at.Add(250 * time.Millisecond) {
			s.Split(at, budget, []*alloc.Demand{d})
		}
		return l[d.Given()].Level
	}
	up := func() {
		for n := 0; play(2_000_000, time.Second) != 12; n++ {
			if n > 60 {
				t.Fatal("never up")
			}
		}
	}
	for range 4 { // rises of encoding that are taken back wait longer and longer
		up()
		play(400_000, 3*time.Second)
	}
	up()
	if got := play(1_500_000, time.Second); got != 11 {
		t.Fatalf("rung %d with less", got)
	}
	if got := play(1_900_000, 2*time.Second); got != 12 {
		t.Errorf("rung %d two seconds after there is room again", got)
	}
}
