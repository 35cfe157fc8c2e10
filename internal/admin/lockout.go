package admin

import (
	"net/netip"
	"sync"
	"time"

	"parley/internal/auth"
)

// Five wrong tokens lock an address out for a while, right ones too: whoever
// administers can wait, and a guesser learns nothing from the answer.
const (
	maxWrong   = 5
	lockedFor  = 30 * time.Second
	maxLockout = 8192 // addresses remembered; the table is emptied when full of live ones
)

type lockout struct {
	mu     sync.Mutex
	byAddr map[netip.Prefix]*wrong
}

type wrong struct {
	n    int
	last time.Time
}

// locked tells how long an address has to wait; zero: not at all.
func (l *lockout) locked(addr netip.Addr, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.byAddr[auth.Network(addr)]
	if w == nil || w.n < maxWrong {
		return 0
	}
	if wait := lockedFor - now.Sub(w.last); wait > 0 {
		return wait
	}
	delete(l.byAddr, auth.Network(addr))
	return 0
}

func (l *lockout) failed(addr netip.Addr, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := auth.Network(addr)
	w := l.byAddr[key]
	if w == nil || now.Sub(w.last) > lockedFor {
		l.room(now)
		w = &wrong{}
		l.byAddr[key] = w
	}
	w.n, w.last = w.n+1, now
}

func (l *lockout) passed(addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byAddr, auth.Network(addr))
}

func (l *lockout) room(now time.Time) {
	if l.byAddr == nil {
		l.byAddr = map[netip.Prefix]*wrong{}
	}
	if len(l.byAddr) < maxLockout {
		return
	}
	for k, w := range l.byAddr {
		if now.Sub(w.last) > lockedFor {
			delete(l.byAddr, k)
		}
	}
	if len(l.byAddr) >= maxLockout {
		clear(l.byAddr)
	}
}
