package api

// More methods of conference control.
const (
	ConferenceStatus = "conference.status"
	RecordingConsent = "recording.consent" // answer to event recording.state with ask
)

// Moved is the body of event moved, and the result of sidebar.join and
// participant.transfer for the caller's own device: join that conference with
// the same device and load. The place in the old one is kept, on hold, unless
// Back says that this is the way back to it.
type Moved struct {
	To     string `json:"to"` // id of the conference to join
	URI    string `json:"uri"`
	Token  string `json:"token,omitempty"` // for JoinParams.Moved
	Keep   bool   `json:"keep,omitempty"`  // the old place is kept
	Back   bool   `json:"back,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// TransferResult of participant.transfer.
type TransferResult struct {
	Devices []string `json:"devices,omitempty"` // that were told to go
	Moved   *Moved   `json:"moved,omitempty"`   // when the caller's is one of them
	Already bool     `json:"already,omitempty"`
}

// StatusResult of conference.status.
type StatusResult struct {
	Conf      string          `json:"conf"`
	URI       string          `json:"uri"`
	Title     string          `json:"title,omitempty"`
	Phase     string          `json:"phase"`
	Active    bool            `json:"active"`
	Locked    bool            `json:"locked"`
	UserCount int             `json:"userCount"`
	Since     string          `json:"since,omitempty"`
	Intent    string          `json:"intent,omitempty"`
	Recording string          `json:"recording,omitempty"` // state
	Sidebars  []SidebarResult `json:"sidebars,omitempty"`
	Main      string          `json:"main,omitempty"` // URI, when this is a sidebar
}

// Peer names a device to negotiate with directly.
type Peer struct {
	Part string `json:"part"`
	Dev  string `json:"dev,omitempty"` // empty: the only one
}

// PeerDescription is the result of media.offer and media.answer with a peer
// (SDP left out), and the body of the events of the same names at the other end.
type PeerDescription struct {
	MS   string `json:"ms"`
	Rev  uint32 `json:"rev"`
	SDP  string `json:"sdp,omitempty"`
	Part string `json:"part,omitempty"` // who it comes from
	Dev  string `json:"dev,omitempty"`
}

// ConsentParams of recording.consent.
type ConsentParams struct {
	Consent bool `json:"consent"`
}

// RecordingResult of recording.start and stop, and the body of event
// recording.state.
type RecordingResult struct {
	State  string `json:"state"`
	Ask    bool   `json:"ask,omitempty"` // each is asked for consent
	URL    string `json:"url,omitempty"`
	Reason string `json:"reason,omitempty"`
}
