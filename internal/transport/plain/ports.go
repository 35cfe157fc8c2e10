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
	if !mux {
		if p.rtcp, err = listen(netip.AddrPortFrom(addr, port+1)); err != nil {
			_ = p.rtp.Close()
			return nil, err
		}
	}
	if p.out, err = newOutlets(p.rtp, p.rtcp); err != nil {
		p.shut()
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
	out       outlets
	once      sync.Once
}

// outlets are the two sockets of a session as what is sent goes through them.
type outlets struct{ rtp, rtcp *writer }

func newOutlets(rtp, rtcp *net.UDPConn) (o outlets, err error) {
	if o.rtp, err = newWriter(rtp); err != nil {
		return o, err
	}
	if o.rtcp = o.rtp; rtcp != nil {
		o.rtcp, err = newWriter(rtcp)
	}
	return o, err
}

// send sends one packet on one of them.
func (o *outlets) send(rtcp bool, to netip.AddrPort, b []byte) Sent {
	w := o.rtp
	if rtcp {
		w = o.rtcp
	}
	switch err := w.write(b, to); {
	case err == nil:
		return SentOK
	case full(err):
		return SentFull
	}
	return SentFailed
}

// Sent tells what became of a packet.
type Sent uint8

const (
	SentOK     Sent = iota
	SentFull        // dropped: the socket's buffer had no room
	SentFailed      // refused by the system
)

// Sockets is what a session sends and receives with. Send is for one goroutine
// at a time and never waits.
type Sockets interface {
	Start(Handler) error
	Send(rtcp bool, to netip.AddrPort, b []byte) Sent
	Close()
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

// Send implements [Sockets].
func (p *Pair) Send(rtcp bool, to netip.AddrPort, b []byte) Sent { return p.out.send(rtcp, to, b) }

// Close frees the ports; its readers end.
func (p *Pair) Close() {
	p.once.Do(func() {
		p.home.shut(p.rtp, p.rtcp)
		p.home.give(p.index)
	})
}

// shut closes what nobody reads yet.
func (p *Pair) shut() {
	_ = p.rtp.Close()
	if p.rtcp != nil {
		_ = p.rtcp.Close()
	}
}
