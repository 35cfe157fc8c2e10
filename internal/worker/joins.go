package worker

import (
	"net/netip"
	"time"

	"parley/internal/base/fault"
)

// joins counts links whose DTLS handshake is not done, per signalling address
// and in all (scenario D12). Guarded by the pool's lock.
type joins struct {
	caps  Caps
	total int
	addr  map[netip.Addr]*perAddr
}

// perAddr counts separately: an anonymous flood from an address must not keep
// out people with a token behind the same NAT.
type perAddr struct{ anonymous, trusted int }

func newJoins(c Caps) joins { return joins{caps: c, addr: map[netip.Addr]*perAddr{}} }

// originKey folds an IPv6 address to its /64, which is what one subscriber
// line gets; otherwise the cap per address means nothing there.
func originKey(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() && !a.IsLoopback() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// enter admits one half-open link or says why not.
func (j *joins) enter(origin netip.Addr, trusted bool) error {
	if j.total >= j.caps.HalfOpenTotal {
		return &fault.Error{Code: 503, Reason: "overloaded", Message: "too many unfinished joins on this node", RetryAfter: 5 * time.Second}
	}
	k := originKey(origin)
	p := j.addr[k]
	if p == nil {
		p = &perAddr{}
	}
	n, limit := &p.anonymous, j.caps.HalfOpenPerAddr
	if trusted {
		n, limit = &p.trusted, j.caps.HalfOpenPerTrusted
	}
	if *n >= limit {
		return &fault.Error{Code: 429, Reason: "too-many-joins", Message: "too many unfinished joins from this address", RetryAfter: j.caps.JoinTimeout}
	}
	*n++
	j.total++
	j.addr[k] = p
	return nil
}

// leave takes one out: it connected or it is gone.
func (j *joins) leave(origin netip.Addr, trusted bool) {
	k := originKey(origin)
	p := j.addr[k]
	if p == nil {
		return
	}
	if trusted {
		p.trusted--
	} else {
		p.anonymous--
	}
	j.total--
	if *p == (perAddr{}) {
		delete(j.addr, k)
	}
}
