// Package ring holds the packet buffers of the data path: reference-counted,
// pooled, never garbage in steady state.
//
// One rule: a buffer handed to a function is borrowed until that function
// returns; whoever keeps it calls [Buf.Retain] and later [Buf.Release]. The
// last Release gives the bytes back to the pool, on whichever goroutine.
// Releasing too often panics: that is a broken invariant, not an input error.
package ring

import (
	"sync"
	"sync/atomic"

	"parley/internal/base/clock"
)

// Size is the capacity of a buffer in bytes. A media packet is at most 1500
// bytes on the wire; the rest is room for an authentication tag or padding.
const Size = 1536

// Buf is one packet's storage. B[:N] are the valid bytes.
type Buf struct {
	refs atomic.Int32
	// ECN are the two bits of the IP header it came with (RFC 3168), 0 if unknown.
	ECN uint8
	// Came is when the machine had it, 0 if unknown: not later than it is handled.
	Came clock.Time
	pool *Pool
	N    int
	B    [Size]byte
}

// Bytes returns the valid bytes; they may be read until Release and written
// only by the one holder before the buffer is shared.
func (b *Buf) Bytes() []byte { return b.B[:b.N] }

// Retain adds a reference. Safe from any goroutine that holds one.
func (b *Buf) Retain() *Buf {
	if b.refs.Add(1) <= 1 {
		panic("ring: retain of a released buffer")
	}
	return b
}

// Release drops a reference. Safe from any goroutine.
func (b *Buf) Release() {
	switch n := b.refs.Add(-1); {
	case n == 0:
		b.pool.put(b)
	case n < 0:
		panic("ring: buffer released twice")
	}
}

// Pool is a free list shared by all shards of a node. Safe for concurrent use.
type Pool struct {
	mu   sync.Mutex
	free []*Buf
	live atomic.Int64
}

// NewPool returns an empty pool; buffers are made on demand in slabs.
func NewPool() *Pool { return &Pool{} }

// slab is how many buffers one growth makes: 64 x 1.5 KiB is about 100 KiB.
const slab = 64

// Get returns a buffer with one reference and N = 0.
func (p *Pool) Get() *Buf {
	p.mu.Lock()
	if len(p.free) == 0 {
		p.grow()
	}
	b := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	p.mu.Unlock()
	p.live.Add(1)
	b.N, b.ECN, b.Came = 0, 0, 0
	b.refs.Store(1)
	return b
}

func (p *Pool) grow() {
	s := make([]Buf, slab)
	for i := range s {
		s[i].pool = p
		p.free = append(p.free, &s[i])
	}
}

func (p *Pool) put(b *Buf) {
	poison(b)
	p.live.Add(-1)
	p.mu.Lock()
	p.free = append(p.free, b)
	p.mu.Unlock()
}

// Live returns how many buffers are in use, for leak checks.
func (p *Pool) Live() int64 { return p.live.Load() }
