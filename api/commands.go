package api

import "encoding/json"

// Methods of conference control beyond joining and media (section 4.5).
const (
	ParticipantExpel    = "participant.expel"
	HandRaise           = "hand.raise"
	HandLower           = "hand.lower"
	ConferenceLock      = "conference.lock"
	ConferenceUnlock    = "conference.unlock"
	LobbyAdmit          = "lobby.admit"
	LobbyReject         = "lobby.reject"
	ParticipantSetRole  = "participant.setRole"
	ParticipantInvite   = "participant.invite"
	ParticipantTransfer = "participant.transfer"
	LayoutSet           = "layout.set"
	FloorRequestMethod  = "floor.request"
	FloorGrant          = "floor.grant"
	FloorDeny           = "floor.deny"
	FloorRevoke         = "floor.revoke"
	FloorRelease        = "floor.release"
	SidebarCreate       = "sidebar.create"
	SidebarJoin         = "sidebar.join"
	SidebarEnd          = "sidebar.end"
	RecordingStart      = "recording.start"
	RecordingStop       = "recording.stop"
	DeviceAdd           = "device.add"
	DeviceUpdate        = "device.update"
	DeviceRemove        = "device.remove"
	PresenceUpdate      = "presence.update" // message
	ChatSend            = "chat.send"       // message, or request for a receipt
	UnmuteDecline       = "unmute.decline"  // answer to event unmute.requested
	MediaSync           = "media.sync"      // after a resume
	PolicySet           = "conference.setPolicy"
)

// Policy is what an owner or moderator may set for a conference; nil members
// are left as they are.
type Policy struct {
	Lobby          *bool    `json:"lobby,omitempty"` // newcomers without an invitation's role wait for a moderator
	WaitModerator  *bool    `json:"waitForModerator,omitempty"`
	MaxUsers       *int     `json:"maxUsers,omitempty"`
	SingleDevice   *bool    `json:"singleDevice,omitempty"`
	AllowSidebars  *bool    `json:"allowSidebars,omitempty"`  // by anyone joined, not only moderators
	AllowInvite    *bool    `json:"allowInvite,omitempty"`    // by anyone joined
	Chat           *bool    `json:"chat,omitempty"`           // attendees may write
	OneScreen      *bool    `json:"oneScreen,omitempty"`      // one screen share at a time
	FloorAlgorithm string   `json:"floorAlgorithm,omitempty"` // moderator-controlled, FCFS
	MaxFloorUsers  *int     `json:"maxFloorUsers,omitempty"`
	FloorMutes     *bool    `json:"floorMutes,omitempty"` // media of a floor's label is heard from its holders only
	FloorChair     *string  `json:"floorChair,omitempty"` // user who grants, denies and revokes beside the moderators; "": nobody
	Floors         []string `json:"floors,omitempty"`     // labels with a floor, e.g. "a0", "s0"
	Topology       string   `json:"topology,omitempty"`   // see conference.setTopology
	// AllowDiscouraged: the standards advise against this topology, and it is wanted.
	AllowDiscouraged *bool `json:"allowDiscouraged,omitempty"`
	// LastN: each receiver is sent that many cameras at most, those it gives a
	// priority and those of who spoke last; screens do not count. 0: all.
	LastN *int `json:"lastN,omitempty"`
	// LoudestK: that many microphones are heard at a time. 0: all.
	LoudestK *int `json:"loudestK,omitempty"`
	// E2EE: media is encrypted end to end. Decided before the conference starts.
	E2EE *bool `json:"e2ee,omitempty"`
}

// SetPolicyParams of conference.setPolicy.
type SetPolicyParams struct {
	Policy Policy   `json:"policy"`
	Title  string   `json:"title,omitempty"`
	Unban  []string `json:"unban,omitempty"` // user entities that may come again
}

// ExpelParams of participant.expel: the whole participant, or one device.
type ExpelParams struct {
	Part         string `json:"part,omitempty"`
	Dev          string `json:"dev,omitempty"`
	Reason       string `json:"reason,omitempty"`
	Ban          bool   `json:"ban,omitempty"`
	RejoinAfterS int    `json:"rejoinAfterS,omitempty"`
}

// PartParams of hand.lower and other commands about one participant; empty means the caller.
type PartParams struct {
	Part string `json:"part,omitempty"`
}

// LockParams of conference.lock.
type LockParams struct {
	AllowReturning bool `json:"allowReturning,omitempty"`
}

// AdmitParams of lobby.admit and lobby.reject.
type AdmitParams struct {
	Parts  []string `json:"parts,omitempty"`
	All    bool     `json:"all,omitempty"`
	Role   Role     `json:"role,omitempty"`
	Reason string   `json:"reason,omitempty"`
}

// LobbyTicket is the result in the provisional answer 182 to a join that waits.
type LobbyTicket struct {
	Conf   string `json:"conf"`
	Part   string `json:"part"`
	User   string `json:"user"`
	Device string `json:"device"`
	Reason string `json:"reason"` // lobby, waiting-for-moderator
}

// LobbyOutcome says what became of one who waited in the lobby.
type LobbyOutcome struct {
	Part    string `json:"part"`
	Code    int    `json:"code"`    // 200, or 409: somebody was faster
	Outcome string `json:"outcome"` // admitted, rejected, left
}

// LobbyResult of lobby.admit and lobby.reject.
type LobbyResult struct {
	Parts   []LobbyOutcome `json:"parts,omitempty"`
	Already bool           `json:"already,omitempty"` // nobody waits
}

// HandResult of hand.raise: the place in the row of raised hands, 1 is first.
type HandResult struct {
	Rank    int  `json:"rank,omitempty"`
	Already bool `json:"already,omitempty"`
}

// SetRoleParams of participant.setRole.
type SetRoleParams struct {
	Part string `json:"part"`
	Role Role   `json:"role"`
}

// InviteTarget is one to be invited.
type InviteTarget struct {
	URI  string `json:"uri"`
	Mode string `json:"mode,omitempty"` // dial, ask
	Role Role   `json:"role,omitempty"`
}

// InviteParams of participant.invite.
type InviteParams struct {
	Targets  []InviteTarget `json:"targets"`
	TimeoutS int            `json:"timeoutS,omitempty"`
}

// InviteOutcome is the result for one target: a code, and for mode ask the
// code to be put behind the conference's link as #invite=.
type InviteOutcome struct {
	URI    string `json:"uri"`
	Code   int    `json:"code"`
	Reason string `json:"reason,omitempty"`
	Invite string `json:"invite,omitempty"`
}

// InviteResult of participant.invite.
type InviteResult struct {
	Targets []InviteOutcome `json:"targets"`
}

// TransferParams of participant.transfer.
type TransferParams struct {
	Part string `json:"part,omitempty"`
	Dev  string `json:"dev,omitempty"`
	To   string `json:"to"` // conference URI or sidebar id
	Keep bool   `json:"keep,omitempty"`
}

// LayoutParams of layout.set.
type LayoutParams struct {
	Mode  string   `json:"mode"` // XCON names (RFC 6501), or "grid", "speaker"
	Pins  []string `json:"pins,omitempty"`
	Scope string   `json:"scope,omitempty"` // self (default), all
}

// FloorRequestParams of floor.request.
type FloorRequestParams struct {
	Floor       string `json:"floor"`
	Priority    int    `json:"priority,omitempty"` // 0–4 (RFC 8855)
	Beneficiary string `json:"beneficiary,omitempty"`
}

// FloorActionParams of floor.grant, deny, revoke and release.
type FloorActionParams struct {
	Request string `json:"request"`
	Reason  string `json:"reason,omitempty"`
}

// FloorStatus is the result of floor commands and the body of event floor.status.
type FloorStatus struct {
	Request string `json:"request"`
	Floor   string `json:"floor"`
	Status  string `json:"status"` // pending, accepted, granted, denied, cancelled, released, revoked
	User    string `json:"user"`
	Queue   int    `json:"queue,omitempty"` // position, 1 is next
}

// SidebarCreateParams of sidebar.create.
type SidebarCreateParams struct {
	Title   string   `json:"title,omitempty"`
	Members []string `json:"members,omitempty"` // parts, moved at once
	ByVal   bool     `json:"byVal,omitempty"`
}

// SidebarParams of sidebar.join and sidebar.end.
type SidebarParams struct {
	Sidebar       string `json:"sidebar"`
	KeepMainAudio bool   `json:"keepMainAudio,omitempty"`
}

// SidebarResult of sidebar.create.
type SidebarResult struct {
	Sidebar string `json:"sidebar"` // conference id
	URI     string `json:"uri"`
}

// RecordingParams of recording.start and recording.stop.
type RecordingParams struct {
	Layout  string   `json:"layout,omitempty"`
	Tracks  []string `json:"tracks,omitempty"`
	Consent bool     `json:"consent,omitempty"`
}

// DeviceInput is a camera, microphone or speaker that a device has.
type DeviceInput struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"` // audioinput, videoinput, audiooutput
	Label string `json:"label,omitempty"`
}

// DeviceParams of device.add, device.update and device.remove.
type DeviceParams struct {
	Device string            `json:"device,omitempty"` // empty: the caller's
	Kind   string            `json:"kind,omitempty"`
	Label  string            `json:"label,omitempty"`
	Inputs []DeviceInput     `json:"inputs,omitempty"`
	Active map[string]string `json:"active,omitempty"` // kind → id
	Codecs []string          `json:"codecs,omitempty"` // "opus", "VP8": what it can take from now on
	Part   string            `json:"part,omitempty"`   // device.remove by a moderator: whose
}

// MuteManyParams of track.mute and track.unmute. One track by name; or what the
// caller (or, for moderators, Part) publishes of a medium; or with Scope all or
// others, for moderators, the medium of everybody, which holds for tracks to
// come too until track.unmute with the same scope lifts it.
type MuteManyParams struct {
	Track  string `json:"track,omitempty"`
	Part   string `json:"part,omitempty"`
	Medium string `json:"medium,omitempty"` // audio, video
	Scope  string `json:"scope,omitempty"`  // one (default), all, others
}

// PresenceParams of presence.update.
type PresenceParams struct {
	State  string `json:"state,omitempty"` // active, away, busy
	Note   string `json:"note,omitempty"`
	Typing bool   `json:"typing,omitempty"`
}

// ChatParams of chat.send. To: empty for all, or part ids; roles as "role:moderator".
type ChatParams struct {
	Text    string   `json:"text"`
	To      []string `json:"to,omitempty"`
	ReplyTo string   `json:"replyTo,omitempty"`
	CID     string   `json:"cid,omitempty"`
}

// ChatReceipt is the result of chat.send given as a request.
type ChatReceipt struct {
	ID string `json:"id"`
	At string `json:"at"`
}

// ChatHistory is the body of the notify that follows a subscription to package
// chat: what was written lately and is for this person, oldest first.
type ChatHistory struct {
	Messages []ChatMessage `json:"messages"`
}

// ChatMessage is the body of event chat.message; id and time are the server's.
type ChatMessage struct {
	ID      string   `json:"id"`
	At      string   `json:"at"`
	From    string   `json:"from"` // user entity
	Name    string   `json:"name"`
	Text    string   `json:"text"`
	To      []string `json:"to,omitempty"`
	ReplyTo string   `json:"replyTo,omitempty"`
	CID     string   `json:"cid,omitempty"`
}

// SyncParams of media.sync.
type SyncParams struct {
	MS            string   `json:"ms"`
	Rev           uint32   `json:"rev"`
	Tracks        []string `json:"tracks,omitempty"`
	Subscriptions []string `json:"subscriptions,omitempty"`
}

// Definition is a conference kept across restarts: scheduled, active or ended.
type Definition struct {
	URI       string          `json:"uri"`
	Title     string          `json:"title,omitempty"`
	State     string          `json:"state"`              // scheduled, active, ended
	StartsAt  string          `json:"startsAt,omitempty"` // RFC 3339
	EndsAt    string          `json:"endsAt,omitempty"`
	Owner     string          `json:"owner,omitempty"` // user entity
	Policy    Policy          `json:"policy"`
	Banned    []string        `json:"banned,omitempty"` // user entities
	CreatedAt string          `json:"createdAt,omitempty"`
	EndedAt   string          `json:"endedAt,omitempty"`
	Conf      string          `json:"conf,omitempty"` // id of the live or last instance
	Users     int             `json:"users,omitempty"`
	Ext       json.RawMessage `json:"ext,omitempty"`
}
