package dtls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	piondtls "github.com/pion/dtls/v3"
)

// Keys are the SRTP master keys of one association (RFC 5764, section 4.2).
type Keys struct {
	Profile                                    uint16
	LocalKey, LocalSalt, RemoteKey, RemoteSalt []byte
}

// Config is one association.
type Config struct {
	Identity *Identity
	// Client makes us the active side (a=setup:active).
	Client bool
	// Fingerprints come from the peer's SDP; one of the strongest hash must match.
	Fingerprints []Fingerprint
	// Send takes a datagram, which it may keep. Called from a handshake
	// goroutine or from within HandleDatagram and Close; must not block nor
	// call back into the Conn.
	Send func(datagram []byte)
	// Done is called exactly once: keys, or why there are none.
	Done func(Keys, error)
	// KeepData keeps the DTLS connection for SCTP after the handshake.
	KeepData bool
	// FirstData, with KeepData, is called once, after Done, when application
	// data has arrived: time to start SCTP on Data. It is called from
	// HandleDatagram or from the handshake goroutine.
	FirstData func()
	// PeerClosed, if set, is called once, from HandleDatagram, when the peer
	// says goodbye by an authentic alert after the handshake. The Conn stays as
	// it is until Close.
	PeerClosed func()
	// OnlyCM offers AES_CM_128_HMAC_SHA1_80 alone, as old clients do; for
	// measuring and for tests.
	OnlyCM bool
	// MTU is the largest UDP payload to send; zero: 1200.
	MTU int
}

type state int

const (
	stateWaiting  state = iota // server without ClientHello
	stateQueued                // handed to the pool
	stateRunning               // handshake on a goroutine
	stateOpen                  // finished, connection kept for data
	stateDetached              // finished, connection dropped
	stateClosed
)

// lateFor is how long a lost last flight is repeated after Detach, and
// lateMax how often: a peer's own timers reach 8 s after 4 repeats.
const (
	lateFor = 10 * time.Second
	lateMax = 10
)

// Conn is one DTLS association. Its methods are safe for concurrent use.
type Conn struct {
	cfg  Config
	pool *Pool

	mu       sync.Mutex // guards all below
	state    state
	reported bool
	filter   *filter
	pipe     *pipe
	peer     *piondtls.Conn
	timer    *time.Timer
	cancel   context.CancelCauseFunc
	late     *lateFlight
	farewell []byte
	alerts   *alertKey // nil when the peer has said goodbye
}

// lateFlight answers a peer that did not get our last flight.
type lateFlight struct {
	flight []byte
	until  time.Time
	sent   int
}

func newConn(p *Pool, cfg Config) *Conn {
	if cfg.MTU <= 0 {
		cfg.MTU = 1200
	}
	return &Conn{cfg: cfg, pool: p, filter: &filter{client: cfg.Client}}
}

func (c *Conn) begin() {
	c.mu.Lock()
	c.timer = time.AfterFunc(c.pool.limits.Timeout, func() { c.fail(c.timeoutError()) })
	client := c.cfg.Client
	if client {
		c.becomeQueued()
	}
	c.mu.Unlock()
	if client && !c.pool.submit(c) {
		c.fail(ErrBusy)
	}
}

func (c *Conn) becomeQueued() {
	c.state = stateQueued
	c.pipe = newPipe(c.cfg.Send, c.cfg.Client)
}

// HandleDatagram takes a datagram of the DTLS range (first byte 20 to 63) that
// came over the validated path. It copies what it needs and never blocks.
func (c *Conn) HandleDatagram(b []byte) {
	var out []byte
	var first, submit, gone bool
	c.mu.Lock()
	switch c.state {
	case stateWaiting:
		if d := c.filter.pass(b); c.filter.pinned {
			c.becomeQueued()
			c.pipe.push(d)
			submit = true
		}
	case stateQueued, stateRunning, stateOpen:
		gone = c.goodbye(b)
		first = c.feed(b)
	case stateDetached:
		if gone = c.goodbye(b); !gone {
			out = c.answerLate(b)
		}
	case stateClosed:
	}
	c.mu.Unlock()
	if gone && c.cfg.PeerClosed != nil {
		c.cfg.PeerClosed()
	}
	switch {
	case submit:
		if !c.pool.submit(c) {
			c.retreat()
		}
	case out != nil:
		c.cfg.Send(out)
	case first:
		c.cfg.FirstData()
	}
}

// goodbye reports, once, that the peer has left.
func (c *Conn) goodbye(b []byte) bool {
	if c.alerts == nil || !c.alerts.saysGoodbye(b) {
		return false
	}
	c.alerts = nil
	return true
}

// retreat goes back to waiting when the pool was full: the peer repeats its hello.
func (c *Conn) retreat() {
	c.mu.Lock()
	if c.state == stateQueued {
		c.state, c.pipe = stateWaiting, nil
		c.filter = &filter{dropped: c.filter.dropped}
		c.filter.drop(dropBudget)
	}
	c.mu.Unlock()
}

// feed passes a datagram to pion and reports the first application data.
func (c *Conn) feed(b []byte) (first bool) {
	d := c.filter.pass(b)
	if d == nil {
		return false
	}
	if !c.pipe.push(d) {
		c.filter.drop(dropBudget)
	}
	if c.cfg.FirstData == nil || c.filter.sawData || d[0] != contentData {
		return false
	}
	c.filter.sawData = true
	return c.state == stateOpen // else finish calls it
}

// answerLate returns the last flight when b looks like a repeated client flight.
// The very same records are sent: the peer asks because it never got them, so
// its replay window does not know them.
func (c *Conn) answerLate(b []byte) []byte {
	l := c.late
	if l == nil {
		return nil
	}
	if l.sent >= lateMax || time.Now().After(l.until) {
		c.late = nil
		return nil
	}
	r, _, ok := nextRecord(b)
	if !ok || r.epoch > 1 || r.kind != contentHandshake && r.kind != contentCCS {
		return nil
	}
	if r.epoch == 0 && r.kind == contentHandshake {
		if h, _, _, ok := nextMessage(r.body); !ok || !toServer[h.kind] {
			return nil
		}
	}
	l.sent++
	return l.flight
}

// run is the handshake, on a pool goroutine.
func (c *Conn) run() {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	c.mu.Lock()
	if c.state != stateQueued {
		c.mu.Unlock()
		return
	}
	c.state, c.cancel = stateRunning, cancel
	pipe := c.pipe
	c.mu.Unlock()

	peer, err := c.newPeer(pipe)
	if err != nil {
		c.fail(err)
		return
	}
	if err := peer.HandshakeContext(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		_ = pipe.Close()
		_ = peer.Close()
		c.fail(err)
		return
	}
	keys, err := c.exportKeys(peer)
	if err != nil {
		_ = peer.Close()
		c.fail(err)
		return
	}
	c.finish(peer, keys)
}

// finish keeps or drops the connection, then reports the keys.
func (c *Conn) finish(peer *piondtls.Conn, keys Keys) {
	c.mu.Lock()
	if c.state != stateRunning { // closed or timed out meanwhile
		c.mu.Unlock()
		_ = peer.Close()
		return
	}
	c.timer.Stop()
	c.cancel, c.timer = nil, nil
	c.peer, c.state, c.reported = peer, stateOpen, true
	c.filter.open = true
	c.alerts = c.pipe.peerKey()
	early := c.filter.sawData && c.cfg.KeepData && c.cfg.FirstData != nil
	c.mu.Unlock()
	if !c.cfg.KeepData {
		c.Detach()
	}
	c.cfg.Done(keys, nil)
	if early {
		c.cfg.FirstData()
	}
}

// Detach drops the pion connection without telling the peer, once the
// handshake is over: SRTP needs no more of it. The last flight is kept for ten
// seconds and a close_notify is made for Close. Without KeepData this happens
// by itself before Done.
func (c *Conn) Detach() {
	c.mu.Lock()
	if c.state != stateOpen {
		c.mu.Unlock()
		return
	}
	peer, pipe := c.peer, c.pipe
	c.state, c.peer, c.pipe, c.filter = stateDetached, nil, nil, nil
	c.mu.Unlock()

	pipe.mute()
	_ = peer.Close() // writes its close_notify into the muted pipe
	last, farewell := pipe.tail()

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != stateDetached {
		return
	}
	c.farewell = farewell
	if !c.cfg.Client && last != nil {
		c.late = &lateFlight{flight: last, until: time.Now().Add(lateFor)}
	}
}

// Close ends the association: close_notify to the peer if there are keys,
// Done(ErrClosed) if the handshake was not over. It does not block for long.
func (c *Conn) Close() {
	c.fail(ErrClosed)
}

// fail ends the association and reports err unless something was reported.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.state == stateClosed {
		c.mu.Unlock()
		return
	}
	report := !c.reported
	c.reported = true
	peer, pipe, farewell, cancel := c.peer, c.pipe, c.farewell, c.cancel
	if c.timer != nil {
		c.timer.Stop()
	}
	c.state = stateClosed
	c.peer, c.pipe, c.filter, c.late, c.farewell = nil, nil, nil, nil, nil
	c.alerts, c.cancel, c.timer = nil, nil, nil
	c.mu.Unlock()
	switch {
	case peer != nil:
		_ = peer.Close()
	case farewell != nil:
		c.cfg.Send(farewell)
	case cancel != nil:
		cancel(err)
	case pipe != nil:
		_ = pipe.Close()
	}
	if report {
		c.cfg.Done(Keys{}, err)
	}
}

// Data returns the connection for SCTP, or nil unless KeepData was set and the
// handshake is over. Reads return one record each; Close closes the association.
func (c *Conn) Data() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != stateOpen || !c.cfg.KeepData {
		return nil
	}
	return c.peer
}

// Dropped returns counters of refused records by reason.
func (c *Conn) Dropped() map[string]uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]uint32)
	if c.filter == nil {
		return out
	}
	for r, n := range c.filter.dropped {
		if n > 0 {
			out[dropNames[r]] = n
		}
	}
	return out
}

// timeoutError says what was refused, for the operator who wonders.
func (c *Conn) timeoutError() error {
	var why []string
	for r, n := range c.Dropped() {
		why = append(why, fmt.Sprintf("%d %s", n, r))
	}
	if len(why) == 0 {
		return ErrTimeout
	}
	return fmt.Errorf("%w (dropped %s)", ErrTimeout, strings.Join(why, ", "))
}

// IsTimeout reports whether err is the handshake limit.
func IsTimeout(err error) bool { return errors.Is(err, ErrTimeout) }
