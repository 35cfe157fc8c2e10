package control_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"parley/internal/conference/control"
	"parley/internal/conference/model"
)

const pageOfStates = "../../../docs/state-machines.md"

// TestStateMachinesPage compares the diagrams of the page with the tables.
func TestStateMachinesPage(t *testing.T) {
	b, err := os.ReadFile(pageOfStates)
	if err != nil {
		t.Fatal(err)
	}
	drawn := readDiagrams(string(b))
	if len(drawn) != len(model.LifeCycles) {
		t.Errorf("%d diagrams, %d tables", len(drawn), len(model.LifeCycles))
	}
	for _, l := range model.LifeCycles {
		page := drawn[l.Name]
		leads := map[string]bool{}
		for _, e := range l.Edges {
			leads[e.From] = true
			key := e.From + " " + e.To
			if page[key] != strings.ReplaceAll(e.When, ";", ",") {
				t.Errorf("%s: the page has %q for %s, the table %q", l.Name, page[key], key, e.When)
			}
			delete(page, key)
		}
		for key := range page {
			if from, to, _ := strings.Cut(key, " "); to != "" || leads[from] {
				t.Errorf("%s: the page has %q, the table not", l.Name, key)
			}
		}
	}
}

var arrow = regexp.MustCompile(`^  (\S+) --> (\S+?)(?:: (.*))?$`)

// readDiagrams reads the arrows under each heading: "from to" and what is said.
// The start and the end are empty names.
func readDiagrams(page string) map[string]map[string]string {
	out := map[string]map[string]string{}
	name := ""
	state := func(s string) string {
		if s == "[*]" {
			return ""
		}
		return strings.ReplaceAll(s, "_", "-")
	}
	for _, line := range strings.Split(page, "\n") {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			name = h
			out[name] = map[string]string{}
		} else if m := arrow.FindStringSubmatch(line); m != nil {
			out[name][state(m[1])+" "+state(m[2])] = m[3]
		}
	}
	return out
}

// lives follows the objects of a machine from step to step.
type lives struct{ was map[life]string }

type life struct {
	of  string
	key any
}

type endpointKey struct {
	p  *model.Participant
	id string
}

// see compares with what was and reports steps that the tables do not have.
func (l *lives) see(t testing.TB, m *control.Machine) {
	t.Helper()
	now := map[life]string{}
	c := m.Conference()
	now[life{model.LifeConference, c}] = string(c.Phase)
	now[life{model.LifeRecording, c}] = string(c.Recording.State)
	for _, p := range c.Participants {
		now[life{model.LifeParticipant, p}] = string(p.State)
		for id, d := range p.Devices {
			now[life{model.LifeEndpoint, endpointKey{p, string(id)}}] = string(d.Status)
			if d.Status.Live() {
				now[life{model.LifeSession, d}] = string(d.Reach)
			}
		}
	}
	for _, s := range c.Media {
		now[life{model.LifeMedia, s}], now[life{model.LifeConnection, s}] = string(s.State), string(s.Link)
	}
	for _, s := range c.Peers {
		now[life{model.LifePeer, s}] = string(s.State)
	}
	for _, k := range c.Tracks {
		now[life{model.LifeTrack, k}] = string(k.State)
	}
	for _, s := range c.Subscriptions {
		now[life{model.LifeSubscription, s}] = string(s.State)
	}
	for id, was := range l.was {
		if _, still := now[id]; still {
			continue
		}
		switch o := id.key.(type) { // gone from the conference: how did it end?
		case *model.MediaSession:
			l.step(t, id, was, map[string]string{model.LifeMedia: string(o.State), model.LifeConnection: string(o.Link)}[id.of])
		case *model.PeerSession:
			l.step(t, id, was, string(o.State))
		case *model.Track:
			l.step(t, id, was, string(o.State))
		case *model.Subscription:
			l.step(t, id, was, string(o.State))
		}
	}
	for id, is := range now {
		if l.was != nil { // the first look finds what it finds
			l.step(t, id, l.was[id], is)
		}
	}
	l.was = now
}

func (l *lives) step(t testing.TB, id life, was, is string) {
	if was == is || model.Allowed(id.of, was, is) {
		return
	}
	if was == "" { // made and moved on within one turn
		for _, c := range model.LifeCycles {
			for _, e := range c.Edges {
				if c.Name == id.of && e.From == "" && model.Allowed(id.of, e.To, is) {
					return
				}
			}
		}
	}
	t.Errorf("%s went from %q to %q", id.of, was, is)
}
