package demux

// Kind is what a datagram is by its first bytes.
type Kind uint8

// The kinds. Drop carries a reason beside it.
const (
	Drop Kind = iota
	STUN
	DTLS
	RTP  // SRTP; also its header may lie, the receiver checks
	RTCP // SRTCP
	kindCount
)

var kindNames = [kindCount]string{"drop", "stun", "dtls", "rtp", "rtcp"}

// String returns a metric label.
func (k Kind) String() string {
	if k < kindCount {
		return kindNames[k]
	}
	return "invalid"
}

// Reason is why a datagram was dropped; one counter each.
type Reason uint8

// The reasons.
const (
	ReasonNone    Reason = iota
	TooBig               // over MaxSize
	TooSmall             // less than the smallest whole message of its kind
	Gap                  // first byte in a gap of RFC 7983 or a protocol not spoken here
	UnknownSource        // well-formed, but from an address that no link owns
	UnknownUfrag         // a check for no link of ours
	ReasonCount          // how many reasons there are
)

var reasonNames = [ReasonCount]string{"none", "too-big", "too-small", "gap", "unknown-source", "unknown-ufrag"}

// String returns a metric label.
func (r Reason) String() string {
	if r < ReasonCount {
		return reasonNames[r]
	}
	return "invalid"
}

// Size caps. A media packet is at most one Ethernet payload; nothing we speak
// on this port is larger, and a larger one would not fit the packet buffers.
const (
	MaxSize = 1500
	minSTUN = 20         // header (RFC 8489, section 5)
	minDTLS = 13         // record header (RFC 6347, section 4.1)
	minRTP  = 12 + 10    // header and the shortest tag we speak (RFC 3711, section 5.2)
	minRTCP = 8 + 4 + 10 // header, SSRC, index, tag (RFC 3711, section 3.4)
)

// classes maps the first byte to a kind (RFC 7983, section 7). ZRTP (16..19),
// TURN channels (64..79), QUIC (RFC 9443) and the gaps stay Drop: this port
// does not speak them.
var classes = func() (t [256]Kind) {
	for b := range t {
		switch {
		case b <= 3:
			t[b] = STUN
		case b >= 20 && b <= 63:
			t[b] = DTLS
		case b >= 128 && b <= 191:
			t[b] = RTP
		}
	}
	return t
}()

var minimum = [kindCount]int{STUN: minSTUN, DTLS: minDTLS, RTP: minRTP, RTCP: minRTCP}

// Classify says what b is. The reason is ReasonNone unless the kind is Drop.
func Classify(b []byte) (Kind, Reason) {
	if len(b) > MaxSize {
		return Drop, TooBig
	}
	if len(b) < minDTLS { // the least of all minima; makes b[1] safe
		return Drop, TooSmall
	}
	k := classes[b[0]]
	if k == Drop {
		return Drop, Gap
	}
	if k == RTP && IsRTCP(b[1]) {
		k = RTCP
	}
	if len(b) < minimum[k] {
		return Drop, TooSmall
	}
	return k, ReasonNone
}

// IsRTCP tells RTCP from RTP by the second byte: packet types 192..223 are RTCP
// (RFC 5761, section 4), which is why RTP payload types 64..95 are not given
// out. The same types without the marker bit (64..95) are neither, and go the
// way of RTP, where no such payload type is known.
func IsRTCP(second byte) bool { return second&0xe0 == 0xc0 }

// Counters counts what came and why it went. The owner reads it between turns.
type Counters struct {
	Kinds   [kindCount]uint64
	Dropped [ReasonCount]uint64
}

// Count notes one classification.
func (c *Counters) Count(k Kind, r Reason) {
	c.Kinds[k]++
	if r != ReasonNone {
		c.Dropped[r]++
	}
}
