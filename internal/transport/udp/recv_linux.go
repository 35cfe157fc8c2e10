//go:build linux && (amd64 || arm64)

package udp

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	controlSize = 96    // room for UDP_GRO and the ECN byte, each 24 bytes with padding, and a timespec with 32
	groSize     = 65536 // the largest thing UDP_GRO can build
)

// fastBatch is the memory of one recvmmsg. With GRO each message may be 64 KiB;
// pages that no packet reaches stay untouched.
type fastBatch struct {
	hdrs  []mmsghdr
	iovs  []unix.Iovec
	names []unix.RawSockaddrInet6 // also large enough for IPv4
	ctl   [][controlSize]byte
	mem   []byte
	each  int
}

func (f *fast) newBatch() any {
	n, each := f.cfg.Chunk, plainSize
	if f.gro {
		each = groSize
	}
	b := &fastBatch{
		hdrs: make([]mmsghdr, n), iovs: make([]unix.Iovec, n), names: make([]unix.RawSockaddrInet6, n),
		ctl: make([][controlSize]byte, n), mem: make([]byte, n*each), each: each,
	}
	for i := range b.hdrs {
		b.iovs[i].Base = &b.mem[i*each]
		b.iovs[i].SetLen(each)
		h := &b.hdrs[i].hdr
		h.Iov = &b.iovs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Control = &b.ctl[i][0]
	}
	b.reset(n)
	return b
}

// reset undoes what the kernel wrote in the first n headers.
func (b *fastBatch) reset(n int) {
	for i := range b.hdrs[:n] {
		h := &b.hdrs[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlSize)
		h.Flags = 0
	}
}

func (f *fast) wait(b *ReadBatch) error {
	f.batch = b.io.(*fastBatch)
	if err := f.raw.Read(f.readWaitFn); err != nil {
		return err
	}
	return f.collect(b)
}

func (f *fast) poll(b *ReadBatch) error {
	f.batch = b.io.(*fastBatch)
	if err := f.raw.Control(f.readOnceFn); err != nil {
		return err
	}
	return f.collect(b)
}

// softErrors is how many errors of earlier sends (ICMP) one read steps over.
const softErrors = 8

func (f *fast) recv(fd uintptr) {
	b := f.batch
	for try := 0; ; try++ {
		n, _, e := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.hdrs[0])),
			uintptr(len(b.hdrs)), unix.MSG_DONTWAIT, 0, 0)
		if e == 0 {
			f.got, f.readErr = int(n), 0
			return
		}
		f.got, f.readErr = 0, e
		if e != unix.EINTR && e != unix.ECONNREFUSED && e != unix.EHOSTUNREACH && e != unix.ENETUNREACH || try == softErrors {
			return
		}
		f.cnt.rxErrors.Add(1)
	}
}

func (f *fast) collect(b *ReadBatch) error {
	fb, n := f.batch, f.got
	f.batch, f.got = nil, 0
	if n == 0 {
		if f.readErr != 0 && f.readErr != unix.EAGAIN {
			// A socket's read can fail for a moment only (out of memory, a
			// filter); the worker goes on and sees the counter.
			f.cnt.rxErrors.Add(1)
		}
		return nil
	}
	var bytes uint64
	for i := range n {
		bytes += f.split(b, fb, i)
	}
	fb.reset(n)
	f.cnt.rxMessages.Add(uint64(n))
	f.cnt.rxDatagrams.Add(uint64(len(b.Items)))
	f.cnt.rxBytes.Add(bytes)
	return nil
}

// split appends the datagrams of message i.
func (f *fast) split(b *ReadBatch, fb *fastBatch, i int) (bytes uint64) {
	h := &fb.hdrs[i]
	if h.hdr.Flags&unix.MSG_TRUNC != 0 {
		f.cnt.rxTruncated.Add(1)
		return 0
	}
	data := fb.mem[i*fb.each : i*fb.each+int(h.n)]
	from := address(&fb.names[i])
	c := Controls(fb.ctl[i][:min(int(h.hdr.Controllen), controlSize)])
	seg := c.Segment
	if seg <= 0 {
		seg = len(data)
	}
	bytes = uint64(len(data))
	for {
		k := min(seg, len(data))
		b.Items = append(b.Items, Datagram{From: from, B: data[:k:k], ECN: c.ECN, Stamp: c.Stamp})
		if data = data[k:]; len(data) == 0 {
			return bytes
		}
	}
}

// Control is what the control messages of a read say; a zero value was not told.
type Control struct {
	Segment int   // bytes of each datagram of a run (UDP_GRO)
	ECN     uint8 // two bits (RFC 3168)
	Stamp   int64 // when the kernel had it, ns since 1970
}

// Controls reads the control messages that the kernel put into c.
func Controls(c []byte) (out Control) {
	const head = unix.SizeofCmsghdr
	for len(c) >= head {
		n := int(binary.NativeEndian.Uint64(c))
		if n < head || n > len(c) {
			return out
		}
		level, typ := binary.NativeEndian.Uint32(c[8:]), binary.NativeEndian.Uint32(c[12:])
		v := c[head:n]
		switch {
		case level == unix.SOL_UDP && typ == unix.UDP_GRO && len(v) >= 4:
			out.Segment = int(binary.NativeEndian.Uint32(v))
		case (level == unix.SOL_IP && typ == unix.IP_TOS || level == unix.SOL_IPV6 && typ == unix.IPV6_TCLASS) && len(v) >= 1:
			out.ECN = v[0] & 3 // little-endian on both systems we build for
		case level == unix.SOL_SOCKET && typ == unix.SCM_TIMESTAMPNS && len(v) >= 16:
			out.Stamp = int64(binary.NativeEndian.Uint64(v))*1e9 + int64(binary.NativeEndian.Uint64(v[8:]))
		}
		c = c[min((n+7)&^7, len(c)):]
	}
	return out
}

func address(sa *unix.RawSockaddrInet6) netip.AddrPort {
	port := (*[2]byte)(unsafe.Pointer(&sa.Port))
	p := uint16(port[0])<<8 | uint16(port[1])
	if sa.Family == unix.AF_INET {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), p)
	}
	ip := netip.AddrFrom16(sa.Addr).Unmap()
	if sa.Scope_id != 0 && ip.IsLinkLocalUnicast() {
		ip = ip.WithZone(strconv.Itoa(int(sa.Scope_id))) // allocates: link-local peers only
	}
	return netip.AddrPortFrom(ip, p)
}

// setAddress writes a destination; ok is false for a family the socket lacks.
func setAddress(sa *unix.RawSockaddrInet6, to netip.AddrPort, v6 bool) (size uint32, ok bool) {
	port := (*[2]byte)(unsafe.Pointer(&sa.Port))
	port[0], port[1] = byte(to.Port()>>8), byte(to.Port())
	ip := to.Addr()
	if v6 {
		sa.Family, sa.Flowinfo, sa.Scope_id = unix.AF_INET6, 0, 0
		if ip.Zone() != "" {
			sa.Scope_id = zoneID(ip.Zone())
		}
		sa.Addr = ip.As16()
		return unix.SizeofSockaddrInet6, true
	}
	if ip = ip.Unmap(); !ip.Is4() {
		return 0, false
	}
	sa.Family = unix.AF_INET
	(*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr = ip.As4()
	return unix.SizeofSockaddrInet4, true
}
