package sdp

import (
	"strings"

	"parley/internal/media/plane"
)

// Caps of a fragment: a WHIP PATCH carries a handful of candidates.
const (
	MaxFragmentBytes      = 16 << 10
	MaxFragmentCandidates = 32 // as in one signalling message
	maxFragmentSections   = 16
)

// TrickleFragment is an application/trickle-ice-sdpfrag body (RFC 8840, section
// 9), by which WHIP clients trickle candidates and restart ICE (RFC 9725,
// section 4.3). The server reads the credentials and ignores the candidates.
type TrickleFragment struct {
	ICE      plane.ICECreds // of the session level, else of the first section that has them; may be empty
	Bundle   []string
	Lite     bool
	Sections []FragmentSection
}

// FragmentSection is one pseudo m-section.
type FragmentSection struct {
	MID        string
	Media      string   // "audio"; the rest of a pseudo m-line means nothing
	Candidates []string // text after "candidate:", unread
	End        bool     // a=end-of-candidates
}

// ParseTrickleFragment reads a fragment; errors are *fault.Error "bad-sdp".
func ParseTrickleFragment(b []byte) (*TrickleFragment, error) {
	if len(b) > MaxFragmentBytes {
		return nil, bad("fragment over %d bytes", MaxFragmentBytes)
	}
	if err := checkCaps(b); err != nil {
		return nil, err
	}
	p := fragmentParser{out: &TrickleFragment{}}
	for _, line := range strings.Split(string(b), "\n") {
		line = strings.TrimRight(line, "\r")
		var err error
		switch {
		case line == "":
		case strings.HasPrefix(line, "m="):
			err = p.section(line[2:])
		case strings.HasPrefix(line, "a="):
			key, v, _ := strings.Cut(line[2:], ":")
			err = p.attribute(key, v)
		case len(line) < 2 || line[1] != '=':
			err = bad("fragment line %s", quote(line))
		}
		if err != nil {
			return nil, err
		}
	}
	return p.finish()
}

// fragmentParser gathers one fragment.
type fragmentParser struct {
	out        *TrickleFragment
	creds      builder // of the level being read
	candidates int
	endAll     bool // end-of-candidates at session level
	any        bool // something about ICE was said
}

func (p *fragmentParser) section(v string) error {
	if len(p.out.Sections) >= maxFragmentSections {
		return bad("over %d m-lines in a fragment", maxFragmentSections)
	}
	if err := p.takeCreds(); err != nil {
		return err
	}
	media, _, _ := strings.Cut(v, " ")
	if !token(media, 32) {
		return bad("fragment m-line %s", quote(v))
	}
	p.out.Sections = append(p.out.Sections, FragmentSection{Media: media})
	return nil
}

// takeCreds closes a level. All sections of a bundle share credentials, so the
// first pair stands for all, and another pair is a contradiction.
func (p *fragmentParser) takeCreds() error {
	c := p.creds.ICE
	p.creds = builder{}
	switch {
	case c == (plane.ICECreds{}):
	case c.Ufrag == "" || c.Pwd == "":
		return bad("fragment with only one of ice-ufrag and ice-pwd")
	case p.out.ICE == (plane.ICECreds{}):
		p.out.ICE = c
	case p.out.ICE != c:
		return bad("fragment with two sets of ICE credentials")
	}
	return nil
}

func (p *fragmentParser) attribute(key, v string) error {
	var s *FragmentSection
	if n := len(p.out.Sections); n > 0 {
		s = &p.out.Sections[n-1]
	}
	switch key {
	case "ice-ufrag", "ice-pwd":
		p.any = true
		return attributes[key].read(&p.creds, v)
	case "ice-lite":
		p.out.Lite = true
	case "group":
		if f := strings.Fields(v); len(f) > 1 && f[0] == "BUNDLE" && p.out.Bundle == nil {
			for _, mid := range f[1:] {
				if !token(mid, maxMID) {
					return bad("fragment group names mid %s", quote(mid))
				}
			}
			p.out.Bundle = f[1:]
		}
	case "mid":
		if v = strings.TrimSpace(v); s == nil || s.MID != "" || !token(v, maxMID) {
			return bad("fragment mid %s", quote(v))
		}
		s.MID = v
	case "candidate":
		if p.candidates++; s == nil || p.candidates > MaxFragmentCandidates {
			return bad("fragment with a candidate outside a section or over %d candidates", MaxFragmentCandidates)
		}
		s.Candidates = append(s.Candidates, v)
		p.any = true
	case "end-of-candidates":
		// At session level it means all sections (RFC 8840, section 4.2).
		p.any = true
		if s == nil {
			p.endAll = true
		} else {
			s.End = true
		}
	}
	return nil
}

func (p *fragmentParser) finish() (*TrickleFragment, error) {
	if err := p.takeCreds(); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i := range p.out.Sections {
		s := &p.out.Sections[i]
		s.End = s.End || p.endAll
		if s.MID == "" || seen[s.MID] {
			return nil, bad("fragment section without mid or with mid %s twice", quote(s.MID))
		}
		seen[s.MID] = true
	}
	if !p.any {
		return nil, bad("fragment without ICE lines")
	}
	return p.out, nil
}

// String writes the fragment, as for the answer to an ICE restart (RFC 9725,
// section 4.3.3).
func (f *TrickleFragment) String() string {
	var p printer
	if f.Lite {
		p.line("a=ice-lite")
	}
	if len(f.Bundle) > 0 {
		p.line("a=group:BUNDLE ", strings.Join(f.Bundle, " "))
	}
	if f.ICE.Ufrag != "" {
		p.line("a=ice-ufrag:", f.ICE.Ufrag)
		p.line("a=ice-pwd:", f.ICE.Pwd.Reveal())
	}
	for _, s := range f.Sections {
		media := s.Media
		if media == "" {
			media = "audio"
		}
		p.line("m=", media, " 9 RTP/AVP 0")
		p.line("a=mid:", s.MID)
		for _, c := range s.Candidates {
			p.line("a=candidate:", c)
		}
		if s.End {
			p.line("a=end-of-candidates")
		}
	}
	return p.String()
}

// LocalFragment is the server's side of an ICE restart for one bundled transport.
func LocalFragment(l plane.Local, mid, media string) *TrickleFragment {
	f := &TrickleFragment{ICE: l.ICE, Lite: true, Sections: []FragmentSection{{MID: mid, Media: media, End: true}}}
	for _, c := range l.Candidates {
		f.Sections[0].Candidates = append(f.Sections[0].Candidates, FormatCandidate(c))
	}
	return f
}
