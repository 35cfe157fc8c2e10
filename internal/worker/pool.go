package worker

import (
	"context"
	"net/netip"
	"sync"

	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/base/ring"
	"parley/internal/media/engine"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
	"parley/internal/transport/dtls"
	"parley/internal/transport/plain"
)

// Pool is the media side of a node: its shards and the books that tie the
// names the focus uses to the numbers the shards use. It implements plane.Plane.
//
// The books are guarded by one lock, taken by calls of the focus and, once per
// life of a link, by shards; packets never wait for it. Mailboxes are posted to
// while it is held (theirs is a leaf lock), so that what two callers did to one
// track reaches every shard in one order.
type Pool struct {
	cfg    Config
	ring   *ring.Pool
	shards []*Worker
	tcp    *tcpServer

	handshakes *dtls.Pool
	wires      wires

	mu     sync.Mutex
	confs  map[ids.Conference]*conf         // guarded by mu
	links  map[ids.Connection]*entry        // guarded by mu
	ufrags map[string]*entry                // guarded by mu; our ICE user fragments, for TCP
	tracks map[ids.Track]*source            // guarded by mu
	subs   map[ids.Subscription]*projection // guarded by mu
	joins  joins                            // guarded by mu
	trkIDs idPool                           // guarded by mu
	home   []place                          // guarded by mu; by shard
	closed bool                             // guarded by mu
}

var _ plane.Plane = (*Pool)(nil)

// place is the pool's view of one shard.
type place struct {
	links  int
	legIDs idPool
}

// conf counts a conference's links.
type conf struct {
	id      ids.Conference
	home    engine.Shard
	onShard []int // links by shard
	links   map[ids.Connection]*entry
	tracks  map[ids.Track]*source
}

// entry is one link.
type entry struct {
	conf     *conf
	conn     ids.Connection
	shard    engine.Shard
	leg      graph.LegID
	ufrags   []string
	origin   netip.Addr
	trusted  bool
	halfOpen bool
	tracks   map[ids.Track]*source
	subs     map[ids.Subscription]*projection
}

// source is one published track and which other shards hold it.
type source struct {
	track  plane.Track
	id     graph.TrackID
	owner  *entry
	remote []int // subscriptions by shard, the home shard's included
	who    []plane.Contributor
	subs   map[*projection]struct{}
}

// projection is one subscription.
type projection struct {
	sub  plane.Subscription
	src  *source // nil: a slot that shows nothing, or its track ended
	link *entry
}

// New binds the sockets and makes the shards; nothing runs before Run.
func New(cfg Config) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	p := &Pool{
		cfg: cfg, ring: ring.NewPool(),
		confs: map[ids.Conference]*conf{}, links: map[ids.Connection]*entry{}, ufrags: map[string]*entry{},
		tracks: map[ids.Track]*source{}, subs: map[ids.Subscription]*projection{},
		joins: newJoins(cfg.Caps), home: make([]place, cfg.Workers),
		handshakes: dtls.NewPool(dtls.Limits{Running: cfg.Caps.HalfOpenTotal + 12, Timeout: cfg.Caps.JoinTimeout}),
	}
	// A late batch of a track that ended may still be on its way between shards
	// when its number is used again; this many other tracks come first.
	p.trkIDs.quarantine = 1024
	for i := range cfg.Workers {
		w, err := newWorker(p, engine.Shard(i))
		if err != nil {
			p.closeSockets()
			return nil, err
		}
		p.shards = append(p.shards, w)
	}
	for _, w := range p.shards {
		w.peers = p.shards
	}
	p.tcp = newTCPServer(p)
	p.wires.ports = plain.NewRange(cfg.RTPPorts.Low, cfg.RTPPorts.High)
	return p, nil
}

// Run serves until ctx ends, then closes every link with a goodbye and returns.
func (p *Pool) Run(ctx context.Context) error {
	errs := make(chan error, len(p.shards))
	work, cancel := context.WithCancel(context.Background())
	defer cancel()
	var g sync.WaitGroup
	p.tcp.start()
	for _, w := range p.shards {
		g.Go(func() {
			if err := w.Run(work); err != nil {
				errs <- err
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-errs:
	}
	p.closeAll()
	cancel()
	g.Wait()
	p.tcp.stop()
	p.wires.ports.Wait()
	p.closeSockets()
	return err
}

// closeAll ends every link and takes no new ones.
func (p *Pool) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, e := range p.links {
		p.closeLocked(e, "shutting down")
	}
}

// Abandon frees the sockets of a pool that will not run.
func (p *Pool) Abandon() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.closeSockets()
}

func (p *Pool) closeSockets() {
	for _, w := range p.shards {
		w.sock.Close()
	}
	if p.tcp != nil {
		p.tcp.stop()
	}
}

// Addrs returns the bound UDP address of each shard, in order.
func (p *Pool) Addrs() []netip.AddrPort {
	a := make([]netip.AddrPort, len(p.shards))
	for i, w := range p.shards {
		a[i] = w.addr
	}
	return a
}

// Wake makes every shard look at the clock again; for tests that move it.
func (p *Pool) Wake() {
	for _, w := range p.shards {
		w.mail.ring()
	}
}

// BuffersInUse returns how many packet buffers are held, for leak checks.
func (p *Pool) BuffersInUse() int64 { return p.ring.Live() }

// readyLocked refuses new work when the node is going down or a shard lags.
func (p *Pool) readyLocked(s engine.Shard) error {
	if p.closed {
		return &fault.Error{Code: 503, Reason: "shutting-down", Message: "this node is stopping", RetryAfter: retrySoon}
	}
	if p.shards[s].mail.waiting() >= p.cfg.Caps.Mailbox {
		return &fault.Error{Code: 503, Reason: "overloaded", Message: "media worker is behind", RetryAfter: retrySoon}
	}
	return nil
}

// idPool hands out small dense numbers from 1. A number given back is reused
// only after quarantine others.
type idPool struct {
	last       uint32
	free       []uint32 // oldest first
	quarantine int
}

func (i *idPool) get() uint32 {
	if len(i.free) > i.quarantine {
		v := i.free[0]
		i.free = i.free[1:]
		return v
	}
	i.last++
	return i.last
}

func (i *idPool) put(v uint32) { i.free = append(i.free, v) }
