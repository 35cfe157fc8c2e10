package api

import "encoding/json"

// Types of the administration API under /api/v1 (docs/api.md).

// States of a [Definition].
const (
	StateScheduled = "scheduled"
	StateActive    = "active"
	StateEnded     = "ended"
)

// ConferenceList is a page of conferences, newest first.
type ConferenceList struct {
	Conferences []Definition `json:"conferences"`
	Total       int          `json:"total"` // that match, on all pages
	Offset      int          `json:"offset"`
	Limit       int          `json:"limit"`
}

// CreateConference is the body of POST /conferences. Start brings it about at once.
type CreateConference struct {
	URI      string `json:"uri,omitempty"` // empty: the server makes one up
	Title    string `json:"title,omitempty"`
	StartsAt string `json:"startsAt,omitempty"` // RFC 3339
	EndsAt   string `json:"endsAt,omitempty"`
	Policy   Policy `json:"policy,omitzero"`
	Start    bool   `json:"start,omitempty"`
}

// PatchConference is the body of PATCH /conferences/{uri}; nil members are left
// as they are, an empty text clears.
type PatchConference struct {
	Title    *string   `json:"title,omitempty"`
	StartsAt *string   `json:"startsAt,omitempty"`
	EndsAt   *string   `json:"endsAt,omitempty"`
	Policy   *Policy   `json:"policy,omitempty"`
	Banned   *[]string `json:"banned,omitempty"` // the whole list; not while it is active
}

// ReopenConference is the body of POST /conferences/{uri}/reopen.
type ReopenConference struct {
	StartsAt string `json:"startsAt,omitempty"` // empty: none
	EndsAt   string `json:"endsAt,omitempty"`
	Start    bool   `json:"start,omitempty"`
}

// ConferenceDetail is one conference: its definition and, while it is active,
// how it goes.
type ConferenceDetail struct {
	Definition
	Live *LiveConference `json:"live,omitempty"`
}

// LiveConference is a running instance.
type LiveConference struct {
	Conf    string          `json:"conf"`
	Rev     uint64          `json:"rev"`
	Phase   string          `json:"phase"`
	Locked  bool            `json:"locked"`
	Users   int             `json:"users"`
	Creator string          `json:"creator,omitempty"`
	Since   string          `json:"since"`
	Info    json.RawMessage `json:"info"` // conference-info (RFC 4575), state full, as JSON
}

// ParticipantInfo is a person in a conference.
type ParticipantInfo struct {
	Part       string   `json:"part"`
	User       string   `json:"user"`
	Name       string   `json:"name,omitempty"`
	Role       Role     `json:"role"`
	State      string   `json:"state"`
	JoinedAt   string   `json:"joinedAt,omitempty"`
	FocusMuted []string `json:"focusMuted,omitempty"` // sources a moderator muted
	Devices    []string `json:"devices"`
}

// DeviceInfo is one installation of a client.
type DeviceInfo struct {
	Device   string   `json:"device"`
	Part     string   `json:"part"`
	User     string   `json:"user"`
	Kind     string   `json:"kind"`
	Label    string   `json:"label,omitempty"`
	Status   string   `json:"status"`
	Session  string   `json:"session,omitempty"`
	JoinedAt string   `json:"joinedAt,omitempty"`
	Tracks   []string `json:"tracks,omitempty"`
}

// SessionInfo is one signalling session in a conference.
type SessionInfo struct {
	Session      string `json:"session"`
	User         string `json:"user"`
	Device       string `json:"device,omitempty"`
	Dialect      string `json:"dialect"` // ws, whip, whep
	Addr         string `json:"addr,omitempty"`
	Reachability string `json:"reachability,omitempty"`
}

// ConnectionInfo is one transport association with the media side.
type ConnectionInfo struct {
	Conn   string           `json:"conn"`
	MS     string           `json:"ms"`
	Part   string           `json:"part"`
	Device string           `json:"device"`
	User   string           `json:"user"`
	State  string           `json:"state"`
	Trace  string           `json:"trace,omitempty"` // name of its trace's file
	Stats  *ConnectionStats `json:"stats,omitempty"` // absent: not known to the media side
}

// TrackInfo is a published source.
type TrackInfo struct {
	Track   string `json:"track"`
	User    string `json:"user"`
	Device  string `json:"device"`
	Kind    string `json:"kind"`
	Source  string `json:"source"`
	Label   string `json:"label,omitempty"`
	State   string `json:"state"`
	MutedBy string `json:"mutedBy,omitempty"` // self, focus, both
	Conn    string `json:"conn,omitempty"`
}

// Participants, Devices, Sessions, Connections and Tracks are the lists of a
// running conference.
type (
	Participants struct {
		Participants []ParticipantInfo `json:"participants"`
	}
	Devices struct {
		Devices []DeviceInfo `json:"devices"`
	}
	Sessions struct {
		Sessions []SessionInfo `json:"sessions"`
	}
	Connections struct {
		Connections []ConnectionInfo `json:"connections"`
	}
	Tracks struct {
		Tracks []TrackInfo `json:"tracks"`
	}
)

// WebhookEvent is what a webhook receives.
type WebhookEvent struct {
	ID         string          `json:"id"` // the same in every attempt
	Event      string          `json:"event"`
	Conference string          `json:"conference"` // URI
	Conf       string          `json:"conf"`
	At         string          `json:"at"`
	Body       json.RawMessage `json:"body"`
}
