package control_test

import (
	"encoding/json"
	"testing"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/conference/control"
	"parley/internal/conference/policy"
)

// TestRACE29_SplitBrain: a command and the news that another node owns the
// conference meet. What commits before the news stands; after it nothing does,
// and everybody is sent away exactly once.
func TestRACE29_SplitBrain(t *testing.T) {
	force(t, race{
		meet: func(a *arena) [2]func() int {
			ana := caller("ana", api.RolePresenter)
			a.join("mod", api.RoleModerator)
			a.join("ana", api.RolePresenter)
			return [2]func() int{
				a.command(ana, api.HandRaise, api.PartParams{}),
				func() int {
					rev := a.m.Conference().Rev
					if a.act(control.Caller{}, control.LeaseLost, control.Lease{Epoch: 0}); a.m.Superseded() || a.m.Conference().Rev != rev {
						a.t.Error("an epoch that is not newer took the conference away")
					}
					code := a.act(control.Caller{}, control.LeaseLost, control.Lease{Epoch: 1})
					byes := map[string]int{}
					for _, e := range a.out.Effects {
						if g, ok := e.(control.SayGoodbye); ok && g.Goodbye.Action == "reconnect" {
							byes[string(g.Session)]++
						}
					}
					if byes["sess_ana"] != 1 || byes["sess_mod"] != 1 {
						a.t.Errorf("goodbyes %v", byes)
					}
					return code
				},
			}
		},
		codes: [2][2]int{{200, 200}, {503, 200}},
		after: func(a *arena, _ int) {
			rev := a.m.Conference().Rev
			for _, m := range []string{api.ConferenceJoin, api.ConferenceStart, api.ConferenceEnd, api.ConferenceLeave} {
				p, err := control.Decode(m, json.RawMessage(`{"device":"x"}`))
				if err != nil {
					a.t.Fatal(err)
				}
				if code := a.act(caller("new", api.RoleOwner), m, p); code != 503 {
					a.t.Errorf("%s at the old owner: %d", m, code)
				}
			}
			if a.m.Conference().Rev != rev {
				a.t.Error("the old owner went on committing")
			}
		},
	})
}

// TestCommitsCarryTheEpoch of the owner's lease, and nothing where there is none.
func TestCommitsCarryTheEpoch(t *testing.T) {
	for _, e := range []uint64{0, 7} {
		p := policy.Default()
		p.Dev = true
		m := control.NewMachine(control.Config{ID: "conf_1", URI: "standup", IDs: countedIDs(), Policy: p, Anchor: clock.Anchor{Mono: epoch}, Epoch: e})
		var out control.Output
		if _, err := m.Step(epoch, control.Command{Method: api.ConferenceJoin, Caller: caller("ana", api.RoleOwner), Params: api.JoinParams{Device: "laptop"}}, &out); err != nil {
			t.Fatal(err)
		}
		for _, ev := range out.Events {
			var body struct{ Epoch uint64 }
			if err := json.Unmarshal(ev.JSON(), &body); err != nil || body.Epoch != e || ev.Epoch != e {
				t.Errorf("%s: epoch %d, want %d (%v)", ev.Name, body.Epoch, e, err)
			}
		}
	}
}
