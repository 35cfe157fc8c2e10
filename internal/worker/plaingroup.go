package worker

import (
	"errors"

	"parley/internal/base/fault"
	"parley/internal/media/plane"
	"parley/internal/transport/plain"
)

// openGroup makes the sockets of a multicast session (topologies ASM, SSM).
func (p *Pool) openGroup(l *plainLink, o *plane.OpenRTP) (plane.LocalRTP, error) {
	g, err := p.wires.ports.OpenGroup(plain.GroupConfig{
		Group: o.Remote, TTL: o.Group.TTL, Interface: o.Group.Interface, Local: p.announced(o.Remote.Addr()),
		Source: o.Group.Source, Loop: true,
	})
	switch {
	case errors.Is(err, plain.ErrNoPorts):
		return plane.LocalRTP{}, &fault.Error{Code: 503, Reason: "no-ports", Message: "all RTP ports are in use", RetryAfter: retrySoon}
	case err != nil:
		return plane.LocalRTP{}, fault.New(409, "no-multicast", "the group cannot be opened here: %s", err)
	}
	l.pair = g
	rtp, rtcp := g.Local()
	return plane.LocalRTP{RTP: rtp, RTCP: rtcp}, nil
}
