package udp

import "net/netip"

// Datagram is one received UDP payload. B lies in the batch's memory and is
// valid until the next Read into that batch.
type Datagram struct {
	From netip.AddrPort // IPv4-mapped addresses are unmapped
	B    []byte
	ECN  uint8 // the two ECN bits; 0 unless Config.ECN
	// Stamp is when the kernel had it, in ns since 1970 by the system's clock; 0
	// unless Config.Stamps and the system tells. The datagrams of a run have one.
	Stamp int64
}

// ReadBatch is the preallocated memory of one Read. Make it with
// [Socket.NewBatch]; it serves that socket only.
type ReadBatch struct {
	Items []Datagram
	io    any // the reader's own memory
}

// Message is one sending: a single datagram (SegSize 0), or a run of datagrams
// to one destination that lie back to back in B, each SegSize bytes but the
// last, which may be shorter.
type Message struct {
	To      netip.AddrPort
	B       []byte
	SegSize int
}
