package videomix

import (
	"parley/internal/base/clock"
	"time"
)

// grade is a class of receivers by what they can take. Outputs of one grade
// share an encoder, whose rate is the lowest limit among them.
type grade struct {
	share int // of the full rate, in 1/16: the least a member may have
	step
}

// Below a quarter of the full rate a smaller picture looks better than a coarse
// one, and below an eighth fewer pictures do.
var grades = []grade{{16, step{1, 1}}, {8, step{1, 1}}, {3, step{1, 2}}, {0, step{2, 2}}}

// fullRate is what a picture of this size and rate needs to look good: 1.5
// Mbit/s for 720p30, less than in proportion for larger ones.
func fullRate(w, h, fps int) int {
	r := w * h / 100 * 163 * min(fps, 30) / 30
	if w*h > 1280*720 {
		r = 1_500_000 + (r-1_500_000)/2
	}
	return max(r, 100_000)
}

// gradeOf finds the grade for a limit in bit/s, 0: none.
func gradeOf(limit uint64, full int) int {
	if limit == 0 {
		return 0
	}
	for i, g := range grades {
		if limit*16 >= uint64(full*g.share) {
			return i
		}
	}
	return len(grades) - 1
}

// limiter turns an estimate that moves all the time into grades that do not:
// down at once, up when there has been a quarter more than needed for a while.
type limiter struct {
	grade int
	good  clock.Time // since when more would be possible
}

const upAfter = 3 * time.Second

func (l *limiter) update(now clock.Time, limit uint64, full int) {
	want := gradeOf(limit, full)
	if want >= l.grade {
		l.grade, l.good = want, 0
		return
	}
	if limit != 0 && gradeOf(limit*4/5, full) >= l.grade {
		l.good = 0
		return
	}
	if l.good == 0 {
		l.good = now
	}
	if limit == 0 || now.Sub(l.good) >= upAfter {
		l.grade, l.good = want, 0
	}
}
