package dtls

import (
	"encoding/binary"
	"slices"

	piondtls "github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/elliptic"
	"github.com/pion/dtls/v3/pkg/crypto/hash"
	"github.com/pion/dtls/v3/pkg/crypto/signature"
	"github.com/pion/dtls/v3/pkg/crypto/signaturehash"
	"github.com/pion/dtls/v3/pkg/protocol"
	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"
)

// maxHello caps a ClientHello. A browser offering DTLS 1.3 with a post-quantum
// key share sends about 1.7 kB in two fragments.
const maxHello = 4096

// maxAssemblies bounds half-received ClientHellos of one peer, so that a forged
// first fragment cannot block the real one; the oldest is replaced.
const maxAssemblies = 4

// assembly collects the fragments of one ClientHello (RFC 6347, section 4.2.3).
type assembly struct {
	body []byte
	have []bool
	left int
}

func (a *assembly) add(off int, frag []byte) bool {
	for i, c := range frag {
		if !a.have[off+i] {
			a.have[off+i] = true
			a.body[off+i] = c
			a.left--
		}
	}
	return a.left == 0
}

// helloFragment takes one fragment and returns the whole body when complete.
func (f *filter) helloFragment(h hsHeader, frag []byte) []byte {
	if h.length > maxHello || h.length < 38 || h.seq > 1 {
		f.drop(dropHello)
		return nil
	}
	if h.fragLen == h.length {
		return frag
	}
	i := slices.IndexFunc(f.hellos, func(a *assembly) bool { return len(a.body) == h.length })
	if i < 0 {
		if len(f.hellos) == maxAssemblies {
			f.hellos = slices.Delete(f.hellos, 0, 1)
		}
		f.hellos = append(f.hellos, &assembly{
			body: make([]byte, h.length), have: make([]bool, h.length), left: h.length,
		})
		i = len(f.hellos) - 1
	}
	a := f.hellos[i]
	if !a.add(h.fragOff, frag) {
		return nil
	}
	f.hellos = slices.Delete(f.hellos, i, i+1)
	return a.body
}

// acceptHello decides whether a complete ClientHello belongs to this handshake.
// The first acceptable one pins its random; later ones must carry the same.
func (f *filter) acceptHello(body []byte) bool {
	random := [32]byte(body[2:34])
	if f.pinned {
		return random == f.random
	}
	if !acceptable(body) {
		return false
	}
	f.pinned, f.random = true, random
	f.hellos = nil
	return true
}

// acceptable reports whether pion would be able to go on from this hello: it
// answers anything else with a fatal alert and ends, which must not be in the
// power of whoever can send a datagram (reliability A1).
func acceptable(body []byte) bool {
	var m handshake.MessageClientHello
	if err := m.Unmarshal(body); err != nil {
		return false
	}
	if !m.Version.Equal(protocol.Version1_2) {
		return false
	}
	suite := slices.ContainsFunc(m.CipherSuiteIDs, func(id uint16) bool {
		return slices.Contains(serverSuites, piondtls.CipherSuiteID(id))
	})
	var srtp, ems bool
	groups, sigs := true, true
	for _, e := range m.Extensions {
		switch ext := e.(type) {
		case *extension.UseSRTP:
			srtp = slices.ContainsFunc(ext.ProtectionProfiles, func(p piondtls.SRTPProtectionProfile) bool {
				return slices.Contains(profiles, p)
			})
		case *extension.UseExtendedMasterSecret:
			ems = true
		case *extension.SupportedEllipticCurves:
			groups = slices.ContainsFunc(ext.EllipticCurves, func(c elliptic.Curve) bool {
				return slices.Contains(curves, c)
			})
		case *extension.SupportedSignatureAlgorithms:
			sigs = slices.Contains(ext.SignatureHashAlgorithms,
				signaturehash.Algorithm{Hash: hash.SHA256, Signature: signature.ECDSA})
		}
	}
	return suite && srtp && ems && groups && sigs
}

// wrapHello puts a complete ClientHello into one record of one fragment.
func wrapHello(r record, h hsHeader, body []byte) []byte {
	out := make([]byte, 0, recordHeader+handshakeHeader+len(body))
	out = append(out, r.raw[:recordHeader]...)
	binary.BigEndian.PutUint16(out[11:], uint16(handshakeHeader+len(body)))
	n := len(body)
	out = append(out, typeClientHello, byte(n>>16), byte(n>>8), byte(n), byte(h.seq>>8), byte(h.seq),
		0, 0, 0, byte(n>>16), byte(n>>8), byte(n))
	return append(out, body...)
}
