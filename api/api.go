// Package api is the public contract of Parley's signalling: the message
// envelope, methods, codes and JSON types of docs/protocol.md. Plain data, no
// logic; imported by the server, the Go SDK and tests. Unknown members are
// ignored by readers and never sent by writers.
package api

import "encoding/json"

// Subprotocol is the WebSocket subprotocol name.
const Subprotocol = "confctl.1"

// Role is a participant's role in a conference.
type Role string

// Roles, highest first.
const (
	RoleOwner     Role = "owner"
	RoleModerator Role = "moderator"
	RolePresenter Role = "presenter"
	RoleAttendee  Role = "attendee"
	RoleObserver  Role = "observer"
	RoleLobby     Role = "lobby"
)

// Request asks for one command. Params is decoded by method.
type Request struct {
	Kind   string          `json:"kind"` // "request"
	ID     string          `json:"id"`
	Method string          `json:"method"`
	Conf   string          `json:"conf,omitempty"` // conference URI or conf_ id
	Params json.RawMessage `json:"params,omitempty"`
	TTLMs  int             `json:"ttlMs,omitempty"`
	IfRev  *uint64         `json:"ifRev,omitempty"`
	Ack    uint64          `json:"ack,omitempty"`
}

// Response answers a request; codes below 200 are provisional (Final false).
type Response struct {
	Kind   string          `json:"kind"` // "response"
	ID     string          `json:"id"`
	Code   int             `json:"code"`
	Final  bool            `json:"final"`
	Dup    bool            `json:"dup,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Error          `json:"error,omitempty"`
	Seq    uint64          `json:"seq,omitempty"`
}

// Error is the refusal inside a response.
type Error struct {
	Code         int            `json:"code"`
	Reason       string         `json:"reason"`
	Message      string         `json:"message,omitempty"`
	Data         map[string]any `json:"data,omitempty"`
	RetryAfterMs int64          `json:"retryAfterMs,omitempty"`
}

// Subscribe asks for notifications of a package.
type Subscribe struct {
	Kind     string          `json:"kind"` // "subscribe"
	ID       string          `json:"id"`
	Conf     string          `json:"conf"`
	Package  string          `json:"package"` // "conference", "speakers", "chat", "stats"
	Filter   json.RawMessage `json:"filter,omitempty"`
	ExpiresS *int            `json:"expiresS,omitempty"`
	Ack      uint64          `json:"ack,omitempty"`
}

// Notify carries a document (State, Version, Body) or an event (Event, Body).
type Notify struct {
	Kind    string          `json:"kind"` // "notify"
	Sub     string          `json:"sub,omitempty"`
	Conf    string          `json:"conf,omitempty"`
	Package string          `json:"package"`
	State   string          `json:"state,omitempty"` // full, partial, deleted
	Version uint32          `json:"version,omitempty"`
	Event   string          `json:"event,omitempty"`
	Body    json.RawMessage `json:"body,omitempty"`
	Seq     uint64          `json:"seq,omitempty"`
}

// Message is one-way: chat, presence.
type Message struct {
	Kind   string          `json:"kind"` // "message"
	ID     string          `json:"id,omitempty"`
	Method string          `json:"method"`
	Conf   string          `json:"conf,omitempty"`
	From   string          `json:"from,omitempty"` // set by the server
	To     json.RawMessage `json:"to,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Seq    uint64          `json:"seq,omitempty"`
	Ack    uint64          `json:"ack,omitempty"`
}

// Hello is the client's first frame.
type Hello struct {
	Kind     string   `json:"kind"` // "hello"
	Versions []int    `json:"versions"`
	Features []string `json:"features,omitempty"`
	Client   *Client  `json:"client,omitempty"`
	Auth     *Auth    `json:"auth,omitempty"`
	Resume   *Resume  `json:"resume,omitempty"`
}

// Client describes the software, for statistics and logs.
type Client struct {
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
}

// Auth carries an access token; with --dev it may be left out and a name given.
type Auth struct {
	Token string `json:"token,omitempty"`
	Name  string `json:"name,omitempty"`
}

// Resume takes up a suspended session.
type Resume struct {
	Session string `json:"session"`
	Token   string `json:"token"`
	LastSeq uint64 `json:"lastSeq"`
}

// Welcome answers hello.
type Welcome struct {
	Kind        string      `json:"kind"` // "welcome"
	Version     int         `json:"version"`
	Session     string      `json:"session"`
	ResumeToken string      `json:"resumeToken"`
	Resumed     bool        `json:"resumed"`
	Resync      bool        `json:"resync,omitempty"`
	Seq         uint64      `json:"seq"`
	HeartbeatMs int         `json:"heartbeatMs"`
	GraceMs     int         `json:"graceMs"`
	Limits      Limits      `json:"limits"`
	ICEServers  []ICEServer `json:"iceServers"`
	User        string      `json:"user"` // the authenticated identity (Principal.Subject)
	Features    []string    `json:"features,omitempty"`
}

// Limits are the caps every surface cites.
type Limits struct {
	Frame         int `json:"frame"`         // bytes
	SDP           int `json:"sdp"`           // bytes
	Sections      int `json:"sections"`      // m-lines
	Chat          int `json:"chat"`          // bytes
	OpenRequests  int `json:"openRequests"`  //
	Rate          int `json:"rate"`          // messages per second
	Burst         int `json:"burst"`         //
	Candidates    int `json:"candidates"`    // per message
	Subscriptions int `json:"subscriptions"` //
	Tracks        int `json:"tracks"`        // published per device
}

// ICEServer is an RTCIceServer.
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// Goodbye ends a session: action disconnect, resume or reconnect.
type Goodbye struct {
	Kind    string `json:"kind"` // "goodbye"
	Action  string `json:"action"`
	Reason  string `json:"reason"`
	URL     string `json:"url,omitempty"`
	AfterMs int64  `json:"afterMs,omitempty"`
}
