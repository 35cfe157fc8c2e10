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

// largest is the largest datagram a peer takes.
const largest = 2048

// conn carries datagrams to and from the server. One reader, any writers.
type conn interface {
	// read waits for datagrams and hands what has come to f, one by one; a passed
	// deadline or a wake is a time-out. b is valid until f returns; lay is how long
	// it waited for us in the socket, 0 if unknown.
	read(deadline time.Time, f func(b []byte, lay time.Duration)) error
	write(b []byte) error
	// wake interrupts the present or the next read.
	wake()
	local() netip.AddrPort
	Close() error
}

// bell is the doorbell of a reader parked in a socket: the waker leaves its
// mark and then moves the deadline, the reader sets its deadline and then looks
// for the mark, so one of them sees the other.
type bell struct {
	rung atomic.Bool
	last time.Time // deadline that is set, if known; the reader's
	set  bool
}

func (b *bell) ring(c net.Conn) {
	b.rung.Store(true)
	_ = c.SetReadDeadline(time.Unix(1, 0)) // fails only when closed
}

// arm sets the deadline, unless it stands already; false when somebody rang.
func (b *bell) arm(c net.Conn, deadline time.Time) (ok bool, err error) {
	if !b.set || !b.last.Equal(deadline) {
		err = c.SetReadDeadline(deadline)
		b.last, b.set = deadline, err == nil
	}
	if b.rung.Swap(false) {
		b.set = false
		return false, err
	}
	return true, err
}

// over is told of a time-out: a bell may have moved the deadline meanwhile.
func (b *bell) over() { b.set = false }

// receiveBuffer lets a peer that is held up by its neighbours for a second lose
// nothing that it would then blame on the server.
const receiveBuffer = 1 << 20

type udpConn struct {
	*net.UDPConn
	bell bell
	in   batch
}

func dialUDP(bind netip.Addr, server netip.AddrPort, age bool) (conn, error) {
	var from *net.UDPAddr
	if bind.IsValid() {
		from = net.UDPAddrFromAddrPort(netip.AddrPortFrom(bind, 0))
	}
	u, err := net.DialUDP("udp", from, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return nil, err
	}
	_ = u.SetReadBuffer(receiveBuffer) // a wish
	c := &udpConn{UDPConn: u}
	if err := c.in.init(u, age); err != nil {
		_ = u.Close()
		return nil, err
	}
	return c, nil
}

func (c *udpConn) read(deadline time.Time, f func([]byte, time.Duration)) error {
	if ok, err := c.bell.arm(c, deadline); err != nil {
		return err
	} else if !ok {
		return os.ErrDeadlineExceeded
	}
	err := c.in.read(f)
	if err != nil {
		c.bell.over()
	}
	return err
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

func (c *tcpConn) read(deadline time.Time, f func([]byte, time.Duration)) error {
	for {
		done := 0
		for len(c.in)-done >= 2 {
			n := 2 + int(binary.BigEndian.Uint16(c.in[done:]))
			if n > 2+largest {
				return io.ErrShortBuffer
			}
			if len(c.in)-done < n {
				break
			}
			f(c.in[done+2:done+n], 0)
			done += n
		}
		if c.in = c.in[:copy(c.in, c.in[done:])]; done > 0 {
			return nil
		}
		if ok, err := c.bell.arm(c, deadline); err != nil {
			return err
		} else if !ok {
			return os.ErrDeadlineExceeded
		}
		l := len(c.in)
		c.in = append(c.in, make([]byte, 2048)...)
		n, err := c.Read(c.in[l:])
		c.in = c.in[:l+n]
		if err != nil {
			c.bell.over()
			return err
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
