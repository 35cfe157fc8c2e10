package main

import (
	"fmt"
	"net/url"
	"strings"

	"parley/api"
)

// roomStats is the statistics of docs/statistics.md as tables.
type roomStats struct {
	roomArg
	Part string `arg:"" optional:"" help:"A person's ID (room show): stream by stream."`
}

// Run implements the command.
func (c *roomStats) Run(s *roomServer) error {
	if c.Part != "" {
		var out api.ParticipantStatistics
		if err := s.ask("GET", conf(c.Room)+"/participants/"+url.PathEscape(c.Part)+"/statistics", nil, &out); err != nil || s.JSON {
			return err
		}
		for i := range out.Connections {
			showConnection(&out.Connections[i])
		}
		return nil
	}
	var out api.ConferenceStatistics
	if err := s.ask("GET", conf(c.Room)+"/statistics", nil, &out); err != nil || s.JSON {
		return err
	}
	rows := [][]string{}
	add := func(part, user string, x *api.Summary) {
		rows = append(rows, []string{part, user, kbits(x.RateIn), kbits(x.RateOut), percent(x.LossIn), percent(x.LossOut), fmt.Sprintf("%.0f ms", x.RTTMs), score(x.ScoreIn), score(x.ScoreOut), fmt.Sprint(x.Freezes)})
	}
	for i := range out.Participants {
		add(out.Participants[i].Part, out.Participants[i].User, &out.Participants[i].Summary)
	}
	add("all", "", &out.Summary)
	table("PART\tUSER\tIN kbit/s\tOUT kbit/s\tLOSS IN\tLOSS OUT\tRTT\tSCORE IN\tSCORE OUT\tFREEZES", rows)
	return nil
}

func showConnection(x *api.ConnectionReport) {
	fmt.Printf("%s on %s: %.0f ms, in %s kbit/s, out %s kbit/s", x.Conn, x.Device, x.RTTMs, kbits(x.RateIn), kbits(x.Goodput))
	if c := x.Control; c != nil {
		fmt.Printf(" of an estimated %s (%s)", kbits(c.Target), c.Feedback)
	}
	fmt.Println()
	rows := [][]string{}
	for i := range x.In {
		k := &x.In[i]
		state := "silent"
		if k.Live {
			state = "live"
		}
		rows = append(rows, []string{"in", k.Source, k.Track, fmt.Sprint(k.Encoding), state, k.Codec, kbits(k.Bitrate), size(k.Width, k.Height), whole(k.FPS), percent(k.Loss), fmt.Sprintf("%.0f ms", k.JitterMs), "", score(k.Score)})
	}
	for i := range x.Out {
		k := &x.Out[i]
		rows = append(rows, []string{"out", k.Source, k.Track, fmt.Sprintf("%d of %d", k.Encoding+1, max(1, k.Encodings)), k.State, k.Codec, kbits(k.Bitrate), size(k.Width, k.Height), whole(k.FPS), percent(k.Loss), fmt.Sprintf("%.0f ms", k.JitterMs), fmt.Sprint(k.Freezes), score(k.Score)})
	}
	table(strings.Join([]string{"", "SOURCE", "TRACK", "ENCODING", "STATE", "CODEC", "kbit/s", "SIZE", "FPS", "LOSS", "JITTER", "FREEZES", "SCORE"}, "\t"), rows)
}

func kbits(v uint64) string { return fmt.Sprint((v + 500) / 1000) }

func percent(v float64) string { return fmt.Sprintf("%.1f %%", v*100) }

// score leaves out what has none.
func score(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", v)
}

func size(w, h int) string {
	if w == 0 || h == 0 {
		return ""
	}
	return fmt.Sprintf("%d×%d", w, h)
}

// whole leaves out what is not known.
func whole(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f", v)
}
