package control

import (
	"slices"

	"parley/api"
	"parley/internal/conference/model"
)

// hands is the row of raised hands, longest raised first.
type hands struct {
	m  *Machine
	up []*model.Participant
}

func raiseHand(m *Machine, t *turn, _ api.PartParams) (any, error) {
	p := t.dev.Part
	if p.HandRank > 0 {
		return api.HandResult{Rank: p.HandRank, Already: true}, nil
	}
	h := &m.hands
	h.up = append(h.up, p)
	p.Hand, p.HandRank = t.now, len(h.up)
	h.changed(t, p)
	return api.HandResult{Rank: p.HandRank}, nil
}

func lowerHand(m *Machine, t *turn, p api.PartParams) (any, error) {
	if p.Part == "" && t.dev == nil {
		return nil, errBadParams("part")
	}
	var part *model.Participant
	if p.Part == "" {
		part = t.dev.Part
	} else {
		var err error
		if part, err = m.devices.part(p.Part); err != nil {
			return nil, err
		}
	}
	if !t.moderates() && part != t.dev.Part {
		return nil, errNotModerator()
	}
	if part.HandRank == 0 {
		return already(), nil
	}
	m.hands.lower(t, part)
	return done(), nil
}

// lower takes a hand out of the row; those behind move up.
func (h *hands) lower(t *turn, p *model.Participant) {
	i := slices.Index(h.up, p)
	if i < 0 {
		return
	}
	h.up = slices.Delete(h.up, i, i+1)
	p.Hand, p.HandRank = 0, 0
	for n, o := range h.up[i:] {
		o.HandRank = i + n + 1
		t.touch(o)
	}
	h.changed(t, p)
}

func (h *hands) changed(t *turn, p *model.Participant) {
	t.touch(p)
	fields := map[string]any{"part": p.ID, "user": p.User, "raised": p.HandRank > 0}
	if p.HandRank > 0 {
		fields["rank"] = p.HandRank
	}
	t.event("hand.changed", fields)
}
