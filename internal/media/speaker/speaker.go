// Package speaker finds out who is talking from the audio levels clients put
// into their packets (RFC 6464), without decoding anything. Levels are claims
// of the sender: good enough to choose what is shown, not to bill by. Pure
// state, one goroutine.
package speaker

import (
	"cmp"
	"slices"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
)

// Silent is the level of digital silence, also used for "not known".
const Silent = 127

const (
	// attack and decay smooth the loudness: a cough must not take the stage, a
	// breath must not lose it.
	attack = 250 * time.Millisecond
	decay  = 1200 * time.Millisecond
	// speaking is the smoothed level, -dBov, from which someone counts as
	// talking; room noise lies below, quiet speech above.
	speaking = 55
	// lead is by how many dB a challenger must be louder, and hold for how long.
	lead = 4
	hold = 600 * time.Millisecond
	// gone is after how long without packets a microphone counts as silent.
	gone  = 300 * time.Millisecond
	pause = time.Second // between events, unless the dominant speaker changes
	// Every is how often Tick wants to run.
	Every = 200 * time.Millisecond
	// maxList bounds an event.
	maxList = 16
)

type entry struct {
	id    graph.TrackID
	track ids.Track
	loud  float64 // 127 - level, smoothed
	last  clock.Time
	ahead clock.Time // since when it beats the dominant one
}

// Detector watches the audio tracks of one conference.
type Detector struct {
	all      []entry
	dominant ids.Track
	told     []ids.Track
	toldAt   clock.Time
	list     []plane.Speaker
	order    []int
}

// Level takes the level of one packet.
func (d *Detector) Level(now clock.Time, id graph.TrackID, track ids.Track, level uint8) {
	loud := float64(Silent - min(level, Silent))
	for i := range d.all {
		e := &d.all[i]
		if e.id != id {
			continue
		}
		e.smooth(now, loud)
		return
	}
	d.all = append(d.all, entry{id: id, track: track, loud: loud / 2, last: now})
}

func (e *entry) smooth(now clock.Time, loud float64) {
	tau := decay
	if loud > e.loud {
		tau = attack
	}
	dt := now.Sub(e.last)
	if dt <= 0 {
		return
	}
	e.loud += (loud - e.loud) * min(1, float64(dt)/float64(tau))
	e.last = now
}

// Remove forgets a track.
func (d *Detector) Remove(id graph.TrackID) {
	d.all = slices.DeleteFunc(d.all, func(e entry) bool { return e.id == id })
}

// Tick lets silence pass and returns a new list, loudest first with the
// dominant speaker in front, when it should be told. The list is valid until
// the next call.
func (d *Detector) Tick(now clock.Time) ([]plane.Speaker, bool) {
	for i := range d.all {
		if e := &d.all[i]; now.Sub(e.last) > gone {
			e.smooth(now, 0)
		}
	}
	changed := d.elect(now)
	d.rank()
	same := slices.EqualFunc(d.list, d.told, func(s plane.Speaker, t ids.Track) bool { return s.Track == t })
	if same || (!changed && d.toldAt != 0 && now.Sub(d.toldAt) < pause) {
		return nil, false
	}
	d.toldAt = now
	d.told = d.told[:0]
	for _, s := range d.list {
		d.told = append(d.told, s.Track)
	}
	return d.list, true
}

// elect decides who is dominant; true if that changed.
func (d *Detector) elect(now clock.Time) bool {
	var cur, best *entry
	for i := range d.all {
		e := &d.all[i]
		if e.track == d.dominant {
			cur = e
		}
		if best == nil || e.loud > best.loud {
			best = e
		}
	}
	if best == nil || !best.speaks() || best == cur {
		return false // the last one to speak stays dominant in silence
	}
	if cur != nil && cur.speaks() {
		if best.loud < cur.loud+lead {
			best.ahead = 0
			return false
		}
		if best.ahead == 0 {
			best.ahead = now
		}
		if now.Sub(best.ahead) < hold {
			return false
		}
	}
	best.ahead = 0
	d.dominant = best.track
	return true
}

func (e *entry) speaks() bool { return e.loud >= Silent-speaking }

func (d *Detector) rank() {
	d.order = d.order[:0]
	for i := range d.all {
		if d.all[i].speaks() {
			d.order = append(d.order, i)
		}
	}
	slices.SortStableFunc(d.order, func(a, b int) int {
		x, y := &d.all[a], &d.all[b]
		if (x.track == d.dominant) != (y.track == d.dominant) {
			if x.track == d.dominant {
				return -1
			}
			return 1
		}
		return cmp.Compare(int(y.loud/6), int(x.loud/6)) // in steps, so that the list keeps still
	})
	d.list = d.list[:0]
	for _, i := range d.order[:min(len(d.order), maxList)] {
		d.list = append(d.list, plane.Speaker{Track: d.all[i].track, Level: uint8(Silent - d.all[i].loud)})
	}
}

// Dominant returns who speaks, or spoke last; "" when nobody has yet.
func (d *Detector) Dominant() ids.Track { return d.dominant }

// Empty reports that nothing is watched.
func (d *Detector) Empty() bool { return len(d.all) == 0 }
