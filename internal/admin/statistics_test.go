package admin

import (
	"testing"

	"parley/api"
	"parley/internal/base/fault"
)

func TestStatisticsOfARunningConference(t *testing.T) {
	h := open(t)
	h.want(201, "POST", "/conferences", `{"uri":"standup"}`)
	h.want(409, "GET", "/conferences/standup/statistics", "")
	h.want(200, "POST", "/conferences/standup/commands/conference.start", `{}`)
	ana := h.join("standup", "sip:ana@x")
	bob := h.join("standup", "sip:bob@x")

	m := h.want(200, "GET", "/conferences/standup/statistics", "")
	s := m["summary"].(object)
	if s["connections"].(float64) != 2 || s["rateIn"].(float64) != 140 || s["rateOut"].(float64) != 60 || s["scoreIn"].(float64) != 3.4 ||
		s["scoreOut"].(float64) != 4.6 || s["lossIn"].(float64) != 0.25 || s["freezes"].(float64) != 4 || s["rttMs"].(float64) != 1 {
		t.Errorf("%v", s)
	}
	// 3.4 falls from 3 to 4, 5 belongs to the uppermost.
	for i, want := range []float64{0, 0, 2, 2} {
		if x := s["scores"].([]any)[i].(object); x["from"].(float64) != float64(i+1) || x["count"].(float64) != want {
			t.Errorf("scores %v", s["scores"])
		}
	}
	if p := m["participants"].([]any); len(p) != 2 || p[0].(object)["user"] != "sip:ana@x" || p[1].(object)["part"] != bob.Part {
		t.Errorf("%v", p)
	}

	m = h.want(200, "GET", "/conferences/standup/participants/"+ana.Part+"/statistics", "")
	list := m["connections"].([]any)
	if m["user"] != "sip:ana@x" || len(list) != 1 {
		t.Fatalf("%v", m)
	}
	c := list[0].(object)
	if len(c["in"].([]any)) != 2 || len(c["out"].([]any)) != 1 || c["control"].(object)["feedback"] != "twcc" || c["remote"] != "192.0.2.7:9" {
		t.Errorf("%v", c)
	}
	h.want(404, "GET", "/conferences/standup/participants/part_none/statistics", "")

	m = h.want(200, "GET", "/conferences/standup/connections/"+c["conn"].(string)+"/statistics", "")
	if m["part"] != ana.Part || m["out"].([]any)[0].(object)["state"] != "flowing" {
		t.Errorf("%v", m)
	}
	h.want(404, "GET", "/conferences/standup/connections/conn_none/statistics", "")
}

type switchboard struct{ on, dead bool }

func (s *switchboard) State() api.Traces { return api.Traces{On: s.on} }

func (s *switchboard) Name(string) string { return "0123456789abcdef.sqlog" }

func (s *switchboard) Switch(on bool) error {
	if s.dead {
		return fault.New(503, "no-trace-dir", "no")
	}
	s.on = on
	return nil
}

func TestTracesAreSwitched(t *testing.T) {
	h := open(t)
	if m := h.want(200, "GET", "/traces", ""); m["on"] != false {
		t.Errorf("%v", m)
	}
	h.want(503, "PUT", "/traces", `{"on":true}`)
	s := &switchboard{}
	h.h.cfg.Traces = s
	if m := h.want(200, "PUT", "/traces", `{"on":true}`); m["on"] != true || !s.on {
		t.Errorf("%v", m)
	}
	h.want(400, "PUT", "/traces", `{"on":"yes"}`)
	h.want(201, "POST", "/conferences", `{"uri":"standup","start":true}`)
	h.join("standup", "sip:ana@x")
	m := h.want(200, "GET", "/conferences/standup/connections", "")
	if c := m["connections"].([]any)[0].(object); c["trace"] != "0123456789abcdef.sqlog" {
		t.Errorf("%v", c)
	}
	if m := h.want(200, "PUT", "/traces", `{"on":false}`); m["on"] != false || s.on {
		t.Errorf("%v", m)
	}
	s.dead = true
	h.want(503, "PUT", "/traces", `{"on":true}`)
}
