package control

import (
	"slices"

	"parley/api"
	"parley/internal/conference/model"
)

// devices is who is in the conference and with what.
type devices struct{ m *Machine }

func leave(m *Machine, t *turn, p api.LeaveParams) (any, error) {
	d := t.dev
	if d == nil {
		return already(), nil
	}
	if !validText(p.Reason, maxWhy) {
		return nil, errBadParams("reason")
	}
	m.devices.gone(t, d, model.Departed, p.Reason, "")
	return done(), nil
}

// gone is the only place where a device leaves the conference: its tracks and
// subscriptions end, its transport closes, its row lingers.
func (x *devices) gone(t *turn, d *model.Device, how model.Departure, why, by string) {
	if !d.Status.Live() {
		return
	}
	if d.Part.State == model.Lobby {
		x.m.lobby.left(t, d, how, why)
		return
	}
	for _, s := range slices.Clone(d.Media) {
		x.m.media.close(t, s, cause(how, why))
	}
	x.drop(t, d, how, why, by)
	x.m.peers.gone(t, d, cause(how, why))
	x.m.branches.gone(t, d, how, why, by)
	x.participantGone(t, d.Part, how, why, by)
}

// drop ends the device itself.
func (x *devices) drop(t *turn, d *model.Device, how model.Departure, why, by string) {
	delete(x.m.bySession, d.Session)
	x.m.topo.leaves(d)
	d.Status, d.Gone, d.GoneWhy, d.GoneBy, d.LeftAt = model.Disconnected, how, why, by, t.now
	t.touch(d.Part)
	x.m.at(t.now.Add(x.m.cfg.Policy.Linger), func(t *turn) { x.forget(t, d) })
}

// putOut ends a device from the conference's side and its session with it.
func (x *devices) putOut(t *turn, d *model.Device, why, by string) {
	s := d.Session
	x.gone(t, d, model.Booted, why, by)
	t.effect(SayGoodbye{s, api.Goodbye{Kind: "goodbye", Action: "disconnect", Reason: why}})
}

// participantGone ends the participant when its last device has gone.
func (x *devices) participantGone(t *turn, p *model.Participant, how model.Departure, why, by string) {
	if p.State != model.Joined || p.Live() {
		return
	}
	p.State, p.LeftAt = model.Left, t.now
	x.m.users--
	t.event("participant.left", map[string]any{
		"part": p.ID, "user": p.User, "method": how, "reason": why,
	})
	t.out.Events[len(t.out.Events)-1].By = by
	x.m.hands.lower(t, p)
	x.m.floors.gone(t, p)
	x.m.moods.forget(p)
	x.m.chat.forget(p)
	switch {
	case x.m.users > 0 || x.m.finishing:
	case x.m.conf.Phase == model.Active:
		x.m.watchEmpty(t)
	case x.m.conf.Phase == model.Ending: // nobody is left to wait for
		x.m.finish(t, "ended")
	}
}

// forget removes the lingering row of a device, and the participant's with the
// last one. A device that came back is another object and stays.
func (x *devices) forget(t *turn, d *model.Device) {
	p := d.Part
	if p.Devices[d.ID] != d || d.Status.Live() {
		return
	}
	delete(p.Devices, d.ID)
	if len(p.Devices) == 0 && x.m.conf.Participants[p.User] == p {
		delete(x.m.conf.Participants, p.User)
	}
	t.touch(p)
}

// close ends a media session with all it carries.
func (x *mediaSessions) close(t *turn, s *model.MediaSession, reason string) {
	if s.State == model.SessionClosed {
		return
	}
	for _, sub := range x.m.subs.of(s.ID) {
		x.m.subs.drop(t, sub)
	}
	for _, k := range x.m.tracks.of(s.ID) {
		x.m.tracks.end(t, k, reason)
	}
	s.State, s.Link = model.SessionClosed, model.LinkClosed
	delete(x.m.conf.Media, s.ID)
	s.Device.Media = slices.DeleteFunc(s.Device.Media, func(o *model.MediaSession) bool { return o == s })
	t.effect(CloseMedia{s.ID, s.Conn, reason})
}

// retire closes the media of a replaced load once nobody needs it any more.
func (x *mediaSessions) retire(t *turn, s *model.MediaSession, reason string) {
	if s.Retiring != 0 && s.State != model.SessionClosed {
		x.close(t, s, reason)
		t.touch(s.Device.Part)
	}
}

func cause(how model.Departure, why string) string {
	if why != "" {
		return why
	}
	return string(how)
}

// live lists every live device in order of joining.
func (x *devices) live() []*model.Device {
	var out []*model.Device
	for _, p := range x.m.conf.Participants {
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
