package api

// RTPOpen is the body of POST …/rtp: a plain RTP endpoint (a phone, a gateway)
// by its offer, or a multicast group that is sent the conference.
type RTPOpen struct {
	SDP   string    `json:"sdp,omitempty"` // offer; of a group, what is sent and where to
	Group *RTPGroup `json:"group,omitempty"`
	Name  string    `json:"name,omitempty"`
	User  string    `json:"user,omitempty"` // identity; default a fresh one
	Label string    `json:"label,omitempty"`
	Role  Role      `json:"role,omitempty"` // attendee by default, observer for a group
	// Latch false: packets are taken from the described host only, and sent to the
	// described port only. True: any host that sends a steady stream before the
	// described one may become the peer. By default another port of the described
	// host may, and another host only when the described address is private and
	// the server's is not.
	Latch *bool `json:"latch,omitempty"`
}

// RTPGroup is a multicast group that the conference is sent to.
type RTPGroup struct {
	Group     string `json:"group"`         // 239.1.2.3:5004; sound, and pictures two ports above
	TTL       int    `json:"ttl,omitempty"` // 1 by default
	Interface string `json:"interface,omitempty"`
	Codec     string `json:"codec,omitempty"` // of the sound: PCMU (default), PCMA, G722, opus
	Video     string `json:"video,omitempty"` // VP8, H264; none by default
	// Feedback "rsi" or "reflection" makes it source-specific (RFC 5760).
	Feedback string `json:"feedback,omitempty"`
}

// RTPLeg is a plain RTP endpoint.
type RTPLeg struct {
	ID      string      `json:"id"`
	User    string      `json:"user"`
	Part    string      `json:"part,omitempty"`
	Device  string      `json:"device"`
	SDP     string      `json:"sdp,omitempty"` // answer; for a group the description for its receivers
	Streams []RTPStream `json:"streams"`
}

// RTPStream is one m-line.
type RTPStream struct {
	MID       string   `json:"mid"`
	Kind      string   `json:"kind"`
	Conn      string   `json:"conn,omitempty"`
	Codecs    []string `json:"codecs,omitempty"`
	Direction string   `json:"direction"` // ours
	Secure    bool     `json:"secure,omitempty"`
	Local     string   `json:"local,omitempty"`
	Remote    string   `json:"remote,omitempty"` // described
	Heard     string   `json:"heard,omitempty"`  // the source that is listened to
	// State: rejected, connected, or silent when nothing has come for 25 s.
	State      string `json:"state"`
	PacketsIn  uint64 `json:"packetsIn"`
	PacketsOut uint64 `json:"packetsOut"`
}

// RTPLegs is a list of plain RTP endpoints.
type RTPLegs struct {
	Legs []RTPLeg `json:"legs"`
}

// RTPKeys is the body of POST …/rtp/{id}/dtmf.
type RTPKeys struct {
	Keys       string `json:"keys"`                 // 0-9 * # A-D !, at most 32
	DurationMs int    `json:"durationMs,omitempty"` // each; 40 to 6000, default 160
}

// KeyPressed is the body of event participant.dtmf.
type KeyPressed struct {
	User       string `json:"user"`
	Device     string `json:"device"`
	Key        string `json:"key"`
	DurationMs int64  `json:"durationMs"`
}
