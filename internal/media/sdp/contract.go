package sdp

import "parley/internal/media/plane"

// Decision is what the focus decided about one section of an offer, in order.
type Decision struct {
	Reject  bool
	Receive bool        // accept the peer's media here (if it offers to send); for an application section: accept it
	Send    *SendSource // send on this section (if it offers to receive); nil: not now
	// Prefer orders the codecs by name before the offer's own order. Nil means
	// VP8 first for video, since every end decodes it. Send.Codec goes before both.
	Prefer []string
	// NoRED leaves redundancy (RFC 2198) out: with end-to-end encryption browsers
	// encrypt the redundant payload as a whole, and nobody but them could take it
	// apart.
	NoRED bool
}

// SendSource names what a section will carry from the server.
type SendSource struct {
	SSRC    uint32
	RTXSSRC uint32 // written only if a codec with RTX is agreed
	FECSSRC uint32 // written only if FlexFEC-03 is; 0: it is not
	// Unannounced leaves the SSRCs out of the description: the source comes under
	// its own, which may change, and is told by MID.
	Unannounced bool
	Stream      string // msid stream id
	Track       string // msid track id
	CNAME       string
	// Codec, when set, is the publisher's codec: it is put first; the section
	// is answered inactive (and SendDenied reported) if the offer lacks it.
	Codec *plane.Codec
}

// Session is what one side remembers between descriptions of one peer
// connection. A value: Answer and NewOffer return the next one and leave the
// given one as it was, so that a refused description changes nothing.
type Session struct {
	ID      uint64 // o= session id, below 2^63; NewSession
	Version uint64 // o= version of the last description; 0 = none yet
	CNAME   string // becomes plane.LegMedia.CNAME
	// DTLSClient is our DTLS role once negotiated; it stays while the association
	// does (RFC 8842, section 5.3). Clear Negotiated to start a new association.
	DTLSClient bool
	Negotiated bool
	Lines      []Line // m-lines of the last answer: they may grow, never shrink or move
}

// Line remembers one m-line of a session.
type Line struct {
	MID      string
	Media    string
	Rejected bool // port 0: may be recycled under a new mid (RFC 8829, section 5.2.2)
}

// NewSession starts a history. The id should be random; its top bit is cleared
// as RFC 8829, section 5.2.1 asks.
func NewSession(id uint64, cname string) Session {
	return Session{ID: id &^ (1 << 63), CNAME: cname}
}

// Answered is the outcome of Answer beside the text.
type Answered struct {
	SDP        string
	Media      plane.LegMedia // Rev is the o= version; rejected and application sections are left out
	Data       bool           // an application section was accepted
	SCTPPort   uint16
	MaxMessage int  // what the peer takes, bytes; 0 = no limit
	DTLSClient bool // our role: true when the offer said setup:passive
	Remote     plane.ICECreds
	Prints     []plane.Fingerprint
	SendDenied []string // mids whose Codec the offer lacks
	Session    Session  // keep for the next call
}

// OfferConfig is what a client of ours (load, tests) wants to offer.
type OfferConfig struct {
	Local    plane.Local
	Setup    string // "" = actpass
	Sections []OfferSection
}

// OfferSection is one wanted m-section. The zero values of MID, Codecs and Exts
// mean: the index as mid, [DefaultCodecs], [DefaultExts].
type OfferSection struct {
	MID      string
	Kind     plane.Kind
	Codecs   []plane.Codec
	Exts     *plane.ExtIDs
	Send     *SendSource // publish; nil: do not send
	RIDs     []string    // simulcast of Send, lowest quality first
	Receive  bool
	Rejected bool // keep the m-line at port 0
}

// Offer is a written offer, to be kept until its answer is parsed.
type Offer struct {
	SDP         string
	Description *Description
	Config      OfferConfig
	Session     Session
}

// Accepted is what an answer to our offer means, seen from the offering side:
// Recv is what we receive, Send what we send.
type Accepted struct {
	Media      plane.LegMedia
	Simulcast  map[string][]string // mid → RIDs the peer takes, lowest first
	Data       bool
	SCTPPort   uint16
	MaxMessage int
	DTLSClient bool // our role
	Remote     plane.ICECreds
	Prints     []plane.Fingerprint
	Candidates []plane.Candidate // IP literals only; names are dropped
	Session    Session
}
