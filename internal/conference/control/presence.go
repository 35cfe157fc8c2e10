package control

import (
	"slices"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/conference/model"
)

// moods is what people say about their presence. Each changes at most once a
// second; what comes faster waits, and the last one wins.
type moods struct {
	m       *Machine
	last    map[*model.Participant]clock.Time
	waiting map[*model.Participant]model.Mood
}

const (
	moodEvery = time.Second
	maxNote   = 512 // bytes; the whole message may have 1 KiB
)

var moodStates = []string{"", "active", "away", "busy"}

func updatePresence(m *Machine, t *turn, p api.PresenceParams) (any, error) {
	if !slices.Contains(moodStates, p.State) || !validText(p.Note, maxNote) {
		return nil, errBadParams("state or note")
	}
	m.moods.set(t, t.dev.Part, model.Mood{State: p.State, Note: p.Note, Typing: p.Typing})
	return done(), nil
}

func (x *moods) set(t *turn, p *model.Participant, mood model.Mood) {
	if x.last == nil {
		x.last, x.waiting = map[*model.Participant]clock.Time{}, map[*model.Participant]model.Mood{}
	}
	last, spoke := x.last[p]
	if _, timed := x.waiting[p]; timed {
		x.waiting[p] = mood
		return
	}
	if !spoke || t.now.Sub(last) >= moodEvery {
		x.apply(t, p, mood)
		return
	}
	x.waiting[p] = mood
	x.m.at(last.Add(moodEvery), func(t *turn) {
		next, ok := x.waiting[p]
		delete(x.waiting, p)
		if ok && p.State == model.Joined {
			x.apply(t, p, next)
		}
	})
}

func (x *moods) apply(t *turn, p *model.Participant, mood model.Mood) {
	if p.Mood == mood {
		return
	}
	x.last[p] = t.now
	p.Mood = mood
	t.touch(p)
}

// forget drops what is kept of one who left.
func (x *moods) forget(p *model.Participant) {
	p.Mood = model.Mood{}
	delete(x.last, p)
	delete(x.waiting, p)
}
