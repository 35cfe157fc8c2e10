package sdp

import (
	"bytes"
	"strings"
	"testing"

	"parley/internal/media/plane"
)

// TestFEC_Sent: who offers to receive FlexFEC-03, as Chromium does, is told the
// SSRC of parity if there is one.
func TestFEC_Sent(t *testing.T) {
	b := readFile(t, "testdata/offers/chromium-recvonly.sdp")
	decide := func(fec uint32) []Decision {
		var ds []Decision
		for _, s := range mustParse(t, b).Sections {
			d := Decision{}
			if s.Kind == plane.Video {
				d.Send = &SendSource{SSRC: 1, RTXSSRC: 2, FECSSRC: fec, Stream: "s", Track: "t", CNAME: "c"}
			}
			ds = append(ds, d)
		}
		return ds
	}
	a := answer(t, mustParse(t, b), NewSession(1, ""), decide(3))
	got := false
	for _, s := range a.Media.Sections {
		if s.Kind == plane.Video && s.Send != nil {
			got = true
			if s.Send.FEC != 49 || s.Send.FECSSRC != 3 || s.Send.RTXSSRC != 2 {
				t.Errorf("%+v", s.Send)
			}
		}
	}
	for _, line := range []string{"a=rtpmap:49 flexfec-03/90000\r\n", "a=fmtp:49 repair-window=10000000\r\n", "a=rtcp-fb:49 transport-cc\r\n",
		"a=ssrc-group:FID 1 2\r\na=ssrc-group:FEC-FR 1 3\r\n", "a=ssrc:3 cname:c\r\n"} {
		if !strings.Contains(a.SDP, line) {
			t.Errorf("no %q in\n%s", line, a.SDP)
		}
	}
	if !got {
		t.Fatal("no pictures are sent")
	}
	d := mustParse(t, []byte(a.SDP))
	for _, s := range d.Sections {
		if s.Kind == plane.Video && (s.FEC.PT != 49 || s.fecOf(1) != 3 || s.rtxOf(1) != 2) {
			t.Errorf("%+v", s)
		}
	}
	if a = answer(t, mustParse(t, b), NewSession(1, ""), decide(0)); strings.Contains(a.SDP, "flexfec") || strings.Contains(a.SDP, "FEC-FR") || strings.Contains(a.SDP, " 49") {
		t.Errorf("told not to:\n%s", a.SDP)
	}
}

// TestFEC_Received: a publisher of one encoding may protect it, of several not.
func TestFEC_Received(t *testing.T) {
	plain := readFile(t, "testdata/offers/chromium-sendrecv.sdp")
	offer := func(old, with string) *Description {
		b := bytes.Replace(plain, []byte("a=rtpmap:96 "), []byte("a=rtpmap:44 flexfec-03/90000\r\na=rtcp-fb:44 transport-cc\r\na=fmtp:44 repair-window=10000000\r\na=rtpmap:96 "), 1)
		b = bytes.Replace(b, []byte(old), []byte(with), 1)
		i := bytes.Index(b, []byte("m=video"))
		line, rest, _ := bytes.Cut(b[i:], []byte("\r\n"))
		return mustParse(t, append(append(append(append([]byte(nil), b[:i]...), line...), " 44\r\n"...), rest...))
	}
	find := func(a *Answered) *plane.Recv {
		for _, s := range a.Media.Sections {
			if s.Kind == plane.Video {
				return s.Recv
			}
		}
		t.Fatal("no pictures")
		return nil
	}
	all := []Decision{{Receive: true}, {Receive: true}, {Receive: true}}
	d := offer("", "")
	video := d.Sections[1]
	if video.FEC.PT != 44 || video.Kind != plane.Video {
		t.Fatalf("%+v", video)
	}
	for _, c := range video.Codecs {
		if c.PT == 44 {
			t.Fatal("parity is taken for a codec")
		}
	}
	a := answer(t, d, NewSession(1, ""), all[:len(d.Sections)])
	if r := find(a); r.FEC != 44 || !strings.Contains(a.SDP, "a=rtpmap:44 flexfec-03/90000\r\n") {
		t.Errorf("%+v\n%s", r, a.SDP)
	}
	if ssrcs := video.SSRCs; len(ssrcs) > 0 {
		primary := find(a).Layers[0].SSRC
		with := "a=ssrc-group:FEC-FR " + u32(primary) + " 77\r\na=ssrc-group:FID "
		a = answer(t, offer("a=ssrc-group:FID ", with), NewSession(1, ""), all[:len(d.Sections)])
		if l := find(a).Layers; len(l) != 1 || l[0].FECSSRC != 77 || l[0].SSRC != primary || l[0].RTXSSRC == 0 {
			t.Errorf("%+v", l)
		}
	}
	d = offer("", "")
	d.Sections[1].RIDs = []RID{{ID: "l", Send: true}, {ID: "h", Send: true}}
	d.Sections[1].Simulcast = []string{"l", "h"}
	if a = answer(t, d, NewSession(1, ""), all[:len(d.Sections)]); find(a).FEC != 0 || strings.Contains(a.SDP, "flexfec") {
		t.Errorf("simulcast:\n%s", a.SDP)
	}
	if d = offer("flexfec-03/90000", "flexfec/90000"); d.Sections[1].FEC.Name != "" {
		t.Error("RFC 8627 has another header")
	}
}
