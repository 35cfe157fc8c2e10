package sdp

import (
	"net/netip"
	"strconv"
	"strings"

	"parley/internal/media/plane"
)

// groupFormats are what a group may be sent: one format each, since nobody can
// answer. Dynamic types are those most receivers are used to.
var groupFormats = map[string]plane.Codec{
	"pcmu": {Name: "PCMU", PT: 0, ClockRate: 8000},
	"pcma": {Name: "PCMA", PT: 8, ClockRate: 8000},
	"g722": {Name: "G722", PT: 9, ClockRate: 8000},
	"opus": {Name: "opus", PT: 111, ClockRate: 48000, Channels: 2},
	"vp8":  {Name: "VP8", PT: 96, ClockRate: 90000},
	"h264": {Name: "H264", PT: 97, ClockRate: 90000, Fmtp: "packetization-mode=1;profile-level-id=42e01f"},
}

// GroupOffer makes the description that a multicast group would offer: sound
// at the address and, when video is named, pictures two ports above.
func GroupOffer(to netip.AddrPort, audio, video string) (*Plain, error) {
	d := &Plain{}
	add := func(k plane.Kind, name string, port uint16) error {
		c, ok := groupFormats[strings.ToLower(name)]
		if !ok || known[strings.ToLower(name)].kind != k {
			return unacceptable("codec %s", quote(name))
		}
		d.Sections = append(d.Sections, PlainSection{
			Kind: k, MID: strconv.Itoa(len(d.Sections)), Media: k.String(), Proto: "RTP/AVP", Formats: []string{u8(c.PT)},
			Addr: netip.AddrPortFrom(to.Addr(), port), Direction: RecvOnly, Codecs: []plane.Codec{c}, multicast: true,
		})
		return nil
	}
	if err := add(plane.Audio, audio, to.Port()); err != nil {
		return nil, err
	}
	if video == "" {
		return d, nil
	}
	return d, add(plane.Video, video, to.Port()+2)
}

// GroupSession is what the receivers of a group are told.
type GroupSession struct {
	Session  Session
	TTL      int
	Source   bool   // source-specific: RTCP goes to us by unicast
	Feedback string // "rsi", "reflection"
	Streams  []GroupStream
}

// GroupStream is one m-line of it.
type GroupStream struct {
	Section *PlainSection
	Local   plane.LocalRTP
}

// DescribeGroup writes the session for receivers (RFC 8866; RFC 4570; RFC 5760,
// section 10).
func DescribeGroup(g GroupSession) string {
	var p printer
	from := netip.IPv4Unspecified()
	if len(g.Streams) > 0 {
		from = g.Streams[0].Local.RTP.Addr()
	}
	p.line("v=0")
	p.line("o=parley ", strconv.FormatUint(g.Session.ID, 10), " ", strconv.FormatUint(g.Session.Version, 10), " IN ", family(from), " ", from.String())
	p.line("s=parley")
	p.line("t=0 0")
	for _, s := range g.Streams {
		o := s.Section
		p.line("m=", o.Media, " ", strconv.Itoa(int(o.Addr.Port())), " ", o.Proto, " ", join(formats(o.Codecs)))
		scope := ""
		if o.Addr.Addr().Is4() {
			scope = "/" + strconv.Itoa(g.TTL)
		}
		p.line("c=IN ", family(o.Addr.Addr()), " ", o.Addr.Addr().String(), scope)
		p.codecs(o.Codecs)
		if o.Kind == plane.Audio {
			p.line("a=ptime:20")
		}
		if g.Source {
			a := s.Local.RTP.Addr()
			p.line("a=source-filter: incl IN ", family(a), " ", o.Addr.Addr().String(), " ", a.String())
		}
		if g.Feedback != "" {
			p.line("a=rtcp-unicast:", g.Feedback)
			p.line("a=rtcp:", strconv.Itoa(int(s.Local.RTCP.Port())), " IN ", family(s.Local.RTCP.Addr()), " ", s.Local.RTCP.Addr().String())
		}
		p.line("a=recvonly")
	}
	return p.String()
}
