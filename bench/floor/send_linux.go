//go:build linux && (amd64 || arm64)

package main

import (
	"encoding/binary"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sender sends one flush to every receiver.
type sender struct {
	fd      uintptr
	to      []unix.RawSockaddrInet4
	sizes   []int
	buf     []byte
	ctl     [24]byte
	iov     unix.Iovec
	hdr     unix.Msghdr
	blocked int
}

func newSender(o options, ports []uint16) (*sender, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20)
	}
	s := &sender{fd: uintptr(fd), sizes: o.sizes, buf: make([]byte, 65536)}
	for _, p := range ports {
		a := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: o.addr.As4()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&a.Port))[:], p)
		s.to = append(s.to, a)
	}
	// One run a flush: what is shorter than the largest is sent padded.
	seg := slices.Max(o.sizes)
	binary.NativeEndian.PutUint64(s.ctl[:], unix.SizeofCmsghdr+2)
	binary.NativeEndian.PutUint32(s.ctl[8:], unix.SOL_UDP)
	binary.NativeEndian.PutUint32(s.ctl[12:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(s.ctl[16:], uint16(seg))
	s.iov.Base = &s.buf[0]
	s.iov.SetLen((len(o.sizes)-1)*seg + o.sizes[len(o.sizes)-1])
	s.hdr.Iov = &s.iov
	s.hdr.SetIovlen(1)
	s.hdr.Namelen = unix.SizeofSockaddrInet4
	if len(o.sizes) > 1 {
		s.hdr.Control = &s.ctl[0]
		s.hdr.SetControllen(len(s.ctl))
	}
	return s, nil
}

// one sends each datagram with a call of its own.
func (s *sender) one() {
	for i := range s.to {
		for _, n := range s.sizes {
			_, _, e := unix.RawSyscall6(unix.SYS_SENDTO, s.fd, uintptr(unsafe.Pointer(&s.buf[0])), uintptr(n),
				unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&s.to[i])), unix.SizeofSockaddrInet4)
			if e != 0 {
				s.blocked++
			}
		}
	}
}

// gso sends each flush as one message.
func (s *sender) gso() {
	for i := range s.to {
		s.hdr.Name = (*byte)(unsafe.Pointer(&s.to[i]))
		_, _, e := unix.RawSyscall(unix.SYS_SENDMSG, s.fd, uintptr(unsafe.Pointer(&s.hdr)), unix.MSG_DONTWAIT)
		if e != 0 {
			s.blocked += len(s.sizes)
		}
	}
}
