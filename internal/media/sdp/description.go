package sdp

import (
	"parley/internal/media/plane"
)

// Direction is a=sendrecv and its siblings, from the view of the description's
// author (RFC 8866, section 6.7).
type Direction uint8

// Directions: two bits, the author sends and the author receives.
const (
	Inactive Direction = 0
	SendOnly Direction = 1
	RecvOnly Direction = 2
	SendRecv Direction = 3
)

// Sends reports whether the author sends.
func (d Direction) Sends() bool { return d&SendOnly != 0 }

// Receives reports whether the author receives.
func (d Direction) Receives() bool { return d&RecvOnly != 0 }

// String returns the attribute's name.
func (d Direction) String() string {
	return [...]string{"inactive", "sendonly", "recvonly", "sendrecv"}[d&3]
}

// Description is a checked session description in neutral form.
type Description struct {
	ID, Version uint64   // of the o= line
	Bundle      []string // mids of the (first) BUNDLE group, in order; the first active one is the tagged section
	ICELite     bool
	AllowMixed  bool // a=extmap-allow-mixed at session level (RFC 8285, section 6)
	Trickle     bool // a=ice-options:trickle anywhere
	Sections    []Section
}

// Section is one m-section. Session-level defaults (ICE credentials,
// fingerprints, setup, direction) are already filled in.
type Section struct {
	MID        string
	Kind       plane.Kind // 0: a kind we do not know; such a section can only be rejected
	Media      string     // the m= line's own words, mirrored when rejecting
	Proto      string
	Formats    []string
	Port       int
	Rejected   bool // port 0 without a=bundle-only
	BundleOnly bool
	Bundled    bool // named by the BUNDLE group
	Direction  Direction

	// Codecs in the author's order without RTX and RED entries, which are folded
	// into their primary's RTX and RED. Formats the server does not forward are included
	// under their own name; [Known] tells.
	Codecs     []plane.Codec
	FEC        plane.Codec // FlexFEC-03; no name: not there
	Exts       []Extension
	RIDs       []RID    // as declared, both directions
	Simulcast  []string // RIDs of a=simulcast:send, first alternative each, in order
	SimulcastR []string // of a=simulcast:recv
	SSRCs      []Source
	Groups     []Group
	Stream     string // msid stream id ("-" when the author names none)
	Track      string // msid track id

	RTCPMux    bool
	RTCPRsize  bool
	AllowMixed bool

	SCTPPort   uint16 // application only
	MaxMessage int    // bytes; 0 = no limit (RFC 8841, section 6.1)
	SCTPMap    bool   // old form "DTLS/SCTP 5000" with a=sctpmap (draft-ietf-mmusic-sctp-sdp-05)

	ICE        plane.ICECreds
	Prints     []plane.Fingerprint
	Setup      string   // "actpass", "active", "passive"; "" when absent
	Candidates []string // text after "candidate:", unread
	EndOfCands bool
}

// Active reports whether the section may be negotiated at all.
func (s *Section) Active() bool { return !s.Rejected && s.Bundled && s.Kind != 0 }

// Extension is one a=extmap of a known URI (RFC 8285, section 5).
type Extension struct {
	Ext       plane.Ext
	ID        uint8
	Direction Direction // SendRecv when none was written
}

// RID is one a=rid line (RFC 8851).
type RID struct {
	ID   string
	Send bool
	PTs  []uint8 // from pt=; empty: any
}

// Source is one SSRC announced by a=ssrc (RFC 5576).
type Source struct {
	SSRC  uint32
	CNAME string
}

// Group is one a=ssrc-group, of semantics "FID", "SIM" or "FEC-FR".
type Group struct {
	Semantics string
	SSRCs     []uint32
}

// Transport is what the description says of the one bundled transport.
type Transport struct {
	ICE        plane.ICECreds
	Prints     []plane.Fingerprint
	Setup      string
	Candidates []string
}

// Transport returns the transport of the tagged section.
func (d *Description) Transport() Transport {
	if s := d.tagged(); s != nil {
		return s.transport()
	}
	return Transport{}
}

// tagged returns the section whose transport carries the bundle: the first of
// the group that is not rejected (RFC 9143, section 7.3.1); nil if none is.
func (d *Description) tagged() *Section {
	for _, mid := range d.Bundle {
		if s := d.Section(mid); s != nil && s.Active() {
			return s
		}
	}
	return nil
}

func (s *Section) transport() Transport {
	return Transport{ICE: s.ICE, Prints: s.Prints, Setup: s.Setup, Candidates: s.Candidates}
}

// Section returns the section of a mid, or nil.
func (d *Description) Section(mid string) *Section {
	for i := range d.Sections {
		if d.Sections[i].MID == mid && mid != "" {
			return &d.Sections[i]
		}
	}
	return nil
}

// fecOf returns the SSRC with the parity of primary, by a=ssrc-group:FEC-FR (RFC
// 5956, section 4.3); 0 if none.
func (s *Section) fecOf(primary uint32) uint32 { return s.secondOf("FEC-FR", primary) }

// rtxOf returns the SSRC that repeats primary, by a=ssrc-group:FID; 0 if none.
func (s *Section) rtxOf(primary uint32) uint32 { return s.secondOf("FID", primary) }

func (s *Section) secondOf(semantics string, primary uint32) uint32 {
	for _, g := range s.Groups {
		if g.Semantics == semantics && len(g.SSRCs) >= 2 && g.SSRCs[0] == primary {
			return g.SSRCs[1]
		}
	}
	return 0
}
