package worker

import (
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/trace"
)

// carrier brings a leg's packets to its peer where that is not a WebRTC link.
// All calls come from the shard's goroutine.
type carrier interface {
	// send takes a run of packets of one leg; the batch is borrowed.
	send(w *Worker, now clock.Time, b *graph.Batch, run []graph.Send)
	// tick does what is due and returns the next instant it wants, zero for none.
	tick(w *Worker, now clock.Time) clock.Time
	// close frees everything; what the engine had to say was sent before.
	close(w *Worker, now clock.Time)
	// stats fills in what the engine does not know.
	stats(s *plane.LinkStats)
}

// enterLocked writes a link of another kind than WebRTC into the books. The
// caller posts the opening and returns with the entry.
func (p *Pool) enterLocked(id ids.Conference, conn ids.Connection) (*entry, error) {
	if id == "" || conn == "" {
		return nil, fault.New(400, "bad-request", "a link needs a conference and a connection")
	}
	if p.links[conn] != nil {
		return nil, fault.New(409, "connection-exists", "connection is already open")
	}
	c := p.confLocked(id)
	shard := p.placeLocked(c)
	if err := p.readyLocked(shard); err != nil {
		p.dropConfLocked(c)
		return nil, err
	}
	return p.recordLocked(c, conn, shard), nil
}

// recordLocked makes the entry of a new link.
func (p *Pool) recordLocked(c *conf, conn ids.Connection, shard engine.Shard) *entry {
	e := &entry{conf: c, conn: conn, shard: shard, leg: graph.LegID(p.home[shard].legIDs.get())}
	p.links[conn], c.links[conn] = e, e
	p.home[shard].links++
	c.onShard[shard]++
	return e
}

// openCarried makes the leg of a link that is carried by c. Such a leg may send
// as soon as it is configured.
func (w *Worker) openCarried(now clock.Time, e engine.LegConfig, c carrier) {
	l := &leg{id: e.Leg, conf: e.Conf, conn: e.Conn, carrier: c, ready: true}
	w.place(l)
	w.eng.OpenLeg(now, e)
	w.eng.SetLegReady(now, e.Leg, &w.out)
	w.timers.want(l.id, c.tick(w, now))
}

// traceOf returns the sink for a connection's trace, nil for none.
func (w *Worker) traceOf(conn ids.Connection) trace.Sink {
	if w.cfg.Trace == nil {
		return nil
	}
	return w.cfg.Trace(conn)
}

// place puts a leg at its number.
func (w *Worker) place(l *leg) {
	for int(l.id) >= len(w.legs) {
		w.legs = append(w.legs, nil)
	}
	w.legs[l.id] = l
	w.live++
}
