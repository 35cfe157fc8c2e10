package sdp

import (
	"bytes"
	"strings"
	"testing"

	"parley/internal/media/plane"
)

func answerRED(t *testing.T, old, with string, d Decision) (*Answered, plane.Codec) {
	t.Helper()
	b := readFile(t, "testdata/offers/chromium-sendrecv.sdp")
	b = bytes.Replace(b, []byte(old), []byte(with), 1)
	d.Receive = true
	a := answer(t, mustParse(t, b), NewSession(1, ""), []Decision{d})
	for _, c := range a.Media.Sections[0].Recv.Codecs {
		if c.Name == "opus" {
			return a, c
		}
	}
	t.Fatal("no opus")
	return nil, plane.Codec{}
}

// TestRED_InAnswers: redundancy of Opus is answered, before Opus itself, since
// browsers send it only then.
func TestRED_InAnswers(t *testing.T) {
	a, c := answerRED(t, "", "", Decision{})
	if c.RED != 63 || !strings.Contains(a.SDP, "m=audio 9 UDP/TLS/RTP/SAVPF 63 111 ") ||
		!strings.Contains(a.SDP, "a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n") {
		t.Errorf("%+v\n%s", c, a.SDP)
	}
	if a, c = answerRED(t, "", "", Decision{NoRED: true}); c.RED != 0 || strings.Contains(a.SDP, "red/") || strings.Contains(a.SDP, " 63 ") {
		t.Errorf("told not to: %+v\n%s", c, a.SDP)
	}
	if _, c = answerRED(t, "a=fmtp:63 111/111", "a=fmtp:63 111/111/111", Decision{}); c.RED != 63 {
		t.Error("three generations")
	}
	for _, fmtp := range []string{"a=x", "a=fmtp:63 111", "a=fmtp:63 111/0", "a=fmtp:63 9/9", "a=fmtp:63 99/99", "a=fmtp:63 /", "a=fmtp:63 111/111/", "a=fmtp:63 300/300"} {
		if a, c = answerRED(t, "a=fmtp:63 111/111", fmtp, Decision{}); c.RED != 0 || strings.Contains(a.SDP, "red/") {
			t.Errorf("%s: %+v", fmtp, c)
		}
	}
	if _, c = answerRED(t, "red/48000/2", "red/8000", Decision{}); c.RED != 0 {
		t.Error("another clock")
	}
}

// TestOpusIsAskedToRepairItself: in-band FEC is on, whoever forgot to say so.
func TestOpusIsAskedToRepairItself(t *testing.T) {
	for offered, want := range map[string]string{
		"a=fmtp:111 minptime=10;useinbandfec=1": "a=fmtp:111 minptime=10;useinbandfec=1\r\n",
		"a=fmtp:111 minptime=10;useinbandfec=0": "a=fmtp:111 minptime=10;useinbandfec=1\r\n",
		"a=fmtp:111 minptime=10":                "a=fmtp:111 minptime=10;useinbandfec=1\r\n",
		"a=x":                                   "a=fmtp:111 useinbandfec=1\r\n",
	} {
		if a, _ := answerRED(t, "a=fmtp:111 minptime=10;useinbandfec=1", offered, Decision{}); !strings.Contains(a.SDP, want) {
			t.Errorf("%s\n%s", offered, a.SDP)
		}
	}
}
