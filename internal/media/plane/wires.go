package plane

import (
	"net/netip"
	"time"

	"parley/internal/base/ids"
)

// Wires opens links that are not WebRTC. Once open they are configured, publish
// and subscribe like any other; implemented by worker beside [Plane].
type Wires interface {
	// OpenInside makes a link that ends in this process: what it is sent goes to
	// far, what is injected counts as received. It has no keys, no ICE and no
	// feedback about congestion, and is ready at once.
	OpenInside(conf ids.Conference, conn ids.Connection, far Inside) (Injector, error)
	// OpenRTP makes a plain RTP session: one m-line of a phone, or a group.
	// Errors: 503 no-ports when the range is used up.
	OpenRTP(OpenRTP) (LocalRTP, error)
	// RetargetRTP changes where a plain session sends, after a re-offer; what was
	// latched is forgotten when the address changed.
	RetargetRTP(conn ids.Connection, remote, remoteRTCP netip.AddrPort) error
}

// Keypad presses keys on plain links; implemented by worker beside [Wires].
type Keypad interface {
	// PressKeys sends keys (0-9 * # A-D !) as telephone events, one after another.
	// Errors: 409 no-telephone-event when the peer does not take them, 429
	// too-many when too many wait.
	PressKeys(conn ids.Connection, keys string, each time.Duration) error
}

// Inside is the far end of a link inside the process.
type Inside interface {
	// HandleInside takes serialised RTP and RTCP in plaintext. Called from shard
	// goroutines: it copies what it keeps and returns at once.
	HandleInside(packets [][]byte)
}

// Injector is how the far end of an inside link sends.
type Injector interface {
	// Inject takes serialised RTP and RTCP in plaintext and copies it. Safe for
	// concurrent use; packets of one call stay in order and in one turn.
	Inject(packets [][]byte)
}

// OpenRTP asks for a plain RTP session over UDP (RFC 3550; profiles AVP, AVPF,
// SAVP, SAVPF with keys from a=crypto, RFC 4568).
type OpenRTP struct {
	Conf   ids.Conference
	Conn   ids.Connection
	Kind   Kind
	Remote netip.AddrPort // from SDP; the group and port for multicast
	RTCP   netip.AddrPort // zero: port+1
	Mux    bool           // RTCP on the RTP port (RFC 5761)
	// Latch lets valid packets from another port of Remote's host move the session
	// there, once; with SRTP only packets that authenticate count, from anywhere
	// (A6). Another host's do without keys only when Remote cannot be reached from
	// here, or with Anywhere.
	Latch, Anywhere bool
	SDES            *SDES // nil: no encryption

	Group *Group // nil: unicast
}

// SDES is keying by a=crypto (RFC 4568), both directions.
type SDES struct {
	Suite         string     // "AES_CM_128_HMAC_SHA1_80" or "AEAD_AES_128_GCM"
	Local, Remote ids.Secret // master key and salt as raw bytes
}

// Group is a multicast session (RFC 7667, section 3.3).
type Group struct {
	TTL       int
	Interface string // name; "" lets the system choose
	// Source makes it source-specific (RFC 5760) with this host as distribution
	// source; receivers send RTCP by unicast to the feedback target.
	Source bool
	// Feedback is "rsi" or "reflection" for Source.
	Feedback string
}

// LocalRTP is what a plain session announces.
type LocalRTP struct {
	RTP, RTCP netip.AddrPort // for a group: where we send from; with Source, RTCP is the feedback target
}

// Formats of plain sessions beside codecs, as [Codec.Name].
const (
	TelephoneEvent = "telephone-event" // RFC 4733
	ComfortNoise   = "CN"              // RFC 3389
)
