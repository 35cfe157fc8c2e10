package control

import (
	"cmp"
	"slices"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// labels maps a source to its conference-level medium (RFC 4575 available-media).
var labels = map[string]string{
	"microphone": "a0", "camera": "v0", "screen": "s0", "screenAudio": "sa0",
}

// defaultSource is what an unnamed source of a kind is taken for.
var defaultSource = map[string]string{"audio": "microphone", "video": "camera"}

// Labels lists the conference-level media in a fixed order: label, kind, text.
var Labels = [][3]string{
	{"a0", "audio", ""}, {"v0", "video", ""}, {"s0", "video", "Slides"}, {"sa0", "audio", "Slides"},
}

// tracks is what the devices publish.
type tracks struct {
	m     *Machine
	ended endedTracks
}

func publish(m *Machine, t *turn, p api.PublishParams) (any, error) {
	d := t.dev
	if t.caller.By.Limits.withhold(cmp.Or(p.Source, defaultSource[p.Kind])) {
		return nil, errForbidden()
	}
	if err := m.tracks.check(d.Part.Role, nil, m.tracks.of(d.MS), p); err != nil {
		return nil, err
	}
	k := m.tracks.add(t, d, p)
	return api.PublishResult{CID: k.CID, Track: string(k.ID)}, nil
}

// checkAll checks what a join wants to publish, as if one after another.
func (x *tracks) checkAll(role api.Role, old *model.Device, ps []api.PublishParams) error {
	var have []*model.Track
	for _, p := range ps {
		if err := x.check(role, old, have, p); err != nil {
			return err
		}
		have = append(have, &model.Track{CID: p.CID, Source: p.Source})
	}
	return nil
}

// check checks one track against those the device has. Screens of the
// device replaced do not count, since they go with the old load.
func (x *tracks) check(role api.Role, replaced *model.Device, have []*model.Track, p api.PublishParams) error {
	source := cmp.Or(p.Source, defaultSource[p.Kind])
	switch {
	case p.Kind != "audio" && p.Kind != "video":
		return fault.New(415, "unsupported-media", "kind is audio or video")
	case labels[source] == "" || kindOf(source) != p.Kind:
		return errBadParams("source")
	case !validToken(p.CID):
		return errBadParams("cid")
	case p.Stream != "" && !validToken(p.Stream):
		return errBadParams("stream")
	case p.Origin != "" && !validToken(p.Origin):
		return errBadParams("origin")
	case p.Origin != "" && (p.Origin == x.m.conf.URI || p.Origin == string(x.m.conf.ID)): // check CMB-5
		return fault.New(482, "loop", "this source began here")
	case len(p.RIDs) > maxRIDs || slices.ContainsFunc(p.RIDs, func(r string) bool { return !ids.ValidName(r) }):
		return errBadParams("rids")
	case !x.m.cfg.Policy.MayPublish(role, source):
		return errForbidden()
	case len(have) >= x.m.cfg.Policy.MaxTracks:
		return fault.New(429, "too-many-tracks", "at most %d tracks per device", x.m.cfg.Policy.MaxTracks)
	case slices.ContainsFunc(have, func(k *model.Track) bool { return k.CID == p.CID }):
		return fault.New(409, "duplicate", "this cid is published already")
	case source == "screen" && x.screensFull(replaced):
		return fault.New(409, "conflict", "another screen is being shared")
	}
	return nil
}

func kindOf(source string) string {
	if source == "microphone" || source == "screenAudio" {
		return "audio"
	}
	return "video"
}

func isScreen(source string) bool { return source == "screen" }

func (x *tracks) screensFull(except *model.Device) bool {
	limit, n := x.m.cfg.Policy.MaxScreens, 0
	for _, k := range x.m.conf.Tracks {
		if isScreen(k.Source) && k.Device != except && x.m.conf.Media[k.MS].Retiring == 0 {
			n++
		}
	}
	return limit > 0 && n >= limit
}

// add announces a checked track. It is flagged as muted by the focus when
// a moderator had muted this participant's source before.
func (x *tracks) add(t *turn, d *model.Device, p api.PublishParams) *model.Track {
	source := cmp.Or(p.Source, defaultSource[p.Kind])
	k := &model.Track{
		ID: x.m.cfg.IDs.Track(), CID: p.CID, Device: d, MS: d.MS, Kind: p.Kind, Source: source,
		Label: labels[source], Stream: x.stream(d, p.Stream, source), SrcID: x.m.cfg.IDs.Source(),
		RIDs: p.RIDs, State: model.TrackAnnounced, SelfMuted: p.Muted,
		Order: x.m.nextOrder(),
	}
	k.Hold(model.HeldByModerator, d.Part.FocusMuted[source] || x.joinMuted(d.Part, k.Kind))
	k.Hold(model.HeldByFloor, x.m.floors.mutes(d.Part.User, k.Label))
	if k.FocusMuted {
		x.m.topo.held()
	}
	x.m.conf.Tracks[k.ID] = k
	ms := x.m.conf.Media[d.MS]
	ms.Tracks = append(ms.Tracks, k)
	t.touchTrack(k)
	x.settle(d)
	t.event("track.published", map[string]any{
		"track": k.ID, "user": d.Part.User, "device": d.ID, "kind": k.Kind, "source": k.Source,
		"label": k.Label, "stream": k.Stream,
	})
	t.out.Events[len(t.out.Events)-1].By = d.Part.User // also when a moderator let its device in
	return k
}

// stream names the synchronisation group: tracks of one msid stream of the
// client, or by default camera with microphone and screen with its sound.
func (x *tracks) stream(d *model.Device, wish, source string) ids.Stream {
	key := cmp.Or(wish, map[bool]string{true: "screen", false: "user"}[isScreen(source) || source == "screenAudio"])
	if d.Streams == nil {
		d.Streams = map[string]ids.Stream{}
	}
	if s, ok := d.Streams[key]; ok {
		return s
	}
	s := x.m.cfg.IDs.Stream()
	if len(d.Streams) < 2*x.m.cfg.Policy.MaxTracks { // a client that invents names gets ungrouped streams
		d.Streams[key] = s
	}
	return s
}

func unpublish(m *Machine, t *turn, p api.TrackParams) (any, error) {
	k := m.conf.Tracks[ids.Track(p.Track)]
	if k == nil {
		return already(), nil
	}
	if k.Device != t.dev && !policy.AtLeast(t.dev.Part.Role, api.RoleModerator) {
		return nil, errNotModerator()
	}
	if err := t.fresh(k.Rev); err != nil {
		return nil, err
	}
	m.tracks.end(t, k, "unpublished")
	return done(), nil
}

// end ends a track for good, and every subscription to it.
func (x *tracks) end(t *turn, k *model.Track, reason string) {
	k.State = model.TrackEnded
	delete(x.m.conf.Tracks, k.ID)
	if s := x.m.conf.Media[k.MS]; s != nil {
		s.Tracks = slices.DeleteFunc(s.Tracks, func(o *model.Track) bool { return o == k })
		if len(s.Past) < rememberTracks {
			s.Past[k.CID] = true
		}
	}
	x.ended.add(k.ID)
	t.touch(k.Device.Part)
	x.settle(k.Device)
	t.effect(EndTrack{k.ID, k.MS})
	for _, s := range x.m.subs.to(k) {
		x.m.subs.drop(t, s)
	}
	t.event("track.ended", map[string]any{
		"track": k.ID, "user": k.Device.Part.User, "device": k.Device.ID, "reason": reason,
	})
}

// settle derives muted-via-focus: every published medium is focus-muted.
func (x *tracks) settle(d *model.Device) {
	if d.Status != model.Connected && d.Status != model.MutedViaFocus {
		return
	}
	n, muted := 0, 0
	for _, k := range x.of(d.MS) {
		n++
		if k.FocusMuted {
			muted++
		}
	}
	d.Status = model.Connected
	if n > 0 && n == muted {
		d.Status = model.MutedViaFocus
	}
}

// of lists the tracks of a media session in order of publishing.
func (x *tracks) of(id ids.MediaSession) []*model.Track {
	if s := x.m.conf.Media[id]; s != nil {
		return slices.Clone(s.Tracks)
	}
	return nil
}

// bound lists every track that can be received, in order of publishing.
func (x *tracks) bound() []*model.Track {
	var out []*model.Track
	for _, k := range x.m.conf.Tracks {
		if k.Bound() {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b *model.Track) int { return cmp.Compare(a.Order, b.Order) })
	return out
}
