//go:build !linux

package plain

import (
	"net"
	"net/netip"
)

// writer sends on one socket; on these systems it may wait for room.
type writer struct{ c *net.UDPConn }

func newWriter(c *net.UDPConn) (*writer, error) { return &writer{c}, nil }

func (w *writer) write(b []byte, to netip.AddrPort) error {
	_, err := w.c.WriteToUDPAddrPort(b, to)
	return err
}

func full(error) bool { return false }
