package control_test

import (
	"testing"
	"time"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// The rows of the table in the specification, section 5.2, that are about
// moderation; the number is the row's. Each is forced in both orders.

func withLobby(p *policy.Policy) { p.Lobby = true }

func (a *arena) partOf(user string) *model.Participant { return a.m.Conference().Participants[user] }

func TestRACE1_JoinDuringEnding(t *testing.T) {
	force(t, race{
		meet: func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			return [2]func() int{
				a.command(mod, api.ConferenceEnd, api.EndParams{AfterS: 60}),
				a.command(caller("ana", api.RoleAttendee), api.ConferenceJoin, api.JoinParams{Device: "d", Tracks: []api.PublishParams{micP}}),
			}
		},
		codes: [2][2]int{{200, 410}, {200, 200}},
		after: func(a *arena, _ int) {
			a.now = a.now.Add(61 * time.Second)
			a.out = control.Output{}
			a.m.Tick(a.now, &a.out)
			a.settle()
			a.check()
			if a.m.Conference().Phase != model.Ended || a.m.Users() != 0 {
				a.t.Errorf("phase %s, %d users", a.m.Conference().Phase, a.m.Users())
			}
		},
	})
}

func TestRACE2_EndDuringJoin(t *testing.T) {
	force(t, race{ // the join waits in the lobby: its pending final is 410
		rules: withLobby,
		meet: func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			return [2]func() int{
				a.command(mod, api.ConferenceEnd, api.EndParams{}),
				a.command(caller("ana", api.RoleAttendee), api.ConferenceJoin, api.JoinParams{Device: "d"}),
			}
		},
		codes: [2][2]int{{200, 410}, {200, 182}},
		after: func(a *arena, first int) {
			if len(a.waiting) != 0 {
				a.t.Error("a join was left without an answer")
			}
			if first == 1 {
				settled(a, "ana", 410)
			}
		},
	})
}

// settled checks the final answer that the last step gave to a waiting join.
func settled(a *arena, who string, code int) {
	a.t.Helper()
	for _, e := range a.out.Effects {
		if s, ok := e.(control.JoinSettled); ok && s.Session == ids.Session("sess_"+who) {
			if got := codeOf(s.Err); got != code {
				a.t.Errorf("the join of %s was answered %d, want %d", who, got, code)
			}
			return
		}
	}
	a.t.Errorf("the join of %s was not answered", who)
}

func TestRACE4_ExpelAndRenegotiation(t *testing.T) {
	force(t, race{
		meet: func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			ana, j := a.join("ana", api.RoleAttendee, micP)
			a.must(ana, api.MediaOffer, api.OfferParams{SDP: "v=0", Tracks: map[string]string{"0": "mic"}})
			return [2]func() int{
				a.command(mod, api.ParticipantExpel, api.ExpelParams{Part: j.Part}),
				a.command(ana, control.MediaNegotiated, control.Negotiated{MS: ids.MediaSession(j.MS), Bound: map[string]string{"0": "mic"}}),
			}
		},
		codes: [2][2]int{{200, 409}, {200, 200}}, // the focus answers 481 to the offer of one who is gone
		after: func(a *arena, _ int) {
			if a.m.Device("sess_ana") != nil || len(a.partOf("ana").Devices["d"].Media) != 0 {
				a.t.Error("media of one who was removed is left")
			}
			if code := a.act(caller("ana", api.RoleAttendee), api.MediaOffer, api.OfferParams{SDP: "v=0"}); code != 481 {
				a.t.Errorf("a late offer: %d", code)
			}
		},
	})
}

func TestRACE5_ExpelAndOwnLeave(t *testing.T) {
	force(t, race{
		meet: func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			ana, j := a.join("ana", api.RoleAttendee, micP)
			return [2]func() int{
				a.command(mod, api.ParticipantExpel, api.ExpelParams{Part: j.Part}),
				a.command(ana, api.ConferenceLeave, api.LeaveParams{}),
			}
		},
		codes: [2][2]int{{200, 200}, {200, 200}},
		after: func(a *arena, first int) {
			want := []model.Departure{model.Booted, model.Departed}[first]
			if d := a.partOf("ana").Devices["d"]; d.Gone != want {
				a.t.Errorf("disconnection-method %s, want %s", d.Gone, want)
			}
			if len(a.out.Events) != 0 {
				a.t.Errorf("the second one told %d events", len(a.out.Events))
			}
		},
	})
}

func TestRACE6_ExpelWithBanAndRejoin(t *testing.T) {
	force(t, race{
		meet: func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			ana, j := a.join("ana", api.RoleAttendee, micP)
			again := ana
			again.Session = "sess_again"
			return [2]func() int{
				a.command(mod, api.ParticipantExpel, api.ExpelParams{Part: j.Part, Ban: true}),
				a.command(again, api.ConferenceJoin, api.JoinParams{Device: "other"}),
			}
		},
		codes: [2][2]int{{200, 403}, {200, 200}},
		after: func(a *arena, _ int) {
			if p := a.partOf("ana"); p.Live() {
				a.t.Error("a banned person is in the conference")
			}
			if code := a.act(caller("ana", api.RoleAttendee), api.ConferenceJoin, api.JoinParams{Device: "d"}); code != 403 {
				a.t.Errorf("the same token again: %d", code)
			}
		},
	})
}

func TestRACE7_MuteByModeratorAndOwnUnmute(t *testing.T) {
	force(t, race{
		meet: func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			ana, j := a.join("ana", api.RoleAttendee, api.PublishParams{CID: "mic", Kind: "audio", Muted: true})
			p := api.MuteParams{Track: j.Tracks[0].Track}
			return [2]func() int{a.command(mod, api.TrackMute, p), a.command(ana, api.TrackUnmute, p)}
		},
		codes: [2][2]int{{200, 403}, {200, 200}},
		after: func(a *arena, _ int) { silent(a, "ana", "microphone") },
	})
}

// silent checks that nothing of a person's source is heard.
func silent(a *arena, user, source string) {
	a.t.Helper()
	n := 0
	for _, k := range a.m.Conference().Tracks {
		if k.Device.Part.User == user && k.Source == source {
			if n++; !k.Muted() {
				a.t.Errorf("%s of %s is heard", k.ID, user)
			}
		}
	}
	if n == 0 {
		a.t.Errorf("%s has no %s", user, source)
	}
}

func TestRACE8_MuteAllAndPublish(t *testing.T) {
	force(t, race{
		meet: func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			ana, _ := a.join("ana", api.RoleAttendee)
			return [2]func() int{
				a.command(mod, api.TrackMute, api.MuteParams{Medium: "audio", Scope: []string{"all", "others"}[a.r.IntN(2)]}),
				a.command(ana, api.TrackPublish, micP),
			}
		},
		codes: [2][2]int{{200, 200}, {200, 200}},
		after: func(a *arena, _ int) { silent(a, "ana", "microphone") },
	})
}

func TestRACE9_RoleDownAndPublish(t *testing.T) {
	force(t, race{
		meet: func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			ana, j := a.join("ana", api.RoleAttendee)
			return [2]func() int{
				a.command(mod, api.ParticipantSetRole, api.SetRoleParams{Part: j.Part, Role: api.RoleObserver}),
				a.command(ana, api.TrackPublish, micP),
			}
		},
		codes: [2][2]int{{200, 403}, {200, 200}},
		after: func(a *arena, first int) {
			if first == 0 {
				return
			}
			silent(a, "ana", "microphone")
			for _, k := range a.m.Conference().Tracks {
				if k.Device.Part.User == "ana" { // the right is looked at again with the first packet
					a.act(control.Caller{}, control.TrackHeard, control.Heard{Track: k.ID})
					ended := a.out.Events[len(a.out.Events)-1]
					if ended.Name != "track.ended" || ended.Fields["code"] != 403 {
						a.t.Errorf("told %s %v", ended.Name, ended.Fields)
					}
				}
			}
		},
	})
}

func TestRACE10_LockAndJoin(t *testing.T) {
	force(t, race{
		meet: func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			return [2]func() int{
				a.command(mod, api.ConferenceLock, api.LockParams{}),
				a.command(caller("ana", api.RoleAttendee), api.ConferenceJoin, api.JoinParams{Device: "d", Tracks: []api.PublishParams{micP}}),
			}
		},
		codes: [2][2]int{{200, 423}, {200, 200}},
		after: func(a *arena, first int) {
			if p := a.partOf("ana"); (p != nil) != (first == 1) {
				a.t.Error("half a join was left")
			}
		},
	})
}

func TestRACE11_AdmitAndLeavingTheLobby(t *testing.T) {
	force(t, race{
		rules: withLobby,
		meet: func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			ana := caller("ana", api.RoleAttendee)
			a.act(ana, api.ConferenceJoin, api.JoinParams{Device: "d", Tracks: []api.PublishParams{micP}})
			part := string(a.partOf("ana").ID)
			return [2]func() int{
				a.command(mod, api.LobbyAdmit, api.AdmitParams{Parts: []string{part}}),
				a.command(ana, api.ConferenceLeave, api.LeaveParams{}),
			}
		},
		codes: [2][2]int{{200, 200}, {409, 200}},
		after: func(a *arena, first int) {
			if p := a.partOf("ana"); first == 1 && p != nil {
				a.t.Errorf("a ghost row: %+v", p)
			}
		},
	})
}

func TestRACE12_TwoModeratorsDecide(t *testing.T) {
	force(t, race{
		rules: withLobby,
		meet: func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			max, _ := a.join("max", api.RoleModerator)
			a.act(caller("ana", api.RoleAttendee), api.ConferenceJoin, api.JoinParams{Device: "d"})
			p := api.AdmitParams{Parts: []string{string(a.partOf("ana").ID)}}
			return [2]func() int{a.command(mod, api.LobbyAdmit, p), a.command(max, api.LobbyReject, p)}
		},
		codes: [2][2]int{{200, 409}, {409, 200}},
		after: func(a *arena, first int) {
			if in := a.partOf("ana").State == model.Joined; in != (first == 0) {
				a.t.Errorf("in the conference: %v", in)
			}
			p := api.AdmitParams{Parts: []string{string(a.partOf("ana").ID)}}
			_, fe := a.do(caller("max", api.RoleModerator), api.LobbyAdmit, p)
			if want := []string{"admitted", "rejected"}[first]; fe == nil || fe.Data["outcome"] != want {
				a.t.Errorf("the slower one is told %v, want %s", fe, want)
			}
		},
	})
}

func TestRACE16_SameUserTwoDevices(t *testing.T) {
	two := func(takeover bool) func(a *arena) [2]func() int {
		return func(a *arena) [2]func() int {
			a.join("mod", api.RoleModerator)
			laptop, phone := caller("ana", api.RoleAttendee), caller("ana", api.RoleAttendee)
			phone.Session = "sess_phone"
			return [2]func() int{
				a.command(laptop, api.ConferenceJoin, api.JoinParams{Device: "laptop", Takeover: takeover}),
				a.command(phone, api.ConferenceJoin, api.JoinParams{Device: "phone", Takeover: takeover}),
			}
		}
	}
	live := func(want int) func(*arena, int) {
		return func(a *arena, _ int) {
			n := 0
			for _, d := range a.partOf("ana").Devices {
				if d.Status.Live() {
					n++
				}
			}
			if n != want {
				a.t.Errorf("%d devices, want %d", n, want)
			}
		}
	}
	t.Run("both stay", func(t *testing.T) {
		force(t, race{meet: two(false), codes: [2][2]int{{200, 200}, {200, 200}}, after: live(2)})
	})
	single := func(p *policy.Policy) { p.SingleDevice = true }
	t.Run("one device a person", func(t *testing.T) {
		force(t, race{rules: single, meet: two(false), codes: [2][2]int{{200, 409}, {409, 200}}, after: live(1)})
	})
	t.Run("takeover", func(t *testing.T) {
		force(t, race{rules: single, meet: two(true), codes: [2][2]int{{200, 200}, {200, 200}}, after: live(1)})
	})
}

func TestRACE24_FloorGrantAndReleaseOrExpel(t *testing.T) {
	chair := func(p *policy.Policy) { p.Floors, p.FloorMutes = "a0", true }
	meet := func(end func(a *arena, mod, ana control.Caller, part, req string) func() int) func(a *arena) [2]func() int {
		return func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			ana, j := a.join("ana", api.RoleAttendee, micP)
			req := a.must(ana, api.FloorRequestMethod, api.FloorRequestParams{Floor: "a0"}).(api.FloorStatus).Request
			return [2]func() int{
				a.command(mod, api.FloorGrant, api.FloorActionParams{Request: req}),
				end(a, mod, ana, j.Part, req),
			}
		}
	}
	free := func(a *arena, _ int) {
		if len(a.m.Conference().Floors[0].Requests) != 0 {
			a.t.Errorf("the floor: %+v", a.m.Conference().Floors)
		}
	}
	codes := [2][2]int{{200, 200}, {409, 200}}
	t.Run("release", func(t *testing.T) {
		force(t, race{rules: chair, codes: codes, after: free, meet: meet(func(a *arena, _, ana control.Caller, _, req string) func() int {
			return a.command(ana, api.FloorRelease, api.FloorActionParams{Request: req})
		})})
	})
	t.Run("expel", func(t *testing.T) {
		force(t, race{rules: chair, codes: codes, after: free, meet: meet(func(a *arena, mod, _ control.Caller, part, _ string) func() int {
			return a.command(mod, api.ParticipantExpel, api.ExpelParams{Part: part})
		})})
	})
	t.Run("next in the queue", func(t *testing.T) {
		force(t, race{
			rules: func(p *policy.Policy) { p.Floors, p.FloorAlgorithm, p.FloorMutes = "a0", policy.FCFS, true },
			meet: func(a *arena) [2]func() int {
				mod, _ := a.join("mod", api.RoleModerator)
				var reqs []string
				var people []control.Caller
				for _, n := range []string{"ana", "bea", "cem"} {
					c, _ := a.join(n, api.RoleAttendee, micP)
					people = append(people, c)
					reqs = append(reqs, a.must(c, api.FloorRequestMethod, api.FloorRequestParams{Floor: "a0"}).(api.FloorStatus).Request)
				}
				return [2]func() int{
					a.command(mod, api.ParticipantExpel, api.ExpelParams{Part: string(a.partOf("bea").ID)}),
					a.command(people[0], api.FloorRelease, api.FloorActionParams{Request: reqs[0]}),
				}
			},
			codes: [2][2]int{{200, 200}, {200, 200}},
			after: func(a *arena, _ int) {
				r := a.m.Conference().Floors[0].Requests
				if len(r) != 1 || r[0].User != "cem" || r[0].Status != model.FloorGranted {
					a.t.Errorf("the floor: %+v", r)
				}
				silent(a, "ana", "microphone")
			},
		})
	})
}
