package videomix

import (
	"slices"
	"strings"

	"parley/internal/base/ids"
	"parley/internal/mcu/picture"
	"parley/internal/media/plane"
)

// view is what an output wants to see; outputs with equal views share a canvas.
type view struct {
	layout string
	w, h   int
	names  bool
	pins   string     // tracks, joined
	not    ids.Device // is not shown in the prominent place
	only   ids.Track  // transcoding: this one source, nothing else
}

// place is a tile and whose track is in it, "" for people without video.
type place struct {
	picture.Tile
	track ids.Track
}

// item is one person's camera, or one screen.
type item struct {
	track  ids.Track
	device ids.Device
	name   string
	screen bool
	dark   bool // nothing to be decoded
	quiet  bool // microphone muted
}

// prominent layouts have a first place that matters.
func prominent(layout string) bool {
	switch layout {
	case picture.Single, picture.PIP, picture.Speaker, picture.FivePlus1:
		return true
	}
	return false
}

// arrange says what lies where (pure: the same room and view give the same tiles).
func arrange(room *plane.MixRoom, v view) []place {
	if v.only != "" {
		t := place{Tile: picture.Tile{Rect: picture.Rect{W: v.w, H: v.h}, Source: -1}, track: v.only}
		return []place{t}
	}
	list, screens := items(room)
	layout := v.layout
	if layout == "" || layout == picture.Automatic {
		layout = picture.Grid
		if screens > 0 && len(list) > 1 {
			layout = picture.Speaker
		}
	}
	talk := talking(room)
	list = order(list, layout, v, talk)
	at := picture.Places(layout, len(list), v.w, v.h)
	out := make([]place, 0, len(at))
	for i, r := range at {
		it := list[i]
		p := place{track: it.track}
		p.Tile = picture.Tile{
			Rect: r, Source: -1, Muted: it.quiet, NoVideo: it.dark, Initial: picture.Initials(it.name),
			Active: len(at) > 1 && len(talk) > 0 && talk[0] == it.device && !it.screen,
			Edge:   len(at) > 1,
		}
		if v.names {
			p.Name = picture.Clean(it.name)
		}
		if it.dark {
			p.track = ""
		}
		out = append(out, p)
	}
	return out
}

// items lists who can be seen in order of joining, people without a camera last.
func items(room *plane.MixRoom) (list []item, screens int) {
	quiet, seen := map[ids.Device]bool{}, map[ids.Device]bool{}
	for i := range room.Sources {
		s := &room.Sources[i]
		if s.Kind == plane.Audio && s.Source == "microphone" {
			quiet[s.Device] = s.Muted
		}
	}
	for i := range room.Sources {
		s := &room.Sources[i]
		if s.Kind != plane.Video {
			continue
		}
		it := item{track: s.Track, device: s.Device, name: s.Name, screen: s.Source == "screen", dark: s.Muted}
		if it.screen {
			if s.Muted {
				continue
			}
			screens++
		} else {
			it.quiet = quiet[s.Device]
			seen[s.Device] = true
		}
		list = append(list, it)
	}
	for i := range room.Sources {
		s := &room.Sources[i]
		if s.Kind == plane.Audio && s.Source == "microphone" && !seen[s.Device] {
			seen[s.Device] = true
			list = append(list, item{device: s.Device, name: s.Name, dark: true, quiet: s.Muted})
		}
	}
	return list, screens
}

// talking lists the speakers' devices, loudest first.
func talking(room *plane.MixRoom) (out []ids.Device) {
	for _, t := range room.Speakers {
		i := slices.IndexFunc(room.Sources, func(s plane.MixSource) bool { return s.Track == t })
		if i >= 0 && !slices.Contains(out, room.Sources[i].Device) {
			out = append(out, room.Sources[i].Device)
		}
	}
	return out
}

// order puts the most important first: pinned, screens, then for prominent
// layouts the speakers; a grid keeps its order so that nobody jumps about, but
// speakers that would not be seen take the last places of those who are silent.
func order(list []item, layout string, v view, talk []ids.Device) []item {
	pins := strings.Fields(v.pins)
	rank := func(it item) int {
		if i := slices.Index(pins, string(it.track)); i >= 0 && it.track != "" {
			return i - 1000
		}
		if it.screen {
			return -500
		}
		if i := slices.Index(talk, it.device); i >= 0 && prominent(layout) {
			return i - 100
		}
		if it.dark {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b item) int { return rank(a) - rank(b) })
	if prominent(layout) {
		return yield(list, layout, v.not)
	}
	room := picture.Shows(layout)
	if room == 0 {
		room = 25
	}
	if len(list) > room {
		promote(list, room, func(it item) bool { return !it.screen && slices.Contains(talk[:min(len(talk), 3)], it.device) })
	}
	return list
}

// yield moves a listener's own camera out of the first place.
func yield(list []item, layout string, not ids.Device) []item {
	if not == "" || len(list) < 2 || list[0].device != not || list[0].screen {
		return list
	}
	if layout == picture.Single {
		return list[1:]
	}
	list[0], list[1] = list[1], list[0]
	return list
}

// promote brings the loud ones from behind the first n into them, each in the
// place of the last silent one.
func promote(list []item, n int, loud func(item) bool) {
	for i := n; i < len(list); i++ {
		if !loud(list[i]) {
			continue
		}
		for k := n - 1; k >= 0; k-- {
			if !loud(list[k]) && !list[k].screen {
				list[i], list[k] = list[k], list[i]
				break
			}
		}
	}
}

// first is the device in the first place, for deciding whether a listener would
// see themselves there.
func first(room *plane.MixRoom, v view) ids.Device {
	if !prominent(v.layout) {
		return ""
	}
	v.not = ""
	list, _ := items(room)
	if list = order(list, v.layout, v, talking(room)); len(list) > 1 && !list[0].screen {
		return list[0].device
	}
	return ""
}
