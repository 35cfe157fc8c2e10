package api

// Methods of section 4.5 that this version serves.
const (
	ConferenceStart  = "conference.start"
	ConferenceEnd    = "conference.end"
	ConferenceJoin   = "conference.join"
	ConferenceLeave  = "conference.leave"
	MediaOffer       = "media.offer"
	MediaAnswer      = "media.answer"
	MediaCandidate   = "media.candidate"
	MediaRestartICE  = "media.restartIce"
	TrackPublish     = "track.publish"
	TrackUnpublish   = "track.unpublish"
	TrackSubscribe   = "track.subscribe"
	TrackUnsubscribe = "track.unsubscribe"
	TrackMute        = "track.mute"
	TrackUnmute      = "track.unmute"
)

// StartParams of conference.start.
type StartParams struct {
	URI   string `json:"uri,omitempty"` // empty: Request.Conf
	Title string `json:"title,omitempty"`
	Mode  string `json:"mode,omitempty"` // create, join, either (default)
	// Intent says what those who are to come should notice: ring, prompt, room
	// (default; nothing). With ring and prompt, Invite is asked in.
	Intent string         `json:"intent,omitempty"`
	Invite []InviteTarget `json:"invite,omitempty"`
	// Topology of a conference that starts with this; see conference.setTopology.
	Topology         string `json:"topology,omitempty"`
	AllowDiscouraged bool   `json:"allowDiscouraged,omitempty"`
	// E2EE: only devices that encrypt end to end, from the start on.
	E2EE bool `json:"e2ee,omitempty"`
}

// StartResult of conference.start and part of JoinResult.
type StartResult struct {
	Conf string `json:"conf"` // conf_ id
	URI  string `json:"uri"`
	// Targets tells what became of those to be invited.
	Targets []InviteOutcome `json:"targets,omitempty"`
}

// EndParams of conference.end.
type EndParams struct {
	Reason string `json:"reason,omitempty"`
	AfterS int    `json:"afterS,omitempty"`
}

// JoinParams of conference.join. Offer makes it one round trip (WHIP, WHEP, bots).
type JoinParams struct {
	Device string          `json:"device"`         // stable per installation
	Load   string          `json:"load,omitempty"` // fresh per start of the client
	Name   string          `json:"name,omitempty"`
	Kind   string          `json:"kind,omitempty"`  // browser (default), app, sip, room, bot, recorder, whip, whep, rtp, focus
	Label  string          `json:"label,omitempty"` // device name for people
	Role   Role            `json:"role,omitempty"`  // wish
	Tracks []PublishParams `json:"tracks,omitempty"`
	Offer  *OfferParams    `json:"offer,omitempty"`
	// Subscribe "auto" (default) subscribes to every track others publish;
	// "none" to nothing; "slots" fills the offer's recvonly sections one by one
	// in order of joining, then switches them by active speaker (WHEP).
	Subscribe string `json:"subscribe,omitempty"`
	// Anonymous: others than moderators see an alias instead of user and name.
	Anonymous bool `json:"anonymous,omitempty"`
	// Takeover: in a conference of one device per person, this one takes the
	// place of the other rather than being refused.
	Takeover bool `json:"takeover,omitempty"`
	// Moved is the token of event moved, when it brought the client here.
	Moved string `json:"moved,omitempty"`
	// Topology is this device's own wish; empty: as the conference.
	Topology         string `json:"topology,omitempty"`
	AllowDiscouraged bool   `json:"allowDiscouraged,omitempty"`
	Caps             Caps   `json:"caps,omitzero"`
	// Cascade is said by the focus of another conference.
	Cascade *Cascade `json:"cascade,omitempty"`
	// E2EE are the device's public keys; an encrypted conference wants them.
	E2EE *E2EEKeys `json:"e2ee,omitempty"`
}

// JoinResult of conference.join.
type JoinResult struct {
	Conf   string          `json:"conf"`
	URI    string          `json:"uri"`
	Part   string          `json:"part"`
	User   string          `json:"user"` // roster key (RFC 4575 user entity)
	Device string          `json:"device"`
	Role   Role            `json:"role"`
	Rev    uint64          `json:"rev"`
	MS     string          `json:"ms"` // MediaSession toward the server, for media.offer
	Tracks []PublishResult `json:"tracks,omitempty"`
	Answer *AnswerResult   `json:"answer,omitempty"`
	Needed MediaNeeded     `json:"needed"`         // sections to offer at once
	Leg    *LegState       `json:"leg,omitempty"`  // how media flows for this device
	E2EE   bool            `json:"e2ee,omitempty"` // media is encrypted end to end here
}

// LeaveParams of conference.leave.
type LeaveParams struct {
	Reason string `json:"reason,omitempty"`
}

// OfferParams of media.offer. Tracks maps mid to the cid given in track.publish.
type OfferParams struct {
	MS     string            `json:"ms,omitempty"`
	Rev    uint32            `json:"rev,omitempty"` // current + 1
	SDP    string            `json:"sdp"`
	Tracks map[string]string `json:"tracks,omitempty"`
	// Peer opens a session with another device instead of the server; later
	// offers, answers and candidates name it by MS.
	Peer *Peer `json:"peer,omitempty"`
}

// AnswerResult answers an offer. Receive tells which track each section that
// the server sends on carries now.
type AnswerResult struct {
	MS      string            `json:"ms"`
	Rev     uint32            `json:"rev"`
	SDP     string            `json:"sdp"`
	Receive map[string]string `json:"receive,omitempty"` // mid → track id, or mix:audio, mix:video, slot:1, ...
}

// CandidateParams of media.candidate. The server is ICE-lite and ignores them
// on purpose; the message is accepted for the sake of clients that send it.
type CandidateParams struct {
	MS         string   `json:"ms"`
	Ufrag      string   `json:"ufrag,omitempty"`
	Candidates []string `json:"candidates,omitempty"`
	End        bool     `json:"end,omitempty"`
}

// RestartICEParams of media.restartIce: the client follows with an offer that
// has new credentials (a restart is an offer).
//
// WHIP and WHEP restart by fragment, without an offer (RFC 9725, section 4.3.2):
// they give the client's new Ufrag and Pwd and get a RestartICEResult back.
type RestartICEParams struct {
	MS     string `json:"ms"`
	Reason string `json:"reason,omitempty"`
	Ufrag  string `json:"ufrag,omitempty"`
	Pwd    string `json:"pwd,omitempty"`
}

// RestartICEResult of media.restartIce: the server's new credentials, only when
// the request gave the client's.
type RestartICEResult struct {
	Ufrag      string   `json:"ufrag,omitempty"`
	Pwd        string   `json:"pwd,omitempty"`
	Candidates []string `json:"candidates,omitempty"` // candidate-attribute values of RFC 8839
}

// PublishParams of track.publish.
type PublishParams struct {
	CID    string   `json:"cid"`
	Kind   string   `json:"kind"`   // audio, video
	Source string   `json:"source"` // camera, microphone, screen, screenAudio
	Label  string   `json:"label,omitempty"`
	Stream string   `json:"stream,omitempty"`
	RIDs   []string `json:"rids,omitempty"` // simulcast, lowest first
	Muted  bool     `json:"muted,omitempty"`
	// Origin is the conference a source was first published in, told by the focus
	// of another conference that brings it here; what began here is refused (482).
	Origin string `json:"origin,omitempty"`
}

// PublishResult of track.publish. The m-section follows by media.offer.
type PublishResult struct {
	CID   string `json:"cid"`
	Track string `json:"track"`
}

// TrackParams of track.unpublish.
type TrackParams struct {
	Track string `json:"track"`
}

// SubscribeTracks of track.subscribe and track.unsubscribe.
type SubscribeTracks struct {
	Auto   *bool         `json:"auto,omitempty"`
	Tracks []WantedTrack `json:"tracks,omitempty"`
	// LastN is how many cameras the device wants to be sent at a time, where the
	// conference's policy gives it more; 0: as many as that gives.
	LastN *int `json:"lastN,omitempty"`
}

// WantedTrack says what a receiver wants of one track.
type WantedTrack struct {
	Track string `json:"track"`
	// Width and Height are the size it is shown at, in pixels of the screen; one of
	// them suffices, 0: any.
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`
	FPS    int `json:"fps,omitempty"`
	// Priority above 0 goes before who speaks and is never left out by lastN;
	// higher goes first.
	Priority int  `json:"priority,omitempty"`
	Paused   bool `json:"paused,omitempty"`
}

// SubscribeResults of track.subscribe, one per wanted track in order.
type SubscribeResults struct {
	Tracks []SubscribedTrack `json:"tracks,omitempty"`
}

// SubscribedTrack says what became of one wanted track.
type SubscribedTrack struct {
	Track  string `json:"track"`
	Code   int    `json:"code"`
	State  string `json:"state,omitempty"`  // requested, active, paused, denied
	Reason string `json:"reason,omitempty"` // why not 200
}

// SubscribeResult answers the subscribe envelope: the name in later notifies.
type SubscribeResult struct {
	Sub      string `json:"sub"`
	ExpiresS int    `json:"expiresS,omitempty"` // 0: as long as the session
}

// Done is the result of commands that return nothing else. Already means that
// what was asked for was so before; nothing changed.
type Done struct {
	Already bool `json:"already,omitempty"`
}

// MuteParams of track.mute and track.unmute.
type MuteParams = MuteManyParams

// MediaNeeded is event media.needed: how many recvonly sections of each kind
// the client's next offer for MS should have in all.
type MediaNeeded struct {
	MS     string `json:"ms"`
	Audio  int    `json:"audio"`
	Video  int    `json:"video"`
	Reason string `json:"reason,omitempty"` // "subscribe", "ended"
	Rev    uint32 `json:"rev"`              // current rev of the MediaSession
}

// SpeakerActive is event speaker.active, loudest first, at most one a second.
type SpeakerActive struct {
	Conf     string    `json:"conf"`
	Speakers []Speaker `json:"speakers"`
}

// Speaker is one who speaks now.
type Speaker struct {
	Track  string `json:"track"`
	User   string `json:"user"`
	Device string `json:"device"`
	Level  int    `json:"level"` // -dBov, 0 loudest (RFC 6464)
}
