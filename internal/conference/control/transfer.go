package control

import (
	"strings"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
)

// Destination is what the machine's owner knows of the conference that a
// transfer names, when it is none of this one's sidebars.
type Destination struct {
	model.Place
	Active bool // else it has ended
}

// transfer moves a person or a device to a sidebar, to another conference, or
// back here from either.
func transfer(m *Machine, t *turn, p api.TransferParams) (any, error) {
	devs, err := m.branches.targets(t, p)
	if err != nil {
		return nil, err
	}
	c, x := m.conf, &m.branches
	if p.To == string(c.ID) || p.To == c.URI {
		return x.bringBack(t, devs)
	}
	if c.Main != nil && (p.To == string(c.Main.ID) || p.To == c.Main.URI) {
		for _, d := range devs {
			m.devices.gone(t, d, model.Departed, "transferred", t.caller.By.Subject)
		}
		return transferred(devs, nil), nil
	}
	s := x.find(p.To)
	if s == nil && x.ended.set[p.To] {
		return nil, fault.New(410, "gone", "the sidebar has ended")
	}
	if s != nil {
		return x.toSidebar(t, devs, s)
	}
	if err := checkDestination(t, p.To); err != nil {
		return nil, err
	}
	return x.toConference(t, devs, p.Keep)
}

func checkDestination(t *turn, to string) error {
	switch {
	case strings.HasPrefix(to, "sip:") || strings.HasPrefix(to, "sips:") || strings.HasPrefix(to, "tel:"):
		return fault.New(502, "not-available-yet", "no gateway to other networks")
	case t.dest == nil:
		return fault.New(404, "not-found", "no such destination")
	case !t.dest.Active:
		return fault.New(410, "gone", "the destination has ended")
	}
	return nil
}

// targets are the devices to be moved. Everybody moves their own; moderators
// move others.
func (x *branches) targets(t *turn, p api.TransferParams) ([]*model.Device, error) {
	var part *model.Participant
	switch {
	case p.Part != "":
		part, _ = x.m.devices.part(p.Part)
	case t.dev != nil:
		part = t.dev.Part
	}
	mine := t.dev != nil && part == t.dev.Part
	switch {
	case p.To == "" || len(p.To) > maxWhy:
		return nil, errBadParams("to")
	case part != nil && part.State == model.Lobby:
		return nil, fault.New(404, "not-found", "no such participant")
	case !mine && !moderates(t.power()):
		return nil, errNotModerator()
	case part == nil || !part.Live():
		return nil, fault.New(404, "not-found", "no such participant")
	}
	var out []*model.Device
	only := ids.Device(p.Dev)
	if mine && p.Part == "" && only == "" {
		only = t.dev.ID // the caller's own, not all of the person's
	}
	for _, d := range x.m.devices.live() {
		if d.Part == part && (only == "" || d.ID == only) && movable(d) {
			out = append(out, d)
		}
	}
	if len(out) == 0 {
		return nil, fault.New(480, "unavailable", "no device that can be moved")
	}
	return out, nil
}

func (x *branches) bringBack(t *turn, devs []*model.Device) (any, error) {
	var back []*model.Device
	for _, d := range devs {
		if d.Away != nil {
			x.recall(t, d, "transferred")
			x.restore(t, d, "transferred")
			back = append(back, d)
		}
	}
	if len(back) == 0 {
		return nil, fault.New(482, "loop", "that is where they are")
	}
	return transferred(back, nil), nil
}

func (x *branches) toSidebar(t *turn, devs []*model.Device, s *model.Sidebar) (any, error) {
	user := devs[0].Part.User
	if !moderates(t.power()) && !s.Members[user] {
		return nil, fault.New(403, "forbidden", "not invited to this sidebar")
	}
	var moved []*model.Device
	var own *api.Moved
	for _, d := range devs {
		if d.Away != nil && d.Away.To.ID == s.ID {
			continue
		}
		s.Members[user] = true
		m := x.send(t, d, s, false)
		if moved = append(moved, d); d == t.dev {
			own = &m
		}
	}
	return transferred(moved, own), nil
}

// toConference moves devices to an unrelated conference. Only who may do as
// they please there too can open its door for them.
func (x *branches) toConference(t *turn, devs []*model.Device, keep bool) (any, error) {
	var role api.Role
	if by := t.caller.By; by.Service || by.Room == "" && moderates(by.Role) {
		role = api.RoleAttendee
	}
	var moved []*model.Device
	var own *api.Moved
	for _, d := range devs {
		if d.Away != nil && d.Away.To.ID == t.dest.ID {
			continue
		}
		m := x.move(t, d, &model.Away{To: t.dest.Place, Keep: keep}, role, false)
		if moved = append(moved, d); d == t.dev {
			own = &m
		}
	}
	return transferred(moved, own), nil
}

func transferred(devs []*model.Device, own *api.Moved) api.TransferResult {
	out := api.TransferResult{Moved: own, Already: len(devs) == 0}
	for _, d := range devs {
		out.Devices = append(out.Devices, string(d.ID))
	}
	return out
}
