package srtp

import (
	"crypto/aes"
	"encoding/binary"
)

// Profile is a DTLS-SRTP protection profile (RFC 5764, section 4.1.2; RFC 7714,
// section 14.2); the values are those on the wire.
type Profile uint16

// The profiles, the preferred one last of the two by number but first by cost:
// GCM takes a third of the time of CM.
const (
	AES128CMHMACSHA180 Profile = 0x0001
	AEADAES128GCM      Profile = 0x0007
)

// String returns the registered name.
func (p Profile) String() string {
	switch p {
	case AES128CMHMACSHA180:
		return "SRTP_AES128_CM_HMAC_SHA1_80"
	case AEADAES128GCM:
		return "SRTP_AEAD_AES_128_GCM"
	}
	return "unknown SRTP profile"
}

// KeyLen is the length of the master key.
func (p Profile) KeyLen() int { return keySize }

// SaltLen is the length of the master salt.
func (p Profile) SaltLen() int {
	if p == AEADAES128GCM {
		return gcmSalt
	}
	return cmSalt
}

func (p Profile) valid() bool { return p == AES128CMHMACSHA180 || p == AEADAES128GCM }

const (
	keySize = 16
	cmSalt  = 14
	gcmSalt = 12
	authKey = 20
	cmTag   = 10
	gcmTag  = 16
	// rtcpWord is the E flag and SRTCP index (RFC 3711, section 3.4).
	rtcpWord = 4
	// rtcpClear is the part of an RTCP compound that is never encrypted:
	// header and SSRC of the first packet.
	rtcpClear = 8
	encrypted = 1 << 31
)

// Labels of key derivation (RFC 3711, section 4.3.2).
const (
	labelRTPKey   = 0
	labelRTPAuth  = 1
	labelRTPSalt  = 2
	labelRTCPKey  = 3
	labelRTCPAuth = 4
	labelRTCPSalt = 5
)

// derive computes session key material (RFC 3711, section 4.3.3, with a key
// derivation rate of zero; RFC 7714, section 11 uses the same with a shorter
// salt, padded on the right).
func derive(key, salt []byte, label byte, out []byte) error {
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	var in, ks [aes.BlockSize]byte
	copy(in[:], salt)
	in[7] ^= label
	for n := 0; len(out) > 0; n++ {
		binary.BigEndian.PutUint16(in[14:], uint16(n))
		block.Encrypt(ks[:], in[:])
		out = out[copy(out, ks[:]):]
	}
	return nil
}
