package info

import "encoding/json"

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
	Ext             *ConferenceExt   `json:"-" xml:"-"`
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
	Ext            *UserExt             `json:"-" xml:"-"`
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
	Ext                 *EndpointExt     `json:"-" xml:"-"`
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
	Ext         MediaExt `json:"-" xml:"-"`
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

// ConferenceExt are our members of the root. Rev is the conference's revision
// of the last visible change, good for preconditions.
type ConferenceExt struct {
	Rev uint64 `json:"rev"`
}

// UserExt are our members of a user.
type UserExt struct {
	Part string `json:"part,omitempty"`
}

// EndpointExt are our members of an endpoint.
type EndpointExt struct {
	Reachability string `json:"reachability,omitempty"` // ok, suspended
	Kind         string `json:"kind,omitempty"`
}

// MediaExt are our members of a media row.
type MediaExt struct {
	MutedBy string `json:"mutedBy,omitempty"` // self, focus, both
	Source  string `json:"source,omitempty"`  // camera, microphone, screen, screenAudio
	Stream  string `json:"stream,omitempty"`  // msid stream of the receivers' sections
}

// ext wraps extension members under their name space, rule 5 of the mapping.
type ext[T any] struct {
	Parley *T `json:"urn:parley:conference-info:1,omitempty"`
}

func wrap[T comparable](v *T) *ext[T] {
	var zero T
	if v == nil || *v == zero {
		return nil
	}
	return &ext[T]{v}
}

func unwrap[T any](e *ext[T]) *T {
	if e == nil {
		return nil
	}
	return e.Parley
}

// The four types with extension members marshal by way of a twin without
// methods, with the members put under "ext".

type documentJSON Document

// MarshalJSON implements json.Marshaler.
func (d *Document) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		*documentJSON
		Ext *ext[ConferenceExt] `json:"ext,omitempty"`
	}{(*documentJSON)(d), wrap(d.Ext)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *Document) UnmarshalJSON(b []byte) error {
	x := struct {
		*documentJSON
		Ext *ext[ConferenceExt] `json:"ext"`
	}{documentJSON: (*documentJSON)(d)}
	err := json.Unmarshal(b, &x)
	d.Ext = unwrap(x.Ext)
	return err
}

type userJSON User

// MarshalJSON implements json.Marshaler.
func (u *User) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		*userJSON
		Ext *ext[UserExt] `json:"ext,omitempty"`
	}{(*userJSON)(u), wrap(u.Ext)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (u *User) UnmarshalJSON(b []byte) error {
	x := struct {
		*userJSON
		Ext *ext[UserExt] `json:"ext"`
	}{userJSON: (*userJSON)(u)}
	err := json.Unmarshal(b, &x)
	u.Ext = unwrap(x.Ext)
	return err
}

type endpointJSON Endpoint

// MarshalJSON implements json.Marshaler.
func (e *Endpoint) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		*endpointJSON
		Ext *ext[EndpointExt] `json:"ext,omitempty"`
	}{(*endpointJSON)(e), wrap(e.Ext)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *Endpoint) UnmarshalJSON(b []byte) error {
	x := struct {
		*endpointJSON
		Ext *ext[EndpointExt] `json:"ext"`
	}{endpointJSON: (*endpointJSON)(e)}
	err := json.Unmarshal(b, &x)
	e.Ext = unwrap(x.Ext)
	return err
}

type mediaJSON Media

// MarshalJSON implements json.Marshaler.
func (m Media) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		mediaJSON
		Ext *ext[MediaExt] `json:"ext,omitempty"`
	}{mediaJSON(m), wrap(&m.Ext)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Media) UnmarshalJSON(b []byte) error {
	x := struct {
		*mediaJSON
		Ext *ext[MediaExt] `json:"ext"`
	}{mediaJSON: (*mediaJSON)(m)}
	err := json.Unmarshal(b, &x)
	if e := unwrap(x.Ext); e != nil {
		m.Ext = *e
	}
	return err
}
