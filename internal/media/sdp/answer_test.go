package sdp

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"parley/internal/media/plane"
)

func mustParse(t testing.TB, b []byte) *Description {
	t.Helper()
	d, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func realOffer(t testing.TB, name string) *Description {
	t.Helper()
	return mustParse(t, readFile(t, "testdata/offers/"+name+".sdp"))
}

func answer(t testing.TB, offer *Description, prev Session, dec []Decision) *Answered {
	t.Helper()
	a, err := Answer(offer, testLocal(), prev, dec)
	if err != nil {
		t.Fatal(err)
	}
	checkAnswer(t, offer, a)
	return a
}

func TestAnswerPutsVP8FirstUnlessToldOtherwise(t *testing.T) {
	offer := realOffer(t, "safari-sendrecv") // H.264 High first, then constrained baseline, H.265, VP8, VP9
	first := func(d Decision) string {
		d.Receive = true
		return answer(t, offer, NewSession(1, ""), []Decision{{Receive: true}, d}).Media.Sections[1].Recv.Codecs[0].Name
	}
	if got := first(Decision{}); got != "VP8" {
		t.Errorf("no wish: %s", got)
	}
	if got := first(Decision{Prefer: []string{}}); got != "H264" {
		t.Errorf("offer's order: %s", got)
	}
	if got := first(Decision{Prefer: []string{"vp9"}}); got != "VP9" {
		t.Errorf("VP9 wished: %s", got)
	}
	src := &SendSource{SSRC: 1, Stream: "s", Track: "t", CNAME: "c", Codec: &plane.Codec{Name: "H264", ClockRate: 90000, Fmtp: "packetization-mode=1;profile-level-id=42e01f"}}
	a := answer(t, offer, NewSession(1, ""), []Decision{{}, {Send: src}})
	if c := a.Media.Sections[1].Send.Codecs[0]; c.PT != 98 {
		t.Errorf("publisher's codec not first: %+v", c)
	}
}

func TestAnswerReportsCodecThatTheOfferLacks(t *testing.T) {
	offer := realOffer(t, "gstreamer-recvonly") // VP8 only
	src := &SendSource{SSRC: 1, RTXSSRC: 2, Stream: "s", Track: "t", CNAME: "c", Codec: &plane.Codec{Name: "AV1", ClockRate: 90000}}
	a := answer(t, offer, NewSession(1, ""), []Decision{{Receive: true}, {Send: src}})
	if !slices.Equal(a.SendDenied, []string{"video1"}) {
		t.Fatalf("denied %v", a.SendDenied)
	}
	if s := a.Media.Sections[1]; s.Send != nil || s.Recv != nil {
		t.Fatalf("section %+v", s)
	}
	if !strings.Contains(a.SDP, "a=inactive") || strings.Contains(a.SDP, "a=msid:s") {
		t.Fatalf("answer:\n%s", a.SDP)
	}
	src.Codec = nil
	a = answer(t, offer, NewSession(1, ""), []Decision{{}, {Send: src}})
	if s := a.Media.Sections[1].Send; s == nil || s.RTXSSRC != 0 || strings.Contains(a.SDP, "FID") {
		t.Fatalf("without RTX in the offer there is no RTX stream: %+v", s)
	}
}

func TestAnswerRejects(t *testing.T) {
	offer := realOffer(t, "chromium-maxbundle")
	a := answer(t, offer, NewSession(1, ""), []Decision{{Receive: true}, {Reject: true}, {Receive: true}})
	if !strings.Contains(a.SDP, "a=group:BUNDLE 0 2\r\n") || !strings.Contains(a.SDP, "m=video 0 ") {
		t.Fatalf("answer:\n%s", a.SDP)
	}
	if len(a.Media.Sections) != 1 || !a.Session.Lines[1].Rejected || !a.Data {
		t.Fatalf("%+v", a)
	}
	// Missing decisions reject; a wholly rejected offer has no group.
	if a = answer(t, offer, NewSession(1, ""), nil); strings.Contains(a.SDP, "BUNDLE") || a.Session.Negotiated {
		t.Fatalf("answer:\n%s", a.SDP)
	}
}

// A client that stopped its first section moves the transport to the next.
func TestAnswerMovesCandidatesToTheNewTaggedSection(t *testing.T) {
	offer := mustParse(t, edit(t, "BUNDLE 0 1", "BUNDLE 1", "m=audio 55070", "m=audio 0"))
	a := answer(t, offer, NewSession(1, ""), acceptAll(offer))
	if video := a.SDP[strings.Index(a.SDP, "m=video"):]; strings.Count(video, "a=candidate:") != 3 || strings.Count(a.SDP, "a=candidate:") != 3 {
		t.Fatalf("candidates:\n%s", a.SDP)
	}
}

// Chromium with bundlePolicy max-bundle refuses an answer that rejects the
// section whose transport the others share.
func TestAnswerKeepsTheTransportOfTheBundle(t *testing.T) {
	offer := realOffer(t, "chromium-maxbundle")
	a := answer(t, offer, NewSession(1, ""), []Decision{{Reject: true}, {Receive: true}, {Reject: true}})
	if !strings.Contains(a.SDP, "a=group:BUNDLE 0 1\r\n") || !strings.Contains(a.SDP, "a=inactive") {
		t.Fatalf("answer:\n%s", a.SDP)
	}
	if s := a.Media.Sections[0]; s.Recv != nil || s.Send != nil {
		t.Fatalf("%+v", s)
	}
}

func TestAnswerDirections(t *testing.T) {
	src := func() *SendSource { return &SendSource{SSRC: 7, Stream: "s", Track: "t", CNAME: "c"} }
	for _, c := range []struct {
		offered Direction
		dec     Decision
		want    Direction
	}{
		{SendRecv, Decision{Receive: true, Send: src()}, SendRecv},
		{SendRecv, Decision{Receive: true}, RecvOnly},
		{SendRecv, Decision{Send: src()}, SendOnly},
		{SendRecv, Decision{}, Inactive},
		{SendOnly, Decision{Receive: true, Send: src()}, RecvOnly},
		{RecvOnly, Decision{Receive: true, Send: src()}, SendOnly},
		{RecvOnly, Decision{Receive: true}, Inactive},
		{Inactive, Decision{Receive: true, Send: src()}, Inactive},
	} {
		offer := realOffer(t, "chromium-sendrecv")
		offer.Sections[0].Direction = c.offered
		a := answer(t, offer, NewSession(1, ""), []Decision{c.dec})
		m := a.Media.Sections[0]
		if got := mustParse(t, []byte(a.SDP)).Sections[0].Direction; got != c.want ||
			(m.Recv != nil) != c.want.Receives() || (m.Send != nil) != c.want.Sends() {
			t.Errorf("%s with %+v: %s, %+v", c.offered, c.dec, got, m)
		}
	}
}

// RFC 8842, section 5.3: the answerer chooses, and keeps what it chose.
func TestAnswerDTLSRole(t *testing.T) {
	for _, c := range []struct {
		setup  string
		client bool
	}{{"actpass", false}, {"active", false}, {"passive", true}, {"", false}} {
		offer := realOffer(t, "chromium-publish")
		for i := range offer.Sections {
			offer.Sections[i].Setup = c.setup
		}
		a := answer(t, offer, NewSession(1, ""), acceptAll(offer))
		if a.DTLSClient != c.client || strings.Contains(a.SDP, "a=setup:active") != c.client {
			t.Errorf("setup %q: client %v", c.setup, a.DTLSClient)
		}
		again := realOffer(t, "chromium-publish") // actpass
		if b := answer(t, again, a.Session, acceptAll(again)); b.DTLSClient != c.client {
			t.Errorf("setup %q: the role changed in a re-offer", c.setup)
		}
	}
}

func TestAnswerSessionOverReoffers(t *testing.T) {
	for _, client := range []string{"chromium", "firefox"} {
		s := NewSession(1<<63|77, "me")
		for i, step := range []string{"share", "stopped", "recycled"} {
			offer := realOffer(t, client+"-reoffer-"+step)
			a := answer(t, offer, s, acceptAll(offer))
			if a.Session.ID != 77 || a.Session.Version != uint64(i+1) || a.Media.Rev != uint32(i+1) || a.Media.CNAME != "me" {
				t.Fatalf("%s %s: %+v", client, step, a.Session)
			}
			if s.Version != uint64(i) {
				t.Fatal("the given session was changed")
			}
			s = a.Session
		}
		if s.Lines[2].MID != "4" || s.Lines[2].Rejected {
			t.Errorf("%s: m-line 2 was not recycled: %+v", client, s.Lines)
		}
		// Going back drops nothing: fewer m-lines, or another mid on a live line, is refused.
		if _, err := Answer(realOffer(t, client+"-publish"), testLocal(), s, nil); err == nil {
			t.Errorf("%s: m-lines dropped unnoticed", client)
		}
		moved := realOffer(t, client+"-reoffer-recycled")
		moved.Sections[1].MID = "x"
		if _, err := Answer(moved, testLocal(), s, nil); err == nil {
			t.Errorf("%s: mid moved unnoticed", client)
		}
	}
}

func TestAnswerSimulcast(t *testing.T) {
	for _, name := range []string{"chromium-simulcast", "firefox-simulcast"} {
		offer := realOffer(t, name)
		a := answer(t, offer, NewSession(1, ""), acceptAll(offer))
		if !strings.Contains(a.SDP, "a=simulcast:recv q;h;f\r\n") || strings.Count(a.SDP, " recv\r\n") != 3 {
			t.Fatalf("%s:\n%s", name, a.SDP)
		}
		want := []plane.Layer{{RID: "q"}, {RID: "h"}, {RID: "f"}}
		sec := a.Media.Sections[len(a.Media.Sections)-1]
		if !reflect.DeepEqual(sec.Recv.Layers, want) || sec.Exts[plane.ExtRID] == 0 || sec.Exts[plane.ExtRepairedRID] == 0 {
			t.Fatalf("%s: %+v", name, sec)
		}
	}
	for _, c := range []struct {
		list string
		low  string
	}{{"f;h;q", "q"}, {"q;h;f", "q"}, {"high;mid;low", "low"}, {"h;m;l", "l"}, {"a;b;c", "a"}, {"2;1;0", "2"}} {
		rids := strings.Split(c.list, ";")
		if got := layers(&Section{}, rids)[0].RID; got != c.low {
			t.Errorf("%s: lowest %s", c.list, got)
		}
	}
}

func TestAnswerSimulcastDialects(t *testing.T) {
	text := string(readFile(t, "testdata/offers/chromium-simulcast.sdp"))
	cut := func(from, to string) string { return strings.Replace(text, from, to, 1) }
	// Alternatives and paused streams (RFC 8853, section 5.1), and a restriction to
	// a codec that we do not take (118 is red).
	offer := mustParse(t, []byte(cut("simulcast:send q;h;f", "simulcast:send ~q,h;f")))
	if a := answer(t, offer, NewSession(1, ""), acceptAll(offer)); !strings.Contains(a.SDP, "simulcast:recv q;f\r\n") || strings.Contains(a.SDP, "a=rid:h") {
		t.Errorf("alternatives:\n%s", a.SDP)
	}
	offer = mustParse(t, []byte(cut("a=rid:q send", "a=rid:q send pt=118;max-width=320")))
	if a := answer(t, offer, NewSession(1, ""), acceptAll(offer)); !strings.Contains(a.SDP, "simulcast:recv h;f\r\n") {
		t.Errorf("pt of red:\n%s", a.SDP)
	}
	offer = mustParse(t, []byte(cut("a=rid:q send", "a=rid:q send pt=96,118")))
	if a := answer(t, offer, NewSession(1, ""), acceptAll(offer)); !strings.Contains(a.SDP, "a=rid:q recv pt=96\r\n") {
		t.Errorf("pt of VP8:\n%s", a.SDP)
	}
	// The old way: ssrc-group:SIM without RIDs.
	old := text[:strings.Index(text, "a=rid:")] + "a=ssrc-group:SIM 11 12 13\r\na=ssrc-group:FID 11 21\r\na=ssrc-group:FID 12 22\r\na=ssrc-group:FID 13 23\r\na=ssrc:11 cname:x\r\n"
	offer = mustParse(t, []byte(old))
	a := answer(t, offer, NewSession(1, ""), acceptAll(offer))
	want := []plane.Layer{{SSRC: 11, RTXSSRC: 21}, {SSRC: 12, RTXSSRC: 22}, {SSRC: 13, RTXSSRC: 23}}
	if got := a.Media.Sections[1].Recv.Layers; !reflect.DeepEqual(got, want) {
		t.Errorf("SIM: %+v", got)
	}
}

// Firefox writes directions on extmap lines; the answer turns them round, and an
// extension that is useless in the section's direction is left out.
func TestAnswerExtensionDirections(t *testing.T) {
	offer := realOffer(t, "firefox-simulcast")
	a := answer(t, offer, NewSession(1, ""), acceptAll(offer))
	for _, want := range []string{
		"a=extmap:9/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n",
		"a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\r\n",
	} {
		if !strings.Contains(a.SDP, want) {
			t.Errorf("lacks %s", want)
		}
	}
	for _, not := range []string{"csrc-audio-level", "playout-delay", "toffset"} {
		if strings.Contains(a.SDP, not) {
			t.Errorf("has %s", not)
		}
	}
	recv := realOffer(t, "firefox-recvonly")
	b := answer(t, recv, NewSession(1, ""), acceptAll(recv))
	if b.Media.Sections[0].Exts[plane.ExtMixerLevel] == 0 || b.Media.Sections[1].Exts[plane.ExtRID] != 0 {
		t.Errorf("%v %v", b.Media.Sections[0].Exts, b.Media.Sections[1].Exts)
	}
}

// aiortc 1.4 gives id 2 two meanings and breaks when both are taken up.
func TestAnswerGivesAnExtensionIDOneMeaning(t *testing.T) {
	for _, name := range []string{"aiortc-publish", "aiortc-recvonly"} {
		offer := realOffer(t, name)
		m := answer(t, offer, NewSession(1, ""), acceptAll(offer)).Media
		audio, video := m.Sections[0].Exts, m.Sections[1].Exts
		if audio[plane.ExtAudioLevel] != 2 || video[plane.ExtAbsSendTime] != 0 || audio[plane.ExtMID] != 1 || video[plane.ExtMID] != 1 {
			t.Errorf("%s: %v %v", name, audio, video)
		}
	}
}

func TestAnswerTwoByteExtensionIDsNeedAllowMixed(t *testing.T) {
	for _, mixed := range []bool{false, true} {
		offer := realOffer(t, "gstreamer-publish-vp8")
		offer.Sections[1].Exts = []Extension{{Ext: plane.ExtMID, ID: 20, Direction: SendRecv}, {Ext: plane.ExtTransportCC, ID: 15, Direction: SendRecv}}
		offer.Sections[1].AllowMixed = mixed
		a := answer(t, offer, NewSession(1, ""), acceptAll(offer))
		e := a.Media.Sections[1].Exts
		if (e[plane.ExtMID] == 20) != mixed || e[plane.ExtTransportCC] != 0 || strings.Contains(a.SDP, "extmap-allow-mixed") != mixed {
			t.Errorf("mixed %v: %v", mixed, e)
		}
	}
}

func TestAnswerDataChannel(t *testing.T) {
	for _, name := range []string{"chromium-data", "firefox-data", "aiortc-recvonly", "pion-publish", "old-firefox-sctpmap"} {
		offer := realOffer(t, name)
		a := answer(t, offer, NewSession(1, ""), acceptAll(offer))
		if !a.Data || a.SCTPPort != 5000 || a.MaxMessage == 0 {
			t.Errorf("%s: %+v", name, a)
		}
		dec := acceptAll(offer)
		for i := range offer.Sections {
			if offer.Sections[i].Kind == plane.Application {
				dec[i] = Decision{}
			}
		}
		if a := answer(t, offer, NewSession(1, ""), dec); a.Data || !strings.Contains(a.SDP, "m=application 0 ") {
			t.Errorf("%s: data not declined", name)
		}
	}
	if a := answer(t, realOffer(t, "old-firefox-sctpmap"), NewSession(1, ""), []Decision{{}, {Receive: true}}); !strings.Contains(a.SDP, "m=application 9 DTLS/SCTP 5000\r\n") || !strings.Contains(a.SDP, "a=sctpmap:5000 ") {
		t.Errorf("old form answered in the new one:\n%s", a.SDP)
	}
}

// aiortc gives each section its own credentials; those of the section that
// carries our bundle count.
func TestAnswerTakesCredentialsOfTheTaggedSection(t *testing.T) {
	offer := realOffer(t, "aiortc-publish")
	if offer.Sections[0].ICE.Ufrag == offer.Sections[1].ICE.Ufrag {
		t.Fatal("the golden offer lost its point")
	}
	if a := answer(t, offer, NewSession(1, ""), acceptAll(offer)); a.Remote != offer.Sections[0].ICE {
		t.Error("not the first section's")
	}
	offer.Sections[0].Codecs = nil // nothing in common: the section falls away
	if a := answer(t, offer, NewSession(1, ""), acceptAll(offer)); a.Remote != offer.Sections[1].ICE {
		t.Error("not the second section's")
	}
}

func TestAnswerRefusesUnsafeSourceNames(t *testing.T) {
	offer := realOffer(t, "chromium-recvonly")
	if _, err := Answer(offer, testLocal(), NewSession(1, ""), []Decision{{Send: &SendSource{SSRC: 1, Stream: "a\r\na=crypto:1", Track: "t"}}}); err == nil {
		t.Fatal("line break accepted")
	}
}

func TestAnswerMirrorsFmtpWithoutSprop(t *testing.T) {
	offer := realOffer(t, "gstreamer-publish-h264")
	a := answer(t, offer, NewSession(1, ""), acceptAll(offer))
	if strings.Contains(a.SDP, "sprop-") || !strings.Contains(a.SDP, "a=fmtp:98 packetization-mode=1\r\n") {
		t.Errorf("answer:\n%s", a.SDP)
	}
	if f := a.Media.Sections[1].Recv.Codecs[0].Fmtp; !strings.Contains(f, "sprop-parameter-sets") {
		t.Errorf("the media side lost the parameters: %s", f)
	}
}

func BenchmarkParseAndAnswer(b *testing.B) {
	text := readFile(b, "testdata/offers/chromium-publish.sdp")
	b.ReportAllocs()
	for b.Loop() {
		offer, err := Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Answer(offer, testLocal(), NewSession(1, ""), acceptAll(offer)); err != nil {
			b.Fatal(err)
		}
	}
}
