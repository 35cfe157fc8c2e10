package sdp

import (
	"testing"

	"pgregory.net/rapid"

	"parley/internal/media/plane"
)

func addOffers(f *testing.F, add func([]byte)) {
	for _, file := range offerFiles(f) {
		add(readFile(f, file))
	}
	add(nil)
	add([]byte("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 128\r\n")) // str0m: PT > 127 panicked
	add([]byte("v=0\r\nm=\r\n"))
}

// FuzzParse: never a panic, and only fault errors.
func FuzzParse(f *testing.F) {
	addOffers(f, func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := Parse(b); err == nil && (len(d.Sections) == 0 || len(d.Sections) > MaxSections) {
			t.Fatalf("%d sections", len(d.Sections))
		}
	})
}

// FuzzAnswer: whatever parses is answered lawfully, for any decisions.
func FuzzAnswer(f *testing.F) {
	addOffers(f, func(b []byte) { f.Add(b, uint64(0x123456789abcdef)) })
	f.Fuzz(func(t *testing.T, b []byte, bits uint64) {
		offer, err := Parse(b)
		if err != nil {
			return
		}
		dec := acceptAll(offer)
		for i := range dec {
			switch bits >> (2 * (i % 32)) & 3 {
			case 0:
				dec[i] = Decision{Reject: true}
			case 1:
				dec[i].Receive = false
			case 2:
				dec[i].Send = nil
			}
		}
		a, err := Answer(offer, testLocal(), NewSession(bits, "x"), dec)
		if err != nil {
			return
		}
		checkAnswer(t, offer, a)
	})
}

// FuzzParseAnswer: an answer from a stranger never breaks a client.
func FuzzParseAnswer(f *testing.F) {
	o := testOffer(f)
	a, err := Answer(o.Description, testLocal(), NewSession(1, ""), acceptAll(o.Description))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(a.SDP))
	f.Add([]byte(o.SDP))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = ParseAnswer(o, b) })
}

// FuzzTrickleFragment: what parses prints to what parses.
func FuzzTrickleFragment(f *testing.F) {
	f.Add([]byte(whipPatch))
	f.Add([]byte("a=end-of-candidates\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		frag, err := ParseTrickleFragment(b)
		if err != nil {
			return
		}
		if frag.ICE.Ufrag == "" && len(frag.Sections) == 0 {
			return // an end-of-candidates of nothing prints as nothing
		}
		if _, err := ParseTrickleFragment([]byte(frag.String())); err != nil && len(frag.String()) <= MaxFragmentBytes && anyICE(frag) {
			t.Fatalf("%v\n%q", err, frag.String())
		}
	})
}

func anyICE(f *TrickleFragment) bool {
	any := f.ICE.Ufrag != ""
	for _, s := range f.Sections {
		any = any || len(s.Candidates) > 0 || s.End
	}
	return any
}

// Property: over any series of re-offers made of a real offer's sections with
// random directions, and any decisions, answers stay lawful, the version rises
// by one and the id stays.
func TestPropertyAnswersOverRandomReoffers(t *testing.T) {
	base := map[string]*Description{}
	names := []string{"chromium-reoffer-share", "firefox-reoffer-share", "aiortc-recvonly", "pion-publish", "chromium-maxbundle"}
	for _, n := range names {
		base[n] = realOffer(t, n)
	}
	rapid.Check(t, func(t *rapid.T) {
		offer := *base[rapid.SampledFrom(names).Draw(t, "offer")]
		s := NewSession(rapid.Uint64().Draw(t, "id"), "x")
		id := s.ID
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			offer.Sections = append([]Section(nil), offer.Sections...)
			dec := make([]Decision, rapid.IntRange(0, len(offer.Sections)+1).Draw(t, "decisions"))
			for i := range offer.Sections {
				offer.Sections[i].Direction = Direction(rapid.IntRange(0, 3).Draw(t, "direction"))
			}
			for i := range dec {
				dec[i] = Decision{Reject: rapid.Bool().Draw(t, "reject"), Receive: rapid.Bool().Draw(t, "receive")}
				if rapid.Bool().Draw(t, "send") {
					dec[i].Send = &SendSource{SSRC: 5, RTXSSRC: 6, Stream: "s", Track: "t", CNAME: "c"}
				}
				if dec[i].Send != nil && rapid.Bool().Draw(t, "codec") {
					dec[i].Send.Codec = &plane.Codec{Name: rapid.SampledFrom([]string{"VP8", "AV1", "opus"}).Draw(t, "name"), ClockRate: 90000}
				}
			}
			a, err := Answer(&offer, testLocal(), s, dec)
			if err != nil {
				t.Fatalf("%v", err)
			}
			checkAnswer(t, &offer, a)
			if a.Session.ID != id || a.Session.Version != s.Version+1 {
				t.Fatalf("o= line %+v after %+v", a.Session, s)
			}
			s = a.Session
		}
	})
}
