package turn

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/stun/v4"
)

// guard looks at what clients ask for before the protocol does. It sees ports,
// which pion's permission handler does not, and answers by itself what is refused
// whoever asks.
type guard struct {
	peers  *peers
	relays *relays
	cap    *limiter

	refused, limited counter
}

// verdict of a message.
type verdict int

const (
	pass verdict = iota
	drop
	refuse // with code
)

const headerLen = 20

// Attributes and methods that are looked at (RFC 8656, section 18; RFC 6062, section 6).
const (
	requestedTCP = 6
	familyIPv6   = 2
)

// judge decides about one message of a client. Channel data and Send indications
// are decided where they leave, in [relay.WriteTo].
//
// An invalid from stands for a client that is known to be where it says, since
// it came by a handshake.
func (g *guard) judge(b []byte, from netip.Addr, now time.Time) (verdict, stun.ErrorCode) {
	if len(b) < headerLen || b[0]&0xC0 != 0 {
		return pass, 0
	}
	var t stun.MessageType
	t.ReadValue(binary.BigEndian.Uint16(b[:2]))
	if t.Class != stun.ClassRequest {
		return pass, 0
	}
	m := &stun.Message{Raw: b}
	if m.Decode() != nil {
		return drop, 0
	}
	if !m.Contains(stun.AttrMessageIntegrity) { // a challenge follows, or a Binding response
		if from.IsValid() && !g.cap.take(from, now) {
			g.limited.Add(1)
			return drop, 0
		}
		return pass, 0
	}
	code := g.refusal(m)
	if code == 0 {
		return pass, 0
	}
	g.refused.Add(1)
	return refuse, code
}

// refusal is why a request is refused whoever makes it; 0: it is not.
func (g *guard) refusal(m *stun.Message) stun.ErrorCode {
	switch m.Type.Method {
	case stun.MethodAllocate:
		return g.refusedAllocation(m)
	case stun.MethodCreatePermission, stun.MethodChannelBind, stun.MethodConnect:
		for _, a := range m.Attributes {
			if a.Type != stun.AttrXORPeerAddress {
				continue
			}
			to, ok := peerAddress(a.Value, m.TransactionID)
			if !ok {
				return stun.CodeBadRequest
			}
			if !g.peers.mayReach(to) {
				return stun.CodeForbidden
			}
		}
		if m.Type.Method == stun.MethodConnect {
			return stun.CodeAllocMismatch // of an allocation for TCP (RFC 6062, section 5.2), and there is none
		}
	case stun.MethodConnectionBind:
		return stun.CodeBadRequest // of a connection that does not exist (RFC 6062, section 5.4)
	}
	return 0
}

func (g *guard) refusedAllocation(m *stun.Message) stun.ErrorCode {
	if v, err := m.Get(stun.AttrRequestedTransport); err == nil && len(v) == 4 && v[0] == requestedTCP {
		return stun.CodeUnsupportedTransProto
	}
	if v, err := m.Get(stun.AttrRequestedAddressFamily); err == nil && len(v) == 4 {
		network := "udp4"
		if v[0] == familyIPv6 {
			network = "udp6"
		}
		if _, ok := g.relays.family(network); !ok {
			return stun.CodeAddrFamilyNotSupported
		}
	}
	return 0
}

// magic is the cookie of RFC 8489, section 5, with which addresses are masked.
const magic = 0x2112A442

// peerAddress reads an XOR-PEER-ADDRESS (RFC 8489, section 14.2) as it is written:
// an IPv4 address in IPv6 clothes stays one.
func peerAddress(v []byte, id [stun.TransactionIDSize]byte) (netip.AddrPort, bool) {
	if len(v) < 8 {
		return netip.AddrPort{}, false
	}
	var mask [16]byte
	binary.BigEndian.PutUint32(mask[:], magic)
	copy(mask[4:], id[:])
	port := binary.BigEndian.Uint16(v[2:]) ^ uint16(magic>>16)
	size := 0
	switch v[1] {
	case 1:
		size = 4
	case familyIPv6:
		size = 16
	}
	if size == 0 || len(v) != 4+size {
		return netip.AddrPort{}, false
	}
	raw := make([]byte, size)
	for i := range raw {
		raw[i] = v[4+i] ^ mask[i]
	}
	a, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a, port), ok
}

// answer is the error response to a request.
func answer(b []byte, code stun.ErrorCode) []byte {
	m, err := stun.Build(
		stun.NewTransactionIDSetter([stun.TransactionIDSize]byte(b[8:20])),
		stun.NewType(methodOf(b), stun.ClassErrorResponse),
		&stun.ErrorCodeAttribute{Code: code},
	)
	if err != nil {
		return nil
	}
	return m.Raw
}

func methodOf(b []byte) stun.Method {
	var t stun.MessageType
	t.ReadValue(binary.BigEndian.Uint16(b[:2]))
	return t.Method
}

// socket is the UDP socket of clients behind the guard.
type socket struct {
	net.PacketConn
	guard *guard
	now   func() time.Time
}

// ReadFrom returns the next message that the protocol may see.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.PacketConn.ReadFrom(b)
		if err != nil {
			return n, from, err
		}
		a, ok := udpAddr(from)
		if !ok || n > maxFrame {
			continue
		}
		v, code := s.guard.judge(b[:n], a.Addr(), s.now())
		switch v {
		case pass:
			return n, from, nil
		case refuse:
			_, _ = s.PacketConn.WriteTo(answer(b[:n], code), from)
		case drop:
		}
	}
}

// limiter bounds what an address is answered before it shows credentials. A second
// begins with an empty table, so it forgets by itself.
type limiter struct {
	mu    sync.Mutex
	since time.Time
	seen  map[netip.Prefix]int
}

// maxSources bounds the table; in a second with more, newcomers are not answered.
const maxSources = 20_000

func (l *limiter) take(a netip.Addr, now time.Time) bool {
	bits := 32
	if plain(a).Is6() {
		bits = 64 // one subscriber has as many addresses as it likes
	}
	p, err := plain(a).Prefix(bits)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil || now.Sub(l.since) >= time.Second {
		l.seen, l.since = map[netip.Prefix]int{}, now
	}
	n, known := l.seen[p]
	if n >= challenges || !known && len(l.seen) >= maxSources {
		return false
	}
	l.seen[p] = n + 1
	return true
}
