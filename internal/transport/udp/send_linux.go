//go:build linux && (amd64 || arm64)

package udp

import (
	"encoding/binary"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	sendSlots  = 32
	gsoControl = 24 // CMSG_SPACE of the 16-bit segment size
	// invalidLimit is how many GSO messages in a row the kernel may call
	// invalid before the socket stops making them. One bad path (a small MTU)
	// must not take GSO from everybody.
	invalidLimit = 16
)

// cursor is a place in the messages of one Send.
type cursor struct {
	msg, off int
	split    int // message to be sent one by one, or -1
}

// slot is what one kernel message holds.
type slot struct {
	at   cursor
	n    int // bytes
	segs int
}

// sender is the sending half of fast.
type sender struct {
	f         *fast
	hdrs      [sendSlots]mmsghdr
	iovs      [sendSlots]unix.Iovec
	names     [sendSlots]unix.RawSockaddrInet6
	ctl       [sendSlots][gsoControl]byte
	slots     [sendSlots]slot
	from, to  int // slots still to be sent
	errno     syscall.Errno
	invalid   int
	refused   int  // last message of this Send without a usable destination
	waiting   bool // this Send has begun to wait; its deadline stands
	gaveUp    bool // and has waited in vain
	sendFn    func(uintptr)
	writeWait func(uintptr) bool
}

func (t *sender) init(f *fast) {
	t.f = f
	for i := range t.hdrs {
		h := &t.hdrs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&t.names[i]))
		h.Iov = &t.iovs[i]
		h.SetIovlen(1)
		binary.NativeEndian.PutUint64(t.ctl[i][:], unix.SizeofCmsghdr+2)
		binary.NativeEndian.PutUint32(t.ctl[i][8:], unix.SOL_UDP)
		binary.NativeEndian.PutUint32(t.ctl[i][12:], unix.UDP_SEGMENT)
	}
	t.sendFn = t.try
	t.writeWait = func(fd uintptr) bool { t.try(fd); return t.errno != unix.EAGAIN }
}

func (f *fast) send(msgs []Message) {
	t := &f.tx
	t.waiting, t.gaveUp, t.refused = false, false, -1
	cur := cursor{split: -1}
	for cur.msg < len(msgs) {
		cur = t.fill(msgs, cur)
		for t.from < t.to {
			if f.raw.Control(t.sendFn) != nil {
				return // closed
			}
			if t.errno == 0 {
				continue
			}
			if back, again := t.failed(msgs); again {
				cur = back
				break
			}
		}
	}
	for i := range t.iovs[:] {
		t.iovs[i].Base = nil // let the caller's memory go
	}
}

// fill puts messages from cur on into slots and returns where it stopped.
func (t *sender) fill(msgs []Message, cur cursor) cursor {
	t.from, t.to = 0, 0
	for t.to < len(t.slots) && cur.msg < len(msgs) {
		m := &msgs[cur.msg]
		rest := m.B[cur.off:]
		n := t.take(m, len(rest), cur.msg == cur.split)
		t.set(m, rest[:n], cur)
		if cur.off += n; cur.off >= len(m.B) {
			cur.msg, cur.off = cur.msg+1, 0
		}
	}
	return cur
}

// take is how many bytes of a message the next slot holds.
func (t *sender) take(m *Message, rest int, split bool) int {
	switch {
	case m.SegSize <= 0 || rest <= m.SegSize:
		return rest
	case split || !t.f.gso.Load():
		return m.SegSize
	}
	return min(rest, m.SegSize*max(1, min(maxSegments, maxPayload/m.SegSize)))
}

func (t *sender) set(m *Message, b []byte, at cursor) {
	size, ok := setAddress(&t.names[t.to], m.To, t.f.v6)
	if !ok || !m.To.Addr().IsValid() {
		if at.msg > t.refused { // once a message, however often it is filled in
			t.refused = at.msg
			t.f.cnt.txErrors.Add(uint64(segments(len(m.B), m.SegSize)))
		}
		return
	}
	i := t.to
	t.to++
	h := &t.hdrs[i].hdr
	h.Namelen = size
	t.iovs[i].Base = unsafe.SliceData(b)
	t.iovs[i].SetLen(len(b))
	h.Control, h.Controllen = nil, 0
	segs := segments(len(b), m.SegSize)
	if segs > 1 {
		binary.NativeEndian.PutUint16(t.ctl[i][unix.SizeofCmsghdr:], uint16(m.SegSize))
		h.Control = &t.ctl[i][0]
		h.SetControllen(gsoControl)
	}
	t.slots[i] = slot{at: at, n: len(b), segs: segs}
}

// try sends slots until all are gone or one fails; errno says which.
func (t *sender) try(fd uintptr) {
	for t.from < t.to {
		n, _, e := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&t.hdrs[t.from])),
			uintptr(t.to-t.from), unix.MSG_DONTWAIT, 0, 0)
		if e == unix.EINTR {
			continue
		}
		if e == 0 && n == 0 {
			e = unix.EINVAL // not documented to happen; must not loop
		}
		if t.errno = e; e != 0 {
			return
		}
		t.sent(int(n))
	}
	t.errno = 0
}

func (t *sender) sent(n int) {
	var segs, bytes int
	for _, s := range t.slots[t.from : t.from+n] {
		segs += s.segs
		bytes += s.n
		if s.segs > 1 {
			t.invalid = 0
		}
	}
	t.from += n
	t.f.cnt.txMessages.Add(uint64(n))
	t.f.cnt.txDatagrams.Add(uint64(segs))
	t.f.cnt.txBytes.Add(uint64(bytes))
}

// failed deals with the error of the first slot left. again is true when the
// slots are to be filled anew from back.
func (t *sender) failed(msgs []Message) (back cursor, again bool) {
	s := &t.slots[t.from]
	switch t.errno {
	case unix.EAGAIN:
		if t.waitWritable() {
			return cursor{}, false
		}
		t.f.cnt.txBlocked.Add(t.left(msgs))
		t.from = t.to
		return cursor{msg: len(msgs)}, true
	case unix.EIO, unix.EINVAL, unix.EMSGSIZE, unix.EOPNOTSUPP:
		if s.segs > 1 {
			t.distrust()
			back = s.at
			back.split = s.at.msg
			return back, true
		}
	}
	t.f.cnt.txErrors.Add(uint64(s.segs))
	t.from++
	return cursor{}, false
}

// distrust notes that the kernel refused a GSO message. EIO means the device
// cannot do it at all; the others may be this path only.
func (t *sender) distrust() {
	t.f.cnt.txSplit.Add(1)
	if t.invalid++; t.errno == unix.EIO || t.errno == unix.EOPNOTSUPP || t.invalid >= invalidLimit {
		t.f.gso.Store(false)
	}
}

// waitWritable parks until the send buffer has room. All waits of one Send
// share one deadline, the configured patience after the first began.
func (t *sender) waitWritable() bool {
	if t.gaveUp {
		return false
	}
	if !t.waiting && t.f.file.SetWriteDeadline(time.Now().Add(t.f.cfg.Patience)) != nil {
		return false
	}
	t.waiting = true
	if t.f.raw.Write(t.writeWait) == nil {
		return true
	}
	// One last try: the deadline also passes while a busy machine runs others,
	// and the buffer may have drained meanwhile.
	t.gaveUp = true
	return t.f.raw.Control(t.sendFn) == nil && t.errno != unix.EAGAIN
}

// left counts the datagrams of this Send from the first slot left on.
func (t *sender) left(msgs []Message) (n uint64) {
	at := t.slots[t.from].at
	for i := at.msg; i < len(msgs); i++ {
		size := len(msgs[i].B)
		if i == at.msg {
			size -= at.off
		}
		n += uint64(segments(size, msgs[i].SegSize))
	}
	return n
}
