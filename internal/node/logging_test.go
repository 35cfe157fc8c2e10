package node

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/internal/config"
)

// TestA31_LogLinesPerCause: one cause fills no log, whoever logs it; others are
// heard meanwhile, and what was kept back is counted.
func TestA31_LogLinesPerCause(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(&config.Server{LogLevel: "info", LogFormat: "text"}, &out)
	at := time.Now()
	say := func(l *slog.Logger, message string, now time.Time) {
		r := slog.NewRecord(now, slog.LevelWarn, message, 0)
		if err := l.Handler().Handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 500 {
		say(log.With("room", i), "again", at.Add(time.Duration(i)*time.Millisecond))
	}
	say(log, "other", at.Add(500*time.Millisecond))
	if n := strings.Count(out.String(), "msg=again"); n != linesPerCause {
		t.Errorf("%d lines of one cause in a second", n)
	}
	if !strings.Contains(out.String(), "msg=other") {
		t.Error("another cause was not heard")
	}
	out.Reset()
	say(log, "again", at.Add(1100*time.Millisecond))
	say(log, "again", at.Add(1200*time.Millisecond))
	if got := out.String(); strings.Count(got, "msg=again") != 2 || strings.Count(got, "suppressed=490") != 1 {
		t.Errorf("after a second: %s", got)
	}
	for i := range 3 * maxCauses {
		say(log, "made of data "+strconv.Itoa(i), at)
	}
	if n := len(log.Handler().(*limited).causes.by); n > maxCauses+1 {
		t.Errorf("%d causes remembered", n)
	}
}
