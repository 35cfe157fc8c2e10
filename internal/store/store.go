package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxStore bounds the directory; definitions of 10,000 conferences need some 10 MiB.
	maxStore = 1 << 30
	// maxValue bounds one message of the embedded server, above every bucket's own cap.
	maxValue = 1 << 20
	// patience bounds every call: a disk that takes longer is not working.
	patience = 5 * time.Second
	// readyWithin bounds the start; a journal of full size takes well under a second.
	readyWithin = 10 * time.Second
)

// Config of a [Store].
type Config struct {
	Dir string // made if missing; nobody else may use it meanwhile
	Log *slog.Logger
}

// Store is an open directory of buckets.
type Store struct {
	lock   *os.File
	srv    *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	counts counts
	dir    string
	log    *slog.Logger

	healEvery time.Duration
	mu        sync.Mutex // guards what follows
	unwell    bool
	looked    time.Time
}

type counts struct{ reads, writes, conflicts, failures atomic.Uint64 }

// Stats is a snapshot for metrics.
type Stats struct {
	Reads, Writes, Conflicts, Failures uint64
	Bytes                              uint64 // on disk, all buckets
}

// Open starts the embedded server on a directory.
func Open(cfg Config) (*Store, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := writable(cfg.Dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{lock: lock, dir: cfg.Dir, log: cfg.Log, healEvery: healEvery}
	if err := s.start(cfg); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) start(cfg Config) error {
	log := &logger{log: cfg.Log}
	var err error
	s.srv, err = server.NewServer(&server.Options{
		ServerName: "parley", DontListen: true, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: cfg.Dir, SyncAlways: true,
		JetStreamMaxMemory: maxValue, JetStreamMaxStore: maxStore, MaxPayload: maxValue + 64<<10,
	})
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	s.srv.SetLoggerV2(log, false, false, false)
	s.srv.Start()
	if why := log.fatal.Load(); why != nil || !s.srv.ReadyForConnections(readyWithin) {
		if why == nil {
			return fmt.Errorf("store: %s did not open within %v", cfg.Dir, readyWithin)
		}
		return fmt.Errorf("store: %s: %s", cfg.Dir, *why)
	}
	if s.conn, err = nats.Connect("", nats.InProcessServer(s.srv), nats.Name("parley"), nats.MaxReconnects(-1)); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if s.js, err = jetstream.New(s.conn); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// Close ends the server; what was acknowledged is on disk already.
func (s *Store) Close() {
	if s.conn != nil {
		s.conn.Close()
	}
	if s.srv != nil {
		s.srv.Shutdown()
		s.srv.WaitForShutdown()
	}
	_ = s.lock.Close() // gives the lock back
}

// Stats returns the counters.
func (s *Store) Stats() Stats {
	st := Stats{
		Reads: s.counts.reads.Load(), Writes: s.counts.writes.Load(),
		Conflicts: s.counts.conflicts.Load(), Failures: s.counts.failures.Load(),
	}
	if v, err := s.srv.Jsz(&server.JSzOptions{}); err == nil {
		st.Bytes = v.Store
	}
	return st
}

// note counts how a call ended and translates its error.
func (s *Store) note(kind *atomic.Uint64, err error) error {
	err = mapped(err)
	switch {
	case err == nil:
		kind.Add(1)
	case errors.Is(err, ErrConflict):
		s.counts.conflicts.Add(1)
	case !errors.Is(err, ErrNotFound):
		s.counts.failures.Add(1)
	}
	return err
}

// writable tells at once, and in words, what would otherwise come up as an
// error deep inside: a directory that cannot be made, written or synced.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	f, err := os.CreateTemp(dir, ".probe-")
	if err != nil {
		return fmt.Errorf("store: %s cannot be written: %w", dir, cause(err))
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, probeBytes))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("store: %s cannot be written: %w", dir, cause(err))
	}
	return nil
}

// probeBytes is the least free space to start with: the journal's first blocks.
const probeBytes = 256 << 10

// cause strips the name of the probe file from an error.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func lockPath(dir string) string { return filepath.Join(dir, "lock") }

// logger passes on what an operator should see; a fatal error of the embedded
// server is an error of Open, not the end of the process.
type logger struct {
	log   *slog.Logger
	fatal atomic.Pointer[string]
}

func (l *logger) Fatalf(format string, v ...any) {
	why := fmt.Sprintf(format, v...)
	l.fatal.CompareAndSwap(nil, &why)
}
func (l *logger) Errorf(format string, v ...any) {
	l.log.Error("store", "err", fmt.Sprintf(format, v...))
}
func (l *logger) Warnf(format string, v ...any) {
	l.log.Debug("store", "warning", fmt.Sprintf(format, v...))
}
func (l *logger) Noticef(string, ...any) {}
func (l *logger) Debugf(string, ...any)  {}
func (l *logger) Tracef(string, ...any)  {}

// bounded gives a call its time.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, patience)
}
