package api

// RequestCancel withdraws an open request: params are CancelParams. Answered by
// the signalling session itself; the cancelled request ends with 487.
const RequestCancel = "request.cancel"

// CancelParams of request.cancel.
type CancelParams struct {
	ID string `json:"id"`
}

// Ack confirms frames up to Ack; any client frame may carry it as well.
type Ack struct {
	Kind string `json:"kind"` // "ack"
	Ack  uint64 `json:"ack"`
}

// Ping and its answer, kind "pong". T is the asker's own clock, echoed
// unchanged; RTT, in a pong of the server, is what it measured last.
type Ping struct {
	Kind string `json:"kind"` // "ping" or "pong"
	T    int64  `json:"t"`    // milliseconds, any origin
	RTT  int64  `json:"rtt,omitempty"`
	Ack  uint64 `json:"ack,omitempty"`
}

// RoomStatus is what a person may know of a conference before joining.
type RoomStatus struct {
	Active    bool   `json:"active"`
	Locked    bool   `json:"locked"`
	Title     string `json:"title,omitempty"`
	UserCount int    `json:"userCount"`
	E2EE      bool   `json:"e2ee,omitempty"` // who cannot encrypt end to end need not try
}
