package plain

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// burstRead is how many datagrams of one socket are read before the others have
// their turn.
const burstRead = 32

// watcher reads all sockets of a range on one goroutine, which lives while there
// are any: sessions cost no goroutine each.
type watcher struct {
	wg *sync.WaitGroup

	mu    sync.Mutex
	epoll int               // guarded by mu; valid while running
	bell  int               // guarded by mu; an eventfd
	conns map[int32]*socket // guarded by mu; by file descriptor
	alive bool              // guarded by mu
}

// socket is one that is read.
type socket struct {
	raw  syscall.RawConn
	rtcp bool
	h    Handler
}

// watch reads a socket from now on.
func (w *watcher) watch(c *net.UDPConn, rtcp bool, h Handler) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.startLocked(); err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		w.conns[int32(fd)] = &socket{raw, rtcp, h}
		err = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
		if err != nil {
			delete(w.conns, int32(fd))
		}
	})
	if err = errors.Join(err, cerr); err != nil {
		w.ringLocked()
	}
	return err
}

// unwatch ends that, before the socket is closed.
func (w *watcher) unwatch(c *net.UDPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.alive {
		return
	}
	_ = raw.Control(func(fd uintptr) { // fails only when it is closed already
		delete(w.conns, int32(fd))
		_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, int(fd), nil)
	})
	w.ringLocked()
}

// ringLocked wakes the goroutine when there is nothing left to read.
func (w *watcher) ringLocked() {
	if len(w.conns) == 0 {
		_, _ = unix.Write(w.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

func (w *watcher) startLocked() error {
	if w.alive {
		return nil
	}
	var err error
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if w.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		_ = unix.Close(w.epoll)
		return err
	}
	if err = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, w.bell, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(w.bell)}); err != nil {
		_ = unix.Close(w.epoll)
		_ = unix.Close(w.bell)
		return err
	}
	w.conns, w.alive = map[int32]*socket{}, true
	epoll, bell := w.epoll, w.bell
	w.wg.Go(func() { w.run(epoll, bell) })
	return nil
}

// run is the goroutine.
func (w *watcher) run(epoll, bell int) {
	var events [64]unix.EpollEvent
	buf := make([]byte, maxDatagram+1)
	for {
		n, err := unix.EpollWait(epoll, events[:], -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			n = 0 // of our own descriptor: cannot be
		}
		for _, e := range events[:max(0, n)] {
			if int(e.Fd) == bell {
				if w.over(bell) {
					return
				}
				continue
			}
			w.mu.Lock()
			s := w.conns[e.Fd]
			w.mu.Unlock()
			if s != nil {
				s.read(buf)
			}
		}
	}
}

// over ends the goroutine unless somebody came meanwhile.
func (w *watcher) over(bell int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b [8]byte
	_, _ = unix.Read(bell, b[:])
	if len(w.conns) > 0 {
		return false
	}
	w.alive = false
	_ = unix.Close(w.epoll)
	_ = unix.Close(w.bell)
	return true
}

// read takes what has come to one socket.
func (s *socket) read(buf []byte) {
	for range burstRead {
		var n int
		var from unix.Sockaddr
		var err error
		if cerr := s.raw.Read(func(fd uintptr) bool {
			n, from, err = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
			return true // never wait here
		}); cerr != nil || err != nil {
			return
		}
		if a := addrOf(from); a.IsValid() && n <= maxDatagram {
			s.h(s.rtcp, a, buf[:n])
		}
	}
}

func addrOf(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
