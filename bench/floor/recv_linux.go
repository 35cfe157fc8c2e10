//go:build linux && (amd64 || arm64)

package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receive binds the sockets, says their ports, and drains until its input ends.
func receive(o options) error {
	if err := pin(o.recvCPU); err != nil {
		return err
	}
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	ports := make([]uint16, 0, o.receivers)
	for range o.receivers {
		fd, port, err := bind(o)
		if err != nil {
			return os.NewSyscallError("bind", err)
		}
		ports = append(ports, port)
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return os.NewSyscallError("epoll_ctl", err)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(ports); err != nil {
		return err
	}
	var total atomic.Int64
	go drain(ep, &total) // ends with the process
	last := int64(0)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		now := settle(&total)
		fmt.Println(now - last)
		last = now
	}
	return nil
}

// settle waits until nothing more arrives.
func settle(total *atomic.Int64) int64 {
	for before := total.Load(); ; {
		time.Sleep(20 * time.Millisecond)
		now := total.Load()
		if now == before {
			return now
		}
		before = now
	}
}

func bind(o options) (fd int, port uint16, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<20) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20)
	}
	if o.gro {
		if err = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1); err != nil {
			return 0, 0, err
		}
	}
	if err = unix.Bind(fd, &unix.SockaddrInet4{Addr: o.addr.As4()}); err != nil {
		return 0, 0, err
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, 0, err
	}
	return fd, uint16(sa.(*unix.SockaddrInet4).Port), nil
}

func drain(ep int, total *atomic.Int64) {
	events := make([]unix.EpollEvent, 64)
	buf := make([]byte, 65536)
	ctl := make([]byte, 64)
	iov := unix.Iovec{Base: &buf[0]}
	iov.SetLen(len(buf))
	hdr := unix.Msghdr{Iov: &iov, Control: &ctl[0]}
	hdr.SetIovlen(1)
	for {
		n, err := unix.EpollWait(ep, events, -1)
		if err != nil && err != unix.EINTR {
			return
		}
		for _, e := range events[:max(n, 0)] {
			for {
				hdr.SetControllen(len(ctl))
				got, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(e.Fd), uintptr(unsafe.Pointer(&hdr)), unix.MSG_DONTWAIT)
				if errno != 0 {
					break
				}
				total.Add(int64(datagrams(int(got), ctl[:hdr.Controllen])))
			}
		}
	}
}

// datagrams is how many a received message holds: GRO tells the segment size.
func datagrams(n int, ctl []byte) int {
	if len(ctl) < unix.SizeofCmsghdr+4 || n == 0 {
		return 1
	}
	seg := int(binary.NativeEndian.Uint32(ctl[unix.SizeofCmsghdr:]))
	if seg <= 0 {
		return 1
	}
	return (n + seg - 1) / seg
}
