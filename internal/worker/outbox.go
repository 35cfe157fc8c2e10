package worker

import (
	"net/netip"

	"parley/internal/transport/udp"
)

const (
	// txMemory holds the datagrams of one system call: a turn of 32 receivers
	// with eight packets each is 300 KiB. Less means more calls, more cools the
	// processor's cache.
	txMemory = 512 << 10
	// txMessages is one sendmmsg; a raw call holds its processor, so not more.
	txMessages = 32
	// txLargest is the largest single message: one GSO run.
	txLargest = 65507
)

// outbox is the memory in which outgoing datagrams are made. A message is
// reserved, filled in place and committed; nothing is copied again.
type outbox struct {
	sock *udp.Socket
	buf  []byte
	used int
	msgs []udp.Message
}

func (o *outbox) init(sock *udp.Socket) {
	o.sock = sock
	o.buf = make([]byte, txMemory)
	o.msgs = make([]udp.Message, 0, txMessages)
}

// room returns n bytes to be filled and then committed, in whole or in part,
// before the next call. n is at most txLargest.
func (o *outbox) room(n int) []byte {
	if len(o.buf)-o.used < n || len(o.msgs) == txMessages {
		o.flush()
	}
	return o.buf[o.used : o.used+n : o.used+n]
}

// commit makes a message of the first n bytes of the last room.
func (o *outbox) commit(to netip.AddrPort, n, seg int) {
	o.msgs = append(o.msgs, udp.Message{To: to, B: o.buf[o.used : o.used+n], SegSize: seg})
	o.used += n
}

// put copies one datagram in.
func (o *outbox) put(to netip.AddrPort, b []byte) {
	if len(b) > txLargest {
		return
	}
	o.commit(to, copy(o.room(len(b)), b), 0)
}

// flush sends what is committed.
func (o *outbox) flush() {
	if len(o.msgs) > 0 {
		o.sock.Send(o.msgs)
	}
	o.msgs, o.used = o.msgs[:0], 0
}
