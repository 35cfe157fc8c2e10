package sdp

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

const phoneOffer = `v=0
o=alice 2890844526 2890844526 IN IP4 192.0.2.10
s=-
c=IN IP4 192.0.2.10
t=0 0
m=audio 49170 RTP/AVP 0 8 97 101 13
a=rtpmap:0 PCMU/8000
a=rtpmap:97 iLBC/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
m=video 51372 RTP/AVPF 99
c=IN IP4 192.0.2.11
b=AS:512
a=rtpmap:99 H264/90000
a=fmtp:99 packetization-mode=1;profile-level-id=42e01f
a=rtcp-fb:99 nack pli
a=rtcp:53020 IN IP4 192.0.2.12
a=sendonly
`

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

func plainOf(t *testing.T, s string) *Plain {
	t.Helper()
	d, err := ParsePlain(crlf(s))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestParsePlain(t *testing.T) {
	d := plainOf(t, phoneOffer)
	a, v := &d.Sections[0], &d.Sections[1]
	var names []string
	for _, c := range a.Codecs {
		names = append(names, c.Name)
	}
	if got := strings.Join(names, " "); got != "PCMU PCMA telephone-event CN" {
		t.Errorf("codecs %s", got)
	}
	if a.Addr.String() != "192.0.2.10:49170" || a.RTCP.IsValid() || a.Feedback || a.Secure || a.Direction != SendRecv || !a.Usable() || a.MID != "0" {
		t.Errorf("%+v", a)
	}
	if v.Addr.String() != "192.0.2.11:51372" || v.RTCP.String() != "192.0.2.12:53020" || !v.Feedback || v.Direction != SendOnly || v.KBits != 512 || !v.Codecs[0].PLI {
		t.Errorf("%+v", v)
	}
}

// TestPlainAVPHasNoFeedback: rtcp-fb lines count in AVPF only (B2B-3).
func TestPlainAVPHasNoFeedback(t *testing.T) {
	d := plainOf(t, strings.Replace(phoneOffer, "RTP/AVPF", "RTP/AVP", 1))
	if c := d.Sections[1].Codecs[0]; c.PLI || c.NACK || c.RTX != 0 {
		t.Errorf("%+v", c)
	}
}

func decisions(d *Plain) []PlainDecision {
	var out []PlainDecision
	for i := range d.Sections {
		at := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(20000+2*i))
		out = append(out, PlainDecision{
			Receive: true, Send: &SendSource{SSRC: uint32(100 + i)}, Key: ids.Secret(strings.Repeat("k", 30)),
			Local: plane.LocalRTP{RTP: at, RTCP: netip.AddrPortFrom(at.Addr(), at.Port()+1)},
		})
	}
	return out
}

func TestAnswerPlain(t *testing.T) {
	d := plainOf(t, phoneOffer+"m=audio 5004 UDP/TLS/RTP/SAVPF 0\na=mid:x\n")
	a, err := AnswerPlain(d, NewSession(7, "us"), decisions(d))
	if err != nil {
		t.Fatal(err)
	}
	want := `v=0
o=parley 7 1 IN IP4 198.51.100.1
s=-
c=IN IP4 198.51.100.1
t=0 0
m=audio 20000 RTP/AVP 0 8 101 13
c=IN IP4 198.51.100.1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=rtpmap:13 CN/8000
a=ptime:20
a=sendrecv
a=ssrc:100 cname:us
m=video 20002 RTP/AVPF 99
c=IN IP4 198.51.100.1
a=rtpmap:99 H264/90000
a=fmtp:99 packetization-mode=1;profile-level-id=42e01f
a=rtcp-fb:99 nack pli
a=recvonly
m=audio 0 UDP/TLS/RTP/SAVPF 0
a=mid:x
`
	if got := strings.ReplaceAll(a.SDP, "\r\n", "\n"); got != want {
		t.Errorf("got\n%s", got)
	}
	au, vi := a.Media[0], a.Media[1]
	if au.RTCPMin != 5*time.Second || au.RTCPRate != 400 || vi.RTCPMin != time.Second || vi.RTCPRate != 3200 {
		t.Errorf("reports: %v %d, %v %d", au.RTCPMin, au.RTCPRate, vi.RTCPMin, vi.RTCPRate)
	}
	if au.Sections[0].Send.SSRC != 100 || vi.Sections[0].Send != nil || vi.Sections[0].Recv == nil || len(a.Media[2].Sections) != 0 {
		t.Errorf("%+v", a.Media)
	}
	if _, err := ParsePlain([]byte(a.SDP)); err != nil {
		t.Errorf("our own answer: %v", err)
	}
}

// TestPlainDirections: each offer's direction with its answer (RFC 3264, section 6.1).
func TestPlainDirections(t *testing.T) {
	for offer, want := range map[string]string{"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"} {
		d := plainOf(t, strings.Replace(phoneOffer, "a=ptime:20", "a=ptime:20\na="+offer, 1))
		a, err := AnswerPlain(d, NewSession(1, "us"), decisions(d))
		if err != nil || !strings.Contains(a.SDP, "a=ptime:20\r\na="+want+"\r\n") {
			t.Errorf("%s: %v %s", offer, err, a.SDP)
		}
	}
}

func TestPlainCrypto(t *testing.T) {
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("p", 30)))
	offer := strings.Replace(strings.Replace(phoneOffer, "RTP/AVP 0", "RTP/SAVP 0", 1), "a=ptime:20",
		"a=crypto:1 F8_128_HMAC_SHA1_80 inline:"+key+"\na=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:"+key+"|2^20|1:4\n"+
			"a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:"+key+"|2^20 UNENCRYPTED_SRTP\na=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:"+key+"|2^31", 1)
	d := plainOf(t, offer)
	s := &d.Sections[0]
	if len(s.Crypto) != 1 || s.Crypto[0].Tag != 4 || s.Crypto[0].Key.Reveal() != strings.Repeat("p", 30) || !s.Usable() {
		t.Fatalf("%d lines, usable %v", len(s.Crypto), s.Usable())
	}
	a, err := AnswerPlain(d, NewSession(1, "us"), decisions(d))
	if err != nil {
		t.Fatal(err)
	}
	ours := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 30)))
	if !strings.Contains(a.SDP, "a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:"+ours+"\r\n") || strings.Contains(a.SDP, key) {
		t.Errorf("%s", a.SDP)
	}
	// Keys without the profile, and the profile without keys, are no session.
	for _, o := range []string{strings.Replace(offer, "RTP/SAVP 0", "RTP/AVP 0", 1), strings.Replace(phoneOffer, "RTP/AVP 0", "RTP/SAVP 0", 1)} {
		if plainOf(t, o).Sections[0].Usable() {
			t.Error("usable with profile and keys at odds")
		}
	}
}

// TestSPL4_SyncContexts: different CNAMEs are different contexts, unless a
// group says otherwise.
func TestSPL4_SyncContexts(t *testing.T) {
	two := strings.Replace(strings.Replace(phoneOffer, "a=ptime:20", "a=mid:a\na=ssrc:1 cname:box-one", 1), "a=sendonly", "a=mid:v\na=ssrc:2 cname:box-two", 1)
	for what, x := range map[string]struct {
		offer string
		want  bool
	}{
		"nothing said":     {phoneOffer, true},
		"different CNAMEs": {two, false},
		"one CNAME":        {strings.Replace(two, "box-two", "box-one", 1), true},
		"a group":          {strings.Replace(two, "t=0 0\n", "t=0 0\na=group:LS a v\n", 1), true},
		"another group":    {strings.Replace(two, "t=0 0\n", "t=0 0\na=group:LS a x\n", 1), false},
	} {
		if got := plainOf(t, x.offer).Synchronised(0, 1); got != x.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}

func TestPlainRefusals(t *testing.T) {
	for what, o := range map[string]string{
		"name for address": strings.Replace(phoneOffer, "c=IN IP4 192.0.2.10", "c=IN IP4 phone.example.org", 1),
		"no address":       strings.Replace(phoneOffer, "c=IN IP4 192.0.2.10\n", "", 1),
		"broadcast":        strings.Replace(phoneOffer, "c=IN IP4 192.0.2.10", "c=IN IP4 255.255.255.255", 1),
		"rtcp broadcast":   strings.Replace(phoneOffer, "a=rtcp:53020", "a=rtcp:53020 IN IP4 255.255.255.255", 1),
		"rtcp to a group":  strings.Replace(phoneOffer, "a=rtcp:53020", "a=rtcp:53020 IN IP4 233.252.0.1", 1),
		"rtcp port":        strings.Replace(phoneOffer, "a=rtcp:53020", "a=rtcp:99999", 1),
		"ptime":            strings.Replace(phoneOffer, "a=ptime:20", "a=ptime:0", 1),
		"two mids":         strings.Replace(phoneOffer, "a=sendonly", "a=mid:0", 1),
		"source filter":    strings.Replace(phoneOffer, "a=ptime:20", "a=source-filter: incl IN IP4 x y", 1),
		"too many lines":   phoneOffer + strings.Repeat("m=audio 5004 RTP/AVP 0\n", 8),
		"too large":        phoneOffer + strings.Repeat("a=x:"+strings.Repeat("y", 1000)+"\n", 20),
		"short key": strings.Replace(strings.Replace(phoneOffer, "RTP/AVP 0", "RTP/SAVP 0", 1), "a=ptime:20",
			"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2hvcnQ=", 1),
		"nothing": "",
	} {
		want := 400
		if what == "too large" {
			want = 413
		}
		if _, err := ParsePlain(crlf(o)); err == nil || fault.From(err).Code != want {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestGroupDescription(t *testing.T) {
	d, err := GroupOffer(netip.MustParseAddrPort("233.252.0.17:5004"), "opus", "VP8")
	if err != nil {
		t.Fatal(err)
	}
	g := GroupSession{Session: NewSession(9, "us"), TTL: 4, Source: true, Feedback: "rsi"}
	for i := range d.Sections {
		g.Streams = append(g.Streams, GroupStream{Section: &d.Sections[i], Local: decisions(d)[i].Local})
	}
	text := DescribeGroup(g)
	for _, want := range []string{
		"m=audio 5004 RTP/AVP 111\r\nc=IN IP4 233.252.0.17/4\r\n", "m=video 5006 RTP/AVP 96\r\n",
		"a=source-filter: incl IN IP4 233.252.0.17 198.51.100.1\r\n", "a=rtcp-unicast:rsi\r\n", "a=rtcp:20001 IN IP4 198.51.100.1\r\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	back := plainOf(t, strings.ReplaceAll(text, "\r\n", "\n"))
	s := &back.Sections[0]
	if !s.Multicast() || s.TTL != 4 || s.Source.String() != "198.51.100.1" || s.Unicast != "rsi" || s.RTCP.Port() != 20001 {
		t.Errorf("%+v", s)
	}
	for _, c := range [][2]string{{"AV1", ""}, {"VP8", ""}, {"PCMU", "opus"}} {
		if _, err := GroupOffer(netip.MustParseAddrPort("233.252.0.17:5004"), c[0], c[1]); err == nil {
			t.Errorf("%v accepted", c)
		}
	}
}

func FuzzPlain(f *testing.F) {
	f.Add(crlf(phoneOffer))
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("p", 30)))
	f.Add(crlf(strings.Replace(strings.Replace(phoneOffer, "RTP/AVP 0", "RTP/SAVP 0", 1), "a=ptime:20",
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+key+"\na=rtcp-mux\na=mid:a", 1)))
	f.Add(crlf("v=0\no=- 1 1 IN IP6 ::1\ns=-\nt=0 0\nm=video 5004/2 RTP/AVPF 96\nc=IN IP4 233.252.0.1/127/3\na=rtpmap:96 VP8/90000\n" +
		"a=source-filter: incl IN IP4 * 192.0.2.1\na=rtcp-unicast:reflection\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParsePlain(b)
		if err != nil {
			return
		}
		a, err := AnswerPlain(d, NewSession(1, "us"), decisions(d))
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParsePlain([]byte(a.SDP))
		if err != nil {
			t.Fatalf("%v\n%s", err, a.SDP)
		}
		if len(back.Sections) != len(d.Sections) {
			t.Errorf("%d m-lines for %d", len(back.Sections), len(d.Sections))
		}
	})
}
