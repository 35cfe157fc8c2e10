package dtls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	_ "crypto/sha512" // SHA-384 and SHA-512 fingerprints
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"strings"
	"time"
)

// Fingerprint is one a=fingerprint line of a peer's SDP (RFC 8122, section 5).
type Fingerprint = struct{ Hash, Value string }

// Identity is the certificate the process shows to every peer: a self-signed
// ECDSA P-256 one made at start and never written to disk. Immutable.
type Identity struct {
	cert tls.Certificate
}

// identityLife bounds the certificate. Peers judge the fingerprint, not the
// dates, but some libraries refuse an expired one: a process outlives no year.
const identityLife = 5 * 365 * 24 * time.Hour

// NewIdentity makes a fresh key and certificate.
func NewIdentity() (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "parley"},
		// A day back: the peer's clock may be behind ours.
		NotBefore: now.Add(-24 * time.Hour),
		NotAfter:  now.Add(identityLife),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &Identity{cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}, nil
}

// Fingerprint returns the a=fingerprint pair: "sha-256" and colon-separated
// upper-case hex (RFC 8122, section 5).
func (i *Identity) Fingerprint() (hash, value string) {
	sum := sha256.Sum256(i.cert.Certificate[0])
	return "sha-256", colonHex(sum[:])
}

func colonHex(b []byte) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(b)*3)
	for n, c := range b {
		if n > 0 {
			out = append(out, ':')
		}
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// strongest lists the hashes we accept, best first. md5 and sha-1 are refused
// though RFC 8122 names them: both are broken for this purpose.
var strongest = []struct {
	name string
	hash crypto.Hash
}{{"sha-512", crypto.SHA512}, {"sha-384", crypto.SHA384}, {"sha-256", crypto.SHA256}}

// checkFingerprint reports whether the certificate matches any of the
// fingerprints of the strongest hash present; weaker ones are not consulted
// (RFC 8122, section 5, last paragraphs).
func checkFingerprint(der []byte, fps []Fingerprint) error {
	for _, s := range strongest {
		seen := false
		for _, fp := range fps {
			if !strings.EqualFold(fp.Hash, s.name) {
				continue
			}
			seen = true
			if matches(der, s.hash, fp.Value) {
				return nil
			}
		}
		if seen {
			return errFingerprint
		}
	}
	return errNoFingerprint
}

func matches(der []byte, h crypto.Hash, value string) bool {
	want, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(value), ":", ""))
	if err != nil || len(want) != h.Size() {
		return false
	}
	d := h.New()
	d.Write(der)
	return subtle.ConstantTimeCompare(d.Sum(nil), want) == 1
}
