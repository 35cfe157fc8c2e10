package sdp

import (
	"strconv"
	"strings"

	psdp "github.com/pion/sdp/v3"

	"parley/internal/media/plane"
)

// Parse reads and checks a description. The error is a *fault.Error with reason
// "bad-sdp": 400 when malformed, 488 when it asks for what we do not do.
func Parse(b []byte) (*Description, error) {
	if err := checkCaps(b); err != nil {
		return nil, err
	}
	var raw psdp.SessionDescription
	if err := raw.Unmarshal(b); err != nil {
		// The parser's text quotes its input: keep it from the client and the log.
		return nil, bad("not a session description (RFC 8866)")
	}
	if len(raw.MediaDescriptions) == 0 {
		return nil, bad("no m-line")
	}
	d := &Description{ID: raw.Origin.SessionID, Version: raw.Origin.SessionVersion}
	var head builder
	for _, a := range raw.Attributes {
		if err := d.headAttribute(&head, a); err != nil {
			return nil, err
		}
	}
	for _, m := range raw.MediaDescriptions {
		s, err := parseSection(m, &head)
		if err != nil {
			return nil, err
		}
		d.Trickle = d.Trickle || s.trickle
		d.Sections = append(d.Sections, s.Section)
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	return d, nil
}

// headAttribute takes one session-level attribute: what belongs to the
// description, or a default for every section.
func (d *Description) headAttribute(head *builder, a psdp.Attribute) error {
	switch a.Key {
	case "group":
		// Only the first BUNDLE group counts: one transport a session. Members of
		// another are answered with port 0.
		if f := strings.Fields(a.Value); len(f) > 0 && f[0] == "BUNDLE" && d.Bundle == nil {
			d.Bundle = f[1:]
		}
		return nil
	case "ice-lite":
		d.ICELite = true
		return nil
	case "extmap-allow-mixed":
		d.AllowMixed = true
	}
	if h, ok := attributes[a.Key]; ok && h.head {
		return h.read(head, a.Value)
	}
	return nil
}

// builder gathers one section; lines may come in any order, so codecs are
// joined at the end.
type builder struct {
	Section
	trickle   bool
	direction bool // a direction was written
	ownPrints bool
	maps      map[uint8]plane.Codec
	fmtp      map[uint8]string
	fb        map[uint8][]string
	fbAll     []string // a=rtcp-fb:*
}

func parseSection(m *psdp.MediaDescription, head *builder) (*builder, error) {
	b := &builder{maps: map[uint8]plane.Codec{}, fmtp: map[uint8]string{}, fb: map[uint8][]string{}}
	b.Section = Section{
		Media: m.MediaName.Media, Proto: strings.Join(m.MediaName.Protos, "/"), Formats: m.MediaName.Formats,
		Port: m.MediaName.Port.Value, Stream: "-",
		// Session-level defaults: Firefox, aiortc and pion write some there.
		Direction: SendRecv, ICE: head.ICE, Setup: head.Setup, Prints: head.Prints,
		AllowMixed: head.AllowMixed, SCTPPort: 5000, MaxMessage: 64 << 10, // RFC 8841, section 6.1
		Exts: append([]Extension(nil), head.Exts...),
	}
	if head.direction {
		b.Direction = head.Direction
	}
	b.Kind = kindOf(b.Media, b.Proto)
	b.trickle = head.trickle
	_, b.BundleOnly = m.Attribute("bundle-only")
	b.Rejected = b.Port == 0 && !b.BundleOnly
	for _, a := range m.Attributes {
		h, ok := attributes[a.Key]
		if !ok || b.Rejected && !h.always {
			continue
		}
		if err := h.read(b, a.Value); err != nil {
			return nil, err
		}
	}
	if b.Rejected || b.Kind == 0 || b.Kind == plane.Application {
		return b, nil
	}
	return b, b.joinCodecs()
}

// kindOf tells what we can do with an m-line. DTLS-SRTP profiles are named in
// RFC 5764; RTP/SAVPF without the prefix must be understood as the same
// (RFC 8829, section 5.1.2). Anything else is a section to reject.
func kindOf(media, proto string) plane.Kind {
	switch media {
	case "audio", "video":
		switch proto {
		case "UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/TLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP":
			if media == "audio" {
				return plane.Audio
			}
			return plane.Video
		}
	case "application":
		switch proto {
		case "UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP":
			return plane.Application
		}
	}
	return 0
}

// joinCodecs makes Codecs out of the m-line, rtpmap, fmtp and rtcp-fb lines.
func (b *builder) joinCodecs() error {
	rtx := map[uint8]uint8{} // primary → rtx
	red := map[uint8]uint8{} // primary → red
	var seen [128]bool
	order := make([]uint8, 0, len(b.Formats))
	for _, f := range b.Formats {
		pt, err := payloadType(f)
		if err != nil {
			return err
		}
		// RFC 5761, section 4: these collide with RTCP packet types.
		if pt >= 64 && pt <= 95 && b.RTCPMux {
			return bad("payload type %d cannot be told from RTCP with rtcp-mux", pt)
		}
		if seen[pt] {
			return bad("payload type %d twice in one m-line", pt)
		}
		seen[pt] = true
		if apt, ok := b.aptOf(pt); ok {
			if _, dup := rtx[apt]; !dup {
				rtx[apt] = pt
			}
			continue
		}
		if primary, ok := b.redOf(pt); ok {
			if _, dup := red[primary]; !dup {
				red[primary] = pt
			}
			continue
		}
		if b.Kind == plane.Video && strings.EqualFold(b.maps[pt].Name, fecName) && b.maps[pt].ClockRate == 90000 {
			if b.FEC.Name == "" {
				b.FEC = b.finish(b.maps[pt], pt)
			}
			continue
		}
		order = append(order, pt)
	}
	for _, pt := range order {
		c, ok := b.maps[pt]
		if !ok {
			if c, ok = static[pt]; !ok {
				continue // a format without a map cannot be used
			}
		}
		c.RTX, c.RED = rtx[pt], red[pt]
		b.Codecs = append(b.Codecs, b.finish(c, pt))
	}
	return nil
}

// fecName is that of the draft that libwebrtc speaks; RFC 8627's is "flexfec".
const fecName = "flexfec-03"

// finish adds what other lines tell of a payload type.
func (b *builder) finish(c plane.Codec, pt uint8) plane.Codec {
	c.PT, c.Fmtp = pt, b.fmtp[pt]
	for _, v := range b.fbAll {
		feedback(&c, v)
	}
	for _, v := range b.fb[pt] {
		feedback(&c, v)
	}
	return c
}

// aptOf tells that pt is RFC 4588 retransmission, and of which payload type.
func (b *builder) aptOf(pt uint8) (apt uint8, ok bool) {
	if !strings.EqualFold(b.maps[pt].Name, "rtx") {
		return 0, false
	}
	v, ok := Param(b.fmtp[pt], "apt")
	n, err := strconv.ParseUint(v, 10, 7)
	if !ok || err != nil {
		return 0xff, true // useless, but still not a codec
	}
	return uint8(n), true
}

// redOf tells that pt is RFC 2198 redundancy, and of which payload type: "a=fmtp:63
// 111/111" (section 5). One that mixes formats, or names none, stays a codec of
// its own, which nobody knows.
func (b *builder) redOf(pt uint8) (primary uint8, ok bool) {
	r := b.maps[pt]
	if !strings.EqualFold(r.Name, "red") {
		return 0, false
	}
	first, rest, _ := strings.Cut(b.fmtp[pt], "/")
	n, err := strconv.ParseUint(first, 10, 7)
	if err != nil || rest == "" {
		return 0, false
	}
	for other := range strings.SplitSeq(rest, "/") {
		if other != first {
			return 0, false
		}
	}
	c, ok := b.maps[uint8(n)]
	return uint8(n), ok && b.Kind == plane.Audio && c.Name == "opus" && c.ClockRate == r.ClockRate && c.Channels == r.Channels
}

// feedback notes one a=rtcp-fb value (RFC 4585, RFC 5104).
func feedback(c *plane.Codec, v string) {
	switch v {
	case "nack":
		c.NACK = true
	case "nack pli":
		c.PLI = true
	case "ccm fir":
		c.FIR = true
	case "transport-cc":
		c.TWCC = true
	case "ack ccfb": // RFC 8888, section 6
		c.CCFB = true
	case "goog-remb":
		c.REMB = true
	}
}

// static formats need no rtpmap (RFC 3551, section 6).
var static = map[uint8]plane.Codec{
	0:  {Name: "PCMU", ClockRate: 8000},
	8:  {Name: "PCMA", ClockRate: 8000},
	9:  {Name: "G722", ClockRate: 8000}, // by historic mistake not 16000
	13: {Name: "CN", ClockRate: 8000},
}

func payloadType(s string) (uint8, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, bad("payload type %s is no number", quote(s))
	}
	if n > 127 {
		return 0, bad("payload type %d over 127", n)
	}
	return uint8(n), nil
}

// quote shortens and escapes client text for a message.
func quote(s string) string {
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return strconv.QuoteToASCII(s)
}
