package control

import (
	"slices"

	"parley/api"
	"parley/internal/conference/model"
)

func leave(m *Machine, t *turn, p api.LeaveParams) (any, error) {
	d := t.dev
	if d == nil {
		return already(), nil
	}
	if !validText(p.Reason, maxWhy) {
		return nil, errBadParams("reason")
	}
	m.deviceGone(t, d, model.Departed, p.Reason, "")
	return done(), nil
}

// deviceGone is the only place where a device leaves the conference: its
// tracks and subscriptions end, its transport closes, its row lingers.
func (m *Machine) deviceGone(t *turn, d *model.Device, how model.Departure, why, by string) {
	if !d.Status.Live() {
		return
	}
	for _, s := range slices.Clone(d.Media) {
		m.closeMedia(t, s, cause(how, why))
	}
	delete(m.bySession, d.Session)
	d.Status, d.Gone, d.GoneWhy, d.GoneBy, d.LeftAt = model.Disconnected, how, why, by, t.now
	t.touch(d.Part)
	m.at(t.now.Add(m.cfg.Policy.Linger), func(t *turn) { m.forget(t, d) })
	m.participantGone(t, d.Part, how, why, by)
}

// participantGone ends the participant when its last device has gone.
func (m *Machine) participantGone(t *turn, p *model.Participant, how model.Departure, why, by string) {
	if p.State != model.Joined || p.Live() {
		return
	}
	p.State, p.LeftAt = model.Left, t.now
	m.users--
	t.event("participant.left", map[string]any{
		"part": p.ID, "user": p.User, "method": how, "reason": why,
	})
	t.out.Events[len(t.out.Events)-1].By = by
	switch {
	case m.users > 0 || m.finishing:
	case m.conf.Phase == model.Active:
		m.watchEmpty(t)
	case m.conf.Phase == model.Ending: // nobody is left to wait for
		m.finish(t, "ended")
	}
}

// forget removes the lingering row of a device, and the participant's with the
// last one. A device that came back is another object and stays.
func (m *Machine) forget(t *turn, d *model.Device) {
	p := d.Part
	if p.Devices[d.ID] != d || d.Status.Live() {
		return
	}
	delete(p.Devices, d.ID)
	if len(p.Devices) == 0 && m.conf.Participants[p.User] == p {
		delete(m.conf.Participants, p.User)
	}
	t.touch(p)
}

// closeMedia ends a media session with all it carries.
func (m *Machine) closeMedia(t *turn, s *model.MediaSession, reason string) {
	if s.State == model.SessionClosed {
		return
	}
	for _, sub := range m.subsOf(s.ID) {
		m.dropSub(t, sub)
	}
	for _, k := range m.tracksOf(s.ID) {
		m.endTrack(t, k, reason)
	}
	s.State, s.Link = model.SessionClosed, model.LinkClosed
	delete(m.conf.Media, s.ID)
	s.Device.Media = slices.DeleteFunc(s.Device.Media, func(o *model.MediaSession) bool { return o == s })
	t.effect(CloseMedia{s.ID, s.Conn, reason})
}

// retire closes the media of a replaced load once nobody needs it any more.
func (m *Machine) retire(t *turn, s *model.MediaSession, reason string) {
	if s.Retiring != 0 && s.State != model.SessionClosed {
		m.closeMedia(t, s, reason)
		t.touch(s.Device.Part)
	}
}

func cause(how model.Departure, why string) string {
	if why != "" {
		return why
	}
	return string(how)
}

// liveDevices lists every live device in order of joining.
func (m *Machine) liveDevices() []*model.Device {
	var out []*model.Device
	for _, p := range m.conf.Participants {
		for _, d := range p.Devices {
			if d.Status.Live() {
				out = append(out, d)
			}
		}
	}
	slices.SortFunc(out, func(a, b *model.Device) int {
		if a.Part != b.Part {
			return int(a.Part.Order) - int(b.Part.Order)
		}
		return compare(string(a.ID), string(b.ID))
	})
	return out
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
