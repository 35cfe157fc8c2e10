//go:build linux && (amd64 || arm64)

package wire

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"parley/internal/base/clock"
	"parley/internal/transport/udp"
)

const (
	loopMessages = 32       // of one recvmmsg
	loopReady    = 64       // descriptors of one epoll_pwait2
	loopControl  = 64       // stamp and UDP_GRO
	groLargest   = 65536    // the largest thing UDP_GRO can build
	loopGrain    = 20 * 1e6 // ns: how often peers are looked at for what is due
	// loopRaw is the longest wait that the runtime is not told of. To be told costs
	// a wake-up of its monitor thread; not to be told holds up garbage collection.
	loopRaw = 2 * time.Millisecond
)

// Loop runs any number of peers on one goroutine with one epoll descriptor of
// its own, so that what a generator itself adds to a delay is small and known:
// datagrams are stamped by the kernel, the runtime's poller is not involved, and
// no goroutine is switched to.
//
// While there is much to do the goroutine waits in raw system calls and keeps its
// P: a process that has other work to do needs one more (GOMAXPROCS). Peers of a
// Loop do not move to another socket ([Peer.Rebind]).
type Loop struct {
	clock interface{ Now() clock.Time }
	ep    int
	gro   bool

	mu    sync.Mutex // guards fresh and over
	fresh []*berth
	over  bool // takes no more peers

	berths []*berth // by the number epoll knows them by; nil: free. The loop's, as is all below
	ready  [loopReady]unix.EpollEvent
	ts     unix.Timespec
	hdrs   [loopMessages]header
	iovs   [loopMessages]unix.Iovec
	ctl    [loopMessages][loopControl]byte
	mem    []byte
	each   int
	packet []byte
}

// berth is one peer of a loop.
type berth struct {
	peer *Peer
	conn *loopConn
	next clock.Time // of its Tick
	done func(error)
}

// NewLoop makes a loop. With gro, the kernel may hand over a run of datagrams as
// one: cheaper here and, over loopback, for the server too, which then does not
// pay for cutting its runs.
func NewLoop(c interface{ Now() clock.Time }, gro bool) (*Loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	l := &Loop{clock: c, ep: ep, gro: gro, each: largest, packet: make([]byte, 0, largest)}
	if gro {
		l.each = groLargest
	}
	l.mem = make([]byte, loopMessages*l.each)
	for i := range l.hdrs {
		l.iovs[i].Base = &l.mem[i*l.each]
		l.iovs[i].SetLen(l.each)
		h := &l.hdrs[i].hdr
		h.Iov = &l.iovs[i]
		h.SetIovlen(1)
		h.Control = &l.ctl[i][0]
		h.SetControllen(loopControl)
	}
	return l, nil
}

// Add has the loop run p, which was dialled with it, and calls done from its
// goroutine when the peer is over.
func (l *Loop) Add(p *Peer, done func(error)) {
	b := &berth{peer: p, conn: p.conn().(*loopConn), done: done}
	l.mu.Lock()
	over := l.over
	if !over {
		l.fresh = append(l.fresh, b)
	}
	l.mu.Unlock()
	if over {
		p.Close()
		_ = b.conn.Close()
		done(ErrClosed)
	}
}

// Run serves peers until ctx ends and closes them. due is called between waits
// and says when it wants to be called again.
func (l *Loop) Run(ctx context.Context, due func(now clock.Time) clock.Time) {
	defer l.end()
	var look clock.Time
	for ctx.Err() == nil {
		now := l.clock.Now()
		if now >= look {
			l.admit()
			l.tick(now)
			look = now.Add(loopGrain)
		}
		next := min(due(now), look)
		n := l.wait(max(next.Sub(l.clock.Now()), 0))
		for i := range l.ready[:n] {
			if b := l.berths[l.ready[i].Fd]; b != nil {
				l.read(b)
			}
		}
	}
}

// wait returns how many descriptors are ready within d.
func (l *Loop) wait(d time.Duration) int {
	l.ts = unix.NsecToTimespec(int64(d))
	var n uintptr
	var e syscall.Errno
	if d <= loopRaw {
		n, _, e = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(l.ep), uintptr(unsafe.Pointer(&l.ready[0])), loopReady,
			uintptr(unsafe.Pointer(&l.ts)), 0, 0)
	} else {
		n, _, e = unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(l.ep), uintptr(unsafe.Pointer(&l.ready[0])), loopReady,
			uintptr(unsafe.Pointer(&l.ts)), 0, 0)
	}
	if e == unix.ENOSYS { // before Linux 5.11: in whole milliseconds
		ms := (d + time.Millisecond - 1) / time.Millisecond
		n, _, e = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.ep), uintptr(unsafe.Pointer(&l.ready[0])), loopReady, uintptr(ms), 0, 0)
	}
	if e != 0 {
		return 0
	}
	return int(n)
}

// admit takes in what was added.
func (l *Loop) admit() {
	l.mu.Lock()
	fresh := l.fresh
	l.fresh = nil
	l.mu.Unlock()
	for _, b := range fresh {
		at := -1
		for i, x := range l.berths {
			if x == nil {
				at = i
				break
			}
		}
		if at < 0 {
			at = len(l.berths)
			l.berths = append(l.berths, nil)
		}
		l.berths[at] = b
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(at)}
		if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, b.conn.fd, &ev); err != nil {
			b.peer.become(Failed, os.NewSyscallError("epoll_ctl", err))
		}
	}
}

// tick does what is due and lets go of peers that are over.
func (l *Loop) tick(now clock.Time) {
	for i, b := range l.berths {
		if b == nil {
			continue
		}
		if now >= b.next {
			b.next = b.peer.tick()
		}
		b.peer.mu.Lock()
		over, err := b.peer.state >= Failed, b.peer.err
		b.peer.mu.Unlock()
		if over {
			l.berths[i] = nil
			_ = b.conn.Close()
			b.done(err)
		}
	}
}

func (l *Loop) end() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.admit()
	for _, b := range l.berths {
		if b != nil {
			b.peer.Close()
		}
	}
	l.tick(l.clock.Now())
	_ = unix.Close(l.ep)
}

// read takes what one socket has, up to loopMessages; epoll tells of the rest.
func (l *Loop) read(b *berth) {
	n, _, e := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(b.conn.fd), uintptr(unsafe.Pointer(&l.hdrs[0])), loopMessages, unix.MSG_DONTWAIT, 0, 0)
	switch e {
	case 0:
	case unix.EAGAIN, unix.EINTR, unix.ECONNREFUSED: // refused: the server may just be starting
		return
	default:
		b.peer.become(Failed, os.NewSyscallError("recvmmsg", e))
		return
	}
	now, wall := l.clock.Now(), time.Now().UnixNano()
	for i := range int(n) {
		h := &l.hdrs[i]
		told := udp.Controls(l.ctl[i][:min(int(h.hdr.Controllen), loopControl)])
		stamp, seg := told.Stamp, told.Segment
		h.hdr.SetControllen(loopControl)
		h.hdr.Flags = 0
		data := l.mem[i*l.each:][:min(int(h.n), l.each)]
		if b.peer.cfg.OnAge != nil && stamp != 0 {
			b.peer.cfg.OnAge(time.Duration(max(wall-stamp, 0)))
		}
		if seg <= 0 {
			seg = max(len(data), 1)
		}
		for len(data) > 0 {
			k := min(seg, len(data))
			b.peer.handle(now, data[:k], l.packet)
			data = data[k:]
		}
	}
}

// loopConn is a socket that the runtime's poller does not know.
type loopConn struct {
	fd int
	at netip.AddrPort

	mu     sync.Mutex // guards all below, and the descriptor against being closed under a writer
	closed bool
	hdrs   [together]header
	iovs   [together]unix.Iovec
}

func (l *Loop) dial(bind netip.Addr, server netip.AddrPort) (conn, error) {
	family := unix.AF_INET
	if server.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	c := &loopConn{fd: fd}
	if err := c.open(bind, server, l.gro); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	for i := range c.hdrs {
		c.hdrs[i].hdr.Iov = &c.iovs[i]
		c.hdrs[i].hdr.SetIovlen(1)
	}
	return c, nil
}

func (c *loopConn) open(bind netip.Addr, server netip.AddrPort, gro bool) error {
	if bind.IsValid() {
		if err := unix.Bind(c.fd, sockaddr(netip.AddrPortFrom(bind, 0))); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer) // a wish, as are the next two
	_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	if gro {
		_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	}
	if err := unix.Connect(c.fd, sockaddr(server)); err != nil {
		return os.NewSyscallError("connect", err)
	}
	sa, err := unix.Getsockname(c.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		c.at = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		c.at = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func (c *loopConn) read(time.Time, func([]byte, time.Duration)) error { return errInLoop }
func (c *loopConn) wake()                                             {}
func (c *loopConn) local() netip.AddrPort                             { return c.at }

func (c *loopConn) write(b []byte) error { return c.writeAll([][]byte{b}) }

// writeAll sends datagrams by one call for up to together of them. A full
// socket buffer loses the rest, as a network would.
func (c *loopConn) writeAll(bs [][]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	for len(bs) > 0 {
		k := min(len(bs), together)
		for i, b := range bs[:k] {
			c.iovs[i].Base = unsafe.SliceData(b)
			c.iovs[i].SetLen(len(b))
		}
		n, _, e := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(c.fd), uintptr(unsafe.Pointer(&c.hdrs[0])), uintptr(k), unix.MSG_DONTWAIT, 0, 0)
		switch e {
		case 0:
			bs = bs[n:]
		case unix.EINTR:
		default:
			return os.NewSyscallError("sendmmsg", syscall.Errno(e))
		}
	}
	return nil
}

func (c *loopConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	return unix.Close(c.fd) // epoll forgets it by itself
}
