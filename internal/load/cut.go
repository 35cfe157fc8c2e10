package load

import (
	"sync"
	"time"
)

// cut resets every subscriber's WebSocket, as near to at once as can be.
func (r *runner) cut() {
	r.say("cut %d WebSockets", len(r.subs))
	var g sync.WaitGroup
	for _, s := range r.subs {
		g.Go(s.ws.cut)
	}
	g.Wait()
}

// slot is the grain in which it is seen whether clients came back in one wave.
const slot = 50 * time.Millisecond

// returned sums up who is back; nil when nobody was cut off.
func (r *runner) returned() *Cut {
	if !r.cfg.Cut {
		return nil
	}
	c := &Cut{Sockets: len(r.subs)}
	var took []time.Duration
	slots := map[time.Duration]bool{}
	for _, s := range r.subs {
		s.ws.mu.Lock()
		back := s.ws.back
		s.ws.mu.Unlock()
		if back > 0 {
			took = append(took, back)
			slots[back/slot] = true
		}
	}
	c.Resumed, c.Slots = len(took), len(slots)
	c.BackP50, c.BackP95, c.BackMax = ms(quantile(took, .5)), ms(quantile(took, .95)), ms(quantile(took, 1))
	return c
}
