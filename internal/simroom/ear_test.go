package simroom

import (
	"math"
	"testing"
	"time"

	"parley/internal/base/clock"
)

// TestEarWaitsForWhatIsLate: a packet later than its turn is played when it is
// there; what is made up is the time until then, and the buffer is deeper after.
func TestEarWaitsForWhatIsLate(t *testing.T) {
	type packet struct {
		n     uint32
		delay time.Duration
		how   uint8
	}
	all := func(delay func(n uint32) time.Duration) (out []packet) {
		for n := uint32(1); n <= 100; n++ {
			if d := delay(n); d >= 0 {
				out = append(out, packet{n, d, heardSelf})
			}
		}
		return out
	}
	ramp := func(n uint32) time.Duration { // a queue that grows to 100 ms and goes
		if n < 40 || n > 60 {
			return 50 * ms
		}
		return 50*ms + time.Duration(n-40)*5*ms
	}
	gap := func(n uint32) time.Duration {
		if n == 50 {
			return -1
		}
		return 50 * ms
	}
	lateCopy := append(all(gap)[:49], packet{50, 140 * ms, heardCopy}) // 10 ms too late, nothing behind it played
	tooLate := append(all(gap), packet{50, 240 * ms, heardCopy})       // others have been played
	for _, c := range []struct {
		name    string
		packets []packet
		want    time.Duration // made up
	}{
		{"in time", all(func(uint32) time.Duration { return 50 * ms }), 0},
		{"a queue", all(ramp), 40 * ms}, // 5, 5, 5 and 5 ms beyond 80, in steps of 10
		{"a loss", all(gap), 20 * ms},
		{"a copy that is waited for", lateCopy, 10 * ms},
		{"a copy that is too late", tooLate, 20 * ms},
	} {
		e := Ear{have: map[uint32]uint8{}, first: 1}
		for _, p := range c.packets {
			at := start.Add(time.Duration(p.n) * audioEvery)
			e.place(at.Add(p.delay), p.n, clock.Time(at), p.how)
		}
		share, n := e.Concealed(0, 0)
		if got := time.Duration(math.Round(share * float64(n) * float64(audioEvery))); got != c.want {
			t.Errorf("%s: %v made up, want %v", c.name, got, c.want)
		}
	}
}
