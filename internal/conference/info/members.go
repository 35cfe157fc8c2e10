package info

import (
	"maps"
	"slices"

	"parley/internal/conference/model"
)

// Hand is a raised hand; rank 1 was raised first.
type Hand struct {
	Raised bool   `json:"raised"`
	At     string `json:"at"`
	Rank   int    `json:"rank"`
}

// Mood is the member "presence": what a person says about theirs.
type Mood struct {
	State  string `json:"state,omitempty"` // active, away, busy
	Note   string `json:"note,omitempty"`
	Typing bool   `json:"typing,omitempty"`
}

// Floor is the right over a medium: who holds it and who wants it.
type Floor struct {
	Floor    string         `json:"floor"` // label of the medium
	Requests []FloorRequest `json:"requests,omitempty"`
}

// FloorRequest is one request: holders come first, then the queue.
type FloorRequest struct {
	Request string `json:"request"`
	User    string `json:"user"`
	Status  string `json:"status"` // granted, accepted, pending
	Queue   int    `json:"queue,omitempty"`
}

// conferenceMembers are the members of the root for a view. How many wait is
// for moderators; who waits learns nothing of the conference.
func conferenceMembers(c *model.Conference, v View) ConferenceMembers {
	m := ConferenceMembers{Rev: c.Rev}
	if v.Group == Waiting {
		return m
	}
	m.Muted = slices.Sorted(maps.Keys(c.JoinMuted))
	rules := c.Conditions // documents are compared later, when these have changed
	m.Policy = &rules
	for _, f := range c.Floors {
		out := Floor{Floor: f.Label}
		for _, r := range f.Requests {
			out.Requests = append(out.Requests, FloorRequest{r.ID, v.Name(c, r.User), string(r.Status), r.Queue})
		}
		m.Floors = append(m.Floors, out)
	}
	if v.Group == Moderators {
		m.LobbyCount = c.Lobby
	}
	branchMembers(&m, c, v)
	return m
}

// userMembers are the members of a user for a view.
func userMembers(p *model.Participant, v View) UserMembers {
	m := UserMembers{Part: string(p.ID)}
	if p.HandRank > 0 {
		m.Hand = &Hand{Raised: true, At: When(v.Anchor, p.Hand), Rank: p.HandRank}
	}
	if p.Mood != (model.Mood{}) {
		m.Presence = &Mood{p.Mood.State, p.Mood.Note, p.Mood.Typing}
	}
	return m
}
