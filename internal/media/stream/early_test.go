package stream

import (
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/bwe"
)

// fates makes results of packets 5 ms apart: '.' arrived, 'x' lost, '?' untold.
func fates(from clock.Time, s string) (out []bwe.Result) {
	for i, c := range s {
		out = append(out, bwe.Result{Seq: int64(i), Sent: from.Add(time.Duration(i) * 5 * time.Millisecond), Received: c == '.', Untold: c == '?'})
	}
	return out
}

// TestQ8_RunsOfLossesAreTold: loss by chance is not taken for loss in runs.
func TestQ8_RunsOfLossesAreTold(t *testing.T) {
	for _, c := range []struct {
		pattern string
		runs    bool
	}{
		{"..x.....x..x...x....x..", false},
		{".x.xx..x....x.", false}, // a fifth lost by chance
		{"..xxx......xx......xxxx......", true},
		{"..xx?x......xx......xxx......", true},
	} {
		var x early
		for range 20 {
			for _, r := range fates(1, c.pattern) {
				x.tell(&r)
			}
		}
		if x.inRuns() != c.runs {
			t.Errorf("%s: %v", c.pattern, !c.runs)
		}
	}
	var few, many early
	for range 20 {
		for _, r := range fates(1, "...x..................") {
			few.tell(&r)
		}
		for _, r := range fates(1, "...x....") {
			many.tell(&r)
		}
	}
	if !few.mild() || many.mild() {
		t.Error("5 % are not mild, or 12 % are")
	}
	var x early
	for _, r := range fates(1, "...xxx...") {
		x.tell(&r)
	}
	if x.inRuns() {
		t.Error("one run is taken for a rule")
	}
}

// TestRedundancyDoesNotFightItsOwnQueue: against what a path loses several payloads
// are repeated, against what its queue dropped for us one.
func TestRedundancyDoesNotFightItsOwnQueue(t *testing.T) {
	now := clock.Time(time.Minute)
	for queue, want := range map[bool]int{false: maxRepeats, true: 1} {
		var r redundancy
		r.heard(now, 0.9, queue)
		if got := r.depth(now); got != want {
			t.Errorf("queue %v: %d repeated, want %d", queue, got, want)
		}
	}
}

// TestTrustBeginsWithTheFirstPicture: of sound alone nothing is learnt of the path,
// however long it has been told of.
func TestTrustBeginsWithTheFirstPicture(t *testing.T) {
	now := clock.Time(time.Minute)
	c := &congestion{fb: Feedback{TWCC: true}, cc: bwe.New(bwe.Config{})}
	e := &Egress{cong: c, Env: &Env{}}
	e.settle(now)
	now = now.Add(10 * time.Second)
	if e.settle(now); c.known {
		t.Fatal("the estimate counts before there was a picture")
	}
	c.shown = now
	if e.settle(now.Add(trust / 2)); c.known {
		t.Fatal("the trust ended half-way")
	}
	if e.settle(now.Add(trust + trustMore)); !c.known {
		t.Fatal("the trust does not end")
	}
}

// TestQ8_FeedbackLostInARow: what nobody told of is sent again where losses come in
// runs and several feedbacks were lost, and nowhere else.
func TestQ8_FeedbackLostInARow(t *testing.T) {
	now := clock.Time(time.Minute)
	const silent, single = "......????????????????????....", "......?????????....."
	for _, c := range []struct {
		name, before, got string
		lossy, queue      bool
		want              bool
	}{
		{"runs and silence", "..xxx....", silent, true, false, true},
		{"one feedback", "..xxx....", single, true, false, false},
		{"chance", "..x....x.", silent, true, false, false},
		{"a clean path", ".........", silent, false, false, false},
		{"a queue", "..xxx....", silent, true, true, false},
	} {
		e := &Egress{cong: &congestion{cc: bwe.New(bwe.Config{})}}
		e.cong.pace.SetRate(1_000_000)
		e.cong.pace.SetQueue(0)
		if c.queue {
			e.cong.pace.SetQueue(time.Second)
		}
		if c.lossy {
			e.red.heard(now, 0.05, false)
		}
		for range 20 {
			for _, r := range fates(1, c.before) {
				e.cong.early.tell(&r)
			}
		}
		if got := e.blind(now, fates(now, c.got)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
