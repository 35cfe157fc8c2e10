//go:build !linux || !(amd64 || arm64)

package wire

import (
	"net"
	"time"
)

// batch reads one datagram a call where there is no recvmmsg.
type batch struct {
	c   *net.UDPConn
	mem [largest]byte
}

func (b *batch) init(c *net.UDPConn, _ bool) error { b.c = c; return nil }

func (b *batch) read(f func([]byte, time.Duration)) error {
	n, err := b.c.Read(b.mem[:])
	if n > 0 {
		f(b.mem[:n], 0)
	}
	return err
}
