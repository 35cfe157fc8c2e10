package control_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/api"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

func (h *hall) floor(label string) string {
	for _, f := range h.m.Conference().Floors {
		if f.Label == label {
			var words []string
			for _, r := range f.Requests {
				words = append(words, fmt.Sprintf("%s %s %d", r.User, r.Status, r.Queue))
			}
			return strings.Join(words, ", ")
		}
	}
	return "none"
}

// TestFloorsFollowTheRules: fewer holders, another algorithm, no floor at all;
// whatever changes, holders never are more than may be.
func TestFloorsFollowTheRules(t *testing.T) {
	h := newHall(t, func(p *policy.Policy) {
		p.Floors, p.FloorAlgorithm, p.MaxFloorUsers, p.FloorMutes = "a0", policy.FCFS, 2, true
	})
	mod, _ := h.join("mod", api.RoleModerator)
	for _, n := range []string{"ana", "bea", "cem", "dan"} {
		c, _ := h.join(n, api.RoleAttendee, micP)
		h.must(c, api.FloorRequestMethod, api.FloorRequestParams{Floor: "a0"})
	}
	set := func(p api.Policy) { h.must(mod, api.PolicySet, api.SetPolicyParams{Policy: p}) }
	steps := []struct {
		name string
		do   func()
		want string
	}{
		{"queue", func() {}, "ana granted 0, bea granted 0, cem accepted 1, dan accepted 2"},
		{"one less", func() { set(api.Policy{MaxFloorUsers: new(1)}) }, "ana granted 0, cem accepted 1, dan accepted 2"},
		{"a chair", func() { set(api.Policy{FloorAlgorithm: policy.ModeratorControlled}) }, "ana granted 0, cem pending 0, dan pending 0"},
		{"two may", func() { set(api.Policy{MaxFloorUsers: new(2)}) }, "ana granted 0, cem pending 0, dan pending 0"},
		{"queue again", func() { set(api.Policy{FloorAlgorithm: policy.FCFS}) }, "ana granted 0, cem granted 0, dan accepted 1"},
		{"no floor", func() { set(api.Policy{Floors: []string{}}) }, "none"},
	}
	for _, s := range steps {
		s.do()
		if got := h.floor("a0"); got != s.want {
			t.Errorf("%s: %s, want %s", s.name, got, s.want)
		}
		if err := floorsHold(h); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	for _, k := range h.m.Conference().Tracks {
		if k.Muted() {
			t.Errorf("%s is silent without a floor", k.ID)
		}
	}
}

// TestFloorDoesNotLiftAModeratorsMute: having the floor opens what the floor
// closed, not what a moderator did.
func TestFloorDoesNotLiftAModeratorsMute(t *testing.T) {
	h := newHall(t, func(p *policy.Policy) { p.Floors, p.FloorAlgorithm, p.FloorMutes = "a0", policy.FCFS, true })
	mod, _ := h.join("mod", api.RoleModerator)
	ana, j := h.join("ana", api.RoleAttendee, micP)
	p := api.MuteParams{Track: j.Tracks[0].Track}
	k := func() *model.Track {
		for _, k := range h.m.Conference().Tracks {
			return k
		}
		return nil
	}
	h.must(mod, api.TrackMute, p)
	req := h.must(ana, api.FloorRequestMethod, api.FloorRequestParams{Floor: "a0"}).(api.FloorStatus)
	if req.Status != "granted" || !k().Muted() {
		t.Errorf("%s, heard %v", req.Status, !k().Muted())
	}
	h.must(mod, api.TrackUnmute, p)
	if k().Muted() {
		t.Error("silent with the floor and without a mute")
	}
	h.must(ana, api.FloorRelease, api.FloorActionParams{Request: req.Request})
	if !k().Muted() {
		t.Error("heard without the floor")
	}
	h.must(mod, api.TrackUnmute, p)
	if !k().Muted() {
		t.Error("a moderator's unmute went past the floor")
	}
}

// TestChatHistoryIsBounded in messages and bytes, newest kept.
func TestChatHistoryIsBounded(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{{"short", 200}, {strings.Repeat("x", 8<<10), 16}} {
		h := newHall(t, nil)
		ana, _ := h.join("ana", api.RoleModerator)
		for range 300 {
			h.now = h.now.Add(time.Second)
			h.must(ana, api.ChatSend, api.ChatParams{Text: c.text})
		}
		got := h.m.ChatHistory(h.m.Conference().Participants["ana"]).Messages
		if len(got) != c.want || got[len(got)-1].ID != "msg_300" {
			t.Errorf("%d messages of %d bytes, last %s", len(got), len(c.text), got[len(got)-1].ID)
		}
	}
}

// TestChatRefusals: what is no text, too long, for nobody, or said too often.
func TestChatRefusals(t *testing.T) {
	h := newHall(t, nil)
	ana, _ := h.join("ana", api.RoleModerator)
	for name, c := range map[string]struct {
		p    api.ChatParams
		code int
	}{
		"empty":    {api.ChatParams{}, 400},
		"space":    {api.ChatParams{Text: " \n"}, 400},
		"bell":     {api.ChatParams{Text: "a\ab"}, 400},
		"escape":   {api.ChatParams{Text: "\x1b[31mred"}, 400},
		"no UTF-8": {api.ChatParams{Text: "\xff"}, 400},
		"too long": {api.ChatParams{Text: strings.Repeat("x", 8<<10+1)}, 413},
		"nobody":   {api.ChatParams{Text: "x", To: []string{"part_9"}}, 404},
		"no role":  {api.ChatParams{Text: "x", To: []string{"role:king"}}, 400},
		"lobby":    {api.ChatParams{Text: "x", To: []string{"role:lobby"}}, 400},
		"crowd":    {api.ChatParams{Text: "x", To: make([]string, 51)}, 400},
		"cid":      {api.ChatParams{Text: "x", CID: "a b"}, 400},
	} {
		if _, fe := h.do(ana, api.ChatSend, c.p); codeOf(fe) != c.code {
			t.Errorf("%s: %v, want %d", name, fe, c.code)
		}
	}
	rev := h.m.Conference().Rev
	h.must(ana, api.ChatSend, api.ChatParams{Text: "two\nlines\tand a tab"})
	if h.m.Conference().Rev != rev {
		t.Error("chat made a revision of the conference")
	}
}
