//go:build linux && (amd64 || arm64)

package udp

import (
	"net/netip"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// aside is a second socket on the same address, to which the kernel gives the
// RTCP. Nobody waits for it, so that what receivers tell of each other's packets,
// twenty times a second from each, wakes no worker: on a machine that mostly
// sleeps, a waking costs as much as sending ten packets.
type aside struct {
	mu  sync.Mutex // guards fd: a number that was closed may be another file's
	fd  int        // -1: closed
	out *fast      // for recv and collect: it shares the counters
}

// Classic BPF over a UDP payload: 1 (the socket aside) for RTCP as RFC 7983,
// section 7 and RFC 5761, section 4 tell it from all else, 0 (the first) for the
// rest. What is too short to be read is 0 as well.
var rtcpAside = [...]unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 0},
	{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 128, Jf: 5},
	{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 192, Jt: 4},
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 1},
	{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 192, Jf: 2},
	{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 224, Jt: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// openAside sets the second socket up; without it all comes to the first. That
// was bound alone, so that an address somebody has is refused as ever.
func (f *fast) openAside(fd int, local netip.AddrPort) {
	side := &fast{cnt: f.cnt, cfg: f.cfg}
	s, err := unix.Socket(familyOf(f.v6), socketType, 0)
	if err != nil {
		return
	}
	side.v6 = f.v6
	prog := unix.SockFprog{Len: uint16(len(rtcpAside)), Filter: (*unix.SockFilter)(unsafe.Pointer(&rtcpAside[0]))}
	ok := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) == nil &&
		unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) == nil &&
		side.bind(s, local) == nil &&
		// Not before there are two: the first was bound alone and has no group.
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &prog) == nil
	if !ok {
		_ = unix.Close(s)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 0)
		return
	}
	side.cfg.NoGSO, side.cfg.NoGRO, side.cfg.Stamps = true, true, false
	side.probe(s)
	f.aside = &aside{fd: s, out: side}
}

func familyOf(v6 bool) int {
	if v6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

func (f *fast) hasAside() bool { return f.aside != nil }

func (f *fast) newAsideBatch() any { return f.aside.out.newBatch() }

// pollAside reads what lies aside.
func (f *fast) pollAside(b *ReadBatch) error {
	a := f.aside
	a.out.batch = b.io.(*fastBatch)
	a.mu.Lock()
	if a.fd >= 0 {
		a.out.recv(uintptr(a.fd))
	}
	a.mu.Unlock()
	return a.out.collect(b)
}

func (a *aside) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fd >= 0 {
		_ = unix.Close(a.fd)
	}
	a.fd = -1
}

func (a *aside) drops() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return memDropsOf(uintptr(a.fd))
}
