package tcp

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// maxFrame caps a received datagram. Media fits 1500; a peer's first SCTP or
// DTLS flight may come larger over TCP. The high byte of the length is then at
// most 5, which is what Split tells frames by.
const maxFrame = 1535

// Config of a [Server].
type Config struct {
	// Deliver takes a frame; b is valid until return. Called from the
	// connection's goroutine, frames of one connection in order.
	Deliver func(conn uint32, from netip.AddrPort, b []byte)
	// Opened, if set, is called before the first Deliver of a connection.
	Opened func(c *Conn)
	// Closed, if set, is called after the last Deliver.
	Closed func(conn uint32)
	Limits Limits
}

// Server accepts ICE-TCP connections from any number of listeners. Safe for
// concurrent use.
type Server struct {
	cfg   Config
	gate  *gate
	next  atomic.Uint32
	tasks sync.WaitGroup

	mu    sync.Mutex // guards conns and ended
	conns map[uint32]*Conn
	ended bool
}

// NewServer makes a server; nothing runs until Serve.
func NewServer(cfg Config) *Server {
	cfg.Limits = cfg.Limits.withDefaults()
	return &Server{
		cfg: cfg, gate: newGate(cfg.Limits.Conns, cfg.Limits.ConnsPerAddress),
		conns: make(map[uint32]*Conn),
	}
}

// Serve accepts from l until it is closed or ctx ends, then ends the
// connections of this server and returns.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	undo := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer undo()
	for {
		c, err := l.Accept()
		if err != nil {
			s.closeAll()
			s.tasks.Wait()
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		s.admit(c)
	}
}

func (s *Server) admit(nc net.Conn) {
	addr := remote(nc)
	if !s.gate.enter(addr) {
		_ = nc.Close()
		return
	}
	from, _ := netip.ParseAddrPort(nc.RemoteAddr().String())
	c := &Conn{
		id: s.next.Add(1), from: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()),
		nc: nc, stall: s.cfg.Limits.WriteStall, wake: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		s.gate.leave(addr)
		_ = nc.Close()
		return
	}
	s.conns[c.id] = c
	s.tasks.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.tasks.Done()
		s.read(c)
		c.Close()
		c.writer.Wait()
		s.gate.leave(addr)
		s.mu.Lock()
		delete(s.conns, c.id)
		s.mu.Unlock()
	}()
}

func (s *Server) closeAll() {
	s.mu.Lock()
	s.ended = true
	var all []*Conn
	for _, c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}

// Conn returns a connection by number, nil if it is gone.
func (s *Server) Conn(id uint32) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[id]
}

// read is the life of one connection.
func (s *Server) read(c *Conn) {
	r := frameReader{src: c.nc}
	_ = c.nc.SetReadDeadline(time.Now().Add(s.cfg.Limits.FirstFrame))
	b, err := r.next()
	if err != nil || !looksLikeSTUN(b) {
		return
	}
	_ = c.nc.SetReadDeadline(time.Time{}) // consent (RFC 7675) ends silent ones
	if s.cfg.Opened != nil {
		s.cfg.Opened(c)
	}
	if s.cfg.Closed != nil {
		defer s.cfg.Closed(c.id)
	}
	for err == nil {
		if len(b) > 0 { // a frame of length 0 is a keep-alive of some stacks
			s.cfg.Deliver(c.id, c.from, b)
		}
		b, err = r.next()
	}
}

// looksLikeSTUN checks the fixed header (RFC 8489, section 5).
func looksLikeSTUN(b []byte) bool {
	return len(b) >= 20 && b[0] < 4 && binary.BigEndian.Uint32(b[4:]) == 0x2112A442 &&
		int(binary.BigEndian.Uint16(b[2:]))+20 == len(b)
}
