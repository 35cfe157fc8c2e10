package sctp

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/logging"
	pionsctp "github.com/pion/sctp"
	"golang.org/x/time/rate"
)

// Limits of one association. They bound one peer's memory to about 4 MiB and
// its share of the processor; zero fields take the defaults.
type Limits struct {
	// MaxMessage caps a message each way (a=max-message-size).
	MaxMessage int
	// ReceiveBuffer is the window announced; what a never-ending message can pin.
	ReceiveBuffer int
	// SendBuffer is what may wait for a slow reader before Send refuses.
	SendBuffer int
	// Streams caps open channels; a peer that keeps opening more is cut off.
	Streams int
	// MessageRate per second with MessageBurst; beyond it the peer is cut off.
	MessageRate, MessageBurst int
	// ByteRate per second; beyond it the peer is slowed by its window.
	ByteRate int
}

// DefaultLimits suit chat and small files.
var DefaultLimits = Limits{
	MaxMessage: 64 << 10, ReceiveBuffer: 512 << 10, SendBuffer: 1 << 20,
	Streams: 128, MessageRate: 500, MessageBurst: 1000, ByteRate: 2 << 20,
}

const (
	// mtu leaves room for the DTLS record in 1200 bytes: header 13, nonce 8,
	// tag 16 (CBC suites add up to 52).
	mtu = 1140
	// reassembly caps chunks waiting in one stream; a message of MaxMessage
	// has about 60.
	reassembly = 1024
	// maxLabel caps label and protocol of a DATA_CHANNEL_OPEN.
	maxLabel = 256
	// firstBuffer is a channel's reading buffer until a larger message comes.
	firstBuffer = 2048
	// setupTime bounds the SCTP handshake.
	setupTime = 15 * time.Second
)

// Errors of Send and of OnEnd.
var (
	ErrFull        = errors.New("sctp: send buffer full")
	ErrTooLarge    = errors.New("sctp: message too large")
	ErrNoChannel   = errors.New("sctp: no such channel")
	ErrClosed      = errors.New("sctp: association closed")
	ErrRate        = errors.New("sctp: peer sent too many messages")
	ErrStreams     = errors.New("sctp: peer opened too many channels")
	errLabelTooBig = errors.New("sctp: label too long")
)

// Config is one association.
type Config struct {
	// Conn is the DTLS connection; the association owns it from Start on and
	// closes it at its end.
	Conn net.Conn
	// Server waits for the peer's INIT; else we send ours.
	Server bool
	// Port is the a=sctp-port value. pion uses 5000 whatever is said; other
	// values are refused by Start's OnEnd, so answer with 5000.
	Port int
	// MaxMessage overrides Limits.MaxMessage when not zero.
	MaxMessage int
	Limits     Limits

	// OnOpen tells of a channel, opened by the peer or by Open.
	OnOpen func(id uint16, label string)
	// OnMessage gives a message; data is valid until return.
	OnMessage func(id uint16, binary bool, data []byte)
	// OnClose tells of the end of a channel that was open.
	OnClose func(id uint16)
	// OnEnd, if set, is called once when the association is over.
	OnEnd func(err error)
}

// Association is the data channels of one peer. Safe for concurrent use.
type Association struct {
	cfg      Config
	messages *rate.Limiter
	bytes    *rate.Limiter
	stop     context.CancelFunc
	done     <-chan struct{} // closed when stop was called
	finished chan struct{}   // closed when every goroutine has ended
	workers  sync.WaitGroup

	mu       sync.Mutex // guards all below
	assoc    *pionsctp.Association
	channels map[uint16]*channel
	refused  int
	err      error
}

type channel struct {
	dc *datachannel.DataChannel // nil until the OPEN came
}

// Start begins an association and returns at once.
func Start(cfg Config) *Association {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.MaxMessage > 0 {
		cfg.Limits.MaxMessage = cfg.MaxMessage
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := cfg.Limits
	a := &Association{
		cfg: cfg, stop: cancel, done: ctx.Done(), finished: make(chan struct{}),
		messages: rate.NewLimiter(rate.Limit(l.MessageRate), l.MessageBurst),
		bytes:    rate.NewLimiter(rate.Limit(l.ByteRate), max(l.MaxMessage, l.ByteRate/4)),
		channels: make(map[uint16]*channel),
	}
	go a.run(ctx)
	return a
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits
	for _, f := range []struct{ v, d *int }{
		{&l.MaxMessage, &d.MaxMessage}, {&l.ReceiveBuffer, &d.ReceiveBuffer}, {&l.SendBuffer, &d.SendBuffer},
		{&l.Streams, &d.Streams}, {&l.MessageRate, &d.MessageRate}, {&l.MessageBurst, &d.MessageBurst},
		{&l.ByteRate, &d.ByteRate},
	} {
		if *f.v <= 0 {
			*f.v = *f.d
		}
	}
	return l
}

// run owns the association from handshake to end.
func (a *Association) run(ctx context.Context) {
	defer close(a.finished)
	assoc, err := a.connect(ctx)
	if err == nil {
		err = a.accept(ctx, assoc)
		_ = assoc.Close()
	}
	a.stop()
	_ = a.cfg.Conn.Close()
	a.mu.Lock()
	a.assoc = nil // no Open from here on
	if a.err != nil {
		err = a.err
	}
	a.mu.Unlock()
	a.workers.Wait()
	if a.cfg.OnEnd != nil {
		a.cfg.OnEnd(err)
	}
}

// connect runs the SCTP handshake. pion's server has no context, so the
// connection is closed under it when time or patience ends.
func (a *Association) connect(ctx context.Context) (*pionsctp.Association, error) {
	if a.cfg.Port != 0 && a.cfg.Port != 5000 {
		return nil, errors.New("sctp: only port 5000")
	}
	setup, cancel := context.WithTimeout(ctx, setupTime)
	defer cancel()
	undo := context.AfterFunc(setup, func() { _ = a.cfg.Conn.Close() })
	defer undo()
	l := a.cfg.Limits
	opts := []pionsctp.AssociationOption{
		pionsctp.WithNetConn(a.cfg.Conn), pionsctp.WithLoggerFactory(quiet), pionsctp.WithName("peer"),
		pionsctp.WithMTU(mtu), pionsctp.WithMaxMessageSize(uint32(l.MaxMessage)),
		pionsctp.WithMaxReceiveBufferSize(uint32(l.ReceiveBuffer)),
		pionsctp.WithMaxReassemblyQueueEntries(reassembly),
		// I-DATA would drop a message that the reader's first buffer is too
		// small for; no browser has it on.
		pionsctp.WithEnableInterleaving(false),
	}
	var assoc *pionsctp.Association
	var err error
	if a.cfg.Server {
		assoc, err = pionsctp.ServerWithOptions(serverOptions(opts)...)
	} else {
		assoc, err = pionsctp.ClientContext(setup, clientOptions(opts)...)
	}
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.assoc = assoc
	a.mu.Unlock()
	return assoc, nil
}

func serverOptions(in []pionsctp.AssociationOption) (out []pionsctp.ServerOption) {
	for _, o := range in {
		out = append(out, o)
	}
	return out
}

func clientOptions(in []pionsctp.AssociationOption) (out []pionsctp.ClientOption) {
	for _, o := range in {
		out = append(out, o)
	}
	return out
}

// quiet keeps pion's log, which can hold a peer's bytes, out of ours.
var quiet = &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}

// accept takes new streams until the association ends.
func (a *Association) accept(ctx context.Context, assoc *pionsctp.Association) error {
	undo := context.AfterFunc(ctx, func() { _ = assoc.Close() })
	defer undo()
	for {
		s, err := assoc.AcceptStream()
		if err != nil {
			return err
		}
		s.SetDefaultPayloadType(pionsctp.PayloadTypeWebRTCBinary)
		ch, ok := a.admit(s.StreamIdentifier())
		if !ok {
			return ErrStreams
		}
		if ch == nil {
			_ = s.Close()
			continue
		}
		a.workers.Go(func() { a.serve(ch, s) })
	}
}

// admit reserves a place for a stream: nil when there is none, false when the
// peer has been refused so often that it is cut off (streams that it does not
// reset keep memory in pion).
func (a *Association) admit(id uint16) (*channel, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.channels[id] != nil || len(a.channels) >= a.cfg.Limits.Streams {
		a.refused++
		return nil, a.refused <= a.cfg.Limits.Streams
	}
	ch := &channel{}
	a.channels[id] = ch
	return ch, true
}

func (a *Association) serve(ch *channel, s *pionsctp.Stream) {
	id := s.StreamIdentifier()
	dc, err := datachannel.Server(s, &datachannel.Config{LoggerFactory: quiet})
	if err == nil && len(dc.Label)+len(dc.Protocol) > maxLabel {
		err = errLabelTooBig
	}
	if err != nil {
		_ = s.Close()
		a.forget(id, false)
		return
	}
	a.mu.Lock()
	ch.dc = dc
	a.mu.Unlock()
	a.cfg.OnOpen(id, dc.Label)
	a.read(id, dc)
}

// read delivers one channel's messages until it ends.
func (a *Association) read(id uint16, dc *datachannel.DataChannel) {
	defer a.forget(id, true)
	buf := make([]byte, firstBuffer)
	for {
		n, text, err := dc.ReadDataChannel(buf)
		if errors.Is(err, io.ErrShortBuffer) && len(buf) < a.cfg.Limits.MaxMessage {
			buf = make([]byte, min(len(buf)*4, a.cfg.Limits.MaxMessage))
			continue
		}
		if err != nil {
			_ = dc.Close()
			return
		}
		if !a.messages.Allow() {
			a.end(ErrRate)
			return
		}
		if !a.pace(n) {
			return
		}
		a.cfg.OnMessage(id, !text, buf[:n])
		if len(buf) > firstBuffer && n <= firstBuffer {
			buf = make([]byte, firstBuffer) // do not keep 64 KiB for one large message
		}
	}
}

// pace holds this peer's reader back until its byte rate allows n more; false
// when the association ended meanwhile.
func (a *Association) pace(n int) bool {
	d := a.bytes.ReserveN(time.Now(), n).Delay()
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-a.done:
		return false
	}
}

func (a *Association) forget(id uint16, opened bool) {
	a.mu.Lock()
	delete(a.channels, id)
	a.mu.Unlock()
	if opened {
		a.cfg.OnClose(id)
	}
}

// end closes the association for a reason.
func (a *Association) end(err error) {
	a.mu.Lock()
	if a.err == nil {
		a.err = err
	}
	a.mu.Unlock()
	a.stop()
}

// Open opens a reliable, ordered channel from our side; the DTLS client uses
// even ids, the server odd ones (RFC 8832, section 6).
func (a *Association) Open(id uint16, label string) error {
	a.mu.Lock()
	assoc := a.assoc
	_, taken := a.channels[id]
	full := len(a.channels) >= a.cfg.Limits.Streams
	if assoc == nil || taken || full {
		a.mu.Unlock()
		return ErrNoChannel
	}
	ch := &channel{}
	a.channels[id] = ch
	a.workers.Add(1)
	a.mu.Unlock()
	dc, err := datachannel.Dial(assoc, id, &datachannel.Config{Label: label, LoggerFactory: quiet})
	if err != nil {
		a.workers.Done()
		a.forget(id, false)
		return err
	}
	a.mu.Lock()
	ch.dc = dc
	a.mu.Unlock()
	go func() {
		defer a.workers.Done()
		a.cfg.OnOpen(id, label)
		a.read(id, dc)
	}()
	return nil
}

// Send queues a message; it refuses rather than wait.
func (a *Association) Send(id uint16, binary bool, data []byte) error {
	if len(data) > a.cfg.Limits.MaxMessage {
		return ErrTooLarge
	}
	a.mu.Lock()
	assoc := a.assoc
	var dc *datachannel.DataChannel
	if ch := a.channels[id]; ch != nil {
		dc = ch.dc
	}
	a.mu.Unlock()
	switch {
	case assoc == nil:
		return ErrClosed
	case dc == nil:
		return ErrNoChannel
	case assoc.BufferedAmount()+len(data) > a.cfg.Limits.SendBuffer:
		return ErrFull
	}
	_, err := dc.WriteDataChannel(data, !binary)
	return err
}

// Close ends the association and its connection and returns at once; Wait
// waits for the end.
func (a *Association) Close() { a.end(ErrClosed) }

// Wait returns when every goroutine of the association has ended.
func (a *Association) Wait() { <-a.finished }
