//go:build linux && (amd64 || arm64)

package udp

import (
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2) on 64-bit systems.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// fast is the device for Linux. The descriptor is wrapped in an os.File rather
// than a net.UDPConn because its raw calls return deadline errors unwrapped,
// without an allocation at each tick of the worker.
//
// All data calls are raw system calls on a non-blocking descriptor: the
// ordinary wrapper wakes the runtime's monitor thread each time an idle process
// gets a packet, which was measured at three times the cost of the packet.
type fast struct {
	file *os.File
	raw  syscall.RawConn
	cnt  *counters
	cfg  Config
	v6   bool
	gso  atomic.Bool
	gro  bool
	inf  Info

	// The callbacks are made once, since a new closure would be an allocation
	// each; their arguments and results are the fields below.
	readOnceFn func(uintptr)
	readWaitFn func(uintptr) bool
	batch      *fastBatch
	got        int
	readErr    syscall.Errno

	tx    sender
	aside *aside // nil: there is none
}

func newFast(cnt *counters, addr netip.AddrPort, cfg Config) (device, error) {
	f := &fast{cnt: cnt, cfg: cfg}
	fd, err := f.socket(addr)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err = f.bind(fd, addr); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	f.probe(fd)
	if cfg.Aside {
		f.openAside(fd, netip.AddrPortFrom(addr.Addr(), f.inf.Local.Port()))
	}
	f.file = os.NewFile(uintptr(fd), "udp")
	if f.raw, err = f.file.SyscallConn(); err != nil {
		_ = f.file.Close()
		return nil, err
	}
	if err = f.file.SetReadDeadline(time.Time{}); err != nil { // not pollable
		_ = f.file.Close()
		return nil, err
	}
	f.readWaitFn = func(fd uintptr) bool { f.recv(fd); return f.got != 0 || f.readErr != unix.EAGAIN }
	f.readOnceFn = func(fd uintptr) { f.recv(fd) }
	f.tx.init(f)
	return f, nil
}

const socketType = unix.SOCK_DGRAM | unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC

func (f *fast) socket(addr netip.AddrPort) (int, error) {
	if network(addr) == "udp4" {
		return unix.Socket(unix.AF_INET, socketType, 0)
	}
	f.v6 = true
	fd, err := unix.Socket(unix.AF_INET6, socketType, 0)
	if err != nil && network(addr) == "udp" { // a host without IPv6
		f.v6 = false
		return unix.Socket(unix.AF_INET, socketType, 0)
	}
	return fd, err
}

func (f *fast) bind(fd int, addr netip.AddrPort) error {
	if !f.v6 {
		sa := &unix.SockaddrInet4{Port: int(addr.Port())}
		if addr.Addr().Unmap().Is4() {
			sa.Addr = addr.Addr().Unmap().As4()
		}
		return unix.Bind(fd, sa)
	}
	only := 1
	if network(addr) == "udp" {
		only = 0
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
		return err
	}
	sa := &unix.SockaddrInet6{Port: int(addr.Port())}
	if addr.Addr().IsValid() {
		sa.Addr = addr.Addr().As16()
		sa.ZoneId = zoneID(addr.Addr().Zone())
	}
	return unix.Bind(fd, sa)
}

func zoneID(zone string) uint32 {
	n, _ := strconv.ParseUint(zone, 10, 32) // names are not resolved: 0
	return uint32(n)
}

// probe asks for what the kernel can do; all of it is a wish.
func (f *fast) probe(fd int) {
	f.inf.Fast = true
	f.inf.RcvBuf = buffer(fd, unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, f.cfg.Buffer)
	f.inf.SndBuf = buffer(fd, unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, f.cfg.Buffer)
	if !f.cfg.NoGSO {
		_, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
		f.gso.Store(err == nil)
	}
	if !f.cfg.NoGRO {
		f.gro = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) == nil
	}
	if f.cfg.Stamps {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}
	if f.cfg.ECN {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
		if f.v6 {
			_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1)
		}
	}
	if sa, err := unix.Getsockname(fd); err == nil {
		switch a := sa.(type) {
		case *unix.SockaddrInet4:
			f.inf.Local = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
		case *unix.SockaddrInet6:
			f.inf.Local = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
		}
	}
}

// buffer sets a socket buffer, by force if the process may, and returns the
// bytes given. The kernel reports twice that, for its own bookkeeping.
func buffer(fd, opt, force, want int) int {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, want) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt, want)
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, opt)
	if err != nil {
		return 0
	}
	return got / 2
}

func (f *fast) setReadDeadline(t time.Time) error { return f.file.SetReadDeadline(t) }

func (f *fast) close() error {
	if f.aside != nil {
		f.aside.close()
	}
	return f.file.Close()
}

func (f *fast) info() Info {
	i := f.inf
	i.GSO, i.GRO, i.Aside = f.gso.Load(), f.gro, f.aside != nil
	return i
}

// memDrops is SK_MEMINFO_DROPS in SO_MEMINFO's answer.
const memDrops = 8

func (f *fast) kernelDrops() (n uint64) {
	_ = f.raw.Control(func(fd uintptr) { n = memDropsOf(fd) })
	if f.aside != nil {
		n += f.aside.drops()
	}
	return n
}

func memDropsOf(fd uintptr) uint64 {
	var info [16]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if e == 0 && size > 4*memDrops {
		return uint64(info[memDrops])
	}
	return 0
}

// nap sleeps without telling the runtime, whose own timers cost more wake-ups
// than a sleep of this length is worth.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}
