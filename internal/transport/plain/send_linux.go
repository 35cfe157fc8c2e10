package plain

import (
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// writer sends on one socket without ever waiting for room in its buffer: the
// goroutine that sends has other sessions to serve, and late sound is of no use.
// One goroutine at a time.
type writer struct {
	raw syscall.RawConn
	six bool // of family AF_INET6, which takes IPv4 addresses in mapped form
	to4 unix.SockaddrInet4
	to6 unix.SockaddrInet6

	try func(fd uintptr) bool // made once, since a closure for each packet would be garbage
	b   []byte
	to  unix.Sockaddr
	err error
}

func newWriter(c *net.UDPConn) (*writer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	w := wrap(raw)
	var sa unix.Sockaddr
	if cerr := raw.Control(func(fd uintptr) {
		// Package net lets every socket broadcast; a description must not.
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 0)
		sa, err = unix.Getsockname(int(fd))
	}); cerr != nil {
		err = cerr
	}
	_, w.six = sa.(*unix.SockaddrInet6)
	return w, err
}

func wrap(raw syscall.RawConn) *writer {
	w := &writer{raw: raw}
	w.try = func(fd uintptr) bool {
		w.err = unix.Sendto(int(fd), w.b, unix.MSG_DONTWAIT, w.to)
		return true // false would wait
	}
	return w
}

// write sends one packet; [full] of the error tells that there was no room.
func (w *writer) write(b []byte, to netip.AddrPort) error {
	switch a := to.Addr().Unmap(); {
	case w.six:
		w.to6.Port, w.to6.Addr = int(to.Port()), to.Addr().As16()
		return w.send(b, &w.to6)
	case a.Is4():
		w.to4.Port, w.to4.Addr = int(to.Port()), a.As4()
		return w.send(b, &w.to4)
	}
	return syscall.EAFNOSUPPORT
}

func (w *writer) send(b []byte, to unix.Sockaddr) error {
	w.b, w.to = b, to
	err := w.raw.Write(w.try)
	w.b = nil
	if err == nil {
		err = w.err
	}
	return err
}

// full reports whether a packet was dropped for want of room.
func full(err error) bool { return err == syscall.EAGAIN || err == syscall.ENOBUFS }
