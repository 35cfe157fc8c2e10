package control_test

import (
	"strings"
	"testing"
	"time"

	"parley/api"
	"parley/internal/conference/control"
)

// TestA18_MuteAndRightsSurviveComingBack: by resuming, by a fresh tab, by
// another device and by leaving and joining at once, nobody gets back a voice
// or a role that a moderator took, and no event carries a session's name.
func TestA18_MuteAndRightsSurviveComingBack(t *testing.T) {
	ways := map[string]func(h *hall, ana control.Caller) control.Caller{
		"resume": func(h *hall, ana control.Caller) control.Caller {
			h.must(ana, control.SessionSuspended, control.Fact{})
			h.now = h.now.Add(20 * time.Second)
			h.must(ana, control.SessionResumed, control.Fact{})
			return ana
		},
		"fresh tab": func(h *hall, ana control.Caller) control.Caller {
			ana.Session = "sess_tab2"
			h.must(ana, api.ConferenceJoin, api.JoinParams{Device: "d", Load: "2", Tracks: []api.PublishParams{micP}})
			return ana
		},
		"another device": func(h *hall, ana control.Caller) control.Caller {
			ana.Session = "sess_phone"
			h.must(ana, api.ConferenceJoin, api.JoinParams{Device: "phone", Tracks: []api.PublishParams{micP}})
			return ana
		},
		"leave and join": func(h *hall, ana control.Caller) control.Caller {
			h.must(ana, api.ConferenceLeave, api.LeaveParams{})
			ana.By.Role = api.RoleAttendee // a token is what it is: the role was given in this stay
			h.must(ana, api.ConferenceJoin, api.JoinParams{Device: "d", Tracks: []api.PublishParams{micP}})
			return ana
		},
	}
	for name, back := range ways {
		t.Run(name, func(t *testing.T) {
			h := newHall(t, nil)
			owa, _ := h.join("owa", api.RoleOwner)
			ana, j := h.join("ana", api.RolePresenter, micP)
			h.must(owa, api.ParticipantSetRole, api.SetRoleParams{Part: j.Part, Role: api.RoleAttendee})
			h.must(owa, api.TrackMute, api.MuteParams{Part: j.Part, Medium: "audio"})
			ana = back(h, ana)
			if r := h.m.Conference().Participants["ana"].Role; r != api.RoleAttendee {
				t.Errorf("came back as %s", r)
			}
			n := 0
			for _, k := range h.m.Conference().Tracks {
				if k.Device.Part.User != "ana" {
					continue
				}
				n++
				if !k.FocusMuted {
					t.Errorf("%s is heard", k.ID)
				}
				if k.Device == h.m.Device(ana.Session) {
					if _, fe := h.do(ana, api.TrackUnmute, api.MuteParams{Track: string(k.ID)}); codeOf(fe) != 403 {
						t.Errorf("unmutes again: %v", fe)
					}
				}
			}
			if n == 0 {
				t.Error("no track")
			}
			if _, fe := h.do(ana, api.TrackPublish, api.PublishParams{CID: "s", Kind: "video", Source: "screen"}); codeOf(fe) != 403 {
				t.Errorf("shares the screen again: %v", fe)
			}
			for _, e := range h.out.Events {
				if strings.Contains(string(e.JSON()), "sess_") {
					t.Errorf("%s names a session: %s", e.Name, e.JSON())
				}
			}
			invariants(t, h)
		})
	}
}
