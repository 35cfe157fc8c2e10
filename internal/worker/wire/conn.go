package wire

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// conn carries datagrams to and from the server. One reader, any writers.
type conn interface {
	// read returns one datagram; a passed deadline or a wake is a time-out.
	read(b []byte, deadline time.Time) (int, error)
	write(b []byte) error
	// wake interrupts the present or the next read.
	wake()
	local() netip.AddrPort
	Close() error
}

// bell is the doorbell of a reader parked in a socket: the waker leaves its
// mark and then moves the deadline, the reader sets its deadline and then looks
// for the mark, so one of them sees the other.
type bell struct{ rung atomic.Bool }

func (b *bell) ring(c net.Conn) {
	b.rung.Store(true)
	_ = c.SetReadDeadline(time.Unix(1, 0)) // fails only when closed
}

// arm sets the deadline; false when somebody rang.
func (b *bell) arm(c net.Conn, deadline time.Time) (bool, error) {
	err := c.SetReadDeadline(deadline)
	return !b.rung.Swap(false), err
}

type udpConn struct {
	*net.UDPConn
	bell bell
}

func dialUDP(bind netip.Addr, server netip.AddrPort) (conn, error) {
	var from *net.UDPAddr
	if bind.IsValid() {
		from = net.UDPAddrFromAddrPort(netip.AddrPortFrom(bind, 0))
	}
	c, err := net.DialUDP("udp", from, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return nil, err
	}
	return &udpConn{UDPConn: c}, nil
}

func (c *udpConn) read(b []byte, deadline time.Time) (int, error) {
	if ok, err := c.bell.arm(c, deadline); err != nil {
		return 0, err
	} else if !ok {
		return 0, os.ErrDeadlineExceeded
	}
	return c.Read(b)
}

func (c *udpConn) write(b []byte) error { _, err := c.Write(b); return err }
func (c *udpConn) wake()                { c.bell.ring(c) }
func (c *udpConn) local() netip.AddrPort {
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// isRefused tells an ICMP answer to an earlier datagram from an end.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// tcpConn frames datagrams by RFC 4571.
type tcpConn struct {
	net.Conn
	bell bell
	in   []byte // bytes of frames not complete yet; the reader's

	mu  sync.Mutex // guards out, and keeps frames whole
	out []byte
}

// tcpPatience bounds the set-up of a TCP path and each write on it.
const tcpPatience = 10 * time.Second

func dialTCP(bind netip.Addr, server netip.AddrPort) (conn, error) {
	d := net.Dialer{Timeout: tcpPatience}
	if bind.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(bind, 0))
	}
	c, err := d.Dial("tcp", server.String())
	if err != nil {
		return nil, err
	}
	return &tcpConn{Conn: c}, nil
}

func (c *tcpConn) read(b []byte, deadline time.Time) (int, error) {
	for {
		if len(c.in) >= 2 {
			n := int(binary.BigEndian.Uint16(c.in))
			if n > len(b) {
				return 0, io.ErrShortBuffer
			}
			if len(c.in) >= 2+n {
				copy(b, c.in[2:2+n])
				c.in = c.in[:copy(c.in, c.in[2+n:])]
				return n, nil
			}
		}
		if ok, err := c.bell.arm(c, deadline); err != nil {
			return 0, err
		} else if !ok {
			return 0, os.ErrDeadlineExceeded
		}
		l := len(c.in)
		c.in = append(c.in, make([]byte, 2048)...)
		n, err := c.Read(c.in[l:])
		c.in = c.in[:l+n]
		if err != nil {
			return 0, err
		}
	}
}

func (c *tcpConn) write(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(binary.BigEndian.AppendUint16(c.out[:0], uint16(len(b))), b...)
	_ = c.SetWriteDeadline(time.Now().Add(tcpPatience))
	_, err := c.Write(c.out)
	return err
}

func (c *tcpConn) wake() { c.bell.ring(c) }
func (c *tcpConn) local() netip.AddrPort {
	return c.LocalAddr().(*net.TCPAddr).AddrPort()
}
