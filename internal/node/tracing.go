package node

import (
	"context"
	"fmt"
	"sync"

	"parley/internal/base/ids"
	"parley/internal/media/trace"
	"parley/internal/tracefile"
)

// openTraces prepares the directory of --trace-dir and returns who makes a
// connection's trace; nil without the flag.
func (n *Node) openTraces() (func(ids.Connection) trace.Sink, error) {
	if n.cfg.TraceDir == "" {
		return nil, nil
	}
	w, err := tracefile.New(tracefile.Config{Dir: n.cfg.TraceDir, Version: n.version, Logger: n.log})
	if err != nil {
		return nil, fmt.Errorf("--trace-dir: %w", err)
	}
	n.traces = w
	return w.Open, nil
}

// runMedia runs the workers and, beside them and until after them, who writes
// their traces.
func (n *Node) runMedia(ctx context.Context) error {
	if n.traces == nil {
		return n.pool.Run(ctx)
	}
	writing, end := context.WithCancel(context.Background())
	var g sync.WaitGroup
	g.Go(func() { _ = n.traces.Run(writing) })
	err := n.pool.Run(ctx)
	end()
	g.Wait()
	return err
}
