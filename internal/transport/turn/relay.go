package turn

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	pion "github.com/pion/turn/v5"
)

var (
	errFull   = errors.New("turn: no relay port is free")
	errFamily = errors.New("turn: no relay address of this family")
	errTCP    = errors.New("turn: relays carry UDP only")
)

// relays hands out relay sockets and knows which there are. It implements pion's
// RelayAddressGenerator.
type relays struct {
	cfg   []Relay
	ports Ports
	peers *peers // set once, before use

	mu   sync.RWMutex
	open map[netip.AddrPort]*relay // by announced address

	dropIn, dropOut, in, out atomic.Uint64 // packets
	bytesIn, bytesOut        atomic.Uint64
}

func newRelays(c *Config) *relays {
	return &relays{cfg: c.Relays, ports: c.Ports, open: map[netip.AddrPort]*relay{}}
}

// announced reports whether relays have this address.
func (r *relays) announced(a netip.Addr) bool {
	for _, c := range r.cfg {
		if plain(c.Announce) == a {
			return true
		}
	}
	return false
}

// at finds the relay that has an announced address.
func (r *relays) at(a netip.AddrPort) *relay {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.open[a]
}

// family finds the address for "udp4" or "udp6".
func (r *relays) family(network string) (Relay, bool) {
	for _, c := range r.cfg {
		if c.Bind.Unmap().Is4() == (network == "udp4") {
			return c, true
		}
	}
	return Relay{}, false
}

// Validate implements pion's RelayAddressGenerator.
func (r *relays) Validate() error { return nil }

// AllocateListener implements pion's RelayAddressGenerator; relays are UDP.
func (r *relays) AllocateListener(pion.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errTCP
}

// AllocateConn implements pion's RelayAddressGenerator; relays are UDP.
func (r *relays) AllocateConn(pion.AllocateConnConfig) (net.Conn, error) { return nil, errTCP }

// AllocatePacketConn implements pion's RelayAddressGenerator: any port of the range,
// tried from a random one on, so that the last free one is found and none can be
// foretold (RFC 8656, section 7.2).
func (r *relays) AllocatePacketConn(c pion.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	where, ok := r.family(c.Network)
	if !ok {
		return nil, nil, errFamily
	}
	n := int(r.ports.Max) - int(r.ports.Min) + 1
	first := rand.IntN(n)
	if c.RequestedPort != 0 {
		if c.RequestedPort > 65535 || !r.ports.Contains(uint16(c.RequestedPort)) { //nolint:gosec // was compared
			return nil, nil, errFull
		}
		first, n = c.RequestedPort-int(r.ports.Min), 1
	}
	size := int(r.ports.Max) - int(r.ports.Min) + 1
	for i := range n {
		port := uint16(int(r.ports.Min) + (first+i)%size) //nolint:gosec // in the range
		if r.at(netip.AddrPortFrom(plain(where.Announce), port)) != nil {
			continue
		}
		conn, err := net.ListenUDP(c.Network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(where.Bind, port)))
		if err != nil {
			continue // somebody else has it
		}
		one := r.add(conn, where, port)
		return one, net.UDPAddrFromAddrPort(one.addr), nil
	}
	return nil, nil, errFull
}

func (r *relays) add(conn *net.UDPConn, where Relay, port uint16) *relay {
	_ = conn.SetReadBuffer(relayBuffer) // less is no failure
	_ = conn.SetWriteBuffer(relayBuffer)
	one := &relay{UDPConn: conn, all: r, addr: netip.AddrPortFrom(plain(where.Announce), port), near: near(where.Bind), given: map[netip.Addr]bool{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[one.addr] = one
	return one
}

// relayBuffer bears a key frame of the best picture.
const relayBuffer = 1 << 20

// near is where this machine reaches a relay of its own that is bound to an address.
func near(bind netip.Addr) netip.Addr {
	switch {
	case !bind.IsUnspecified():
		return plain(bind)
	case bind.Unmap().Is4():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}

// relay is one allocation's socket. It lets through what goes to peers that may be
// reached and comes from peers that were given leave; pion asks the same, this is
// where the packets are. Packets from one relay to another stay on this machine,
// since the way out and back in is not open everywhere.
type relay struct {
	*net.UDPConn
	all  *relays
	addr netip.AddrPort // as announced
	near netip.Addr

	mu    sync.RWMutex
	given map[netip.Addr]bool // peers with leave
}

// WriteTo sends to a peer; what may not be sent is dropped without a word, as a
// Send indication without permission is (RFC 8656, section 11.2).
func (r *relay) WriteTo(b []byte, to net.Addr) (int, error) {
	dst, ok := udpAddr(to)
	if !ok || dst.Port() == 0 || !r.all.peers.mayReach(dst) {
		r.all.dropOut.Add(1)
		return len(b), nil
	}
	if other := r.all.at(dst); other != nil {
		dst = netip.AddrPortFrom(other.near, dst.Port())
	}
	n, err := r.WriteToUDPAddrPort(b, dst)
	if err != nil {
		if errors.Is(err, net.ErrClosed) {
			return n, err
		}
		r.all.dropOut.Add(1)
		return len(b), nil // an unreachable peer is no fault of the allocation
	}
	r.all.out.Add(1)
	r.all.bytesOut.Add(uint64(n)) //nolint:gosec // not negative
	return n, nil
}

// ReadFrom returns the next packet of a peer that has leave.
func (r *relay) ReadFrom(b []byte) (int, net.Addr, error) {
	for broken := 0; ; {
		n, from, err := r.ReadFromUDPAddrPort(b)
		if err != nil {
			if broken++; errors.Is(err, net.ErrClosed) || broken > 100 {
				return n, nil, err
			}
			continue // an ICMP error of an earlier packet
		}
		broken = 0
		from = r.named(netip.AddrPortFrom(plain(from.Addr()), from.Port()))
		if !r.has(from.Addr()) {
			r.all.dropIn.Add(1)
			continue
		}
		r.all.in.Add(1)
		r.all.bytesIn.Add(uint64(n)) //nolint:gosec // not negative
		return n, net.UDPAddrFromAddrPort(from), nil
	}
}

// named is a sender under the address that it is known by: another relay comes from
// where this machine sends to itself.
func (r *relay) named(from netip.AddrPort) netip.AddrPort {
	if from.Addr() != r.near && !from.Addr().IsLoopback() && !r.all.peers.own[from.Addr()] {
		return from
	}
	known := netip.AddrPortFrom(r.addr.Addr(), from.Port())
	if r.all.at(known) != nil {
		return known
	}
	return from
}

func (r *relay) has(a netip.Addr) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.given[a]
}

// give gives a peer leave, or takes it.
func (r *relay) give(a netip.Addr, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if on {
		r.given[a] = true
	} else {
		delete(r.given, a)
	}
}

// room reports whether a peer may have leave beside those that do.
func (r *relay) room(a netip.Addr, most int) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.given[a] || len(r.given) < most
}

// Close ends the allocation's socket; its port is free again.
func (r *relay) Close() error {
	r.all.mu.Lock()
	if r.all.open[r.addr] == r {
		delete(r.all.open, r.addr)
	}
	r.all.mu.Unlock()
	return r.UDPConn.Close()
}

func udpAddr(a net.Addr) (netip.AddrPort, bool) {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	p := u.AddrPort()
	return netip.AddrPortFrom(plain(p.Addr()), p.Port()), p.IsValid()
}
