package control

import (
	"time"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// RecordingChanged is the fact that the recorder has come on.
const RecordingChanged = "recording.changed"

// Recorded are the parameters of RecordingChanged.
type Recorded struct {
	State  model.RecordingState // running, paused, stored, failed
	URL    string
	Reason string
}

// consentWait is how long a recording waits for those who do not answer; then
// it starts without their media.
const consentWait = 15 * time.Second

// Record tells the recorder to start, to change whom it leaves out, or to stop.
type Record struct {
	On      bool
	Layout  string
	Tracks  []string
	Exclude []string // user entities whose media must not be stored
}

func (Record) effect() {}

// startRecording begins with telling everybody. Nothing is stored before that,
// nor, when consent is asked for, before everybody has answered or their time
// is over.
func startRecording(m *Machine, t *turn, p api.RecordingParams) (any, error) {
	r := &m.conf.Recording
	switch {
	case len(p.Layout) > 64 || len(p.Tracks) > m.cfg.Policy.MaxSubs:
		return nil, errBadParams("layout or tracks")
	case m.cfg.Policy.E2EE:
		return nil, policy.ErrEncrypted(409, "the server has no keys to record with")
	case r.State.On():
		return nil, fault.New(409, "conflict", "a recording is running")
	case !m.cfg.Recorder:
		return nil, fault.New(503, "not-available-yet", "this server has no recorder")
	}
	for _, k := range p.Tracks {
		if m.conf.Tracks[ids.Track(k)] == nil {
			return nil, errNoTrack()
		}
	}
	*r = model.Recording{
		State: model.RecStarting, By: t.caller.By.Subject, Since: t.now, Ask: p.Consent, Wanted: p,
		Consent: map[string]bool{},
	}
	if t.dev != nil {
		r.Consent[t.dev.Part.User] = true // who asks for it agrees to it
	}
	m.recordings.tell(t)
	wait := consentWait
	if !r.Ask || m.recordings.allAnswered() {
		wait = 0 // after this turn, whose events tell everybody
	}
	since := r.Since
	m.at(t.now.Add(wait), func(t *turn) {
		if r.State == model.RecStarting && r.Since == since && !r.Told {
			m.recordings.record(t)
		}
	})
	return m.recordings.result(), nil
}

// recordings is the recording of a conference and who agreed to it.
type recordings struct{ m *Machine }

// record starts the recorder, or tells it whom to leave out from now on.
func (x *recordings) record(t *turn) {
	r := &x.m.conf.Recording
	e := Record{On: true, Layout: r.Wanted.Layout, Tracks: r.Wanted.Tracks}
	for _, d := range x.m.devices.live() {
		if u := d.Part.User; r.Excluded(u) && (len(e.Exclude) == 0 || e.Exclude[len(e.Exclude)-1] != u) {
			e.Exclude = append(e.Exclude, u)
		}
	}
	r.Told = true
	t.effect(e)
}

func (x *recordings) allAnswered() bool {
	for _, d := range x.m.devices.live() {
		if _, ok := x.m.conf.Recording.Consent[d.Part.User]; !ok {
			return false
		}
	}
	return true
}

// consent is a person's answer, which may be given, and changed, at any time.
func consent(m *Machine, t *turn, p api.ConsentParams) (any, error) {
	r := &m.conf.Recording
	user := t.dev.Part.User
	if !r.State.On() || !r.Ask {
		return nil, fault.New(409, "bad-state", "nobody asks for consent")
	}
	if was, ok := r.Consent[user]; ok && was == p.Consent {
		return already(), nil
	}
	r.Consent[user] = p.Consent
	t.touch(t.dev.Part)
	if r.Told || m.recordings.allAnswered() {
		m.recordings.record(t)
	}
	return done(), nil
}

// newcomer keeps a running recording true for one who has just come: without
// consent their media stays out, and they are told.
func (x *recordings) newcomer(t *turn, d *model.Device) {
	r := &x.m.conf.Recording
	if !r.State.On() {
		return
	}
	t.tell(d.Session, "recording.state", x.fields())
	if _, ok := r.Consent[d.Part.User]; r.Ask && !ok && r.Told {
		x.record(t)
	}
}

func stopRecording(m *Machine, t *turn, _ api.RecordingParams) (any, error) {
	r := &m.conf.Recording
	switch {
	case !r.State.On() || r.State == model.RecStopping:
		return already(), nil
	case r.State == model.RecStarting: // nothing is stored, so there is nothing to finish
		r.State, r.Reason = model.RecFailed, "cancelled"
	default:
		r.State = model.RecStopping
	}
	t.effect(Record{})
	m.recordings.tell(t)
	return m.recordings.result(), nil
}

func recordingChanged(m *Machine, t *turn, p Recorded) (any, error) {
	r := &m.conf.Recording
	if r.State == p.State || !model.Allowed(model.LifeRecording, string(r.State), string(p.State)) {
		return already(), nil
	}
	r.State, r.Reason = p.State, p.Reason
	if p.State == model.RecStored {
		r.URL = p.URL
	}
	m.recordings.tell(t)
	return done(), nil
}

func (x *recordings) tell(t *turn) {
	for user := range x.m.conf.Recording.Consent { // their rows show the answer while it matters
		if p := x.m.conf.Participants[user]; p != nil {
			t.touch(p)
		}
	}
	x.m.topo.changed("recording")
	t.event("recording.state", x.fields())
}

func (x *recordings) fields() map[string]any {
	r := &x.m.conf.Recording
	f := map[string]any{"state": r.State, "ask": r.Ask}
	if r.URL != "" {
		f["url"] = r.URL
	}
	if r.Reason != "" {
		f["reason"] = r.Reason
	}
	return f
}

func (x *recordings) result() api.RecordingResult {
	r := &x.m.conf.Recording
	return api.RecordingResult{State: string(r.State), Ask: r.Ask, URL: r.URL, Reason: r.Reason}
}
