package ice

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"

	"parley/internal/transport/sha1mac"
)

// Message types (RFC 8489, section 5 and 18.1): only Binding is spoken here.
const (
	typeRequest = 0x0001
	typeSuccess = 0x0101
	typeError   = 0x0111
)

// Attributes (RFC 8489, section 18.3; RFC 8445, section 16.1).
const (
	attrMapped          = 0x0001
	attrUsername        = 0x0006
	attrIntegrity       = 0x0008
	attrErrorCode       = 0x0009
	attrUnknown         = 0x000a
	attrXORMapped       = 0x0020
	attrPriority        = 0x0024
	attrUseCandidate    = 0x0025
	attrFingerprint     = 0x8028
	attrControlled      = 0x8029
	attrControlling     = 0x802a
	attrNomination      = 0xc001 // draft-thatcher-ice-renomination, as libwebrtc numbers it
	comprehensionOption = 0x8000 // attributes from here up may be ignored
)

const (
	cookie      = 0x2112a442
	xorPrint    = 0x5354554e
	headerSize  = 20
	macAttr     = 4 + sha1mac.Size
	printAttr   = 4 + 4
	maxMessage  = 1500 // one datagram; a check may carry optional extras
	maxAttrs    = 32   // browsers send about 8
	maxUsername = 513  // RFC 8489, section 14.3
	minUfrag    = 4    // RFC 8839, section 5.4
	maxUfrag    = 256
	maxUnknown  = 4 // named in a 420; more are not worth a larger reply
)

// tid is a transaction id.
type tid [12]byte

// message is a read view of one STUN message; slices point into it.
type message struct {
	typ           uint16
	tid           tid
	username      []byte
	priority      uint32
	nomination    uint32
	code          int            // of an error response
	mapped        netip.AddrPort // of a success response
	integrity     int            // offset of the attribute, 0 if absent
	fingerprint   int            // likewise; always the last attribute
	unknown       [maxUnknown]uint16
	unknowns      int
	useCandidate  bool
	controlling   bool
	controlled    bool
	hasNomination bool
	hasUsername   bool
}

// header checks what can be checked before any attribute (RFC 8489, section 6.3).
func header(b []byte) bool {
	return len(b) >= headerSize && len(b) <= maxMessage && len(b)%4 == 0 && b[0]&0xc0 == 0 &&
		binary.BigEndian.Uint32(b[4:]) == cookie && int(binary.BigEndian.Uint16(b[2:])) == len(b)-headerSize
}

// parse reads b into m. It verifies no secret.
func (m *message) parse(b []byte) bool {
	if !header(b) {
		return false
	}
	*m = message{typ: binary.BigEndian.Uint16(b), tid: tid(b[8:20])}
	for off, n := headerSize, 0; off < len(b); n++ {
		if n == maxAttrs || len(b)-off < 4 || m.fingerprint != 0 { // FINGERPRINT is last (RFC 8489, section 14.7)
			return false
		}
		typ, size := binary.BigEndian.Uint16(b[off:]), int(binary.BigEndian.Uint16(b[off+2:]))
		end := off + 4 + (size+3)&^3
		if end > len(b) {
			return false
		}
		// What follows MESSAGE-INTEGRITY is not covered by it and is ignored,
		// but for FINGERPRINT (RFC 8489, section 14.5).
		if m.integrity == 0 || typ == attrFingerprint {
			if !m.attribute(typ, b[off+4:off+4+size], off) {
				return false
			}
		}
		off = end
	}
	return true
}

// attribute takes one attribute; the first of a kind counts (RFC 8489, section 14).
func (m *message) attribute(typ uint16, v []byte, off int) bool {
	switch typ {
	case attrUsername:
		if len(v) > maxUsername {
			return false
		}
		if !m.hasUsername {
			m.username, m.hasUsername = v, true
		}
	case attrIntegrity:
		m.integrity = off
		return len(v) == sha1mac.Size
	case attrFingerprint:
		m.fingerprint = off
		return len(v) == 4
	case attrUseCandidate:
		m.useCandidate = true
	case attrControlling:
		m.controlling = true
		return len(v) == 8
	case attrControlled:
		m.controlled = true
		return len(v) == 8
	case attrPriority:
		if len(v) != 4 {
			return false
		}
		m.priority = binary.BigEndian.Uint32(v)
	case attrNomination:
		if len(v) == 4 {
			m.nomination, m.hasNomination = binary.BigEndian.Uint32(v), true
		}
	case attrXORMapped:
		return m.xorMapped(v)
	case attrErrorCode:
		if len(v) < 4 {
			return false
		}
		m.code = int(v[2]&7)*100 + int(v[3])
	case attrMapped, attrUnknown:
	default:
		if typ < comprehensionOption && m.unknowns < maxUnknown {
			m.unknown[m.unknowns] = typ
			m.unknowns++
		}
	}
	return true
}

// xorMapped reads XOR-MAPPED-ADDRESS (RFC 8489, section 14.2).
func (m *message) xorMapped(v []byte) bool {
	if len(v) < 8 {
		return false
	}
	port := binary.BigEndian.Uint16(v[2:]) ^ cookie>>16
	pad := xorPad(m.tid)
	switch {
	case v[1] == 1 && len(v) == 8:
		var a [4]byte
		for i := range a {
			a[i] = v[4+i] ^ pad[i]
		}
		m.mapped = netip.AddrPortFrom(netip.AddrFrom4(a), port)
	case v[1] == 2 && len(v) == 20:
		var a [16]byte
		for i := range a {
			a[i] = v[4+i] ^ pad[i]
		}
		m.mapped = netip.AddrPortFrom(netip.AddrFrom16(a), port)
	default:
		return false
	}
	return true
}

func xorPad(t tid) (pad [16]byte) {
	binary.BigEndian.PutUint32(pad[:], cookie)
	copy(pad[4:], t[:])
	return pad
}

// printed reports whether the message ends with a right FINGERPRINT.
func (m *message) printed(b []byte) bool {
	return m.fingerprint != 0 &&
		binary.BigEndian.Uint32(b[m.fingerprint+4:]) == crc32.ChecksumIEEE(b[:m.fingerprint])^xorPrint
}

// authentic reports whether MESSAGE-INTEGRITY is there and right. The header
// is summed with the length it had when the attribute was the last one.
func (m *message) authentic(b []byte, key *sha1mac.Key) bool {
	if m.integrity == 0 {
		return false
	}
	h := [headerSize]byte(b)
	binary.BigEndian.PutUint16(h[2:], uint16(m.integrity+macAttr-headerSize))
	var sum [sha1mac.Size]byte
	key.Sum(&sum, h[:], b[headerSize:m.integrity], nil)
	return equal(sum[:], b[m.integrity+4:m.integrity+macAttr])
}

// PeekUfrag returns our part of USERNAME ("ours:theirs", RFC 8445, section
// 7.2.2) of a Binding request, for finding the link. It proves nothing. The
// result points into msg.
func PeekUfrag(msg []byte) (local []byte, ok bool) {
	if !header(msg) || binary.BigEndian.Uint16(msg) != typeRequest {
		return nil, false
	}
	for off, n := headerSize, 0; n < maxAttrs && len(msg)-off >= 4; n++ {
		size := int(binary.BigEndian.Uint16(msg[off+2:]))
		end := off + 4 + (size+3)&^3
		if end > len(msg) {
			return nil, false
		}
		if binary.BigEndian.Uint16(msg[off:]) == attrUsername {
			local, _, ok = splitUsername(msg[off+4 : off+4+size])
			return local, ok
		}
		off = end
	}
	return nil, false
}

// splitUsername splits at the colon; ufrags are 4 to 256 characters and hold
// none (RFC 8839, section 5.4).
func splitUsername(u []byte) (local, remote []byte, ok bool) {
	if len(u) > maxUsername {
		return nil, nil, false
	}
	for i, c := range u {
		if c == ':' && i >= minUfrag && i <= maxUfrag {
			return u[:i], u[i+1:], true
		}
		if c == ':' {
			break
		}
	}
	return nil, nil, false
}
