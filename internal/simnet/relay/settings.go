package relay

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"parley/internal/simnet"
)

// setting changes one field from its text.
var settings = map[string]func(*simnet.Config, string) error{
	"delay":      func(c *simnet.Config, v string) (err error) { c.Delay, err = span(v); return },
	"jitter":     func(c *simnet.Config, v string) (err error) { c.Jitter, err = span(v); return },
	"loss":       func(c *simnet.Config, v string) (err error) { c.Loss, err = chance(v); return },
	"reorder":    func(c *simnet.Config, v string) (err error) { c.Reorder, err = chance(v); return },
	"reorder-by": func(c *simnet.Config, v string) (err error) { c.ReorderBy, err = span(v); return },
	"duplicate":  func(c *simnet.Config, v string) (err error) { c.Duplicate, err = chance(v); return },
	"rate":       func(c *simnet.Config, v string) (err error) { c.Rate, err = ParseRate(v); return },
	"queue-time": func(c *simnet.Config, v string) (err error) { c.QueueTime, err = span(v); return },
	"police":     func(c *simnet.Config, v string) (err error) { c.Police, err = strconv.ParseBool(v); return },
	"drop":       func(c *simnet.Config, v string) (err error) { c.Down, err = strconv.ParseBool(v); return },
	"queue": func(c *simnet.Config, v string) (err error) {
		c.Queue, err = strconv.Atoi(v)
		if err == nil && c.Queue < 0 {
			err = fmt.Errorf("relay: queue of %s bytes", v)
		}
		return
	},
	// burst=START/END: probabilities that a loss burst begins and ends.
	"burst": func(c *simnet.Config, v string) error {
		from, to, ok := strings.Cut(v, "/")
		bad, err := chance(from)
		good := 0.25
		if ok && err == nil {
			good, err = chance(to)
		}
		if c.Burst = nil; bad > 0 && err == nil {
			c.Burst = &simnet.GilbertElliott{ToBad: bad, ToGood: good, LossBad: 1}
		}
		return err
	},
}

// Edit changes a configuration by words such as "rate=300k delay=40ms
// loss=0.05 drop=true"; what they do not name stays.
func Edit(c simnet.Config, words string) (simnet.Config, error) {
	for _, w := range strings.Fields(words) {
		key, value, _ := strings.Cut(w, "=")
		set := settings[key]
		if set == nil {
			return c, fmt.Errorf("relay: no setting %q", key)
		}
		if err := set(&c, value); err != nil {
			return c, err
		}
	}
	return c, nil
}

// ParseRate reads bits per second: 300k, 2.5M; 0 is unlimited.
func ParseRate(s string) (int64, error) {
	unit := 1.0
	switch {
	case strings.HasSuffix(s, "k"):
		unit, s = 1e3, s[:len(s)-1]
	case strings.HasSuffix(s, "M"):
		unit, s = 1e6, s[:len(s)-1]
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || math.IsNaN(f) || f*unit > 1e12 {
		return 0, fmt.Errorf("relay: no rate: %q", s)
	}
	return int64(f * unit), nil
}

// RateStep is one step of a rate schedule.
type RateStep struct {
	After time.Duration
	Rate  int64
}

// ParseSchedule reads "0s:3M,20s:300k,50s:3M", in order of time.
func ParseSchedule(s string) ([]RateStep, error) {
	var out []RateStep
	for part := range strings.SplitSeq(s, ",") {
		at, rate, _ := strings.Cut(part, ":")
		d, err := span(at)
		if err != nil {
			return nil, err
		}
		r, err := ParseRate(rate)
		if err != nil {
			return nil, err
		}
		if n := len(out); n > 0 && d < out[n-1].After {
			return nil, fmt.Errorf("relay: step at %s is out of order", at)
		}
		out = append(out, RateStep{d, r})
	}
	return out, nil
}

func span(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err == nil && (d < 0 || d > time.Hour) {
		err = fmt.Errorf("relay: %s is out of range", s)
	}
	return d, err
}

func chance(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err == nil && !(f >= 0 && f <= 1) {
		err = fmt.Errorf("relay: no probability: %q", s)
	}
	return f, err
}
