//go:build abuse && linux

package abusetest

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// stats is what GET /stats says, as far as these tests look.
type stats struct {
	Goroutines int
	HeapBytes  uint64
	Media      struct {
		Links, HalfOpen, Conferences, Tracks int
		Buffers                              int64
		Shards                               []shard
	}
	rss uint64
}

type shard struct {
	Links                                                                           int
	RTPOut, RTCPOut, Checks, Handshakes, HandshakesFailed, JoinTimeouts, Unsendable uint64
	STUN, DTLS, RTP, RTCP, PathChanges, DataRefused                                 uint64
	Dropped                                                                         map[string]uint64
	Media                                                                           json.RawMessage
	Socket                                                                          struct{ TxDatagrams, TxMessages uint64 }
}

func (s *stats) String() string {
	return fmt.Sprintf("%d goroutines, %.1f MiB heap, %.1f MiB RSS, %d links (%d half open), %d rooms",
		s.Goroutines, mib(s.HeapBytes), mib(s.rss), s.Media.Links, s.Media.HalfOpen, s.Media.Conferences)
}

func mib[T uint64 | int64](n T) float64 { return float64(n) / (1 << 20) }

// stats reads the accounts, after a garbage collection if collect.
func (s *server) stats(t *testing.T, collect bool) *stats {
	t.Helper()
	st, err := s.readStats(collect)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func (s *server) readStats(collect bool) (*stats, error) {
	url := s.admin + "/stats"
	if collect {
		url += "?gc=1"
	}
	code, b, err := fetch(url)
	if err != nil || code != 200 {
		return nil, fmt.Errorf("stats: %d %w", code, err)
	}
	var st stats
	if err := json.Unmarshal(b, &st); err != nil {
		return nil, err
	}
	if len(st.Media.Shards) == 0 {
		st.Media.Shards = make([]shard, 1) // too busy to answer
	}
	st.rss = s.rss()
	return &st, nil
}

func (s *server) shard(t *testing.T) *shard { t.Helper(); return &s.stats(t, false).Media.Shards[0] }

// eventually polls the accounts until ok; it returns how long that took.
func (s *server) eventually(t *testing.T, limit time.Duration, what string, ok func(*stats) bool) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		st := s.stats(t, true)
		took := time.Since(began)
		if ok(st) {
			return took
		}
		if took > limit {
			t.Errorf("%s: not within %v: %v", what, limit, st)
			return took
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *server) rss() uint64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	n, _ := strconv.ParseUint(f[1], 10, 64)
	return n * uint64(os.Getpagesize())
}

// cpu is the process's time so far, user and system.
func (s *server) cpu() time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	u, _ := strconv.Atoi(f[11])
	k, _ := strconv.Atoi(f[12])
	return time.Duration(u+k) * 10 * time.Millisecond // USER_HZ is 100 everywhere Go runs
}

// recovered waits until the server is as small as before an attack: goroutines
// +10, heap +10 %, where a small heap gets 4 MiB of room for what is rightly kept
// by the greatest number ever: pools, tables, and the half KiB that the runtime
// keeps of every goroutine that has ended.
func (s *server) recovered(t *testing.T, before *stats) {
	t.Helper()
	s.recoveredIn(t, 30*time.Second, before)
}

func (s *server) recoveredIn(t *testing.T, limit time.Duration, before *stats) {
	t.Helper()
	heap := before.HeapBytes + max(before.HeapBytes/10, 4<<20)
	took := s.eventually(t, limit, "as small as before: "+before.String(), func(now *stats) bool {
		return now.Goroutines <= before.Goroutines+10 && now.HeapBytes <= heap && now.Media.HalfOpen <= before.Media.HalfOpen
	})
	if now := s.stats(t, true); now.Goroutines > before.Goroutines+10 {
		_, b, _ := fetch(s.admin + "/debug/pprof/goroutine?debug=1")
		t.Logf("goroutines:\n%.6000s", b)
	}
	t.Logf("before: %v", before)
	t.Logf("after:  %v (%.1f s)", s.stats(t, true), took.Seconds())
}
