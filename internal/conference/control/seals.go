package control

import (
	"encoding/base64"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// seals is what end-to-end encryption means to control: who is let in, which
// public keys are shown, and messages that are passed on unread. Control never
// holds a key that opens anything (docs/e2ee.md).
type seals struct {
	m    *Machine
	sent map[*model.Device][]clock.Time // of the last second
}

const (
	// keyRate bounds the requests of a device. One goes out for each who comes or
	// leaves, and for each key that was missed.
	keyRate = 20

	pointBytes = 65 // uncompressed point of P-256
	sigBytes   = 64 // two numbers of P-256
)

func errSealed() error {
	return fault.New(409, "e2ee-fixed", "whether a conference is end-to-end encrypted is decided before it starts")
}

// E2EE reports whether media of the conference is encrypted end to end.
func (m *Machine) E2EE() bool { return m.cfg.Policy.E2EE }

// opaque are kinds of devices that are ends of nothing: what they get is stored
// or goes on in the clear.
var opaque = map[string]string{
	"recorder": "recorders are not let in", "sip": "phones are not let in", "rtp": "plain RTP is not let in",
	"focus": "other conferences are not let in",
}

// welcome checks the keys of a device that joins, and refuses one that cannot
// take part.
func (x *seals) welcome(t *turn, p api.JoinParams) error {
	if k := p.E2EE; k != nil && (!sized(k.Identity, pointBytes) || !sized(k.Key, pointBytes) || !sized(k.Sig, sigBytes)) {
		return errBadParams("e2ee")
	}
	if !x.m.cfg.Policy.E2EE {
		return nil
	}
	why := opaque[p.Kind]
	switch {
	case why != "":
	case opaque[t.caller.Dialect] != "":
		why = opaque[t.caller.Dialect]
	case p.Cascade != nil:
		why = opaque["focus"]
	case !p.Caps.E2EE || p.E2EE == nil:
		why = "this device cannot take part in it"
	}
	if why != "" {
		return policy.ErrEncrypted(403, why)
	}
	d := x.holder(p.E2EE.Key)
	if d != nil && (d.Part.User != t.caller.By.Subject || string(d.ID) != p.Device) {
		return fault.New(409, "conflict", "another device has this key") // its messages would come here
	}
	return nil
}

// sized reports whether s is base64url of n bytes, in the one form that it has.
func sized(s string, n int) bool {
	if len(s) != base64.RawURLEncoding.EncodedLen(n) {
		return false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == n
}

// arrives notes the keys of a device that has come in.
func (x *seals) arrives(d *model.Device, p api.JoinParams) {
	d.Keys = api.E2EEKeys{}
	if x.m.cfg.Policy.E2EE && p.E2EE != nil {
		d.Keys = *p.E2EE
	}
}

// start makes a conference that begins now an encrypted one.
func (x *seals) start(t *turn) {
	on := true
	x.m.cfg.Policy.E2EE = on
	if !policy.Blind(x.m.cfg.Policy.Topology) {
		x.m.cfg.Policy.Topology, x.m.cfg.Policy.AllowDiscouraged = "", false
	}
	x.m.conf.Conditions = x.m.cfg.Policy.API()
	t.effect(Remember{Policy: &api.Policy{E2EE: &on}})
}

// holder finds the live device with a key; nil: nobody's.
func (x *seals) holder(key string) *model.Device {
	for _, d := range x.m.bySession {
		if d.Keys.Key == key && d.Status.Live() {
			return d
		}
	}
	return nil
}

// sendKeys passes messages on to the devices they are for. They say nothing
// about the conference, so they make no revision.
func sendKeys(m *Machine, t *turn, p api.E2EESendParams) (any, error) {
	x := &m.seals
	switch {
	case !m.cfg.Policy.E2EE || t.dev.Keys.Key == "":
		return nil, fault.New(409, "conflict", "this conference is not end-to-end encrypted")
	case len(p.Messages) == 0:
		return nil, errBadParams("messages")
	case len(p.Messages) > api.MaxE2EEMessages:
		return nil, fault.New(413, "too-large", "at most %d messages at a time", api.MaxE2EEMessages)
	}
	for _, s := range p.Messages {
		if len(s.Body) > api.MaxE2EEBody {
			return nil, fault.New(413, "too-large", "at most %d bytes in a message", api.MaxE2EEBody)
		}
		if _, err := base64.RawURLEncoding.DecodeString(s.Body); err != nil || s.Body == "" || !sized(s.To, pointBytes) {
			return nil, errBadParams("messages")
		}
	}
	if err := x.pace(t.now, t.dev); err != nil {
		return nil, err
	}
	return x.pass(t, p), nil
}

func (x *seals) pass(t *turn, p api.E2EESendParams) api.E2EESent {
	to := map[string]ids.Session{}
	for _, d := range x.m.bySession {
		if d.Keys.Key != "" && d.Part.State == model.Joined && d.Status.Live() && d != t.dev {
			to[d.Keys.Key] = d.Session
		}
	}
	var out api.E2EESent
	for _, s := range p.Messages {
		session, here := to[s.To]
		if !here {
			out.Gone = append(out.Gone, s.To)
			continue
		}
		out.Sent++
		t.out.Events = append(t.out.Events, Event{
			Name: api.E2EEReceived, To: session, Fields: map[string]any{"from": t.dev.Keys.Key, "body": s.Body},
		})
	}
	return out
}

func (x *seals) pace(now clock.Time, d *model.Device) error {
	if x.sent == nil {
		x.sent = map[*model.Device][]clock.Time{}
	}
	var recent []clock.Time
	for _, at := range x.sent[d] {
		if now.Sub(at) < time.Second {
			recent = append(recent, at)
		}
	}
	if len(recent) >= keyRate {
		x.sent[d] = recent
		e := fault.New(429, "too-many", "at most %d requests a second", keyRate)
		e.RetryAfter = time.Second - now.Sub(recent[0])
		return e
	}
	x.sent[d] = append(recent, now)
	return nil
}

// forget drops what is kept of a device that goes.
func (x *seals) forget(d *model.Device) {
	delete(x.sent, d)
	d.Keys = api.E2EEKeys{}
}
