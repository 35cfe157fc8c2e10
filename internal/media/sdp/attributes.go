package sdp

import (
	"strconv"
	"strings"

	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

// attribute reads one a= line into a section being built.
type attribute struct {
	read   func(b *builder, v string) error
	head   bool // also a session-level default
	always bool // read even in a rejected section
}

// attributes is every attribute that means something to us; others are ignored,
// as RFC 8866, section 5.13 asks.
var attributes = map[string]attribute{
	"mid":                {read: readMID, always: true},
	"crypto":             {read: readCrypto, head: true, always: true},
	"sendrecv":           {read: direction(SendRecv), head: true},
	"sendonly":           {read: direction(SendOnly), head: true},
	"recvonly":           {read: direction(RecvOnly), head: true},
	"inactive":           {read: direction(Inactive), head: true},
	"rtpmap":             {read: readRTPMap},
	"fmtp":               {read: readFmtp},
	"rtcp-fb":            {read: readFeedback},
	"rtcp-mux":           {read: func(b *builder, _ string) error { b.RTCPMux = true; return nil }},
	"rtcp-rsize":         {read: func(b *builder, _ string) error { b.RTCPRsize = true; return nil }},
	"extmap":             {read: readExtmap, head: true},
	"extmap-allow-mixed": {read: func(b *builder, _ string) error { b.AllowMixed = true; return nil }, head: true},
	"rid":                {read: readRID},
	"simulcast":          {read: readSimulcast},
	"msid":               {read: readMSID},
	"ssrc":               {read: readSSRC},
	"ssrc-group":         {read: readGroup},
	"sctp-port":          {read: readSCTPPort},
	"sctpmap":            {read: readSCTPMap},
	"max-message-size":   {read: readMaxMessage},
	"ice-ufrag":          {read: readUfrag, head: true},
	"ice-pwd":            {read: readPwd, head: true},
	"ice-options":        {read: readICEOptions, head: true},
	"fingerprint":        {read: readFingerprint, head: true},
	"setup":              {read: readSetup, head: true},
	"candidate":          {read: func(b *builder, v string) error { b.Candidates = append(b.Candidates, v); return nil }},
	"end-of-candidates":  {read: func(b *builder, _ string) error { b.EndOfCands = true; return nil }},
}

func direction(d Direction) func(*builder, string) error {
	return func(b *builder, _ string) error {
		b.Direction, b.direction = d, true
		return nil
	}
}

// token reports whether s is 1..limit characters that are safe to echo
// (RFC 8866 "token"; GStreamer and Firefox also stay inside it).
func token(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]`, c) >= 0 {
			return false
		}
	}
	return true
}

func readMID(b *builder, v string) error {
	if v = strings.TrimSpace(v); !token(v, maxMID) {
		return bad("mid %s is no token of 1..%d characters", quote(v), maxMID)
	}
	if b.MID != "" {
		return bad("two mids in one section")
	}
	b.MID = v
	return nil
}

// readCrypto refuses SDES keys: RFC 8827, section 6.5 forbids them.
func readCrypto(*builder, string) error {
	return unacceptable("a=crypto (SDES) is not accepted, only DTLS-SRTP")
}

// readRTPMap reads "PT name/clock[/channels]".
func readRTPMap(b *builder, v string) error {
	num, rest, _ := strings.Cut(v, " ")
	pt, err := payloadType(num)
	if err != nil {
		return err
	}
	f := strings.Split(strings.TrimSpace(rest), "/")
	if len(f) < 2 || !token(f[0], 64) {
		return bad("rtpmap of payload type %d is not name/clock", pt)
	}
	clock, err := strconv.ParseUint(f[1], 10, 32)
	if err != nil || clock == 0 {
		return bad("rtpmap of payload type %d has a bad clock rate", pt)
	}
	c := plane.Codec{Name: canonical(f[0]), ClockRate: uint32(clock)}
	if len(f) > 2 {
		n, err := strconv.ParseUint(f[2], 10, 8)
		if err != nil {
			return bad("rtpmap of payload type %d has bad channels", pt)
		}
		if n > 1 { // Firefox writes G722/8000/1; one channel is the default
			c.Channels = uint8(n)
		}
	}
	if old, dup := b.maps[pt]; dup && old != c {
		return bad("payload type %d mapped twice", pt)
	}
	b.maps[pt] = c
	return nil
}

func readFmtp(b *builder, v string) error {
	num, rest, _ := strings.Cut(v, " ")
	pt, err := payloadType(num)
	if err != nil {
		return err
	}
	if rest = strings.TrimSpace(rest); b.fmtp[pt] == "" {
		b.fmtp[pt] = rest
		return nil
	}
	// Thousands of lines for one format would be joined in quadratic time.
	if b.fmtp[pt] += ";" + rest; len(b.fmtp[pt]) > MaxLine {
		return bad("fmtp of payload type %d over %d bytes", pt, MaxLine)
	}
	return nil
}

func readFeedback(b *builder, v string) error {
	num, rest, _ := strings.Cut(v, " ")
	rest = strings.Join(strings.Fields(rest), " ")
	if num == "*" { // RFC 4585, section 4.2; older Firefox and SIP gateways
		b.fbAll = append(b.fbAll, rest)
		return nil
	}
	pt, err := payloadType(num)
	if err != nil {
		return err
	}
	b.fb[pt] = append(b.fb[pt], rest)
	return nil
}

// readExtmap reads "id[/direction] URI [attributes]" (RFC 8285, section 5).
// Unknown URIs are skipped, so are the ids over 255 that offers use as
// placeholders; of two lines for one URI or id the first counts.
func readExtmap(b *builder, v string) error {
	f := strings.Fields(v)
	if len(f) < 2 {
		return bad("extmap without URI")
	}
	num, dir, _ := strings.Cut(f[0], "/")
	id, err := strconv.ParseUint(num, 10, 16)
	if err != nil || id == 0 {
		return bad("extmap id %s", quote(num))
	}
	ext, ok := extByURI[f[1]]
	if !ok || id > 255 {
		return nil
	}
	e := Extension{Ext: ext, ID: uint8(id), Direction: SendRecv}
	switch dir { // Firefox writes directions
	case "", "sendrecv":
	case "sendonly":
		e.Direction = SendOnly
	case "recvonly":
		e.Direction = RecvOnly
	case "inactive":
		e.Direction = Inactive
	default:
		return bad("extmap direction %s", quote(dir))
	}
	for _, o := range b.Exts {
		if o.Ext == e.Ext || o.ID == e.ID {
			return nil
		}
	}
	b.Exts = append(b.Exts, e)
	return nil
}

// readRID reads "id send|recv [pt=…;…]" (RFC 8851, section 10).
func readRID(b *builder, v string) error {
	f := strings.SplitN(v, " ", 3)
	if len(f) < 2 || !ridName(f[0]) || f[1] != "send" && f[1] != "recv" {
		return bad("rid %s", quote(v))
	}
	if len(b.RIDs) >= 2*maxRIDs {
		return bad("over %d rids in one section", 2*maxRIDs)
	}
	r := RID{ID: f[0], Send: f[1] == "send"}
	for _, o := range b.RIDs {
		if o.ID == r.ID {
			return bad("rid %s twice", quote(r.ID))
		}
	}
	if len(f) == 3 {
		if v, ok := Param(f[2], "pt"); ok {
			for _, s := range strings.Split(v, ",") {
				pt, err := payloadType(s)
				if err != nil {
					return err
				}
				r.PTs = append(r.PTs, pt)
			}
		}
	}
	b.RIDs = append(b.RIDs, r)
	return nil
}

// ridName follows RFC 8852, section 3.2 and, since Chromium takes them, '-' and '_'.
func ridName(s string) bool {
	if s == "" || len(s) > maxRID {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// readSimulcast reads "send a;b,~c recv d" (RFC 8853, section 5.1). Of
// alternatives the first is taken; "~" (starts paused) changes nothing for us.
func readSimulcast(b *builder, v string) error {
	f := strings.Fields(v)
	if len(f) != 2 && len(f) != 4 {
		return bad("simulcast line is not <direction> <list>")
	}
	for i := 0; i < len(f); i += 2 {
		list, err := ridList(f[i+1])
		switch {
		case err != nil:
			return err
		case f[i] == "send" && b.Simulcast == nil:
			b.Simulcast = list
		case f[i] == "recv" && b.SimulcastR == nil:
			b.SimulcastR = list
		default:
			return bad("simulcast direction %s", quote(f[i]))
		}
	}
	return nil
}

func ridList(v string) ([]string, error) {
	var out []string
	for _, alt := range strings.Split(v, ";") {
		first, _, _ := strings.Cut(alt, ",")
		first = strings.TrimPrefix(first, "~")
		if !ridName(first) {
			return nil, bad("simulcast rid %s", quote(first))
		}
		if out = append(out, first); len(out) > maxRIDs {
			return nil, bad("over %d simulcast streams", maxRIDs)
		}
	}
	return out, nil
}

func readMSID(b *builder, v string) error {
	if b.Track != "" {
		return nil // a track in several streams: the first names it
	}
	b.Stream, b.Track, _ = strings.Cut(v, " ")
	return nil
}

// readSSRC reads "ssrc attribute:value" (RFC 5576, section 4.1).
func readSSRC(b *builder, v string) error {
	num, rest, _ := strings.Cut(v, " ")
	ssrc, err := strconv.ParseUint(num, 10, 32)
	if err != nil {
		return bad("ssrc %s", quote(num))
	}
	i := 0
	for i < len(b.SSRCs) && b.SSRCs[i].SSRC != uint32(ssrc) {
		i++
	}
	if i == len(b.SSRCs) {
		if i >= 4*maxRIDs {
			return bad("over %d ssrcs in one section", 4*maxRIDs)
		}
		b.SSRCs = append(b.SSRCs, Source{SSRC: uint32(ssrc)})
	}
	switch key, val, _ := strings.Cut(rest, ":"); key {
	case "cname":
		b.SSRCs[i].CNAME = val
	case "msid": // GStreamer 1.22 writes the msid only here
		return readMSID(b, val)
	}
	return nil
}

func readGroup(b *builder, v string) error {
	f := strings.Fields(v)
	if len(f) < 2 || len(b.Groups) >= 4*maxRIDs || len(f) > 1+maxRIDs {
		return bad("ssrc-group %s", quote(v))
	}
	g := Group{Semantics: f[0]}
	if g.Semantics != "FID" && g.Semantics != "SIM" && g.Semantics != "FEC-FR" {
		return nil
	}
	for _, s := range f[1:] {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return bad("ssrc-group %s", quote(v))
		}
		g.SSRCs = append(g.SSRCs, uint32(n))
	}
	b.Groups = append(b.Groups, g)
	return nil
}

func readSCTPPort(b *builder, v string) error {
	n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 16)
	if err != nil {
		return bad("sctp-port %s", quote(v))
	}
	b.SCTPPort = uint16(n)
	return nil
}

func readSCTPMap(b *builder, v string) error {
	num, _, _ := strings.Cut(v, " ")
	b.SCTPMap = true
	return readSCTPPort(b, num)
}

func readMaxMessage(b *builder, v string) error {
	n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 64)
	if err != nil {
		return bad("max-message-size %s", quote(v))
	}
	b.MaxMessage = int(min(n, 1<<31-1)) // Firefox offers 1073741823
	return nil
}

// readUfrag and readPwd check RFC 8839, section 5.4: 4..256 and 22..256 ice-chars.
func readUfrag(b *builder, v string) error {
	if !iceChars(v, 4) {
		return bad("ice-ufrag must be 4 to 256 ice-chars")
	}
	b.ICE.Ufrag = v
	return nil
}

func readPwd(b *builder, v string) error {
	if !iceChars(v, 22) {
		return bad("ice-pwd must be 22 to 256 ice-chars")
	}
	b.ICE.Pwd = ids.Secret(v)
	return nil
}

func iceChars(s string, least int) bool {
	if len(s) < least || len(s) > 256 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '+' || c == '/') {
			return false
		}
	}
	return true
}

func readICEOptions(b *builder, v string) error {
	for _, o := range strings.Fields(v) {
		b.trickle = b.trickle || o == "trickle"
	}
	return nil
}

// readSetup takes the DTLS role (RFC 8842, section 5.1). holdconn would mean an
// association later, which we do not keep a place for.
func readSetup(b *builder, v string) error {
	switch v {
	case "actpass", "active", "passive":
		b.Setup = v
		return nil
	case "holdconn":
		return unacceptable("setup:holdconn")
	}
	return bad("setup %s", quote(v))
}
