package sdp

import "parley/internal/media/plane"

// Decision is what the focus decided about one section of an offer, in order.
type Decision struct {
	Reject  bool
	Receive bool        // accept the peer's media here (if it offers to send)
	Send    *SendSource // send on this section (if it offers to receive); nil: not now
}

// SendSource names what a section will carry from the server.
type SendSource struct {
	SSRC    uint32
	RTXSSRC uint32 // written only if a codec with RTX is agreed
	Stream  string // msid stream id
	Track   string // msid track id
	CNAME   string
	// Codec, when set, is the publisher's codec: it is put first; the section
	// is answered inactive (and SendDenied reported) if the offer lacks it.
	Codec *plane.Codec
}

// Answered is the outcome of Answer beside the text.
type Answered struct {
	SDP        string
	Media      plane.LegMedia
	Data       bool // an application section was accepted
	SCTPPort   uint16
	MaxMessage int
	DTLSClient bool         // our role: true when the offer said setup:passive
	Remote     plane.ICECreds
	Prints     []plane.Fingerprint
	SendDenied []string // mids whose Codec the offer lacks
}
