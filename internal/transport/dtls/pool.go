package dtls

import (
	"sync"
	"time"
)

// Limits of a [Pool].
type Limits struct {
	// Running bounds handshakes in progress. It is at least the node's cap of
	// half-open joins: a slot is held while the peer thinks, so a smaller one
	// would let silent peers lock out the others.
	Running int
	// Queue bounds those waiting for a slot.
	Queue int
	// Timeout is counted from Start.
	Timeout time.Duration
}

// DefaultLimits suit one node.
var DefaultLimits = Limits{Running: 512, Queue: 512, Timeout: 15 * time.Second}

// Pool runs handshakes on a bounded number of goroutines. Safe for concurrent
// use; it has nothing running when no handshake is.
type Pool struct {
	limits Limits

	mu      sync.Mutex // guards running and queue
	running int
	queue   []*Conn
}

// NewPool makes a pool; zero fields of the limits take their defaults.
func NewPool(l Limits) *Pool {
	if l.Running <= 0 {
		l.Running = DefaultLimits.Running
	}
	if l.Queue <= 0 {
		l.Queue = DefaultLimits.Queue
	}
	if l.Timeout <= 0 {
		l.Timeout = DefaultLimits.Timeout
	}
	return &Pool{limits: l}
}

// Start begins an association. A client sends its hello at once; a server costs
// a few hundred bytes until an acceptable ClientHello came.
func (p *Pool) Start(cfg Config) *Conn {
	c := newConn(p, cfg)
	c.begin()
	return c
}

// submit gives c a goroutine now or later; false when the queue is full.
func (p *Pool) submit(c *Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running < p.limits.Running {
		p.running++
		go p.work(c)
		return true
	}
	if len(p.queue) >= p.limits.Queue {
		return false
	}
	p.queue = append(p.queue, c)
	return true
}

func (p *Pool) work(c *Conn) {
	for c != nil {
		c.run()
		p.mu.Lock()
		if len(p.queue) > 0 {
			c = p.queue[0]
			p.queue = p.queue[1:]
		} else {
			c = nil
			p.running--
		}
		p.mu.Unlock()
	}
}
