package node

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/trace"
	"parley/internal/tracefile"
)

// openTraces prepares who makes a connection's trace: from the start with
// --trace-dir, else once the administration says so.
func (n *Node) openTraces() (func(ids.Connection) trace.Sink, error) {
	c := n.cfg
	w, err := tracefile.New(tracefile.Config{
		Dir: cmp.Or(c.TraceDir, filepath.Join(c.Data, "traces")), Off: c.TraceDir == "", Version: n.version, Logger: n.log,
		MaxBytes: int64(c.TraceMegabytes) << 20, MaxFiles: c.TraceFiles,
	})
	if err != nil {
		return nil, fmt.Errorf("--trace-dir: %w", err)
	}
	n.traces = w
	return w.Open, nil
}

// runMedia runs the workers and, beside them and until after them, who writes
// their traces.
func (n *Node) runMedia(ctx context.Context) error {
	writing, end := context.WithCancel(context.Background())
	var g sync.WaitGroup
	g.Go(func() { _ = n.traces.Run(writing) })
	err := n.pool.Run(ctx)
	end()
	g.Wait()
	return err
}

// tracing is the switch of the administration.
type tracing struct{ n *Node }

// State implements admin.Traces.
func (t tracing) State() api.Traces {
	s := t.n.traces.Stats()
	return api.Traces{On: t.n.traces.On(), Open: s.Open, Events: s.Events, Dropped: s.Dropped, Refused: s.Refused}
}

// Name implements admin.Traces.
func (t tracing) Name(conn string) string {
	if !t.n.traces.On() {
		return ""
	}
	return tracefile.Name(ids.Connection(conn)) + trace.Suffix
}

// Switch implements admin.Traces.
func (t tracing) Switch(on bool) error {
	if t.n.traces.On() == on {
		return nil
	}
	if err := t.n.traces.Switch(on); err != nil {
		t.n.log.Warn("traces cannot be written", "err", err)
		return fault.New(503, "no-trace-dir", "The directory of traces cannot be made")
	}
	t.n.log.Info("traces of connections", "on", on)
	t.n.pool.Retrace()
	return nil
}
