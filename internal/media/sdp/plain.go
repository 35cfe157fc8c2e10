package sdp

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	psdp "github.com/pion/sdp/v3"

	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

// Caps of plain descriptions: a phone's has some dozen lines.
const (
	MaxPlainBytes    = 16 << 10
	maxPlainSections = 8
	maxCryptos       = 8
)

// Plain is a description of RTP without ICE and DTLS: a phone, a gateway or a
// multicast session. One m-line is one RTP session (RFC 3550, section 5.2).
type Plain struct {
	ID, Version uint64
	Sections    []PlainSection
	sync        [][]string // mids of a=group:LS (RFC 5888)
}

// Synchronised reports whether two m-lines are of one synchronisation context:
// they were put together by a=group:LS, or nothing says that their CNAMEs differ
// (topologies SPL-4).
func (d *Plain) Synchronised(a, b int) bool {
	x, y := &d.Sections[a], &d.Sections[b]
	for _, g := range d.sync {
		if slices.Contains(g, x.MID) && slices.Contains(g, y.MID) {
			return true
		}
	}
	return x.CNAME == "" || y.CNAME == "" || x.CNAME == y.CNAME
}

// PlainSection is one m-line.
type PlainSection struct {
	Kind     plane.Kind // 0: a kind or profile we do not know
	MID      string     // a=mid, or its index
	Media    string
	Proto    string
	Formats  []string
	Rejected bool // port 0
	// Secure and Feedback are the profile: AVP, SAVP, AVPF, SAVPF.
	Secure, Feedback bool
	Addr             netip.AddrPort // where it wants RTP; unspecified: nowhere (hold of RFC 2543)
	RTCP             netip.AddrPort // zero: port+1
	Mux, RTCPRsize   bool
	Direction        Direction
	// Codecs are those we know in the author's order, telephone-event and CN last.
	Codecs []plane.Codec
	Crypto []Crypto // those we can do, in the author's order
	Ptime  int      // ms; 0: not said
	KBits  int      // b=AS; 0: not said
	CNAME  string   // of a=ssrc (RFC 5576); empty: not said

	TTL       int        // of a multicast address
	Source    netip.Addr // a=source-filter:incl (RFC 4570)
	Unicast   string     // a=rtcp-unicast: "rsi" or "reflection" (RFC 5760, section 10.1)
	namesMID  bool
	multicast bool
}

// Crypto is one a=crypto line (RFC 4568).
type Crypto struct {
	Tag   int
	Suite string
	Key   ids.Secret // master key and salt, raw
}

// Multicast reports whether the section is a group.
func (s *PlainSection) Multicast() bool { return s.multicast }

// Usable reports whether the section can be accepted.
func (s *PlainSection) Usable() bool {
	return !s.Rejected && s.Kind != 0 && len(mediaCodecs(s.Codecs)) > 0 && s.Secure == (len(s.Crypto) > 0) &&
		s.Addr.IsValid() && s.Addr.Port() != 0
}

// Split returns the formats of the medium itself, and those that ride on one.
func (s *PlainSection) Split() (media, aux []plane.Codec) {
	media = mediaCodecs(s.Codecs)
	return media, s.Codecs[len(media):]
}

// mediaCodecs leaves out what rides on another format.
func mediaCodecs(list []plane.Codec) []plane.Codec {
	for i, c := range list {
		if auxiliary(c) {
			return list[:i]
		}
	}
	return list
}

func auxiliary(c plane.Codec) bool {
	return c.Name == plane.TelephoneEvent || c.Name == plane.ComfortNoise
}

// plainBuilder gathers one m-line.
type plainBuilder struct {
	builder
	plain PlainSection
	addr  netip.Addr // of c=
	rtcp  string
}

// plainAttributes are those that mean something else, or only something, in
// plain descriptions.
var plainAttributes = map[string]func(*plainBuilder, string) error{
	"crypto":        readPlainCrypto,
	"rtcp":          func(b *plainBuilder, v string) error { b.rtcp = v; return nil },
	"ptime":         readPtime,
	"source-filter": readSourceFilter,
	"rtcp-unicast":  readUnicast,
}

// shared are the attributes that mean the same as in a browser's description.
var shared = map[string]bool{
	"mid": true, "sendrecv": true, "sendonly": true, "recvonly": true, "inactive": true,
	"rtpmap": true, "fmtp": true, "rtcp-fb": true, "rtcp-mux": true, "rtcp-rsize": true, "ssrc": true,
}

// ParsePlain reads and checks a description of plain RTP. Errors as for [Parse].
func ParsePlain(b []byte) (*Plain, error) {
	if len(b) > MaxPlainBytes {
		return nil, fault.New(413, "too-large", "description over %d bytes", MaxPlainBytes)
	}
	if err := checkCaps(b); err != nil {
		return nil, err
	}
	var raw psdp.SessionDescription
	if err := raw.Unmarshal(b); err != nil {
		return nil, bad("not a session description (RFC 8866)")
	}
	if n := len(raw.MediaDescriptions); n == 0 || n > maxPlainSections {
		return nil, bad("%d m-lines, not 1 to %d", n, maxPlainSections)
	}
	d := &Plain{ID: raw.Origin.SessionID, Version: raw.Origin.SessionVersion}
	head, err := plainHead(&raw)
	if err != nil {
		return nil, err
	}
	for _, a := range raw.Attributes {
		if f := strings.Fields(a.Value); a.Key == "group" && len(f) > 2 && f[0] == "LS" && len(d.sync) < maxPlainSections {
			d.sync = append(d.sync, f[1:])
		}
	}
	for i, m := range raw.MediaDescriptions {
		s, err := plainSection(m, head, i)
		if err != nil {
			return nil, err
		}
		for k := range d.Sections {
			if d.Sections[k].MID == s.MID {
				return nil, bad("mid %s twice", quote(s.MID))
			}
		}
		d.Sections = append(d.Sections, *s)
	}
	return d, nil
}

// plainHead reads the session-level defaults.
func plainHead(raw *psdp.SessionDescription) (*plainBuilder, error) {
	head := &plainBuilder{}
	head.Direction = SendRecv
	if err := head.connection(raw.ConnectionInformation); err != nil {
		return nil, err
	}
	for _, a := range raw.Attributes {
		var err error
		switch a.Key {
		case "sendrecv", "sendonly", "recvonly", "inactive":
			err = attributes[a.Key].read(&head.builder, a.Value)
		case "source-filter", "rtcp-unicast", "ptime":
			err = plainAttributes[a.Key](head, a.Value)
		}
		if err != nil {
			return nil, err
		}
	}
	return head, nil
}

// broadcast is the one such address that is known without knowing the networks
// around (RFC 919, section 7).
var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// connection reads a c= line; names are not looked up.
func (b *plainBuilder) connection(c *psdp.ConnectionInformation) error {
	if c == nil || c.Address == nil {
		return nil
	}
	addr, rest, _ := strings.Cut(c.Address.Address, "/")
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Zone() != "" || c.NetworkType != "IN" || (c.AddressType == "IP4") != a.Is4() {
		return bad("connection address %s is no IP address", quote(c.Address.Address))
	}
	if b.addr = a.Unmap(); b.addr == broadcast {
		return bad("connection address %s is for everybody", quote(addr))
	}
	b.plain.TTL = 0
	switch {
	case !a.IsMulticast():
		return nil
	case c.Address.TTL != nil:
		b.plain.TTL = *c.Address.TTL
	case rest != "" && a.Is4():
		b.plain.TTL, _ = strconv.Atoi(rest)
	}
	if b.plain.TTL < 0 || b.plain.TTL > 255 {
		return bad("ttl %d", b.plain.TTL)
	}
	return nil
}

func plainSection(m *psdp.MediaDescription, head *plainBuilder, index int) (*PlainSection, error) {
	b := &plainBuilder{addr: head.addr, plain: head.plain}
	b.maps, b.fmtp, b.fb = map[uint8]plane.Codec{}, map[uint8]string{}, map[uint8][]string{}
	b.Direction = head.Direction
	b.Formats = m.MediaName.Formats
	s := &b.plain
	s.Media, s.Proto, s.Formats = m.MediaName.Media, strings.Join(m.MediaName.Protos, "/"), m.MediaName.Formats
	s.Rejected = m.MediaName.Port.Value == 0
	s.profile()
	if err := b.connection(m.ConnectionInformation); err != nil {
		return nil, err
	}
	if s.Kind == 0 || s.Rejected {
		s.Rejected = s.Rejected || s.Kind == 0
		s.MID = strconv.Itoa(index)
		if v, ok := m.Attribute("mid"); ok {
			if err := b.take("mid", v); err != nil {
				return nil, err
			}
			s.MID, s.namesMID = b.MID, true
		}
		return s, nil
	}
	for _, a := range m.Attributes {
		if err := b.take(a.Key, a.Value); err != nil {
			return nil, err
		}
	}
	for _, w := range m.Bandwidth {
		if w.Type == "AS" {
			s.KBits = int(min(w.Bandwidth, 1<<20))
		}
	}
	if err := b.joinCodecs(); err != nil {
		return nil, err
	}
	return s, b.finish(m.MediaName.Port.Value, index)
}

func (b *plainBuilder) take(key, v string) error {
	if f := plainAttributes[key]; f != nil {
		return f(b, v)
	}
	if shared[key] {
		return attributes[key].read(&b.builder, v)
	}
	return nil
}

// profile reads the m-line's words.
func (s *PlainSection) profile() {
	switch s.Proto {
	case "RTP/AVP":
	case "RTP/AVPF":
		s.Feedback = true
	case "RTP/SAVP":
		s.Secure = true
	case "RTP/SAVPF":
		s.Secure, s.Feedback = true, true
	default:
		return
	}
	switch s.Media {
	case "audio":
		s.Kind = plane.Audio
	case "video":
		s.Kind = plane.Video
	}
}

// finish puts together what the lines said in any order.
func (b *plainBuilder) finish(port, index int) error {
	s := &b.plain
	s.MID, s.namesMID = b.MID, b.MID != ""
	if !s.namesMID {
		s.MID = strconv.Itoa(index)
	}
	for _, x := range b.SSRCs {
		if s.CNAME == "" {
			s.CNAME = x.CNAME
		}
	}
	s.Mux, s.RTCPRsize, s.Direction = b.RTCPMux, b.RTCPRsize, b.Direction
	if !b.addr.IsValid() {
		return bad("m-line %d has no connection address", index+1)
	}
	if port < 0 || port > 65535 {
		return bad("port %d", port)
	}
	s.Addr = netip.AddrPortFrom(b.addr, uint16(port))
	s.multicast = b.addr.IsMulticast()
	if err := b.readRTCP(); err != nil {
		return err
	}
	var media, aux []plane.Codec
	for _, c := range b.Codecs {
		c = s.allowed(c)
		switch {
		case c.Name == "":
		case auxiliary(c):
			aux = append(aux, c)
		default:
			media = append(media, c)
		}
	}
	s.Codecs = append(media, aux...)
	return nil
}

// allowed returns the codec as a plain session may use it, or none. Without
// AVPF there is no feedback whatever rtcp-fb says (RFC 4585, section 4.2).
func (s *PlainSection) allowed(c plane.Codec) plane.Codec {
	c.TWCC, c.REMB = false, false // they need header extensions
	c.CCFB = false                // nothing a phone tells
	c.RED = 0                     // nothing a phone expects
	if !s.Feedback {
		c.NACK, c.PLI, c.FIR, c.TMMBR, c.RTX = false, false, false, false, 0
	}
	if s.Kind == plane.Audio {
		switch {
		case strings.EqualFold(c.Name, plane.TelephoneEvent):
			c.Name, c.Channels = plane.TelephoneEvent, 0
			return c
		case strings.EqualFold(c.Name, plane.ComfortNoise) && c.ClockRate == 8000:
			c.Name, c.Channels = plane.ComfortNoise, 0
			return c
		}
	}
	switch c.Name {
	case "PCMU", "PCMA", "G722", "opus", "VP8", "H264":
		if Known(s.Kind, c) {
			return c
		}
	}
	return plane.Codec{}
}

// readRTCP reads "port [IN IP4 addr]" (RFC 3605).
func (b *plainBuilder) readRTCP() error {
	if b.rtcp == "" {
		return nil
	}
	f := strings.Fields(b.rtcp)
	addr := b.addr
	if len(f) != 1 && len(f) != 4 {
		return bad("rtcp line is not <port> [IN IP4 <address>]")
	}
	port, err := strconv.ParseUint(f[0], 10, 16)
	if err != nil || port == 0 {
		return bad("rtcp port %s", quote(f[0]))
	}
	if len(f) == 4 {
		if addr, err = netip.ParseAddr(f[3]); err != nil || addr.Zone() != "" || f[1] != "IN" ||
			addr.Unmap() == broadcast || addr.IsMulticast() && !b.addr.IsMulticast() {
			return bad("rtcp address %s", quote(f[3]))
		}
	}
	b.plain.RTCP = netip.AddrPortFrom(addr.Unmap(), uint16(port))
	return nil
}

func readPtime(b *plainBuilder, v string) error {
	n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 16)
	if err != nil || n == 0 || n > 200 {
		return bad("ptime %s is not 1 to 200", quote(v))
	}
	b.plain.Ptime = int(n)
	return nil
}

// readSourceFilter reads "incl IN IP4 dst src" (RFC 4570, section 3); a list of
// sources has its first taken, exclusion is not for senders of ours.
func readSourceFilter(b *plainBuilder, v string) error {
	f := strings.Fields(v)
	if len(f) < 5 || f[0] != "incl" && f[0] != "excl" || f[1] != "IN" {
		return bad("source-filter %s", quote(v))
	}
	a, err := netip.ParseAddr(f[4])
	if err != nil || a.Zone() != "" {
		return bad("source-filter address %s", quote(f[4]))
	}
	if f[0] == "incl" {
		b.plain.Source = a.Unmap()
	}
	return nil
}

func readUnicast(b *plainBuilder, v string) error {
	switch v = strings.TrimSpace(v); v {
	case "rsi", "reflection":
		b.plain.Unicast = v
		return nil
	}
	return bad("rtcp-unicast %s", quote(v))
}
