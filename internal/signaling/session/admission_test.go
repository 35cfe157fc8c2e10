package session

import (
	"testing"
	"time"

	"parley/internal/base/clock"
)

// TestR14_AdmissionSpreadsAHerd: 1,000 clients come in the same instant; each
// is let in by its second attempt or shortly after, and never more than the
// rate allows.
func TestR14_AdmissionSpreadsAHerd(t *testing.T) {
	const clients, rate, burst = 1000, 100, 50
	var a admission
	now := clock.Time(time.Second)
	due := make([]clock.Time, clients)
	for i := range due {
		due[i] = now
	}
	attempts := make([]int, clients)
	waits := map[time.Duration]int{}
	in, most := 0, 0
	for tick := 0; in < clients; tick++ {
		if tick > 6000 {
			t.Fatalf("only %d are in after a minute", in)
		}
		this := 0
		for i, at := range due {
			if at == 0 || at > now {
				continue
			}
			attempts[i]++
			ok, wait := a.admit(now, rate, burst)
			if ok {
				due[i] = 0
				in++
				this++
				continue
			}
			if wait <= 0 || wait > maxTurn+time.Second {
				t.Fatalf("wait %v", wait)
			}
			waits[wait]++
			due[i] = now.Add(wait)
		}
		if tick > 0 {
			most = max(most, this)
		}
		now = now.Add(10 * time.Millisecond)
	}
	worst := 0
	for _, n := range attempts {
		worst = max(worst, n)
	}
	t.Logf("all in after %v, at most %d attempts, at most %d in 10 ms after the first", now.Sub(clock.Time(time.Second)), worst, most)
	if worst > 3 || now.Sub(0) > 20*time.Second || len(waits) < clients/2 {
		t.Errorf("%d attempts, %v, %d different waits", worst, now, len(waits))
	}
}
