package session

import (
	"encoding/json"
	"testing"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/conference/control"
	"parley/internal/conference/policy"
	"parley/internal/signaling/porttest"
)

// TestCMD2_SameIDCommitsOnce: every command of the table, sent twice with the
// same id, reaches the conference once; the second answer is the first one.
func TestCMD2_SameIDCommitsOnce(t *testing.T) {
	params := map[string]string{
		api.ConferenceLock:     `{}`,
		api.HandRaise:          `{}`,
		api.TrackPublish:       `{"cid":"cam","kind":"video"}`,
		api.TrackMute:          `{"medium":"audio","scope":"all"}`,
		api.PolicySet:          `{"policy":{"chat":false},"title":"New"}`,
		api.ChatSend:           `{"text":"hello"}`,
		api.PresenceUpdate:     `{"state":"away"}`,
		api.FloorRequestMethod: `{"floor":"a0"}`,
		api.ParticipantSetRole: `{"part":"$part","role":"moderator"}`,
		api.ParticipantExpel:   `{"part":"$part"}`,
		api.ConferenceJoin:     `{"device":"d"}`,
	}
	committed := 0
	for _, method := range control.Methods() {
		t.Run(method, func(t *testing.T) {
			r := newRig(t)
			s, w := r.open()
			pol := policy.Default()
			pol.Floors = "a0"
			m := control.NewMachine(control.Config{ID: "conf_1", URI: "room", IDs: control.RandomIDs(), Policy: pol, Anchor: clock.Anchor{}})
			me := control.Caller{Session: s.caller.Session, Dialect: "ws", By: control.Principal{Subject: "ana", Role: api.RoleOwner, Trusted: true}}
			run := func(c control.Caller, method string, raw json.RawMessage) (any, error) {
				p, err := control.Decode(method, raw)
				if err != nil {
					return nil, err
				}
				var out control.Output
				return m.Step(r.clock(), control.Command{Method: method, Caller: c, Params: p}, &out)
			}
			if _, err := run(me, api.ConferenceJoin, json.RawMessage(`{"device":"d","tracks":[{"cid":"mic","kind":"audio"}]}`)); err != nil {
				t.Fatal(err)
			}
			r.port.On[method] = func(_ control.Caller, q *api.Request, reply porttest.Reply) {
				res, err := run(me, q.Method, q.Params)
				if err != nil {
					reply(refusal(fault.From(err)))
					return
				}
				reply(porttest.OK(res))
			}
			q := request("1", method)
			q.Params = json.RawMessage(params[method])
			s.Request(w, q)
			rev := m.Conference().Rev
			if rev > 1 {
				committed++
			}
			again := *q
			s.Request(w, &again)
			got := w.got()
			if len(got) != 2 || !got[1].Dup || got[0].Dup || got[0].Code != got[1].Code || string(got[0].Result) != string(got[1].Result) {
				t.Errorf("answers %+v", got)
			}
			if n := r.port.Count("do " + method); n != 1 || m.Conference().Rev != rev {
				t.Errorf("given to the conference %d times, rev %d then %d", n, rev, m.Conference().Rev)
			}
		})
	}
	if committed < 8 {
		t.Errorf("only %d commands changed anything", committed)
	}
}
