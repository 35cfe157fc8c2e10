package focus

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/media/plane"
)

// fakeMixer publishes what it is asked for, and nothing more.
type fakeMixer struct {
	plane *fakePlane

	mu      sync.Mutex
	codecs  []string
	rooms   map[ids.Conference]plane.MixRoom
	outputs map[ids.Track]plane.MixOutput
	told    int
	full    bool // refuses new outputs
	wrong   []string
}

func newFakeMixer(p *fakePlane, codecs ...string) *fakeMixer {
	return &fakeMixer{plane: p, codecs: codecs, rooms: map[ids.Conference]plane.MixRoom{}, outputs: map[ids.Track]plane.MixOutput{}}
}

func (x *fakeMixer) Can(_ plane.Kind, c plane.Codec) error {
	if slices.Contains(x.codecs, c.Name) {
		return nil
	}
	return fault.New(503, "codec-missing", "install lib%s", strings.ToLower(c.Name))
}

func (x *fakeMixer) Room(r plane.MixRoom) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.rooms[r.Conf] = r
	x.told++
}

func (x *fakeMixer) Start(o plane.MixOutput) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.Can(o.Kind, o.Codec); err != nil {
		x.wrong = append(x.wrong, fmt.Sprint("output without codec: ", o.Codec.Name))
		return err
	}
	if _, runs := x.outputs[o.Track]; x.full && !runs {
		return fault.New(503, "overloaded", "full")
	}
	if _, ok := x.rooms[o.Conf]; !ok {
		x.wrong = append(x.wrong, "output before its room")
	}
	x.outputs[o.Track] = o
	x.plane.mu.Lock()
	defer x.plane.mu.Unlock()
	x.plane.tracks[o.Track] = plane.Track{Track: o.Track, Kind: o.Kind, Mixed: o.Only == "", Conn: "mixer"}
	return nil
}

func (x *fakeMixer) Stop(_ ids.Conference, t ids.Track) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.outputs[t]; !ok {
		x.wrong = append(x.wrong, "stop of what does not run")
	}
	x.drop(t)
}

func (x *fakeMixer) drop(t ids.Track) {
	delete(x.outputs, t)
	x.plane.mu.Lock()
	defer x.plane.mu.Unlock()
	delete(x.plane.tracks, t)
}

func (x *fakeMixer) End(c ids.Conference) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.rooms, c)
	for t, o := range x.outputs {
		if o.Conf == c {
			x.drop(t)
		}
	}
}

func (x *fakeMixer) Stats(ids.Track) (s plane.MixStats, ok bool) { return s, false }

// of lists the outputs for a listener: "audio mix", "video mix grid", "audio of trk".
func (x *fakeMixer) of(d ids.Device) (out []plane.MixOutput) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, o := range x.outputs {
		if o.Listener == d {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b plane.MixOutput) int { return int(a.Kind) - int(b.Kind) })
	return out
}

// limit lets the mixer be at its limit, or not any more.
func (x *fakeMixer) limit(full bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.full = full
}
