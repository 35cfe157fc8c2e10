package control

import (
	"maps"
	"slices"
	"strings"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
)

// What one device may say of itself; each is stored and shown to everyone.
const (
	maxInputs  = 32
	maxCodecs  = 32
	maxDevices = 16 // rows of one person, those that are only announced too
)

var inputKinds = []string{"audioinput", "videoinput", "audiooutput"}

// forwarded are the codecs that the server can forward at all.
var forwarded = map[string]bool{
	"opus": true, "red": true, "pcmu": true, "pcma": true, "g722": true,
	"vp8": true, "vp9": true, "h264": true, "h265": true, "av1": true,
}

func errNoDevice() error { return fault.New(404, "not-found", "no such device") }

// named finds a device of a user, live or not.
func (x *devices) named(user string, id ids.Device) *model.Device {
	if p := x.m.conf.Participants[user]; p != nil {
		return p.Devices[id]
	}
	return nil
}

// announced is what is known of a device that was announced before it came.
func announced(old *model.Device) model.Equipment {
	if old == nil || old.Status != model.Pending {
		return model.Equipment{}
	}
	return old.Equipment
}

// arrival tells the themes that a device has come in, for the first time or
// with a newer load.
func (m *Machine) arrival(t *turn, d *model.Device) {
	m.devices.answered(d)
	m.branches.arrived(t, d)
	m.recordings.newcomer(t, d)
}

// checkEquipment checks what a device says of itself.
func checkEquipment(p api.DeviceParams) error {
	switch {
	case p.Device != "" && !ids.ValidName(p.Device):
		return errBadParams("device")
	case !validText(p.Label, maxName):
		return errBadParams("label")
	case p.Kind != "" && !slices.Contains(kinds, p.Kind):
		return errBadParams("kind")
	case len(p.Inputs) > maxInputs || len(p.Codecs) > maxCodecs:
		return fault.New(413, "too-large", "too many inputs or codecs")
	}
	have := map[string]string{}
	for _, in := range p.Inputs {
		if !validText(in.ID, maxToken) || in.ID == "" || !validText(in.Label, maxName) || !slices.Contains(inputKinds, in.Kind) {
			return errBadParams("inputs")
		}
		have[in.Kind+" "+in.ID] = in.ID
	}
	for kind, id := range p.Active {
		if !slices.Contains(inputKinds, kind) || !validText(id, maxToken) {
			return errBadParams("active")
		}
		if id != "" && p.Inputs != nil && have[kind+" "+id] == "" {
			return errBadParams("active names an input that the device does not have")
		}
	}
	return checkCodecs(p.Codecs)
}

func checkCodecs(codecs []string) error {
	known := len(codecs) == 0
	for _, c := range codecs {
		if !validToken(c) {
			return errBadParams("codecs")
		}
		known = known || forwarded[strings.ToLower(c)]
	}
	if !known {
		return fault.New(415, "unsupported-media", "none of these codecs is forwarded here")
	}
	return nil
}

// addDevice announces another device of the caller, which joins by itself as
// the same person; its row is pending until then.
func addDevice(m *Machine, t *turn, p api.DeviceParams) (any, error) {
	part := t.dev.Part
	if err := checkEquipment(p); err != nil {
		return nil, err
	}
	old := part.Devices[ids.Device(p.Device)]
	switch {
	case p.Device == "":
		return nil, errBadParams("device")
	case old != nil && (old.Status.Live() || old.Status == model.Pending):
		return nil, errDuplicate()
	case m.cfg.Policy.SingleDevice:
		return nil, fault.New(409, "duplicate", "one device per person here")
	case len(part.Devices) >= maxDevices:
		return nil, fault.New(429, "too-many-devices", "at most %d devices of a person", maxDevices)
	}
	d := &model.Device{
		ID: ids.Device(p.Device), Part: part, Kind: p.Kind, Label: p.Label, Status: model.Pending,
		Reach: model.ReachOK, JoinedAt: t.now, Receives: map[string]int{},
	}
	d.Inputs, d.Active, d.Codecs = p.Inputs, p.Active, p.Codecs
	d.Referred = &model.Referral{By: part.User, When: t.now}
	part.Devices[d.ID] = d
	t.touch(part)
	t.event("device.added", map[string]any{"user": part.User, "device": d.ID, "kind": d.Kind, "label": d.Label})
	m.at(t.now.Add(inviteWait), func(t *turn) { m.devices.giveUp(t, d) })
	return done(), nil
}

// giveUp ends the wait for somebody who was expected and did not come.
func (x *devices) giveUp(t *turn, d *model.Device) {
	if d.Part.Devices[d.ID] != d || d.Status != model.Pending {
		return
	}
	x.failed(t, d, `SIP;cause=408;text="Did not come"`)
}

// failed ends a row that never was a device in the conference.
func (x *devices) failed(t *turn, d *model.Device, why string) {
	d.Status, d.Gone, d.GoneWhy, d.LeftAt = model.Disconnected, model.Failed, why, t.now
	t.touch(d.Part)
	x.m.at(t.now.Add(x.m.cfg.Policy.Linger), func(t *turn) { x.forget(t, d) })
	if p := d.Part; p.State == model.Invited && !slices.ContainsFunc(slices.Collect(maps.Values(p.Devices)), func(o *model.Device) bool {
		return o.Status != model.Disconnected
	}) {
		p.State, p.LeftAt = model.Left, t.now
	}
}

// updateDevice changes what a device of the caller says of itself: a name, the
// inputs it has, the ones in use, the codecs it can take.
func updateDevice(m *Machine, t *turn, p api.DeviceParams) (any, error) {
	if err := checkEquipment(p); err != nil {
		return nil, err
	}
	d := t.dev
	if p.Device != "" {
		d = t.dev.Part.Devices[ids.Device(p.Device)]
	}
	if d == nil || !d.Status.Live() {
		return nil, errNoDevice()
	}
	if err := t.fresh(d.Part.Rev); err != nil {
		return nil, err
	}
	lost := lostCodec(d.Codecs, p.Codecs)
	if !m.devices.describe(d, p) {
		return already(), nil
	}
	t.touch(d.Part)
	t.event("device.update", map[string]any{"user": d.Part.User, "device": d.ID, "label": d.Label, "active": d.Active})
	if lost && d.MS != "" {
		t.effect(AskOffer{d.MS, "codecs"})
	}
	return done(), nil
}

// describe puts what was said on a device and reports whether it was new. An
// active input that was unplugged is active no more.
func (x *devices) describe(d *model.Device, p api.DeviceParams) bool {
	was := d.Equipment
	label := d.Label
	if p.Label != "" {
		d.Label = p.Label
	}
	if p.Inputs != nil {
		d.Inputs = slices.Clone(p.Inputs)
	}
	d.Active = maps.Clone(was.Active)
	if d.Active == nil {
		d.Active = map[string]string{}
	}
	for kind, id := range p.Active {
		if d.Active[kind] = id; id == "" {
			delete(d.Active, kind)
		}
	}
	if p.Inputs != nil {
		maps.DeleteFunc(d.Active, func(kind, id string) bool {
			return !slices.ContainsFunc(d.Inputs, func(in api.DeviceInput) bool { return in.Kind == kind && in.ID == id })
		})
	}
	if len(d.Active) == 0 {
		d.Active = nil
	}
	if p.Codecs != nil {
		d.Codecs = slices.Clone(p.Codecs)
	}
	return label != d.Label || !slices.Equal(was.Inputs, d.Inputs) || !maps.Equal(was.Active, d.Active) || !slices.Equal(was.Codecs, d.Codecs)
}

// lostCodec reports whether something that could be taken cannot any more.
func lostCodec(old, now []string) bool {
	if now == nil {
		return false
	}
	if len(old) == 0 {
		return true // it had not said; what is missing now may have been in use
	}
	return slices.ContainsFunc(old, func(c string) bool { return !slices.Contains(now, c) })
}

// removeDevice takes a device out: one's own, or for moderators anybody's.
func removeDevice(m *Machine, t *turn, p api.DeviceParams) (any, error) {
	part, err := m.devices.whose(t, p)
	if err != nil {
		return nil, err
	}
	mine := t.dev != nil && part == t.dev.Part
	switch {
	case !mine && !moderates(t.power()):
		return nil, errNotModerator()
	case !mine && !t.mayPutOut(part):
		return nil, errForbidden()
	}
	d := part.Devices[ids.Device(p.Device)]
	switch {
	case d == nil || d.Status == model.Disconnected:
		return already(), nil
	case d.Status == model.Pending:
		m.devices.failed(t, d, "removed")
		d.Gone = model.Departed
		return done(), nil
	case mine:
		own := d == t.dev
		s := d.Session
		m.devices.gone(t, d, model.Departed, "removed", t.caller.By.Subject)
		if !own {
			t.effect(SayGoodbye{s, api.Goodbye{Kind: "goodbye", Action: "disconnect", Reason: "removed"}})
		}
		return done(), nil
	}
	s := d.Session
	m.devices.gone(t, d, model.Booted, "removed", t.caller.By.Subject)
	t.effect(SayGoodbye{s, api.Goodbye{Kind: "goodbye", Action: "disconnect", Reason: "removed"}})
	return done(), nil
}

// whose finds the person whose device is meant: a named one, the caller, or
// for moderators the only one with a device of that name.
func (x *devices) whose(t *turn, p api.DeviceParams) (*model.Participant, error) {
	if p.Part != "" {
		return x.part(p.Part)
	}
	if t.dev != nil && (p.Device == "" || t.dev.Part.Devices[ids.Device(p.Device)] != nil || !moderates(t.power())) {
		if p.Device == "" {
			return nil, errBadParams("device")
		}
		return t.dev.Part, nil
	}
	part, err := x.owner(ids.Device(p.Device))
	if fe := fault.From(err); err != nil && fe.Code == 404 && t.dev != nil {
		return t.dev.Part, nil // nobody has it: removed already
	}
	return part, err
}
