package worker

import (
	"errors"
	"net/netip"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
	"parley/internal/media/ssm"
	"parley/internal/transport/plain"
)

// groupLook is how often the size of an any-source group is compared with the
// interval of our reports in it.
const groupLook = 5 * time.Second

// groupPart is what a multicast session has beside others. Belongs to the shard.
type groupPart struct {
	mode   string         // "rsi", "reflection", "": any-source, or nobody reports
	source *ssm.Source    // single source: its receivers report to us
	member *ssm.Member    // any source: we are one of many
	from   netip.AddrPort // what others see our packets come from
	to     netip.AddrPort // RTCP of the group
	media  plane.LegMedia
	next   clock.Time
}

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
	rtp, rtcp := g.Local()
	_, to := g.Target()
	l.pair, l.group = g, &groupPart{mode: o.Group.Feedback, from: rtp, to: to}
	if o.Group.Source && l.group.mode == "" {
		l.group.mode = "rsi"
	}
	return plane.LocalRTP{RTP: rtp, RTCP: rtcp}, nil
}

// configuredGroup starts what the group's RTCP needs, once our SSRC is known.
func (l *plainLink) configuredGroup(now clock.Time, m plane.LegMedia) {
	g := l.group
	g.media = m
	if len(m.Sections) == 0 || m.Sections[0].Send == nil || g.source != nil || g.member != nil {
		return
	}
	send := m.Sections[0].Send
	width := 20 * max(1, m.RTCPRate)
	if g.mode != "" {
		mode := ssm.Summary
		if g.mode == "reflection" {
			mode = ssm.Reflection
		}
		g.source = ssm.New(ssm.Config{Mode: mode, SSRC: ids.Random32(), Summarised: send.SSRC, CNAME: m.CNAME, Bandwidth: width})
		g.next = now.Add(g.source.Interval() / 2)
		return
	}
	c := ssm.MemberConfig{SSRC: send.SSRC, CNAME: m.CNAME, Source: g.from, Bandwidth: width, Random: ids.Random32}
	for _, f := range send.Codecs {
		c.Formats = append(c.Formats, f.PT)
	}
	g.member = ssm.NewMember(now, c)
	g.next = now.Add(groupLook)
}

// takeGroup takes a packet that came to a group's sockets. Nothing of it is
// media for us: who wants to be heard dials in.
func (l *plainLink) takeGroup(now clock.Time, a *arrival) {
	g, b := l.group, a.buf.Bytes()
	l.count.in++
	l.count.bytesIn += uint64(len(b))
	switch {
	case g.source != nil && a.rtcp:
		if out := g.source.HandleReport(now, b); out != nil {
			l.put(true, g.to, out)
		}
	case g.member != nil && a.rtcp && a.from != netip.AddrPortFrom(g.from.Addr(), g.from.Port()+1):
		g.member.HandleRTCP(now, a.from, b)
	case g.member != nil && !a.rtcp:
		g.member.HandleRTP(now, a.from, b)
	}
}

// tickGroup tells the group of its receivers, or follows its size.
func (l *plainLink) tickGroup(w *Worker, now clock.Time) clock.Time {
	g := l.group
	if g.next == 0 || now < g.next {
		return g.next
	}
	if g.source != nil {
		l.buf = g.source.AppendSummary(now, w.cfg.Clock.Anchor().NTP(now), l.buf[:0])
		l.put(true, g.to, l.buf)
		g.next = now.Add(ssm.Randomised(g.source.Interval(), ids.Random32()))
		return g.next
	}
	g.next = now.Add(groupLook)
	// Our reports share the bandwidth of all (rule C3): the engine is told an
	// interval that fits the group's size.
	s := ssm.Share{Bandwidth: 20 * max(1, g.media.RTCPRate), Members: g.member.Size(), Senders: 1, WeSend: true, Average: 120}
	if td := s.Deterministic(); td > g.media.RTCPMin*5/4 || td < g.media.RTCPMin*3/4 {
		g.media.RTCPMin = td
		w.eng.ConfigureLeg(now, l.leg, g.media)
	}
	return g.next
}
