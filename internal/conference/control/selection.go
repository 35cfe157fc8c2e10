package control

import (
	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
)

// LayersWanted is the fact that more or fewer of a track's encodings are wanted.
const LayersWanted = "layers.wanted"

// Layers are the parameters of LayersWanted.
type Layers struct {
	Track ids.Track
	Count int      // from the lowest on
	RIDs  []string // their names, where they have some
	Of    int      // how many there are
}

// Reselect says that receivers may be sent others' cameras and microphones from
// now on: see [Machine.Selection].
type Reselect struct{}

func (Reselect) effect() {}

// layersWanted passes it on to a client that can follow. No row changes by it.
func layersWanted(m *Machine, t *turn, p Layers) (any, error) {
	k := m.conf.Tracks[p.Track]
	if k == nil || k.Device.Dialect != "ws" || p.Count < 1 {
		return already(), nil
	}
	k.Layers, k.LayerRIDs = p.Count, p.RIDs
	if p.Count >= p.Of {
		k.Layers, k.LayerRIDs = 0, nil
	}
	t.tellLayers(k)
	return done(), nil
}

// tellLayers tells the publisher. No row shows it, so no revision is made.
func (t *turn) tellLayers(k *model.Track) {
	b := layersOf(k)
	fields := map[string]any{"track": b.Track, "layers": b.Layers}
	if len(b.RIDs) > 0 {
		fields["rids"] = b.RIDs
	}
	t.out.Events = append(t.out.Events, Event{Name: "track.layers", To: k.Device.Session, Fields: fields})
}

func layersOf(k *model.Track) api.TrackLayers {
	return api.TrackLayers{Track: string(k.ID), Layers: k.Layers, RIDs: k.LayerRIDs}
}

// LayersOf lists what the client of a media session was told to leave out.
func (m *Machine) LayersOf(s ids.MediaSession) (out []api.TrackLayers) {
	for _, k := range m.tracks.of(s) {
		if k.Layers != 0 {
			out = append(out, layersOf(k))
		}
	}
	return out
}

// allLayers has the tracks of a media session sent whole again: what was told
// belongs to a connection that is gone.
func (x *mediaSessions) allLayers(t *turn, s *model.MediaSession) {
	for _, k := range s.Tracks {
		if k.Layers != 0 {
			k.Layers, k.LayerRIDs = 0, nil
			t.tellLayers(k)
		}
	}
}

// Selection is how many cameras and microphones a device is sent at most, 0: all.
// Who records, and another conference, gets everything.
func (m *Machine) Selection(d *model.Device) (lastN, loudest int) {
	if d.Kind == "recorder" || d.Cascade != nil {
		return 0, 0
	}
	lastN = m.cfg.Policy.LastN
	if d.LastN != 0 && (lastN == 0 || d.LastN < lastN) {
		lastN = d.LastN
	}
	return lastN, m.cfg.Policy.LoudestK
}

const (
	maxPixels = 1 << 14 // of a wanted width or height
	maxWeight = 1000
)

// sane refuses wishes that no screen has.
func sane(w api.WantedTrack) bool {
	return w.Width >= 0 && w.Width <= maxPixels && w.Height >= 0 && w.Height <= maxPixels && w.FPS >= 0 &&
		w.Priority >= -maxWeight && w.Priority <= maxWeight
}

// wantsFew notes how many cameras a device wants at a time.
func (x *subscriptions) wantsFew(t *turn, n *int) error {
	switch {
	case n == nil || *n == t.dev.LastN:
		return nil
	case *n < 0 || *n > x.m.cfg.Policy.MaxSubs:
		return fault.New(400, "bad-request", "lastN")
	}
	t.dev.LastN = *n
	t.effect(Reselect{})
	return nil
}
