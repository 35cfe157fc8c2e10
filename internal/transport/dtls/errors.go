package dtls

import "errors"

// Reasons a handshake ends without keys; compare with errors.Is.
var (
	// ErrTimeout is the handshake limit passed.
	ErrTimeout = errors.New("dtls: handshake not finished in time")
	// ErrBusy is the pool and its queue being full.
	ErrBusy = errors.New("dtls: too many handshakes")
	// ErrClosed is Close called before the handshake was over.
	ErrClosed = errors.New("dtls: closed")
	// ErrFingerprint is the peer's certificate not being the one its SDP promised.
	ErrFingerprint = errors.New("dtls: certificate does not match fingerprint")

	errFingerprint   = ErrFingerprint
	errNoFingerprint = errors.New("dtls: no usable fingerprint (sha-256, sha-384 or sha-512 needed)")
	errNoCertificate = errors.New("dtls: peer showed no certificate")
	errNoProfile     = errors.New("dtls: no SRTP profile negotiated")
)
