// Package clock is the time of the pure core: a monotonic instant that is
// handed in as a parameter and never read from the operating system.
//
// A shell (worker, focus) reads [System.Now] once per turn of its loop and
// passes the value down. Tests make up instants as they like. Values are plain
// integers: safe to copy, compare and share between goroutines.
package clock

import "time"

// Time is an instant in nanoseconds on a monotonic scale whose origin is
// arbitrary but later than zero. The zero value means "never" or "not set".
type Time int64

// Add returns t moved by d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns the span from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Before reports whether t is earlier than u.
func (t Time) Before(u Time) bool { return t < u }

// After reports whether t is later than u.
func (t Time) After(u Time) bool { return t > u }

// IsZero reports whether t is unset.
func (t Time) IsZero() bool { return t == 0 }

// Earliest returns the earlier of two deadlines, ignoring unset ones.
func Earliest(a, b Time) Time {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// Anchor ties the monotonic scale to the wall clock once, at start, so that a
// later step of the wall clock cannot disturb media (scenario R15).
type Anchor struct {
	Mono Time
	Unix int64 // nanoseconds since 1970-01-01 UTC at Mono
}

// ntpEpoch is the distance between the NTP (1900) and Unix (1970) epochs in seconds.
const ntpEpoch = 2208988800

// NTP returns t as a 64-bit NTP timestamp, 32.32 fixed point (RFC 3550, section 4).
func (a Anchor) NTP(t Time) uint64 {
	ns := a.Unix + int64(t-a.Mono)
	sec, frac := ns/1e9, ns%1e9
	return uint64(sec+ntpEpoch)<<32 | uint64(frac)<<32/1e9
}

// System is the process clock. The zero value is not usable; see [NewSystem].
type System struct {
	start time.Time
	unix  int64
}

// NewSystem starts a clock at one second on the monotonic scale.
func NewSystem() *System {
	now := time.Now()
	return &System{start: now, unix: now.UnixNano()}
}

// Now returns the current instant. Safe for concurrent use.
func (s *System) Now() Time { return Time(time.Since(s.start)) + Time(time.Second) }

// Anchor returns the tie to the wall clock taken at start.
func (s *System) Anchor() Anchor { return Anchor{Mono: Time(time.Second), Unix: s.unix} }
