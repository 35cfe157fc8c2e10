package sdp

import (
	"slices"
	"strconv"

	"parley/internal/media/plane"
)

// DefaultCodecs is what our own clients offer. Payload types stay out of 64..95
// (RFC 5761) and are the same in every section of a bundle (RFC 9143, section 9.1).
func DefaultCodecs(kind plane.Kind) []plane.Codec {
	video := func(name string, pt uint8, fmtp string) plane.Codec {
		return plane.Codec{Name: name, PT: pt, RTX: pt + 1, ClockRate: 90000, Fmtp: fmtp, NACK: true, PLI: true, FIR: true, TWCC: true, REMB: true}
	}
	switch kind {
	case plane.Audio:
		return []plane.Codec{
			{Name: "opus", PT: 111, ClockRate: 48000, Channels: 2, Fmtp: "minptime=10;useinbandfec=1", TWCC: true},
			{Name: "G722", PT: 9, ClockRate: 8000},
			{Name: "PCMU", PT: 0, ClockRate: 8000},
			{Name: "PCMA", PT: 8, ClockRate: 8000},
		}
	case plane.Video:
		return []plane.Codec{
			video("VP8", 96, ""),
			video("VP9", 98, "profile-id=0"),
			video("H264", 102, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
			video("H264", 104, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f"),
			video("AV1", 45, "level-idx=5;profile=0;tier=0"),
		}
	}
	return nil
}

// DefaultExts is the extension map that our own clients offer.
func DefaultExts(kind plane.Kind) plane.ExtIDs {
	e := plane.ExtIDs{plane.ExtMID: 4, plane.ExtTransportCC: 3, plane.ExtAbsSendTime: 2}
	switch kind {
	case plane.Audio:
		e[plane.ExtAudioLevel] = 1
	case plane.Video:
		e[plane.ExtRID], e[plane.ExtRepairedRID] = 10, 11
		e[plane.ExtOrientation], e[plane.ExtDependency], e[plane.ExtPlayoutDelay] = 13, 12, 5
	}
	return e
}

// NewOffer writes an offer as a browser would, for clients of ours. prev is the
// session so far; the result's Session is the next.
func NewOffer(prev Session, cfg OfferConfig) (*Offer, error) {
	cfg.Sections = slices.Clone(cfg.Sections)
	if cfg.Setup == "" {
		cfg.Setup = "actpass"
	}
	if len(cfg.Sections) < len(prev.Lines) {
		return nil, bad("an offer cannot drop m-lines")
	}
	prev.Version++
	var group []string
	for i := range cfg.Sections {
		s := &cfg.Sections[i]
		s.fill(i)
		if !safe(s.MID) || s.Send != nil && !safe(s.Send.Stream, s.Send.Track, s.Send.CNAME) {
			return nil, bad("section %d has a name that SDP cannot carry", i)
		}
		if !s.Rejected {
			group = append(group, s.MID)
		}
	}
	var p printer
	p.head(prev, group, false, true)
	for i := range cfg.Sections {
		s := &cfg.Sections[i]
		printOffered(&p, s, cfg, len(group) > 0 && s.MID == group[0])
	}
	o := &Offer{SDP: p.String(), Config: cfg, Session: prev}
	var err error
	o.Description, err = Parse([]byte(o.SDP)) // what we write must pass what we demand
	return o, err
}

func (s *OfferSection) fill(i int) {
	if s.MID == "" {
		s.MID = strconv.Itoa(i)
	}
	if s.Codecs == nil {
		s.Codecs = DefaultCodecs(s.Kind)
	}
	if s.Exts == nil {
		e := DefaultExts(s.Kind)
		s.Exts = &e
	}
}

func printOffered(p *printer, s *OfferSection, cfg OfferConfig, tagged bool) {
	port := 9
	if s.Rejected {
		port = 0
	}
	if s.Kind == plane.Application {
		p.mline("application", port, "UDP/DTLS/SCTP", []string{"webrtc-datachannel"})
		p.line("a=mid:", s.MID)
		p.transport(cfg.Local, cfg.Setup, true, tagged)
		p.line("a=sctp-port:5000")
		p.line("a=max-message-size:", u32(maxMessage))
		return
	}
	p.mline(s.Kind.String(), port, "UDP/TLS/RTP/SAVPF", formats(s.Codecs))
	p.line("a=mid:", s.MID)
	p.transport(cfg.Local, cfg.Setup, true, tagged)
	dir := Inactive
	if s.Send != nil {
		dir |= SendOnly
	}
	if s.Receive {
		dir |= RecvOnly
	}
	p.line("a=", dir.String())
	p.line("a=rtcp-mux")
	p.line("a=rtcp-rsize")
	for e, id := range s.Exts {
		if id != 0 {
			p.extmap(plane.Ext(e), id, SendRecv)
		}
	}
	p.codecs(s.Codecs)
	if s.Send == nil {
		return
	}
	// With RIDs the SSRCs are learnt from the packets (RFC 8853, section 5).
	p.source(s.Send, &plane.Send{RTXSSRC: s.Send.RTXSSRC}, len(s.RIDs) == 0)
	list := ""
	for i, r := range s.RIDs {
		p.line("a=rid:", r, " send")
		if i > 0 {
			list += ";"
		}
		list += r
	}
	if list != "" {
		p.line("a=simulcast:send ", list)
	}
}

// ParseAnswer reads the answer to an offer of ours and holds it against the
// offer (RFC 3264, section 6): same m-lines, only what was offered.
func ParseAnswer(offer *Offer, b []byte) (*Accepted, error) {
	d, err := Parse(b)
	if err != nil {
		return nil, err
	}
	if len(d.Sections) != len(offer.Description.Sections) {
		return nil, bad("answer has %d m-lines, the offer %d", len(d.Sections), len(offer.Description.Sections))
	}
	t := d.Transport()
	out := &Accepted{Simulcast: map[string][]string{}, Session: offer.Session, Remote: t.ICE, Prints: t.Prints}
	s := &out.Session
	switch {
	case t.ICE.Ufrag == "": // everything rejected
	case t.Setup == "active":
		s.DTLSClient, s.Negotiated = false, true
	case t.Setup == "passive":
		s.DTLSClient, s.Negotiated = true, true
	default:
		return nil, bad("answer with setup %s", quote(t.Setup))
	}
	out.DTLSClient = s.DTLSClient
	for _, c := range t.Candidates {
		if c, err := ParseCandidate(c); err == nil {
			out.Candidates = append(out.Candidates, c)
		}
	}
	s.Lines = make([]Line, len(d.Sections))
	out.Media.Rev, out.Media.CNAME, out.Media.RTCPRsize = uint32(s.Version), s.CNAME, true
	for i := range d.Sections {
		if err := out.section(i, &d.Sections[i], offer); err != nil {
			return nil, err
		}
	}
	out.Media.RTCPRsize = out.Media.RTCPRsize && len(out.Media.Sections) > 0
	return out, nil
}

// section reads one answered m-line.
func (out *Accepted) section(i int, a *Section, offer *Offer) error {
	o, cfg := &offer.Description.Sections[i], &offer.Config.Sections[i]
	if a.Media != o.Media || a.MID != o.MID && !(a.Rejected && a.MID == "") {
		return bad("m-line %d of the answer is not the offer's", i)
	}
	out.Session.Lines[i] = Line{MID: o.MID, Media: o.Media, Rejected: !a.Active()}
	switch {
	case !a.Active():
		return nil
	case o.Rejected:
		return bad("answer accepts the rejected section %s", quote(o.MID))
	case o.Kind == plane.Application:
		out.Data, out.SCTPPort, out.MaxMessage = true, a.SCTPPort, a.MaxMessage
		return nil
	case flip(a.Direction)&^o.Direction != 0:
		return bad("answer to section %s is %s, the offer was %s", quote(o.MID), a.Direction, o.Direction)
	}
	codecs, err := answered(o, a)
	if err != nil {
		return err
	}
	m := plane.Section{MID: o.MID, Kind: o.Kind}
	for _, e := range a.Exts {
		if cfg.Exts[e.Ext] == e.ID {
			m.Exts[e.Ext] = e.ID
		}
	}
	if a.Direction.Sends() {
		m.Recv = &plane.Recv{Codecs: codecs, Layers: layers(a, nil)}
	}
	if a.Direction.Receives() && cfg.Send != nil {
		m.Send = &plane.Send{Codecs: codecs, SSRC: cfg.Send.SSRC}
		if slices.ContainsFunc(codecs, func(c plane.Codec) bool { return c.RTX != 0 }) {
			m.Send.RTXSSRC = cfg.Send.RTXSSRC
		}
		for _, r := range cfg.RIDs {
			if slices.Contains(a.SimulcastR, r) {
				out.Simulcast[o.MID] = append(out.Simulcast[o.MID], r)
			}
		}
	}
	out.Media.RTCPRsize = out.Media.RTCPRsize && a.RTCPRsize
	out.Media.Sections = append(out.Media.Sections, m)
	return nil
}

// answered lists the agreed codecs, in the answer's order.
func answered(o, a *Section) ([]plane.Codec, error) {
	var out []plane.Codec
	for _, c := range a.Codecs {
		i := slices.IndexFunc(o.Codecs, func(x plane.Codec) bool { return x.PT == c.PT })
		if i < 0 || o.Codecs[i].Name != c.Name {
			return nil, bad("answer to section %s uses payload type %d which was not offered", quote(o.MID), c.PT)
		}
		if c.RTX != o.Codecs[i].RTX {
			c.RTX = 0
		}
		if c.RED != o.Codecs[i].RED {
			c.RED = 0
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, bad("answer to section %s has no codec", quote(o.MID))
	}
	return out, nil
}
