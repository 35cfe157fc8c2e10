package tcp

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits of the listeners of this package; zero fields take the defaults.
type Limits struct {
	// Undecided bounds connections that have not shown what they are, and
	// UndecidedPerAddress those of one address (IPv6: one /64).
	Undecided, UndecidedPerAddress int
	// Decide is how long a connection may stay silent.
	Decide time.Duration
	// Conns and ConnsPerAddress bound ICE connections.
	Conns, ConnsPerAddress int
	// FirstFrame is how long the first STUN frame may take.
	FirstFrame time.Duration
	// WriteStall is how long one write may make no progress.
	WriteStall time.Duration
}

// DefaultLimits suit one node (reliability S2, D12).
var DefaultLimits = Limits{
	Undecided: 2000, UndecidedPerAddress: 64, Decide: 5 * time.Second,
	Conns: 2000, ConnsPerAddress: 100, FirstFrame: 5 * time.Second, WriteStall: 10 * time.Second,
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits
	for _, f := range []struct{ v, d *int }{
		{&l.Undecided, &d.Undecided}, {&l.UndecidedPerAddress, &d.UndecidedPerAddress},
		{&l.Conns, &d.Conns}, {&l.ConnsPerAddress, &d.ConnsPerAddress},
	} {
		if *f.v <= 0 {
			*f.v = *f.d
		}
	}
	for _, f := range []struct{ v, d *time.Duration }{
		{&l.Decide, &d.Decide}, {&l.FirstFrame, &d.FirstFrame}, {&l.WriteStall, &d.WriteStall},
	} {
		if *f.v <= 0 {
			*f.v = *f.d
		}
	}
	return l
}

// Split tells ICE-TCP from HTTP and TLS on one listener. The first byte
// decides: a frame length of RFC 4571 starts with 0 to 5 for anything we take,
// HTTP with a letter, TLS with 0x16. Accept of either result never waits for a
// slow peer. Closing either leaves the other open; when both are closed l is.
func Split(l net.Listener) (http, ice net.Listener) {
	return SplitWithLimits(l, Limits{})
}

// SplitWithLimits is Split with limits of the caller's choice.
func SplitWithLimits(l net.Listener, limits Limits) (http, ice net.Listener) {
	s := &splitter{
		inner: l, limits: limits.withDefaults(),
		gate: newGate(limits.withDefaults().Undecided, limits.withDefaults().UndecidedPerAddress),
		dead: make(chan struct{}),
	}
	s.http, s.ice = s.half(), s.half()
	s.open = 2
	go s.run()
	return s.http, s.ice
}

type splitter struct {
	inner  net.Listener
	limits Limits
	gate   *gate
	http   *half
	ice    *half
	dead   chan struct{} // closed when the inner listener failed; err is set before
	err    error

	mu      sync.Mutex // guards open and pending
	open    int
	pending map[net.Conn]struct{}
}

func (s *splitter) half() *half {
	return &half{s: s, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (s *splitter) run() {
	for {
		c, err := s.inner.Accept()
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				continue
			}
			s.err = err
			close(s.dead)
			return
		}
		addr := remote(c)
		if !s.gate.enter(addr) {
			_ = c.Close()
			continue
		}
		if !s.track(c) {
			s.gate.leave(addr)
			_ = c.Close()
			continue
		}
		go s.decide(c, addr)
	}
}

// track remembers an undecided connection, so that Close ends it.
func (s *splitter) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == 0 {
		return false
	}
	if s.pending == nil {
		s.pending = make(map[net.Conn]struct{})
	}
	s.pending[c] = struct{}{}
	return true
}

func (s *splitter) decide(c net.Conn, addr netip.Addr) {
	var first [1]byte
	_ = c.SetReadDeadline(time.Now().Add(s.limits.Decide))
	_, err := c.Read(first[:])
	// Counted until somebody accepts it: a half that nobody serves must not
	// gather connections.
	defer func() {
		s.mu.Lock()
		delete(s.pending, c)
		s.mu.Unlock()
		s.gate.leave(addr)
	}()
	h := s.choose(first[0])
	if err != nil || h == nil || c.SetReadDeadline(time.Time{}) != nil {
		_ = c.Close()
		return
	}
	select {
	case h.conns <- &peeked{Conn: c, first: first, left: true}:
	case <-h.closed:
		_ = c.Close()
	case <-s.dead:
		_ = c.Close()
	}
}

// choose returns the half a first byte belongs to, nil for neither.
func (s *splitter) choose(b byte) *half {
	switch {
	case b <= byte(maxFrame>>8):
		return s.ice
	case b == 0x16, b >= 'A' && b <= 'Z', b >= 'a' && b <= 'z':
		return s.http
	}
	return nil
}

// half is one of the two listeners.
type half struct {
	s      *splitter
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (h *half) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	case <-h.s.dead:
		return nil, h.s.err
	}
}

// Addr implements net.Listener.
func (h *half) Addr() net.Addr { return h.s.inner.Addr() }

// Close implements net.Listener.
func (h *half) Close() error {
	err := error(nil)
	h.once.Do(func() {
		close(h.closed)
		h.s.mu.Lock()
		h.s.open--
		last := h.s.open == 0
		var pending []net.Conn
		for c := range h.s.pending {
			if last {
				pending = append(pending, c)
			}
		}
		h.s.mu.Unlock()
		if last {
			err = h.s.inner.Close()
			for _, c := range pending {
				_ = c.Close()
			}
		}
	})
	return err
}

// peeked gives the first byte back. Used by one reader at a time, as a net.Conn
// of a server is.
type peeked struct {
	net.Conn
	first [1]byte
	left  bool
}

// FirstByte returns the byte that decided, so that a server can tell TLS (0x16)
// from plain HTTP without waiting again.
func (p *peeked) FirstByte() byte { return p.first[0] }

func (p *peeked) Read(b []byte) (int, error) {
	if p.left && len(b) > 0 {
		p.left = false
		b[0] = p.first[0]
		return 1, nil
	}
	return p.Conn.Read(b)
}

func remote(c net.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// gate counts what is inside, in all and per address.
type gate struct {
	total, each int

	mu     sync.Mutex // guards both below
	inside int
	per    map[netip.Addr]int
}

func newGate(total, each int) *gate {
	return &gate{total: total, each: each, per: make(map[netip.Addr]int)}
}

// bucket is what counts as one source: an IPv6 host owns a /64.
func bucket(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

func (g *gate) enter(a netip.Addr) bool {
	a = bucket(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside >= g.total || g.per[a] >= g.each {
		return false
	}
	g.inside++
	g.per[a]++
	return true
}

func (g *gate) leave(a netip.Addr) {
	a = bucket(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.per[a]--; g.per[a] <= 0 {
		delete(g.per, a)
	}
}
