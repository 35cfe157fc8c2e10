package turn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Config of a server.
type Config struct {
	Listen netip.AddrPort // UDP and TCP; port 0: any
	// Relays are the addresses that are relayed from, at most one of each family.
	Relays []Relay
	Ports  Ports          // of relays
	Own    []netip.Addr   // this machine's addresses: only relays may be reached there
	Allow  []netip.Prefix // special ranges that may be reached all the same
	Realm  string
	TLS    *tls.Config // for TURN over TLS on the TCP port; nil: none

	Quota       int           // allocations of one user; 0: 12
	Permissions int           // peers of one allocation; 0: 64
	Lifetime    time.Duration // of credentials; 0: two hours
	// PickPort takes another port when that of Listen is in use.
	PickPort bool

	Now func() time.Time // nil: the clock
}

// Relay is an address that is relayed from: what the socket is bound to, and what
// clients are told of it, which differ behind NAT.
type Relay struct {
	Bind     netip.Addr
	Announce netip.Addr
}

const (
	// defaultQuota bears three peers with two interfaces and two transports each
	// (line T2); more lets one person take the ports of others.
	defaultQuota = 12
	// defaultPermissions is more than the candidates of a meeting; an allocation
	// that wants more scans.
	defaultPermissions = 64
	// defaultLifetime of credentials for an allocation. One that exists may be
	// refreshed for longer (maxAge).
	defaultLifetime = 2 * time.Hour
	// maxAge is how long after the end of its credentials an allocation may still be
	// refreshed: a long meeting outlives them.
	maxAge = 24 * time.Hour
	// conns bounds TCP connections, all and of one address.
	maxConns, maxConnsPerAddr = 2000, 64
	// loginTime is how long a TCP connection may take to its first allocation, and
	// idleTime how long it may say nothing: refreshes come every few minutes.
	loginTime, idleTime = 15 * time.Second, 15 * time.Minute
	// writeTime ends TCP clients that do not read.
	writeTime = 5 * time.Second
	// challenges per second that one address is answered without credentials: a 20
	// byte request is answered by 76 (line A13), which an amplifier would like; a
	// whole office behind one address needs as many when a meeting begins.
	challenges = 200
	// maxFrame bounds a message; pion reads up to 1600.
	maxFrame = 1599
)

// Ports is a range of ports, both ends in it.
type Ports struct{ Min, Max uint16 }

// Contains reports whether a port is in the range.
func (p Ports) Contains(port uint16) bool { return port >= p.Min && port <= p.Max }

func (c *Config) fill() error {
	if !c.Listen.Addr().IsValid() || len(c.Relays) == 0 {
		return errors.New("turn: no address to listen on or to relay from")
	}
	if c.Ports.Min == 0 || c.Ports.Max < c.Ports.Min {
		return errors.New("turn: no ports to relay from")
	}
	for _, r := range c.Relays {
		if !r.Bind.IsValid() || !r.Announce.IsValid() || r.Announce.IsUnspecified() || r.Bind.Unmap().Is4() != r.Announce.Unmap().Is4() {
			return fmt.Errorf("turn: cannot relay from %s as %s", r.Bind, r.Announce)
		}
	}
	if c.Quota == 0 {
		c.Quota = defaultQuota
	}
	if c.Permissions == 0 {
		c.Permissions = defaultPermissions
	}
	if c.Lifetime == 0 {
		c.Lifetime = defaultLifetime
	}
	if c.Realm == "" {
		c.Realm = "parley"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}
