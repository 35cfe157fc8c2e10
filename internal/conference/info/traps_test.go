package info

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
)

// The traps of section 1.6, by letter; TestTrapG is where versions are counted,
// in package notify.

// overXML sends a document as XML and reads it.
func overXML(t *testing.T, d *Document) *Document {
	t.Helper()
	b := AppendXML(nil, d)
	if d.Entity != "" {
		validate(t, b)
	}
	return read(t, b)
}

func TestTrapA_WhatHasNoStateVanishesWithItsElementInFull(t *testing.T) {
	const ana, dev = "sip:ana@example.net", "dev-ana-laptop"
	for name, change := range map[string]func(*User){
		"media": func(u *User) { delete(u.Endpoint[dev].Media, "m2") },
		"roles": func(u *User) { u.Roles = nil }, "display-text": func(u *User) { u.DisplayText = "" },
		"languages": func(u *User) { u.Languages = nil }, "joining-info": func(u *User) { u.Endpoint[dev].JoiningInfo = nil },
		"status": func(u *User) { u.Endpoint[dev].Status = "" },
	} {
		old, new := example(t, 1), example(t, 1)
		change(new.Users.User[ana])
		d := Diff(old, new)
		u := d.Users.User[ana]
		if onUser := name == "roles" || name == "display-text" || name == "languages"; onUser && u.State != Full {
			t.Errorf("%s: user %s", name, u.State)
		} else if !onUser && (u.State != Partial || u.Endpoint[dev].State != Full) {
			t.Errorf("%s: user %s, endpoint %s", name, u.State, u.Endpoint[dev].State)
		}
		d.Version = 2
		s := Subscriber{Doc: old}
		if v := s.Accept(overXML(t, d)); v != Accepted || text1(t, s.Doc.Users.User[ana]) != text1(t, new.Users.User[ana]) {
			t.Errorf("%s: verdict %d, %s", name, v, text1(t, s.Doc.Users.User[ana]))
		}
	}
	old, new := example(t, 1), example(t, 1)
	new.Description.AvailableMedia = nil // an empty list cannot be said, but the description is atomic
	if d := Diff(old, new); d.State != Partial || d.Description == nil || strings.Contains(string(AppendXML(nil, d)), "available-media") {
		t.Errorf("%s", text1(t, d))
	}
	new.Host, old.Host = nil, &Host{DisplayText: "h"}
	if d := Diff(old, new); d.State != Full {
		t.Errorf("vanished host-info: %s", d.State)
	}
}

func TestTrapB_ConferenceStateAndDescriptionAreAtomic(t *testing.T) {
	old, new := example(t, 1), example(t, 1)
	locked := true
	new.ConferenceState = &ConferenceState{UserCount: old.ConferenceState.UserCount, Active: old.ConferenceState.Active, Locked: &locked}
	if d := Diff(old, new); d.ConferenceState.Active == nil || d.ConferenceState.UserCount == nil || d.Description != nil {
		t.Errorf("%s", text1(t, d))
	}
	got := Patch(old, &Document{State: Partial, ConferenceState: &ConferenceState{Locked: &locked}})
	if got.ConferenceState.Active != nil {
		t.Error("active survived a conference-state without it")
	}
	new = example(t, 1)
	new.Description.AvailableMedia["s0"] = AvailableMedia{Type: "video", DisplayText: "Board"}
	if d := Diff(old, new); len(d.Description.AvailableMedia) != 3 || len(d.Description.ConfURIs) != 2 {
		t.Errorf("%s", text1(t, d))
	}
}

func TestTrapC_UsersWithoutStateAreFullUnlessLenient(t *testing.T) {
	const text = `<conference-info xmlns="` + Namespace + `" entity="sip:standup@conf.example.net" state="%s" version="2">
	 <users><user entity="sip:bob@example.org" state="partial"><display-text>Bobby</display-text></user></users></conference-info>`
	for _, c := range []struct {
		how   Reading
		state State
		users int
	}{{Reading{}, Partial, 1}, {Reading{LenientUsers: true}, Partial, 2}, {Reading{LenientUsers: true}, Full, 1}} {
		d, err := ParseXML(fmt.Appendf(nil, text, c.state), c.how)
		if err != nil {
			t.Fatal(err)
		}
		s := Subscriber{Doc: example(t, 1)}
		if v := s.Accept(d); v != Accepted || len(s.Doc.Users.User) != c.users {
			t.Errorf("%+v: verdict %d, %d users, want %d", c, v, len(s.Doc.Users.User), c.users)
		}
	}
	// We always write it.
	b := string(AppendXML(nil, &Document{Entity: "e", Users: &Users{User: map[string]*User{"u": {Endpoint: map[string]*Endpoint{"d": {}}}}},
		SidebarsByRef: &SidebarsByRef{}, SidebarsByVal: &SidebarsByVal{Entry: map[string]*Document{"v": {}}}}))
	for _, name := range []string{"conference-info", "users", "user", "endpoint", "sidebars-by-ref", "sidebars-by-val", `entry entity="v"`} {
		_, rest, _ := strings.Cut(b, "<"+name)
		if tag, _, _ := strings.Cut(rest, ">"); !strings.Contains(tag, ` state="full"`) {
			t.Errorf("<%s%s>: no state", name, tag)
		}
	}
}

func TestTrapD_DeletedSidebarsByRefHoldOneEntry(t *testing.T) {
	old, new := example(t, 1), example(t, 1)
	old.SidebarsByRef = &SidebarsByRef{State: Full, Entry: map[string]URIEntry{"sip:a": {DisplayText: "A"}, "sip:b": {}}}
	d := Diff(old, new)
	if d.SidebarsByRef.State != Deleted || len(d.SidebarsByRef.Entry) != 1 {
		t.Fatalf("%s", text1(t, d))
	}
	d.Version = 2
	s := Subscriber{Doc: old}
	if v := s.Accept(overXML(t, d)); v != Accepted || s.Doc.SidebarsByRef != nil {
		t.Errorf("verdict %d, %s", v, text1(t, s.Doc))
	}
	// One of several goes: entries have no state, so the list goes whole.
	new.SidebarsByRef = &SidebarsByRef{State: Full, Entry: map[string]URIEntry{"sip:b": {}}}
	if d := Diff(old, new); d.SidebarsByRef.State != Full || len(d.SidebarsByRef.Entry) != 1 {
		t.Errorf("%s", text1(t, d))
	}
}

func TestTrapE_OtherListsAreNeverPartial(t *testing.T) {
	old, new := example(t, 1), example(t, 1)
	new.Description.ConfURIs[0].Purpose = "streaming"
	u := new.Users.User["sip:bob@example.org"]
	u.AssociatedAORs = []URIEntry{{URI: "tel:+1"}, {URI: "tel:+2"}}
	d := Diff(old, new)
	b := string(AppendXML(nil, d))
	for _, name := range []string{"conf-uris", "associated-aors"} {
		if !strings.Contains(b, "<"+name+">") {
			t.Errorf("%s has an attribute, or is not there:\n%s", name, b)
		}
	}
	if len(d.Description.ConfURIs) != 2 || len(d.Users.User["sip:bob@example.org"].AssociatedAORs) != 2 {
		t.Error("a list was cut to what changed")
	}
	d = read(t, []byte(`<conference-info xmlns="`+Namespace+`" entity="e" state="partial" version="2"><conference-description>
	 <conf-uris state="partial"><entry><uri>sip:z</uri></entry></conf-uris></conference-description></conference-info>`))
	if got := Patch(old, d).Description.ConfURIs; len(got) != 1 {
		t.Errorf("a partial list was merged: %v", got)
	}
}

func TestTrapF_RowsWithoutEntityAreRefused(t *testing.T) {
	for _, inside := range []string{
		`<users state="partial"><user state="full"/></users>`, `<users><user entity=""/></users>`,
		`<users><user entity="u"><endpoint state="deleted"/></user></users>`,
		`<sidebars-by-val><entry/></sidebars-by-val>`,
		`<sidebars-by-val><entry entity="v"><users><user/></users></entry></sidebars-by-val>`,
	} {
		if _, err := ParseXML([]byte(`<conference-info xmlns="`+Namespace+`" entity="e" version="1">`+inside+`</conference-info>`), Reading{}); err == nil {
			t.Errorf("%s was read", inside)
		}
	}
	s := Subscriber{Doc: example(t, 1)}
	before := s.Doc
	d := &Document{State: Partial, Version: 2, Users: &Users{State: Partial, User: map[string]*User{"": {State: Full}}}}
	if v := s.Accept(d); v != Refresh || s.Doc != before {
		t.Errorf("verdict %d", v)
	}
}

// talking is a conference where everybody sends and receives on the same labels.
func talking(n int) *model.Conference {
	c := model.NewConference("conf_1", "standup")
	c.Rev, c.Phase = 1, model.Active
	for i := range n {
		p := &model.Participant{User: fmt.Sprint("u", i), Role: api.RoleAttendee, State: model.Joined, Order: uint64(i), JoinedAt: 1, Rev: 1, Devices: map[ids.Device]*model.Device{}}
		d := &model.Device{ID: "dev", Part: p, Status: model.Connected, Receives: map[string]int{"a0": n - 1, "v0": n - 1, "s0": 1}}
		ms := &model.MediaSession{ID: ids.MediaSession(fmt.Sprint("ms", i)), Device: d}
		for j, l := range [][2]string{{"audio", "a0"}, {"video", "v0"}} {
			ms.Tracks = append(ms.Tracks, &model.Track{ID: ids.Track(fmt.Sprintf("trk_%d_%d", i, j)), Device: d, Kind: l[0], Label: l[1], SrcID: uint32(100*i + j), State: model.TrackLive})
		}
		d.Media, p.Devices["dev"] = []*model.MediaSession{ms}, d
		c.Participants[p.User] = p
	}
	return c
}

var labels = [][3]string{{"a0", "audio", ""}, {"v0", "video", ""}, {"s0", "video", "Slides"}}

func TestTrapH_LabelsAreMediaOfTheConference(t *testing.T) {
	d := Build(talking(3), 3, View{Labels: labels}, nil)
	srcs := map[string]bool{}
	for _, u := range d.Users.User {
		for id, m := range u.Endpoint["dev"].Media {
			if _, ok := d.Description.AvailableMedia[m.Label]; !ok {
				t.Errorf("%s: label %q is not among the available media", id, m.Label)
			}
			if m.SrcID != "" {
				srcs[m.SrcID] = true
			}
		}
	}
	if len(srcs) != 6 {
		t.Errorf("%d sources, want 6: %v", len(srcs), srcs)
	}
	overXML(t, d)
}

func TestTrapI_OneRowPerSourceAndMedium(t *testing.T) {
	d := Build(talking(40), 40, View{Labels: labels}, nil)
	for key, u := range d.Users.User {
		m := u.Endpoint["dev"].Media
		if len(m) != 3 || m["recv-s0"].Status != "recvonly" {
			t.Fatalf("%s has %d rows for 2 sources and 3 media: %v", key, len(m), m)
		}
	}
}

// TestCI8_MembersSeeNoSecrets: call-info, lobby and the anonymous.
func TestCI8_MembersSeeNoSecrets(t *testing.T) {
	c := talking(4)
	set := func(user string, do func(*model.Participant)) { do(c.Participants[user]) }
	set("u0", func(p *model.Participant) { p.Role = api.RoleModerator })
	set("u1", func(p *model.Participant) {
		c.Hide(p)
		p.Name = "Real Name"
		p.Devices["dev"].Label = "Real Name's laptop"
		p.Devices["dev"].Dialog = &model.Dialog{CallID: "secret-call", FromTag: "f", ToTag: "t"}
	})
	set("u2", func(p *model.Participant) {
		p.State, p.Role = model.Lobby, api.RoleLobby
		p.Devices["dev"].Status = model.OnHold
	})
	set("u3", func(p *model.Participant) {
		p.Devices["dev"].Gone, p.Devices["dev"].GoneBy = model.Booted, "u1" // an anonymous one put it out
	})
	mod := Build(c, 4, View{Labels: labels, Group: GroupOf(c.Participants["u0"])}, nil)
	if len(mod.Users.User) != 4 || mod.Users.User["u1"].Endpoint["dev"].CallInfo == nil || mod.Users.User["u3"].Endpoint["dev"].DisconnectionInfo.By != "u1" {
		t.Errorf("a moderator sees %s", text1(t, mod))
	}
	if err := Check(mod); err != nil {
		t.Error(err)
	}
	mem := Build(c, 4, View{Labels: labels, Group: GroupOf(c.Participants["u3"])}, nil)
	alias := model.AliasURI(1)
	if u := mem.Users.User[alias]; u == nil || len(u.Endpoint) != 1 || u.DisplayText != "Guest 1" || len(mem.Users.User) != 3 {
		t.Fatalf("members see %s", text1(t, mem))
	}
	overXML(t, mem)
	for _, secret := range []string{`"u1"`, "Real Name", "secret-call", "callInfo", "on-hold", `"u2"`} {
		if strings.Contains(text1(t, mem), secret) {
			t.Errorf("members see %s: %s", secret, text1(t, mem))
		}
	}
	own := Build(c, 4, View{Labels: labels, Group: GroupOf(c.Participants["u2"]), Self: "u2"}, nil)
	if len(own.Users.User) != 1 || own.Users.User["u2"] == nil || own.ConferenceState.UserCount != nil {
		t.Errorf("who waits sees %s", text1(t, own))
	}
	// Who was turned away was never there.
	set("u2", func(p *model.Participant) { p.State, p.JoinedAt = model.Left, 0 })
	if again := Build(c, 4, View{Labels: labels}, nil); again.Users.User["u2"] != nil {
		t.Error("members see who was turned away")
	}
}

func TestCheckFindsWhatTheSchemaCannot(t *testing.T) {
	ok := everything()
	if err := Check(ok); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Document){
		"parent full, child partial":   func(d *Document) { d.Users.State = Partial },
		"full without users":           func(d *Document) { d.Users = nil },
		"full without description":     func(d *Document) { d.Description = nil },
		"deleted user with children":   func(d *Document) { d.State = Partial; d.Users.State = Partial; d.Users.User["sip:u@b"].State = Deleted },
		"label that is not on offer":   func(d *Document) { delete(d.Description.AvailableMedia, "a0") },
		"by-ref list without an entry": func(d *Document) { d.SidebarsByRef.Entry = nil },
		"sidebar partial in a full":    func(d *Document) { d.SidebarsByVal.Entry["sip:v@b"].State = Partial },
	} {
		d := everything()
		spoil(d)
		if Check(d) == nil {
			t.Errorf("%s: passes", name)
		}
	}
	if !reflect.DeepEqual(ok, everything()) {
		t.Error("Check changed the document")
	}
}
