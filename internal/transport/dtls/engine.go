package dtls

import (
	"crypto/x509"
	"time"

	piondtls "github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/elliptic"
	"github.com/pion/logging"
)

// flightInterval is the first retransmission time. RFC 6347 recommends 1 s for
// unknown networks; here ICE has just measured the path, and a lost flight is a
// person waiting for the first picture. It doubles, as the RFC asks.
const flightInterval = 100 * time.Millisecond

// recordRoom is kept free in the MTU for the record and fragment headers,
// nonce and tag that pion adds to its fragments.
const recordRoom = 64

// profiles in order of preference: GCM costs a sixth of CM with pion's code and
// a third with ours (RFC 7714; RFC 5764, section 4.1.2).
var profiles = []piondtls.SRTPProtectionProfile{
	piondtls.SRTP_AEAD_AES_128_GCM,
	piondtls.SRTP_AES128_CM_HMAC_SHA1_80,
}

// serverSuites fit our ECDSA certificate; a client meets RSA peers as well.
var serverSuites = []piondtls.CipherSuiteID{
	piondtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	piondtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	piondtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	piondtls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
}

var clientSuites = append(append([]piondtls.CipherSuiteID{}, serverSuites...),
	piondtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	piondtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	piondtls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	piondtls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
)

var curves = []elliptic.Curve{elliptic.X25519, elliptic.P256, elliptic.P384}

// quiet keeps pion's log out of ours: its messages can hold bytes of the peer.
var quiet = &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}

func (c *Conn) newPeer(p *pipe) (*piondtls.Conn, error) {
	profiles := profiles
	if c.cfg.OnlyCM {
		profiles = profiles[1:]
	}
	shared := []piondtls.Option{
		piondtls.WithCertificates(c.cfg.Identity.cert),
		piondtls.WithSRTPProtectionProfiles(profiles...),
		// Without it a man in the middle of two sessions could splice them
		// (RFC 7627); every browser since 2016 has it.
		piondtls.WithExtendedMasterSecret(piondtls.RequireExtendedMasterSecret),
		piondtls.WithFlightInterval(flightInterval),
		piondtls.WithMTU(c.cfg.MTU - recordRoom),
		piondtls.WithEllipticCurves(curves...),
		piondtls.WithLoggerFactory(quiet),
		// Self-signed by design: the fingerprint is the proof (RFC 8827, section 6.5).
		piondtls.WithInsecureSkipVerify(true),
		piondtls.WithVerifyPeerCertificate(c.verify),
		piondtls.WithKeyLogWriter(p), // in memory, for the peer's goodbye only
	}
	if c.cfg.Client {
		opts := []piondtls.ClientOption{piondtls.WithCipherSuites(clientSuites...)}
		for _, o := range shared {
			opts = append(opts, o)
		}
		return piondtls.ClientWithOptions(p, peerAddr, opts...)
	}
	opts := []piondtls.ServerOption{
		piondtls.WithCipherSuites(serverSuites...),
		piondtls.WithClientAuth(piondtls.RequireAnyClientCert),
		piondtls.WithInsecureSkipVerifyHello(true),
	}
	for _, o := range shared {
		opts = append(opts, o)
	}
	return piondtls.ServerWithOptions(p, peerAddr, opts...)
}

// verify runs inside the handshake, in both roles, so that a wrong certificate
// never gets a Finished.
func (c *Conn) verify(raw [][]byte, _ [][]*x509.Certificate) error {
	if len(raw) == 0 {
		return errNoCertificate
	}
	return checkFingerprint(raw[0], c.cfg.Fingerprints)
}

// exportKeys checks the certificate once more, since the keys must not depend
// on a callback of another library having been called (reliability A2), and
// derives the SRTP keys (RFC 5764, section 4.2).
func (c *Conn) exportKeys(peer *piondtls.Conn) (Keys, error) {
	st, ok := peer.ConnectionState()
	if !ok {
		return Keys{}, errNoProfile
	}
	if err := c.verify(st.PeerCertificates, nil); err != nil {
		return Keys{}, err
	}
	profile, ok := peer.SelectedSRTPProtectionProfile()
	if !ok {
		return Keys{}, errNoProfile
	}
	const key = 16
	salt := 14
	if profile == piondtls.SRTP_AEAD_AES_128_GCM {
		salt = 12 // RFC 7714, section 12
	}
	m, err := st.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*(key+salt))
	if err != nil {
		return Keys{}, err
	}
	ck, sk, m := m[:key], m[key:2*key], m[2*key:]
	cs, ss := m[:salt], m[salt:]
	k := Keys{Profile: uint16(profile), LocalKey: sk, LocalSalt: ss, RemoteKey: ck, RemoteSalt: cs}
	if c.cfg.Client {
		k.LocalKey, k.LocalSalt, k.RemoteKey, k.RemoteSalt = ck, cs, sk, ss
	}
	return k, nil
}
