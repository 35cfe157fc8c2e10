//go:build linux && (amd64 || arm64)

package wire

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"parley/internal/transport/udp"
)

// together is how many datagrams one call takes: a video frame's packets.
const together = 8

// stampSize is CMSG_SPACE of a struct timespec.
const stampSize = unix.SizeofCmsghdr + 16

// header is struct mmsghdr of recvmmsg(2) on 64-bit systems.
type header struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// batch reads what has come with one raw call on a non-blocking descriptor: the
// receivers of a measurement must not be what is measured, and the runtime's
// own wrapper costs a wake-up of its monitor thread whenever all were idle.
type batch struct {
	raw  syscall.RawConn
	hdrs [together]header
	iovs [together]unix.Iovec
	mem  *[together][largest]byte
	ctl  [together][stampSize]byte
	n    int
	err  syscall.Errno
	age  bool                  // ask the kernel when a datagram came
	fn   func(fd uintptr) bool // made once: a new closure would be garbage
}

func (b *batch) init(c *net.UDPConn, age bool) (err error) {
	b.mem = new([together][largest]byte)
	for i := range b.hdrs {
		b.iovs[i].Base = &b.mem[i][0]
		b.iovs[i].SetLen(largest)
		b.hdrs[i].hdr.Iov = &b.iovs[i]
		b.hdrs[i].hdr.SetIovlen(1)
	}
	b.fn = b.try
	if b.raw, err = c.SyscallConn(); err != nil || !age {
		return err
	}
	b.age = true
	e := b.raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	return errors.Join(e, err)
}

func (b *batch) try(fd uintptr) bool {
	if b.age {
		for i := range b.hdrs {
			b.hdrs[i].hdr.Control = &b.ctl[i][0]
			b.hdrs[i].hdr.SetControllen(stampSize)
		}
	}
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.hdrs[0])), together, unix.MSG_DONTWAIT, 0, 0)
		if e == unix.EINTR {
			continue
		}
		b.n, b.err = 0, e
		if e == 0 {
			b.n = int(n)
		}
		return e != unix.EAGAIN
	}
}

// read waits for datagrams and hands them on, with how long each lay in the
// socket, 0 if that is unknown.
func (b *batch) read(f func([]byte, time.Duration)) error {
	if err := b.raw.Read(b.fn); err != nil {
		return err
	}
	if b.err != 0 {
		return os.NewSyscallError("recvmmsg", b.err)
	}
	var now int64
	if b.age {
		now = time.Now().UnixNano()
	}
	for i := range b.n {
		f(b.mem[i][:b.hdrs[i].n], b.lay(i, now))
	}
	return nil
}

// lay is how long before now message i came.
func (b *batch) lay(i int, now int64) time.Duration {
	if !b.age {
		return 0
	}
	stamp := udp.Controls(b.ctl[i][:min(int(b.hdrs[i].hdr.Controllen), stampSize)]).Stamp
	if stamp == 0 {
		return 0
	}
	return time.Duration(max(now-stamp, 0))
}
