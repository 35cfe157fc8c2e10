package wire

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"parley/internal/base/clock"
	"parley/internal/transport/dtls"
	"parley/internal/transport/ice"
	"parley/internal/transport/sctp"
	"parley/internal/transport/srtp"
)

// Config is what a peer is made from; Identity, Local, Remote and Server are
// required, and so are Fingerprints.
type Config struct {
	Local, Remote ice.Creds
	Server        netip.AddrPort // a candidate of the server
	TCP           bool           // it is a passive TCP candidate
	Bind          netip.Addr     // local address; invalid: the system chooses
	Identity      *dtls.Identity
	Fingerprints  []dtls.Fingerprint // of the server
	DTLSClient    bool
	Handshakes    *dtls.Pool // shared by many peers; nil: one of its own
	OnlyCM        bool       // offer AES_CM_128_HMAC_SHA1_80 alone
	// CheckInterval is between connectivity checks until one succeeds; 0: 20 ms.
	CheckInterval time.Duration
	// Consent is between checks afterwards; 0: 5 s.
	Consent time.Duration
	Clock   interface{ Now() clock.Time } // nil: the system's
	// Loop runs the peer instead of [Peer.Run], if it goes by UDP; nil: none does.
	Loop *Loop

	// Data asks for data channels: DTLS is kept and SCTP started as the side that
	// speaks first.
	Data *Data

	// OnRTP and OnRTCP take decrypted packets, borrowed until return. They may
	// send from within.
	OnRTP, OnRTCP func(now clock.Time, packet []byte)
	// OnSealed is asked before an RTP packet is opened, which costs more than all
	// else a counting peer does with it; false: it is not opened. nil: all are.
	OnSealed func(now clock.Time, b []byte) (open bool)
	// OnAge is told before each datagram how long that lay in the socket until it
	// was read: what is our own lateness and not the server's. 0 if unknown.
	OnAge func(time.Duration)
	// OnState is told of every change but Closed by Close.
	OnState func(State, error)
}

// Data says what happens to data channels. Callbacks come from the
// association's goroutines; data is valid until return.
type Data struct {
	OnOpen    func(id uint16, label string)
	OnMessage func(id uint16, binary bool, data []byte)
	OnClose   func(id uint16)
}

// State of a peer.
type State uint8

// The states of a peer.
const (
	Checking State = iota
	Handshaking
	Connected
	Failed
	Closed
)

// String returns the state's name.
func (s State) String() string {
	if names := [...]string{"checking", "handshaking", "connected", "failed", "closed"}; int(s) < len(names) {
		return names[s]
	}
	return "invalid"
}

// Errors of a peer.
var (
	ErrNotConnected = errors.New("wire: not connected")
	ErrConsent      = errors.New("wire: the server does not answer any more")
	ErrClosed       = errors.New("wire: closed")
	errInLoop       = errors.New("wire: a loop's peer is read and moved by nobody else")
)

// Stats counts a peer's traffic.
type Stats struct {
	RTPIn, RTCPIn, RTPOut, RTCPOut uint64
	BytesIn, BytesOut              uint64
	Refused                        uint64 // packets that did not authenticate
}

// Peer is one client.
type Peer struct {
	cfg   Config
	ready chan struct{} // closed when connected
	over  chan struct{} // closed when failed or closed

	link atomic.Pointer[box] // the socket

	mu    sync.Mutex // guards all below
	agent *ice.Controller
	dtls  *dtls.Conn
	send  *srtp.Sender
	recv  *srtp.Receiver
	data  *sctp.Association
	path  ice.Path
	state State
	err   error
	stats Stats
	buf   []byte
	queue [][]byte // sealed packets that wait for Flush
	used  int      // of queue
}

// box lets an interface live behind an atomic pointer.
type box struct{ conn }

func (p *Peer) conn() conn { return p.link.Load().conn }

// Dial opens the peer's socket. Nothing runs before [Peer.Run].
func Dial(cfg Config) (*Peer, error) {
	if cfg.Clock == nil {
		cfg.Clock = clock.NewSystem()
	}
	if cfg.Handshakes == nil {
		cfg.Handshakes = dtls.NewPool(dtls.Limits{})
	}
	p := &Peer{cfg: cfg, ready: make(chan struct{}), over: make(chan struct{}), buf: make([]byte, 0, 2048)}
	p.path = ice.Path{Addr: cfg.Server}
	c, err := p.open()
	if err != nil {
		return nil, err
	}
	p.link.Store(&box{c})
	ic := ice.ControllerConfig{
		Local: cfg.Local, Remote: cfg.Remote, Remotes: []ice.Path{p.path},
		Interval: cfg.CheckInterval, Consent: cfg.Consent,
	}
	_, _ = rand.Read(ic.Seed[:])
	p.agent = ice.NewController(cfg.Clock.Now(), ic)
	return p, nil
}

func (p *Peer) open() (conn, error) {
	if p.cfg.TCP {
		return dialTCP(p.cfg.Bind, p.cfg.Server)
	}
	if p.cfg.Loop != nil {
		return p.cfg.Loop.dial(p.cfg.Bind, p.cfg.Server)
	}
	return dialUDP(p.cfg.Bind, p.cfg.Server, p.cfg.OnAge != nil)
}

// Connected is closed once media may flow.
func (p *Peer) Connected() <-chan struct{} { return p.ready }

// Over is closed once the peer failed or was closed; see Err.
func (p *Peer) Over() <-chan struct{} { return p.over }

// Err says why the peer is over.
func (p *Peer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Stats returns the counters.
func (p *Peer) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// LocalAddr returns where the peer sends from.
func (p *Peer) LocalAddr() netip.AddrPort {
	return p.conn().local()
}

// Run reads until the peer is closed or fails, or ctx ends.
func (p *Peer) Run(ctx context.Context) error {
	undo := context.AfterFunc(ctx, p.Close)
	defer undo()
	packet := make([]byte, 0, largest)
	take := func(b []byte, lay time.Duration) {
		if p.cfg.OnAge != nil {
			p.cfg.OnAge(lay)
		}
		p.handle(p.cfg.Clock.Now(), b, packet)
	}
	var armed clock.Time
	var deadline time.Time // as long as the wish stands, so does the socket's deadline
	for {
		next := p.tick()
		p.mu.Lock()
		over, err := p.state >= Failed, p.err
		p.mu.Unlock()
		c := p.conn()
		if over {
			_ = c.Close()
			return err
		}
		if next != armed {
			armed, deadline = next, time.Time{}
			if !next.IsZero() {
				deadline = time.Now().Add(next.Sub(p.cfg.Clock.Now()))
			}
		}
		if err = c.read(deadline, take); err != nil && !isTimeout(err) {
			p.lost(c, err)
		}
	}
}

// lost ends the peer unless the connection was replaced meanwhile; a refused
// UDP port is no reason, since the server may just be starting.
func (p *Peer) lost(c conn, err error) {
	if p.conn() == c && !isRefused(err) {
		p.become(Failed, err)
	}
}

func (p *Peer) tick() clock.Time {
	now := p.cfg.Clock.Now()
	p.mu.Lock()
	if p.state >= Failed {
		p.mu.Unlock()
		return 0
	}
	ev, next := p.agent.Tick(now, func(_ ice.Path, b []byte) { _ = p.conn().write(b) })
	p.mu.Unlock()
	if ev.Has(ice.Expired) {
		p.become(Failed, ErrConsent)
	}
	return next
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// become is the only place that assigns a state.
func (p *Peer) become(s State, err error) {
	p.mu.Lock()
	if p.state >= Failed || s <= p.state {
		p.mu.Unlock()
		return
	}
	p.state, p.err = s, err
	d, assoc := p.dtls, p.data
	if s >= Failed {
		p.send, p.recv, p.dtls, p.data = nil, nil, nil, nil
	}
	p.mu.Unlock()
	switch {
	case s == Connected:
		close(p.ready)
	case s >= Failed:
		if assoc != nil {
			assoc.Close()
		}
		if d != nil {
			d.Close()
		}
		close(p.over)
		p.conn().wake()
	}
	if p.cfg.OnState != nil && s != Closed {
		p.cfg.OnState(s, err)
	}
}

// Close ends the peer with a close_notify.
func (p *Peer) Close() { p.become(Closed, ErrClosed) }

// Vanish ends the peer without a word, as a phone that lost its network.
func (p *Peer) Vanish() {
	p.mu.Lock()
	p.dtls = nil
	p.mu.Unlock()
	p.become(Closed, ErrClosed)
}

// Restart begins an ICE restart with credentials that both sides agreed on.
func (p *Peer) Restart(local, remote ice.Creds) {
	p.mu.Lock()
	p.agent.Restart(p.cfg.Clock.Now(), local, remote, []ice.Path{p.path})
	p.mu.Unlock()
	p.conn().wake()
}

// Rebind moves the peer to a new socket, as a phone that changed its network;
// the server follows at the next check.
func (p *Peer) Rebind() error {
	if p.cfg.Loop != nil && !p.cfg.TCP {
		return errInLoop
	}
	c, err := p.open()
	if err != nil {
		return fmt.Errorf("wire: rebind: %w", err)
	}
	p.mu.Lock()
	old := p.link.Swap(&box{c})
	p.agent.Restart(p.cfg.Clock.Now(), p.cfg.Local, p.cfg.Remote, []ice.Path{p.path})
	p.mu.Unlock()
	return old.Close()
}
