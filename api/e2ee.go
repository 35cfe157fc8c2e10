package api

// E2EESend carries what devices of an end-to-end encrypted conference tell one
// another about keys. The server passes it on unread (docs/e2ee.md).
const E2EESend = "e2ee.send"

// E2EEReceived is the event that brings a message of E2EESend.
const E2EEReceived = "e2ee.message"

// Caps of E2EESend.
const (
	MaxE2EEMessages = 128  // in one request
	MaxE2EEBody     = 1024 // bytes
)

// E2EEKeys are a device's public keys: member "e2ee" of conference.join, and of
// the endpoint's extension in the document of an encrypted conference. All are
// base64url without padding. The server shows them and vouches for nothing:
// people compare the safety number.
type E2EEKeys struct {
	Identity string `json:"identity"` // ECDSA P-256 of the installation, 65 bytes, uncompressed point
	Key      string `json:"key"`      // ECDH P-256 of this session, likewise; the device's address in E2EESend
	Sig      string `json:"sig"`      // by Identity over Key, 64 bytes (IEEE P1363)
}

// E2EESendParams of e2ee.send.
type E2EESendParams struct {
	Messages []E2EEMessage `json:"messages"`
}

// E2EEMessage is one sealed message to one device.
type E2EEMessage struct {
	To   string `json:"to"`   // its E2EEKeys.Key
	Body string `json:"body"` // base64url; opaque to the server
}

// E2EESent is the result of e2ee.send.
type E2EESent struct {
	Sent int      `json:"sent"`
	Gone []string `json:"gone,omitempty"` // addresses of nobody who is here
}

// E2EEDelivery is the body of event e2ee.message. From is set by the server: the
// key that the sending device joined with.
type E2EEDelivery struct {
	From string `json:"from"`
	Body string `json:"body"`
}
