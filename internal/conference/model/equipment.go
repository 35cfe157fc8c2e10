package model

import (
	"parley/api"
	"parley/internal/base/clock"
)

// Equipment is what a device told of itself beyond its name, and how it came.
type Equipment struct {
	Inputs    []api.DeviceInput // cameras, microphones and speakers it has
	Active    map[string]string // kind → id of the one in use
	Codecs    []string          // it can take; empty: it did not say
	Layout    Layout            // how it wants the conference arranged for itself
	Referred  *Referral         // who had it brought in; nil: nobody
	MovedBy   string            // user entity that moved it here from another conference
	DialedOut bool              // the focus called it
	Keys      api.E2EEKeys      // public ones, in an encrypted conference
}

// Referral is who asked a person in, and when (RFC 4575, section 5.7.1).
type Referral struct {
	By   string // user entity
	When clock.Time
}

// Layout is an arrangement of the conference's video.
type Layout struct {
	Mode string   // of RFC 6501, or grid, speaker; empty: none was set
	Pins []string // tracks or participants that stay in sight, first the most
	By   string   // user entity
}
