package model

import (
	"parley/api"
	"parley/internal/base/clock"
)

// RecordingState is a recording's life: idle → starting → running ⇄ paused →
// stopping → stored or failed.
type RecordingState string

// States of a recording.
const (
	RecIdle     RecordingState = "" // none was ever wanted
	RecStarting RecordingState = "starting"
	RecRunning  RecordingState = "running"
	RecPaused   RecordingState = "paused"
	RecStopping RecordingState = "stopping"
	RecStored   RecordingState = "stored"
	RecFailed   RecordingState = "failed"
)

// On reports whether people are, or are about to be, recorded.
func (s RecordingState) On() bool {
	return s == RecStarting || s == RecRunning || s == RecPaused || s == RecStopping
}

// Recording is the one recording of a conference.
type Recording struct {
	State   RecordingState
	By      string // user entity
	Since   clock.Time
	Ask     bool            // consent is asked for, one by one
	Told    bool            // the recorder was told to start
	Consent map[string]bool // answers by user entity
	Wanted  api.RecordingParams
	URL     string // where it is stored
	Reason  string // why it failed
}

// Excluded reports whether a person's media must stay out of the recording.
func (r *Recording) Excluded(user string) bool { return r.Ask && !r.Consent[user] }
