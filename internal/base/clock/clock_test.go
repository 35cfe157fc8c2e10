package clock

import (
	"testing"
	"time"
	"unsafe"
)

// stepped is t as if the wall clock had been moved by d before it was read; the
// monotonic reading beside it is as it was. Package time has no way to write
// that down, hence its layout: 33 bits of seconds above 30 of nanoseconds.
func stepped(tb testing.TB, t time.Time, d time.Duration) time.Time {
	tb.Helper()
	u := t
	*(*uint64)(unsafe.Pointer(&u)) += uint64(d/time.Second) << 30
	if got := u.Round(0).Sub(t.Round(0)); got != d || u.Sub(t) != 0 {
		tb.Fatalf("package time keeps its readings in another way: wall %v, monotonic %v", got, u.Sub(t))
	}
	return u
}

// TestR15_WallClockStepsAreNotSeen: an hour forward or back between the start
// and now is not in the instant, so no timer fires early or late.
func TestR15_WallClockStepsAreNotSeen(t *testing.T) {
	for _, d := range []time.Duration{time.Hour, -time.Hour} {
		s := NewSystem()
		before := s.Now()
		s.start = stepped(t, s.start, -d) // the wall is d further than the monotonic clock says
		if got := s.Now().Sub(before); got < 0 || got > time.Minute {
			t.Errorf("a step of %v moved the clock by %v", d, got)
		}
	}
}

// TestR15_WallTimeIsTakenOnce: sender reports go on from the wall time of the
// start, whatever became of the wall clock.
func TestR15_WallTimeIsTakenOnce(t *testing.T) {
	s := NewSystem()
	a := s.Anchor()
	s.start = stepped(t, s.start, time.Hour)
	if s.Anchor() != a {
		t.Fatalf("anchor %+v became %+v", a, s.Anchor())
	}
	x := a.Mono.Add(90 * time.Minute)
	if got := a.NTP(x.Add(time.Second)) - a.NTP(x); got>>32 != 1 || uint32(got) > 4 && uint32(got) < 1<<32-4 {
		t.Errorf("a second is %#x in NTP", got)
	}
	if got := a.NTP(a.Mono) >> 32; got != uint64(a.Unix/1e9+ntpEpoch) {
		t.Errorf("NTP seconds %d at the anchor", got)
	}
}

func TestEarliest(t *testing.T) {
	for _, c := range [][3]Time{{0, 0, 0}, {0, 5, 5}, {5, 0, 5}, {4, 5, 4}, {5, 4, 4}} {
		if got := Earliest(c[0], c[1]); got != c[2] {
			t.Errorf("Earliest(%d, %d) = %d", c[0], c[1], got)
		}
	}
}
