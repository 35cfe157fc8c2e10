package worker

import (
	"testing"

	"parley/internal/base/clock"
)

// TestGatherWaitsBrieflyForMany: a picture of which only a part has come waits
// for the rest when many receivers want it, goes out all the same when the rest
// does not come, and never waits for a few.
func TestGatherWaitsBrieflyForMany(t *testing.T) {
	r := newRig(t, nil)
	pub := r.connect(join{})
	track := pub.publish()
	sub := r.connect(join{})
	sub.play(track, 100)
	r.settle()
	naps := func(unfinished int, seq uint16) uint64 {
		set := make(chan struct{})
		r.shards[0].mail.post(func(clock.Time) {
			r.engines[0].unfinished = unfinished
			r.shards[0].gathered = 0
			close(set)
		})
		pub.wait(set, "the shard")
		before := r.Counters().Shards[0].Naps
		if err := pub.SendRTP(header(seq, 1), []byte("part")); err != nil {
			t.Fatal(err)
		}
		sub.expect(seq, 100, "part")
		return r.Counters().Shards[0].Naps - before
	}
	if n := naps(gatherFrom-1, 1); n != 0 {
		t.Errorf("%d naps for a few receivers", n)
	}
	if n := naps(gatherFrom, 2); n < 1 || n > 2*gatherNaps { // a consent check may meet a second wait
		t.Errorf("%d naps for many receivers", n)
	}
	if n := naps(0, 3); n != 0 {
		t.Errorf("%d naps for a whole picture", n)
	}
}
