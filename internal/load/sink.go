package load

import (
	"math"
	"time"

	"parley/internal/base/seqnum"
)

// Histogram counts durations in buckets 5 % apart from 10 µs to about 10 s.
// The zero value is ready. Not safe for concurrent use.
type Histogram struct {
	n     uint64
	count [320]uint64
}

const (
	histFirst = 10e3 // ns
	histStep  = 1.05
)

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) {
	i := 0
	if d > histFirst {
		i = min(int(math.Log(float64(d)/histFirst)/math.Log(histStep))+1, len(h.count)-1)
	}
	h.count[i]++
	h.n++
}

// Merge adds the counts of o.
func (h *Histogram) Merge(o *Histogram) {
	h.n += o.n
	for i, c := range o.count {
		h.count[i] += c
	}
}

// Quantile returns the upper edge of the bucket that holds q (0..1); 0 when empty.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	want := uint64(math.Ceil(q * float64(h.n)))
	var sum uint64
	for i, c := range h.count {
		if sum += c; sum >= max(want, 1) {
			return time.Duration(histFirst * math.Pow(histStep, float64(i)))
		}
	}
	return 0
}

// Stream counts what arrives under one SSRC: packets, duplicates and gaps.
type Stream struct {
	unwrap   seqnum.Unwrapper
	first    int64
	high     int64
	started  bool
	packets  uint64
	late     uint64 // below the highest: reordered, repaired or duplicate
	received [16]uint64
}

// Add counts sequence number seq and reports whether it is new.
func (s *Stream) Add(seq uint16) bool {
	ext := s.unwrap.Unwrap(seq)
	if !s.started {
		s.started, s.first, s.high = true, ext, ext-1
	}
	if ext <= s.high-1024 || ext < s.first {
		return false
	}
	for s.high < ext {
		s.high++
		s.set(s.high, false)
	}
	if s.get(ext) {
		return false
	}
	s.set(ext, true)
	s.packets++
	return true
}

func (s *Stream) slot(ext int64) (word *uint64, bit uint64) {
	i := uint64(ext) % 1024
	return &s.received[i/64], 1 << (i % 64)
}

func (s *Stream) get(ext int64) bool {
	w, b := s.slot(ext)
	return *w&b != 0
}

func (s *Stream) set(ext int64, on bool) {
	w, b := s.slot(ext)
	if on {
		*w |= b
	} else {
		*w &^= b
	}
}

// Missing lists up to len(dst) numbers not yet received among the last 1,000,
// leaving out the newest skip, which may only be reordered.
func (s *Stream) Missing(dst []uint16, skip int64) int {
	n := 0
	for ext := max(s.first, s.high-1000); ext <= s.high-skip && n < len(dst); ext++ {
		if !s.get(ext) {
			dst[n] = uint16(ext)
			n++
		}
	}
	return n
}

// Lost returns how many numbers between first and highest never came.
func (s *Stream) Lost() uint64 {
	if !s.started {
		return 0
	}
	return uint64(max(s.high-s.first+1-int64(s.packets), 0))
}
