package demux

import (
	"net/netip"
	"time"

	"parley/internal/base/clock"
)

// Handle is a link's small number on its worker; 0 is nobody.
type Handle uint32

// Config bounds a table.
type Config struct {
	// PathsPerLink bounds the addresses of one link: a client has a few
	// interfaces, an attacker with one session would like thousands.
	PathsPerLink int
	// Hold is how long after its last authenticated check an address is kept
	// for its link against a check of another. It must exceed the slowest
	// client's check interval (RFC 7675: 5 s, up to 6 s with its jitter). Too
	// long hurts a client that comes back on the port of its dead session.
	Hold time.Duration
}

// DefaultConfig returns the values of the reference configuration.
func DefaultConfig() Config { return Config{PathsPerLink: 8, Hold: 7 * time.Second} }

// BindStatus is what Bind did.
type BindStatus uint8

// The results of Bind.
const (
	Bound     BindStatus = iota // new, or taken over from a link that let it go stale
	Refreshed                   // already this link's
	Held                        // another live link's: nothing changed
)

type entry struct {
	owner Handle
	seen  clock.Time
}

// Table finds a link by source address and by local ufrag. Lookups allocate
// nothing.
type Table struct {
	cfg    Config
	addrs  map[netip.AddrPort]entry
	ufrags map[string]Handle
	paths  map[Handle][]netip.AddrPort
}

// NewTable returns an empty table; zero fields of cfg take the defaults.
func NewTable(cfg Config) *Table {
	d := DefaultConfig()
	if cfg.PathsPerLink <= 0 {
		cfg.PathsPerLink = d.PathsPerLink
	}
	if cfg.Hold <= 0 {
		cfg.Hold = d.Hold
	}
	return &Table{
		cfg:    cfg,
		addrs:  make(map[netip.AddrPort]entry),
		ufrags: make(map[string]Handle),
		paths:  make(map[Handle][]netip.AddrPort),
	}
}

// Lookup returns the link that owns an address.
func (t *Table) Lookup(from netip.AddrPort) (Handle, bool) {
	e, ok := t.addrs[from]
	return e.owner, ok
}

// LookupUfrag returns the link whose local ufrag this is; the bytes are not kept.
func (t *Table) LookupUfrag(local []byte) (Handle, bool) {
	h, ok := t.ufrags[string(local)]
	return h, ok
}

// AddUfrag makes checks for a local ufrag find a link. It reports false when
// another link has that ufrag: the caller draws a new one.
func (t *Table) AddUfrag(ufrag string, h Handle) bool {
	if old, ok := t.ufrags[ufrag]; ok {
		return old == h
	}
	t.ufrags[ufrag] = h
	return true
}

// RemoveUfrag forgets a local ufrag, after a restart or at the end of a link.
func (t *Table) RemoveUfrag(ufrag string) { delete(t.ufrags, ufrag) }

// Bind gives an address to a link. Call it only after an authenticated check
// of that link arrived from there, at each such check. When the link has too
// many paths the one longest silent goes, and is returned as evicted.
func (t *Table) Bind(now clock.Time, from netip.AddrPort, h Handle) (st BindStatus, evicted netip.AddrPort) {
	e, known := t.addrs[from]
	switch {
	case known && e.owner == h:
		t.addrs[from] = entry{h, now}
		return Refreshed, evicted
	case known && now.Sub(e.seen) < t.cfg.Hold:
		return Held, evicted
	case known:
		t.unlist(e.owner, from)
	}
	if len(t.paths[h]) >= t.cfg.PathsPerLink {
		evicted = t.oldest(h)
		t.Unbind(evicted, h)
	}
	t.addrs[from] = entry{h, now}
	t.paths[h] = append(t.paths[h], from)
	return Bound, evicted
}

// Unbind takes one address from a link; another link's address stays.
func (t *Table) Unbind(from netip.AddrPort, h Handle) {
	if e, ok := t.addrs[from]; !ok || e.owner != h {
		return
	}
	delete(t.addrs, from)
	t.unlist(h, from)
}

// Remove forgets all addresses of a link. Its ufrags are removed by name.
func (t *Table) Remove(h Handle) {
	for _, a := range t.paths[h] {
		delete(t.addrs, a)
	}
	delete(t.paths, h)
}

// Len returns how many addresses and ufrags are known, for leak checks.
func (t *Table) Len() (addrs, ufrags int) { return len(t.addrs), len(t.ufrags) }

func (t *Table) unlist(h Handle, from netip.AddrPort) {
	list := t.paths[h]
	for i, a := range list {
		if a == from {
			list[i] = list[len(list)-1]
			list = list[:len(list)-1]
			break
		}
	}
	if len(list) == 0 {
		delete(t.paths, h)
		return
	}
	t.paths[h] = list
}

func (t *Table) oldest(h Handle) netip.AddrPort {
	list := t.paths[h]
	best := list[0]
	for _, a := range list[1:] {
		if t.addrs[a].seen < t.addrs[best].seen {
			best = a
		}
	}
	return best
}
