// Package plane is the vocabulary between control and media: plain values that
// the focus hands to the media workers and the events that come back. No logic,
// no goroutines; values are copied or treated as read-only once handed over.
package plane

import (
	"net/netip"
	"time"

	"parley/internal/base/ids"
)

// Kind is the SDP media name of a section or track.
type Kind uint8

// Kinds of media.
const (
	Audio Kind = iota + 1
	Video
	Application // SCTP data channels
)

// String returns the SDP media name.
func (k Kind) String() string {
	switch k {
	case Audio:
		return "audio"
	case Video:
		return "video"
	case Application:
		return "application"
	}
	return "unknown"
}

// Ext is an RTP header extension the server knows (matched by URI, never by number).
type Ext uint8

// Known header extensions. The order is the index into [ExtIDs].
const (
	ExtMID          Ext = iota // RFC 9143
	ExtRID                     // RFC 8852
	ExtRepairedRID             // RFC 8852
	ExtAudioLevel              // RFC 6464
	ExtTransportCC             // transport-wide sequence number, draft-holmer-rmcat-transport-wide-cc-extensions-01
	ExtAbsSendTime             //
	ExtOrientation             // 3GPP video orientation
	ExtDependency              // AV1 dependency descriptor
	ExtAbsCapture              // abs-capture-time
	ExtPlayoutDelay            //
	ExtColorSpace              //
	ExtVideoContent            // video-content-type
	ExtVideoTiming             //
	ExtMixerLevel              // RFC 6465
	ExtCount                   // number of known extensions
)

// ExtIDs maps a known extension to its id on a leg; 0 means not negotiated.
type ExtIDs [ExtCount]uint8

// Codec is one payload format as negotiated on one section.
type Codec struct {
	Name      string // as in SDP, canonical case: "opus", "VP8", "VP9", "H264", "AV1", "PCMU", "PCMA", "G722"
	PT        uint8
	ClockRate uint32 // Hz
	Channels  uint8  // audio only; 0 means 1
	Fmtp      string // a=fmtp parameters, unchanged
	RTX       uint8  // payload type of RFC 4588 retransmissions, 0 = none
	RED       uint8  // payload type of RFC 2198 redundancy of this codec, 0 = none
	NACK      bool
	PLI       bool
	FIR       bool
	TWCC      bool // a=rtcp-fb transport-cc
	REMB      bool // a=rtcp-fb goog-remb
	CCFB      bool // a=rtcp-fb ack ccfb (RFC 8888, section 6)
	// TMMBR tells that the sender heeds rate limits (a=rtcp-fb ccm tmmbr), 0 to
	// rest until it is wanted: relays between nodes do.
	TMMBR bool
}

// Layer is one encoding of a simulcast source.
type Layer struct {
	RID     string // empty when told by SSRC alone
	SSRC    uint32 // 0 until learnt
	RTXSSRC uint32
	FECSSRC uint32 // of its parity packets, 0 = none
}

// Recv is the part of a section that the peer sends and the server receives.
type Recv struct {
	Codecs []Codec
	FEC    uint8   // payload type of FlexFEC-03 parity, 0 = none
	Layers []Layer // lowest quality first; one entry without RID for a plain source; may be empty (learn by MID)
}

// Send is the part of a section that the server sends. The SSRCs live as long
// as the section carries this source.
type Send struct {
	Codecs  []Codec
	SSRC    uint32
	RTXSSRC uint32 // 0 when no codec has RTX
	FEC     uint8  // payload type of FlexFEC-03 parity, 0 = none
	FECSSRC uint32 // 0 when FEC is
}

// Section is one negotiated m-section of a leg.
type Section struct {
	MID  string
	Kind Kind
	Exts ExtIDs
	Recv *Recv // nil: the peer does not send here
	Send *Send // nil: the server does not send here
}

// LegMedia is what a completed offer/answer means for one leg; each Configure
// replaces the one before as a whole.
type LegMedia struct {
	Rev       uint32
	CNAME     string // the server's own RTCP CNAME on this leg
	RTCPRsize bool   // RFC 5506 agreed
	// RTCPMin is the shortest regular report interval (Tmin: 5 s in AVP) and
	// RTCPRate what the leg's reports may cost in bytes per second; 0: those of a
	// browser's leg.
	RTCPMin  time.Duration
	RTCPRate int
	// LastN is how many cameras the peer is sent at most: those with a priority
	// above 0, then those of who spoke last. 0: all. Screens, mixes and slots do
	// not count.
	LastN int
	// Loudest is how many microphones are heard at a time; 0: all. All legs of a
	// conference that have a number have the same.
	Loudest  int
	Sections []Section
}

// ICECreds are the short-term credentials of one side (RFC 8445, section 5.3).
type ICECreds struct {
	Ufrag string
	Pwd   ids.Secret
}

// Fingerprint is a certificate hash from a=fingerprint (RFC 8122).
type Fingerprint struct {
	Hash  string // "sha-256"
	Value string // upper-case hex with colons
}

// Candidate is one address of the server, to be written into a description.
type Candidate struct {
	Foundation string
	Component  int
	Transport  string // "udp" or "tcp"
	Priority   uint32
	Addr       netip.AddrPort
	Typ        string // "host"
	TCPType    string // "passive" for tcp
}

// Open asks for a new link: one ICE + DTLS association with one peer.
type Open struct {
	Conf         ids.Conference
	Conn         ids.Connection
	Remote       ICECreds
	Fingerprints []Fingerprint // at least one; any match of the strongest hash is accepted
	DTLSClient   bool          // true: we are the DTLS client (remote said setup:passive)
	Data         bool          // an application section was accepted: keep DTLS, start SCTP on first use
	SCTPPort     uint16
	MaxMessage   int        // a=max-message-size of the peer, bytes
	Origin       netip.Addr // signalling peer, for the caps on unfinished joins
	Trusted      bool       // came with a token or owner right: the higher cap
}

// Local is what the server announces for a link.
type Local struct {
	ICE         ICECreds
	Fingerprint Fingerprint
	Candidates  []Candidate
}

// Track announces a source that one section of a link carries into the server.
type Track struct {
	Conf   ids.Conference
	Conn   ids.Connection
	Track  ids.Track
	MID    string
	Kind   Kind
	Source string // "camera", "microphone", "screen", "screenAudio"
	CNAME  string // alias CNAME of the origin device, the same for all its tracks (rule C6)
	SrcID  uint32 // conference-wide source id, published as src-id
	Muted  bool
	// Mixed tells that its packets name their contributors: their CSRC lists and
	// mixer levels (RFC 6465) are carried on, and it is no speaker itself.
	Mixed bool
	// Encrypted tells that payloads are end-to-end encrypted (SFrame): nothing may
	// be looked for in them but what a codec's framing leaves clear.
	Encrypted bool
	// Keep asks for the source's own SSRC on every leg (translator, relay).
	Keep bool
}

// Contributor is a source inside a mix, for SDES and BYE on its behalf (RFC
// 3550, section 7.3).
type Contributor struct {
	SrcID uint32
	CNAME string
}

// Subscription sends one track, or in a slot one of several tracks in turn, to
// one section of a link.
type Subscription struct {
	Conf     ids.Conference
	Sub      ids.Subscription
	Track    ids.Track // source; for a slot the first source, may be empty
	Conn     ids.Connection
	MID      string
	SSRC     uint32
	RTXSSRC  uint32
	Slot     bool   // the SSRC stays while sources change (SWX); otherwise one SSRC is one source (SFM)
	Width    int    // wanted size in pixels, 0 = any: chooses the simulcast layer
	Height   int    //
	Priority int    // higher first
	Paused   bool   //
	Topology string // recipe, see package topology; "" = "sfu"
	// Anonymous sends the source under our own CNAME and without CSRC (RFC 7667,
	// section 3.9).
	Anonymous bool
}

// Event is what the media side tells control. Delivered from shard goroutines
// through [Sink]; plain values.
type Event struct {
	Conf ids.Conference
	Kind EventKind
	Conn ids.Connection // Link*, Data
	// Track and SSRC for TrackLive, TrackSilent.
	Track ids.Track
	SSRC  uint32
	// Speakers for SpeakersChanged, loudest first.
	Speakers []Speaker
	// Channel, Label and Data for Data events.
	Channel uint16
	Label   string
	Binary  bool
	Data    []byte
	Reason  string
	// Key and Duration for KeyPressed.
	Key      byte
	Duration time.Duration
	// Layers of LayersWanted: how many of Track's encodings, from the lowest on,
	// somebody wants.
	Layers int
	// Withheld of TracksWithheld: all that there are now on Conn.
	Withheld []Withheld
}

// Withheld is a picture that a receiver subscribes to and is not sent now.
type Withheld struct {
	Track ids.Track
	Why   string // WhyLastN, WhyBandwidth
}

// Why a picture is withheld.
const (
	WhyLastN     = "last-n"    // others spoke later, see LegMedia.LastN
	WhyBandwidth = "bandwidth" // there is no room for it
)

// EventKind says what happened.
type EventKind uint8

// Kinds of events.
const (
	LinkConnected    EventKind = iota + 1 // DTLS done, media may flow
	LinkDisconnected                      // no consent for a while (RFC 7675); may come back
	LinkFailed                            // gave up: handshake failed, wrong certificate, consent expired; the link is gone
	TrackLive                             // first packet of a published track
	TrackEnded                            // BYE without resume, or the link went
	SpeakersChanged
	DataOpened
	DataMessage
	DataClosed
	SSRCChanged  // a projection of Track on Conn moved to SSRC after a collision (RFC 3550, section 8.2)
	LayersWanted // the publisher of Track on Conn need not send more encodings, or shall again
	KeyPressed   // telephone event on a plain link (RFC 4733): Key of 0-9*#A-D!, Duration
	// TracksWithheld: which pictures the peer of Conn is not sent has changed.
	TracksWithheld
)

// Speaker is one entry of an active-speaker list.
type Speaker struct {
	Track ids.Track
	Level uint8 // -dBov, 0 loudest .. 127 silent (RFC 6464)
}

// Sink receives events; implementations must return at once (post to a mailbox).
type Sink interface {
	HandleMedia(Event)
}

// Plane is the media side as the focus sees it; implemented by worker. Every
// call returns at once: it validates, records, and posts to the owning shard.
// Safe for concurrent use. Calls about one connection take effect in order.
type Plane interface {
	// Open makes a link. Errors: 429 too-many-joins (cap of this address),
	// 503 overloaded (cap of the node), both with RetryAfter.
	Open(Open) (Local, error)
	// Configure replaces the media of a link after an offer/answer.
	Configure(ids.Connection, LegMedia) error
	// Restart gives fresh ICE credentials for both sides; the old path keeps
	// carrying media until a check with the new ones arrives (RFC 8445, section 9).
	Restart(conn ids.Connection, remote ICECreds) (Local, error)
	// Close ends a link: BYE, close_notify, state freed. Unknown ids are ignored.
	Close(conn ids.Connection, reason string)
	// Publish binds a track to a received section of a configured link.
	Publish(Track) error
	// Unpublish ends a track; its projections send a mapped BYE.
	Unpublish(ids.Conference, ids.Track)
	// Mute stops or resumes forwarding of a track at the server.
	Mute(conf ids.Conference, track ids.Track, muted bool)
	// Subscribe starts, or changes in place when Sub is known, a subscription.
	Subscribe(Subscription) error
	// Unsubscribe ends one; its SSRC gets a BYE and is not used again on that leg.
	Unsubscribe(ids.Subscription)
	// Contributors tells who is in a mixed track now; legs that get the track say
	// so in SDES, and BYE for those who left.
	Contributors(conf ids.Conference, track ids.Track, now []Contributor)
	// EndConference drops everything of a conference.
	EndConference(ids.Conference)
	// SendData queues a message on a data channel of a link.
	SendData(conn ids.Connection, channel uint16, binary bool, data []byte) error
	// Stats returns a snapshot for one link; false if unknown.
	Stats(ids.Connection) (LinkStats, bool)
}
