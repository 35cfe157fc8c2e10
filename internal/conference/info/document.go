package info

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

// Document is the root, conference-info (section 5.1). Version is per
// subscription and set by the notifier.
type Document struct {
	Entity          string           `json:"entity" xml:"entity,attr"`
	State           State            `json:"state" xml:"state,attr,omitempty"`
	Version         uint32           `json:"version" xml:"version,attr"`
	Description     *Description     `json:"conferenceDescription,omitempty" xml:"conference-description"`
	Host            *Host            `json:"hostInfo,omitempty" xml:"host-info"`
	ConferenceState *ConferenceState `json:"conferenceState,omitempty" xml:"conference-state"`
	Users           *Users           `json:"users,omitempty" xml:"-"`
	SidebarsByRef   *SidebarsByRef   `json:"sidebarsByRef,omitempty" xml:"-"`
	SidebarsByVal   *SidebarsByVal   `json:"sidebarsByVal,omitempty" xml:"-"`
	Ext             *ConferenceExt   `json:"ext,omitempty" xml:"-"`
}

// Description is conference-description (section 5.2). Atomic.
type Description struct {
	DisplayText      string                    `json:"displayText,omitempty" xml:"display-text,omitempty"`
	Subject          string                    `json:"subject,omitempty" xml:"subject,omitempty"`
	FreeText         string                    `json:"freeText,omitempty" xml:"free-text,omitempty"`
	Keywords         []string                  `json:"keywords,omitempty" xml:"-"`
	ConfURIs         []URIEntry                `json:"confUris,omitempty" xml:"conf-uris>entry"`
	ServiceURIs      []URIEntry                `json:"serviceUris,omitempty" xml:"service-uris>entry"`
	MaximumUserCount uint32                    `json:"maximumUserCount,omitempty" xml:"maximum-user-count,omitempty"`
	AvailableMedia   map[string]AvailableMedia `json:"availableMedia,omitempty" xml:"-"` // by label
}

// AvailableMedia is an entry of available-media, keyed by label.
type AvailableMedia struct {
	DisplayText string `json:"displayText,omitempty" xml:"display-text,omitempty"`
	Type        string `json:"type" xml:"type"`
	Status      string `json:"status,omitempty" xml:"status,omitempty"`
}

// URIEntry is an entry of a list of URIs.
type URIEntry struct {
	URI         string     `json:"uri" xml:"uri"`
	DisplayText string     `json:"displayText,omitempty" xml:"display-text,omitempty"`
	Purpose     string     `json:"purpose,omitempty" xml:"purpose,omitempty"`
	Modified    *Execution `json:"modified,omitempty" xml:"modified"`
}

// Execution says when, why and by whom something was done.
type Execution struct {
	When   string `json:"when,omitempty" xml:"when,omitempty"`
	Reason string `json:"reason,omitempty" xml:"reason,omitempty"`
	By     string `json:"by,omitempty" xml:"by,omitempty"`
}

// Host is host-info (section 5.3). Atomic.
type Host struct {
	DisplayText string     `json:"displayText,omitempty" xml:"display-text,omitempty"`
	WebPage     string     `json:"webPage,omitempty" xml:"web-page,omitempty"`
	URIs        []URIEntry `json:"uris,omitempty" xml:"uris>entry"`
}

// ConferenceState is conference-state (section 5.4). Atomic: a member left out
// is erased.
type ConferenceState struct {
	UserCount *uint32 `json:"userCount,omitempty" xml:"user-count"`
	Active    *bool   `json:"active,omitempty" xml:"active"`
	Locked    *bool   `json:"locked,omitempty" xml:"locked"`
}

// Users is the roster (section 5.5), by user entity.
type Users struct {
	State State            `json:"state"`
	User  map[string]*User `json:"user,omitempty"`
}

// User is a person (section 5.6).
type User struct {
	State          State                `json:"state" xml:"state,attr,omitempty"`
	DisplayText    string               `json:"displayText,omitempty" xml:"display-text,omitempty"`
	AssociatedAORs []URIEntry           `json:"associatedAors,omitempty" xml:"associated-aors>entry"`
	Roles          []string             `json:"roles,omitempty" xml:"roles>entry"`
	Languages      []string             `json:"languages,omitempty" xml:"-"`
	CascadedFocus  string               `json:"cascadedFocus,omitempty" xml:"cascaded-focus,omitempty"`
	Endpoint       map[string]*Endpoint `json:"endpoint,omitempty" xml:"-"`
	Ext            *UserExt             `json:"ext,omitempty" xml:"-"`
}

// Endpoint is a device (section 5.7).
type Endpoint struct {
	State               State            `json:"state" xml:"state,attr,omitempty"`
	DisplayText         string           `json:"displayText,omitempty" xml:"display-text,omitempty"`
	Referred            *Execution       `json:"referred,omitempty" xml:"referred"`
	Status              string           `json:"status,omitempty" xml:"status,omitempty"`
	JoiningMethod       string           `json:"joiningMethod,omitempty" xml:"joining-method,omitempty"`
	JoiningInfo         *Execution       `json:"joiningInfo,omitempty" xml:"joining-info"`
	DisconnectionMethod string           `json:"disconnectionMethod,omitempty" xml:"disconnection-method,omitempty"`
	DisconnectionInfo   *Execution       `json:"disconnectionInfo,omitempty" xml:"disconnection-info"`
	Media               map[string]Media `json:"media,omitempty" xml:"-"`
	CallInfo            *CallInfo        `json:"callInfo,omitempty" xml:"call-info"`
	Ext                 *EndpointExt     `json:"ext,omitempty" xml:"-"`
}

// CallInfo is call-info with a SIP dialog (section 5.9). Atomic.
type CallInfo struct {
	DisplayText string `json:"displayText,omitempty" xml:"sip>display-text,omitempty"`
	CallID      string `json:"callId" xml:"sip>call-id"`
	FromTag     string `json:"fromTag" xml:"sip>from-tag"`
	ToTag       string `json:"toTag" xml:"sip>to-tag"`
}

// Media is one stream between the focus and an endpoint (section 5.8). Atomic
// under its id, which is the track's name for a published source and
// "recv-<label>" for a row that only receives.
type Media struct {
	DisplayText string   `json:"displayText,omitempty" xml:"display-text,omitempty"`
	Type        string   `json:"type,omitempty" xml:"type,omitempty"`
	Label       string   `json:"label,omitempty" xml:"label,omitempty"`
	SrcID       string   `json:"srcId,omitempty" xml:"src-id,omitempty"`
	Status      string   `json:"status,omitempty" xml:"status,omitempty"`
	Ext         MediaExt `json:"ext,omitzero" xml:"-"`
}

// SidebarsByRef lists sidebars by URI (section 5.9.1).
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
	Rev uint64 `json:"rev"`
}

// UserExt is a user's extension.
type UserExt struct {
	UserMembers `json:"urn:parley:conference-info:1"`
}

// UserMembers are our members of a user.
type UserMembers struct {
	Part string `json:"part,omitempty"`
}

// EndpointExt is an endpoint's extension.
type EndpointExt struct {
	EndpointMembers `json:"urn:parley:conference-info:1"`
}

// EndpointMembers are our members of an endpoint.
type EndpointMembers struct {
	Reachability string `json:"reachability,omitempty"` // ok, suspended
	Kind         string `json:"kind,omitempty"`
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
