package speaker

import (
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/graph"
	"parley/internal/media/plane"
)

const step = 20 * time.Millisecond

// talk runs the detector for d with fixed levels by track and returns the events.
func talk(d *Detector, now *clock.Time, span time.Duration, levels map[graph.TrackID]uint8) (events [][]plane.Speaker) {
	for end := now.Add(span); *now < end; *now = now.Add(step) {
		for id := graph.TrackID(0); id < 8; id++ {
			if l, ok := levels[id]; ok {
				d.Level(*now, id, ids.Track(rune('a'+id)), l)
			}
		}
		if *now%clock.Time(Every) < clock.Time(step) {
			if l, ok := d.Tick(*now); ok {
				events = append(events, append([]plane.Speaker(nil), l...))
			}
		}
	}
	return events
}

func TestDominantFollowsTheTalker(t *testing.T) {
	var d Detector
	now := clock.Time(time.Second)
	ev := talk(&d, &now, 3*time.Second, map[graph.TrackID]uint8{0: 30, 1: 90})
	if len(ev) != 1 || ev[0][0].Track != "a" || len(ev[0]) != 1 {
		t.Fatalf("first: %v", ev)
	}
	ev = talk(&d, &now, 4*time.Second, map[graph.TrackID]uint8{0: 100, 1: 30})
	if len(ev) == 0 || ev[len(ev)-1][0].Track != "b" {
		t.Fatalf("second: %v", ev)
	}
	ev = talk(&d, &now, 4*time.Second, map[graph.TrackID]uint8{0: 127, 1: 127})
	if len(ev) == 0 || len(ev[len(ev)-1]) != 0 {
		t.Fatalf("silence: %v", ev)
	}
}

func TestACoughDoesNotTakeTheStage(t *testing.T) {
	var d Detector
	now := clock.Time(time.Second)
	talk(&d, &now, 3*time.Second, map[graph.TrackID]uint8{0: 30, 1: 127})
	ev := talk(&d, &now, 200*time.Millisecond, map[graph.TrackID]uint8{0: 30, 1: 5})
	ev = append(ev, talk(&d, &now, 3*time.Second, map[graph.TrackID]uint8{0: 30, 1: 127})...)
	for _, e := range ev {
		if len(e) > 0 && e[0].Track != "a" {
			t.Fatalf("lost the stage: %v", ev)
		}
	}
}

func TestEventsAreRare(t *testing.T) {
	var d Detector
	now := clock.Time(time.Second)
	n := 0
	for i := range 40 { // the second speaker comes and goes four times a second
		l := uint8(45)
		if i%2 == 0 {
			l = 127
		}
		n += len(talk(&d, &now, 250*time.Millisecond, map[graph.TrackID]uint8{0: 20, 1: l}))
	}
	if n > 11 {
		t.Fatalf("%d events in 10 s", n)
	}
}
