package control

import (
	"container/heap"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
)

// timer is something to look at when its time has come. The function itself
// checks whether the reason still holds, so nothing is ever cancelled.
type timer struct {
	at   clock.Time
	seq  uint64 // equal times fire in order of setting
	fire func(*turn)
}

// timers is a heap of them: the next deadline costs the same in a conference
// of five and of five hundred.
type timers struct {
	heap timerHeap
	seq  uint64
}

func (m *Machine) at(when clock.Time, fire func(*turn)) {
	m.timers.seq++
	heap.Push(&m.timers.heap, timer{at: when, seq: m.timers.seq, fire: fire})
}

func (s *timers) next() clock.Time {
	if len(s.heap) == 0 {
		return 0
	}
	return s.heap[0].at
}

func (s *timers) due(now clock.Time) (func(*turn), bool) {
	if len(s.heap) == 0 || s.heap[0].at > now {
		return nil, false
	}
	return heap.Pop(&s.heap).(timer).fire, true
}

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *timerHeap) Push(x any) { *h = append(*h, x.(timer)) }

// Pop implements heap.Interface.
func (h *timerHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = timer{}
	*h = old[:len(old)-1]
	return x
}

// endedTracks remembers the last tracks that ended, so that a late command can
// be told "ended" rather than "unknown". Bounded: older ones are unknown again.
type endedTracks struct {
	set  map[ids.Track]struct{}
	list []ids.Track
}

// rememberTracks is a few hundred: races last seconds, not hours.
const rememberTracks = 256

func (e *endedTracks) add(k ids.Track) {
	if e.set == nil {
		e.set = map[ids.Track]struct{}{}
	}
	if len(e.list) == rememberTracks {
		delete(e.set, e.list[0])
		e.list = e.list[1:]
	}
	e.set[k] = struct{}{}
	e.list = append(e.list, k)
}

func (e *endedTracks) has(k ids.Track) bool {
	_, ok := e.set[k]
	return ok
}
