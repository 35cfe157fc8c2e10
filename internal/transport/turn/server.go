package turn

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"github.com/pion/logging"
	pion "github.com/pion/turn/v5"
)

// Server is one TURN server. See [New].
type Server struct {
	cfg    Config
	issuer *issuer
	relays *relays
	peers  *peers
	guard  *guard
	udp    net.PacketConn
	tcp    *listener
	addr   netip.AddrPort
	moved  bool

	mu     sync.Mutex
	users  map[string]int    // allocations by user
	byAddr map[string]*relay // by client
	made   counter
	denied counter // by quota
}

// New binds the ports. Nothing is served before Run.
func New(c Config) (*Server, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	s := &Server{cfg: c, issuer: newIssuer(&c), relays: newRelays(&c), users: map[string]int{}, byAddr: map[string]*relay{}}
	s.peers = newPeers(&c, s.relays)
	s.relays.peers = s.peers
	s.guard = &guard{peers: s.peers, relays: s.relays, cap: &limiter{}}
	err := s.bind(c.Listen)
	if free := c.Listen.Port() == 0; err != nil && (free || c.PickPort) {
		s.moved = !free
		for range 20 { // UDP and TCP need the same number
			if err = s.bind(netip.AddrPortFrom(c.Listen.Addr(), 0)); err == nil {
				break
			}
		}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) bind(at netip.AddrPort) error {
	u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	port := u.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	t, err := net.Listen("tcp", netip.AddrPortFrom(at.Addr(), port).String())
	if err != nil {
		_ = u.Close()
		return err
	}
	_ = u.SetReadBuffer(socketBuffer) // less is no failure
	_ = u.SetWriteBuffer(socketBuffer)
	s.addr = netip.AddrPortFrom(at.Addr(), port)
	s.udp = &socket{PacketConn: u, guard: s.guard, now: s.cfg.Now}
	s.tcp = newListener(t, s.guard, &s.cfg)
	return nil
}

// socketBuffer is for all clients together.
const socketBuffer = 4 << 20

// Addr is where it listens, UDP and TCP.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Moved reports that the port of Listen was in use and another one was taken.
func (s *Server) Moved() bool { return s.moved }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	p, err := pion.NewServer(pion.ServerConfig{
		Realm: s.cfg.Realm, AuthHandler: s.issuer.check, QuotaHandler: s.mayAllocate, LoggerFactory: silent{},
		StrictAddressFamily: !s.both(),
		PacketConnConfigs:   []pion.PacketConnConfig{{PacketConn: s.udp, RelayAddressGenerator: s.relays, PermissionHandler: s.mayPermit}},
		ListenerConfigs:     []pion.ListenerConfig{{Listener: s.tcp, RelayAddressGenerator: s.relays, PermissionHandler: s.mayPermit}},
		EventHandler: pion.EventHandler{
			OnAllocationCreated: s.allocated, OnAllocationDeleted: s.deallocated,
			OnPermissionCreated: s.permitted(true), OnPermissionDeleted: s.permitted(false),
		},
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	err = p.Close()
	s.closeRelays()
	return err
}

// Abandon closes what New bound, when Run will not be called.
func (s *Server) Abandon() {
	_ = s.udp.Close()
	_ = s.tcp.Close()
}

func (s *Server) closeRelays() {
	s.relays.mu.RLock()
	all := make([]*relay, 0, len(s.relays.open))
	for _, r := range s.relays.open {
		all = append(all, r)
	}
	s.relays.mu.RUnlock()
	for _, r := range all {
		_ = r.Close()
	}
}

// both reports whether there are relays of both families; else the one there is
// serves clients of either (RFC 8656, section 7.2).
func (s *Server) both() bool { return len(s.relays.cfg) > 1 }

// Credentials are for one user's session: see [Server.URLs] for where to.
func (s *Server) Credentials(user, session string) (name, password string) {
	return s.issuer.issue(user, session)
}

// URLs are where clients find the server (RFC 7065). host names it for TLS, with a
// certificate that browsers trust; empty: no TLS is offered.
func (s *Server) URLs(host string) []string {
	var out []string
	for _, r := range s.cfg.Relays {
		at := net.JoinHostPort(r.Announce.String(), strconv.Itoa(int(s.addr.Port())))
		out = append(out, "turn:"+at+"?transport=udp", "turn:"+at+"?transport=tcp")
	}
	if host != "" && s.cfg.TLS != nil {
		out = append(out, fmt.Sprintf("turns:%s:%d?transport=tcp", host, s.addr.Port()))
	}
	return out
}

// mayAllocate implements pion's QuotaHandler: 486 beyond it.
func (s *Server) mayAllocate(user, _ string, _ net.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[user] >= s.cfg.Quota {
		s.denied.Add(1)
		return false
	}
	return true
}

func (s *Server) allocated(from, _ net.Addr, _, user, _ string, at net.Addr, _ int) {
	s.tcp.loggedIn(from)
	a, ok := udpAddr(at)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made.Add(1)
	s.users[user]++
	s.byAddr[clientKey(from)] = s.relays.at(a)
}

func (s *Server) deallocated(from, _ net.Addr, _, user, _ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byAddr, clientKey(from))
	if s.users[user]--; s.users[user] <= 0 {
		delete(s.users, user)
	}
}

// clientKey tells a client's UDP and TCP apart.
func clientKey(a net.Addr) string { return a.Network() + " " + a.String() }

func (s *Server) relayOf(from net.Addr) *relay {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byAddr[clientKey(from)]
}

// mayPermit implements pion's PermissionHandler. The guard has judged the peer with
// its port already; what it did not see is refused here by the address alone.
func (s *Server) mayPermit(from net.Addr, peer net.IP) bool {
	a, ok := netip.AddrFromSlice(peer)
	if !ok || !s.peers.mayReach(netip.AddrPortFrom(a, 0)) {
		return false
	}
	r := s.relayOf(from)
	return r != nil && r.room(plain(a), s.cfg.Permissions)
}

func (s *Server) permitted(on bool) func(from, _ net.Addr, _, _, _ string, _ net.Addr, peer net.IP) {
	return func(from, _ net.Addr, _, _, _ string, at net.Addr, peer net.IP) {
		a, ok := netip.AddrFromSlice(peer)
		p, udp := udpAddr(at)
		if !ok || !udp {
			return
		}
		if r := s.relays.at(p); r != nil {
			r.give(plain(a), on)
		}
	}
}

// Stats is a snapshot of counts.
type Stats struct {
	Allocations int
	Made        uint64 // allocations since the start
	OverQuota   uint64 // refused with 486
	Refused     uint64 // requests refused for what they ask for
	Limited     uint64 // requests without credentials that were not answered
	DropIn      uint64 // packets from peers without leave
	DropOut     uint64 // packets to where nothing may be sent
	In, Out     uint64 // packets relayed from and to peers
	BytesIn     uint64
	BytesOut    uint64
}

// Stats takes a snapshot.
func (s *Server) Stats() Stats {
	r := s.relays
	r.mu.RLock()
	open := len(r.open)
	r.mu.RUnlock()
	return Stats{
		Allocations: open, Made: s.made.Load(), OverQuota: s.denied.Load(), Refused: s.guard.refused.Load(), Limited: s.guard.limited.Load(),
		DropIn: r.dropIn.Load(), DropOut: r.dropOut.Load(), In: r.in.Load(), Out: r.out.Load(), BytesIn: r.bytesIn.Load(), BytesOut: r.bytesOut.Load(),
	}
}

// silent is a logger that says nothing: pion's lines hold addresses and names.
type silent struct{}

func (silent) NewLogger(string) logging.LeveledLogger { return noLog{} }

type noLog struct{}

func (noLog) Trace(string)          {}
func (noLog) Tracef(string, ...any) {}
func (noLog) Debug(string)          {}
func (noLog) Debugf(string, ...any) {}
func (noLog) Info(string)           {}
func (noLog) Infof(string, ...any)  {}
func (noLog) Warn(string)           {}
func (noLog) Warnf(string, ...any)  {}
func (noLog) Error(string)          {}
func (noLog) Errorf(string, ...any) {}
