package worker

import (
	"sync"

	"parley/internal/base/clock"
	"parley/internal/media/engine"
)

// command is something to do on the shard's goroutine.
type command func(now clock.Time)

// crossLimit bounds the media batches waiting for one shard. A shard that falls
// this far behind is over its capacity; dropping shows as loss, which the
// receivers' congestion control answers. 4096 batches of a few packets are
// about a tenth of a second at a shard's full rate.
const crossLimit = 4096

// mailbox brings work to a shard from other goroutines: a lock, two slices and
// a doorbell. Crosses are taken before commands, so that whoever posts a
// command after a cross sees them in that order.
type mailbox struct {
	ring func() // wakes the shard; safe for concurrent use

	mu     sync.Mutex
	cmds   []command       // guarded by mu
	cross  []*engine.Cross // guarded by mu
	frames []frame         // guarded by mu
	lost   uint64          // guarded by mu; crosses and frames dropped at the limit
	closed bool            // guarded by mu
}

// post queues c; false once the shard has stopped.
func (m *mailbox) post(c command) bool {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return false
	}
	first := m.emptyLocked()
	m.cmds = append(m.cmds, c)
	m.mu.Unlock()
	if first {
		m.ring()
	}
	return true
}

// waiting returns how many commands wait.
func (m *mailbox) waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.cmds)
}

// postCross hands a batch over; when the shard is full or gone the packets are
// released and counted.
func (m *mailbox) postCross(c *engine.Cross) {
	m.mu.Lock()
	if m.closed || len(m.cross) >= crossLimit {
		m.lost++
		m.mu.Unlock()
		c.Release()
		return
	}
	first := m.emptyLocked()
	m.cross = append(m.cross, c)
	m.mu.Unlock()
	if first {
		m.ring()
	}
}

// postFrame hands over one ICE-TCP frame, whose buffer the shard releases.
func (m *mailbox) postFrame(f frame) {
	m.mu.Lock()
	if m.closed || len(m.frames) >= crossLimit {
		m.lost++
		m.mu.Unlock()
		f.buf.Release()
		return
	}
	first := m.emptyLocked()
	m.frames = append(m.frames, f)
	m.mu.Unlock()
	if first {
		m.ring()
	}
}

func (m *mailbox) emptyLocked() bool {
	return len(m.cmds) == 0 && len(m.cross) == 0 && len(m.frames) == 0
}

// load is what one turn takes from the mailbox; the slices are swapped with the
// mailbox's, so that a steady state allocates nothing.
type load struct {
	cmds   []command
	cross  []*engine.Cross
	frames []frame
}

// take moves everything that waits into l, which must be empty.
func (m *mailbox) take(l *load) {
	m.mu.Lock()
	l.cmds, m.cmds = m.cmds, l.cmds[:0]
	l.cross, m.cross = m.cross, l.cross[:0]
	l.frames, m.frames = m.frames, l.frames[:0]
	m.mu.Unlock()
}

// close refuses everything from now on and returns what still waited.
func (m *mailbox) close(l *load) {
	m.take(l)
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	var rest load
	m.take(&rest)
	l.cmds = append(l.cmds, rest.cmds...)
	l.cross = append(l.cross, rest.cross...)
	l.frames = append(l.frames, rest.frames...)
}

// dropped returns the number of crosses and frames lost at the limit.
func (m *mailbox) dropped() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost
}
