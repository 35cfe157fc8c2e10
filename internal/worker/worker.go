package worker

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/base/ring"
	"parley/internal/media/engine"
	"parley/internal/media/plane"
	"parley/internal/transport/demux"
	"parley/internal/transport/link"
	"parley/internal/transport/udp"
)

// Worker is one shard: a goroutine, a socket, links and an engine. All fields
// but mail and done belong to the goroutine.
type Worker struct {
	id         engine.Shard
	cfg        *Config
	pool       *Pool
	peers      []*Worker // by shard
	sock       *udp.Socket
	addr       netip.AddrPort
	candidates []plane.Candidate // immutable

	mail mailbox
	load load
	done chan struct{} // closed when the goroutine ended

	eng      engine.API
	engNext  clock.Time // when the engine wants a Tick
	armed    clock.Time // the read deadline, zero if none
	armedAt  time.Time  // the same for the socket
	out      engine.Out
	table    *demux.Table
	shared   link.Shared
	legs     []*leg // by LegID
	live     int
	timers   timers
	batch    *udp.ReadBatch
	gathered clock.Time // end of the last wait for the rest of a picture
	aside    rtcpAside
	wall     int64     // ns since 1970 at the turn's beginning, or when it read again
	spare    *ring.Buf // the buffer the next packet is opened into
	tx       outbox
	seal     sealer
	tcp      tcpPaths
	seen     demux.Counters
	count    counts
}

// counts are the worker's own counters.
type counts struct {
	Turns       uint64
	Naps        uint64 // sleeps for the rest of a picture
	RTPOut      uint64
	RTCPOut     uint64
	Padded      uint64 // packets padded to join a GSO run
	Unsendable  uint64 // for a leg without keys or path
	TCPDropped  uint64 // TCP queue full
	DataRefused uint64
	FarTooLarge uint64
	// Of plain RTP: from strangers; dropped because the socket's buffer had no
	// room, or the system refused.
	Foreign, Crowded, Refused uint64
}

func newWorker(p *Pool, id engine.Shard) (*Worker, error) {
	addr := p.cfg.UDP
	if addr.Port() != 0 {
		addr = netip.AddrPortFrom(addr.Addr(), addr.Port()+uint16(id))
	}
	sock, err := udp.Listen(addr, p.cfg.Socket)
	if err != nil {
		return nil, err
	}
	info := sock.Info()
	if want := udp.DefaultConfig().Buffer; p.cfg.Socket.Buffer == 0 && info.RcvBuf > 0 && info.RcvBuf < want {
		p.cfg.Logger.Warn("the kernel gives a smaller UDP buffer than wanted; raise net.core.rmem_max",
			"shard", int(id), "got", info.RcvBuf, "wanted", want)
	}
	w := &Worker{
		id: id, cfg: &p.cfg, pool: p, sock: sock, addr: info.Local, done: make(chan struct{}),
		table: demux.NewTable(demux.Config{}), batch: sock.NewBatch(), tcp: tcpPaths{},
	}
	w.aside.batch = sock.NewAsideBatch()
	w.mail.ring = sock.Wake
	w.tx.init(sock)
	w.candidates = candidates(p.cfg.Advertise, info.Local.Port(), p.cfg.tcpPort())
	w.eng = p.cfg.NewEngine(engine.Config{
		Shard: id, Pool: p.ring, Anchor: p.cfg.Clock.Anchor(), Random32: ids.Random32,
	})
	return w, nil
}

// Run is the shard's loop. It returns when ctx ends, after a goodbye to every
// peer, or when the socket fails.
func (w *Worker) Run(ctx context.Context) error {
	defer close(w.done)
	undo := context.AfterFunc(ctx, w.sock.Wake)
	defer undo()
	var err error
	for ctx.Err() == nil && err == nil {
		var n int
		n, err = w.sock.Read(w.batch, w.wakeAt())
		if err == nil {
			w.turn(n)
		}
	}
	w.stop()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// tickGrain is what deadlines are rounded up to. Timers of the media path are
// in milliseconds; finer ones would only wake the shard more often.
const tickGrain = clock.Time(time.Millisecond)

// wakeAt turns the next deadline of links and engine into a read deadline. One
// that is armed and comes first is left alone, because moving it costs more
// than the empty turn it leads to.
func (w *Worker) wakeAt() time.Time {
	next := clock.Earliest(clock.Earliest(w.timers.next(), w.engNext), w.asideAt())
	if next.IsZero() {
		w.armed = 0
		return time.Time{}
	}
	now := w.cfg.Clock.Now()
	if w.armed > now && w.armed <= next {
		return w.armedAt
	}
	w.armed = (max(next, now+1) + tickGrain - 1) / tickGrain * tickGrain
	w.armedAt = time.Now().Add(w.armed.Sub(now))
	return w.armedAt
}

// turn handles what one read returned and everything that came due meanwhile,
// then sends all of it at once.
func (w *Worker) turn(n int) {
	now := w.cfg.Clock.Now()
	w.wall = time.Now().UnixNano()
	w.count.Turns++
	// Commands first: a peer's first check may already lie in this batch, and the
	// Open that it answers waits in the mailbox.
	w.mailbox(now)
	for i := range w.batch.Items[:n] {
		w.datagram(now, &w.batch.Items[i])
	}
	if n > 0 {
		now = w.gather(now)
	}
	w.readAside(now)
	w.eng.Flush(now, &w.out)
	for {
		id, ok := w.timers.due(now)
		if !ok {
			break
		}
		if l := w.leg(id); l != nil {
			w.tickLeg(now, l)
		}
	}
	w.emit(now)
	// The engine's ticks (reports, NACK, pacing) come last: what arrived goes out first.
	w.engNext = w.eng.Tick(now, &w.out)
	w.emit(now)
}

// mailbox carries out what other goroutines left.
func (w *Worker) mailbox(now clock.Time) {
	w.mail.take(&w.load)
	for i, f := range w.load.frames {
		w.frame(now, f)
		w.load.frames[i] = frame{}
	}
	for i, c := range w.load.cross {
		w.eng.HandleCross(now, c, &w.out)
		w.load.cross[i] = nil
	}
	for i, c := range w.load.cmds {
		c(now)
		w.load.cmds[i] = nil
	}
}

// emit sends what the engine put out, and empties it.
func (w *Worker) emit(now clock.Time) {
	w.sealOut(now)
	for i, c := range w.out.Cross {
		w.out.Cross[i] = nil
		if c.To < 0 || int(c.To) >= len(w.peers) {
			c.Release()
			continue
		}
		w.peers[c.To].mail.postCross(c)
	}
	w.out.Cross = w.out.Cross[:0]
	for i := range w.out.Events {
		w.cfg.Sink.HandleMedia(w.out.Events[i])
		w.out.Events[i] = plane.Event{}
	}
	w.out.Events = w.out.Events[:0]
	w.tx.flush()
}

// sealOut puts what the engine wants sent into the outbox.
func (w *Worker) sealOut(now clock.Time) {
	if len(w.out.Batch.Sends) > 0 {
		w.sendBatch(now, &w.out.Batch)
	}
	w.out.Batch.Reset()
}

// stop says goodbye to every peer and gives everything back.
func (w *Worker) stop() {
	now := w.cfg.Clock.Now()
	w.mailbox(now) // what was asked before the end, the closing of links included
	for _, l := range w.legs {
		if l != nil { // a Worker that was run without its pool
			w.closeLeg(now, l.id, "shutting down")
		}
	}
	w.mail.close(&w.load)
	for _, f := range w.load.frames {
		f.buf.Release()
	}
	for _, c := range w.load.cross {
		c.Release()
	}
	for _, c := range w.load.cmds { // the DTLS goodbyes of just now are among them
		c(now)
	}
	w.out.Cross = w.out.Cross[:0]
	w.emit(now)
	if w.spare != nil {
		w.spare.Release()
		w.spare = nil
	}
}
