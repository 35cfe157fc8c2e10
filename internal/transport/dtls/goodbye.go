package dtls

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/pion/dtls/v3/pkg/crypto/prf"
)

// A peer that leaves says so with a close_notify. After Detach there is no pion
// connection to read it, and before SCTP starts nobody reads from the one kept,
// so that alone is decrypted here. Without it a viewer who closes the page
// would be served until consent expires, 30 s later (RFC 7675).

// alertKey opens the peer's records of AES-128-GCM suites (RFC 5288, section 3).
type alertKey struct {
	key [16]byte
	iv  [4]byte
}

// secretTap is pion's key log: the only way to the master secret. The line is
// parsed at once and nothing of it is kept but the peer's key.
type secretTap struct {
	client         bool // our role
	serverRandom   [32]byte
	suite          uint16
	key            alertKey
	ready, greeted bool
}

// serverHello notes random and suite of a ServerHello in a datagram.
func (s *secretTap) serverHello(d []byte) {
	r, _, ok := nextRecord(d)
	if !ok || s.greeted || r.kind != contentHandshake || r.epoch != 0 {
		return
	}
	h, b, _, ok := nextMessage(r.body)
	if !ok || h.kind != 2 || h.fragOff != 0 || len(b) < 35 || len(b) < 35+int(b[34])+2 {
		return
	}
	s.greeted = true
	copy(s.serverRandom[:], b[2:34])
	s.suite = binary.BigEndian.Uint16(b[35+int(b[34]):])
}

// Write implements io.Writer for pion's key log, called once from the
// handshake goroutine: "CLIENT_RANDOM <hex> <hex>".
func (s *secretTap) Write(line []byte) (int, error) {
	var clientRandom, master []byte
	if _, err := fmt.Sscanf(string(line), "CLIENT_RANDOM %x %x", &clientRandom, &master); err != nil || !s.greeted {
		return len(line), nil
	}
	if s.suite != 0xC02B && s.suite != 0xC02F { // ECDHE with ECDSA or RSA, AES_128_GCM_SHA256
		return len(line), nil
	}
	k, err := prf.GenerateEncryptionKeys(master, clientRandom, s.serverRandom[:], 0, 16, 4, sha256.New)
	if err != nil {
		return len(line), nil
	}
	key, iv := k.ClientWriteKey, k.ClientWriteIV
	if s.client {
		key, iv = k.ServerWriteKey, k.ServerWriteIV
	}
	s.key, s.ready = alertKey{[16]byte(key), [4]byte(iv)}, true
	return len(line), nil
}

// saysGoodbye reports whether a datagram holds an authentic close_notify or
// fatal alert. Only records of an alert's exact size are tried.
func (k *alertKey) saysGoodbye(d []byte) bool {
	const size = 8 + 2 + 16 // explicit nonce, alert, tag
	for len(d) > 0 {
		r, rest, ok := nextRecord(d)
		if !ok {
			return false
		}
		if d = rest; r.kind == contentAlert && r.epoch == 1 && len(r.body) == size {
			if a := k.open(r); a != nil && (a[0] == 2 || a[1] == 0) {
				return true
			}
		}
	}
	return false
}

func (k *alertKey) open(r record) []byte {
	block, err := aes.NewCipher(k.key[:])
	if err != nil {
		return nil
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil
	}
	nonce := append(k.iv[:len(k.iv):len(k.iv)], r.body[:8]...)
	// Additional data: epoch and sequence, type, version, plain length.
	ad := append([]byte{}, r.raw[3:11]...)
	ad = append(ad, r.raw[0], r.raw[1], r.raw[2], 0, 2)
	out, err := gcm.Open(nil, nonce, r.body[8:], ad)
	if err != nil || len(out) != 2 {
		return nil
	}
	return out
}
