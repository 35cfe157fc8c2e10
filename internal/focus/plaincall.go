package focus

import (
	"net/netip"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/media/plane"
	"parley/internal/media/sdp"
)

// readCall checks a request for an endpoint.
func readCall(q *api.RTPOpen) (*plainCall, error) {
	switch q.Role {
	case "":
		q.Role = api.RoleAttendee
	case api.RoleObserver, api.RoleAttendee, api.RolePresenter, api.RoleModerator:
	default:
		return nil, fault.New(400, "bad-request", "role: must be observer, attendee, presenter or moderator")
	}
	c := &plainCall{latch: q.Latch == nil || *q.Latch, anywhere: q.Latch != nil && *q.Latch}
	var err error
	switch {
	case q.Group != nil && q.SDP != "":
		return nil, fault.New(400, "bad-request", "group: not beside sdp")
	case q.Group != nil:
		c.group, c.offer, err = readGroup(q.Group)
	case q.SDP == "":
		return nil, fault.New(400, "bad-request", "sdp: is missing")
	default:
		c.offer, err = sdp.ParsePlain([]byte(q.SDP))
		if err == nil {
			c.group, err = groupIn(c.offer)
		}
	}
	if err != nil {
		return nil, err
	}
	if c.group != nil {
		q.Role, c.latch, c.anywhere = api.RoleObserver, false, false
	}
	return c, nil
}

// publishes lists what the peer is going to send.
func (c *plainCall) publishes() []api.PublishParams {
	var out []api.PublishParams
	video := false
	for i := range c.offer.Sections {
		s := &c.offer.Sections[i]
		if !s.Usable() || !s.Direction.Sends() || c.group != nil {
			continue
		}
		out = append(out, publishOf(s.Kind, "m"+s.MID, video))
		video = video || s.Kind == plane.Video
	}
	return out
}

// publishOf names a source: the first picture is a camera, another is shared.
func publishOf(k plane.Kind, cid string, another bool) api.PublishParams {
	switch {
	case k == plane.Audio:
		return api.PublishParams{CID: cid, Kind: "audio", Source: "microphone"}
	case another:
		return api.PublishParams{CID: cid, Kind: "video", Source: "screen"}
	}
	return api.PublishParams{CID: cid, Kind: "video", Source: "camera"}
}

// groupOf is a multicast session that a leg sends.
type groupOf struct {
	ttl      int
	ifname   string
	source   bool
	feedback string
}

func (g *groupOf) plane() *plane.Group {
	return &plane.Group{TTL: g.ttl, Interface: g.ifname, Source: g.source, Feedback: g.feedback}
}

// readGroup makes the offer that a group would make if it could.
func readGroup(q *api.RTPGroup) (*groupOf, *sdp.Plain, error) {
	to, err := netip.ParseAddrPort(q.Group)
	if err != nil || !to.Addr().IsMulticast() || to.Port() == 0 || to.Port()%2 != 0 || to.Port() > 65530 {
		return nil, nil, fault.New(400, "bad-request", "group: must be a multicast address with an even port, as 239.1.2.3:5004")
	}
	g := &groupOf{ttl: q.TTL, ifname: q.Interface, source: q.Feedback != "", feedback: q.Feedback}
	if g.ttl == 0 {
		g.ttl = 1
	}
	switch {
	case g.ttl < 1 || g.ttl > 255:
		return nil, nil, fault.New(400, "bad-request", "ttl: must be 1 to 255")
	case len(q.Interface) > 32:
		return nil, nil, fault.New(400, "bad-request", "interface: no such name")
	case g.feedback != "" && g.feedback != "rsi" && g.feedback != "reflection":
		return nil, nil, fault.New(400, "bad-request", "feedback: must be rsi or reflection")
	}
	d, err := sdp.GroupOffer(to, orText(q.Codec, "PCMU"), q.Video)
	return g, d, err
}

// groupIn finds a group in a description: all its lines are multicast, or none.
func groupIn(d *sdp.Plain) (*groupOf, error) {
	var g *groupOf
	for i := range d.Sections {
		s := &d.Sections[i]
		if s.Rejected {
			continue
		}
		if s.Multicast() != d.Sections[0].Multicast() {
			return nil, fault.New(488, "bad-sdp", "multicast and unicast in one description")
		}
		if !s.Multicast() {
			continue
		}
		if s.Secure {
			return nil, fault.New(488, "bad-sdp", "a group has no keys here")
		}
		s.Direction = sdp.RecvOnly
		g = &groupOf{ttl: max(1, s.TTL), source: s.Source.IsValid() || s.Unicast != "", feedback: s.Unicast}
	}
	return g, nil
}

// describe writes the description for a group's receivers.
func (g *groupOf) describe(l *leg, offer *sdp.Plain) string {
	q := sdp.GroupSession{Session: l.session, TTL: g.ttl, Source: g.source, Feedback: g.feedback}
	for i, n := range l.rtp.lines {
		if n.conn != "" {
			q.Streams = append(q.Streams, sdp.GroupStream{Section: &offer.Sections[i], Local: n.local})
		}
	}
	return sdp.DescribeGroup(q)
}
