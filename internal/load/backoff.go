package load

import "time"

// Backoff is how long a client waits before attempt n of coming back; random is
// in [0, 1). It is the SDK's: up to half a second at first, so that the clients
// of a server that lost them all do not return in one wave, then 0.3·n² s, at
// most 10 s, give or take a fifth.
func Backoff(attempt int, random float64) time.Duration {
	if attempt == 0 {
		return time.Duration(random * float64(500*time.Millisecond))
	}
	base := min(300*time.Millisecond*time.Duration(attempt*attempt), 10*time.Second)
	return time.Duration(float64(base) * (0.8 + 0.4*random))
}
