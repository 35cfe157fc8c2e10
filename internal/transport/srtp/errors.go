package srtp

import "errors"

// Errors of making a context and of sealing. They speak of the caller, not of
// the network.
var (
	ErrProfile   = errors.New("srtp: unknown protection profile")
	ErrKeySize   = errors.New("srtp: wrong length of master key or salt")
	ErrMalformed = errors.New("srtp: not an RTP or RTCP header")
	// ErrRepeat refuses to seal a second packet with an index that GCM has
	// used, or that is too old to know: two packets under one nonce give the
	// authentication key away (RFC 7714, section 5.1). Retransmit in an RTX
	// stream (RFC 4588) instead.
	ErrRepeat = errors.New("srtp: packet index used before")
	// ErrExhausted means the key has sealed all it may (RFC 3711, section 9.2).
	ErrExhausted = errors.New("srtp: key exhausted")
	ErrStreams   = errors.New("srtp: too many streams")
)

// Drop is why an arriving packet was not opened; one counter each. It is not an
// error value, because the packet path makes none.
type Drop uint8

// The reasons.
const (
	DropNone      Drop = iota
	DropMalformed      // too short or lengths that do not fit
	DropReplay         // seen before, or older than the window
	DropAuth           // authentication failed: forged or damaged
	DropPlain          // SRTCP without encryption, which we never negotiate
	DropStreams        // authentic, but one SSRC too many
	DropCount          // how many reasons there are
)

var dropNames = [DropCount]string{"none", "malformed", "replay", "auth", "plain", "streams"}

// String returns a metric label.
func (d Drop) String() string {
	if d < DropCount {
		return dropNames[d]
	}
	return "invalid"
}
