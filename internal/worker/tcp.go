package worker

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ring"
	"parley/internal/media/graph"
	"parley/internal/transport/demux"
	"parley/internal/transport/ice"
	"parley/internal/transport/tcp"
)

// frame is one datagram that came over TCP, on its way to the shard.
type frame struct {
	conn *tcp.Conn
	buf  *ring.Buf
}

// tcpServer takes ICE-TCP connections for all shards; the user fragment of the
// first check says which shard a connection is for.
type tcpServer struct {
	pool *Pool
	srv  *tcp.Server

	mu     sync.Mutex
	routes map[uint32]tcpRoute // guarded by mu; by connection number

	cancel context.CancelFunc
	tasks  sync.WaitGroup
}

type tcpRoute struct {
	conn  *tcp.Conn
	shard *Worker // nil until a check named a link
}

func newTCPServer(p *Pool) *tcpServer {
	s := &tcpServer{pool: p, routes: map[uint32]tcpRoute{}}
	s.srv = tcp.NewServer(tcp.Config{Deliver: s.deliver, Opened: s.opened, Closed: s.closed})
	return s
}

func (s *tcpServer) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for _, l := range s.pool.cfg.TCP {
		s.tasks.Go(func() {
			if err := s.srv.Serve(ctx, l); err != nil {
				s.pool.cfg.Logger.Warn("ICE-TCP listener ended", "err", err)
			}
		})
	}
}

func (s *tcpServer) stop() {
	if s.cancel != nil {
		s.cancel()
	}
	for _, l := range s.pool.cfg.TCP {
		_ = l.Close()
	}
	s.tasks.Wait()
}

func (s *tcpServer) opened(c *tcp.Conn) {
	s.mu.Lock()
	s.routes[c.ID()] = tcpRoute{conn: c}
	s.mu.Unlock()
}

func (s *tcpServer) closed(id uint32) {
	s.mu.Lock()
	r := s.routes[id]
	delete(s.routes, id)
	s.mu.Unlock()
	if w := r.shard; w != nil {
		w.mail.post(func(now clock.Time) { w.tcpGone(now, id, r.conn.RemoteAddr()) })
	}
}

// deliver runs on the connection's goroutine.
func (s *tcpServer) deliver(id uint32, _ netip.AddrPort, b []byte) {
	if len(b) > ring.Size {
		return
	}
	s.mu.Lock()
	r := s.routes[id]
	s.mu.Unlock()
	if r.conn == nil {
		return
	}
	if r.shard == nil {
		if r.shard = s.pool.shardOf(b); r.shard == nil {
			r.conn.Close() // a check for nobody: not a peer of ours
			return
		}
		s.mu.Lock()
		s.routes[id] = r
		s.mu.Unlock()
	}
	buf := s.pool.ring.Get()
	buf.N = copy(buf.B[:], b)
	r.shard.mail.postFrame(frame{r.conn, buf})
}

// shardOf finds whose check this is.
func (p *Pool) shardOf(b []byte) *Worker {
	ufrag, ok := ice.PeekUfrag(b)
	if !ok {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.ufrags[string(ufrag)]
	if e == nil {
		return nil
	}
	return p.shards[e.shard]
}

// tcpPaths is a shard's view: which link a connection was claimed by.
type tcpPaths map[uint32]tcpPath

type tcpPath struct {
	conn *tcp.Conn
	leg  graph.LegID // 0 until claimed
}

// claim gives a connection to the link whose check authenticated on it; a
// connection serves one link for its life.
func (t tcpPaths) claim(id uint32, leg graph.LegID) bool {
	p, ok := t[id]
	if !ok || p.leg != 0 && p.leg != leg {
		return false
	}
	p.leg = leg
	t[id] = p
	return true
}

// frame is datagram for TCP.
func (w *Worker) frame(now clock.Time, f frame) {
	defer f.buf.Release()
	b := f.buf.Bytes()
	id := f.conn.ID()
	p, known := w.tcp[id]
	if !known {
		p.conn = f.conn
		w.tcp[id] = p
	}
	kind, reason := demux.Classify(b)
	var l *leg
	switch kind {
	case demux.Drop:
	case demux.STUN:
		if l = w.byUfrag(b); l == nil {
			reason = demux.UnknownUfrag
		}
	default:
		if l = w.leg(p.leg); l == nil {
			reason = demux.UnknownSource
		}
	}
	w.seen.Count(kind, reason)
	if l != nil {
		w.deliver(now, l, kind, ice.Path{Addr: f.conn.RemoteAddr(), TCP: id}, b, 0, 0)
	}
}

func (w *Worker) tcpGone(now clock.Time, id uint32, from netip.AddrPort) {
	p := w.tcp[id]
	delete(w.tcp, id)
	if l := w.leg(p.leg); l != nil {
		l.Lost(now, ice.Path{Addr: from, TCP: id})
	}
}

// sendTCP queues one datagram on a connection.
func (w *Worker) sendTCP(id uint32, class tcp.Class, b []byte) {
	if p, ok := w.tcp[id]; ok && !p.conn.Send(class, b) {
		w.count.TCPDropped++
	}
}

// noLeg marks a connection whose link is gone: nobody may claim it any more.
const noLeg = ^graph.LegID(0)

// tcpGoodbye is how long a connection outlives its link, so that BYE and
// close_notify get out of its queue; a peer that reads slower hears of the end
// by the connection's.
const tcpGoodbye = 250 * time.Millisecond

// closeTCP ends the connections of a link that is going. Their entries stay for
// the goodbye and leave with tcpGone.
func (w *Worker) closeTCP(leg graph.LegID) {
	for id, p := range w.tcp {
		if p.leg == leg {
			p.leg = noLeg
			w.tcp[id] = p
			time.AfterFunc(tcpGoodbye, p.conn.Close)
		}
	}
}

// tcpPort is what TCP candidates announce; 0 for none.
func (c *Config) tcpPort() uint16 {
	if c.TCPPort != 0 && len(c.TCP) > 0 {
		return c.TCPPort
	}
	for _, l := range c.TCP {
		if a, ok := l.Addr().(*net.TCPAddr); ok {
			return uint16(a.Port)
		}
	}
	return 0
}
