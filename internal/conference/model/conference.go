package model

import (
	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/ids"
)

// Conference is one instance of a conference. The zero maps are not usable;
// see [NewConference].
type Conference struct {
	ID     ids.Conference
	URI    string
	Title  string
	Phase  Phase
	Locked bool
	// Returning: while locked, one who left within the grace may come back.
	Returning bool
	Rev       uint64 // one step per commit
	Creator   string // user entity
	Since     clock.Time

	Participants  map[string]*Participant // by user entity
	Tracks        map[ids.Track]*Track
	Subscriptions map[ids.Subscription]*Subscription
	Media         map[ids.MediaSession]*MediaSession

	Lobby      int             // who wait now
	Floors     []Floor         // in order of label
	JoinMuted  map[string]bool // by kind of medium: new tracks start muted by the focus
	Conditions api.Policy      // the settings in force, as people see them

	Branches
	Intent    string // ring, prompt, room; empty: it was not said
	Layout    Layout // for all; of the one who set it
	Recording Recording
	Peers     map[ids.MediaSession]*PeerSession
	Choice    Choice // topology in force; never empty once somebody came
	Lacking   string // what a mixer would need here, for people; empty: nothing

	changes changes
	hidden  aliases
}

// NewConference returns a scheduled conference with nobody in it.
func NewConference(id ids.Conference, uri string) *Conference {
	return &Conference{
		ID: id, URI: uri, Phase: Scheduled,
		Participants:  map[string]*Participant{},
		Tracks:        map[ids.Track]*Track{},
		Subscriptions: map[ids.Subscription]*Subscription{},
		Media:         map[ids.MediaSession]*MediaSession{},
		JoinMuted:     map[string]bool{},
		Branches:      Branches{Sidebars: map[ids.Conference]*Sidebar{}},
		Peers:         map[ids.MediaSession]*PeerSession{},
	}
}

// Participant is a person in a conference (RFC 4575 user).
type Participant struct {
	ID       ids.Participant
	User     string // user entity, the key of the roster
	Name     string
	Role     api.Role
	State    Presence
	Order    uint64 // order of joining, never reused
	JoinedAt clock.Time
	LeftAt   clock.Time // set while the row lingers
	Rev      uint64     // of the last change to anything under this row
	Devices  map[ids.Device]*Device
	// FocusMuted holds the sources a moderator muted. It outlives tracks, so
	// that coming back with a fresh track does not open the microphone.
	FocusMuted map[string]bool
	Hand       clock.Time // when it was raised; zero: it is down
	HandRank   int        // place in the row of raised hands, 1 is first
	Mood       Mood
	AdmittedBy string // user entity of the moderator who let this one in
	// Anonymous: others than moderators see an alias instead of user and name;
	// set by [Conference.Hide].
	Anonymous bool
}

// Mood is what a person says about their presence in the sense of chat
// programs: active, away, busy.
type Mood struct {
	State  string
	Note   string
	Typing bool
}

// Floor is the right over a medium (RFC 8855) and who has or wants it.
type Floor struct {
	Label    string
	Requests []FloorRequest // holders first, then the queue in order, then what waits for a chair
}

// FloorRequest is one request that has not ended.
type FloorRequest struct {
	ID     string
	User   string
	Status FloorStatus
	Queue  int // place in the queue, 1 is next; 0: not in it
}

// Live reports whether any device of the participant is live.
func (p *Participant) Live() bool {
	for _, d := range p.Devices {
		if d.Status.Live() {
			return true
		}
	}
	return false
}

// Device is one installation of a client (RFC 4575 endpoint). At most one live
// session drives it.
type Device struct {
	ID      ids.Device
	Part    *Participant
	Session ids.Session
	Load    string // fresh per start of the client
	Kind    string // browser, app, sip, room, bot, recorder, whip, whep
	Label   string
	Dialect string // of the session that joined

	Status   Status
	Reach    Reachability
	Gone     Departure // set when disconnected
	GoneWhy  string
	GoneBy   string
	JoinedAt clock.Time
	LeftAt   clock.Time
	Suspend  clock.Time // when the channel was lost; zero: it is up

	Dialog *Dialog // of a SIP leg; nil: none
	Away   *Away   // its media is in another conference; nil: here
	Equipment
	Supply

	Subscribe string                // auto, none, slots
	LastN     int                   // cameras it wants at a time; 0: as the policy says
	MS        ids.MediaSession      // the current one toward the server
	Media     []*MediaSession       // all that are open, oldest first
	Receives  map[string]int        // live subscriptions by label, for media/status
	Streams   map[string]ids.Stream // by the client's msid stream, or "user" and "screen"
}

// Dialog names the SIP dialog of a device (RFC 4575, section 5.7.8).
type Dialog struct {
	CallID, FromTag, ToTag string
}

// MediaSession is one offer/answer history of a device, carried by one connection.
type MediaSession struct {
	ID       ids.MediaSession
	Conn     ids.Connection
	Device   *Device
	Rev      uint32 // of the last completed negotiation
	State    Signalling
	Link     LinkState
	LinkAt   clock.Time      // since when Link holds
	Restart  clock.Time      // when an ICE restart was asked for; zero: none runs
	Retiring clock.Time      // set once a newer load of the device took over
	Tracks   []*Track        // published here, in order
	Past     map[string]bool // cids of tracks that ended here
}

// Track is one published source (W3C MediaStreamTrack).
type Track struct {
	ID         ids.Track
	CID        string // the client's name for it
	Device     *Device
	MS         ids.MediaSession
	MID        string // section that carries it; empty until negotiated
	Kind       string // audio, video
	Source     string // camera, microphone, screen, screenAudio
	Label      string // conference-level medium: a0, v0, s0, sa0
	Stream     ids.Stream
	SrcID      uint32
	RIDs       []string
	State      TrackState
	SelfMuted  bool
	FocusMuted bool        // derived: anything holds it
	Held       Hold        // why the focus mutes it
	Asked      ids.Session // of the moderator who asked for its unmuting; empty: none waits
	Order      uint64      // order of publishing, never reused
	Layers     int         // encodings its publisher is to send, as it was told; 0: all
	LayerRIDs  []string    // their names
	Rev        uint64
}

// Hold is a set of reasons for which the focus mutes a track.
type Hold uint8

// Reasons. Only the first is a moderator's to lift.
const (
	HeldByModerator Hold = 1 << iota
	HeldByFloor          // its label has a floor that its person does not hold
	HeldByRole           // its person lost the right to publish it; it ends soon
)

// Hold sets or clears one reason.
func (t *Track) Hold(why Hold, on bool) {
	t.Held &^= why
	if on {
		t.Held |= why
	}
	t.FocusMuted = t.Held != 0
}

// Muted reports whether nobody may receive the track: either flag is enough,
// and so is its device's being away in a sidebar.
func (t *Track) Muted() bool {
	return t.SelfMuted || t.FocusMuted || t.Device != nil && t.Device.Away != nil
}

// MutedBy names the flags that are set: "", "self", "focus" or "both".
func (t *Track) MutedBy() string {
	switch {
	case t.SelfMuted && t.FocusMuted:
		return "both"
	case t.SelfMuted:
		return "self"
	case t.FocusMuted:
		return "focus"
	}
	return ""
}

// Bound reports whether a section carries the track, so that others can be
// given sections for it.
func (t *Track) Bound() bool { return t.MID != "" && t.State != TrackEnded }

// Subscription is one track on its way to one media session.
type Subscription struct {
	ID     ids.Subscription
	Track  *Track
	Device *Device
	MS     ids.MediaSession
	State  SubState
	Want   api.WantedTrack
	Order  uint64
}
