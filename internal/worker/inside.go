package worker

import (
	"sync"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/base/ring"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

// injectLimit bounds the packets that wait for a shard on one inside link: some
// seconds of one mixed picture, or all mixes of a large room for one slot.
const injectLimit = 4096

// inside is a link whose far end lives in this process. Sending serialises into
// memory of its own; what is injected waits in a queue and one command, so that
// it keeps its place among the calls about the link.
type inside struct {
	far  plane.Inside
	w    *Worker
	leg  graph.LegID
	take command // of this link, made once
	buf  []byte  // scratch: one run, packet after packet
	ends []int
	list [][]byte

	mu     sync.Mutex
	queue  []*ring.Buf // guarded by mu
	closed bool        // guarded by mu
	lost   uint64      // guarded by mu
	work   []*ring.Buf // the shard's; swapped with queue
}

// OpenInside makes a link that ends in this process. See plane.Wires.
func (p *Pool) OpenInside(conf ids.Conference, conn ids.Connection, far plane.Inside) (plane.Injector, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, err := p.enterLocked(conf, conn)
	if err != nil {
		return nil, err
	}
	w := p.shards[e.shard]
	l := &inside{far: far, w: w, leg: e.leg}
	l.take = l.deliver
	cfg := engine.LegConfig{Leg: e.leg, Conf: conf, Conn: conn}
	w.mail.post(func(now clock.Time) { w.openCarried(now, cfg, l) })
	return l, nil
}

// Inject implements plane.Injector.
func (l *inside) Inject(packets [][]byte) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	first := len(l.queue) == 0
	for _, b := range packets {
		if len(l.queue) >= injectLimit || len(b) > ring.Size {
			l.lost++
			continue
		}
		buf := l.w.pool.ring.Get()
		buf.N = copy(buf.B[:], b)
		l.queue = append(l.queue, buf)
	}
	knock := first && len(l.queue) > 0
	l.mu.Unlock()
	if knock && !l.w.mail.post(l.take) {
		l.drop()
	}
}

// deliver hands what waits to the engine.
func (l *inside) deliver(now clock.Time) {
	l.mu.Lock()
	l.work, l.queue = l.queue, l.work[:0]
	l.mu.Unlock()
	w := l.w
	here := w.leg(l.leg)
	live := here != nil && here.carrier == carrier(l)
	for i, b := range l.work {
		switch {
		case !live:
		case rtcp.Mux(b.Bytes()):
			w.eng.HandleRTCP(now, l.leg, b.Bytes(), &w.out)
		default:
			w.eng.HandleRTP(now, l.leg, b, &w.out)
		}
		b.Release()
		l.work[i] = nil
	}
}

// drop gives back what waits, for good.
func (l *inside) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for i, b := range l.queue {
		b.Release()
		l.queue[i] = nil
	}
	l.queue = nil
}

// send implements carrier. What stays in the house is not counted as sent.
func (l *inside) send(_ *Worker, _ clock.Time, b *graph.Batch, run []graph.Send) {
	l.buf, l.ends, l.list = l.buf[:0], l.ends[:0], l.list[:0]
	for i := range run {
		p := &run[i]
		l.buf = append(l.buf, b.Header(p)...)
		if p.Src != nil {
			l.buf = append(l.buf, p.Src.B[p.Off:p.End]...)
		}
		l.ends = append(l.ends, len(l.buf))
	}
	from := 0
	for _, end := range l.ends {
		l.list = append(l.list, l.buf[from:end:end])
		from = end
	}
	l.far.HandleInside(l.list)
}

// tick implements carrier: nothing here waits for a time.
func (l *inside) tick(*Worker, clock.Time) clock.Time { return 0 }

// close implements carrier.
func (l *inside) close(*Worker, clock.Time) { l.drop() }

// stats implements carrier.
func (l *inside) stats(s *plane.LinkStats) { s.State, s.Profile = "inside", "" }
