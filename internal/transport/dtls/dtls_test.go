package dtls

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	mrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	piondtls "github.com/pion/dtls/v3"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen; only a broken run
// ever waits that long.
const patience = 20 * time.Second

func newIdentity(t testing.TB) *Identity {
	t.Helper()
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func fingerprints(id *Identity) []Fingerprint {
	h, v := id.Fingerprint()
	return []Fingerprint{{h, v}}
}

type result struct {
	keys Keys
	err  error
}

// wire is a one-way path with its own goroutine, since Send must not call back.
type wire struct {
	ch   chan []byte
	done chan struct{}
}

func newWire(deliver func([]byte)) *wire {
	w := &wire{ch: make(chan []byte, 4096), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for d := range w.ch {
			deliver(d)
		}
	}()
	return w
}

// pair is a client and a server Conn, each fed by the other.
type pair struct {
	client, server *Conn
	c2s, s2c       *wire
	cres, sres     chan result
	stop           sync.Once
}

type pairOptions struct {
	client, server func(*Config)
	toServer       func(s *Conn, d []byte) // replaces plain delivery
	toClient       func(c *Conn, d []byte)
	limits         Limits
}

func start(t testing.TB, o pairOptions) *pair {
	t.Helper()
	p := &pair{cres: make(chan result, 2), sres: make(chan result, 2)}
	cid, sid := newIdentity(t), newIdentity(t)
	if o.toServer == nil {
		o.toServer = func(s *Conn, d []byte) { s.HandleDatagram(d) }
	}
	if o.toClient == nil {
		o.toClient = func(c *Conn, d []byte) { c.HandleDatagram(d) }
	}
	ready := make(chan struct{})
	p.c2s = newWire(func(d []byte) { <-ready; o.toServer(p.server, d) })
	p.s2c = newWire(func(d []byte) { <-ready; o.toClient(p.client, d) })
	pool := NewPool(o.limits)
	scfg := Config{Identity: sid, Fingerprints: fingerprints(cid), Send: func(d []byte) { p.c2sSafe(p.s2c, d) },
		Done: func(k Keys, err error) { p.sres <- result{k, err} }}
	ccfg := Config{Identity: cid, Fingerprints: fingerprints(sid), Client: true, Send: func(d []byte) { p.c2sSafe(p.c2s, d) },
		Done: func(k Keys, err error) { p.cres <- result{k, err} }}
	if o.server != nil {
		o.server(&scfg)
	}
	if o.client != nil {
		o.client(&ccfg)
	}
	p.server = pool.Start(scfg)
	p.client = pool.Start(ccfg)
	close(ready)
	t.Cleanup(p.close)
	return p
}

func (p *pair) c2sSafe(w *wire, d []byte) {
	defer func() { _ = recover() }() // a retransmission after the test closed the wire
	select {
	case w.ch <- d:
	default:
	}
}

func (p *pair) close() {
	p.stop.Do(func() {
		p.client.Close()
		p.server.Close()
		close(p.c2s.ch)
		close(p.s2c.ch)
		<-p.c2s.done
		<-p.s2c.done
	})
}

func wait(t testing.TB, ch chan result) result {
	t.Helper()
	select {
	case r := <-ch:
		return r
	case <-time.After(patience):
		t.Fatal("no result")
		return result{}
	}
}

func (p *pair) mustConnect(t testing.TB) (c, s Keys) {
	t.Helper()
	rc, rs := wait(t, p.cres), wait(t, p.sres)
	if rc.err != nil || rs.err != nil {
		t.Fatalf("client %v, server %v", rc.err, rs.err)
	}
	if !bytes.Equal(rc.keys.LocalKey, rs.keys.RemoteKey) || !bytes.Equal(rc.keys.RemoteSalt, rs.keys.LocalSalt) ||
		!bytes.Equal(rc.keys.RemoteKey, rs.keys.LocalKey) || !bytes.Equal(rc.keys.LocalSalt, rs.keys.RemoteSalt) {
		t.Fatal("keys differ")
	}
	return rc.keys, rs.keys
}

func TestHandshakeGivesEqualKeysAndPrefersGCM(t *testing.T) {
	k, _ := start(t, pairOptions{}).mustConnect(t)
	if k.Profile != uint16(piondtls.SRTP_AEAD_AES_128_GCM) || len(k.LocalKey) != 16 || len(k.LocalSalt) != 12 {
		t.Fatalf("profile %d, key %d, salt %d", k.Profile, len(k.LocalKey), len(k.LocalSalt))
	}
}

// TestA2_D14 plays the wrong certificate in each role: no keys come out, and
// the end comes from the check, not from the time limit.
func TestA2_D14_FingerprintIsEnforcedInBothRoles(t *testing.T) {
	other := newIdentity(t)
	sum := sha256.Sum256([]byte("x"))
	cases := map[string]func(right []Fingerprint) []Fingerprint{
		"wrong certificate": func([]Fingerprint) []Fingerprint { return fingerprints(other) },
		"wrong hash length": func([]Fingerprint) []Fingerprint { return []Fingerprint{{"sha-512", colonHex(sum[:])}} },
		"sha-1 refused": func(r []Fingerprint) []Fingerprint {
			return []Fingerprint{{"sha-1", r[0].Value}, {"md5", r[0].Value}}
		},
		"none": func([]Fingerprint) []Fingerprint { return nil },
		"weaker right, stronger wrong": func(r []Fingerprint) []Fingerprint {
			s := sha512.Sum512([]byte("x"))
			return []Fingerprint{r[0], {"sha-512", colonHex(s[:])}}
		},
	}
	for name, change := range cases {
		for _, role := range []string{"server checks", "client checks"} {
			t.Run(name+"/"+role, func(t *testing.T) {
				edit := func(c *Config) { c.Fingerprints = change(c.Fingerprints) }
				o := pairOptions{server: edit}
				if role == "client checks" {
					o = pairOptions{client: edit}
				}
				p := start(t, o)
				res := p.sres
				if role == "client checks" {
					res = p.cres
				}
				r := wait(t, res)
				if r.err == nil || IsTimeout(r.err) || r.keys.LocalKey != nil {
					t.Fatalf("err %v, keys %v", r.err, r.keys)
				}
				if strings.Contains(name, "wrong") && !errors.Is(r.err, ErrFingerprint) {
					t.Fatalf("err %v", r.err)
				}
			})
		}
	}
}

func TestA2_D14_AnyOfSeveralFingerprintsOfTheStrongestHash(t *testing.T) {
	other := newIdentity(t)
	add := func(c *Config) { c.Fingerprints = append(fingerprints(other), c.Fingerprints...) }
	start(t, pairOptions{client: add, server: add}).mustConnect(t)
}

// pionPeer runs a stranger: pion itself, with its own options.
func pionPeer(t *testing.T, client bool, cert tls.Certificate, profile piondtls.SRTPProtectionProfile, fps []Fingerprint) (Keys, error) {
	t.Helper()
	ours, res := newIdentity(t), make(chan result, 1)
	var conn *Conn
	ready := make(chan struct{})
	var stranger *pipe
	in := newWire(func(d []byte) { <-ready; conn.HandleDatagram(d) })
	stranger = newPipe(func(d []byte) { in.ch <- d }, client)
	conn = NewPool(Limits{}).Start(Config{Identity: ours, Client: !client, Fingerprints: fps,
		Send: func(d []byte) { stranger.push(d) }, Done: func(k Keys, err error) { res <- result{k, err} }})
	close(ready)
	opts := []piondtls.Option{
		piondtls.WithCertificates(cert), piondtls.WithSRTPProtectionProfiles(profile),
		piondtls.WithInsecureSkipVerify(true), piondtls.WithFlightInterval(200 * time.Millisecond),
		piondtls.WithMTU(300), // force fragments
	}
	var peer *piondtls.Conn
	var err error
	if client {
		var co []piondtls.ClientOption
		for _, o := range opts {
			co = append(co, o)
		}
		peer, err = piondtls.ClientWithOptions(stranger, peerAddr, co...)
	} else {
		so := []piondtls.ServerOption{piondtls.WithClientAuth(piondtls.RequireAnyClientCert)}
		for _, o := range opts {
			so = append(so, o)
		}
		peer, err = piondtls.ServerWithOptions(stranger, peerAddr, so...)
	}
	if err != nil {
		t.Fatal(err)
	}
	hs := make(chan error, 1)
	go func() { hs <- peer.Handshake() }()
	r := wait(t, res)
	if r.err == nil {
		<-hs
	}
	conn.Close()
	_ = peer.Close()
	if r.err != nil {
		<-hs
	}
	close(in.ch)
	<-in.done
	return r.keys, r.err
}

func rsaCert(t *testing.T) (tls.Certificate, []Fingerprint) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "old"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, []Fingerprint{{"SHA-256", strings.ToLower(colonHex(sum[:]))}}
}

// TestQ15_RSAPeerAndCMProfile: an RSA-2048 stranger that speaks only CM, whose
// messages come in small fragments, in both roles.
func TestQ15_RSAPeerAndCMProfile(t *testing.T) {
	cert, fps := rsaCert(t)
	for _, client := range []bool{true, false} {
		k, err := pionPeer(t, client, cert, piondtls.SRTP_AES128_CM_HMAC_SHA1_80, fps)
		if err != nil {
			t.Fatalf("stranger client=%v: %v", client, err)
		}
		if k.Profile != uint16(piondtls.SRTP_AES128_CM_HMAC_SHA1_80) || len(k.RemoteSalt) != 14 {
			t.Fatalf("profile %d salt %d", k.Profile, len(k.RemoteSalt))
		}
	}
}

func TestQ15_DatagramsFitTheMTU(t *testing.T) {
	var mu sync.Mutex
	largest := 0
	note := func(d []byte) {
		mu.Lock()
		largest = max(largest, len(d))
		mu.Unlock()
	}
	p := start(t, pairOptions{
		toServer: func(s *Conn, d []byte) { note(d); s.HandleDatagram(d) },
		toClient: func(c *Conn, d []byte) { note(d); c.HandleDatagram(d) },
	})
	p.mustConnect(t)
	mu.Lock()
	defer mu.Unlock()
	if largest > 1200 {
		t.Fatalf("datagram of %d bytes", largest)
	}
}

// TestLossyHandshake drops every third datagram each way, so that last flights
// are lost too and must be repeated by a detached server.
func TestLossyHandshakeStillFinishes(t *testing.T) {
	for seed := uint64(1); seed <= 6; seed++ {
		rng := mrand.New(mrand.NewPCG(seed, 1))
		var mu sync.Mutex
		lose := func() bool { mu.Lock(); defer mu.Unlock(); return rng.IntN(3) == 0 }
		p := start(t, pairOptions{
			toServer: func(s *Conn, d []byte) {
				if !lose() {
					s.HandleDatagram(d)
				}
			},
			toClient: func(c *Conn, d []byte) {
				if !lose() {
					c.HandleDatagram(d)
				}
			},
		})
		t.Logf("seed %d", seed)
		p.mustConnect(t)
		p.close()
	}
}

// TestLateFlight loses the server's last flight twice: the server is detached
// by then and answers from memory.
func TestLateFlightIsRepeatedAfterDetach(t *testing.T) {
	var lost int
	p := start(t, pairOptions{toClient: func(c *Conn, d []byte) {
		if holdsCCS(d) && lost < 2 {
			lost++
			return
		}
		c.HandleDatagram(d)
	}})
	p.mustConnect(t)
	p.server.mu.Lock()
	state, peer := p.server.state, p.server.peer
	p.server.mu.Unlock()
	if state != stateDetached || peer != nil || lost != 2 {
		t.Fatalf("state %v, peer kept %v, lost %d", state, peer != nil, lost)
	}
}

// TestCloseAfterDetach: the peer, whose connection is alive, gets a close_notify
// that its DTLS accepts although ours is gone.
func TestCloseAfterDetachSaysGoodbye(t *testing.T) {
	p := start(t, pairOptions{client: func(c *Config) { c.KeepData = true }})
	p.mustConnect(t)
	p.server.Close()
	data := p.client.Data()
	_ = data.SetReadDeadline(time.Now().Add(patience))
	if _, err := data.Read(make([]byte, 2000)); err == nil || errors.Is(err, piondtls.ErrConnClosed) || isDeadline(err) {
		t.Fatalf("read: %v", err)
	}
}

func isDeadline(err error) bool {
	var n interface{ Timeout() bool }
	return errors.As(err, &n) && n.Timeout()
}

func TestDataPassesWhenKept(t *testing.T) {
	keep := func(c *Config) { c.KeepData = true }
	first := make(chan struct{}, 2)
	p := start(t, pairOptions{client: keep, server: func(c *Config) {
		c.KeepData = true
		c.FirstData = func() { first <- struct{}{} }
	}})
	p.mustConnect(t)
	if _, err := p.client.Data().Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-first:
	case <-time.After(patience):
		t.Fatal("FirstData not called")
	}
	b := make([]byte, 2000)
	d := p.server.Data()
	_ = d.SetReadDeadline(time.Now().Add(patience))
	if n, err := d.Read(b); err != nil || string(b[:n]) != "hello" {
		t.Fatalf("%q %v", b[:n], err)
	}
}

func TestTimeoutAndCloseReportOnce(t *testing.T) {
	res := make(chan result, 4)
	cfg := Config{Identity: newIdentity(t), Send: func([]byte) {}, Done: func(k Keys, err error) { res <- result{k, err} }}
	for _, client := range []bool{false, true} {
		cfg.Client = client
		c := NewPool(Limits{Timeout: 50 * time.Millisecond}).Start(cfg)
		if r := wait(t, res); !IsTimeout(r.err) {
			t.Fatalf("client %v: %v", client, r.err)
		}
		c.Close()
		c = NewPool(Limits{}).Start(cfg)
		c.Close()
		c.Close()
		if r := wait(t, res); !errors.Is(r.err, ErrClosed) {
			t.Fatalf("client %v: %v", client, r.err)
		}
	}
	if len(res) != 0 {
		t.Fatal("Done called twice")
	}
}

func TestPoolRefusesBeyondItsQueue(t *testing.T) {
	res := make(chan result, 3)
	pool := NewPool(Limits{Running: 1, Queue: 1})
	cfg := Config{Identity: newIdentity(t), Client: true, Send: func([]byte) {}, Done: func(k Keys, err error) { res <- result{k, err} }}
	a, b, c := pool.Start(cfg), pool.Start(cfg), pool.Start(cfg)
	if r := wait(t, res); !errors.Is(r.err, ErrBusy) {
		t.Fatal(r.err)
	}
	for _, x := range []*Conn{a, b, c} {
		x.Close()
	}
}
