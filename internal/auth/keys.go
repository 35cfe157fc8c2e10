package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"parley/internal/base/ids"
	"parley/internal/base/strictjson"
)

// Names inside the data directory.
const (
	ownerFile = "owner.key"
	keysFile  = "keys.json"
)

// secretBytes is the size of keys we make and the least we accept: 256 bits,
// the output size of HS256 (RFC 7518, section 3.2).
const secretBytes = 32

// maxKeyFile bounds what is read of a key file.
const maxKeyFile = 64 << 10

// key signs and verifies with one algorithm only (class A15: a key that serves
// two lets the attacker choose).
type key struct {
	id     string
	alg    string
	secret []byte // HS256 only
	// verifier is what jwt wants: the secret, or a public key.
	verifier any
}

type keyRing struct {
	sign *key // the first of the file
	byID map[string]*key
}

type keyFile struct {
	Keys []struct {
		KID    string `json:"kid"`
		Alg    string `json:"alg"`
		Secret string `json:"secret"` // base64url, no padding
		Public string `json:"public"` // PEM, for ES256 and EdDSA
	} `json:"keys"`
}

func randomBytes() []byte {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return b
}

// volatileKeys are keys for one run, when there is no directory to keep them.
func volatileKeys() *keyRing {
	k := &key{id: "run", alg: algorithm, secret: randomBytes()}
	k.verifier = k.secret
	return &keyRing{sign: k, byID: map[string]*key{k.id: k}}
}

// loadKeys reads DIR/keys.json, making it at the first start.
func loadKeys(dir string) (*keyRing, error) {
	path := filepath.Join(dir, keysFile)
	b, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret := base64.RawURLEncoding.EncodeToString(randomBytes())
		b = fmt.Appendf(nil, "{\"keys\":[{\"kid\":\"k1\",\"alg\":%q,\"secret\":%q}]}\n", algorithm, secret)
		err = createSecret(path, b)
	}
	if err != nil {
		return nil, err
	}
	ring, err := parseKeys(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ring, nil
}

// parseKeys reads the file's text. Its errors never hold a secret.
func parseKeys(b []byte) (*keyRing, error) {
	if err := strictjson.Check(b); err != nil {
		return nil, err
	}
	var f keyFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, errors.New("not of the form {\"keys\":[{\"kid\",\"alg\",\"secret\"}]}")
	}
	ring := &keyRing{byID: make(map[string]*key)}
	for i, k := range f.Keys {
		made := &key{id: k.KID, alg: k.Alg}
		switch {
		case !ids.ValidName(k.KID):
			return nil, fmt.Errorf("keys[%d].kid: must be a plain name", i)
		case ring.byID[k.KID] != nil:
			return nil, fmt.Errorf("keys[%d].kid: %q is there twice", i, k.KID)
		}
		if why := made.load(k.Secret, k.Public); why != "" {
			return nil, fmt.Errorf("keys[%d].%s", i, why)
		}
		ring.byID[made.id] = made
		if ring.sign == nil && made.alg == algorithm {
			ring.sign = made
		}
	}
	if len(ring.byID) == 0 {
		return nil, errors.New("keys: empty")
	}
	return ring, nil
}

// load takes the one kind of key its algorithm has and says what is wrong, or "".
func (k *key) load(secret, public string) string {
	if k.alg == algorithm {
		b, err := base64.RawURLEncoding.DecodeString(secret)
		switch {
		case public != "":
			return "public: " + algorithm + " has a secret"
		case err != nil:
			return "secret: not base64url"
		case len(b) < secretBytes:
			return fmt.Sprintf("secret: shorter than %d bytes", secretBytes)
		}
		k.secret, k.verifier = b, b
		return ""
	}
	if !slices.Contains(algorithms, k.alg) {
		return "alg: must be one of " + strings.Join(algorithms, ", ")
	}
	if secret != "" {
		return "secret: " + k.alg + " has a public key; the private one stays with the issuer"
	}
	block, _ := pem.Decode([]byte(public))
	if block == nil {
		return "public: not PEM"
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return "public: not a public key (SubjectPublicKeyInfo)"
	}
	switch p := pub.(type) {
	case *ecdsa.PublicKey:
		if k.alg == "ES256" && p.Curve == elliptic.P256() {
			k.verifier = p
			return ""
		}
	case ed25519.PublicKey:
		if k.alg == "EdDSA" {
			k.verifier = p
			return ""
		}
	}
	return "public: not a key for " + k.alg
}

// loadOwner reads DIR/owner.key, making it at the first start.
func loadOwner(dir string) (owner ids.Secret, created bool, err error) {
	path := filepath.Join(dir, ownerFile)
	b, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		text := base64.RawURLEncoding.EncodeToString(randomBytes())
		return ids.Secret(text), true, createSecret(path, []byte(text+"\n"))
	}
	if err != nil {
		return "", false, err
	}
	text := string(b)
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
		text = text[:len(text)-1]
	}
	if raw, err := base64.RawURLEncoding.DecodeString(text); err != nil || len(raw) < secretBytes {
		return "", false, fmt.Errorf("%s: not a key of %d bytes in base64url; remove the file to get a new one", path, secretBytes)
	}
	return ids.Secret(text), false, nil
}

// readSecret reads a file that nobody else may read.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: open to others (mode %04o); run chmod 600 on it", path, mode.Perm())
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxKeyFile)
	}
	return os.ReadFile(path)
}

// createSecret writes a new file, never over an old one, and has it on disk
// before anybody is told its contents.
func createSecret(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}
