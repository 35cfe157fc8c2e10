//go:build !linux

package plain

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

// watcher reads sockets, here on a goroutine each.
type watcher struct{ wg *sync.WaitGroup }

func (w *watcher) watch(c *net.UDPConn, rtcp bool, h Handler) error {
	w.wg.Go(func() { readAll(c, rtcp, h) })
	return nil
}

func (w *watcher) unwatch(*net.UDPConn) {} // closing ends it

func readAll(c *net.UDPConn, rtcp bool, h Handler) {
	b := make([]byte, maxDatagram+1)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n > maxDatagram {
			continue // an ICMP error of one peer, or nothing of ours
		}
		h(rtcp, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), b[:n])
	}
}
