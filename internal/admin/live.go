package admin

import (
	"slices"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/focus"
)

// inspect reads the running conference of the path: 409 when it is known and
// does not run, 404 when nobody knows it.
func (c *call) inspect(stats bool) (*focus.Snapshot, error) {
	s, err := c.h.cfg.Conferences.Inspect(c.r.Context(), c.uri, stats)
	if err == nil {
		return s, nil
	}
	if fault.From(err).Code == 404 {
		if _, _, ok := c.h.cfg.Definitions.Get(c.uri); ok {
			return nil, fault.New(409, "not-active", "The conference is not active")
		}
		return nil, errNotFound()
	}
	return nil, err
}

func participants(c *call) (any, error) {
	s, err := c.inspect(false)
	if err != nil {
		return nil, err
	}
	return api.Participants{Participants: s.Participants}, nil
}

func participant(c *call) (any, error) {
	s, err := c.inspect(false)
	if err != nil {
		return nil, err
	}
	return one(s.Participants, func(p api.ParticipantInfo) bool { return p.Part == c.r.PathValue("part") })
}

func devices(c *call) (any, error) {
	s, err := c.inspect(false)
	if err != nil {
		return nil, err
	}
	return api.Devices{Devices: s.Devices}, nil
}

func sessions(c *call) (any, error) {
	s, err := c.inspect(false)
	if err != nil {
		return nil, err
	}
	return api.Sessions{Sessions: s.Sessions}, nil
}

func connections(c *call) (any, error) {
	s, err := c.inspect(true)
	if err != nil {
		return nil, err
	}
	for _, x := range s.Connections { // streams are in the statistics of one
		if x.Stats != nil {
			x.Stats.In, x.Stats.Out = nil, nil
		}
	}
	return api.Connections{Connections: c.named(s.Connections)}, nil
}

func connection(c *call) (any, error) {
	s, err := c.inspect(true)
	if err != nil {
		return nil, err
	}
	return one(c.named(s.Connections), func(x api.ConnectionInfo) bool { return x.Conn == c.r.PathValue("conn") })
}

func tracks(c *call) (any, error) {
	s, err := c.inspect(false)
	if err != nil {
		return nil, err
	}
	return api.Tracks{Tracks: s.Tracks}, nil
}

func one[T any](list []T, is func(T) bool) (any, error) {
	i := slices.IndexFunc(list, is)
	if i < 0 {
		return nil, errNotFound()
	}
	return list[i], nil
}
