package mcu

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/rtcp"
)

// pictures is a room's video half on a goroutine of its own, so that sound never
// waits for a picture's packets, processes or locks (scenario M3). The room
// sees it as any half; its methods leave word and return.
type pictures struct {
	r    *room
	half Half
	box  inbox
	next clock.Time // the next tick is due
	told clock.Time // stats were taken
}

func newPictures(r *room, h Half) *pictures { return &pictures{r: r, half: h, box: newInbox()} }

// later runs f on the goroutine; at once where tests turn rooms themselves.
func (p *pictures) later(f func(clock.Time)) {
	if p.r.s.cfg.manual {
		f(p.r.s.cfg.Now())
		return
	}
	p.box.post(f)
}

func (p *pictures) run() {
	t := time.NewTimer(Slot)
	defer t.Stop()
	for {
		select {
		case <-p.r.over:
			p.half.Close()
			return
		case <-p.box.wake:
		case <-t.C:
		}
		now := p.r.s.cfg.Now()
		p.turn(now)
		t.Reset(max(0, p.next.Sub(now)))
	}
}

func (p *pictures) turn(now clock.Time) {
	p.box.drain(now, func(clock.Time, []byte) {})
	p.r.s.count.packetsIn.Add(uint64(p.r.seen.drain(now, p.take)))
	if now < p.next {
		return
	}
	p.next = now.Add(Slot)
	if p.r.link.idle() {
		p.next = now.Add(rest)
	}
	p.half.Tick(now)
	if now >= p.told {
		p.told = now.Add(reportEvery)
		p.r.takeStats(plane.Video, p.half)
	}
}

func (p *pictures) take(at clock.Time, b []byte) {
	if kind, src, ok := p.r.link.input(be32(b[8:])); ok && kind == plane.Video {
		p.half.HandleRTP(at, src, b)
	}
}

// start starts an output and tells what became of it.
func (p *pictures) start(out Output, done func(error)) {
	p.later(func(now clock.Time) { done(p.half.Start(now, out)) })
}

// SetRoom implements [Half].
func (p *pictures) SetRoom(_ clock.Time, m plane.MixRoom) {
	p.later(func(now clock.Time) { p.half.SetRoom(now, m) })
}

// Start implements [Half]; the room uses start.
func (p *pictures) Start(_ clock.Time, out Output) error {
	p.start(out, func(error) {})
	return nil
}

// Stop implements [Half].
func (p *pictures) Stop(out ids.Track) { p.later(func(clock.Time) { p.half.Stop(out) }) }

// HandleRTP implements [Half]; packets come through room.seen.
func (p *pictures) HandleRTP(clock.Time, ids.Track, []byte) {}

// HandleSR implements [Half].
func (p *pictures) HandleSR(at clock.Time, src ids.Track, sr rtcp.SenderInfo) {
	p.later(func(clock.Time) { p.half.HandleSR(at, src, sr) })
}

// Gone implements [Half].
func (p *pictures) Gone(at clock.Time, src ids.Track) {
	p.later(func(clock.Time) { p.half.Gone(at, src) })
}

// KeyframeWanted implements [Half].
func (p *pictures) KeyframeWanted(at clock.Time, out ids.Track) {
	p.later(func(clock.Time) { p.half.KeyframeWanted(at, out) })
}

// SetRate implements [Half].
func (p *pictures) SetRate(at clock.Time, out ids.Track, bps uint64) {
	p.later(func(clock.Time) { p.half.SetRate(at, out, bps) })
}

// SetLoss implements [Half].
func (p *pictures) SetLoss(at clock.Time, out ids.Track, fraction float64) {
	p.later(func(clock.Time) { p.half.SetLoss(at, out, fraction) })
}

// Tick implements [Half]: the goroutine has ticks of its own.
func (p *pictures) Tick(now clock.Time) {
	if p.r.s.cfg.manual {
		p.next = 0
		p.turn(now)
	}
}

// Stats implements [Half].
func (p *pictures) Stats(out ids.Track) (plane.MixStats, bool) { return p.half.Stats(out) }

// Close implements [Half]: the goroutine ends with the room.
func (p *pictures) Close() {
	if p.r.s.cfg.manual {
		p.half.Close()
	}
}
