package focus

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"parley/api"
	"parley/internal/media/plane"
)

func sealedKeys(b byte) *api.E2EEKeys {
	s := func(n int) string { return base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{b}, n)) }
	return &api.E2EEKeys{Identity: s(65), Key: s(65), Sig: s(64)}
}

// The media side is told that payloads are not for it to look into, and a
// message about keys reaches the one it is for, with the sender's address.
func TestE1_TracksAreForwardedBlind(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana, bob := h.client("ana", "ws"), h.client("bob", "ws")
		ana.must(api.ConferenceStart, api.StartParams{E2EE: true}, nil)
		caps := api.Caps{E2EE: true, P2P: true}
		ana.joins(api.JoinParams{Caps: caps, E2EE: sealedKeys(1), Tracks: []api.PublishParams{{CID: "mic", Kind: "audio"}, {CID: "cam", Kind: "video"}}})
		ana.sends(plane.Audio, "mic")
		ana.sends(plane.Video, "cam")
		ana.negotiates()
		bob.joins(api.JoinParams{Device: "phone", Caps: caps, E2EE: sealedKeys(2)})
		bob.receives(1, 1)
		bob.negotiates()
		if len(h.plane.tracks) != 2 || len(h.plane.subs) != 2 {
			t.Fatalf("%d tracks, %d subscriptions", len(h.plane.tracks), len(h.plane.subs))
		}
		for _, k := range h.plane.tracks {
			if !k.Encrypted {
				t.Errorf("%+v", k)
			}
		}
		if !ana.join.E2EE || !bob.join.E2EE {
			t.Error("the joins' results do not tell")
		}
		bob.watches()
		ana.must(api.E2EESend, api.E2EESendParams{Messages: []api.E2EEMessage{{To: sealedKeys(2).Key, Body: "c2VhbGVk"}}}, nil)
		if ev := bob.events(api.E2EEReceived); len(ev) != 1 || ev[0]["from"] != sealedKeys(1).Key || ev[0]["body"] != "c2VhbGVk" {
			t.Errorf("bob heard %v", ev)
		}
		if ev := ana.events(api.E2EEReceived); len(ev) != 0 {
			t.Errorf("ana heard %v", ev)
		}
		ana.refused(409, "e2ee-required", api.TopologySet, api.SetTopologyParams{Topology: api.TopologyMixer})
		h.client("cam", "whip").refused(403, "e2ee-required", api.ConferenceJoin, api.JoinParams{Device: "whip", Kind: "whip"})
	})
}

// Redundancy of sound is not agreed where only the ends can take it apart.
func TestE1_NoRedundancyWhereSealed(t *testing.T) {
	for _, sealed := range []bool{true, false} {
		inHouse(t, nil, func(h *house) {
			ana := h.client("ana", "ws")
			ana.must(api.ConferenceStart, api.StartParams{E2EE: sealed}, nil)
			p := api.JoinParams{Caps: api.Caps{E2EE: sealed, P2P: true}, Tracks: []api.PublishParams{{CID: "mic", Kind: "audio"}}}
			if sealed {
				p.E2EE = sealedKeys(1)
			}
			ana.joins(p)
			ana.sends(plane.Audio, "mic")
			ana.lines[0].Codecs = []plane.Codec{{Name: "opus", PT: 111, ClockRate: 48000, Channels: 2, RED: 63}}
			a, _ := ana.negotiates()
			if red := strings.Contains(a.SDP, " red/48000"); red == sealed || !strings.Contains(a.SDP, " opus/48000") {
				t.Errorf("sealed %v:\n%s", sealed, a.SDP)
			}
		})
	}
}
