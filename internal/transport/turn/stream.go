package turn

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

type counter = atomic.Uint64

var errFrame = errors.New("turn: neither STUN nor channel data")

// tlsByte is the first byte of a TLS handshake record (RFC 8446, section 5.1).
const tlsByte = 0x16

// frameLen is the length of the frame that a stream's next bytes begin, with its
// padding (RFC 8656, sections 3.1 and 12.5); 0: more bytes are needed to tell.
func frameLen(b []byte) (int, error) {
	if len(b) < 4 {
		return 0, nil
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case b[0]&0xC0 == 0:
		if n%4 != 0 {
			return 0, errFrame
		}
		n += headerLen
	case b[0] >= 0x40 && b[0] < 0x50: // channel numbers of RFC 8656, section 12
		n = 4 + (n+3)&^3
	default:
		return 0, errFrame
	}
	if n > maxFrame {
		return 0, errFrame
	}
	return n, nil
}

// listener gives pion connections whose every Read is one frame that the guard has
// let through, TLS or not.
type listener struct {
	net.Listener
	guard *guard
	tls   *tls.Config

	mu   sync.Mutex
	open map[*conn]netip.Addr
	by   map[netip.Addr]int
}

func newListener(l net.Listener, g *guard, c *Config) *listener {
	return &listener{Listener: l, guard: g, tls: c.TLS, open: map[*conn]netip.Addr{}, by: map[netip.Addr]int{}}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if one := l.add(c); one != nil {
			return one, nil
		}
		_ = c.Close() // too many
	}
}

func (l *listener) add(c net.Conn) *conn {
	ap, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return nil
	}
	a := plain(ap.Addr())
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= maxConns || l.by[a] >= maxConnsPerAddr {
		return nil
	}
	one := &conn{Conn: c, of: l}
	l.open[one] = a
	l.by[a]++
	return one
}

func (l *listener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, known := l.open[c]
	if !known {
		return
	}
	delete(l.open, c)
	if l.by[a]--; l.by[a] == 0 {
		delete(l.by, a)
	}
}

// loggedIn notes that a client has an allocation: it may be quiet for longer.
func (l *listener) loggedIn(from net.Addr) {
	if from.Network() != "tcp" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if c.RemoteAddr().String() == from.String() {
			c.known.Store(true)
		}
	}
}

// Close ends the listener and every connection of it.
func (l *listener) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	all := make([]*conn, 0, len(l.open))
	for c := range l.open {
		all = append(all, c)
	}
	l.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
	return err
}

// conn is one client's connection.
type conn struct {
	net.Conn
	of    *listener
	known atomic.Bool
	began bool
	login time.Time // until when there has to be an allocation
	inner net.Conn  // TLS, or the connection itself
	buf   []byte
	wmu   sync.Mutex
}

// Read returns one whole frame; b has room for the longest.
func (c *conn) Read(b []byte) (int, error) {
	if !c.began {
		if err := c.begin(); err != nil {
			return 0, err
		}
	}
	for {
		n, err := c.frame(b)
		if err != nil {
			return 0, err
		}
		v, code := c.of.guard.judge(b[:n], netip.Addr{}, time.Time{})
		switch v {
		case pass:
			return n, nil
		case refuse:
			if _, err := c.Write(answer(b[:n], code)); err != nil {
				return 0, err
			}
		case drop:
		}
	}
}

// begin finds out whether the client speaks TLS, by its first byte.
func (c *conn) begin() error {
	c.began = true
	c.login = time.Now().Add(loginTime)
	_ = c.Conn.SetDeadline(c.login)
	var first [1]byte
	if _, err := io.ReadFull(c.Conn, first[:]); err != nil {
		return err
	}
	whole := &prefixed{Conn: c.Conn, first: first[:]}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.inner = whole
	if first[0] == tlsByte && c.of.tls != nil {
		c.inner = tls.Server(whole, c.of.tls)
	}
	return nil
}

// prefixed is a connection whose first byte was read.
type prefixed struct {
	net.Conn
	first []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// frame reads one frame into b.
func (c *conn) frame(b []byte) (int, error) {
	until := c.login
	if c.known.Load() {
		until = time.Now().Add(idleTime)
	}
	if err := c.Conn.SetReadDeadline(until); err != nil {
		return 0, err
	}
	for {
		n, err := frameLen(c.buf)
		if err != nil || n > len(b) {
			return 0, errors.Join(errFrame, err)
		}
		if n > 0 && len(c.buf) >= n {
			copy(b, c.buf[:n])
			c.buf = c.buf[:copy(c.buf, c.buf[n:])]
			return n, nil
		}
		var chunk [4096]byte
		got, err := c.inner.Read(chunk[:])
		c.buf = append(c.buf, chunk[:got]...)
		if err != nil {
			return 0, err
		}
	}
}

// Write sends a frame whole; a client that does not read is cut.
func (c *conn) Write(b []byte) (int, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.inner == nil {
		return 0, net.ErrClosed
	}
	_ = c.Conn.SetWriteDeadline(time.Now().Add(writeTime))
	n, err := c.inner.Write(b)
	if err != nil {
		_ = c.Conn.Close()
	}
	return n, err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.of.remove(c)
	return c.Conn.Close()
}
