package worker

import (
	"parley/internal/base/clock"
	"parley/internal/media/graph"
)

// timers is a binary heap of one deadline per leg. Deadlines of a link move
// almost always later (a check arrived), so an entry is left where it is and
// asked again when it comes up; only an earlier wish moves it.
type timers struct {
	heap []timer
	pos  []int32 // by LegID: index in heap plus one, 0 = none
}

type timer struct {
	at  clock.Time
	leg graph.LegID
}

// next returns the earliest deadline, zero if none.
func (t *timers) next() clock.Time {
	if len(t.heap) == 0 {
		return 0
	}
	return t.heap[0].at
}

// want makes sure the leg is asked at or before the instant.
func (t *timers) want(leg graph.LegID, at clock.Time) {
	if at.IsZero() {
		return
	}
	for int(leg) >= len(t.pos) {
		t.pos = append(t.pos, 0)
	}
	if p := t.pos[leg]; p != 0 {
		if i := int(p - 1); at < t.heap[i].at {
			t.heap[i].at = at
			t.up(i)
		}
		return
	}
	t.heap = append(t.heap, timer{at, leg})
	t.pos[leg] = int32(len(t.heap))
	t.up(len(t.heap) - 1)
}

// due takes out the earliest entry if its time has come.
func (t *timers) due(now clock.Time) (graph.LegID, bool) {
	if len(t.heap) == 0 || t.heap[0].at > now {
		return 0, false
	}
	leg := t.heap[0].leg
	t.removeAt(0)
	return leg, true
}

// drop forgets the leg.
func (t *timers) drop(leg graph.LegID) {
	if int(leg) < len(t.pos) && t.pos[leg] != 0 {
		t.removeAt(int(t.pos[leg] - 1))
	}
}

func (t *timers) removeAt(i int) {
	last := len(t.heap) - 1
	t.pos[t.heap[i].leg] = 0
	if i != last {
		t.heap[i] = t.heap[last]
		t.pos[t.heap[i].leg] = int32(i + 1)
	}
	t.heap = t.heap[:last]
	if i < last {
		t.down(i)
		t.up(i)
	}
}

func (t *timers) swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.pos[t.heap[i].leg] = int32(i + 1)
	t.pos[t.heap[j].leg] = int32(j + 1)
}

func (t *timers) up(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if t.heap[p].at <= t.heap[i].at {
			return
		}
		t.swap(i, p)
		i = p
	}
}

func (t *timers) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(t.heap) {
			return
		}
		if c+1 < len(t.heap) && t.heap[c+1].at < t.heap[c].at {
			c++
		}
		if t.heap[i].at <= t.heap[c].at {
			return
		}
		t.swap(i, c)
		i = c
	}
}
