package model

// Phase is a conference's life: scheduled → active → ending → ended.
type Phase string

// Phases of a conference.
const (
	Scheduled Phase = "scheduled"
	Active    Phase = "active"
	Ending    Phase = "ending"
	Ended     Phase = "ended" // final; the URI may host a new instance
)

// Presence is a participant's life: joining → joined → left.
type Presence string

// States of a participant.
const (
	Invited Presence = "invited" // asked in; the person has not come yet
	Joining Presence = "joining"
	Lobby   Presence = "lobby"
	Joined  Presence = "joined"
	Left    Presence = "left" // the row lingers, then goes
)

// Status is a device's life and at the same time the endpoint status of
// RFC 4575, section 5.7.2.
type Status string

// States of a device.
const (
	Pending       Status = "pending"
	DialingOut    Status = "dialing-out"
	Alerting      Status = "alerting"
	DialingIn     Status = "dialing-in"
	OnHold        Status = "on-hold"
	Connected     Status = "connected"
	MutedViaFocus Status = "muted-via-focus"
	Disconnecting Status = "disconnecting"
	Disconnected  Status = "disconnected"
)

// Live reports whether the endpoint has a signalling relation with the focus
// as a participant: it counts for user-count and may hold media.
func (s Status) Live() bool {
	return s == Connected || s == MutedViaFocus || s == OnHold
}

// Departure is RFC 4575's disconnection-method.
type Departure string

// Ways to go.
const (
	Departed Departure = "departed" // it left
	Booted   Departure = "booted"   // it was put out
	Failed   Departure = "failed"   // technical
	Busy     Departure = "busy"     // 486 either way
)

// Reachability says whether the signalling channel of a device is up.
type Reachability string

// Values of the endpoint extension member "reachability".
const (
	ReachOK        Reachability = "ok"
	ReachSuspended Reachability = "suspended"
)

// LinkState is a connection's life (W3C RTCPeerConnectionState).
type LinkState string

// States of a connection.
const (
	LinkNew          LinkState = "new"
	LinkConnecting   LinkState = "connecting"
	LinkConnected    LinkState = "connected"
	LinkDisconnected LinkState = "disconnected"
	LinkFailed       LinkState = "failed"
	LinkClosed       LinkState = "closed"
)

// Signalling is a MediaSession's offer/answer state (RFC 3264, W3C signalingState).
type Signalling string

// States of a MediaSession.
const (
	Stable          Signalling = "stable"
	HaveRemoteOffer Signalling = "have-remote-offer"
	HaveLocalOffer  Signalling = "have-local-offer"
	SessionClosed   Signalling = "closed"
)

// TrackState is a track's life: announced → live ⇄ muted → ended.
type TrackState string

// States of a track.
const (
	TrackAnnounced TrackState = "announced"
	TrackLive      TrackState = "live"
	TrackEnded     TrackState = "ended" // final; publishing again gives a new id
)

// SubState is a subscription's life.
type SubState string

// States of a subscription.
const (
	SubRequested SubState = "requested"
	SubActive    SubState = "active"
	SubPaused    SubState = "paused"
	SubDenied    SubState = "denied"
	SubEnded     SubState = "ended"
)

// FloorStatus is the life of a floor request (RFC 8855, section 5.2.5).
type FloorStatus string

// States of a floor request.
const (
	FloorPending   FloorStatus = "pending"  // a chair decides
	FloorAccepted  FloorStatus = "accepted" // in the queue
	FloorGranted   FloorStatus = "granted"
	FloorDenied    FloorStatus = "denied"
	FloorCancelled FloorStatus = "cancelled"
	FloorReleased  FloorStatus = "released"
	FloorRevoked   FloorStatus = "revoked"
)
