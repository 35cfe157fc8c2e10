package control

import (
	"slices"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
)

// arrangements are the layouts that clients make by themselves out of the
// streams they get. The other ones of RFC 6501, section 4.6.5 need a mixer.
var arrangements = map[string]bool{
	"automatic": true, "single-view": true, "grid": true, "speaker": true,
	"dual-view": true, "dual-view-2x1": true, "quad-view": true,
	"multiple-3x3": true, "multiple-4x4": true, "multiple-5x1": true,
}

// cropped are layouts that only a mixer can compose.
var cropped = map[string]bool{"dual-view-crop": true, "dual-view-2x1-crop": true}

const maxPins = 16

// setLayout arranges the conference, for oneself or for everybody.
func setLayout(m *Machine, t *turn, p api.LayoutParams) (any, error) {
	all := p.Scope == "all"
	switch {
	case p.Scope != "" && p.Scope != "self" && !all:
		return nil, errBadParams("scope")
	case !arrangements[p.Mode] && !cropped[p.Mode]:
		return nil, errBadParams("mode")
	case len(p.Pins) > maxPins:
		return nil, fault.New(413, "too-large", "at most %d pins", maxPins)
	case all && !moderates(t.dev.Part.Role):
		return nil, errNotModerator()
	case cropped[p.Mode] && m.topo.mixer("video") != nil:
		return nil, fault.New(488, "not-acceptable", "this conference has no mixer to compose that layout")
	}
	for _, pin := range p.Pins {
		if _, err := m.devices.part(pin); err != nil && m.conf.Tracks[ids.Track(pin)] == nil {
			return nil, fault.New(404, "not-found", "pins: no such track or participant")
		}
	}
	l := model.Layout{Mode: p.Mode, Pins: slices.Clone(p.Pins)}
	at := &t.dev.Layout
	if all {
		at, l.By = &m.conf.Layout, t.caller.By.Subject
	}
	if at.Mode == l.Mode && slices.Equal(at.Pins, l.Pins) {
		return already(), nil
	}
	*at = l
	t.touch(nil)
	t.effect(Rearrange{})
	m.topo.changed("layout")
	if all {
		t.event("layout.changed", map[string]any{"mode": l.Mode, "pins": l.Pins, "scope": "all"})
	}
	return done(), nil
}

// Pinned lists the tracks that a device wants in sight, its own wish first.
func (m *Machine) Pinned(d *model.Device) []ids.Track {
	var out []ids.Track
	for _, l := range []model.Layout{d.Layout, m.conf.Layout} {
		for _, pin := range l.Pins {
			for _, k := range m.tracks.bound() {
				if (string(k.ID) == pin || string(k.Device.Part.ID) == pin) && !slices.Contains(out, k.ID) {
					out = append(out, k.ID)
				}
			}
		}
	}
	return out
}

// Rearrange says that who fills which slot is to be looked at again.
type Rearrange struct{}

func (Rearrange) effect() {}
