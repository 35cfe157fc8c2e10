package link

import (
	"parley/internal/base/ring"
	"parley/internal/transport/ice"
	"parley/internal/transport/srtp"
)

// Drop is why a link did not look further at a datagram.
type Drop uint8

// The reasons.
const (
	DropOver        Drop = iota // the link is failed or closed
	DropUnvalidated             // DTLS or media from a path without an authenticated check
	DropNoKeys                  // media before the handshake was done
	DropHeld                    // a check from an address that another live link holds
	DropCount                   // how many reasons there are
)

var dropNames = [DropCount]string{"link-over", "unvalidated-path", "no-keys", "address-held"}

// String returns a metric label.
func (d Drop) String() string {
	if d < DropCount {
		return dropNames[d]
	}
	return "invalid"
}

// Shared is what the links of a shard have in common: counters, and memory for
// a reply under way. It belongs to the shard's goroutine.
type Shared struct {
	Counters
	scratch [512]byte
	body    [ring.Size + 256]byte
}

// Counters counts what happened to the links of a shard.
type Counters struct {
	Dropped          [DropCount]uint64
	STUN             [ice.DropCount]uint64 // index 0: checks answered
	SRTP             [srtp.DropCount]uint64
	Handshakes       uint64
	HandshakesFailed uint64
	JoinTimeouts     uint64
	PathChanges      uint64
}
