package plain

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
)

// ErrNoPorts tells that the range is used up.
var ErrNoPorts = errors.New("plain: no free port pair")

// Range hands out pairs of an even RTP and the odd RTCP port above it (RFC
// 3550, section 11), going round, so that a port that was given back rests as
// long as possible: late packets of its last peer must not reach the next one.
type Range struct {
	lo, pairs int
	wg        sync.WaitGroup
	reader    watcher

	mu   sync.Mutex
	used []bool // guarded by mu; by pair
	next int    // guarded by mu
	live int    // guarded by mu
}

// NewRange makes a range of the ports lo to hi, both included.
func NewRange(lo, hi uint16) *Range {
	first := (int(lo) + 1) &^ 1
	n := max(0, (int(hi)-first+1)/2)
	r := &Range{lo: first, pairs: n, used: make([]bool, n)}
	r.reader.wg = &r.wg
	return r
}

// Live returns how many pairs are open.
func (r *Range) Live() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live
}

// take reserves the next free pair.
func (r *Range) take() (int, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range r.pairs {
		i := r.next
		r.next = (r.next + 1) % r.pairs
		if !r.used[i] {
			r.used[i] = true
			r.live++
			return i, true
		}
	}
	return 0, false
}

func (r *Range) give(i int) {
	r.mu.Lock()
	r.used[i] = false
	r.live--
	r.mu.Unlock()
}

// Open binds a free pair on an address. Ports that others hold are passed over.
func (r *Range) Open(addr netip.Addr, mux bool) (*Pair, error) {
	var taken []int
	defer func() {
		for _, i := range taken {
			r.give(i)
		}
	}()
	for {
		i, ok := r.take()
		if !ok {
			return nil, ErrNoPorts
		}
		p, err := r.bind(addr, i, mux)
		if err == nil {
			return p, nil
		}
		if !inUse(err) {
			r.give(i)
			return nil, err
		}
		taken = append(taken, i)
	}
}

func (r *Range) bind(addr netip.Addr, i int, mux bool) (*Pair, error) {
	port := uint16(r.lo + 2*i)
	p := &Pair{home: r, index: i, port: port}
	var err error
	if p.rtp, err = listen(netip.AddrPortFrom(addr, port)); err != nil {
		return nil, err
	}
	if mux {
		return p, nil
	}
	if p.rtcp, err = listen(netip.AddrPortFrom(addr, port+1)); err != nil {
		_ = p.rtp.Close()
		return nil, err
	}
	return p, nil
}

// buffer holds 300 ms of a 5 Mbit/s picture.
const buffer = 256 << 10

func listen(a netip.AddrPort) (*net.UDPConn, error) {
	pc, err := (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", a.String())
	if err != nil {
		return nil, err
	}
	c := pc.(*net.UDPConn)
	_ = c.SetReadBuffer(buffer)  // what the system gives will do
	_ = c.SetWriteBuffer(buffer) //
	return c, nil
}

// shut ends the reading of sockets and closes them; nil ones are passed over.
func (r *Range) shut(list ...*net.UDPConn) {
	for _, c := range list {
		if c != nil {
			r.reader.unwatch(c)
			_ = c.Close()
		}
	}
}

// Wait returns when the readers of all closed pairs have ended.
func (r *Range) Wait() { r.wg.Wait() }

// Handler takes one datagram; b is borrowed. Called from the
// goroutine that reads.
type Handler func(rtcp bool, from netip.AddrPort, b []byte)

// Pair is the sockets of one session.
type Pair struct {
	home      *Range
	index     int
	port      uint16
	rtp, rtcp *net.UDPConn // rtcp nil: on the RTP port
	once      sync.Once
}

// Port returns the RTP port.
func (p *Pair) Port() uint16 { return p.port }

// maxDatagram is the largest packet taken, as on the other links; one byte more
// is read to tell.
const maxDatagram = 1500

// Start reads until Close.
func (p *Pair) Start(h Handler) error {
	err := p.home.reader.watch(p.rtp, false, h)
	if err == nil && p.rtcp != nil {
		err = p.home.reader.watch(p.rtcp, true, h)
	}
	return err
}

// Send sends one packet.
func (p *Pair) Send(rtcp bool, to netip.AddrPort, b []byte) bool {
	c := p.rtp
	if rtcp && p.rtcp != nil {
		c = p.rtcp
	}
	_, err := c.WriteToUDPAddrPort(b, to)
	return err == nil
}

// Close frees the ports; its readers end.
func (p *Pair) Close() {
	p.once.Do(func() {
		p.home.shut(p.rtp, p.rtcp)
		p.home.give(p.index)
	})
}

// Sockets is what a session sends and receives with.
type Sockets interface {
	Start(Handler) error
	Send(rtcp bool, to netip.AddrPort, b []byte) bool
	Close()
}
