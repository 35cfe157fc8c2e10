package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// Config tunes a socket; zero fields take the defaults of [DefaultConfig].
type Config struct {
	// Buffer is the wanted SO_RCVBUF and SO_SNDBUF in bytes. A shard at 50,000
	// packets/s fills 4 MiB in about 50 ms; less loses packets when the worker
	// is held up, more only delays what is already late.
	Buffer int
	// Chunk is how many messages one system call moves. A raw system call
	// holds its processor, so more than 32 delays other goroutines.
	Chunk int
	// Patience bounds one Send's wait for a full send buffer; afterwards the
	// rest of that Send is dropped and counted.
	Patience time.Duration
	// ECN asks for the ECN bits of arriving packets.
	ECN bool
	// Stamps asks when packets arrived: a reader that was held up sees many at once.
	// Linux begins to stamp a moment after the first socket that asks; until then a
	// packet bears the time of its reading.
	Stamps bool
	// Aside puts RTCP aside where the system can: see [Socket.Aside].
	Aside bool
	// NoGSO, NoGRO and Plain switch a fast way off, for tests and for systems
	// where it misbehaves. Plain means net.UDPConn, one datagram per call.
	NoGSO, NoGRO, Plain bool
}

// DefaultConfig returns the values of the reference configuration.
func DefaultConfig() Config {
	return Config{Buffer: 4 << 20, Chunk: 32, Patience: 2 * time.Millisecond}
}

func (c *Config) fill() {
	d := DefaultConfig()
	if c.Buffer <= 0 {
		c.Buffer = d.Buffer
	}
	if c.Chunk <= 0 || c.Chunk > d.Chunk {
		c.Chunk = d.Chunk
	}
	if c.Patience <= 0 {
		c.Patience = d.Patience
	}
}

// Info is what the system gave.
type Info struct {
	Local          netip.AddrPort
	Fast           bool // recvmmsg and sendmmsg
	GSO, GRO       bool // GSO is the present state: it falls back after errors
	Aside          bool // RTCP is put aside
	RcvBuf, SndBuf int  // bytes usable, beside Config.Buffer; 0 if unknown
}

// Stats are counters since the start.
type Stats struct {
	RxDatagrams, RxBytes uint64
	RxMessages           uint64 // before GRO splitting
	RxTruncated          uint64 // larger than any buffer: dropped
	RxErrors             uint64 // transient errors of the read call
	TxDatagrams, TxBytes uint64
	TxMessages           uint64 // after GSO joining
	TxBlocked            uint64 // datagrams dropped because the send buffer stayed full
	TxErrors             uint64 // datagrams the system refused
	TxSplit              uint64 // GSO messages sent again one by one
	Wakes                uint64
	KernelDrops          uint64 // datagrams dropped before we read them; 0 where unknown
}

type counters struct {
	rxDatagrams, rxBytes, rxMessages, rxTruncated, rxErrors        atomic.Uint64
	txDatagrams, txBytes, txMessages, txBlocked, txErrors, txSplit atomic.Uint64
	wakes                                                          atomic.Uint64
}

// device is the part that differs between systems.
type device interface {
	newBatch() any
	// wait reads at least one message, or fails with os.ErrDeadlineExceeded.
	wait(*ReadBatch) error
	// poll reads what is there without waiting.
	poll(*ReadBatch) error
	// hasAside tells whether there is anything to be read aside; the other two
	// are called only then.
	hasAside() bool
	newAsideBatch() any
	pollAside(*ReadBatch) error
	send([]Message)
	setReadDeadline(time.Time) error
	info() Info
	kernelDrops() uint64
	close() error
}

// Socket is one UDP socket.
type Socket struct {
	dev device
	cnt counters

	// The doorbell. A waker stores rung and then looks at parked; the reader
	// stores parked and then looks at rung: one of them sees the other.
	rung   atomic.Bool
	parked atomic.Bool
	closed atomic.Bool

	deadline time.Time // last one set, if known
	known    bool
}

// past is any time before now.
var past = time.Unix(1, 0)

// Listen opens a socket. An invalid or unspecified IPv6 address listens on
// both families.
func Listen(addr netip.AddrPort, cfg Config) (*Socket, error) {
	cfg.fill()
	s := &Socket{}
	var err error
	if s.dev, err = open(s, addr, cfg); err != nil {
		return nil, fmt.Errorf("udp: listen %v: %w", addr, err)
	}
	return s, nil
}

func open(s *Socket, addr netip.AddrPort, cfg Config) (device, error) {
	if !cfg.Plain {
		d, err := newFast(&s.cnt, addr, cfg)
		if !errors.Is(err, errors.ErrUnsupported) {
			return d, err
		}
	}
	return newPlain(&s.cnt, addr, cfg)
}

// NewBatch makes the memory for Read.
func (s *Socket) NewBatch() *ReadBatch {
	return &ReadBatch{Items: make([]Datagram, 0, itemsPerBatch), io: s.dev.newBatch()}
}

// itemsPerBatch is how many datagrams one chunk can hold: 32 messages of 64 segments.
const itemsPerBatch = 32 * maxSegments

// Read waits for datagrams until the deadline (zero: for ever) or a Wake and
// fills b.Items; n is their number. Both ends of waiting return 0 and no error.
// The error is os.ErrClosed after Close.
func (s *Socket) Read(b *ReadBatch, deadline time.Time) (n int, err error) {
	b.Items = b.Items[:0]
	s.parked.Store(true)
	if !s.known || !s.deadline.Equal(deadline) {
		if err = s.dev.setReadDeadline(deadline); err != nil {
			s.parked.Store(false)
			return 0, s.readError(err)
		}
		s.deadline, s.known = deadline, true
	}
	if s.rung.Swap(false) {
		s.parked.Store(false)
		s.known = false // polling may move the deadline
		err = s.dev.poll(b)
		return len(b.Items), s.readError(err)
	}
	err = s.dev.wait(b)
	s.parked.Store(false)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// The deadline, or a bell: whoever rang did so after leaving its
		// message, so the bell may be cleared before the caller looks. Poll, so
		// that constant ringing cannot starve reading.
		s.known = false
		s.rung.Store(false)
		err = s.dev.poll(b)
	}
	return len(b.Items), s.readError(err)
}

// Linger sleeps for d with the thread, not watching the socket, and then reads
// what has come meanwhile into b, whose former contents are gone. Unlike a Read
// with a deadline it is woken once, not by the first datagram; a raw sleep also
// holds the goroutine's processor, so d is well below a millisecond. Only the
// reader may call it.
func (s *Socket) Linger(b *ReadBatch, d time.Duration) (n int, err error) {
	b.Items = b.Items[:0]
	nap(d)
	s.known = false // polling may move the deadline
	err = s.dev.poll(b)
	return len(b.Items), s.readError(err)
}

// NewAsideBatch makes the memory for Aside, nil if nothing is put aside.
func (s *Socket) NewAsideBatch() *ReadBatch {
	if !s.dev.hasAside() {
		return nil
	}
	return &ReadBatch{Items: make([]Datagram, 0, itemsPerBatch), io: s.dev.newAsideBatch()}
}

// Aside reads the RTCP that came since it was called last, or a part of it: call
// again while n is not 0. It does not wait, and RTCP ends no Read, so it has to be
// asked as often as RTCP may be late. Only the reader may call it.
func (s *Socket) Aside(b *ReadBatch) (n int, err error) {
	b.Items = b.Items[:0]
	err = s.dev.pollAside(b)
	return len(b.Items), s.readError(err)
}

func (s *Socket) readError(err error) error {
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if s.closed.Load() { // the runtime's own error for this is not exported
		return os.ErrClosed
	}
	return fmt.Errorf("udp: read: %w", err)
}

// Wake makes the present Read return, or the next one not wait. Safe from any
// goroutine; leave the message first, then ring.
func (s *Socket) Wake() {
	if s.rung.Swap(true) {
		return // somebody rang and the reader has not looked yet
	}
	s.cnt.wakes.Add(1)
	if s.parked.Load() {
		_ = s.dev.setReadDeadline(past) // fails only when closed
	}
}

// Send sends all messages, or drops and counts what the system does not take.
// Contents are not kept.
func (s *Socket) Send(msgs []Message) { s.dev.send(msgs) }

// Info returns what the system gave.
func (s *Socket) Info() Info { return s.dev.info() }

// Stats returns the counters.
func (s *Socket) Stats() Stats {
	c := &s.cnt
	return Stats{
		RxDatagrams: c.rxDatagrams.Load(), RxBytes: c.rxBytes.Load(), RxMessages: c.rxMessages.Load(),
		RxTruncated: c.rxTruncated.Load(), RxErrors: c.rxErrors.Load(),
		TxDatagrams: c.txDatagrams.Load(), TxBytes: c.txBytes.Load(), TxMessages: c.txMessages.Load(),
		TxBlocked: c.txBlocked.Load(), TxErrors: c.txErrors.Load(), TxSplit: c.txSplit.Load(),
		Wakes: c.wakes.Load(), KernelDrops: s.dev.kernelDrops(),
	}
}

// Close ends the socket; a waiting Read returns os.ErrClosed.
func (s *Socket) Close() error {
	s.closed.Store(true)
	return s.dev.close()
}
