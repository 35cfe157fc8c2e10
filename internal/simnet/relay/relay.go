// Package relay puts the model of simnet between real UDP peers: it listens on
// a loopback port, forwards to a target and back, and impairs each direction.
//
// It stands in for tc netem, which our machines do not have. It is not a
// product part: it trusts its peers and is bounded only in flows and bytes
// under way. The fate of the n-th packet of a direction depends on the seed
// alone, but real arrival times do not repeat.
//
// Threading: one reader per socket and one goroutine that sends what is due;
// the methods are safe for concurrent use.
package relay

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"parley/internal/base/clock"
	"parley/internal/simnet"
)

const (
	// maxFlows bounds clients of one relay.
	maxFlows = 1024
	// maxUnderWay bounds packets held back.
	maxUnderWay = 1 << 16
	// socketBuffer avoids losses that the model did not decide.
	socketBuffer = 4 << 20
)

// Config of a relay.
type Config struct {
	// Listen is where clients send; a port of 0 takes a free one.
	Listen netip.AddrPort
	// Target is the server; without one, packets are lost until [Relay.Target].
	Target netip.AddrPort
	Seed   uint64
	// Up is the way from client to server, Down the way back. All flows of a
	// relay share one link each way, as people behind one router do.
	Up, Down simnet.Config
}

// Stats of both directions.
type Stats struct {
	Up, Down simnet.Stats
	// Flows is how many clients there were.
	Flows int
	// UpWaiting and DownWaiting are how long a packet would wait now for the
	// rate limit.
	UpWaiting, DownWaiting time.Duration
}

type direction = simnet.Endpoint

const (
	up direction = iota
	down
)

// Relay is a running relay.
type Relay struct {
	front *net.UDPConn
	clock *clock.System
	wake  chan struct{}
	quit  chan struct{}
	tasks sync.WaitGroup

	mu     sync.Mutex // guards all below
	target netip.AddrPort
	net    *simnet.Network
	links  [2]*simnet.Link
	flows  map[netip.AddrPort]*flow
	byID   []*flow
	closed bool
}

// flow is one client with its own socket toward the target.
type flow struct {
	id     int
	client netip.AddrPort
	back   *net.UDPConn
}

// Start opens the sockets and begins to forward.
func Start(cfg Config) (*Relay, error) {
	front, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(cfg.Listen))
	if err != nil {
		return nil, err
	}
	_ = front.SetReadBuffer(socketBuffer)
	n := simnet.New(cfg.Seed)
	r := &Relay{
		front: front, clock: clock.NewSystem(),
		wake: make(chan struct{}, 1), quit: make(chan struct{}),
		target: cfg.Target, net: n, links: [2]*simnet.Link{n.Link(up, cfg.Up), n.Link(down, cfg.Down)},
		flows: make(map[netip.AddrPort]*flow),
	}
	r.tasks.Go(r.readFront)
	r.tasks.Go(r.deliver)
	return r, nil
}

// Addr returns where clients send.
func (r *Relay) Addr() netip.AddrPort {
	return r.front.LocalAddr().(*net.UDPAddr).AddrPort()
}

// Set changes both directions from now on.
func (r *Relay) Set(upward, downward simnet.Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.links[up].Set(upward)
	r.links[down].Set(downward)
}

// Settings returns what holds now.
func (r *Relay) Settings() (upward, downward simnet.Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.links[up].Config(), r.links[down].Config()
}

// Change is a step of a schedule; a direction that is nil stays as it is.
type Change struct {
	After    time.Duration
	Up, Down *simnet.Config
}

// Schedule plans changes, counted from now, and forgets what was planned. A
// change takes place with the first packet after its time.
func (r *Relay) Schedule(changes ...Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	var steps [2][]simnet.Step
	for _, c := range changes {
		for d, cfg := range [2]*simnet.Config{up: c.Up, down: c.Down} {
			if cfg != nil {
				steps[d] = append(steps[d], simnet.Step{At: now.Add(c.After), Config: *cfg})
			}
		}
	}
	for d := range steps {
		r.links[d].Schedule(steps[d]...)
	}
}

// Target sets where new flows go: for a peer whose port is known late. Flows
// that are there already get a new socket toward it, as with [Relay.Rebind].
func (r *Relay) Target(to netip.AddrPort) error {
	r.mu.Lock()
	r.target = to
	r.mu.Unlock()
	return r.Rebind()
}

// Stats returns the counters.
func (r *Relay) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	return Stats{
		Up: r.links[up].Stats(), Down: r.links[down].Stats(), Flows: len(r.byID),
		UpWaiting: r.links[up].Waiting(now), DownWaiting: r.links[down].Waiting(now),
	}
}

// Rebind gives every flow a new source port toward the target, as a NAT does
// that lost its mapping (scenario R3). Packets to the old ports are lost.
func (r *Relay) Rebind() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return net.ErrClosed
	}
	for _, f := range r.byID {
		back, err := r.dial()
		if err != nil {
			return err
		}
		_ = f.back.Close()
		f.back = back
		r.tasks.Go(func() { r.readBack(f, back) })
	}
	return nil
}

// Close ends the relay; packets under way are lost.
func (r *Relay) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	err := r.front.Close()
	for _, f := range r.byID {
		err = errors.Join(err, f.back.Close())
	}
	close(r.quit)
	r.mu.Unlock()
	r.tasks.Wait()
	return err
}

func (r *Relay) dial() (*net.UDPConn, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(r.target))
	if err == nil {
		_ = c.SetReadBuffer(socketBuffer)
	}
	return c, err
}

func (r *Relay) readFront() {
	// Two bytes in front carry the flow's number through the network.
	buf := make([]byte, 2+1<<16)
	for {
		n, from, err := r.front.ReadFromUDPAddrPort(buf[2:])
		if err != nil {
			if r.done() {
				return
			}
			continue // an ICMP error of one client
		}
		if f := r.flowOf(from); f != nil {
			r.send(up, f.id, buf[:2+n])
		}
	}
}

func (r *Relay) readBack(f *flow, back *net.UDPConn) {
	buf := make([]byte, 2+1<<16)
	for {
		n, err := back.Read(buf[2:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			r.send(down, f.id, buf[:2+n])
		}
	}
}

func (r *Relay) done() bool {
	select {
	case <-r.quit:
		return true
	default:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.closed
	}
}

func (r *Relay) flowOf(client netip.AddrPort) *flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flows[client]; f != nil {
		return f
	}
	if r.closed || !r.target.IsValid() || len(r.byID) >= maxFlows {
		return nil
	}
	back, err := r.dial()
	if err != nil {
		return nil
	}
	f := &flow{id: len(r.byID), client: client, back: back}
	r.flows[client] = f
	r.byID = append(r.byID, f)
	r.tasks.Go(func() { r.readBack(f, back) })
	return f
}

func (r *Relay) send(d direction, id int, b []byte) {
	b[0], b[1] = byte(id>>8), byte(id)
	r.mu.Lock()
	if r.net.Len() < maxUnderWay {
		// The model sees the payload without our two bytes.
		r.links[d].SendSized(r.clock.Now(), b, len(b)-2)
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// deliver sends what is due and sleeps until the next is.
func (r *Relay) deliver() {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		t.Reset(r.flush())
		select {
		case <-t.C:
		case <-r.wake:
		case <-r.quit:
			return
		}
	}
}

// flush returns how long until the next packet.
func (r *Relay) flush() time.Duration {
	type out struct {
		f    *flow
		back *net.UDPConn
		b    []byte
	}
	var due []out
	r.mu.Lock()
	now := r.clock.Now()
	r.net.Deliver(now, func(d direction, b []byte) {
		o := out{f: r.byID[int(b[0])<<8|int(b[1])], b: b[2:]}
		if d == up {
			o.back = o.f.back
		}
		due = append(due, o)
	})
	wait := time.Hour
	if next := r.net.Next(); !next.IsZero() {
		wait = max(0, next.Sub(now))
	}
	r.mu.Unlock()
	for _, o := range due {
		if o.back != nil {
			_, _ = o.back.Write(o.b)
		} else {
			_, _ = r.front.WriteToUDPAddrPort(o.b, o.f.client)
		}
	}
	return wait
}
