package info

import "parley/api"

// State is the attribute of elements that take part in partial updates
// (RFC 4575, section 4.1).
type State string

// States of an element.
const (
	Full    State = "full"
	Partial State = "partial"
	Deleted State = "deleted"
)

// Namespace is the XML name space of the document.
const Namespace = "urn:ietf:params:xml:ns:conference-info"

// ExtNamespace is ours, for the extension members.
const ExtNamespace = "urn:parley:conference-info:1"

// Document is the root, conference-info (section 5.1), or an entry of
// sidebars-by-val, whose entity is its key and not repeated inside. Version is
// per subscription and set by the notifier.
type Document struct {
	Entity          string           `json:"entity,omitempty"`
	State           State            `json:"state"`
	Version         uint32           `json:"version,omitempty"`
	Description     *Description     `json:"conferenceDescription,omitempty"`
	Host            *Host            `json:"hostInfo,omitempty"`
	ConferenceState *ConferenceState `json:"conferenceState,omitempty"`
	Users           *Users           `json:"users,omitempty"`
	SidebarsByRef   *SidebarsByRef   `json:"sidebarsByRef,omitempty"`
	SidebarsByVal   *SidebarsByVal   `json:"sidebarsByVal,omitempty"`
	Ext             *ConferenceExt   `json:"ext,omitempty"`
}

// Description is conference-description (section 5.2). Atomic.
type Description struct {
	DisplayText      string                    `json:"displayText,omitempty"`
	Subject          string                    `json:"subject,omitempty"`
	FreeText         string                    `json:"freeText,omitempty"`
	Keywords         []string                  `json:"keywords,omitempty"`
	ConfURIs         []URIEntry                `json:"confUris,omitempty"`
	ServiceURIs      []URIEntry                `json:"serviceUris,omitempty"`
	MaximumUserCount *uint32                   `json:"maximumUserCount,omitempty"`
	AvailableMedia   map[string]AvailableMedia `json:"availableMedia,omitempty"` // by label
}

// AvailableMedia is an entry of available-media, keyed by label.
type AvailableMedia struct {
	DisplayText string `json:"displayText,omitempty"`
	Type        string `json:"type"`
	Status      string `json:"status,omitempty"`
}

// URIEntry is an entry of a list of URIs.
type URIEntry struct {
	URI         string     `json:"uri,omitempty"`
	DisplayText string     `json:"displayText,omitempty"`
	Purpose     string     `json:"purpose,omitempty"`
	Modified    *Execution `json:"modified,omitempty"`
}

// Execution says when, why and by whom something was done.
type Execution struct {
	When   string `json:"when,omitempty"`
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"`
}

// Host is host-info (section 5.3). Atomic.
type Host struct {
	DisplayText string     `json:"displayText,omitempty"`
	WebPage     string     `json:"webPage,omitempty"`
	URIs        []URIEntry `json:"uris,omitempty"`
}

// ConferenceState is conference-state (section 5.4). Atomic: a member left out
// is erased.
type ConferenceState struct {
	UserCount *uint32 `json:"userCount,omitempty"`
	Active    *bool   `json:"active,omitempty"`
	Locked    *bool   `json:"locked,omitempty"`
}

// Users is the roster (section 5.5), by user entity.
type Users struct {
	State State            `json:"state"`
	User  map[string]*User `json:"user,omitempty"`
}

// User is a person (section 5.6).
type User struct {
	State          State                `json:"state"`
	DisplayText    string               `json:"displayText,omitempty"`
	AssociatedAORs []URIEntry           `json:"associatedAors,omitempty"`
	Roles          []string             `json:"roles,omitempty"`
	Languages      []string             `json:"languages,omitempty"`
	CascadedFocus  string               `json:"cascadedFocus,omitempty"`
	Endpoint       map[string]*Endpoint `json:"endpoint,omitempty"`
	Ext            *UserExt             `json:"ext,omitempty"`
}

// Endpoint is a device (section 5.7).
type Endpoint struct {
	State               State            `json:"state"`
	DisplayText         string           `json:"displayText,omitempty"`
	Referred            *Execution       `json:"referred,omitempty"`
	Status              string           `json:"status,omitempty"`
	JoiningMethod       string           `json:"joiningMethod,omitempty"`
	JoiningInfo         *Execution       `json:"joiningInfo,omitempty"`
	DisconnectionMethod string           `json:"disconnectionMethod,omitempty"`
	DisconnectionInfo   *Execution       `json:"disconnectionInfo,omitempty"`
	Media               map[string]Media `json:"media,omitempty"`
	CallInfo            *CallInfo        `json:"callInfo,omitempty"`
	Ext                 *EndpointExt     `json:"ext,omitempty"`
}

// CallInfo is call-info with a SIP dialog (section 5.9). Atomic.
type CallInfo struct {
	DisplayText string `json:"displayText,omitempty"`
	CallID      string `json:"callId"`
	FromTag     string `json:"fromTag"`
	ToTag       string `json:"toTag"`
}

// Media is one stream between the focus and an endpoint (section 5.8). Atomic
// under its id, which is the track's name for a published source and
// "recv-<label>" for a row that only receives.
type Media struct {
	DisplayText string   `json:"displayText,omitempty"`
	Type        string   `json:"type,omitempty"`
	Label       string   `json:"label,omitempty"`
	SrcID       string   `json:"srcId,omitempty"`
	Status      string   `json:"status,omitempty"`
	Ext         MediaExt `json:"ext,omitzero"`
}

// SidebarsByRef lists sidebars by URI (section 5.9.1), which is not repeated
// inside the entries.
type SidebarsByRef struct {
	State State               `json:"state"`
	Entry map[string]URIEntry `json:"entry,omitempty"`
}

// SidebarsByVal holds sidebars as whole conferences, by entity.
type SidebarsByVal struct {
	State State                `json:"state"`
	Entry map[string]*Document `json:"entry,omitempty"`
}

// The Ext types hold foreign-namespace members, one JSON member a name space.
// Their content is embedded, so that it reads as if it were the element's own.

// ConferenceExt is the root's extension.
type ConferenceExt struct {
	ConferenceMembers `json:"urn:parley:conference-info:1"`
}

// ConferenceMembers are our members of the root. Rev is the conference's
// revision of the last visible change, good for preconditions.
type ConferenceMembers struct {
	Rev        uint64      `json:"rev"`
	Policy     *api.Policy `json:"policy,omitempty"`
	Muted      []string    `json:"muted,omitempty"` // media whose new tracks start muted: audio, video
	Floors     []Floor     `json:"floors,omitempty"`
	LobbyCount int         `json:"lobbyCount,omitempty"` // to moderators
	Layout     *Layout     `json:"layout,omitempty"`
	Recording  *Recording  `json:"recording,omitempty"`
	Intent     string      `json:"intent,omitempty"` // ring, prompt, room
	Main       string      `json:"main,omitempty"`   // URI of the main conference of a sidebar
	Topology   *Topology   `json:"topology,omitempty"`
	// Self is spliced in by the notifier: it differs within a class of view.
	Self *Self `json:"self,omitempty"`
}

// UserExt is a user's extension.
type UserExt struct {
	UserMembers `json:"urn:parley:conference-info:1"`
}

// UserMembers are our members of a user.
type UserMembers struct {
	Part     string `json:"part,omitempty"`
	Hand     *Hand  `json:"hand,omitempty"`
	Presence *Mood  `json:"presence,omitempty"`
	Consent  *bool  `json:"consent,omitempty"` // to being recorded
}

// EndpointExt is an endpoint's extension.
type EndpointExt struct {
	EndpointMembers `json:"urn:parley:conference-info:1"`
}

// EndpointMembers are our members of an endpoint.
type EndpointMembers struct {
	Reachability string            `json:"reachability,omitempty"` // ok, suspended
	Kind         string            `json:"kind,omitempty"`
	Inputs       []api.DeviceInput `json:"inputs,omitempty"`
	Active       map[string]string `json:"active,omitempty"`   // kind of input → id of the one in use
	Away         string            `json:"away,omitempty"`     // URI of the conference its media is in
	Manner       string            `json:"manner,omitempty"`   // how its media flows: direct, sfu, mixer, ...
	Topology     *Topology         `json:"topology,omitempty"` // its own, when one was chosen for it
	E2EE         *api.E2EEKeys     `json:"e2ee,omitempty"`     // its public keys, in an encrypted conference
}

// MediaExt is a media row's extension.
type MediaExt struct {
	MediaMembers `json:"urn:parley:conference-info:1"`
}

// MediaMembers are our members of a media row.
type MediaMembers struct {
	MutedBy string `json:"mutedBy,omitempty"` // self, focus, both
	Source  string `json:"source,omitempty"`  // camera, microphone, screen, screenAudio
	Stream  string `json:"stream,omitempty"`  // msid stream of the receivers' sections
}
