package control

import (
	"encoding/json"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
)

// Event is one moment, told to subscribers of package conference or, with To,
// to one session. Events inform; the document is the truth.
type Event struct {
	Name   string
	Conf   ids.Conference
	Rev    uint64
	Epoch  uint64 // of the owner's lease; 0: none
	At     string
	By     string      // user entity; empty: the focus itself
	To     ids.Session // empty: every subscriber
	Least  api.Role    // lowest role that is told; empty: all who have joined
	Users  []string    // the only ones told, by user entity; nil: all
	Chat   bool        // for subscribers of package chat instead
	Fields map[string]any
}

// JSON returns the event's body: its fields with conf, rev, at and by.
func (e Event) JSON() json.RawMessage {
	m := make(map[string]any, len(e.Fields)+4)
	for k, v := range e.Fields {
		m[k] = v
	}
	m["conf"], m["rev"], m["at"] = e.Conf, e.Rev, e.At
	if e.By != "" {
		m["by"] = e.By
	}
	if e.Epoch != 0 {
		m["epoch"] = e.Epoch
	}
	b, err := json.Marshal(m)
	if err != nil { // fields are strings, numbers and booleans of our own
		panic("control: event does not marshal: " + err.Error())
	}
	return b
}

// Effect is work that a commit leaves to the machine's owner, to be done in
// order. One of the types below.
type Effect interface{ effect() }

// CloseMedia ends the transport of a media session.
type CloseMedia struct {
	MS     ids.MediaSession
	Conn   ids.Connection
	Reason string
}

// EndTrack takes a track away from the media side.
type EndTrack struct {
	Track ids.Track
	MS    ids.MediaSession
}

// MuteTrack stops or resumes forwarding.
type MuteTrack struct {
	Track ids.Track
	Muted bool
}

// WantSub says that a subscription is new, or wants something else, or that
// its track can be received from now on.
type WantSub struct{ Sub *model.Subscription }

// EndSub ends a subscription.
type EndSub struct {
	Sub   ids.Subscription
	MS    ids.MediaSession
	Track ids.Track
}

// JoinSettled gives the final answer to the joins of a session that waited in
// the lobby: Result when Err is nil.
type JoinSettled struct {
	Session ids.Session
	Result  api.JoinResult
	Err     *fault.Error
}

// SayGoodbye ends a session from the server's side.
type SayGoodbye struct {
	Session ids.Session
	Goodbye api.Goodbye
}

// Remember asks for a part of the definition to be kept across restarts, before
// the command that did it is answered. That a conference started or ended is
// kept without being asked.
type Remember struct {
	Policy *api.Policy // members that were set; nil ones stay as they were
	Title  *string     // new title
	Ban    []string    // user entities
	Unban  []string
}

// Finished is the last effect: the conference has ended.
type Finished struct{ Reason string }

func (CloseMedia) effect()  {}
func (EndTrack) effect()    {}
func (MuteTrack) effect()   {}
func (WantSub) effect()     {}
func (EndSub) effect()      {}
func (SayGoodbye) effect()  {}
func (JoinSettled) effect() {}
func (Remember) effect()    {}
func (Finished) effect()    {}
