//go:build linux && (amd64 || arm64)

package wire

import (
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// together is how many datagrams one call takes: a video frame's packets.
const together = 8

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
	n    int
	err  syscall.Errno
	fn   func(fd uintptr) bool // made once: a new closure would be garbage
}

func (b *batch) init(c *net.UDPConn) (err error) {
	b.mem = new([together][largest]byte)
	for i := range b.hdrs {
		b.iovs[i].Base = &b.mem[i][0]
		b.iovs[i].SetLen(largest)
		b.hdrs[i].hdr.Iov = &b.iovs[i]
		b.hdrs[i].hdr.SetIovlen(1)
	}
	b.fn = b.try
	b.raw, err = c.SyscallConn()
	return err
}

func (b *batch) try(fd uintptr) bool {
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

// read waits for datagrams and hands them on.
func (b *batch) read(f func([]byte)) error {
	if err := b.raw.Read(b.fn); err != nil {
		return err
	}
	if b.err != 0 {
		return os.NewSyscallError("recvmmsg", b.err)
	}
	for i := range b.n {
		f(b.mem[i][:b.hdrs[i].n])
	}
	return nil
}
