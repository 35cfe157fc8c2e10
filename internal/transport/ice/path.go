package ice

import "net/netip"

// Path is where a peer is: an address, and for ICE-TCP the number of the
// connection (0 means UDP). Addresses are held unmapped.
type Path struct {
	Addr netip.AddrPort
	TCP  uint32
}

// Normalize unmaps an IPv4-mapped IPv6 address, so that one peer has one name
// whichever socket family it arrived on.
func (p Path) Normalize() Path {
	if p.Addr.Addr().Is4In6() {
		p.Addr = netip.AddrPortFrom(p.Addr.Addr().Unmap(), p.Addr.Port())
	}
	return p
}

// Creds are one side's ICE user name fragment and password (RFC 8445, section 5.3).
type Creds struct {
	Ufrag string
	Pwd   string
}

// Event says what a call changed; the zero value is "nothing".
type Event struct {
	Flags Flags
	Drop  Drop // why a message was not acted on; DropNone if it was
	Path  Path // the path of the message, or the selected one on Tick
}

// Flags is a set of changes.
type Flags uint8

// The changes.
const (
	Validated    Flags = 1 << iota // Path passed its first authenticated check
	Selected                       // Selected() is another path than before
	Restarted                      // first check with the credentials of Restart: forget the old local ufrag
	Disconnected                   // nothing heard for Config.Disconnected
	Reconnected                    // heard again after Disconnected
	Expired                        // consent is gone (RFC 7675): stop sending, close the link
)

// Has reports whether all of f is set.
func (e Event) Has(f Flags) bool { return e.Flags&f == f }

// Drop is why a STUN message was ignored or refused; one counter each.
type Drop uint8

// The reasons.
const (
	DropNone        Drop = iota
	DropMalformed        // not a well-formed STUN message within our caps
	DropNotRequest       // an indication, another method, or a response to nobody
	DropUsername         // no USERNAME or not for this agent
	DropFingerprint      // FINGERPRINT missing or wrong
	DropIntegrity        // MESSAGE-INTEGRITY missing or wrong
	DropUnknown          // authenticated, but an unknown comprehension-required attribute: 420 sent
	DropRole             // authenticated, but both sides claim the same role: 487 sent
	DropClosed           // consent has expired
	DropRefused          // an authenticated error response (Controller only)
	DropCount            // how many reasons there are
)

var dropNames = [DropCount]string{
	"none", "malformed", "not-request", "username", "fingerprint", "integrity",
	"unknown-attribute", "role-conflict", "closed", "refused",
}

// String returns a metric label.
func (d Drop) String() string {
	if d < DropCount {
		return dropNames[d]
	}
	return "invalid"
}
