package sdp

import (
	"reflect"
	"strings"
	"testing"
)

// The example of RFC 9725, section 4.3.2, shortened.
const whipPatch = "a=group:BUNDLE 0 1\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" +
	"a=mid:0\r\n" +
	"a=ice-ufrag:EsAw\r\n" +
	"a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n" +
	"a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n" +
	"a=candidate:3471623853 1 udp 2122194687 198.51.100.2 61765 typ host generation 0 ufrag EsAw network-id 2\r\n" +
	"a=end-of-candidates\r\n"

func TestTrickleFragmentOfRFC9725(t *testing.T) {
	f, err := ParseTrickleFragment([]byte(whipPatch))
	if err != nil {
		t.Fatal(err)
	}
	if f.ICE.Ufrag != "EsAw" || f.ICE.Pwd.Reveal() != "P2uYro0UCOQ4zxjKXaWCBui1" || len(f.Bundle) != 2 || len(f.Sections) != 1 {
		t.Fatalf("%+v", f)
	}
	if s := f.Sections[0]; s.MID != "0" || s.Media != "audio" || len(s.Candidates) != 2 || !s.End {
		t.Fatalf("%+v", s)
	}
	again, err := ParseTrickleFragment([]byte(f.String()))
	if err != nil || !reflect.DeepEqual(f, again) {
		t.Fatalf("%v\n%+v\n%+v", err, f, again)
	}
}

func TestTrickleFragmentOfAServer(t *testing.T) {
	f := LocalFragment(testLocal(), "0", "audio")
	text := f.String()
	if !strings.HasPrefix(text, "a=ice-lite\r\na=ice-ufrag:prly\r\na=ice-pwd:") || strings.Count(text, "a=candidate:") != 3 {
		t.Fatal(text)
	}
	again, err := ParseTrickleFragment([]byte(text))
	if err != nil || !reflect.DeepEqual(f, again) {
		t.Fatalf("%v\n%+v\n%+v", err, f, again)
	}
}

func TestTrickleFragmentRefusals(t *testing.T) {
	m := "m=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
	for name, text := range map[string]string{
		"empty":                "",
		"no ICE":               m,
		"big":                  strings.Repeat("a=x\r\n", MaxFragmentBytes/5+1),
		"candidates":           m + strings.Repeat("a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n", MaxFragmentCandidates+1),
		"sections":             strings.Repeat(m, maxFragmentSections+1),
		"mid twice":            m + m + "a=end-of-candidates\r\n",
		"no mid":               "m=audio 9 RTP/AVP 0\r\na=end-of-candidates\r\n",
		"candidate outside":    "a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n",
		"mid outside":          "a=mid:0\r\na=end-of-candidates\r\n",
		"ufrag alone":          "a=ice-ufrag:EsAw\r\n" + m,
		"short pwd":            "a=ice-ufrag:EsAw\r\na=ice-pwd:short\r\n" + m,
		"two sets":             strings.Replace(whipPatch, "a=group", "a=ice-ufrag:Other\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=group", 1),
		"JSON":                 `{"candidate":"x"}`,
		"control byte":         m + "a=candidate:\x00\r\n",
		"bad mid in the group": "a=group:BUNDLE a,b\r\n" + m + "a=end-of-candidates\r\n",
	} {
		if f, err := ParseTrickleFragment([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestTrickleFragmentEndAtSessionLevel(t *testing.T) {
	f, err := ParseTrickleFragment([]byte("a=end-of-candidates\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"))
	if err != nil || !f.Sections[0].End {
		t.Fatalf("%v %+v", err, f)
	}
}
