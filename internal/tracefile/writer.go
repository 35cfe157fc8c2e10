// Package tracefile keeps the traces of connections: one file each (two, when it
// is long), named by an opaque word, written by one goroutine. It decides nothing about what is in
// them (package trace) and nothing waits for it: what does not fit its queue is
// dropped and counted, in the file and in [Stats].
//
// Threading: [Writer.Run] is the one goroutine that touches files; Open, Stats
// and the sinks are safe for concurrent use.
package tracefile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync/atomic"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/trace"
)

// Config of a [Writer]; zero numbers take the defaults.
type Config struct {
	Dir      string // made if missing
	Version  string // of the server, for the files' first record
	MaxBytes int64  // of one connection, in two parts of half as much. Default 32 MiB: about six hours
	MaxFiles int    // in the directory; the oldest goes for a new one. Default 1000
	MaxOpen  int    // at once; further connections have no trace. Default 500
	Queue    int    // events that may wait. Default 8192
	Off      bool   // nothing is traced until [Writer.Switch]
	Logger   *slog.Logger
}

const (
	flushEvery = time.Second // so that a trace can be read while the call goes on
	idleAfter  = time.Minute // the end of a connection was dropped
)

// Writer keeps the files.
type Writer struct {
	cfg     Config
	queue   chan item
	open    map[*sink]*file
	names   []string // ours in the directory, oldest first
	on      atomic.Bool
	opened  atomic.Int64
	events  atomic.Uint64
	dropped atomic.Uint64
	refused atomic.Uint64
}

// Stats counts since the start.
type Stats struct {
	Open            int    // files being written
	Events, Dropped uint64 // written; lost because the writer was behind
	Refused         uint64 // connections without a trace: too many, or no file could be made
}

type item struct {
	to *sink
	e  trace.Event
}

// ours matches the names of our files, so that nothing else is ever removed.
var ours = regexp.MustCompile(`^[0-9a-f]{16}(-[0-9]{1,9})?\` + trace.Suffix + `$`)

// New makes the directory, unless traces are off, and looks what is in it. It writes once Run runs.
func New(cfg Config) (*Writer, error) {
	cfg.MaxBytes = or(cfg.MaxBytes, 32<<20)
	cfg.MaxFiles, cfg.MaxOpen, cfg.Queue = or(cfg.MaxFiles, 1000), or(cfg.MaxOpen, 500), or(cfg.Queue, 8192)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	w := &Writer{cfg: cfg, queue: make(chan item, cfg.Queue), open: map[*sink]*file{}}
	if err := w.Switch(!cfg.Off); err != nil {
		return nil, err
	}
	list, err := os.ReadDir(cfg.Dir)
	if err != nil && !(cfg.Off && errors.Is(err, os.ErrNotExist)) {
		return nil, fmt.Errorf("directory of traces: %w", err)
	}
	age := map[string]time.Time{}
	for _, e := range list {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && ours.MatchString(e.Name()) {
			age[e.Name()] = info.ModTime()
			w.names = append(w.names, e.Name())
		}
	}
	slices.SortFunc(w.names, func(a, b string) int { return age[a].Compare(age[b]) })
	return w, nil
}

func or[T int | int64](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// Name is the opaque name of a connection's trace, without the suffix: who has
// the directory cannot tell the connection by it, who knows the connection finds
// the file.
func Name(conn ids.Connection) string {
	h := sha256.Sum256([]byte(conn))
	return hex.EncodeToString(h[:8])
}

// Switch turns traces on or off for the sinks to be opened. An error leaves them
// off: the directory cannot be made.
func (w *Writer) Switch(on bool) error {
	if on {
		if err := os.MkdirAll(w.cfg.Dir, 0o700); err != nil {
			return fmt.Errorf("directory of traces: %w", err)
		}
	}
	w.on.Store(on)
	return nil
}

// On reports whether sinks are opened.
func (w *Writer) On() bool { return w.on.Load() }

// Open returns the sink for a new connection's trace; nil when traces are off or
// there are too many. The file is made with the first event.
func (w *Writer) Open(conn ids.Connection) trace.Sink {
	if !w.on.Load() {
		return nil
	}
	if w.opened.Add(1) > int64(w.cfg.MaxOpen) {
		w.opened.Add(-1)
		w.refused.Add(1)
		return nil
	}
	return &sink{w: w, name: Name(conn)}
}

// Stats returns the counters.
func (w *Writer) Stats() Stats {
	return Stats{Open: int(w.opened.Load()), Events: w.events.Load(), Dropped: w.dropped.Load(), Refused: w.refused.Load()}
}

// sink is one connection's.
type sink struct {
	w      *Writer
	name   string
	missed atomic.Uint64
}

// Emit implements trace.Sink.
func (s *sink) Emit(e trace.Event) {
	select {
	case s.w.queue <- item{s, e}:
	default:
		s.missed.Add(1)
		s.w.dropped.Add(1)
	}
}

// Run writes until ctx ends, then what still waits.
func (w *Writer) Run(ctx context.Context) error {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case it := <-w.queue:
			w.write(it)
		case now := <-t.C:
			w.flush(now)
		case <-ctx.Done():
			w.finish()
			return nil
		}
	}
}

func (w *Writer) finish() {
	for {
		select {
		case it := <-w.queue:
			w.write(it)
			continue
		default:
		}
		break
	}
	for s, f := range w.open {
		w.close(s, f)
	}
}

// flush brings what was written to the files, and closes those whose
// connection is gone without a word.
func (w *Writer) flush(now time.Time) {
	for s, f := range w.open {
		if f.out != nil {
			f.keep(f.out.Flush())
		}
		if now.Sub(f.last) > idleAfter {
			w.close(s, f)
		}
	}
}

func (w *Writer) write(it item) {
	f := w.open[it.to]
	if f == nil {
		if last(it.e.Data) {
			return
		}
		f = w.create(it.to.name, it.e.At)
		w.open[it.to] = f
	}
	f.last = time.Now()
	if n := it.to.missed.Swap(0); n > 0 {
		f.event(trace.Event{At: it.e.At, Data: trace.Dropped{Count: n}})
	}
	f.event(it.e)
	w.events.Add(1)
	if f.err != nil && !f.told {
		f.told = true
		w.refused.Add(1)
		w.cfg.Logger.Warn("a trace cannot be written", "trace", it.to.name, "err", f.err)
	}
	if last(it.e.Data) {
		w.close(it.to, f)
	}
}

// last reports whether nothing comes after an event.
func last(d trace.Data) bool {
	switch d.(type) {
	case trace.Closed, trace.Stopped:
		return true
	}
	return false
}

func (w *Writer) close(s *sink, f *file) {
	f.close()
	delete(w.open, s)
	w.opened.Add(-1)
}

// limit is the size of one part.
func (w *Writer) limit() int64 { return w.cfg.MaxBytes / 2 }

// create makes a connection's file, after room was made for it. A connection
// that was traced before, until it was switched off, goes on in another part.
func (w *Writer) create(name string, start clock.Time) *file {
	w.makeRoom()
	f := &file{w: w, name: name, part: 1, start: start, wall: time.Now()}
	for slices.Contains(w.names, partName(name, f.part)) {
		f.part++
	}
	f.begin()
	return f
}

// makeRoom removes the oldest files.
func (w *Writer) makeRoom() {
	for len(w.names) >= w.cfg.MaxFiles {
		w.remove(w.names[0])
	}
}

// remove removes a file of ours, if it is still known.
func (w *Writer) remove(name string) {
	i := slices.Index(w.names, name)
	if i < 0 {
		return
	}
	if err := os.Remove(filepath.Join(w.cfg.Dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		w.cfg.Logger.Warn("an old trace cannot be removed", "err", err)
	}
	w.names = slices.Delete(w.names, i, i+1)
}
