package sdp

import (
	"slices"
	"strings"

	"parley/internal/media/plane"
)

// maxMessage is what we announce for data channels, bytes: what pion/sctp
// reassembles by default and every browser accepts.
const maxMessage = 65536

// vp8First is the order when nobody has a wish.
var vp8First = []string{"VP8"}

// Answer answers an offer with one decision a section, in order; missing ones
// reject. prev is the session so far ([NewSession] at first), and the result's
// Session is the next. Nothing is changed when an error comes back.
func Answer(offer *Description, local plane.Local, prev Session, decisions []Decision) (*Answered, error) {
	if err := prev.checkOffer(offer); err != nil {
		return nil, err
	}
	a := &answerer{offer: offer, local: local, tagged: offer.tagged(), out: &Answered{Session: prev}}
	if a.tagged == nil && !prev.Negotiated {
		return nil, unacceptable("nothing in the offer can be negotiated")
	}
	a.sections = make([]answerSection, len(offer.Sections))
	for i := range offer.Sections {
		d := Decision{Reject: true}
		if i < len(decisions) {
			d = decisions[i]
		}
		if d.Reject && a.mustLive(i, decisions) {
			d = Decision{}
		}
		if err := a.decide(i, d); err != nil {
			return nil, err
		}
	}
	a.oneMeaning()
	a.bundle()
	a.role()
	a.finish()
	a.print()
	return a.out, nil
}

// answerer holds one answer in the making.
type answerer struct {
	offer    *Description
	local    plane.Local
	tagged   *Section // of the offer; nil when everything in it is dead
	sections []answerSection
	group    []string // accepted mids in the order of the offer's group
	setup    string
	out      *Answered
}

// answerSection is the outcome for one m-line.
type answerSection struct {
	accepted bool
	dir      Direction // ours
	codecs   []plane.Codec
	rids     []RID    // answered, in the offer's order
	recv     []string // simulcast order as answered
	send     *SendSource
	fec      []plane.Codec // FlexFEC-03 as answered, at most one
	media    plane.Section
}

// checkOffer holds a later offer to RFC 3264, section 8: m-lines are never
// dropped or moved, and keep their mid unless they were dead.
func (s Session) checkOffer(offer *Description) error {
	if len(offer.Sections) < len(s.Lines) {
		return bad("offer has %d m-lines, %d were negotiated", len(offer.Sections), len(s.Lines))
	}
	for i, l := range s.Lines {
		o := &offer.Sections[i]
		if l.Rejected || o.Rejected {
			continue
		}
		if o.MID != l.MID {
			return bad("m-line %d changed its mid from %s to %s", i, quote(l.MID), quote(o.MID))
		}
		if o.Media != l.Media {
			return bad("m-line %d changed its kind", i)
		}
	}
	return nil
}

// mustLive reports that section i may not be rejected: its transport carries
// others that are to be accepted. Clients with bundlePolicy max-bundle have no
// other transport (Chromium 156 then fails with "Failed to setup RTCP mux", and
// its later offers no longer say a=bundle-only), so the section is answered
// inactive instead.
func (a *answerer) mustLive(i int, decisions []Decision) bool {
	o := &a.offer.Sections[i]
	if o.Kind == plane.Application || a.tagged != o {
		return false
	}
	for j := range a.offer.Sections {
		if j != i && j < len(decisions) && !decisions[j].Reject && a.offer.Sections[j].Active() {
			return true
		}
	}
	return false
}

func (a *answerer) decide(i int, d Decision) error {
	o, s := &a.offer.Sections[i], &a.sections[i]
	if d.Reject || !o.Active() {
		return nil
	}
	if o.Kind == plane.Application {
		a.decideData(o, s, d)
		return nil
	}
	for _, c := range o.Codecs {
		if Known(o.Kind, c) {
			if d.NoRED {
				c.RED = 0
			}
			s.codecs = append(s.codecs, c)
		}
	}
	if len(s.codecs) == 0 {
		return nil // RFC 3264, section 6: no format in common rejects the stream
	}
	s.accepted = true
	var first *plane.Codec
	if d.Receive && o.Direction.Sends() {
		s.dir |= RecvOnly
	}
	if d.Send != nil && o.Direction.Receives() {
		if !safe(d.Send.Stream, d.Send.Track, d.Send.CNAME) {
			return bad("source of mid %s has a name that SDP cannot carry", quote(o.MID))
		}
		s.send = d.Send
		if d.Send.Codec != nil {
			c, ok := FindCodec(s.codecs, *d.Send.Codec)
			if ok {
				first = &c
			} else {
				s.send = nil
				a.out.SendDenied = append(a.out.SendDenied, o.MID)
			}
		}
	}
	if s.send != nil {
		s.dir |= SendOnly
	}
	prefer := d.Prefer
	if prefer == nil && o.Kind == plane.Video {
		prefer = vp8First
	}
	s.codecs = order(s.codecs, first, prefer)
	a.media(o, s)
	return nil
}

func (a *answerer) decideData(o *Section, s *answerSection, d Decision) {
	// One association a transport: a second application section is rejected.
	if !d.Receive && d.Send == nil || a.out.Data {
		return
	}
	s.accepted = true
	a.out.Data, a.out.SCTPPort, a.out.MaxMessage = true, o.SCTPPort, o.MaxMessage
}

// media fills what the media side needs to know of an accepted section.
func (a *answerer) media(o *Section, s *answerSection) {
	s.media = plane.Section{MID: o.MID, Kind: o.Kind}
	for _, e := range o.Exts {
		if answerExt(e, s.dir) != Inactive && a.idAllowed(o, e.ID) {
			s.media.Exts[e.Ext] = e.ID
		}
	}
	oneFeedback(s.codecs, s.media.Exts[plane.ExtTransportCC] != 0)
	if s.dir.Receives() {
		s.rids, s.recv = acceptRIDs(o, s.codecs)
		s.media.Recv = &plane.Recv{Codecs: s.codecs, Layers: layers(o, s.recv)}
	}
	if s.send != nil {
		s.media.Send = &plane.Send{Codecs: s.codecs, SSRC: s.send.SSRC}
		if slices.ContainsFunc(s.codecs, func(c plane.Codec) bool { return c.RTX != 0 }) {
			s.media.Send.RTXSSRC = s.send.RTXSSRC
		}
	}
	agreeFEC(o, s)
}

// agreeFEC answers FlexFEC-03 where it can be used: for what we send, if it has an
// SSRC for parity, and for a source of one encoding, which is all that libwebrtc
// protects.
func agreeFEC(o *Section, s *answerSection) {
	if o.FEC.Name == "" {
		return
	}
	if s.send != nil && s.send.FECSSRC != 0 && !s.send.Unannounced {
		s.media.Send.FEC, s.media.Send.FECSSRC = o.FEC.PT, s.send.FECSSRC
		s.fec = []plane.Codec{o.FEC}
	}
	if r := s.media.Recv; r != nil && len(r.Layers) <= 1 {
		r.FEC = o.FEC.PT
		s.fec = []plane.Codec{o.FEC}
	}
}

// oneFeedback keeps one way of feedback by packet: transport-wide numbers where
// they are agreed, else RFC 8888, which is agreed for all formats or none.
func oneFeedback(list []plane.Codec, numbered bool) {
	all := !slices.ContainsFunc(list, func(c plane.Codec) bool { return !c.CCFB || c.TWCC && numbered })
	for i := range list {
		list[i].CCFB = list[i].CCFB && all
	}
}

// idAllowed: ids over 14 need the two-byte form, which needs a=extmap-allow-mixed
// (RFC 8285, sections 4.2 and 6).
func (a *answerer) idAllowed(o *Section, id uint8) bool {
	return id <= 14 || (id >= 16 && (o.AllowMixed || a.offer.AllowMixed))
}

// oneMeaning drops an extension whose id means another one in an earlier
// section: over one transport an id has one meaning (extmap is SPECIAL in
// RFC 8859 for this). aiortc 1.4 offers id 2 as audio level in audio and
// as abs-send-time in video, keeps one map for both, and closes its transport on
// the first audio packet that then reads wrongly.
func (a *answerer) oneMeaning() {
	var meaning [256]int // 1 + plane.Ext
	for i := range a.sections {
		exts := &a.sections[i].media.Exts
		for e, id := range exts {
			switch {
			case id == 0:
			case meaning[id] == 0:
				meaning[id] = e + 1
			case meaning[id] != e+1:
				exts[e] = 0
			}
		}
	}
}

// acceptRIDs takes the offered simulcast streams as they are. A pt= restriction
// to codecs that we do not answer drops the stream (RFC 8851, section 6.3).
func acceptRIDs(o *Section, codecs []plane.Codec) (rids []RID, order []string) {
	usable := map[string]bool{}
	for _, r := range o.RIDs {
		if !r.Send || !slices.Contains(o.Simulcast, r.ID) {
			continue
		}
		kept := RID{ID: r.ID}
		for _, c := range codecs {
			if slices.Contains(r.PTs, c.PT) {
				kept.PTs = append(kept.PTs, c.PT)
			}
		}
		if len(r.PTs) > 0 && len(kept.PTs) == 0 {
			continue
		}
		usable[r.ID] = true
		rids = append(rids, kept)
	}
	for _, r := range o.Simulcast {
		if usable[r] {
			order = append(order, r)
		}
	}
	return rids, order
}

// layers lists the encodings that the author of o sends, lowest quality first:
// by RID, else by ssrc-group:SIM, else the one announced SSRC.
func layers(o *Section, rids []string) []plane.Layer {
	var out []plane.Layer
	if len(rids) > 0 {
		for _, r := range rids {
			out = append(out, plane.Layer{RID: r})
		}
		if highFirst(rids[0], rids[len(rids)-1]) {
			slices.Reverse(out)
		}
		return out
	}
	for _, g := range o.Groups {
		if g.Semantics == "SIM" { // always written lowest first by libwebrtc
			for _, n := range g.SSRCs {
				out = append(out, plane.Layer{SSRC: n, RTXSSRC: o.rtxOf(n)})
			}
			return out
		}
	}
	if len(o.SSRCs) == 0 {
		return nil
	}
	primary := o.SSRCs[0].SSRC
	for _, g := range o.Groups {
		if g.Semantics == "FID" || g.Semantics == "FEC-FR" {
			primary = g.SSRCs[0]
			break
		}
	}
	return []plane.Layer{{SSRC: primary, RTXSSRC: o.rtxOf(primary), FECSSRC: o.fecOf(primary)}}
}

// highFirst tells by the usual names that an application listed its encodings
// from the best down. RFC 8853 orders the list by preference and says nothing
// of size; the common habit, low to high, is the default.
func highFirst(first, last string) bool {
	rank := map[string]int{
		"q": 1, "l": 1, "lo": 1, "low": 1, "s": 1,
		"h": 2, "m": 2, "mid": 2, "med": 2, "medium": 2,
		"f": 3, "hi": 3, "high": 3, "full": 3,
	}
	// "l/m/h" and "q/h/f" share the h: it is the best where an l or m is about.
	a, b := rank[strings.ToLower(first)], rank[strings.ToLower(last)]
	return a != 0 && b != 0 && a > b
}

// bundle lists the accepted mids in the order of the offer's group, so that the
// answerer-tagged section is the first that lives (RFC 9143, section 7.3.1).
func (a *answerer) bundle() {
	for _, mid := range a.offer.Bundle {
		for i := range a.offer.Sections {
			if a.offer.Sections[i].MID == mid && a.sections[i].accepted {
				a.group = append(a.group, mid)
			}
		}
	}
}

// role chooses the DTLS role: passive by preference; an association keeps the
// role it has (RFC 8842, sections 5.3 and 5.5).
func (a *answerer) role() {
	var tagged Transport
	if a.tagged != nil {
		tagged = a.tagged.transport()
	}
	if len(a.group) > 0 {
		// Unbundled credentials (aiortc and GStreamer write one set a section):
		// those of the section that carries the bundle in our answer count.
		if t := a.offer.Section(a.group[0]).transport(); t.ICE.Ufrag != "" && t.ICE.Pwd != "" && len(t.Prints) > 0 {
			tagged = t
		}
	}
	s := &a.out.Session
	switch {
	case tagged.Setup == "passive":
		s.DTLSClient = true
	case tagged.Setup == "actpass" && s.Negotiated:
	default: // actpass; active, also when the line is missing (RFC 4145, section 4)
		s.DTLSClient = false
	}
	a.setup = "passive"
	if s.DTLSClient {
		a.setup = "active"
	}
	a.out.DTLSClient, a.out.Remote, a.out.Prints = s.DTLSClient, tagged.ICE, tagged.Prints
}

// finish makes the next session and the media.
func (a *answerer) finish() {
	s := &a.out.Session
	s.Version++
	s.Negotiated = s.Negotiated || len(a.group) > 0
	s.Lines = make([]Line, len(a.sections))
	m := &a.out.Media
	m.Rev, m.CNAME, m.RTCPRsize = uint32(s.Version), s.CNAME, true
	for i := range a.sections {
		o, sec := &a.offer.Sections[i], &a.sections[i]
		s.Lines[i] = Line{MID: o.MID, Media: o.Media, Rejected: !sec.accepted}
		if sec.accepted && o.Kind != plane.Application {
			m.Sections = append(m.Sections, sec.media)
			// One RTCP stream for the whole transport: reduced size only if every
			// section agreed. Firefox leaves it out for audio, aiortc everywhere.
			m.RTCPRsize = m.RTCPRsize && o.RTCPRsize
		}
	}
	m.RTCPRsize = m.RTCPRsize && len(m.Sections) > 0
}

func (a *answerer) print() {
	var p printer
	p.head(a.out.Session, a.group, true, a.offer.AllowMixed)
	for i := range a.sections {
		o, s := &a.offer.Sections[i], &a.sections[i]
		switch {
		case !s.accepted:
			p.mline(o.Media, 0, o.Proto, o.Formats)
			if o.MID != "" {
				p.line("a=mid:", o.MID)
			}
			p.line("a=inactive")
			if o.Kind == plane.Application && o.SCTPMap && len(o.Formats) > 0 {
				p.line("a=sctpmap:", o.Formats[0], " webrtc-datachannel 0")
			}
		case o.Kind == plane.Application:
			a.printData(&p, o)
		default:
			a.printMedia(&p, o, s)
		}
	}
	a.out.SDP = p.String()
}

func (a *answerer) printData(p *printer, o *Section) {
	p.mline(o.Media, 9, o.Proto, o.Formats)
	p.line("a=mid:", o.MID)
	p.transport(a.local, a.setup, a.offer.Trickle, o.MID == a.group[0])
	p.line("a=sendrecv")
	if o.SCTPMap { // answer the old form in the old form
		p.line("a=sctpmap:", u32(uint32(o.SCTPPort)), " webrtc-datachannel 1024")
	} else {
		p.line("a=sctp-port:5000")
	}
	p.line("a=max-message-size:", u32(maxMessage))
}

func (a *answerer) printMedia(p *printer, o *Section, s *answerSection) {
	p.mline(o.Media, 9, o.Proto, append(formats(s.codecs), formats(s.fec)...))
	p.line("a=mid:", o.MID)
	p.transport(a.local, a.setup, a.offer.Trickle, o.MID == a.group[0])
	p.line("a=", s.dir.String())
	p.line("a=rtcp-mux")
	if o.RTCPRsize {
		p.line("a=rtcp-rsize")
	}
	if o.AllowMixed && !a.offer.AllowMixed {
		p.line("a=extmap-allow-mixed")
	}
	for _, e := range o.Exts {
		if s.media.Exts[e.Ext] == e.ID {
			p.extmap(e.Ext, e.ID, flip(e.Direction))
		}
	}
	p.codecs(s.codecs)
	p.codecs(s.fec)
	for _, r := range s.rids {
		pts := ""
		if len(r.PTs) > 0 {
			var list []string
			for _, pt := range r.PTs {
				list = append(list, u8(pt))
			}
			pts = " pt=" + strings.Join(list, ",")
		}
		p.line("a=rid:", r.ID, " recv", pts)
	}
	if len(s.recv) > 0 {
		p.line("a=simulcast:recv ", strings.Join(s.recv, ";"))
	}
	if s.send != nil {
		p.source(s.send, s.media.Send, !s.send.Unannounced)
	}
}
