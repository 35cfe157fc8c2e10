package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"slices"

	"parley/internal/transport/sha1mac"
)

// suite is one profile under one master key. Bytes to seal or open are named
// by position: a clear part that is only authenticated, then the body.
type suite interface {
	// sealRTP appends the protected body and tag to dst, whose bytes from
	// start on are the header.
	sealRTP(dst []byte, start int, body []byte, ssrc uint32, index uint64) []byte
	// openRTP appends the clear body to dst; ok is false for a forged packet.
	openRTP(dst, packet []byte, header int, ssrc uint32, index uint64) (out []byte, ok bool)
	// sealRTCP appends body, tag and index word in the profile's order.
	sealRTCP(dst []byte, start int, body []byte, ssrc, index uint32) []byte
	openRTCP(dst, packet []byte, ssrc, index uint32) (out []byte, ok bool)
	// word finds the E flag and index of an SRTCP packet of sufficient length.
	word(packet []byte) uint32
	tag() int
}

func newSuite(p Profile, key, salt []byte) (suite, error) {
	if !p.valid() {
		return nil, ErrProfile
	}
	if len(key) != p.KeyLen() || len(salt) != p.SaltLen() {
		return nil, ErrKeySize
	}
	if p == AEADAES128GCM {
		return newGCM(key, salt)
	}
	return newCM(key, salt)
}

// gcm is AEAD_AES_128_GCM (RFC 7714).
type gcm struct {
	rtp, rtcp         cipher.AEAD
	rtpSalt, rtcpSalt [gcmSalt]byte
	nonce             [gcmSalt]byte       // here, since what is passed to an interface escapes
	aad               [rtcpClear + 4]byte // likewise
}

func newGCM(key, salt []byte) (*gcm, error) {
	g := &gcm{}
	var k [keySize]byte
	for _, d := range []struct {
		label, salted byte
		aead          *cipher.AEAD
		salt          []byte
	}{{labelRTPKey, labelRTPSalt, &g.rtp, g.rtpSalt[:]}, {labelRTCPKey, labelRTCPSalt, &g.rtcp, g.rtcpSalt[:]}} {
		if err := derive(key, salt, d.label, k[:]); err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(k[:])
		if err != nil {
			return nil, err
		}
		if *d.aead, err = cipher.NewGCM(block); err != nil {
			return nil, err
		}
		if err = derive(key, salt, d.salted, d.salt); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *gcm) tag() int { return gcmTag }

// setNonce makes the IV of RFC 7714, sections 8.1 and 9.1: SRTP has the 48-bit
// index last, SRTCP 16 zero bits and the 31-bit index, which is the same form.
func (g *gcm) setNonce(salt *[gcmSalt]byte, ssrc uint32, index uint64) []byte {
	n := &g.nonce
	n[0], n[1] = 0, 0
	binary.BigEndian.PutUint32(n[2:], ssrc)
	binary.BigEndian.PutUint16(n[6:], uint16(index>>32))
	binary.BigEndian.PutUint32(n[8:], uint32(index))
	subtle.XORBytes(n[:], n[:], salt[:])
	return n[:]
}

func (g *gcm) sealRTP(dst []byte, start int, body []byte, ssrc uint32, index uint64) []byte {
	return g.rtp.Seal(dst, g.setNonce(&g.rtpSalt, ssrc, index), body, dst[start:])
}

func (g *gcm) openRTP(dst, packet []byte, header int, ssrc uint32, index uint64) ([]byte, bool) {
	out, err := g.rtp.Open(dst, g.setNonce(&g.rtpSalt, ssrc, index), packet[header:], packet[:header])
	return out, err == nil
}

// rtcpAAD is the clear header and the index word (RFC 7714, section 9.2).
func (g *gcm) rtcpAAD(clear []byte, index uint32) []byte {
	copy(g.aad[:], clear[:rtcpClear])
	binary.BigEndian.PutUint32(g.aad[rtcpClear:], index|encrypted)
	return g.aad[:]
}

func (g *gcm) sealRTCP(dst []byte, start int, body []byte, ssrc, index uint32) []byte {
	aad := g.rtcpAAD(dst[start:], index)
	dst = g.rtcp.Seal(dst, g.setNonce(&g.rtcpSalt, ssrc, uint64(index)), body, aad)
	return binary.BigEndian.AppendUint32(dst, index|encrypted)
}

func (g *gcm) openRTCP(dst, packet []byte, ssrc, index uint32) ([]byte, bool) {
	aad := g.rtcpAAD(packet, index)
	body := packet[rtcpClear : len(packet)-rtcpWord]
	out, err := g.rtcp.Open(dst, g.setNonce(&g.rtcpSalt, ssrc, uint64(index)), body, aad)
	return out, err == nil
}

func (g *gcm) word(packet []byte) uint32 {
	return binary.BigEndian.Uint32(packet[len(packet)-rtcpWord:])
}

// cm is AES_CM_128_HMAC_SHA1_80 (RFC 3711).
type cm struct {
	rtp, rtcp         *ctr
	rtpMAC, rtcpMAC   sha1mac.Key
	rtpSalt, rtcpSalt [16]byte // 14 bytes and the block counter's zeros
}

func newCM(key, salt []byte) (*cm, error) {
	c := &cm{}
	var k [keySize]byte
	var auth [authKey]byte
	for _, d := range []struct {
		label, authLabel, salted byte
		ctr                      **ctr
		mac                      *sha1mac.Key
		salt                     []byte
	}{
		{labelRTPKey, labelRTPAuth, labelRTPSalt, &c.rtp, &c.rtpMAC, c.rtpSalt[:cmSalt]},
		{labelRTCPKey, labelRTCPAuth, labelRTCPSalt, &c.rtcp, &c.rtcpMAC, c.rtcpSalt[:cmSalt]},
	} {
		if err := derive(key, salt, d.label, k[:]); err != nil {
			return nil, err
		}
		var err error
		if *d.ctr, err = newCTR(k[:]); err != nil {
			return nil, err
		}
		if err = derive(key, salt, d.authLabel, auth[:]); err != nil {
			return nil, err
		}
		d.mac.Init(auth[:])
		if err = derive(key, salt, d.salted, d.salt); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *cm) tag() int { return cmTag }

// counter makes the IV of RFC 3711, section 4.1.1, as two halves.
func counter(salt *[16]byte, ssrc uint32, index uint64) (hi, lo uint64) {
	return binary.BigEndian.Uint64(salt[:]) ^ uint64(ssrc), binary.BigEndian.Uint64(salt[8:]) ^ index<<16
}

func (c *cm) sealRTP(dst []byte, start int, body []byte, ssrc uint32, index uint64) []byte {
	dst = c.rtp.appendXOR(dst, body, &c.rtpSalt, ssrc, index)
	var roc [4]byte
	binary.BigEndian.PutUint32(roc[:], uint32(index>>16))
	var sum [sha1mac.Size]byte
	c.rtpMAC.Sum(&sum, nil, dst[start:], roc[:])
	return append(dst, sum[:cmTag]...)
}

func (c *cm) openRTP(dst, packet []byte, header int, ssrc uint32, index uint64) ([]byte, bool) {
	body := packet[:len(packet)-cmTag]
	var roc [4]byte
	binary.BigEndian.PutUint32(roc[:], uint32(index>>16))
	var sum [sha1mac.Size]byte
	c.rtpMAC.Sum(&sum, nil, body, roc[:])
	if subtle.ConstantTimeCompare(sum[:cmTag], packet[len(body):]) != 1 {
		return dst, false
	}
	return c.rtp.appendXOR(dst, body[header:], &c.rtpSalt, ssrc, index), true
}

func (c *cm) sealRTCP(dst []byte, start int, body []byte, ssrc, index uint32) []byte {
	dst = c.rtcp.appendXOR(dst, body, &c.rtcpSalt, ssrc, uint64(index))
	dst = binary.BigEndian.AppendUint32(dst, index|encrypted)
	var sum [sha1mac.Size]byte
	c.rtcpMAC.Sum(&sum, nil, dst[start:], nil)
	return append(dst, sum[:cmTag]...)
}

func (c *cm) openRTCP(dst, packet []byte, ssrc, index uint32) ([]byte, bool) {
	signed := packet[:len(packet)-cmTag]
	var sum [sha1mac.Size]byte
	c.rtcpMAC.Sum(&sum, nil, signed, nil)
	if subtle.ConstantTimeCompare(sum[:cmTag], packet[len(signed):]) != 1 {
		return dst, false
	}
	return c.rtcp.appendXOR(dst, signed[rtcpClear:len(signed)-rtcpWord], &c.rtcpSalt, ssrc, uint64(index)), true
}

func (c *cm) word(packet []byte) uint32 {
	return binary.BigEndian.Uint32(packet[len(packet)-cmTag-rtcpWord:])
}

func (c *ctr) appendXOR(dst, src []byte, salt *[16]byte, ssrc uint32, index uint64) []byte {
	n := len(dst)
	dst = slices.Grow(dst, len(src))[:n+len(src)]
	hi, lo := counter(salt, ssrc, index)
	c.xor(dst[n:], src, hi, lo)
	return dst
}
