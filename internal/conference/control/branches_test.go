package control_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/api"
	"parley/internal/conference/control"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// TestCMD1_Branches is TestCMD1_Moderation for the other commands.
func TestCMD1_Branches(t *testing.T) {
	for _, e := range expectations(t, "testdata/branches.txt") {
		for i, role := range columns {
			t.Run(fmt.Sprintf("%s %s by %s", e.method, e.name, role), func(t *testing.T) {
				want, err := strconv.Atoi(e.codes[i])
				if err != nil {
					t.Fatal(err)
				}
				h, me, names := assembly(t, role)
				host := caller("host", api.RoleOwner)
				sb := h.must(host, api.SidebarCreate, api.SidebarCreateParams{Title: "Corner"}).(api.SidebarResult)
				raw := strings.ReplaceAll(names.Replace(e.params), "$sidebar", sb.Sidebar)
				params, err := control.Decode(e.method, []byte(raw))
				if err != nil {
					t.Fatal(err)
				}
				rev, events, effects := h.m.Conference().Rev, len(h.out.Events), len(h.out.Effects)
				_, fe := h.do(me, e.method, params)
				if got := codeOf(fe); got != want {
					t.Errorf("got %d (%v), want %d", got, fe, want)
				}
				if fe != nil && (h.m.Conference().Rev != rev || len(h.out.Events) != events || len(h.out.Effects) != effects) {
					t.Error("refused, yet changed something")
				}
				invariants(t, h)
			})
		}
	}
}

// TestCMD3_BranchesAlready: what says "200 already" changes nothing.
func TestCMD3_BranchesAlready(t *testing.T) {
	for _, row := range []struct{ method, params string }{
		{api.SidebarEnd, `{"sidebar":"$sidebar"}`},
		{api.DeviceRemove, `{"device":"d","part":"$other"}`},
		{api.DeviceUpdate, `{"label":"Here","inputs":[{"id":"m","kind":"audioinput"}],"active":{"audioinput":"m"}}`},
		{api.LayoutSet, `{"mode":"grid","scope":"all","pins":["$other"]}`},
		{api.ParticipantTransfer, `{"part":"$other","to":"$sidebar"}`},
		{api.RecordingStop, `{}`},
	} {
		t.Run(row.method, func(t *testing.T) {
			h, me, names := assembly(t, "moderator")
			sb := h.must(me, api.SidebarCreate, api.SidebarCreateParams{}).(api.SidebarResult)
			params, err := control.Decode(row.method, []byte(strings.ReplaceAll(names.Replace(row.params), "$sidebar", sb.Sidebar)))
			if err != nil {
				t.Fatal(err)
			}
			h.must(me, row.method, params)
			rev, events, effects := h.m.Conference().Rev, len(h.out.Events), len(h.out.Effects)
			res := h.must(me, row.method, params)
			if h.m.Conference().Rev != rev || len(h.out.Events) != events || len(h.out.Effects) != effects {
				t.Errorf("again changed something: rev %d to %d", rev, h.m.Conference().Rev)
			}
			if !strings.Contains(compact(res), `"already":true`) {
				t.Errorf("again answers %s", compact(res))
			}
		})
	}
}

// sameDevice is two sessions of one person's device.
func sameDevice() (a, b control.Caller) {
	a, b = caller("ana", api.RoleAttendee), caller("ana", api.RoleAttendee)
	b.Session = "sess_tab2"
	return a, b
}

func TestRACE13_DuplicateJoinSameLoad(t *testing.T) {
	force(t, race{
		meet: func(a *arena) [2]func() int {
			a.join("mod", api.RoleModerator)
			ana := caller("ana", api.RoleAttendee)
			p := api.JoinParams{Device: "laptop", Load: "1", Tracks: []api.PublishParams{micP}}
			return [2]func() int{a.command(ana, api.ConferenceJoin, p), a.command(ana, api.ConferenceJoin, p)}
		},
		codes: [2][2]int{{200, 200}, {200, 200}},
		after: func(a *arena, _ int) {
			if p := a.partOf("ana"); len(p.Devices) != 1 || len(p.Devices["laptop"].Media) != 1 {
				a.t.Errorf("%d endpoints", len(p.Devices))
			}
		},
	})
}

func TestRACE14_DuplicateJoinNewLoad(t *testing.T) {
	force(t, race{
		meet: func(a *arena) [2]func() int {
			a.join("mod", api.RoleModerator)
			one, two := sameDevice()
			return [2]func() int{
				a.command(one, api.ConferenceJoin, api.JoinParams{Device: "laptop", Load: "1", Tracks: []api.PublishParams{micP}}),
				a.command(two, api.ConferenceJoin, api.JoinParams{Device: "laptop", Load: "2", Tracks: []api.PublishParams{micP}}),
			}
		},
		codes: [2][2]int{{200, 200}, {200, 200}},
		after: func(a *arena, first int) {
			one, two := sameDevice()
			winner, loser := two, one
			if first == 1 {
				winner, loser = one, two
			}
			d := a.m.Device(winner.Session)
			if d == nil || a.m.Device(loser.Session) != nil || len(a.partOf("ana").Devices) != 1 {
				a.t.Fatal("the newest does not drive the one endpoint")
			}
			for _, e := range a.out.Events {
				if e.Name == "participant.left" || e.Name == "participant.joined" {
					a.t.Errorf("others saw %s", e.Name)
				}
			}
			// The old connection goes when the new one is there, or after a while.
			a.out = control.Output{}
			if first == 0 {
				conn := a.m.Conference().Media[d.MS].Conn
				a.must(control.Caller{}, control.LinkChanged, control.Link{Conn: conn, State: model.LinkConnected})
			} else {
				a.now = a.now.Add(6 * time.Second)
				a.m.Tick(a.now, &a.out)
			}
			a.settle()
			a.check()
			if len(d.Media) != 1 {
				a.t.Errorf("%d media sessions are left", len(d.Media))
			}
		},
	})
}

func TestRACE17_ReconnectWithinGrace(t *testing.T) {
	force(t, race{ // the moderator's mute crosses the loss and the return
		meet: func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			ana, j := a.join("ana", api.RoleAttendee, micP)
			a.act(ana, control.SessionSuspended, control.Fact{})
			a.now = a.now.Add(29 * time.Second)
			return [2]func() int{
				a.command(ana, control.SessionResumed, control.Fact{}),
				a.command(mod, api.TrackMute, api.MuteParams{Track: j.Tracks[0].Track}),
			}
		},
		codes: [2][2]int{{200, 200}, {200, 200}},
		after: func(a *arena, _ int) {
			d := a.m.Device(caller("ana", "").Session)
			if d == nil || d.Reach != model.ReachOK || len(a.m.TracksOf(d.MS)) != 1 || !a.m.TracksOf(d.MS)[0].FocusMuted {
				a.t.Errorf("back as %+v", d)
			}
			a.now = a.now.Add(10 * time.Second)
			a.out = control.Output{}
			a.m.Tick(a.now, &a.out)
			if a.settle(); len(a.out.Events) > 0 {
				a.t.Errorf("the old grace did %v", a.out.Events)
			}
		},
	})
}

func TestRACE18_ReconnectAfterGrace(t *testing.T) {
	for _, lingers := range []bool{true, false} {
		force(t, race{
			meet: func(a *arena) [2]func() int {
				a.join("mod", api.RoleModerator)
				ana, _ := a.join("ana", api.RoleAttendee, micP)
				a.act(ana, control.SessionSuspended, control.Fact{})
				wait := 31 * time.Second
				if !lingers {
					wait = 62 * time.Second
				}
				a.now = a.now.Add(wait)
				a.out = control.Output{}
				a.m.Tick(a.now, &a.out)
				a.settle()
				_, fresh := sameDevice()
				return [2]func() int{
					a.command(fresh, api.ConferenceJoin, api.JoinParams{Device: "d", Load: "2", Tracks: []api.PublishParams{micP}}),
					func() int { // the old session's resume: told to come anew
						a.act(ana, control.SessionResumed, control.Fact{})
						for _, e := range a.out.Effects {
							if g, ok := e.(control.SayGoodbye); ok && g.Session == ana.Session && g.Goodbye.Action == "reconnect" {
								return 481
							}
						}
						return 200
					},
				}
			},
			codes: [2][2]int{{200, 481}, {200, 481}},
			after: func(a *arena, _ int) {
				if p := a.partOf("ana"); p == nil || len(p.Devices) != 1 || !p.Live() {
					a.t.Errorf("rows %+v", p)
				}
			},
		})
	}
}

func TestRACE22_TrackIDAndFirstPacket(t *testing.T) {
	force(t, race{ // the machine's part: the packet may be known before the section is
		meet: func(a *arena) [2]func() int {
			a.join("mod", api.RoleModerator)
			ana, j := a.join("ana", api.RoleAttendee, micP)
			ms := a.m.Device(ana.Session).MS
			a.act(ana, api.MediaOffer, api.OfferParams{SDP: "v=0", Tracks: map[string]string{"0": "mic"}})
			return [2]func() int{
				a.command(control.Caller{}, control.TrackHeard, control.Heard{Track: a.m.TracksOf(ms)[0].ID}),
				a.command(ana, control.MediaNegotiated, control.Negotiated{MS: ms, Bound: map[string]string{"0": j.Tracks[0].CID}}),
			}
		},
		codes: [2][2]int{{200, 200}, {200, 200}},
		after: func(a *arena, _ int) {
			k := a.m.TracksOf(a.m.Device(caller("ana", "").Session).MS)[0]
			if k.State != model.TrackLive || !k.Bound() || len(a.m.Subscribers(k)) == 0 {
				a.t.Errorf("track %+v", k)
			}
		},
	})
}

// TestRACE25_RecordingAndConsent: before the start nobody is stored; who has
// not agreed is left out, in whichever order answer and time come.
func TestRACE25_RecordingAndConsent(t *testing.T) {
	for seed := range uint64(rounds) {
		for first := range 2 {
			a := newArena(t, seed, nil)
			a.m = control.NewMachine(control.Config{ID: "conf_1", URI: "standup", IDs: countedIDs(), Policy: policy.Default(), Recorder: true})
			mod, _ := a.join("mod", api.RoleModerator)
			ana, _ := a.join("ana", api.RoleAttendee, micP)
			bob, _ := a.join("bob", api.RoleAttendee, micP)
			a.act(mod, api.RecordingStart, api.RecordingParams{Consent: true})
			told, stored := false, (*control.Record)(nil)
			look := func() {
				for _, e := range a.out.Events {
					told = told || e.Name == "recording.state" && e.To == ""
				}
				for _, e := range a.out.Effects {
					if r, ok := e.(control.Record); ok {
						if stored = &r; !told {
							t.Error("stored before notice")
						}
					}
				}
				a.settle()
				a.check()
			}
			look()
			if stored != nil {
				t.Fatal("started without consent")
			}
			agree := func() { a.act(ana, api.RecordingConsent, api.ConsentParams{Consent: true}); look() }
			late := func() {
				a.out = control.Output{}
				a.now = a.now.Add(16 * time.Second)
				a.m.Tick(a.now, &a.out)
				look()
			}
			order := [2]func(){agree, late}
			order[first]()
			order[1-first]()
			if stored == nil || len(stored.Exclude) != 1 || stored.Exclude[0] != "bob" {
				t.Fatalf("round %d, %d first: %+v", seed, first, stored)
			}
			a.act(bob, api.RecordingConsent, api.ConsentParams{Consent: true})
			if look(); len(stored.Exclude) != 0 {
				t.Fatalf("bob agreed and is left out: %+v", stored)
			}
		}
	}
}

func TestRACE26_SidebarEndAndTransfer(t *testing.T) {
	force(t, race{
		meet: func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			mod2, _ := a.join("mod2", api.RoleModerator)
			_, j := a.join("ana", api.RoleAttendee, micP)
			sb := a.must(mod, api.SidebarCreate, api.SidebarCreateParams{}).(api.SidebarResult)
			return [2]func() int{
				a.command(mod, api.SidebarEnd, api.SidebarParams{Sidebar: sb.Sidebar}),
				a.command(mod2, api.ParticipantTransfer, api.TransferParams{Part: j.Part, To: sb.Sidebar}),
			}
		},
		codes: [2][2]int{{200, 410}, {200, 200}},
		after: func(a *arena, _ int) {
			d := a.m.Device(caller("ana", "").Session)
			if d == nil || d.Away != nil || d.Status != model.Connected || a.m.TracksOf(d.MS)[0].Muted() {
				a.t.Errorf("does not stay in main: %+v", d)
			}
		},
	})
}

func TestRACE27_DialOutAnsweredAndCancelled(t *testing.T) {
	force(t, race{ // the machine's part: the SIP leg is closed by its gateway
		meet: func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			a.must(mod, api.DeviceAdd, api.DeviceParams{Device: "phone"})
			call := func(s model.Status) func() int {
				return a.command(control.Caller{}, control.Dialled, control.DialProgress{User: "mod", Device: "phone", Status: s, How: model.Booted})
			}
			call(model.DialingOut)()
			call(model.Alerting)()
			return [2]func() int{call(model.Disconnected), call(model.Connected)}
		},
		codes: [2][2]int{{200, 200}, {200, 200}},
		after: func(a *arena, _ int) {
			if d := a.partOf("mod").Devices["phone"]; d.Status != model.Disconnected || d.Gone != model.Booted {
				a.t.Errorf("row %s %s", d.Status, d.Gone)
			}
		},
	})
}

// TestRACE27_LegInTheRoomAndCancelled: a leg that has joined goes with all it
// carries when its call is given up; joined after that it is a device like any.
func TestRACE27_LegInTheRoomAndCancelled(t *testing.T) {
	force(t, race{
		meet: func(a *arena) [2]func() int {
			mod, _ := a.join("mod", api.RoleModerator)
			a.must(mod, api.DeviceAdd, api.DeviceParams{Device: "phone"})
			call := func(s model.Status) func() int {
				return a.command(control.Caller{}, control.Dialled, control.DialProgress{User: "mod", Device: "phone", Status: s, How: model.Booted})
			}
			call(model.DialingOut)()
			leg := caller("mod", api.RoleModerator)
			leg.Session = "sess_leg"
			return [2]func() int{
				call(model.Disconnected),
				a.command(leg, api.ConferenceJoin, api.JoinParams{Device: "phone", Tracks: []api.PublishParams{micP}}),
			}
		},
		codes: [2][2]int{{200, 200}, {200, 200}},
		after: func(a *arena, first int) {
			d := a.partOf("mod").Devices["phone"]
			if first == 0 {
				if d.Status != model.Connected || len(d.Media) != 1 {
					a.t.Errorf("joined after the call: row %s with %d connections", d.Status, len(d.Media))
				}
				return
			}
			if d.Status != model.Disconnected || d.Gone != model.Booted || len(d.Media) != 0 || a.m.Device("sess_leg") != nil {
				a.t.Errorf("row %s %s with %d connections", d.Status, d.Gone, len(d.Media))
			}
			for _, k := range a.m.Conference().Tracks {
				if k.Device == d {
					a.t.Errorf("track %s lives on", k.ID)
				}
			}
		},
	})
}
