package control_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"parley/internal/conference/control"
	"parley/internal/conference/info"
	"parley/internal/conference/notify"
)

// follower is somebody in a dialogue who keeps a copy of the document from the
// notices that arrive.
type follower struct {
	who  string
	sub  *notify.Subscription
	copy info.Subscriber
	next string // what happens to the next notice: empty, "lost" or "late"
	late []notify.Notice
}

// following reads the lines about a follower: "bob follows", "the next notice is
// lost", "the next notice is late", "the late notice arrives".
func (s *stage) following(line string) bool {
	f := s.follower
	switch who, ok := strings.CutSuffix(line, " follows"); {
	case ok:
		s.notifier = notify.New(info.View{Anchor: s.cfg.Anchor, Labels: control.Labels}, s.m.Conference())
		s.notifier.Update(s.m.Users())
		s.follower = &follower{who: who}
		var out []notify.Notice
		s.follower.sub, out = s.notifier.Subscribe(s.now, notify.Options{User: s.people[who].By.Subject, Throttle: time.Nanosecond}, nil)
		s.arrive(out)
	case line == "the next notice is lost":
		f.next = "lost"
	case line == "the next notice is late":
		f.next = "late"
	case line == "the late notice arrives":
		list := f.late
		f.late = nil
		s.come(list)
	default:
		return false
	}
	return true
}

// notices sends a follower what is new.
func (s *stage) notices() {
	if s.notifier == nil {
		return
	}
	s.notifier.Update(s.m.Users())
	s.now++ // a throttle of a nanosecond
	s.arrive(s.notifier.Flush(s.now, nil))
}

// arrive carries notices over a way that may lose or delay the next one.
func (s *stage) arrive(list []notify.Notice) {
	f := s.follower
	for _, n := range list {
		switch f.next {
		case "lost":
			fmt.Fprintf(&s.out, "  notice %d to %s: %s, lost\n", n.Version, f.who, n.State)
		case "late":
			fmt.Fprintf(&s.out, "  notice %d to %s: %s, under way\n", n.Version, f.who, n.State)
			f.late = append(f.late, n)
		default:
			s.notice(n)
		}
		f.next = ""
	}
}

func (s *stage) come(list []notify.Notice) {
	for _, n := range list {
		s.notice(n)
	}
}

// notice is one that has come: what the follower makes of it, and that a copy it
// holds to be whole is the truth.
func (s *stage) notice(n notify.Notice) {
	f, d := s.follower, new(info.Document)
	if err := json.Unmarshal(n.Body, d); err != nil {
		s.t.Fatal(err)
	}
	before := info.AppendXML(nil, orEmpty(f.copy.Doc))
	verdict := f.copy.Accept(d)
	after := info.AppendXML(nil, orEmpty(f.copy.Doc))
	says := map[info.Verdict]string{info.Accepted: "taken", info.Discarded: "older than the copy, thrown away", info.Refresh: "one is missing, asks for everything", info.Over: "over"}
	fmt.Fprintf(&s.out, "  notice %d to %s: %s, %s\n", n.Version, f.who, n.State, says[verdict])
	if verdict != info.Accepted && verdict != info.Over && !slices.Equal(before, after) {
		s.t.Errorf("a notice that was not taken changed the copy of %s", f.who)
	}
	switch verdict {
	case info.Refresh:
		s.arrive(s.notifier.Again(s.now, f.sub, nil))
	case info.Accepted:
		truth := info.Build(s.m.Conference(), s.m.Users(), info.View{Anchor: s.cfg.Anchor, Labels: control.Labels, Group: f.sub.Group()}, nil)
		if diff := info.Diff(f.copy.Doc, truth); diff != nil && (diff.Users != nil || diff.ConferenceState != nil || diff.Description != nil) {
			s.t.Errorf("after notice %d the copy of %s is not the truth: %+v", n.Version, f.who, diff)
		}
	}
}

func orEmpty(d *info.Document) *info.Document {
	if d == nil {
		return &info.Document{}
	}
	return d
}
