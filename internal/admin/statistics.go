package admin

import (
	"time"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/focus"
)

// Traces are the traces of connections, as this package uses them.
type Traces interface {
	State() api.Traces
	// Name is what a connection's file is called, empty while they are off.
	Name(conn string) string
	// Switch turns them on or off, for all connections.
	Switch(on bool) error
}

func statistics(c *call) (any, error) {
	s, err := c.inspect(true)
	if err != nil {
		return nil, err
	}
	out := api.ConferenceStatistics{
		Conf: s.Live.Conf, At: c.h.cfg.Now().UTC().Format(time.RFC3339Nano),
		Summary: summary(reports(s, "")), Participants: []api.ParticipantSummary{},
	}
	for _, p := range s.Participants {
		out.Participants = append(out.Participants, api.ParticipantSummary{Part: p.Part, User: p.User, Summary: summary(reports(s, p.Part))})
	}
	return out, nil
}

func participantStatistics(c *call) (any, error) {
	s, err := c.inspect(true)
	if err != nil {
		return nil, err
	}
	for _, p := range s.Participants {
		if p.Part == c.r.PathValue("part") {
			list := reports(s, p.Part)
			return api.ParticipantStatistics{Part: p.Part, User: p.User, Summary: summary(list), Connections: list}, nil
		}
	}
	return nil, errNotFound()
}

func connectionStatistics(c *call) (any, error) {
	s, err := c.inspect(true)
	if err != nil {
		return nil, err
	}
	return one(reports(s, ""), func(r api.ConnectionReport) bool { return r.Conn == c.r.PathValue("conn") })
}

// reports lists the connections that the media side knows, of one person or,
// with an empty part, of all.
func reports(s *focus.Snapshot, part string) []api.ConnectionReport {
	out := []api.ConnectionReport{}
	for _, x := range s.Connections {
		if x.Stats != nil && (part == "" || x.Part == part) {
			out = append(out, api.ConnectionReport{Conn: x.Conn, Part: x.Part, User: x.User, Device: x.Device, ConnectionStats: *x.Stats})
		}
	}
	return out
}

// summary is what several connections come to: sums of rates, the worst of all
// else.
func summary(list []api.ConnectionReport) api.Summary {
	s := api.Summary{Connections: len(list), Scores: make([]api.ScoreCount, 4)}
	for i := range s.Scores {
		s.Scores[i].From = i + 1
	}
	count := func(score float64) {
		if score >= 1 {
			s.Scores[min(int(score), 4)-1].Count++
		}
	}
	for i := range list {
		x := &list[i]
		s.RateIn, s.RateOut = s.RateIn+x.RateIn, s.RateOut+x.Goodput
		s.ScoreIn, s.ScoreOut = worst(s.ScoreIn, x.ScoreIn), worst(s.ScoreOut, x.ScoreOut)
		s.RTTMs, s.LossOut = max(s.RTTMs, x.RTTMs), max(s.LossOut, x.FractionLostOut)
		for k := range x.In {
			s.LossIn = max(s.LossIn, x.In[k].Loss)
			count(x.In[k].Score)
		}
		for k := range x.Out {
			s.Freezes += x.Out[k].Freezes
			count(x.Out[k].Score)
		}
	}
	return s
}

// worst leaves out what has no score.
func worst(a, b float64) float64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// named fills in what the traces of connections are called.
func (c *call) named(list []api.ConnectionInfo) []api.ConnectionInfo {
	for i := range list {
		if c.h.cfg.Traces != nil {
			list[i].Trace = c.h.cfg.Traces.Name(list[i].Conn)
		}
	}
	return list
}

func traces(c *call) (any, error) {
	if c.h.cfg.Traces == nil {
		return api.Traces{}, nil
	}
	return c.h.cfg.Traces.State(), nil
}

func putTraces(c *call) (any, error) {
	var in api.PutTraces
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if c.h.cfg.Traces == nil {
		return nil, fault.New(503, "no-trace-dir", "This server writes no traces")
	}
	if err := c.h.cfg.Traces.Switch(in.On); err != nil {
		return nil, err
	}
	return c.h.cfg.Traces.State(), nil
}
