package auth

import (
	"net/netip"
	"sync"
	"time"
)

// Failures counts refusals per address: ten a minute, then 429 (scenario S5).
// A right token passes all the same: it cannot be guessed, and one machine's
// stale token must not lock out everybody behind the same address.
const (
	failuresPerMinute = 10
	failureWindow     = time.Minute
	// maxFailing bounds the table. When it is full, the oldest windows go.
	maxFailing = 16384
)

type failures struct {
	mu     sync.Mutex
	byAddr map[netip.Prefix]*window
}

type window struct {
	start time.Time
	n     int
}

// add counts one failure; it reports how long to wait when there were too many.
func (f *failures) add(addr netip.Addr, now time.Time) (wait time.Duration) {
	key := Network(addr)
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.byAddr[key]
	if w == nil || now.Sub(w.start) >= failureWindow {
		if w == nil && len(f.byAddr) >= maxFailing {
			f.prune(now)
		}
		w = &window{start: now}
		if f.byAddr == nil {
			f.byAddr = make(map[netip.Prefix]*window)
		}
		f.byAddr[key] = w
	}
	w.n++
	if w.n <= failuresPerMinute {
		return 0
	}
	return max(time.Second, failureWindow-now.Sub(w.start))
}

func (f *failures) prune(now time.Time) {
	for k, w := range f.byAddr {
		if now.Sub(w.start) >= failureWindow {
			delete(f.byAddr, k)
		}
	}
	// All fresh: a wide attack. Any victims will do, but many at once, since
	// looking through the table for each newcomer would be the attack's success.
	for k := range f.byAddr {
		if len(f.byAddr) < maxFailing*3/4 {
			return
		}
		delete(f.byAddr, k)
	}
}

// Network is the unit an address is limited by: itself for IPv4, its /64 for
// IPv6, where one subscriber commonly owns all of it.
func Network(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // an invalid address gives the zero prefix: one shared bucket
	return p
}
