package turn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	pion "github.com/pion/turn/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = netip.MustParseAddr("127.0.0.1")

const patience = 10 * time.Second // a real wait on a slow machine

// lab is a running server on loopback; its relays are there too, which is the one
// own address that may be reached.
type lab struct {
	*Server
	t   *testing.T
	own *net.UDPConn // a service of this machine that is no relay
}

func newLab(t *testing.T, change func(*Config)) *lab {
	t.Helper()
	c := Config{
		Listen: netip.AddrPortFrom(loopback, 0), Relays: []Relay{{loopback, loopback}}, Own: []netip.Addr{loopback, netip.IPv6Loopback()},
		Ports: freePorts(t, 200), TLS: testTLS(t),
	}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	l := &lab{Server: s, t: t}
	if l.own, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.own.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l
}

var nextPorts struct {
	sync.Mutex
	at uint16
}

// freePorts is a range that no other test uses.
func freePorts(t *testing.T, n uint16) Ports {
	t.Helper()
	nextPorts.Lock()
	defer nextPorts.Unlock()
	if nextPorts.at == 0 {
		nextPorts.at = 52000
	}
	p := Ports{nextPorts.at, nextPorts.at + n - 1}
	nextPorts.at += n
	return p
}

func testTLS(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}

// client speaks the protocol by hand, so that it can say what libraries would not.
type client struct {
	t      *testing.T
	conn   net.Conn
	stream bool
	name   string
	key    stun.MessageIntegrity
	nonce  string
	relay  netip.AddrPort
}

// dial connects as user by "udp", "tcp" or "tls".
func (l *lab) dial(network, user string) *client {
	l.t.Helper()
	var conn net.Conn
	var err error
	switch network {
	case "tls":
		conn, err = tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a certificate of the test's own
	default:
		conn, err = net.Dial(network, l.Addr().String())
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = conn.Close() })
	name, password := l.Credentials(user, "session")
	return &client{t: l.t, conn: conn, stream: network != "udp", name: name, key: pion.GenerateAuthKey(name, l.cfg.Realm, password)}
}

func (c *client) send(m *stun.Message) {
	c.t.Helper()
	if _, err := c.conn.Write(m.Raw); err != nil {
		c.t.Fatal(err)
	}
}

// receive returns the next message, or nil within the time.
func (c *client) receive(wait time.Duration) *stun.Message {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 2048)
	n := 0
	if c.stream {
		if _, err := io.ReadFull(c.conn, buf[:headerLen]); err != nil {
			return nil
		}
		n = headerLen + int(binary.BigEndian.Uint16(buf[2:]))
		if _, err := io.ReadFull(c.conn, buf[headerLen:n]); err != nil {
			return nil
		}
	} else {
		var err error
		if n, err = c.conn.Read(buf); err != nil {
			return nil
		}
	}
	m := &stun.Message{Raw: buf[:n]}
	if err := m.Decode(); err != nil {
		c.t.Fatalf("%v: %x", err, buf[:n])
	}
	return m
}

// exchange sends a request and waits for the answer; over UDP it sends it again.
func (c *client) exchange(m *stun.Message) *stun.Message {
	c.t.Helper()
	if c.stream {
		c.send(m)
		return c.receive(patience)
	}
	for wait := 250 * time.Millisecond; wait < patience; wait *= 2 {
		c.send(m)
		if r := c.receive(wait); r != nil {
			return r
		}
	}
	return nil
}

// ask makes a request with credentials and returns its code, 0 for success, and the
// response.
func (c *client) ask(method stun.Method, attrs ...stun.Setter) (int, *stun.Message) {
	c.t.Helper()
	for range 3 {
		all := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attrs...)
		if c.nonce != "" {
			all = append(all, stun.NewUsername(c.name), stun.NewRealm("parley"), stun.NewNonce(c.nonce), c.key)
		}
		m, err := stun.Build(all...)
		if err != nil {
			c.t.Fatal(err)
		}
		r := c.exchange(m)
		if r == nil {
			c.t.Fatalf("no answer to %s", method)
		}
		if r.Type.Class == stun.ClassSuccessResponse {
			return 0, r
		}
		var code stun.ErrorCodeAttribute
		if err := code.GetFrom(r); err != nil {
			c.t.Fatal(err)
		}
		if code.Code != stun.CodeUnauthorized && code.Code != stun.CodeStaleNonce {
			return int(code.Code), r
		}
		var nonce stun.Nonce
		if nonce.GetFrom(r) != nil {
			return int(code.Code), r
		}
		c.nonce = nonce.String()
	}
	c.t.Fatal("the nonce is stale again and again")
	return 0, nil
}

// raw is an attribute as bytes.
type raw struct {
	kind  stun.AttrType
	value []byte
}

func (r raw) AddTo(m *stun.Message) error {
	m.Add(r.kind, r.value)
	return nil
}

var overUDP = raw{stun.AttrRequestedTransport, []byte{17, 0, 0, 0}}

func lifetime(s uint32) raw {
	return raw{stun.AttrLifetime, binary.BigEndian.AppendUint32(nil, s)}
}

func channel(n uint16) raw {
	return raw{stun.AttrChannelNumber, []byte{byte(n >> 8), byte(n), 0, 0}}
}

// peer is an XOR-PEER-ADDRESS as it is spelled: an address in IPv6 clothes keeps them.
type peer netip.AddrPort

func (p peer) AddTo(m *stun.Message) error {
	a := netip.AddrPort(p)
	var mask [16]byte
	binary.BigEndian.PutUint32(mask[:], magic)
	copy(mask[4:], m.TransactionID[:])
	b := a.Addr().AsSlice()
	for i := range b {
		b[i] ^= mask[i]
	}
	family := byte(1)
	if len(b) == 16 {
		family = 2
	}
	port := a.Port() ^ uint16(magic>>16)
	m.Add(stun.AttrXORPeerAddress, append([]byte{0, family, byte(port >> 8), byte(port)}, b...))
	return nil
}

func to(s string) peer { return peer(netip.MustParseAddrPort(s)) }

// allocate gets a relay, or tells why not.
func (c *client) allocate(attrs ...stun.Setter) int {
	c.t.Helper()
	code, r := c.ask(stun.MethodAllocate, append([]stun.Setter{overUDP}, attrs...)...)
	if code != 0 {
		return code
	}
	v, err := r.Get(stun.AttrXORRelayedAddress)
	if err != nil {
		c.t.Fatal(err)
	}
	c.relay, _ = peerAddress(v, r.TransactionID)
	return 0
}

// permit gives another client's relay leave.
func (c *client) permit(other netip.AddrPort) {
	c.t.Helper()
	if code, _ := c.ask(stun.MethodCreatePermission, peer(other)); code != 0 {
		c.t.Fatalf("permission for %s: %d", other, code)
	}
}

// say sends data by a Send indication.
func (c *client) say(dst peer, data []byte) {
	c.t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication), dst, raw{stun.AttrData, data})
	if err != nil {
		c.t.Fatal(err)
	}
	c.send(m)
}

// hear returns the data of the next Data indication and who sent it.
func (c *client) hear(wait time.Duration) ([]byte, netip.AddrPort) {
	c.t.Helper()
	m := c.receive(wait)
	if m == nil {
		return nil, netip.AddrPort{}
	}
	data, err := m.Get(stun.AttrData)
	if err != nil {
		c.t.Fatalf("%s: %v", m, err)
	}
	from, err := m.Get(stun.AttrXORPeerAddress)
	if err != nil {
		c.t.Fatal(err)
	}
	a, _ := peerAddress(from, m.TransactionID)
	return data, a
}

// until waits for something that real sockets do in their own time.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not in time: %s", what)
		}
	}
}
