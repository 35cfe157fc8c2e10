package ice

import (
	"crypto/subtle"
	"encoding/binary"
	"hash/crc32"
	"net/netip"

	"parley/internal/transport/sha1mac"
)

// builder appends a STUN message to a buffer whose capacity suffices (the
// caller's reply buffer); [maxReply] is enough for any reply.
type builder struct {
	b     []byte
	start int
}

// maxReply is the largest reply: header, an IPv6 address, integrity, fingerprint.
const maxReply = headerSize + 24 + macAttr + printAttr

func begin(dst []byte, typ uint16, t tid) builder {
	w := builder{b: dst, start: len(dst)}
	w.b = binary.BigEndian.AppendUint16(w.b, typ)
	w.b = append(w.b, 0, 0)
	w.b = binary.BigEndian.AppendUint32(w.b, cookie)
	w.b = append(w.b, t[:]...)
	return w
}

func (w *builder) head(typ uint16, size int) {
	w.b = binary.BigEndian.AppendUint16(w.b, typ)
	w.b = binary.BigEndian.AppendUint16(w.b, uint16(size))
}

func (w *builder) bytes(typ uint16, v ...[]byte) {
	size := 0
	for _, p := range v {
		size += len(p)
	}
	w.head(typ, size)
	for _, p := range v {
		w.b = append(w.b, p...)
	}
	for ; size%4 != 0; size++ {
		w.b = append(w.b, 0)
	}
}

func (w *builder) uint32(typ uint16, v uint32) {
	w.head(typ, 4)
	w.b = binary.BigEndian.AppendUint32(w.b, v)
}

func (w *builder) uint64(typ uint16, v uint64) {
	w.head(typ, 8)
	w.b = binary.BigEndian.AppendUint64(w.b, v)
}

func (w *builder) xorMapped(a netip.AddrPort, t tid) {
	ip, pad := a.Addr().Unmap(), xorPad(t)
	family, size := byte(1), 4
	raw := ip.As16()
	addr := raw[12:]
	if ip.Is6() {
		family, size, addr = 2, 16, raw[:]
	}
	w.head(attrXORMapped, 4+size)
	w.b = append(w.b, 0, family)
	w.b = binary.BigEndian.AppendUint16(w.b, a.Port()^cookie>>16)
	for i, c := range addr {
		w.b = append(w.b, c^pad[i])
	}
}

// finish closes the message with MESSAGE-INTEGRITY and FINGERPRINT.
func (w *builder) finish(key *sha1mac.Key) []byte {
	m := w.b[w.start:]
	binary.BigEndian.PutUint16(m[2:], uint16(len(m)+macAttr-headerSize))
	var sum [sha1mac.Size]byte
	key.Sum(&sum, m[:headerSize], m[headerSize:], nil)
	w.head(attrIntegrity, sha1mac.Size)
	w.b = append(w.b, sum[:]...)
	m = w.b[w.start:]
	binary.BigEndian.PutUint16(m[2:], uint16(len(m)+printAttr-headerSize))
	w.uint32(attrFingerprint, crc32.ChecksumIEEE(m)^xorPrint)
	return w.b
}

// success answers a request from an address.
func success(dst []byte, t tid, from netip.AddrPort, key *sha1mac.Key) []byte {
	w := begin(dst, typeSuccess, t)
	w.xorMapped(from, t)
	return w.finish(key)
}

// failure answers with an error code. The reason phrase is left out: it would
// only make the reply larger than the request (scenario D6).
func failure(dst []byte, m *message, code int, key *sha1mac.Key) []byte {
	w := begin(dst, typeError, m.tid)
	w.uint32(attrErrorCode, uint32(code/100)<<8|uint32(code%100))
	if m.unknowns > 0 && code == codeUnknown {
		w.head(attrUnknown, 2*m.unknowns)
		for _, typ := range m.unknown[:m.unknowns] {
			w.b = binary.BigEndian.AppendUint16(w.b, typ)
		}
		if m.unknowns%2 == 1 {
			w.b = append(w.b, 0, 0)
		}
	}
	return w.finish(key)
}

// Error codes (RFC 8489, section 14.8; RFC 8445, section 7.3.1.1).
const (
	codeUnknown      = 420
	codeRoleConflict = 487
)

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
