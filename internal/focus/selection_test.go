package focus

import (
	"fmt"
	"testing"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

func (h *house) legMedia(c *client) plane.LegMedia {
	conn := c.conn()
	h.plane.mu.Lock()
	defer h.plane.mu.Unlock()
	return h.plane.media[conn]
}

// How many cameras and microphones a leg gets is the conference's policy and its
// own wish, told with its description and whenever it changes.
func TestLastN_ReachesTheMediaSide(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		mod := h.moderator()
		mod.sets(api.Policy{LastN: new(4), LoudestK: new(3)})
		ana, bob := h.publisher("ana"), h.publisher("bob")
		is := func(c *client, n, k int) {
			t.Helper()
			if m := h.legMedia(c); m.LastN != n || m.Loudest != k || len(m.Sections) < 2 {
				t.Errorf("%d cameras, %d microphones in %d sections, want %d and %d", m.LastN, m.Loudest, len(m.Sections), n, k)
			}
		}
		is(ana, 4, 3)
		ana.must(api.TrackSubscribe, api.SubscribeTracks{LastN: new(1)}, nil)
		is(ana, 1, 3)
		is(bob, 4, 3)
		mod.sets(api.Policy{LastN: new(0), LoudestK: new(0)})
		is(ana, 1, 0)
		is(bob, 0, 0)
		ana.negotiates()
		is(ana, 1, 0)
	})
}

// Who publishes hears which encodings are wanted by their names, and again when
// frames were lost; a WHIP encoder hears nothing.
func TestSFM9_LayersAreNamed(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana := h.client("ana", "ws")
		p := cam()
		p.RIDs = []string{"q", "h", "f"}
		ana.joins(api.JoinParams{Tracks: []api.PublishParams{p}})
		ana.sends(plane.Video, "cam", "q", "h", "f")
		a, _ := ana.negotiates()
		track := ana.join.Tracks[0].Track
		h.media(plane.Event{Kind: plane.LayersWanted, Conn: ana.conn(), Track: ids.Track(track), Layers: 1})
		h.media(plane.Event{Kind: plane.LayersWanted, Conn: ana.conn(), Track: ids.Track(track), Layers: 3})
		h.media(plane.Event{Kind: plane.LayersWanted, Conn: ana.conn(), Track: ids.Track(track), Layers: 2})
		ana.must(api.MediaSync, api.SyncParams{MS: a.MS, Rev: a.Rev}, nil)
		var got []string
		for _, e := range ana.events("track.layers") {
			got = append(got, fmt.Sprint(e["track"] == track, e["layers"], e["rids"]))
		}
		if want := "[true 1 [q] true 0 <nil> true 2 [q h] true 2 [q h]]"; fmt.Sprint(got) != want {
			t.Errorf("told %v, want %s", got, want)
		}
		enc := h.client("enc", "whip")
		enc.joins(api.JoinParams{Kind: "whip", Tracks: []api.PublishParams{p}})
		enc.sends(plane.Video, "cam", "q", "h", "f")
		enc.negotiates()
		h.media(plane.Event{Kind: plane.LayersWanted, Conn: enc.conn(), Track: ids.Track(enc.join.Tracks[0].Track), Layers: 1})
		if e := enc.events("track.layers"); len(e) != 0 {
			t.Errorf("an encoder was told %v", e)
		}
	})
}

// A receiver hears what it is not sent.
func TestWithheldIsTold(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana, bob := h.publisher("ana"), h.publisher("bob")
		bob.receives(1, 1)
		a, _ := bob.negotiates()
		cam := ana.join.Tracks[1].Track
		h.media(plane.Event{Kind: plane.TracksWithheld, Conn: bob.conn(), Withheld: []plane.Withheld{{Track: ids.Track(cam), Why: plane.WhyLastN}}})
		h.media(plane.Event{Kind: plane.TracksWithheld, Conn: bob.conn()})
		h.media(plane.Event{Kind: plane.TracksWithheld, Conn: bob.conn(), Withheld: []plane.Withheld{{Track: ids.Track(cam), Why: plane.WhyBandwidth}}})
		bob.newPeer("bob again") // on a fresh connection nothing is withheld yet
		bob.sends(plane.Audio, "mic")
		bob.sends(plane.Video, "cam")
		bob.receives(1, 1)
		bob.negotiates()
		var got []string
		for _, e := range bob.events("media.withheld") {
			got = append(got, fmt.Sprint(e["ms"] == a.MS, e["tracks"]))
		}
		want := fmt.Sprintf("[true [map[track:%s why:last-n]] true [] true [map[track:%s why:bandwidth]] true []]", cam, cam)
		if fmt.Sprint(got) != want {
			t.Errorf("told %v, want %s", got, want)
		}
		if e := ana.events("media.withheld"); len(e) != 0 {
			t.Errorf("ana was told %v", e)
		}
	})
}

// What a layout pins goes before who speaks, and is taken back with the pin.
func TestPinsHavePriority(t *testing.T) {
	inHouse(t, nil, func(h *house) {
		ana, bob := h.publisher("ana"), h.publisher("bob")
		bob.receives(1, 1)
		bob.negotiates()
		priority := func() int {
			h.plane.mu.Lock()
			defer h.plane.mu.Unlock()
			for _, s := range h.plane.subs {
				if string(s.Track) == ana.join.Tracks[1].Track && s.Sub != "" {
					return s.Priority
				}
			}
			t.Fatal("no subscription")
			return 0
		}
		if n := priority(); n != 0 {
			t.Errorf("priority %d at first", n)
		}
		bob.must(api.LayoutSet, api.LayoutParams{Mode: "speaker", Pins: []string{ana.join.Part}}, nil)
		if n := priority(); n != 1 {
			t.Errorf("priority %d when pinned", n)
		}
		bob.must(api.LayoutSet, api.LayoutParams{Mode: "speaker"}, nil)
		if n := priority(); n != 0 {
			t.Errorf("priority %d afterwards", n)
		}
	})
}
