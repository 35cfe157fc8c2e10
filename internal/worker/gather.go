package worker

import (
	"time"

	"parley/internal/base/clock"
)

// A publisher's packets of one picture arrive a few microseconds apart, and the
// first of them wakes the worker: sent on at once, it would cost every receiver
// a message of its own, where the whole picture costs one. So when a picture is
// not complete and many receivers wait for it, the turn waits too.
const (
	// gatherFrom is how many receivers make it worth while: a nap is one more sleep
	// and waking, a message saved more than 1 us. Measured, 100 receivers gain a
	// tenth of the CPU, 25 and 10 gain nothing and wait for it.
	gatherFrom = 50
	// gatherNap is one sleep, gatherNaps the most in a row: together they bound
	// the delay added. A nap in which nothing came ends the waiting.
	gatherNap  = 150 * time.Microsecond
	gatherNaps = 3
	// gatherPause is the least time between two waits, so that other work of the
	// shard is not held up by one publisher after the other; a shard that is that
	// busy gathers by itself.
	gatherPause = time.Millisecond
)

// gather takes in the rest of pictures of which the turn holds only a part, and
// returns the time when it is done.
func (w *Worker) gather(now clock.Time) clock.Time {
	if now.Sub(w.gathered) < gatherPause || w.eng.Unfinished() < gatherFrom {
		return now
	}
	for range gatherNaps {
		n, err := w.sock.Linger(w.batch, gatherNap)
		now, w.wall = w.cfg.Clock.Now(), time.Now().UnixNano()
		for i := range w.batch.Items[:n] {
			w.datagram(now, &w.batch.Items[i])
		}
		w.count.Naps++
		if n == 0 || err != nil || w.eng.Unfinished() == 0 { // an error comes again at the next Read
			break
		}
	}
	w.gathered = now
	return now
}
