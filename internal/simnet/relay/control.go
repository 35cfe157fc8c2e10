package relay

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"parley/internal/simnet"
)

// order carries out one control line and returns the reply.
type order func(r *Relay, rest string) (string, error)

// orders of the control line. Directions are the client's: up is from client
// to server.
var orders = map[string]order{
	"up": func(r *Relay, rest string) (string, error) { return r.edit(rest, true, false) },
	"down": func(r *Relay, rest string) (string, error) {
		return r.edit(rest, false, true)
	},
	"both": func(r *Relay, rest string) (string, error) { return r.edit(rest, true, true) },
	"drop": func(r *Relay, rest string) (string, error) {
		on := map[string]string{"on": "drop=true", "off": "drop=false"}[rest]
		if on == "" {
			return "", fmt.Errorf("relay: drop on or off, not %q", rest)
		}
		return r.edit(on, true, true)
	},
	"rebind": func(r *Relay, _ string) (string, error) { return "ok", r.Rebind() },
	"target": func(r *Relay, rest string) (string, error) {
		to, err := netip.ParseAddrPort(rest)
		if err != nil {
			return "", err
		}
		return "ok", r.Target(to)
	},
	"schedule": (*Relay).planned,
	"stats": func(r *Relay, _ string) (string, error) {
		b, err := json.Marshal(r.Stats())
		return string(b), err
	},
}

// Do carries out a control line and returns its reply:
//
//	up|down|both KEY=VALUE…   see Edit
//	schedule up|down|both 0s:3M,20s:300k,50s:3M
//	drop on|off               loses everything both ways
//	rebind                    new source ports toward the server
//	target HOST:PORT
//	stats                     replies with JSON
func (r *Relay) Do(line string) (string, error) {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	do := orders[word]
	if do == nil {
		return "", fmt.Errorf("relay: no order %q", word)
	}
	return do(r, strings.TrimSpace(rest))
}

func (r *Relay) edit(words string, upward, downward bool) (string, error) {
	u, d := r.Settings()
	var err error
	if upward {
		u, err = Edit(u, words)
	}
	if downward && err == nil {
		d, err = Edit(d, words)
	}
	if err == nil {
		r.Set(u, d)
	}
	return "ok", err
}

func (r *Relay) planned(rest string) (string, error) {
	way, plan, _ := strings.Cut(rest, " ")
	if way != "up" && way != "down" && way != "both" {
		return "", fmt.Errorf("relay: no direction %q", way)
	}
	steps, err := ParseSchedule(strings.TrimSpace(plan))
	if err != nil {
		return "", err
	}
	u, d := r.Settings()
	var changes []Change
	for _, s := range steps {
		c := Change{After: s.After}
		if way != "down" {
			c.Up = withRate(u, s.Rate)
		}
		if way != "up" {
			c.Down = withRate(d, s.Rate)
		}
		changes = append(changes, c)
	}
	r.Schedule(changes...)
	return "ok", nil
}

func withRate(c simnet.Config, rate int64) *simnet.Config {
	c.Rate = rate
	return &c
}
