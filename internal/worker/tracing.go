package worker

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/trace"
)

// traced is an engine that can begin and end traces of its legs.
type traced interface {
	TraceLeg(now clock.Time, id graph.LegID, sink trace.Sink)
}

// Retrace asks anew, for every link there is, whether it has a trace: after
// traces were switched on or off.
func (p *Pool) Retrace() {
	for _, w := range p.shards {
		e, ok := w.eng.(traced)
		if !ok {
			continue
		}
		w.mail.post(func(now clock.Time) {
			for _, l := range w.legs {
				if !w.external(l) {
					continue
				}
				e.TraceLeg(now, l.id, w.traceOf(l.conn))
				w.timers.want(l.id, now)
			}
		})
	}
}

// external reports whether a leg's peer is outside of this process.
func (w *Worker) external(l *leg) bool {
	if l == nil {
		return false
	}
	_, in := l.carrier.(*inside)
	return !in
}

// linksAtATime bounds how long a shard is kept from its packets by whoever
// reads all statistics: some 0.2 ms.
const linksAtATime = 16

// EachLink calls f with the statistics of every link to the outside, in no
// order. It takes turns with the shards' work and may take a while; links that
// come or go meanwhile may be missed.
func (p *Pool) EachLink(f func(*plane.LinkStats)) {
	for _, w := range p.shards {
		for from, more := 0, true; more; from += linksAtATime {
			var batch []plane.LinkStats
			if batch, more = w.someStats(from); batch == nil {
				break
			}
			for i := range batch {
				f(&batch[i])
			}
		}
	}
}

// someStats waits for a shard's turn; nil: it did not come.
func (w *Worker) someStats(from int) (list []plane.LinkStats, more bool) {
	type answer struct {
		list []plane.LinkStats
		more bool
	}
	got := make(chan answer, 1)
	if !w.mail.post(func(clock.Time) {
		a := answer{list: []plane.LinkStats{}, more: from+linksAtATime < len(w.legs)}
		for _, l := range w.legs[min(from, len(w.legs)):min(from+linksAtATime, len(w.legs))] {
			if !w.external(l) {
				continue
			}
			if s, ok := w.stats(l.id, l.conn); ok {
				a.list = append(a.list, s)
			}
		}
		got <- a
	}) {
		return nil, false
	}
	select {
	case a := <-got:
		return a.list, a.more
	case <-w.done:
	case <-time.After(snapshotPatience):
	}
	return nil, false
}

// totals are the engine's counters that outlive its legs.
func (w *Worker) totals() engine.Totals {
	if e, ok := w.eng.(interface{ Totals() engine.Totals }); ok {
		return e.Totals()
	}
	return engine.Totals{}
}
