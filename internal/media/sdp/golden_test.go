package sdp

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	psdp "github.com/pion/sdp/v3"

	"parley/internal/media/plane"
)

var update = flag.Bool("update", false, "rewrite the golden answers")

// refusedOffers are real offers that we do not answer, with the reason.
var refusedOffers = map[string]string{
	"gstreamer-unbundled": "no BUNDLE group", // webrtcbin's default bundle-policy
}

func testLocal() plane.Local {
	return plane.Local{
		ICE:         plane.ICECreds{Ufrag: "prly", Pwd: "0123456789abcdefghijklmn"},
		Fingerprint: plane.Fingerprint{Hash: "sha-256", Value: strings.TrimSuffix(strings.Repeat("AB:", 32), ":")},
		Candidates: []plane.Candidate{
			{Foundation: "1", Component: 1, Transport: "udp", Priority: 2130706431, Addr: netip.MustParseAddrPort("192.0.2.1:7882"), Typ: "host"},
			{Foundation: "2", Component: 1, Transport: "udp", Priority: 2130706175, Addr: netip.MustParseAddrPort("[2001:db8::1]:7882"), Typ: "host"},
			{Foundation: "3", Component: 1, Transport: "tcp", Priority: 1671430143, Addr: netip.MustParseAddrPort("192.0.2.1:7881"), Typ: "host", TCPType: "passive"},
		},
	}
}

// acceptAll takes what is offered and fills every section that can receive.
func acceptAll(d *Description) []Decision {
	out := make([]Decision, len(d.Sections))
	for i := range d.Sections {
		out[i].Receive = true
		if s := &d.Sections[i]; s.Direction.Receives() && s.Kind != plane.Application {
			out[i].Send = &SendSource{
				SSRC: 1000 + uint32(i), RTXSSRC: 2000 + uint32(i),
				Stream: fmt.Sprintf("str_%d", i), Track: fmt.Sprintf("trk_%d", i), CNAME: "origin",
			}
		}
	}
	return out
}

func offerFiles(t testing.TB) []string {
	files, err := filepath.Glob("testdata/offers/*.sdp")
	if err != nil || len(files) == 0 {
		t.Fatalf("no offers: %v", err)
	}
	return files
}

func readFile(t testing.TB, name string) []byte {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenAnswersToRealOffers(t *testing.T) {
	for _, file := range offerFiles(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".sdp")
		t.Run(name, func(t *testing.T) {
			offer, err := Parse(readFile(t, file))
			if want, refused := refusedOffers[name]; refused {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("got %v, want refusal %q", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := Answer(offer, testLocal(), NewSession(42, "parley"), acceptAll(offer))
			if err != nil {
				t.Fatal(err)
			}
			checkAnswer(t, offer, got)
			text := got.SDP + "--\n" + describe(got)
			golden := filepath.Join("testdata", "answers", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(readFile(t, golden)); text != want {
				t.Errorf("answer differs from %s; look, then run with -update\ngot:\n%s", golden, text)
			}
		})
	}
}

// describe prints what the media side gets, so that it is golden too.
func describe(a *Answered) string {
	var b strings.Builder
	fmt.Fprintf(&b, "rsize=%v data=%v sctp=%d max=%d client=%v remote=%s prints=%d denied=%v\n",
		a.Media.RTCPRsize, a.Data, a.SCTPPort, a.MaxMessage, a.DTLSClient, a.Remote.Ufrag, len(a.Prints), a.SendDenied)
	for _, s := range a.Media.Sections {
		fmt.Fprintf(&b, "section %s %s exts=%v\n", s.MID, s.Kind, s.Exts)
		if s.Recv != nil {
			fmt.Fprintf(&b, "  recv layers=%v\n", s.Recv.Layers)
			for _, c := range s.Recv.Codecs {
				fmt.Fprintf(&b, "    %+v\n", c)
			}
		}
		if s.Send != nil {
			fmt.Fprintf(&b, "  send ssrc=%d rtx=%d codecs=%d\n", s.Send.SSRC, s.Send.RTXSSRC, len(s.Send.Codecs))
		}
	}
	return b.String()
}

// checkAnswer holds any answer to the rules that never bend.
func checkAnswer(t fataler, offer *Description, a *Answered) {
	var raw psdp.SessionDescription
	if err := raw.Unmarshal([]byte(a.SDP)); err != nil {
		t.Fatalf("answer does not parse: %v\n%s", err, a.SDP)
	}
	if len(raw.MediaDescriptions) != len(offer.Sections) {
		t.Fatalf("%d m-lines for %d", len(raw.MediaDescriptions), len(offer.Sections))
	}
	if _, lite := raw.Attribute("ice-lite"); !lite {
		t.Fatalf("no ice-lite")
	}
	group, _ := raw.Attribute("group")
	mids := strings.Fields(strings.TrimPrefix(group, "BUNDLE"))
	var accepted []string
	for i, m := range raw.MediaDescriptions {
		o := &offer.Sections[i]
		mid, _ := m.Attribute("mid")
		if mid != o.MID || m.MediaName.Media != o.Media || strings.Join(m.MediaName.Protos, "/") != o.Proto {
			t.Fatalf("m-line %d is %s %q, offered %s %q", i, m.MediaName.Media, mid, o.Media, o.MID)
		}
		for _, f := range m.MediaName.Formats {
			if !slices.Contains(o.Formats, f) {
				t.Fatalf("format %s of section %s was not offered", f, mid)
			}
		}
		if m.MediaName.Port.Value == 0 {
			continue
		}
		accepted = append(accepted, mid)
		checkAccepted(t, o, m)
	}
	slices.Sort(mids)
	slices.Sort(accepted)
	if !slices.Equal(mids, accepted) {
		t.Fatalf("BUNDLE %v, accepted %v", mids, accepted)
	}
	if _, err := Parse([]byte(a.SDP)); err != nil {
		t.Fatalf("our own parser refuses the answer: %v\n%s", err, a.SDP)
	}
}

func checkAccepted(t fataler, o *Section, m *psdp.MediaDescription) {
	for _, key := range []string{"ice-ufrag", "ice-pwd", "fingerprint", "setup"} {
		if v, ok := m.Attribute(key); !ok || v == "" || v == "actpass" {
			t.Fatalf("section %s: %s is %q", o.MID, key, v)
		}
	}
	if o.Kind == plane.Application {
		return
	}
	if _, ok := m.Attribute("rtcp-mux"); !ok {
		t.Fatalf("section %s without rtcp-mux", o.MID)
	}
	dir := Inactive
	for d := Inactive; d <= SendRecv; d++ {
		if _, ok := m.Attribute(d.String()); ok {
			dir = d
		}
	}
	if dir&^flip(o.Direction) != 0 {
		t.Fatalf("section %s: %s answered to %s", o.MID, dir, o.Direction)
	}
}

// fataler is what testing.T and rapid.T share.
type fataler interface {
	Fatalf(format string, args ...any)
}
