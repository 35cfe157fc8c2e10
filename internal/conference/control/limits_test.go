package control_test

import (
	"testing"

	"parley/api"
	"parley/internal/conference/control"
)

// TestS7_RightsOfTheTokenNarrowTheRole: what a token withholds is refused
// whatever the role, at joining and later, and nothing else is.
func TestS7_RightsOfTheTokenNarrowTheRole(t *testing.T) {
	for _, tc := range []struct {
		name                  string
		limits                control.Limits
		publish, screen, chat int
	}{
		{"all", control.Limits{}, 0, 0, 0},
		{"listener", control.Limits{NoPublish: true, NoScreen: true, NoChat: true}, 403, 403, 403},
		{"no screen", control.Limits{NoScreen: true}, 0, 403, 0},
		{"no chat", control.Limits{NoChat: true}, 0, 0, 403},
		{"screen only", control.Limits{NoPublish: true}, 403, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHall(t, nil)
			c := caller("ana", api.RoleModerator)
			c.By.Limits = tc.limits
			mic := api.PublishParams{CID: "m", Kind: "audio"} // source by default
			screen := api.PublishParams{CID: "s", Kind: "video", Source: "screen"}
			want := func(what string, code int, method string, params any) {
				t.Helper()
				_, err := h.do(c, method, params)
				if err == nil && code != 0 || err != nil && err.Code != code {
					t.Errorf("%s: %v, want %d", what, err, code)
				}
			}
			want("join with a microphone", tc.publish, api.ConferenceJoin, api.JoinParams{Device: "d", Tracks: []api.PublishParams{mic}})
			if tc.publish != 0 {
				want("join", 0, api.ConferenceJoin, api.JoinParams{Device: "d"})
				want("microphone", tc.publish, api.TrackPublish, mic)
			}
			want("screen", tc.screen, api.TrackPublish, screen)
			want("chat", tc.chat, api.ChatSend, api.ChatParams{Text: "x"})
		})
	}
}
