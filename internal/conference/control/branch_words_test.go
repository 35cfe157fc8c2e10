package control_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
	"parley/internal/conference/model"
)

// Several conferences in a dialogue: a main one and what belongs to it.

// rooms are the other machines of a stage, and what they tell each other.
type rooms struct {
	of   map[ids.Conference]*branchRoom
	at   ids.Conference // whose turn it is; empty: the main conference
	held bool           // what they tell each other waits
	mail []control.ToRoom
}

type branchRoom struct {
	m   *control.Machine
	doc *info.Document
	uri string
}

// codes makes invite codes that a dialogue can show.
type codes struct{ n int }

func (c *codes) Invite(room string, role api.Role, _ time.Duration) (string, error) {
	c.n++
	return fmt.Sprintf("%s-as-%s-%d", room, role, c.n), nil
}

// watch sees that every object lives as the tables say.
func (s *stage) watch() {
	if s.lives == nil {
		s.lives = map[*control.Machine]*lives{}
	}
	if s.lives[s.m] == nil {
		s.lives[s.m] = &lives{}
	}
	s.lives[s.m].see(s.t, s.m)
}

// enter goes to the conference of "ana@standup+sb1" and returns the way back.
func (s *stage) enter(who string) (string, func()) {
	name, place, elsewhere := strings.Cut(who, "@")
	if !elsewhere {
		return who, func() {}
	}
	for id, r := range s.rooms.of {
		if r.uri == place {
			return name, s.goTo(id)
		}
	}
	s.t.Fatalf("no conference %s", place)
	return "", nil
}

func (s *stage) goTo(id ids.Conference) func() {
	from := s.rooms.at
	if from == id || id == s.cfg.ID && from == "" {
		return func() {}
	}
	s.put(from)
	s.take(id)
	return func() {
		s.put(s.rooms.at)
		s.take(from)
	}
}

// put keeps the machine in hand where it belongs; take brings another.
func (s *stage) put(id ids.Conference) {
	if id == "" {
		id = s.cfg.ID
	}
	r := s.rooms.of[id]
	r.m, r.doc = s.m, s.doc
}

func (s *stage) take(id ids.Conference) {
	if id == "" {
		id = s.cfg.ID
	}
	r := s.rooms.of[id]
	s.m, s.doc, s.rooms.at = r.m, r.doc, id
	if id == s.cfg.ID {
		s.rooms.at = ""
	}
}

func (s *stage) makeRoom(c control.Config) {
	if s.rooms.of == nil {
		s.rooms.of = map[ids.Conference]*branchRoom{s.cfg.ID: {m: s.m, doc: s.doc, uri: s.cfg.URI}}
	}
	c.Anchor, c.IDs = s.cfg.Anchor, s.cfg.IDs
	s.rooms.of[c.ID] = &branchRoom{m: control.NewMachine(c), uri: c.URI}
}

// deliver carries out what conferences want of each other.
func (s *stage) deliver(out *control.Output) {
	for _, e := range out.Effects {
		switch e := e.(type) {
		case control.OpenSidebar:
			s.makeRoom(control.Config{ID: e.ID, URI: e.URI, Policy: e.Policy, Main: &e.Main, Recorder: s.cfg.Recorder})
			s.mail = append(s.mail, control.ToRoom{Conf: e.ID, Fact: control.SidebarOpened, Params: control.Opened{Title: e.Title, Creator: e.Creator}})
		case control.ToRoom:
			s.mail = append(s.mail, e)
		}
	}
	s.show()
	if !s.rooms.held {
		s.flush()
	}
}

// show lets the main conference see a sidebar that it shows by value.
func (s *stage) show() {
	c := s.m.Conference()
	if c.Main == nil || c.Phase == model.Ended {
		return
	}
	if sb := s.rooms.of[s.cfg.ID].m.Conference().Sidebars[c.ID]; sb != nil && sb.ByVal && (sb.Val == nil || sb.Val.Rev != c.Rev) {
		s.mail = append(s.mail, control.ToRoom{Conf: s.cfg.ID, Fact: control.SidebarShown, Params: control.Shown{Sidebar: c.ID, Val: c.Copy(), Users: s.m.Users()}})
	}
}

func (s *stage) flush() {
	for len(s.mail) > 0 {
		e := s.mail[0]
		s.mail = s.mail[1:]
		r := s.rooms.of[e.Conf]
		if r == nil {
			continue
		}
		back := s.goTo(e.Conf)
		var res control.Output
		_, err := s.m.Step(s.now, control.Command{Method: e.Fact, Params: e.Params}, &res)
		if err != nil {
			s.t.Fatalf("%s to %s: %v", e.Fact, r.uri, err)
		}
		if len(res.Events)+len(res.Effects) > 0 || s.changed() {
			fmt.Fprintf(&s.out, "  then in %s (%s)\n", r.uri, e.Fact)
			s.tell(&res)
		}
		back()
	}
}

// elsewhere reads the lines that are about several conferences.
func (s *stage) elsewhere(verb, rest string) bool {
	switch {
	case verb == "post" && rest == "waits":
		s.rooms.held = true
	case verb == "post" && rest == "arrives":
		s.rooms.held = false
		s.flush()
	case verb == "conference": // another one on the same node
		s.makeRoom(control.Config{ID: ids.Conference("conf_" + rest), URI: rest, Policy: s.cfg.Policy})
	case verb == "recorder":
		state, why, _ := strings.Cut(rest, " ")
		s.step(control.Command{Method: control.RecordingChanged, Params: control.Recorded{State: model.RecordingState(state), URL: why}})
	case verb == "wanted": // "wanted trk_1 q h": of its encodings q, h and f
		f := strings.Fields(rest)
		s.step(control.Command{Method: control.LayersWanted, Params: control.Layers{Track: ids.Track(f[0]), Count: len(f) - 1, RIDs: f[1:], Of: 3}})
	case verb == "call":
		f := strings.SplitN(rest, " ", 3)
		p := control.DialProgress{User: f[0], Device: ids.Device("invited"), Status: model.Status(f[1])}
		if len(f) > 2 {
			p.How = model.Departure(f[2])
		}
		s.step(control.Command{Method: control.Dialled, Params: p})
	default:
		return false
	}
	return true
}

// destination is what the owner of the machine knows of another conference.
func (s *stage) destination(p any) *control.Destination {
	t, ok := p.(api.TransferParams)
	if !ok {
		return nil
	}
	for id, r := range s.rooms.of {
		if string(id) == t.To || r.uri == t.To {
			return &control.Destination{Place: model.Place{ID: id, URI: r.uri}, Active: r.m.Conference().Phase == model.Active}
		}
	}
	return nil
}

// waitAll lets time pass in every conference.
func (s *stage) waitAll(span time.Duration) {
	end := s.now.Add(span)
	for {
		next, who := end+1, ids.Conference("")
		for _, id := range slices.Sorted(maps.Keys(s.rooms.of)) {
			m := s.rooms.of[id].m
			if id == s.cfg.ID {
				m = s.m
			}
			if at := m.Deadline(); !at.IsZero() && at < next {
				next, who = at, id
			}
		}
		if next > end {
			break
		}
		s.now = max(s.now, next)
		back := s.goTo(who)
		var out control.Output
		s.m.Tick(s.now, &out)
		if len(out.Events)+len(out.Effects) > 0 || s.changed() {
			fmt.Fprintf(&s.out, "  after %v in %s\n", s.now.Sub(epoch), s.m.Conference().URI)
		}
		s.tell(&out)
		back()
	}
	s.now = end
}

// between describes effects that concern other conferences, and other new ones.
func between(e control.Effect) string {
	switch e := e.(type) {
	case control.OpenSidebar:
		return fmt.Sprintf("sidebar %s is opened", e.URI)
	case control.ToRoom:
		return fmt.Sprintf("to %s: %s%s", e.Conf, e.Fact, letter(e.Params))
	case control.Progress:
		return fmt.Sprintf("told before: %d %s", e.Code, compact(e.Result))
	case control.AskOffer:
		return fmt.Sprintf("media: %s is asked for an offer (%s)", e.MS, e.Reason)
	case control.Rearrange:
		return "media: slots are filled again"
	case control.Record:
		if !e.On {
			return "media: recording stops"
		}
		return fmt.Sprintf("media: recording runs, without %v", e.Exclude)
	}
	return ""
}

func letter(p any) string {
	switch p := p.(type) {
	case control.Guest:
		return fmt.Sprintf(" %s as %q", p.User, p.Role)
	case control.Withdrawn:
		return fmt.Sprintf(" %s %s (%s)", p.User, p.How, p.Why)
	case control.Travelled:
		return " " + p.User
	}
	return ""
}

// branchRules describes what changed in sidebars, layout and recording.
func branchRules(old, next *info.Document) []string {
	var a info.ConferenceMembers
	if old.Ext != nil {
		a = old.Ext.ConferenceMembers
	}
	b := next.Ext.ConferenceMembers
	var out []string
	if b.Layout != nil && !reflect.DeepEqual(a.Layout, b.Layout) {
		out = append(out, fmt.Sprintf("layout %s pins %v by %s", b.Layout.Mode, b.Layout.Pins, b.Layout.By))
	}
	if b.Recording != nil && !reflect.DeepEqual(a.Recording, b.Recording) {
		out = append(out, strings.TrimSpace(fmt.Sprintf("recording %s by %s %s", b.Recording.State, b.Recording.By, b.Recording.Reason)))
	}
	if a.Intent != b.Intent {
		out = append(out, "intent "+b.Intent)
	}
	was, is := map[string]string{}, map[string]string{}
	for d, m := range map[*info.Document]map[string]string{old: was, next: is} {
		if d.SidebarsByRef != nil {
			for uri, e := range d.SidebarsByRef.Entry {
				m[uri] = fmt.Sprintf("sidebar %s %q by reference", uri, e.DisplayText)
			}
		}
		if d.SidebarsByVal != nil {
			for uri, e := range d.SidebarsByVal.Entry {
				m[uri] = fmt.Sprintf("sidebar %s %q with %v", uri, e.Description.DisplayText, slices.Sorted(maps.Keys(e.Users.User)))
			}
		}
	}
	for _, uri := range slices.Sorted(maps.Keys(is)) {
		if was[uri] != is[uri] {
			out = append(out, is[uri])
		}
	}
	for _, uri := range slices.Sorted(maps.Keys(was)) {
		if is[uri] == "" {
			out = append(out, "no sidebar "+uri+" any more")
		}
	}
	return out
}

// equipped describes what a row says of a device's equipment and ways.
func equipped(e *info.Endpoint) []string {
	var words []string
	if e.Referred != nil {
		words = append(words, "brought in by "+e.Referred.By)
	}
	if e.JoiningInfo != nil && e.JoiningInfo.By != "" {
		words = append(words, "moved here by "+e.JoiningInfo.By)
	}
	if e.Ext == nil {
		return words
	}
	words = append(words, mannerWords(e.Ext)...)
	if e.Ext.Away != "" {
		words = append(words, "away in "+e.Ext.Away)
	}
	for _, in := range e.Ext.Inputs {
		words = append(words, fmt.Sprintf("{%s %s%s}", in.Kind, in.ID, map[bool]string{true: " in use"}[e.Ext.Active[in.Kind] == in.ID]))
	}
	return words
}
