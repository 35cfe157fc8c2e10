// Package ids holds the typed names of the product's objects. Each is an opaque
// random string with a prefix that says its kind; none carries meaning and none
// is a secret. Secrets are of type [Secret], which never prints itself.
package ids

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"strings"
)

type (
	// Conference names one instance of a conference ("conf_…"); its URI is another thing.
	Conference string
	// Session names one signalling relation ("sess_…").
	Session string
	// Participant names one person in one conference ("part_…", RFC 4575 user).
	Participant string
	// Device names one installation of a client ("dev_…", RFC 4575 endpoint). Chosen by the client.
	Device string
	// Connection names one transport association ("conn_…", RTCPeerConnection).
	Connection string
	// MediaSession names one offer/answer history ("ms_…", the o= line's session).
	MediaSession string
	// Stream names one synchronisation group of tracks ("str_…", msid).
	Stream string
	// Track names one published source ("trk_…", MediaStreamTrack).
	Track string
	// Subscription names one track reaching one connection ("sub_…").
	Subscription string
)

var enc = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// random returns 80 random bits as 16 characters.
func random() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return enc.EncodeToString(b[:])
}

// NewConference returns a fresh name; likewise the others.
func NewConference() Conference     { return Conference("conf_" + random()) }
func NewSession() Session           { return Session("sess_" + random()) }
func NewParticipant() Participant   { return Participant("part_" + random()) }
func NewConnection() Connection     { return Connection("conn_" + random()) }
func NewMediaSession() MediaSession { return MediaSession("ms_" + random()) }
func NewStream() Stream             { return Stream("str_" + random()) }
func NewTrack() Track               { return Track("trk_" + random()) }
func NewSubscription() Subscription { return Subscription("sub_" + random()) }

// Random32 returns a random non-zero 32-bit number, for SSRCs and the like.
func Random32() uint32 {
	for {
		var b [4]byte
		_, _ = rand.Read(b[:])
		if v := binary.BigEndian.Uint32(b[:]); v != 0 {
			return v
		}
	}
}

// Secret is a string that formats as "[secret]" everywhere but through Reveal.
type Secret string

// NewSecret returns 160 random bits.
func NewSecret() Secret { return Secret(random() + random()) }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (s Secret) String() string { return "[secret]" }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return "[secret]" }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// ValidName reports whether s may name a conference URI, device or cid coming
// from a client: 1..64 bytes of letters, digits, '-', '_' and '.', not starting
// with a dot.
func ValidName(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '.' {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}) < 0
}
