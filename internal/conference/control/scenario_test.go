package control_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
	"parley/internal/conference/model"
	"parley/internal/conference/notify"
	"parley/internal/conference/policy"
)

var rewrite = flag.Bool("rewrite", false, "write the scenarios' outcomes instead of comparing")

const scenarios = "../../../test/scenarios"

// TestScenarios plays the golden dialogues. See README.md beside them.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(scenarios, "*.txt"))
	if err != nil || len(files) < 15 {
		t.Fatalf("scenarios missing: %d files, %v", len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *rewrite {
				if err := os.WriteFile(f, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("dialogue differs; got:\n%s", firstDifference(got, string(want)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			lo := max(0, i-3)
			return fmt.Sprintf("line %d\n got: %s\nwant: %s", i+1, strings.Join(g[lo:i+1], "\n"), strings.Join(w[min(lo, len(w)):min(i+1, len(w))], "\n"))
		}
	}
	return "shorter"
}

// stage is one dialogue being played.
type stage struct {
	t      *testing.T
	m      *control.Machine
	cfg    control.Config
	people map[string]control.Caller
	now    clock.Time
	doc    *info.Document
	out    bytes.Buffer
	keys   map[string]string // wire form → name
	rooms
	lives map[*control.Machine]*lives
	had   map[ids.Session]held // media of those who are gone: facts about it may come late

	notifier *notify.Notifier // with a follower
	follower *follower
}

type held struct {
	ms   ids.MediaSession
	conn ids.Connection
}

const epoch = clock.Time(time.Second)

func newStage(t *testing.T) *stage {
	s := &stage{t: t, now: epoch, people: map[string]control.Caller{}, keys: map[string]string{}}
	s.cfg = control.Config{
		ID: "conf_1", URI: "standup", IDs: countedIDs(), Policy: policy.Default(),
		Anchor: clock.Anchor{Mono: epoch, Unix: time.Date(2031, 5, 6, 9, 0, 0, 0, time.UTC).UnixNano()},
	}
	s.m = control.NewMachine(s.cfg)
	return s
}

// countedIDs numbers everything, so that a dialogue reads the same each time.
func countedIDs() control.IDs {
	n := map[string]int{}
	next := func(prefix string) string {
		n[prefix]++
		return prefix + strconv.Itoa(n[prefix])
	}
	src := uint32(1000)
	return control.IDs{
		Participant:  func() ids.Participant { return ids.Participant(next("part_")) },
		Connection:   func() ids.Connection { return ids.Connection(next("conn_")) },
		MediaSession: func() ids.MediaSession { return ids.MediaSession(next("ms_")) },
		Stream:       func() ids.Stream { return ids.Stream(next("str_")) },
		Track:        func() ids.Track { return ids.Track(next("trk_")) },
		Subscription: func() ids.Subscription { return ids.Subscription(next("sub_")) },
		Source:       func() uint32 { src++; return src },
		Conference:   func() ids.Conference { return ids.Conference(next("conf_s")) },
		Token:        func() string { return next("token") },
	}
}

// play runs the commands of a dialogue and returns it with its outcomes.
func play(t *testing.T, script string) string {
	s := newStage(t)
	for _, line := range strings.Split(strings.TrimRight(script, "\n"), "\n") {
		if strings.HasPrefix(line, "  ") {
			continue // an outcome, made anew
		}
		s.out.WriteString(line + "\n")
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			s.do(spellKeys(line, s.keys))
		}
	}
	return nameKeys(s.out.String(), s.keys)
}

func (s *stage) do(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "afresh":
		s.afresh()
	case "lease":
		n, err := strconv.ParseUint(rest, 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		s.step(control.Command{Method: control.LeaseLost, Params: control.Lease{Epoch: n}})
	case "server":
		s.server(rest)
	case "person":
		s.person(rest)
	case "wait":
		s.wait(rest)
	case "link":
		s.link(rest)
	case "packet":
		s.step(control.Command{Method: control.TrackHeard, Params: control.Heard{Track: ids.Track(rest)}})
	case "path": // "path ana weak"
		who, how, _ := strings.Cut(rest, " ")
		ms := s.media(s.people[who].Session).ms
		s.step(control.Command{Method: control.LinkWeak, Params: control.Weak{MS: ms, Weak: how == "weak"}})
	case "bye":
		s.step(control.Command{Method: control.TrackLost, Params: control.Heard{Track: ids.Track(rest)}})
	default:
		if s.elsewhere(verb, rest) || s.following(line) {
			return
		}
		who, ok := strings.CutSuffix(verb, ":")
		if !ok {
			s.t.Fatalf("cannot read %q", line)
		}
		s.command(who, rest)
	}
}

func (s *stage) server(rest string) {
	for _, w := range strings.Fields(rest) {
		key, val, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(val)
		switch key {
		case "dev":
			s.cfg.Policy.Dev = true
		case "max-users":
			s.cfg.Policy.MaxUsers = n
		case "max-tracks":
			s.cfg.Policy.MaxTracks = n
		case "banned":
			s.cfg.Definition.Banned = strings.Split(val, ",")
		case "recorder":
			s.cfg.Recorder = true
		case "invites":
			s.cfg.Inviter = &codes{}
		case "mixes":
			s.cfg.CanMix = mixes(val)
		case "max-subscriptions":
			s.cfg.Policy.MaxSubs = n
		default:
			s.t.Fatalf("server %s?", key)
		}
	}
	s.m = control.NewMachine(s.cfg)
}

// afresh begins again with the same rules and people, for the other order.
func (s *stage) afresh() {
	s.cfg.IDs, s.now, s.doc, s.rooms, s.had = countedIDs(), epoch, nil, rooms{}, nil
	s.notifier, s.follower = nil, nil
	if s.cfg.Inviter != nil {
		s.cfg.Inviter = &codes{}
	}
	s.m = control.NewMachine(s.cfg)
}

// media is what a person has at the media side, or had last.
func (s *stage) media(who ids.Session) held {
	s.note(who)
	h, ok := s.had[who]
	if !ok {
		s.t.Fatalf("%s had no media here", who)
	}
	return h
}

func (s *stage) note(who ids.Session) {
	d := s.m.Device(who)
	if d == nil || s.m.Conference().Media[d.MS] == nil {
		return
	}
	if s.had == nil {
		s.had = map[ids.Session]held{}
	}
	s.had[who] = held{d.MS, s.m.Conference().Media[d.MS].Conn}
}

// person declares who a name is: "person ana role=moderator as=ana via=whip".
func (s *stage) person(rest string) {
	f := strings.Fields(rest)
	c := control.Caller{Session: ids.Session("sess_" + f[0]), Dialect: "ws", By: control.Principal{Subject: f[0], Name: strings.ToUpper(f[0][:1]) + f[0][1:]}}
	for _, w := range f[1:] {
		key, val, _ := strings.Cut(w, "=")
		switch key {
		case "role":
			c.By.Role, c.By.Trusted = api.Role(val), true
		case "as":
			c.By.Subject, c.By.Name = val, strings.ToUpper(val[:1])+val[1:]
		case "via":
			c.Dialect = val
		case "room":
			c.By.Room = val
		case "service":
			c.By.Service = true
		default:
			s.t.Fatalf("person %s?", key)
		}
	}
	s.people[f[0]] = c
}

func (s *stage) wait(d string) {
	span, err := time.ParseDuration(d)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(s.rooms.of) > 0 {
		s.waitAll(span)
		return
	}
	end := s.now.Add(span)
	for at := s.m.Deadline(); !at.IsZero() && at <= end; at = s.m.Deadline() {
		s.now = max(s.now, at)
		var out control.Output
		s.m.Tick(s.now, &out)
		if len(out.Events)+len(out.Effects) > 0 || s.changed() {
			fmt.Fprintf(&s.out, "  after %v\n", s.now.Sub(epoch))
		}
		s.tell(&out)
	}
	s.now = end
}

// link plays the media side: "link ana connected".
func (s *stage) link(rest string) {
	who, state, _ := strings.Cut(rest, " ")
	conn := s.media(s.people[who].Session).conn
	s.step(control.Command{Method: control.LinkChanged, Params: control.Link{Conn: conn, State: model.LinkState(state)}})
}

func (s *stage) command(who, rest string) {
	who, back := s.enter(who)
	defer back()
	c, ok := s.people[who]
	if !ok {
		s.t.Fatalf("who is %s?", who)
	}
	method, params, _ := strings.Cut(rest, " ")
	cmd := control.Command{Method: method, Caller: c}
	switch method {
	case "answered": // the media side accepted the open offer: sections and what they carry
		n := control.Negotiated{MS: s.media(c.Session).ms}
		if err := json.Unmarshal([]byte(params), &n.Bound); err != nil {
			s.t.Fatal(err)
		}
		for _, sub := range s.m.Subscriptions(n.MS) {
			n.Active = append(n.Active, sub.ID)
		}
		cmd.Method, cmd.Params = control.MediaNegotiated, n
	case control.MediaRefused:
		cmd.Params = control.Refused{MS: s.media(c.Session).ms}
	case control.SessionSuspended, control.SessionResumed:
		cmd.Params = control.Fact{}
	case control.SessionClosed:
		cmd.Params = control.Closed{Reason: params}
	case control.NodeStopping:
		cmd.Params = control.Stopping{Reason: params}
	default:
		p, err := control.Decode(method, []byte(params))
		if err != nil {
			s.answer(nil, err)
			return
		}
		cmd.Params, cmd.Dest = p, s.destination(p)
	}
	s.step(cmd)
	s.note(c.Session)
}

func (s *stage) step(c control.Command) {
	var out control.Output
	res, err := s.m.Step(s.now, c, &out)
	s.answer(res, err)
	if err != nil && len(out.Events)+len(out.Effects) > 0 {
		s.t.Fatalf("a refused command left something: %+v", out)
	}
	s.tell(&out)
}

func (s *stage) answer(res any, err error) {
	var fe *fault.Error
	if errors.As(err, &fe) {
		fmt.Fprintf(&s.out, "  answer: %d %s (%s)\n", fe.Code, fe.Reason, fe.Message)
		return
	}
	if w, ok := res.(control.Waiting); ok {
		fmt.Fprintf(&s.out, "  answer: 182 for now, %s waits as %s (%s)\n", w.Ticket.User, w.Ticket.Part, w.Ticket.Reason)
		return
	}
	b, err := json.Marshal(res)
	if err != nil {
		s.t.Fatal(err)
	}
	if j, ok := res.(api.JoinResult); ok { // the parts that differ
		b = []byte(joined(j))
	}
	if string(b) == "{}" || string(b) == "null" {
		b = nil
	}
	fmt.Fprintf(&s.out, "%s\n", strings.TrimRight("  answer: 200 "+string(b), " "))
}

func (s *stage) changed() bool {
	return s.doc == nil || s.m.Conference().Rev != s.doc.Ext.Rev
}

// tell writes what a step brought: events, work for the media side, document.
func (s *stage) tell(out *control.Output) {
	for _, e := range out.Events {
		to := "everyone"
		if e.To != "" {
			to = strings.TrimPrefix(string(e.To), "sess_")
		}
		by := ""
		if e.By != "" {
			by = " by " + e.By
		}
		fmt.Fprintf(&s.out, "  %s: %s%s%s\n", hearers(to, e), e.Name, by, fields(e.Fields))
	}
	for _, e := range out.Effects {
		if line := beside(e); line != "" {
			fmt.Fprintf(&s.out, "  %s\n", line)
			continue
		}
		fmt.Fprintf(&s.out, "  media: %s\n", work(e))
	}
	s.watch()
	s.document()
	s.notices()
	s.deliver(out)
}

func fields(m map[string]any) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if s, ok := m[k].(string); ok && strings.ContainsAny(s, "\r\n") { // a line of a dialogue is a line
			fmt.Fprintf(&b, " %s=%q", k, s)
			continue
		}
		fmt.Fprintf(&b, " %s=%v", k, m[k])
	}
	return b.String()
}

func work(e control.Effect) string {
	switch e := e.(type) {
	case control.CloseMedia:
		return fmt.Sprintf("close %s of %s (%s)", e.Conn, e.MS, e.Reason)
	case control.EndTrack:
		return fmt.Sprintf("end %s", e.Track)
	case control.MuteTrack:
		return fmt.Sprintf("forwarding of %s is %s", e.Track, map[bool]string{true: "stopped", false: "resumed"}[e.Muted])
	case control.WantSub:
		return fmt.Sprintf("%s wants %s on %s", e.Sub.ID, e.Sub.Track.ID, e.Sub.MS)
	case control.EndSub:
		return fmt.Sprintf("end %s of %s on %s", e.Sub, e.Track, e.MS)
	case control.SayGoodbye:
		return fmt.Sprintf("goodbye to %s: %s, %s", strings.TrimPrefix(string(e.Session), "sess_"), e.Goodbye.Action, e.Goodbye.Reason)
	case control.Finished:
		return "the conference is over: " + e.Reason
	case control.Rewire:
		return rewired(e)
	case control.ReleaseMedia:
		return fmt.Sprintf("release %s of %s, next is %s", e.Old, e.MS, e.Conn)
	}
	return fmt.Sprintf("%T", e)
}

// document writes the change of the conference-info document.
func (s *stage) document() {
	next := info.Build(s.m.Conference(), s.m.Users(), info.View{Anchor: s.cfg.Anchor, Labels: control.Labels, Group: info.Moderators}, s.doc)
	if s.doc == nil {
		s.doc = &info.Document{}
		for _, l := range rows(nil, next.Users) {
			fmt.Fprintf(&s.out, "  roster: %s\n", l)
		}
	} else if d := info.Diff(s.doc, next); d != nil {
		if c := d.ConferenceState; c != nil {
			fmt.Fprintf(&s.out, "  document: %d in the room, active=%v%s\n", *c.UserCount, *c.Active, map[bool]string{true: ", locked"}[*c.Locked])
		}
		for _, l := range rules(s.doc, next) {
			fmt.Fprintf(&s.out, "  document: %s\n", l)
		}
		for _, l := range rows(s.doc.Users, d.Users) {
			fmt.Fprintf(&s.out, "  roster: %s\n", l)
		}
	}
	s.doc = next
}

// rows describes a roster or its change, one line an endpoint.
func rows(_, u *info.Users) []string {
	if u == nil {
		return nil
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(u.User)) {
		user := u.User[name]
		if user.State == info.Deleted {
			out = append(out, name+" is off the list")
			continue
		}
		if l := person(user); l != "" {
			out = append(out, name+l)
		}
		for _, dev := range slices.Sorted(maps.Keys(user.Endpoint)) {
			out = append(out, row(name, user, dev, user.Endpoint[dev]))
		}
	}
	return out
}

func row(name string, user *info.User, dev string, e *info.Endpoint) string {
	words := []string{name}
	if user.DisplayText != "" {
		words = append(words, fmt.Sprintf("%q", user.DisplayText))
	}
	words = append(words, user.Roles...)
	words = append(words, "on "+dev, "("+string(e.State)+")")
	if e.State == info.Deleted {
		return name + " on " + dev + " is off the list"
	}
	for _, w := range []string{e.Status, e.DisconnectionMethod} {
		if w != "" {
			words = append(words, w)
		}
	}
	if e.DisconnectionInfo != nil && e.DisconnectionInfo.Reason != "" {
		words = append(words, "because "+e.DisconnectionInfo.Reason)
	}
	if e.Ext != nil && e.Ext.Reachability != "ok" {
		words = append(words, e.Ext.Reachability)
	}
	if user.CascadedFocus != "" {
		words = append(words, "focus of "+user.CascadedFocus)
	}
	words = append(words, equipped(e)...)
	for _, id := range slices.Sorted(maps.Keys(e.Media)) {
		m := e.Media[id]
		words = append(words, fmt.Sprintf("[%s %s %s%s%s]", id, m.Label, m.Status, prefixed(" muted by ", m.Ext.MutedBy), prefixed(" source ", m.SrcID)))
	}
	return strings.Join(words, " ")
}

func prefixed(p, s string) string {
	if s == "" {
		return ""
	}
	return p + s
}
