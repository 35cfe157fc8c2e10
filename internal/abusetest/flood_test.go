//go:build abuse && linux

package abusetest

import (
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsg is struct mmsghdr of sendmmsg(2) on 64-bit systems.
type mmsg struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// burst is how many datagrams one call takes.
const burst = 64

// flooder sends datagrams from one address at a rate.
type flooder struct {
	*net.UDPConn
	raw  syscall.RawConn
	hdrs [burst]mmsg
	iovs [burst]unix.Iovec
	stop chan struct{}
	done chan struct{}
	sent uint64
}

// flood sends packets, over and over, at pps until end is called.
func flood(t *testing.T, from, to netip.AddrPort, pps int, packets [][]byte) *flooder {
	t.Helper()
	c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadBuffer(4 << 20)
	f := &flooder{UDPConn: c, stop: make(chan struct{}), done: make(chan struct{})}
	if f.raw, err = c.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	for i := range f.hdrs {
		f.hdrs[i].hdr.Iov = &f.iovs[i]
		f.hdrs[i].hdr.SetIovlen(1)
	}
	go f.run(pps, packets)
	t.Cleanup(func() { f.end(); _ = c.Close() })
	return f
}

func (f *flooder) run(pps int, packets [][]byte) {
	defer close(f.done)
	began, next := time.Now(), 0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-tick.C:
		}
		due := uint64(time.Since(began).Seconds() * float64(pps))
		if behind := uint64(pps / 5); due > f.sent+behind { // the machine slept: the rate is the point, not the sum
			began = time.Now().Add(-time.Duration(float64(f.sent) / float64(pps) * float64(time.Second)))
			due = f.sent + uint64(pps/1000)
		}
		for f.sent < due {
			n := int(min(due-f.sent, burst))
			for i := range n {
				b := packets[next%len(packets)]
				f.iovs[i].Base = unsafe.SliceData(b)
				f.iovs[i].SetLen(len(b))
				next++
			}
			f.send(n)
			f.sent += uint64(n)
		}
	}
}

func (f *flooder) send(n int) {
	_ = f.raw.Write(func(fd uintptr) bool {
		_, _, e := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&f.hdrs[0])), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
		return e != unix.EAGAIN
	})
}

// end stops the flood and returns how much was sent and what came back.
func (f *flooder) end() (sent uint64, replies int) {
	select {
	case <-f.stop:
		return f.sent, 0
	default:
	}
	close(f.stop)
	<-f.done
	var b [2048]byte
	for {
		_ = f.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if n, err := f.Read(b[:]); err != nil || n == 0 {
			return f.sent, replies
		}
		replies++
	}
}

// bareReader is what taking the same flood costs at least: recvmmsg and nothing
// else. It returns its share of a core.
func bareReader(t *testing.T, pps int, dur time.Duration, packets [][]byte) float64 {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadBuffer(4 << 20)
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	used := make(chan time.Duration)
	go func() { used <- readAll(raw) }()
	f := flood(t, netip.AddrPort{}, c.LocalAddr().(*net.UDPAddr).AddrPort(), pps, packets)
	time.Sleep(dur)
	sent, _ := f.end()
	_ = c.SetReadDeadline(time.Now())
	share := (<-used).Seconds() / dur.Seconds()
	_ = c.Close()
	t.Logf("bare reader: %d datagrams, %.1f %% of a core", sent, 100*share)
	return share
}

func readAll(raw syscall.RawConn) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var hdrs [burst]mmsg
	var iovs [burst]unix.Iovec
	mem := make([]byte, burst*2048)
	for i := range hdrs {
		iovs[i].Base = &mem[i*2048]
		iovs[i].SetLen(2048)
		hdrs[i].hdr.Iov = &iovs[i]
		hdrs[i].hdr.SetIovlen(1)
	}
	began := threadTime()
	for {
		err := raw.Read(func(fd uintptr) bool {
			_, _, e := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&hdrs[0])), burst, unix.MSG_DONTWAIT, 0, 0)
			return e != unix.EAGAIN
		})
		if err != nil {
			return threadTime() - began
		}
	}
}

func threadTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
