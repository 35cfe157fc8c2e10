package sdp

import (
	"strconv"
	"strings"

	"parley/internal/media/plane"
)

// printer writes SDP lines. Values were checked on the way in, so no line can
// break out of its own.
type printer struct{ strings.Builder }

// line writes one line of concatenated parts.
func (p *printer) line(parts ...string) {
	for _, s := range parts {
		p.WriteString(s)
	}
	p.WriteString("\r\n")
}

func u8(n uint8) string   { return strconv.Itoa(int(n)) }
func u32(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// head writes the session part. Addresses are zero by RFC 8829, section 5.2.1.
func (p *printer) head(s Session, bundle []string, lite, mixed bool) {
	p.line("v=0")
	p.line("o=parley ", strconv.FormatUint(s.ID, 10), " ", strconv.FormatUint(s.Version, 10), " IN IP4 0.0.0.0")
	p.line("s=-")
	p.line("t=0 0")
	if len(bundle) > 0 {
		p.line("a=group:BUNDLE ", strings.Join(bundle, " "))
	}
	if mixed {
		p.line("a=extmap-allow-mixed")
	}
	p.line("a=msid-semantic:WMS *")
	if lite {
		p.line("a=ice-lite")
	}
}

// mline writes m= and c=; port 9 stands for "see the candidates" (RFC 8840, section 4.1.1).
func (p *printer) mline(media string, port int, proto string, formats []string) {
	p.line("m=", media, " ", strconv.Itoa(port), " ", proto, " ", strings.Join(formats, " "))
	p.line("c=IN IP4 0.0.0.0")
}

// transport writes credentials and role; the candidates go only to the tagged section.
func (p *printer) transport(l plane.Local, setup string, trickle, candidates bool) {
	p.line("a=ice-ufrag:", l.ICE.Ufrag)
	p.line("a=ice-pwd:", l.ICE.Pwd.Reveal())
	if trickle {
		p.line("a=ice-options:trickle")
	}
	p.line("a=fingerprint:", l.Fingerprint.Hash, " ", l.Fingerprint.Value)
	p.line("a=setup:", setup)
	if !candidates {
		return
	}
	for _, c := range l.Candidates {
		p.line("a=candidate:", FormatCandidate(c))
	}
	p.line("a=end-of-candidates")
}

// codecs writes rtpmap, fmtp, rtcp-fb and the RTX entries.
func (p *printer) codecs(list []plane.Codec) {
	told := false
	for _, c := range list {
		pt := u8(c.PT)
		channels := ""
		if c.Channels > 1 {
			channels = "/" + u8(c.Channels)
		}
		p.line("a=rtpmap:", pt, " ", c.Name, "/", u32(c.ClockRate), channels)
		if f := answerFmtp(c); f != "" {
			p.line("a=fmtp:", pt, " ", f)
		}
		for _, fb := range [...]struct {
			on   bool
			text string
		}{{c.REMB, "goog-remb"}, {c.TWCC, "transport-cc"}, {c.FIR, "ccm fir"}, {c.NACK, "nack"}, {c.PLI, "nack pli"}} {
			if fb.on {
				p.line("a=rtcp-fb:", pt, " ", fb.text)
			}
		}
		if c.CCFB && !told { // RFC 8888, section 6: only with the wildcard
			told = true
			p.line("a=rtcp-fb:* ack ccfb")
		}
		if c.RTX != 0 {
			p.line("a=rtpmap:", u8(c.RTX), " rtx/", u32(c.ClockRate))
			p.line("a=fmtp:", u8(c.RTX), " apt=", pt)
		}
		if c.RED != 0 {
			p.line("a=rtpmap:", u8(c.RED), " red/", u32(c.ClockRate), channels)
			p.line("a=fmtp:", u8(c.RED), " ", pt, "/", pt)
		}
	}
}

// answerFmtp mirrors the parameters. Opus is asked to repair itself: whoever
// decodes what we forward can use it, and the parameter is about the receiver
// (RFC 7587, section 6.1).
func answerFmtp(c plane.Codec) string {
	f := mirrorFmtp(c.Fmtp)
	if c.Name != "opus" {
		return f
	}
	switch v, ok := Param(f, "useinbandfec"); {
	case !ok && f == "":
		return "useinbandfec=1"
	case !ok:
		return f + ";useinbandfec=1"
	case v != "1":
		return strings.Replace(f, "useinbandfec="+v, "useinbandfec=1", 1)
	}
	return f
}

// mirrorFmtp drops what describes the other side's own stream: sprop-* names its
// capture format or parameter sets (RFC 7587, section 6.1; RFC 6184, section 8.1).
func mirrorFmtp(f string) string {
	if !strings.Contains(f, "sprop-") {
		return f
	}
	var keep []string
	for _, part := range strings.Split(f, ";") {
		if part = strings.TrimSpace(part); part != "" && !strings.HasPrefix(part, "sprop-") {
			keep = append(keep, part)
		}
	}
	return strings.Join(keep, ";")
}

// formats lists the payload types of an m-line, each with its RTX behind it and
// its redundancy before it: browsers use RED only when it is preferred to the
// codec alone.
func formats(list []plane.Codec) []string {
	var out []string
	for _, c := range list {
		if c.RED != 0 {
			out = append(out, u8(c.RED))
		}
		out = append(out, u8(c.PT))
		if c.RTX != 0 {
			out = append(out, u8(c.RTX))
		}
	}
	return out
}

// source writes msid and the SSRCs of what the author sends.
func (p *printer) source(s *SendSource, agreed *plane.Send, bySSRC bool) {
	p.line("a=msid:", s.Stream, " ", s.Track)
	if !bySSRC || s.SSRC == 0 {
		return
	}
	ssrcs := []uint32{s.SSRC}
	if agreed.RTXSSRC != 0 {
		ssrcs = append(ssrcs, agreed.RTXSSRC)
		p.line("a=ssrc-group:FID ", u32(s.SSRC), " ", u32(agreed.RTXSSRC))
	}
	if agreed.FECSSRC != 0 {
		ssrcs = append(ssrcs, agreed.FECSSRC)
		p.line("a=ssrc-group:FEC-FR ", u32(s.SSRC), " ", u32(agreed.FECSSRC))
	}
	for _, n := range ssrcs {
		p.line("a=ssrc:", u32(n), " cname:", s.CNAME)
		// The msid here is for ends older than a=msid (plan B leftovers, GStreamer).
		p.line("a=ssrc:", u32(n), " msid:", s.Stream, " ", s.Track)
	}
}

// extmap writes one header extension.
func (p *printer) extmap(e plane.Ext, id uint8, d Direction) {
	dir := ""
	if d != SendRecv {
		dir = "/" + d.String()
	}
	p.line("a=extmap:", u8(id), dir, " ", extURI[e])
}

// safe reports whether a caller's value may stand in a line.
func safe(values ...string) bool {
	for _, v := range values {
		for i := 0; i < len(v); i++ {
			if v[i] <= ' ' || v[i] >= 0x7f {
				return false
			}
		}
	}
	return true
}
