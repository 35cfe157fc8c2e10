package mcu

import (
	"sync"
	"sync/atomic"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

const (
	// inboxMax bounds what waits for a room between two turns: some 5,000 packets
	// of audio, or a burst of keyframes.
	inboxMax = 4 << 20
	// catchUp is how many missed slots are made up for; beyond, the mix skips.
	catchUp = 25
	// answerWait bounds how long a caller waits for a picture's start: a busy slot
	// or the start of a process, not more.
	answerWait = 300 * time.Millisecond
	// rest is how long a room without outputs sleeps; a start wakes it.
	rest = time.Second
	// surveyEvery is how often listeners' legs are asked for loss and bandwidth.
	surveyEvery = 2 * time.Second
)

// room is one conference: the goroutine that ticks, its two halves, and the link.
type room struct {
	s     *Server
	conf  ids.Conference
	link  *link
	over  chan struct{}
	ended sync.Once
	eager atomic.Bool              // packets are wanted at once, not at the next slot
	in    inbox                    // of the room's goroutine
	seen  inbox                    // packets of pictures, which the room's goroutine does not touch
	pics  atomic.Pointer[pictures] // who takes them

	// The rest belongs to the goroutine.
	halves   [2]Half // audio, video; nil until needed
	info     plane.MixRoom
	next     clock.Time // the next slot is due
	reports  clock.Time
	survey   clock.Time
	late     atomic.Uint64
	finished bool
}

func newRoom(s *Server, conf ids.Conference) *room {
	r := &room{s: s, conf: conf, over: make(chan struct{}), in: newInbox(), seen: newInbox()}
	r.link = newLink(s, r)
	return r
}

// HandleInside implements plane.Inside. Pictures and the rest go different ways
// from here on. A picture's taker is woken by its last packet only.
func (r *room) HandleInside(packets [][]byte) {
	now := r.s.cfg.Now()
	lost := uint64(0)
	whole, other := false, false
	for _, p := range packets {
		box := &r.in
		if len(p) >= 12 && !rtcp.Mux(p) && r.link.shows(be32(p[8:])) {
			box = &r.seen
			whole = whole || p[1]&0x80 != 0
		} else {
			other = true
		}
		box.mu.Lock()
		if !box.put(now, p) {
			lost++
		}
		box.mu.Unlock()
	}
	r.s.count.dropped.Add(lost)
	if other && r.eager.Load() {
		r.in.knock()
	}
	if p := r.pics.Load(); whole && p != nil {
		p.box.knock()
	}
}

// run is the room's goroutine.
func (r *room) run() {
	defer r.s.stepAhead()()
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-r.over:
			r.finish()
			return
		case <-r.in.wake:
		case <-t.C:
		}
		now := r.s.cfg.Now()
		t.Reset(max(0, r.turn(now).Sub(now)))
	}
}

// turn does what is due and returns when the next slot is. Slots are due on a
// line from the first one: a turn that comes late does not move the next.
func (r *room) turn(now clock.Time) clock.Time {
	r.drain(now)
	if r.link.idle() { // nothing to make: no slots, and a new line of them later
		r.next = 0
		return now.Add(rest)
	}
	if r.next == 0 {
		r.next = now.Add(Slot)
	}
	for made := 0; r.next <= now; made++ {
		due := r.next
		r.next = due.Add(Slot)
		if made >= catchUp && r.next <= now {
			r.slotDone(true) // beyond help: nobody waits for it any more
			continue
		}
		r.slotDone(now.Sub(due) >= Slot)
		for _, h := range r.halves {
			if h != nil {
				h.Tick(due)
			}
		}
		r.link.flush()
	}
	if now >= r.reports {
		r.reports = now.Add(reportEvery)
		r.link.report(now)
		r.takeStats(plane.Audio, r.halves[0])
	}
	if now >= r.survey {
		r.survey = now.Add(surveyEvery)
		r.link.survey(now)
	}
	return r.next
}

func (r *room) slotDone(late bool) {
	r.s.count.slots.Add(1)
	r.s.load.slot(late)
	if late {
		r.late.Add(1)
		r.s.count.late.Add(1)
	}
}

// drain takes what was posted, then what arrived.
func (r *room) drain(now clock.Time) {
	r.s.count.packetsIn.Add(uint64(r.in.drain(now, r.take)))
}

// take handles one packet of the inside link.
func (r *room) take(now clock.Time, b []byte) {
	switch {
	case len(b) < 12:
	case rtcp.Mux(b):
		r.takeRTCP(now, b)
	default:
		if kind, src, ok := r.link.input(be32(b[8:])); ok {
			if h := r.halves[kind-plane.Audio]; h != nil {
				h.HandleRTP(now, src, b)
			}
		}
	}
}

func be32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// half returns the half of a kind, made when it is first needed.
func (r *room) half(k plane.Kind) Half {
	i := k - plane.Audio
	if r.halves[i] == nil {
		m := r.s.maker(k)
		if m == nil {
			return nil
		}
		h := m.New(HalfConfig{Conf: r.conf, Host: host{r}, Now: r.s.cfg.Now, Log: r.s.cfg.Log.With("conf", r.conf)})
		if k == plane.Video {
			h = r.ownGoroutine(h)
		}
		r.halves[i] = h
		r.halves[i].SetRoom(r.s.cfg.Now(), r.info)
	}
	return r.halves[i]
}

func (r *room) ownGoroutine(h Half) Half {
	p := newPictures(r, h)
	r.pics.Store(p)
	if !r.s.cfg.manual {
		r.s.done.Go(p.run) // the room's own goroutine is counted still
	}
	return p
}

func (r *room) setRoom(m plane.MixRoom) {
	m = r.link.setRoom(m)
	r.in.post(func(now clock.Time) {
		r.info = m
		for _, h := range r.halves {
			if h != nil {
				h.SetRoom(now, r.info)
			}
		}
	})
}

// start publishes an output and lets the goroutine make it. For sound that is a
// matter of course; a picture may be refused for want of processes or time, so
// its answer is waited for a little.
func (r *room) start(o plane.MixOutput) error {
	fresh := !r.link.has(o.Track)
	out, err := r.link.publish(o)
	if err != nil {
		return err
	}
	if o.Kind == plane.Audio && o.Only != "" {
		r.eager.Store(true)
	}
	answer := make(chan error, 1)
	r.in.post(func(now clock.Time) { r.doStart(now, out, func(err error) { answer <- err }) })
	if !fresh || o.Kind != plane.Video {
		return nil
	}
	if r.s.cfg.manual {
		r.drain(r.s.cfg.Now())
	}
	select {
	case err = <-answer:
	case <-r.over:
	case <-time.After(answerWait):
	}
	return err
}

// doStart starts an output in its half; what a half refuses is withdrawn.
func (r *room) doStart(now clock.Time, out Output, done func(error)) {
	h := r.half(out.Kind)
	if h == nil || r.finished {
		done(nil)
		return
	}
	began := func(err error) {
		if err != nil {
			r.s.count.refused[out.Kind-plane.Audio].Add(1)
			r.s.cfg.Log.Warn("mixer output not started", "conf", r.conf, "track", out.Track, "err", err)
			r.link.unpublish(out.Track)
		}
		done(err)
	}
	if p, ok := h.(*pictures); ok {
		p.start(out, began)
		return
	}
	began(h.Start(now, out))
}

func (r *room) stop(t ids.Track) {
	kind, ok := r.link.unpublish(t)
	if !ok {
		return
	}
	r.in.post(func(clock.Time) {
		if h := r.halves[kind-plane.Audio]; h != nil {
			h.Stop(t)
		}
		r.eager.Store(r.link.impatient())
	})
}

// takeStats keeps the outputs' figures of a kind for whoever asks.
func (r *room) takeStats(k plane.Kind, h Half) {
	r.link.snapshot(k, func(t ids.Track) (s plane.MixStats, ok bool) {
		if h != nil {
			s, ok = h.Stats(t)
		}
		s.Late = r.late.Load()
		return s, ok
	})
}

func (r *room) end() {
	r.ended.Do(func() {
		r.link.close()
		close(r.over)
		if r.s.cfg.manual {
			r.finish()
		}
	})
}

// finish ends the halves; on the goroutine.
func (r *room) finish() {
	r.finished = true
	for i, h := range r.halves {
		if h != nil {
			h.Close()
			r.halves[i] = nil
		}
	}
}
