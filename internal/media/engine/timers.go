package engine

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/media/speaker"
	"parley/internal/media/stream"
)

// legHeap orders legs by their next deadline; each leg knows its place.
type legHeap []*leg

func (h legHeap) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapAt, h[j].heapAt = i, j
}

func (h legHeap) up(i int) {
	for i > 0 && h[i].due < h[(i-1)/2].due {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (h legHeap) down(i int) {
	for {
		k := 2*i + 1
		if k >= len(h) {
			return
		}
		if k+1 < len(h) && h[k+1].due < h[k].due {
			k++
		}
		if h[i].due <= h[k].due {
			return
		}
		h.swap(i, k)
		i = k
	}
}

func (h *legHeap) set(l *leg, due clock.Time) {
	l.due = due
	if l.heapAt < 0 {
		l.heapAt = len(*h)
		*h = append(*h, l)
	}
	h.up(l.heapAt)
	h.down(l.heapAt)
}

func (h *legHeap) remove(l *leg) {
	i := l.heapAt
	if i < 0 {
		return
	}
	n := len(*h) - 1
	h.swap(i, n)
	(*h)[n] = nil
	*h = (*h)[:n]
	l.heapAt = -1
	if i < n {
		h.up(i)
		h.down(i)
	}
}

// wake brings a leg's deadline forward to at; zero is ignored.
func (e *Engine) wake(l *leg, at clock.Time) {
	if at != 0 && (l.heapAt < 0 || at < l.due) {
		e.heap.set(l, at)
	}
}

// wakeLeg implements stream.Env: a leg has something to send at an instant.
func (e *Engine) wakeLeg(id graph.LegID, at clock.Time) {
	if l := e.leg(id); l != nil {
		e.wake(l, at)
	}
}

// agreed is what a peer said it would tell of what we send it.
func agreed(list []plane.Section) (f stream.Feedback) {
	for i := range list {
		s := &list[i]
		if s.Send == nil {
			continue
		}
		for k := range s.Send.Codecs {
			c := &s.Send.Codecs[k]
			f.TWCC = f.TWCC || c.TWCC && s.Exts[plane.ExtTransportCC] != 0
			f.CCFB = f.CCFB || c.CCFB
			f.REMB = f.REMB || c.REMB
		}
	}
	return f
}

func (e *Engine) wakeConf(c *conference, at clock.Time) {
	c.due = clock.Earliest(c.due, at)
	e.confDue = clock.Earliest(e.confDue, c.due)
}

// Tick implements [API].
func (e *Engine) Tick(now clock.Time, out *Out) clock.Time {
	e.ticked = now
	for len(e.heap) > 0 && e.heap[0].due <= now {
		l := e.heap[0]
		e.heap.remove(l)
		if next := e.tickLeg(now, l, out); next != 0 {
			e.heap.set(l, max(next, now+1))
		}
	}
	if e.confDue != 0 && e.confDue <= now {
		e.confDue = 0
		for _, c := range e.confs {
			if c.due != 0 && c.due <= now {
				e.tickConf(now, c, out)
			}
			e.confDue = clock.Earliest(e.confDue, c.due)
		}
	}
	e.settle(now, out)
	next := e.confDue
	if len(e.heap) > 0 {
		next = clock.Earliest(next, e.heap[0].due)
	}
	return next
}

func (e *Engine) tickConf(now clock.Time, c *conference, out *Out) {
	c.due = 0
	c.due = e.reviewConf(now, c, out)
	for _, r := range c.order {
		c.due = clock.Earliest(c.due, r.Tick(now, &out.Batch))
	}
	if !c.det.Empty() {
		e.speakers(now, c, out)
		c.due = clock.Earliest(c.due, now.Add(speaker.Every))
	}
}

// tickLeg does what is due on a leg and returns its next deadline.
func (e *Engine) tickLeg(now clock.Time, l *leg, out *Out) clock.Time {
	next := e.sendFeedback(now, l, out)
	next = clock.Earliest(next, l.egress.Tick(now, &out.Batch))
	next = clock.Earliest(next, e.sampleLeg(now, l))
	e.reallot(now, l, out)
	if l.retry {
		l.retry = false
		e.rebind(now, l, out)
	}
	if len(l.held) > 0 {
		next = clock.Earliest(next, l.expireHeld(now, &e.drops))
	}
	if l.reportDue != 0 && l.reportDue <= now {
		l.expireStreams(now)
		e.endTracks(now, l, out)
		e.report(now, l, out)
		l.reportDue = 0
		e.reportAt(now, l)
	}
	return clock.Earliest(next, l.reportDue)
}

// expireHeld drops what nobody claimed in time.
func (l *leg) expireHeld(now clock.Time, d *Drops) clock.Time {
	keep := l.held[:0]
	for _, x := range l.held {
		if now.Sub(x.at) >= holdFor {
			x.buf.Release()
			d.HeldTooLong++
			continue
		}
		keep = append(keep, x)
	}
	clear(l.held[len(keep):])
	if l.held = keep; len(keep) == 0 {
		l.held = nil
		return 0
	}
	return keep[0].at.Add(holdFor)
}

// memberTimeout is five report intervals with Tmin = 5 s (rule C4).
const memberTimeout = 25 * time.Second

func (l *leg) expireStreams(now clock.Time) {
	for i := 0; i < len(l.streams); {
		if s := l.streams[i]; now.Sub(s.heard) > memberTimeout {
			l.forget(s)
			continue
		}
		i++
	}
}

// byeGrace is how long a track may be without SSRC after a BYE: a browser that
// only changed its SSRC is back by then.
const byeGrace = 2 * time.Second

func (e *Engine) endTracks(now clock.Time, l *leg, out *Out) {
	for _, t := range l.tracks {
		if t.endAt != 0 && now >= t.endAt {
			t.endAt = 0
			t.live = false
			out.Events = append(out.Events, plane.Event{Conf: t.conf.id, Kind: plane.TrackEnded, Conn: l.cfg.Conn, Track: t.cfg.Track.Track})
		}
	}
}
