package mcu

import (
	"sync"

	"parley/internal/base/clock"
)

// inbox is what waits for a goroutine: packets, end to end, and things to do.
type inbox struct {
	wake chan struct{}

	mu    sync.Mutex
	bytes []byte             // guarded by mu
	items []item             // guarded by mu
	todo  []func(clock.Time) // guarded by mu

	// The rest belongs to the goroutine that drains.
	spareB []byte
	spareI []item
	spareT []func(clock.Time)
}

// item is one packet in bytes.
type item struct {
	at       clock.Time
	off, end int
}

func newInbox() inbox { return inbox{wake: make(chan struct{}, 1)} }

// post hands something to the goroutine.
func (b *inbox) post(f func(clock.Time)) {
	b.mu.Lock()
	b.todo = append(b.todo, f)
	b.mu.Unlock()
	b.knock()
}

func (b *inbox) knock() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// put copies a packet, with b.mu held; false: too much waits.
func (b *inbox) put(now clock.Time, p []byte) bool {
	if len(b.bytes)+len(p) > inboxMax {
		return false
	}
	off := len(b.bytes)
	b.bytes = append(b.bytes, p...)
	b.items = append(b.items, item{now, off, len(b.bytes)})
	return true
}

// drain does what was posted, then gives the packets to take; it returns how
// many they were.
func (b *inbox) drain(now clock.Time, take func(clock.Time, []byte)) int {
	b.mu.Lock()
	b.bytes, b.spareB = b.spareB[:0], b.bytes
	b.items, b.spareI = b.spareI[:0], b.items
	b.todo, b.spareT = b.spareT[:0], b.todo
	b.mu.Unlock()
	for i, f := range b.spareT {
		f(now)
		b.spareT[i] = nil
	}
	for _, it := range b.spareI {
		take(it.at, b.spareB[it.off:it.end])
	}
	return len(b.spareI)
}
