package sdp

import (
	"net/netip"
	"strconv"
	"time"

	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

// PlainDecision is what the focus decided about one m-line, in order.
type PlainDecision struct {
	Reject  bool
	Receive bool        // accept what the peer sends
	Send    *SendSource // what we send, if it wants any; only SSRC and CNAME count
	Local   plane.LocalRTP
	Key     ids.Secret // our own, for a secure section: KeyLen bytes
}

// PlainAnswered is an answer to a plain offer.
type PlainAnswered struct {
	SDP     string
	Media   []plane.LegMedia // one per m-line, each with one section; empty where rejected
	Session Session
}

// AVP's shortest report interval, and what reports may cost: 5 % of the
// bandwidth told, or of what such a medium usually takes (RFC 3550, section 6.2).
const (
	avpMin     = 5 * time.Second
	avpfMin    = time.Second
	audioKBits = 64
	videoKBits = 1000
)

// AnswerPlain answers an offer of plain RTP (RFC 3264).
func AnswerPlain(offer *Plain, s Session, decisions []PlainDecision) (*PlainAnswered, error) {
	if len(decisions) != len(offer.Sections) {
		return nil, bad("%d decisions for %d m-lines", len(decisions), len(offer.Sections))
	}
	s.Version++
	a := &PlainAnswered{Session: s}
	var p printer
	p.plainHead(s, firstLocal(decisions))
	for i := range offer.Sections {
		o, d := &offer.Sections[i], &decisions[i]
		if d.Reject || !o.Usable() {
			p.line("m=", word(o.Media), " 0 ", word(o.Proto), " ", firstFormat(o.Formats))
			if o.namesMID {
				p.line("a=mid:", o.MID)
			}
			a.Media = append(a.Media, plane.LegMedia{})
			continue
		}
		a.Media = append(a.Media, p.plainSection(o, d, s))
	}
	a.SDP = p.String()
	return a, nil
}

// word keeps an m-line's own word if it may stand in ours.
func word(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return "unknown"
		}
	}
	if s == "" || len(s) > 32 {
		return "unknown"
	}
	return s
}

func firstFormat(f []string) string {
	if len(f) == 0 {
		return "0"
	}
	return word(f[0])
}

func firstLocal(list []PlainDecision) netip.Addr {
	for i := range list {
		if a := list[i].Local.RTP.Addr(); a.IsValid() {
			return a
		}
	}
	return netip.IPv4Unspecified()
}

func (p *printer) plainHead(s Session, a netip.Addr) {
	p.line("v=0")
	p.line("o=parley ", strconv.FormatUint(s.ID, 10), " ", strconv.FormatUint(s.Version, 10), " IN ", family(a), " ", a.String())
	p.line("s=-")
	p.line("c=IN ", family(a), " ", a.String())
	p.line("t=0 0")
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "IP4"
	}
	return "IP6"
}

// plainSection writes one accepted m-line and returns what it means.
func (p *printer) plainSection(o *PlainSection, d *PlainDecision, s Session) plane.LegMedia {
	recv := d.Receive && o.Direction.Sends()
	send := d.Send != nil && o.Direction.Receives()
	p.line("m=", o.Media, " ", strconv.Itoa(int(d.Local.RTP.Port())), " ", o.Proto, " ", join(formats(o.Codecs)))
	p.line("c=IN ", family(d.Local.RTP.Addr()), " ", d.Local.RTP.Addr().String())
	if o.namesMID {
		p.line("a=mid:", o.MID)
	}
	p.codecs(o.Codecs)
	if o.Kind == plane.Audio {
		p.line("a=ptime:20")
	}
	if o.Secure {
		c := o.Crypto[0]
		c.Key = d.Key
		p.line("a=crypto:", c.line())
	}
	if o.Mux {
		p.line("a=rtcp-mux")
	}
	if o.RTCPRsize && o.Feedback {
		p.line("a=rtcp-rsize")
	}
	p.line("a=", ours(recv, send).String())
	if send {
		p.line("a=ssrc:", u32(d.Send.SSRC), " cname:", s.CNAME)
	}
	return plainMedia(o, d, s, recv, send)
}

// ours is the direction from our side.
func ours(recv, send bool) Direction {
	d := Inactive
	if recv {
		d |= RecvOnly
	}
	if send {
		d |= SendOnly
	}
	return d
}

func join(list []string) string {
	out := ""
	for i, s := range list {
		if i > 0 {
			out += " "
		}
		out += s
	}
	return out
}

func plainMedia(o *PlainSection, d *PlainDecision, s Session, recv, send bool) plane.LegMedia {
	sect := plane.Section{MID: o.MID, Kind: o.Kind}
	if recv {
		sect.Recv = &plane.Recv{Codecs: o.Codecs}
	}
	if send {
		sect.Send = &plane.Send{Codecs: o.Codecs, SSRC: d.Send.SSRC}
		if d.Send.RTXSSRC != 0 && o.Codecs[0].RTX != 0 {
			sect.Send.RTXSSRC = d.Send.RTXSSRC
		}
	}
	m := plane.LegMedia{Rev: uint32(s.Version), CNAME: s.CNAME, RTCPRsize: o.RTCPRsize && o.Feedback, Sections: []plane.Section{sect}}
	m.RTCPMin, m.RTCPRate = reporting(o)
	return m
}

// reporting is the leg's part of rule C3.
func reporting(o *PlainSection) (least time.Duration, rate int) {
	kbits := o.KBits
	switch {
	case kbits > 0:
	case o.Kind == plane.Video:
		kbits = videoKBits
	default:
		kbits = audioKBits
	}
	least = avpMin
	if o.Feedback {
		least = avpfMin
	}
	return least, max(1, kbits*1000/8/20)
}
