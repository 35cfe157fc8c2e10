package ice

import (
	"crypto/rand"
	"encoding/base64"
)

// NewCreds draws a ufrag of 48 and a password of 144 random bits. RFC 8445,
// section 5.3 asks for 24 and 128; the longer ufrag keeps the ufrags of a whole
// node apart.
func NewCreds() Creds {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return Creds{
		Ufrag: base64.RawStdEncoding.EncodeToString(b[:6]),
		Pwd:   base64.RawStdEncoding.EncodeToString(b[6:]),
	}
}

// String hides the password.
func (c Creds) String() string { return c.Ufrag + ":[secret]" }

// GoString hides the password from %#v.
func (c Creds) GoString() string { return c.String() }
