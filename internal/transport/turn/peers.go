package turn

import (
	"net/netip"

	"parley/internal/base/iana"
)

// peers decides where may be relayed to. Pure but for the table of relays.
type peers struct {
	own    map[netip.Addr]bool // this machine, under any name
	relays *relays
	allow  []netip.Prefix
}

func newPeers(c *Config, r *relays) *peers {
	p := &peers{own: map[netip.Addr]bool{}, relays: r, allow: c.Allow}
	for _, a := range c.Own {
		p.own[plain(a)] = true
	}
	for _, r := range c.Relays {
		p.own[plain(r.Bind)], p.own[plain(r.Announce)] = true, true
	}
	if a := c.Listen.Addr(); !a.IsUnspecified() {
		p.own[plain(a)] = true
	}
	return p
}

// plain is an address in the one spelling that is compared.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// mayReach reports whether a peer may be relayed to. At this machine that is only
// another relay that exists, whatever ranges are allowed; an own service is never
// reached. Port 0 stands for an address that is given leave without a port.
func (p *peers) mayReach(to netip.AddrPort) bool {
	a := plain(to.Addr())
	switch {
	case !a.IsValid() || a.IsUnspecified() || a.IsMulticast():
		return false
	case p.relays.announced(a):
		return to.Port() == 0 || p.relays.at(netip.AddrPortFrom(a, to.Port())) != nil
	case p.own[a]:
		return false
	case iana.Special(a):
		return p.allowed(a)
	}
	return true
}

// allowed reports whether the operator opened a special range. What only wraps
// another address is not opened by this: the wrapped one would have to be judged.
func (p *peers) allowed(a netip.Addr) bool {
	if a.IsLoopback() {
		return false // it is this machine
	}
	for _, r := range p.allow {
		if r.Contains(a) {
			return true
		}
	}
	return false
}
