package focus

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"parley/api"
)

// TestCI8_NothingTellsWhoTheAnonymousAre: neither documents nor events nor chat,
// to all but the owner.
func TestCI8_NothingTellsWhoTheAnonymousAre(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		owner := h.client("owner", "ws")
		owner.joins(api.JoinParams{})
		owner.watches()
		bob := h.client("bob", "ws")
		bob.joins(api.JoinParams{Device: "b"})
		bob.watches()
		secret := h.client("sip:secret@example.net", "ws")
		secret.joins(api.JoinParams{Device: "secret-laptop", Label: "secret phone", Anonymous: true, Tracks: []api.PublishParams{mic()}})
		secret.watches()
		pass(time.Second)
		secret.must(api.HandRaise, nil, nil)
		owner.must(api.TrackMute, api.MuteParams{Track: secret.join.Tracks[0].Track}, nil)
		pass(time.Second)
		all := func(c *client) string {
			c.mu.Lock()
			defer c.mu.Unlock()
			b, err := json.Marshal(c.notes)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		if got := all(bob); strings.Contains(got, "secret") || !strings.Contains(got, "sip:anonymous1@anonymous.invalid") {
			t.Errorf("bob: %s", got)
		}
		if got := all(owner); !strings.Contains(got, "sip:secret@example.net") {
			t.Errorf("the owner: %s", got)
		}
		if got := all(secret); !strings.Contains(got, `"self":{"user":"sip:anonymous1@anonymous.invalid"}`) {
			t.Errorf("the anonymous one: %s", got)
		}
		secret.must(api.ConferenceLeave, api.LeaveParams{}, nil)
		pass(40 * time.Second)
		if got := all(bob); strings.Contains(got, "secret") {
			t.Errorf("bob, after the end: %s", got)
		}
	})
}
