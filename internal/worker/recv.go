package worker

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/transport/demux"
	"parley/internal/transport/ice"
	"parley/internal/transport/link"
	"parley/internal/transport/udp"
)

// datagram brings one received datagram to its link. An address that no link
// owns may only send checks; all else from it is counted and forgotten.
func (w *Worker) datagram(now clock.Time, d *udp.Datagram) {
	kind, reason := demux.Classify(d.B)
	var l *leg
	switch kind {
	case demux.Drop:
	case demux.STUN:
		if l = w.byUfrag(d.B); l == nil {
			reason = demux.UnknownUfrag
		}
	default:
		if h, ok := w.table.Lookup(d.From); ok {
			l = w.leg(graph.LegID(h))
		}
		if l == nil {
			reason = demux.UnknownSource
		}
	}
	w.seen.Count(kind, reason)
	if l != nil {
		w.deliver(now, l, kind, ice.Path{Addr: d.From}, d.B, d.ECN, w.came(now, d))
	}
}

// oldest is how long a datagram may have lain in the socket; a system's clock that
// was set meanwhile says more.
const oldest = 2 * time.Second

// came is when the machine had a datagram, 0 if nobody knows.
func (w *Worker) came(now clock.Time, d *udp.Datagram) clock.Time {
	age := time.Duration(w.wall - d.Stamp)
	if d.Stamp == 0 || age > oldest {
		return 0
	}
	return max(now.Add(-max(age, 0)), 1)
}

func (w *Worker) byUfrag(b []byte) *leg {
	ufrag, ok := ice.PeekUfrag(b)
	if !ok {
		return nil
	}
	h, ok := w.table.LookupUfrag(ufrag)
	if !ok {
		return nil
	}
	return w.leg(graph.LegID(h))
}

// deliver hands a datagram to its link, and media on to the engine. A packet is
// opened into a buffer of the pool, so that what the engine keeps does not pin
// the socket's memory; a buffer that was not kept serves the next packet.
func (w *Worker) deliver(now clock.Time, l *leg, kind demux.Kind, from ice.Path, b []byte, ecn uint8, came clock.Time) {
	if w.spare == nil {
		w.spare = w.pool.ring.Get()
	}
	w.spare.ECN, w.spare.Came = ecn, came
	switch l.HandleDatagram(now, kind, from, b, w.spare) {
	case link.RTP:
		buf := w.spare
		w.spare = nil
		w.eng.HandleRTP(now, l.id, buf, &w.out)
		buf.Release()
	case link.RTCP:
		w.eng.HandleRTCP(now, l.id, w.spare.Bytes(), &w.out)
	case link.Nothing:
	}
}
