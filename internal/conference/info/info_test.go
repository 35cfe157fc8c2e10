package info

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func example(t *testing.T, n int) *Document {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("testdata/example%d.json", n))
	if err != nil {
		t.Fatal(err)
	}
	d := new(Document)
	if err := json.Unmarshal(b, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// accept feeds documents and checks the verdict on the last.
func accept(t *testing.T, s *Subscriber, want Verdict, n int) {
	t.Helper()
	if got := s.Accept(example(t, n)); got != want {
		t.Errorf("document %d: verdict %d, want %d", n, got, want)
	}
}

func TestCI1_FullThenTwoPartials(t *testing.T) {
	var s Subscriber
	for n := 1; n <= 3; n++ {
		accept(t, &s, Accepted, n)
	}
	d := s.Doc
	ana := d.Users.User["sip:ana@example.net"].Endpoint["dev-ana-laptop"]
	if len(ana.Media) != 1 || ana.Media["m1"].Type != "audio" {
		t.Errorf("Ana sends %v, want audio only", ana.Media)
	}
	if got := d.Users.User["sip:bob@example.org"].Endpoint["sip:bob@192.0.2.7"].Status; got != "muted-via-focus" {
		t.Errorf("Bob is %s", got)
	}
	if len(d.Users.User) != 2 || len(d.SidebarsByRef.Entry) != 1 || !*d.ConferenceState.Locked {
		t.Errorf("users %d, sidebars %v, locked %v", len(d.Users.User), d.SidebarsByRef, *d.ConferenceState.Locked)
	}
	if d.State != Full || d.Version != 3 || d.Users.State != Full {
		t.Errorf("state %s, version %d", d.State, d.Version)
	}
}

func TestCI2_ReplayIsDiscarded(t *testing.T) {
	var s Subscriber
	for n := 1; n <= 3; n++ {
		accept(t, &s, Accepted, n)
	}
	before := s.Doc
	accept(t, &s, Discarded, 3)
	if s.Doc != before {
		t.Error("a replay changed the copy")
	}
}

func TestCI3_GapAsksForRefresh(t *testing.T) {
	var s Subscriber
	accept(t, &s, Accepted, 1)
	before := s.Doc
	accept(t, &s, Refresh, 3)
	if s.Doc != before {
		t.Error("a document after a gap changed the copy")
	}
	full := example(t, 1)
	full.Version = 4
	if v := s.Accept(full); v != Accepted || s.Doc.Version != 4 {
		t.Errorf("next full: verdict %d", v)
	}
	if v := (&Subscriber{}).Accept(example(t, 2)); v != Refresh {
		t.Errorf("partial first: verdict %d", v)
	}
	if v := s.Accept(&Document{State: Deleted, Version: 9}); v != Over {
		t.Errorf("deleted: verdict %d", v)
	}
}

func TestCI5_RemovedMediaAndRemovedUser(t *testing.T) {
	old, new := example(t, 1), example(t, 1)
	delete(new.Users.User["sip:ana@example.net"].Endpoint["dev-ana-laptop"].Media, "m2")
	d := Diff(old, new)
	ana := d.Users.User["sip:ana@example.net"]
	if d.State != Partial || ana.State != Partial || ana.Endpoint["dev-ana-laptop"].State != Full {
		t.Errorf("removed media: %s", text1(t, d))
	}
	if len(d.Users.User) != 1 || ana.DisplayText != "" {
		t.Errorf("more than the endpoint was sent: %s", text1(t, d))
	}
	new = example(t, 1)
	delete(new.Users.User, "sip:bob@example.org")
	d = Diff(old, new)
	if len(d.Users.User) != 1 || d.Users.User["sip:bob@example.org"].State != Deleted {
		t.Errorf("removed user: %s", text1(t, d))
	}
	if got, want := strings.Count(text1(t, d), `"deleted"`), 1; got != want {
		t.Errorf("%d deleted rows: %s", got, text1(t, d))
	}
}

func text1(t *testing.T, d any) string {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestJSONIsThatOfTheProtocol: the examples of docs/protocol.md survive reading
// and writing member by member.
func TestJSONIsThatOfTheProtocol(t *testing.T) {
	for n := 1; n <= 3; n++ {
		raw, err := os.ReadFile(fmt.Sprintf("testdata/example%d.json", n))
		if err != nil {
			t.Fatal(err)
		}
		var want, got any
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(text1(t, example(t, n))), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("example %d:\n got %v\nwant %v", n, got, want)
		}
	}
}

func TestExtensionMembersAreUnderTheirNamespace(t *testing.T) {
	d := &Document{Entity: "r", State: Full, Ext: &ConferenceExt{ConferenceMembers{Rev: 7}}, Users: &Users{State: Full, User: map[string]*User{
		"u": {State: Full, Endpoint: map[string]*Endpoint{"d": {
			State: Full, Ext: &EndpointExt{EndpointMembers{Reachability: "ok"}},
			Media: map[string]Media{"trk_1": {Type: "audio", Ext: MediaExt{MediaMembers{MutedBy: "self", Source: "microphone"}}}, "m": {Type: "video"}},
		}}},
	}}}
	want := `{"entity":"r","state":"full","users":{"state":"full","user":{"u":{"state":"full","endpoint":{"d":{"state":"full","media":{` +
		`"m":{"type":"video"},"trk_1":{"type":"audio","ext":{"urn:parley:conference-info:1":{"mutedBy":"self","source":"microphone"}}}},` +
		`"ext":{"urn:parley:conference-info:1":{"reachability":"ok"}}}}}}},"ext":{"urn:parley:conference-info:1":{"rev":7}}}`
	if got := text1(t, d); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	back := new(Document)
	if err := json.Unmarshal([]byte(want), back); err != nil || !reflect.DeepEqual(back, d) {
		t.Errorf("read back: %v\n%+v", err, back)
	}
}

// TestTraps holds the traps of section 1.6 that concern JSON.
func TestTraps(t *testing.T) {
	old := example(t, 1)
	t.Run("a vanished role needs the user in full", func(t *testing.T) {
		new := example(t, 1)
		new.Users.User["sip:ana@example.net"].Roles = nil
		if got := Diff(old, new).Users.User["sip:ana@example.net"].State; got != Full {
			t.Errorf("state %s", got)
		}
	})
	t.Run("description is sent whole", func(t *testing.T) {
		new := example(t, 1)
		new.Description.AvailableMedia["x0"] = AvailableMedia{Type: "audio"}
		d := Diff(old, new)
		if d.State != Partial || len(d.Description.AvailableMedia) != 4 || len(d.Description.ConfURIs) != 2 {
			t.Errorf("%s", text1(t, d))
		}
	})
	t.Run("a vanished description needs all in full", func(t *testing.T) {
		new := example(t, 1)
		new.Description = nil
		if got := Diff(old, new).State; got != Full {
			t.Errorf("state %s", got)
		}
	})
	t.Run("users without state are full and wipe the roster", func(t *testing.T) {
		d := &Document{Entity: old.Entity, State: Partial, Users: &Users{User: map[string]*User{"x": {}}}}
		if got := len(Patch(old, d).Users.User); got != 1 {
			t.Errorf("%d users", got)
		}
	})
	t.Run("a deleted list of sidebars holds one entry", func(t *testing.T) {
		with := example(t, 1)
		with.SidebarsByRef = &SidebarsByRef{State: Full, Entry: map[string]URIEntry{"a": {URI: "a"}, "b": {URI: "b"}}}
		d := Diff(with, old)
		if d.SidebarsByRef.State != Deleted || len(d.SidebarsByRef.Entry) != 1 || Patch(with, d).SidebarsByRef != nil {
			t.Errorf("%s", text1(t, d))
		}
	})
	t.Run("a row without its key is refused", func(t *testing.T) {
		s := Subscriber{Doc: old}
		d := &Document{State: Partial, Version: 2, Users: &Users{State: Partial, User: map[string]*User{"": {State: Full}}}}
		if v := s.Accept(d); v != Refresh || s.Doc != old {
			t.Errorf("verdict %d", v)
		}
	})
	t.Run("nothing changed, nothing sent", func(t *testing.T) {
		if d := Diff(old, example(t, 1)); d != nil {
			t.Errorf("%s", text1(t, d))
		}
	})
}

// TestRandomChangesWithLoss: 10,000 random changes, one notification in ten
// lost, over XML and JSON in turn; after each accepted document the subscriber
// has what the notifier has. Sidebars of both kinds change along.
func TestRandomChangesWithLoss(t *testing.T) {
	for seed, n := range map[uint64]int{1: 10000, 2: 400, 3: 400} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			truth := example(t, 1)
			var sub Subscriber
			version, sent := uint32(0), (*Document)(nil)
			accepted := 0
			for i := range n {
				next := clone(t, truth)
				change(r, next, i)
				truth = next
				doc := truth
				if sent != nil {
					if doc = Diff(sent, truth); doc == nil {
						continue
					}
				}
				sent = truth
				version++
				wire := clone(t, doc)
				if wire.Version = version; i%2 == 0 {
					wire = read(t, AppendXML(nil, wire))
				}
				if r.IntN(10) == 0 {
					continue // lost
				}
				verdict := sub.Accept(wire)
				if verdict == Refresh { // the answer is full and may not be lost here
					version++
					wire = clone(t, truth)
					wire.Version = version
					verdict = sub.Accept(wire)
				}
				if verdict != Accepted {
					t.Fatalf("change %d: verdict %d", i, verdict)
				}
				accepted++
				got, want := clone(t, sub.Doc), clone(t, truth)
				got.Version, want.Version = 0, 0
				if g, w := text1(t, got), text1(t, want); g != w {
					t.Fatalf("change %d:\n got %s\nwant %s\n doc %s", i, g, w, text1(t, doc))
				}
			}
			if accepted < n*2/3 {
				t.Errorf("only %d documents", accepted)
			}
		})
	}
}

// clone goes over the wire form, so that the mapping is tested along.
func clone(t *testing.T, d *Document) *Document {
	t.Helper()
	out := new(Document)
	if err := json.Unmarshal([]byte(text1(t, d)), out); err != nil {
		t.Fatal(err)
	}
	return out
}

// change makes one to three random changes anywhere in a document.
func change(r *rand.Rand, d *Document, i int) {
	if d.Users.User == nil { // an empty map is left out on the wire
		d.Users.User = map[string]*User{}
	}
	for range 1 + r.IntN(3) {
		changes[r.IntN(len(changes))](r, d)
	}
	d.Ext = &ConferenceExt{ConferenceMembers{Rev: uint64(i + 1)}}
}

var changes []func(*rand.Rand, *Document)

func init() { changes = randomChanges() }

func randomChanges() []func(*rand.Rand, *Document) {
	return []func(*rand.Rand, *Document){
		func(r *rand.Rand, d *Document) { // a user comes
			d.Users.User[fmt.Sprint("u", r.IntN(30))] = &User{State: Full, DisplayText: word(r), Roles: []string{"attendee"}}
		},
		func(r *rand.Rand, d *Document) { delete(d.Users.User, pick(r, d.Users.User)) },
		func(r *rand.Rand, d *Document) {
			if u := d.Users.User[pick(r, d.Users.User)]; u != nil {
				u.DisplayText = word(r)
				u.Roles = [][]string{nil, {"moderator"}, {"attendee"}}[r.IntN(3)]
				u.Languages = [][]string{nil, {"en"}, {"zh", "en"}}[r.IntN(3)]
			}
		},
		func(r *rand.Rand, d *Document) { // a device comes
			if u := d.Users.User[pick(r, d.Users.User)]; u != nil {
				if u.Endpoint == nil {
					u.Endpoint = map[string]*Endpoint{}
				}
				u.Endpoint[fmt.Sprint("d", r.IntN(3))] = &Endpoint{State: Full, Status: "connected", Ext: &EndpointExt{EndpointMembers{Reachability: "ok"}}}
			}
		},
		func(r *rand.Rand, d *Document) {
			if u := d.Users.User[pick(r, d.Users.User)]; u != nil {
				delete(u.Endpoint, pick(r, u.Endpoint))
			}
		},
		func(r *rand.Rand, d *Document) { withEndpoint(r, d, changeEndpoint) },
		func(r *rand.Rand, d *Document) { withEndpoint(r, d, changeMedia) },
		func(r *rand.Rand, d *Document) { withEndpoint(r, d, changeMedia) },
		func(r *rand.Rand, d *Document) {
			n, locked := uint32(r.IntN(9)), r.IntN(2) == 0
			d.ConferenceState = &ConferenceState{UserCount: &n, Locked: &locked}
			if r.IntN(20) == 0 {
				d.ConferenceState = nil
			}
		},
		func(r *rand.Rand, d *Document) {
			d.Description = &Description{DisplayText: word(r), AvailableMedia: map[string]AvailableMedia{"a0": {Type: "audio"}}}
			d.Host = nil
			if r.IntN(2) == 0 {
				d.Host = &Host{DisplayText: word(r)}
			}
		},
		func(r *rand.Rand, d *Document) { // sidebars by reference
			if d.SidebarsByRef == nil {
				d.SidebarsByRef = &SidebarsByRef{State: Full, Entry: map[string]URIEntry{}}
			}
			k := fmt.Sprint("s", r.IntN(4))
			if _, ok := d.SidebarsByRef.Entry[k]; ok {
				delete(d.SidebarsByRef.Entry, k)
			} else {
				d.SidebarsByRef.Entry[k] = URIEntry{DisplayText: word(r)}
			}
			if len(d.SidebarsByRef.Entry) == 0 {
				d.SidebarsByRef = nil
			}
		},
		func(r *rand.Rand, d *Document) { // sidebars by value
			if d.SidebarsByVal == nil {
				d.SidebarsByVal = &SidebarsByVal{State: Full, Entry: map[string]*Document{}}
			}
			if d.SidebarsByVal.Entry == nil {
				d.SidebarsByVal.Entry = map[string]*Document{}
			}
			k := fmt.Sprint("v", r.IntN(3))
			switch e := d.SidebarsByVal.Entry[k]; {
			case e == nil:
				d.SidebarsByVal.Entry[k] = &Document{State: Full, Users: &Users{State: Full, User: map[string]*User{}}}
			case r.IntN(3) == 0:
				delete(d.SidebarsByVal.Entry, k)
			default:
				if e.Users.User == nil { // an empty map is left out on the wire
					e.Users.User = map[string]*User{}
				}
				changes[r.IntN(3)](r, e)
			}
		},
	}
}

func withEndpoint(r *rand.Rand, d *Document, do func(*rand.Rand, *Endpoint)) {
	if u := d.Users.User[pick(r, d.Users.User)]; u != nil {
		if e := u.Endpoint[pick(r, u.Endpoint)]; e != nil {
			do(r, e)
		}
	}
}

func changeEndpoint(r *rand.Rand, e *Endpoint) {
	e.Status = []string{"connected", "muted-via-focus", "on-hold", ""}[r.IntN(4)]
	e.DisplayText = word(r)
	e.Ext = []*EndpointExt{nil, {EndpointMembers{Reachability: "ok"}}, {EndpointMembers{Reachability: "suspended"}}}[r.IntN(3)]
	e.DisconnectionInfo = []*Execution{nil, {Reason: "x"}, {By: "y"}}[r.IntN(3)]
	e.CallInfo = []*CallInfo{nil, {CallID: "1", FromTag: "2", ToTag: "3"}}[r.IntN(2)]
}

func changeMedia(r *rand.Rand, e *Endpoint) {
	if e.Media == nil {
		e.Media = map[string]Media{}
	}
	id := fmt.Sprint("m", r.IntN(4))
	if _, ok := e.Media[id]; ok && r.IntN(2) == 0 {
		delete(e.Media, id)
		return
	}
	e.Media[id] = Media{Type: "audio", Status: word(r), Ext: MediaExt{MediaMembers{MutedBy: []string{"", "self"}[r.IntN(2)]}}}
}

func word(r *rand.Rand) string { return []string{"", "one", "two", "three"}[r.IntN(4)] }

func pick[T any](r *rand.Rand, m map[string]T) string {
	if len(m) == 0 {
		return ""
	}
	return slices.Sorted(maps.Keys(m))[r.IntN(len(m))]
}

// FuzzAccept: whatever arrives, the subscriber keeps its feet, and what it has
// can be written.
func FuzzAccept(f *testing.F) {
	for n := 1; n <= 3; n++ {
		b, err := os.ReadFile(fmt.Sprintf("testdata/example%d.json", n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"state":"partial","version":2,"users":{"state":"partial","user":{"x":null}}}`))
	f.Add([]byte(`{"state":"partial","version":2,"sidebarsByVal":{"state":"partial","entry":{"x":null}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := new(Document)
		if json.Unmarshal(b, d) != nil {
			return
		}
		s := Subscriber{Doc: example(t, 1)}
		if s.Accept(d) == Accepted {
			text1(t, s.Doc)
			Diff(example(t, 1), s.Doc)
			Diff(s.Doc, example(t, 1))
		}
	})
}

func BenchmarkDiffOneOf500(b *testing.B) {
	old := &Document{State: Full, Users: &Users{State: Full, User: map[string]*User{}}, Ext: &ConferenceExt{ConferenceMembers{Rev: 1}}}
	for i := range 500 {
		old.Users.User[fmt.Sprint("u", i)] = &User{State: Full, DisplayText: "x"}
	}
	new := *old
	new.Users = &Users{State: Full, User: maps.Clone(old.Users.User)}
	new.Users.User["u7"] = &User{State: Full, DisplayText: "y"}
	new.Ext = &ConferenceExt{ConferenceMembers{Rev: 2}}
	b.ReportAllocs()
	for b.Loop() {
		Diff(old, &new)
	}
}

func BenchmarkEncodeFullOf500(b *testing.B) {
	d := &Document{State: Full, Users: &Users{State: Full, User: map[string]*User{}}}
	for i := range 500 {
		d.Users.User[fmt.Sprint("u", i)] = &User{State: Full, DisplayText: "x", Endpoint: map[string]*Endpoint{"d": {
			State: Full, Status: "connected", Ext: &EndpointExt{EndpointMembers{Reachability: "ok"}},
			Media: map[string]Media{"trk_1": {Type: "audio", Label: "a0"}},
		}}}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(d); err != nil {
			b.Fatal(err)
		}
	}
}
