// Package seqnum does serial number arithmetic (RFC 1982) on RTP's 16-bit
// sequence numbers and 32-bit timestamps. Pure functions and plain values;
// an [Unwrapper] belongs to one goroutine.
package seqnum

// Less reports whether a comes before b on the 16-bit circle.
func Less(a, b uint16) bool { return a != b && b-a < 1<<15 }

// Less32 reports whether a comes before b on the 32-bit circle.
func Less32(a, b uint32) bool { return a != b && b-a < 1<<31 }

// Diff returns the signed distance from b to a, -32768..32767.
func Diff(a, b uint16) int { return int(int16(a - b)) }

// Unwrapper turns 16-bit numbers into a 64-bit line by choosing the value
// nearest to the highest seen so far.
type Unwrapper struct {
	high    int64
	started bool
}

// Unwrap returns the extended value of s. The first number maps to itself plus
// 65536, so that earlier ones stay positive.
func (u *Unwrapper) Unwrap(s uint16) int64 {
	if !u.started {
		u.started = true
		u.high = int64(s) + 1<<16
		return u.high
	}
	ext := u.high + int64(Diff(s, uint16(u.high)))
	if ext > u.high {
		u.high = ext
	}
	return ext
}
