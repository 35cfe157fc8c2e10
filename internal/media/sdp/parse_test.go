package sdp

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"parley/internal/base/fault"
	"parley/internal/media/plane"
)

// edit returns the Chromium publishing offer with replacements (old, new, …),
// each of which must hit.
func edit(t testing.TB, pairs ...string) []byte {
	t.Helper()
	s := string(readFile(t, "testdata/offers/chromium-publish.sdp"))
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(s, pairs[i]) {
			t.Fatalf("offer lacks %q", pairs[i])
		}
		s = strings.ReplaceAll(s, pairs[i], pairs[i+1])
	}
	return []byte(s)
}

// replaceLines rewrites every line that starts with prefix; "" drops it.
func replaceLines(b []byte, prefix, with string) []byte {
	lines := strings.SplitAfter(string(b), "\r\n")
	for i, l := range lines {
		if strings.HasPrefix(l, prefix) {
			lines[i] = with
		}
	}
	return []byte(strings.Join(lines, ""))
}

func TestA21_ParseRefusesBadOffers(t *testing.T) {
	good := edit(t)
	mline := func(n int) []byte {
		var b strings.Builder
		b.Write(good[:strings.Index(string(good), "m=")])
		for i := range n {
			b.WriteString("m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:" + strconv.Itoa(i) + "\r\n")
		}
		return []byte(b.String())
	}
	print2 := "a=fingerprint:sha-256 " + strings.TrimSuffix(strings.Repeat("00:", 32), ":") + "\r\n"
	for name, c := range map[string]struct {
		in   []byte
		code int
		says string
	}{
		"empty":                 {nil, 400, "empty"},
		"garbage":               {[]byte("hello"), 400, "not a session description"},
		"no m-line":             {[]byte("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"), 400, "no m-line"},
		"bytes":                 {append(good, make([]byte, MaxBytes)...), 400, "over 131072 bytes"},
		"lines":                 {[]byte("v=0\r\n" + strings.Repeat("a=x\r\n", MaxLines)), 400, "over 8000 lines"},
		"long line":             {[]byte("v=0\r\na=" + strings.Repeat("x", MaxLine) + "\r\n"), 400, "line 2 over"},
		"long last line":        {[]byte("v=0\r\na=" + strings.Repeat("x", MaxLine)), 400, "line 2 over"},
		"m-lines":               {mline(257), 400, "over 256 m-lines"},
		"NUL":                   {edit(t, "a=mid:1", "a=mid:\x00"), 400, "control byte 0x00"},
		"bare CR":               {edit(t, "a=mid:1", "a=mid:1\ra=crypto:1"), 400, "control byte 0x0d"},
		"escape":                {edit(t, "a=mid:1", "a=mid:\x1b[31m"), 400, "control byte 0x1b"},
		"duplicate mid":         {edit(t, "a=mid:1", "a=mid:0"), 400, `mid "0" twice`},
		"two mids":              {edit(t, "a=mid:1", "a=mid:1\r\na=mid:2"), 400, "two mids"},
		"long mid":              {edit(t, "a=mid:1", "a=mid:"+strings.Repeat("m", 33)), 400, "no token"},
		"mid no token":          {edit(t, "a=mid:1", "a=mid:1 2"), 400, "no token"},
		"no mid":                {edit(t, "a=mid:1\r\n", "", "BUNDLE 0 1", "BUNDLE 0"), 400, "video section without mid"},
		"PT 128":                {edit(t, "SAVPF 96 ", "SAVPF 128 "), 400, "payload type 128 over 127"},
		"PT 128 in rtpmap":      {edit(t, "a=rtpmap:96 ", "a=rtpmap:300 "), 400, "payload type 300 over 127"},
		"PT is a word":          {edit(t, "SAVPF 96 ", "SAVPF x "), 400, "is no number"},
		"PT 72 with mux":        {edit(t, "SAVPF 96 ", "SAVPF 72 "), 400, "payload type 72"},
		"PT twice":              {edit(t, "SAVPF 96 97", "SAVPF 96 96"), 400, "payload type 96 twice"},
		"PT mapped twice":       {edit(t, "a=rtpmap:97 rtx/90000", "a=rtpmap:96 VP9/90000"), 400, "mapped twice"},
		"bad clock":             {edit(t, "VP8/90000", "VP8/0"), 400, "bad clock"},
		"no BUNDLE":             {edit(t, "a=group:BUNDLE 0 1\r\n", ""), 488, "no BUNDLE"},
		"BUNDLE of a stranger":  {edit(t, "BUNDLE 0 1", "BUNDLE 0 1 9"), 400, `unknown mid "9"`},
		"BUNDLE twice":          {edit(t, "BUNDLE 0 1", "BUNDLE 0 0"), 400, "twice"},
		"no rtcp-mux":           {edit(t, "a=rtcp-mux\r\n", ""), 488, "without rtcp-mux"},
		"SDES":                  {edit(t, "a=mid:1", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\na=mid:1"), 488, "SDES"},
		"two fingerprints":      {edit(t, "a=setup:actpass\r\na=mid:0", print2+"a=setup:actpass\r\na=mid:0"), 400, "two fingerprints of hash sha-256"},
		"short fingerprint":     {edit(t, "a=fingerprint:sha-256 ", "a=fingerprint:sha-512 "), 400, "fingerprint is not 64 bytes"},
		"only a weak hash":      {edit(t, "a=fingerprint:sha-256 ", "a=fingerprint:sha-1 "), 400, "without fingerprint"},
		"holdconn":              {edit(t, "setup:actpass", "setup:holdconn"), 488, "setup:holdconn"},
		"setup nonsense":        {edit(t, "setup:actpass", "setup:maybe"), 400, `setup "maybe"`},
		"no ufrag":              {replaceLines(good, "a=ice-ufrag:", ""), 400, "without ice-ufrag"},
		"no pwd":                {replaceLines(good, "a=ice-pwd:", ""), 400, "without ice-pwd"},
		"no fingerprint":        {replaceLines(good, "a=fingerprint:", ""), 400, "without fingerprint"},
		"short ufrag":           {replaceLines(good, "a=ice-ufrag:", "a=ice-ufrag:abc\r\n"), 400, "ice-ufrag"},
		"short pwd":             {replaceLines(good, "a=ice-pwd:", "a=ice-pwd:abcdefghijklmnopqrstu\r\n"), 400, "ice-pwd"},
		"long pwd":              {replaceLines(good, "a=ice-pwd:", "a=ice-pwd:"+strings.Repeat("a", 257)+"\r\n"), 400, "ice-pwd"},
		"ufrag with colon":      {replaceLines(good, "a=ice-ufrag:", "a=ice-ufrag:ab:cd\r\n"), 400, "ice-ufrag"},
		"simulcast stranger":    {edit(t, "a=mid:1", "a=mid:1\r\na=simulcast:send a;b"), 400, `rid "a" which is not declared`},
		"simulcast of nine":     {edit(t, "a=mid:1", "a=mid:1\r\na=simulcast:send 1;2;3;4;5;6;7;8;9"), 400, "over 8 simulcast"},
		"rid twice":             {edit(t, "a=mid:1", "a=mid:1\r\na=rid:a send\r\na=rid:a send"), 400, `rid "a" twice`},
		"extmap 0":              {edit(t, "a=extmap:1 ", "a=extmap:0 "), 400, "extmap id"},
		"ssrc over 32 bits":     {edit(t, "a=mid:1", "a=mid:1\r\na=ssrc:4294967296 cname:x"), 400, "ssrc"},
		"D7 10,000 candidates":  {edit(t, "a=mid:0", "a=mid:0"+strings.Repeat("\r\na=candidate", 10000)), 400, "over"},
		"fmtp without end":      {edit(t, "a=mid:1", "a=mid:1"+strings.Repeat("\r\na=fmtp:96 x=12345678", 500)), 400, "fmtp of payload type 96 over"},
		"every section foreign": {edit(t, "m=audio", "m=text", "m=video", "m=message"), 488, "nothing in the offer"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Parse(c.in)
			if err == nil { // some things only an answer can tell
				_, err = Answer(d, testLocal(), NewSession(1, ""), acceptAll(d))
			}
			var f *fault.Error
			if !errors.As(err, &f) {
				t.Fatalf("got %v", err)
			}
			if f.Code != c.code || f.Reason != "bad-sdp" || !strings.Contains(f.Message, c.says) {
				t.Fatalf("got %d %s %q", f.Code, f.Reason, f.Message)
			}
			for i := 0; i < len(f.Message); i++ {
				if f.Message[i] < ' ' {
					t.Fatalf("control byte in the message %q", f.Message)
				}
			}
		})
	}
}

func TestParseTakes256Sections(t *testing.T) {
	var b strings.Builder
	b.WriteString("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n")
	for i := range MaxSections {
		b.WriteString("m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:" + strconv.Itoa(i) + "\r\n")
	}
	if d := mustParse(t, []byte(b.String())); len(d.Sections) != MaxSections {
		t.Fatal(len(d.Sections))
	}
}

func TestParseTakesLineFeedsAlone(t *testing.T) {
	mustParse(t, []byte(strings.ReplaceAll(string(edit(t)), "\r\n", "\n")))
}

func TestParseReadsRealOffers(t *testing.T) {
	d := realOffer(t, "gstreamer-publish-vp8")
	audio, video := &d.Sections[0], &d.Sections[1]
	if !video.BundleOnly || video.Rejected || !video.Active() || video.Port != 0 {
		t.Errorf("bundle-only section: %+v", video)
	}
	if audio.Codecs[0].Name != "opus" || !Known(plane.Audio, audio.Codecs[0]) {
		t.Errorf("OPUS: %+v", audio.Codecs[0])
	}
	if !strings.HasPrefix(audio.Stream, "user") || audio.Track != "webrtctransceiver0" {
		t.Errorf("msid of a=ssrc: %q %q", audio.Stream, audio.Track)
	}
	old := realOffer(t, "old-firefox-sctpmap")
	if c := old.Sections[0].Codecs[0]; !c.NACK || !c.PLI || !c.FIR {
		t.Errorf("a=rtcp-fb:*: %+v", c)
	}
	if s := &old.Sections[1]; !s.SCTPMap || s.SCTPPort != 5000 || s.Prints[0].Value != strings.ToUpper(s.Prints[0].Value) {
		t.Errorf("sctpmap: %+v", s)
	}
	ff := realOffer(t, "firefox-publish")
	if len(ff.Sections[0].Prints) != 1 || ff.Sections[0].Direction != SendOnly || !ff.Trickle {
		t.Errorf("session-level defaults: %+v", ff.Sections[0])
	}
	stopped := realOffer(t, "chromium-reoffer-stopped")
	if !stopped.Sections[2].Rejected || stopped.Sections[2].Active() {
		t.Errorf("stopped section: %+v", stopped.Sections[2])
	}
	ch := realOffer(t, "chromium-publish")
	for _, c := range ch.Sections[1].Codecs {
		if strings.EqualFold(c.Name, "rtx") {
			t.Errorf("RTX left among the codecs")
		}
		if c.Name == "VP8" && (c.RTX != 97 || !c.NACK || !c.PLI || !c.FIR || !c.TWCC || !c.REMB) {
			t.Errorf("%+v", c)
		}
	}
	if g := ch.Sections[1].Groups; len(g) != 1 || g[0].Semantics != "FID" || ch.Sections[1].rtxOf(g[0].SSRCs[0]) != g[0].SSRCs[1] {
		t.Errorf("groups %+v", g)
	}
}

func TestD7_ParseNeverReadsCandidates(t *testing.T) {
	for _, c := range []string{"nonsense", "1 1 udp 1 169.254.169.254 80 typ host", "1 1 udp 1 evil.example 80 typ host"} {
		d := mustParse(t, edit(t, "a=mid:0", "a=candidate:"+c+"\r\na=mid:0"))
		a := answer(t, d, NewSession(1, ""), acceptAll(d))
		if strings.Contains(a.SDP, "169.254") || strings.Contains(a.SDP, "evil") {
			t.Error("a client's candidate came back")
		}
	}
}

func TestParseCandidateTakesOnlyAddresses(t *testing.T) {
	for text, ok := range map[string]bool{
		"candidate:1 1 UDP 2122252543 192.0.2.7 5000 typ host":               true,
		"a=candidate:1 1 tcp 1 2001:db8::1 9 typ host tcptype active":        true,
		"1 1 udp 1 192.0.2.7 5000 typ srflx raddr 10.0.0.1 rport 9":          true,
		"1 1 udp 1 0f6b1c1e-9c53-4d5a-8c05-2b3bb1a4d8ea.local 5000 typ host": false,
		"1 1 udp 1 fe80::1%eth0 5000 typ host":                               false,
		"1 1 udp 99999999999 192.0.2.7 5000 typ host":                        false,
		"1 1 udp 1 192.0.2.7 70000 typ host":                                 false,
		"1 1 ssltcp 1 192.0.2.7 443 typ host":                                false,
		"1 1 udp 1 192.0.2.7":                                                false,
	} {
		c, err := ParseCandidate(text)
		if (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
		if err == nil {
			if again, err := ParseCandidate(FormatCandidate(c)); err != nil || again != c {
				t.Errorf("%s: %+v, %+v, %v", text, c, again, err)
			}
		}
	}
}
