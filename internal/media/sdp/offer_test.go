package sdp

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"parley/internal/media/plane"
)

func testOffer(t testing.TB) *Offer {
	t.Helper()
	src := func(n uint32) *SendSource {
		return &SendSource{SSRC: n, RTXSSRC: n + 1, Stream: "cam", Track: "t", CNAME: "load"}
	}
	o, err := NewOffer(NewSession(9, "load"), OfferConfig{
		Local: testLocal(),
		Sections: []OfferSection{
			{Kind: plane.Audio, Send: src(100)},
			{Kind: plane.Video, Send: src(200), RIDs: []string{"q", "h", "f"}},
			{Kind: plane.Video, Send: src(300)},
			{Kind: plane.Audio, Receive: true},
			{Kind: plane.Video, Receive: true},
			{Kind: plane.Application},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Both ends of one negotiation must understand the same.
func TestOfferAnswerRoundTrip(t *testing.T) {
	o := testOffer(t)
	server := answer(t, mustParse(t, []byte(o.SDP)), NewSession(5, "srv"), acceptAll(o.Description))
	client, err := ParseAnswer(o, []byte(server.SDP))
	if err != nil {
		t.Fatal(err)
	}
	if len(client.Media.Sections) != 5 || !client.Data || !client.DTLSClient || server.DTLSClient || !client.Media.RTCPRsize {
		t.Fatalf("%+v", client)
	}
	for i, c := range client.Media.Sections {
		s := server.Media.Sections[i]
		if c.MID != s.MID || c.Kind != s.Kind || c.Exts != s.Exts || (c.Recv == nil) != (s.Send == nil) || (c.Send == nil) != (s.Recv == nil) {
			t.Fatalf("section %d:\n%+v\n%+v", i, c, s)
		}
		if c.Send != nil && !reflect.DeepEqual(c.Send.Codecs, s.Recv.Codecs) {
			t.Errorf("section %d: codecs\n%+v\n%+v", i, c.Send.Codecs, s.Recv.Codecs)
		}
		if c.Recv != nil && (len(c.Recv.Layers) != 1 || c.Recv.Layers[0] != (plane.Layer{SSRC: s.Send.SSRC, RTXSSRC: s.Send.RTXSSRC})) {
			t.Errorf("section %d: %+v, sent %+v", i, c.Recv.Layers, s.Send)
		}
	}
	if got := client.Simulcast["1"]; !slices.Equal(got, []string{"q", "h", "f"}) || len(client.Simulcast) != 1 {
		t.Errorf("simulcast %v", client.Simulcast)
	}
	if got := server.Media.Sections[2].Recv.Layers; !reflect.DeepEqual(got, []plane.Layer{{SSRC: 300, RTXSSRC: 301}}) {
		t.Errorf("plain source: %+v", got)
	}
	if !reflect.DeepEqual(client.Candidates, testLocal().Candidates) || client.Remote != testLocal().ICE || client.Prints[0] != testLocal().Fingerprint {
		t.Errorf("transport %+v", client)
	}
	// A later offer keeps the m-lines and raises the version.
	cfg := o.Config
	cfg.Sections = append(slices.Clone(cfg.Sections), OfferSection{Kind: plane.Video, Receive: true})
	cfg.Sections[2].Rejected = true
	next, err := NewOffer(client.Session, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if next.Session.Version != 2 || next.Description.Sections[6].MID != "6" {
		t.Fatalf("%+v", next.Session)
	}
	again := answer(t, next.Description, server.Session, acceptAll(next.Description))
	c2, err := ParseAnswer(next, []byte(again.SDP))
	if err != nil || len(c2.Media.Sections) != 5 || !c2.Session.Lines[2].Rejected {
		t.Fatalf("%v %+v", err, c2)
	}
	if _, err := NewOffer(c2.Session, OfferConfig{Local: testLocal(), Sections: cfg.Sections[:2]}); err == nil {
		t.Error("an offer dropped m-lines")
	}
}

func TestParseAnswerHoldsItAgainstTheOffer(t *testing.T) {
	o := testOffer(t)
	good := answer(t, o.Description, NewSession(5, "srv"), acceptAll(o.Description)).SDP
	for name, c := range map[string][2]string{
		"kind":      {"m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "m=audio 0 UDP/TLS/RTP/SAVPF 0"},
		"mid":       {"a=mid:3\r\n", "a=mid:33\r\n"},
		"setup":     {"a=setup:passive", "a=setup:actpass"},
		"direction": {"a=recvonly", "a=sendrecv"},
		"PT":        {"m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=audio 9 UDP/TLS/RTP/SAVPF 33"},
		"codec":     {"opus/48000/2", "red/48000/2"},
	} {
		s := strings.ReplaceAll(good, c[0], c[1])
		if name == "PT" {
			s = strings.ReplaceAll(s, "a=rtpmap:111", "a=rtpmap:33")
		}
		if name == "mid" || name == "kind" {
			s = strings.Replace(s, "BUNDLE 0 1 2 3 4 5", "BUNDLE 0 1 2 4", 1)
		}
		if s == good {
			t.Fatalf("%s: nothing changed", name)
		}
		if _, err := ParseAnswer(o, []byte(s)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := ParseAnswer(o, []byte(good[:strings.LastIndex(good, "m=")])); err == nil {
		t.Error("missing m-line accepted")
	}
}

func TestNewOfferRefusesUnsafeNames(t *testing.T) {
	if _, err := NewOffer(NewSession(1, ""), OfferConfig{Local: testLocal(), Sections: []OfferSection{{Kind: plane.Audio, MID: "a\nb"}}}); err == nil {
		t.Fatal("accepted")
	}
}
