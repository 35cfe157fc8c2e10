package node

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"parley/internal/config"
)

const (
	// linesPerCause a second: more of the same tell an operator nothing, and a
	// log that a client can fill is a way to hide in (reliability, A31).
	linesPerCause = 10
	// maxCauses bounds the table. Messages are constants of ours, so this only
	// catches a message made of data; such share one account.
	maxCauses = 512
)

func newLogger(c *config.Server, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // an enum: cannot fail
	opts := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(w, opts)
	if c.LogFormat == "json" {
		h = slog.NewJSONHandler(w, opts)
	}
	return slog.New(&limited{Handler: h, causes: &causes{by: make(map[string]*causeCount)}})
}

// limited passes on at most linesPerCause records a second of one message. The
// next one that passes says how many did not.
type limited struct {
	slog.Handler
	causes *causes
}

type causes struct {
	mu sync.Mutex // guards by and what it holds
	by map[string]*causeCount
}

type causeCount struct {
	since         time.Time
	lines, hidden int
}

// take accounts for one record; hidden counts those kept back before it.
func (c *causes) take(message string, now time.Time) (ok bool, hidden int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.by[message]
	if n == nil {
		if len(c.by) >= maxCauses {
			message = ""
		}
		if n = c.by[message]; n == nil {
			n = &causeCount{}
			c.by[message] = n
		}
	}
	// Monotonic, so a clock that is set back does not silence anything.
	if now.Sub(n.since) >= time.Second || n.since.IsZero() {
		n.since, n.lines = now, 0
	}
	if n.lines++; n.lines > linesPerCause {
		n.hidden++
		return false, 0
	}
	hidden, n.hidden = n.hidden, 0
	return true, hidden
}

// Handle implements slog.Handler.
func (l *limited) Handle(ctx context.Context, r slog.Record) error {
	ok, hidden := l.causes.take(r.Message, r.Time)
	if !ok {
		return nil
	}
	if hidden > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", hidden))
	}
	return l.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler; the account is shared.
func (l *limited) WithAttrs(a []slog.Attr) slog.Handler {
	return &limited{Handler: l.Handler.WithAttrs(a), causes: l.causes}
}

// WithGroup implements slog.Handler.
func (l *limited) WithGroup(name string) slog.Handler {
	return &limited{Handler: l.Handler.WithGroup(name), causes: l.causes}
}
