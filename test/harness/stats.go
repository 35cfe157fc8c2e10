package harness

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// Stats is what GET /stats says, as far as tests look.
type Stats struct {
	Goroutines int    `json:"goroutines"`
	HeapBytes  uint64 `json:"heapBytes"`
	Buffers    int64  `json:"packetBuffers"`
	Media      struct {
		Links, HalfOpen, Conferences, Tracks int
		Shards                               []struct {
			Links                                         int
			RTPOut, RTCPOut, Handshakes, HandshakesFailed uint64
			Dropped                                       map[string]uint64
		}
	} `json:"media"`
}

// RTPOut is the sum over the workers.
func (s *Stats) RTPOut() (n uint64) {
	for _, w := range s.Media.Shards {
		n += w.RTPOut
	}
	return n
}

// String is short, for messages.
func (s *Stats) String() string {
	return fmt.Sprintf("%d goroutines, %.1f MiB heap, %d packet buffers, %d links (%d half open), %d rooms, %d tracks",
		s.Goroutines, float64(s.HeapBytes)/(1<<20), s.Buffers, s.Media.Links, s.Media.HalfOpen, s.Media.Conferences, s.Media.Tracks)
}

// Stats reads the server's accounts after a garbage collection.
func (s *Server) Stats() (Stats, error) {
	var st Stats
	code, b, err := get(s.Admin + "/stats?gc=1")
	if err != nil {
		return st, err
	}
	if code != 200 {
		return st, fmt.Errorf("/stats answered %d", code)
	}
	return st, json.Unmarshal(b, &st)
}

// MustStats fails the test when there are none.
func (s *Server) MustStats(t testing.TB) Stats {
	t.Helper()
	st, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// Eventually reads the accounts until ok likes them, and returns them and how
// long that took. After limit the test fails.
func (s *Server) Eventually(t testing.TB, limit time.Duration, what string, ok func(*Stats) bool) (Stats, time.Duration) {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := s.Stats()
		if took := time.Since(began); err == nil && ok(&st) {
			return st, took
		} else if took > limit {
			t.Fatalf("%s: not within %v: %v (%v)", what, limit, &st, err)
		}
		<-tick.C
	}
}
