package ws

import (
	"net/netip"
	"sync"
)

// addresses counts connections by network: an IPv4 address, or an IPv6 /64,
// which is what one subscriber has.
type addresses struct {
	mu    sync.Mutex
	byNet map[netip.Prefix]*count
}

type count struct{ all, waiting int }

func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // an invalid address: all such share one count
	return p
}

func (a *addresses) enter(addr netip.Addr, limit, waiting int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := network(addr)
	n := a.byNet[key]
	if n == nil {
		n = &count{}
		a.byNet[key] = n
	}
	if n.all >= limit || n.waiting >= waiting {
		return false
	}
	n.all++
	n.waiting++
	return true
}

// seated notes that a connection has its session.
func (a *addresses) seated(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byNet[network(addr)].waiting--
}

func (a *addresses) leave(addr netip.Addr, waiting bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := network(addr)
	n := a.byNet[key]
	n.all--
	if waiting {
		n.waiting--
	}
	if n.all == 0 {
		delete(a.byNet, key)
	}
}
