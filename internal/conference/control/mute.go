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

// Two flags decide whether a track is heard: the owner's, which nobody else
// ever clears, and the focus's, which moderators, floors and lost rights set.

func mute(m *Machine, t *turn, p api.MuteParams) (any, error) {
	ks, err := m.tracks.targets(t, p)
	if err != nil {
		return nil, err
	}
	changed := m.tracks.toCome(t, p, true)
	for _, k := range ks {
		changed = m.tracks.mute(t, k) || changed
	}
	if !changed {
		return already(), nil
	}
	return done(), nil
}

func unmute(m *Machine, t *turn, p api.MuteParams) (any, error) {
	ks, err := m.tracks.targets(t, p)
	if err != nil {
		return nil, err
	}
	changed := m.tracks.toCome(t, p, false)
	for _, k := range ks {
		if k.Device == t.dev && k.FocusMuted && !m.tracks.lifts(t, k) {
			return nil, fault.New(403, "focus-muted", "a moderator muted this track")
		}
	}
	for _, k := range ks {
		changed = m.tracks.unmute(t, k, wide(p)) || changed
	}
	if !changed {
		return already(), nil
	}
	return done(), nil
}

func wide(p api.MuteParams) bool { return p.Scope == "all" || p.Scope == "others" }

// targets finds the tracks that a command is about and checks that the caller
// may touch their flags.
func (x *tracks) targets(t *turn, p api.MuteParams) ([]*model.Track, error) {
	switch {
	case p.Medium != "" && p.Medium != "audio" && p.Medium != "video":
		return nil, errBadParams("medium")
	case p.Scope != "" && p.Scope != "one" && !wide(p):
		return nil, errBadParams("scope")
	case p.Track != "":
		k, err := x.target(t, p.Track)
		if err != nil {
			return nil, err
		}
		return []*model.Track{k}, t.fresh(k.Rev)
	case p.Medium == "":
		return nil, errNoTrack()
	case wide(p) && !t.moderates():
		return nil, errNotModerator()
	}
	if wide(p) {
		return x.matching(func(k *model.Track) bool {
			return k.Kind == p.Medium && (p.Scope == "all" || t.dev == nil || k.Device.Part != t.dev.Part)
		}), nil
	}
	if p.Part == "" {
		return x.matching(func(k *model.Track) bool { return k.Kind == p.Medium && k.Device == t.dev }), nil
	}
	part, err := x.m.devices.part(p.Part)
	if err != nil {
		return nil, err
	}
	if !t.moderates() && (t.dev == nil || t.dev.Part != part) {
		return nil, errNotModerator()
	}
	return x.matching(func(k *model.Track) bool { return k.Kind == p.Medium && k.Device.Part == part }), nil
}

// matching lists tracks in order of publishing.
func (x *tracks) matching(want func(*model.Track) bool) []*model.Track {
	var out []*model.Track
	for _, k := range x.m.conf.Tracks {
		if want(k) {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b *model.Track) int { return cmp.Compare(a.Order, b.Order) })
	return out
}

func (x *tracks) target(t *turn, name string) (*model.Track, error) {
	id := ids.Track(name)
	k := x.m.conf.Tracks[id]
	switch {
	case k == nil && x.ended.has(id):
		return nil, errTrackEnded()
	case k == nil:
		return nil, errNoTrack()
	case k.Device != t.dev && !t.moderates():
		return nil, errNotModerator()
	}
	return k, nil
}

// toCome sets or lifts the rule that tracks to come of a medium start muted.
func (x *tracks) toCome(t *turn, p api.MuteParams, on bool) bool {
	if !wide(p) || p.Track != "" {
		return false
	}
	changed := x.m.conf.JoinMuted[p.Medium] != on
	if changed {
		delete(x.m.conf.JoinMuted, p.Medium)
		if on {
			x.m.conf.JoinMuted[p.Medium] = true
		}
		t.touch(nil)
	}
	if !on {
		for _, part := range x.m.conf.Participants {
			for source := range part.FocusMuted {
				if kindOf(source) == p.Medium {
					delete(part.FocusMuted, source)
				}
			}
		}
	}
	return changed
}

// joinMuted reports whether a new track of a person starts muted by the rule
// for tracks to come. Moderators, who set it, are not silenced by it.
func (x *tracks) joinMuted(p *model.Participant, kind string) bool {
	return x.m.conf.JoinMuted[kind] && !policy.AtLeast(p.Role, api.RoleModerator)
}

func (x *tracks) mute(t *turn, k *model.Track) bool {
	was := k.Muted()
	if k.Device == t.dev {
		if k.SelfMuted {
			return false
		}
		k.SelfMuted, k.Asked = true, ""
	} else {
		if k.Held&model.HeldByModerator != 0 {
			return false
		}
		k.Hold(model.HeldByModerator, true)
		k.Device.Part.FocusMuted[k.Source] = true
	}
	x.muteChanged(t, k, was)
	return true
}

// unmute clears the flag that is the caller's to clear. Whose own flag is set
// is asked: nobody but its owner opens a microphone.
func (x *tracks) unmute(t *turn, k *model.Track, many bool) bool {
	was, held := k.Muted(), k.Held
	if t.moderates() {
		k.Hold(model.HeldByModerator, false)
		delete(k.Device.Part.FocusMuted, k.Source)
	}
	opened := k.Device == t.dev && k.SelfMuted
	if opened {
		k.SelfMuted, k.Asked = false, ""
	}
	if opened || k.Held != held {
		x.muteChanged(t, k, was)
	}
	ask := k.Device != t.dev && k.SelfMuted && !many
	if ask {
		k.Asked = t.caller.Session
		t.tell(k.Device.Session, "unmute.requested", map[string]any{"track": k.ID})
	}
	return opened || ask || k.Held != held
}

// lifts reports whether the caller's unmuting of an own track clears all that
// mutes it: a moderator lifts what moderators did, also to themselves.
func (x *tracks) lifts(t *turn, k *model.Track) bool {
	return t.moderates() && k.Held == model.HeldByModerator
}

// declineUnmute tells the moderator who asked that the owner prefers silence.
func declineUnmute(m *Machine, t *turn, p api.TrackParams) (any, error) {
	k := m.conf.Tracks[ids.Track(p.Track)]
	switch {
	case k == nil && m.tracks.ended.has(ids.Track(p.Track)):
		return nil, errTrackEnded()
	case k == nil || k.Device != t.dev:
		return nil, errNoTrack()
	case k.Asked == "":
		return already(), nil
	}
	fields := map[string]any{"track": k.ID, "user": k.Device.Part.User}
	if d := m.bySession[k.Asked]; d != nil {
		t.tell(k.Asked, "unmute.declined", fields)
	} else {
		t.tellModerators("unmute.declined", fields)
	}
	k.Asked = ""
	return done(), nil
}

func (x *tracks) muteChanged(t *turn, k *model.Track, was bool) {
	t.touchTrack(k)
	x.settle(k.Device)
	x.m.topo.held()
	if k.Muted() != was {
		t.effect(MuteTrack{k.ID, k.Muted()})
	}
	t.event("track.muted", map[string]any{
		"track": k.ID, "user": k.Device.Part.User, "muted": k.Muted(), "mutedBy": k.MutedBy(),
	})
}

// hold sets or clears a reason of the focus and tells about it.
func (x *tracks) hold(t *turn, k *model.Track, why model.Hold, on bool) {
	if was := k.Muted(); (k.Held&why != 0) != on {
		k.Hold(why, on)
		x.muteChanged(t, k, was)
	}
}
