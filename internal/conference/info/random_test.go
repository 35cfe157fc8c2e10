package info

import (
	"fmt"
	"math/rand/v2"
)

// everything is a document with every element there is.
func everything() *Document {
	n, max, yes, no := uint32(3), uint32(0), true, false
	x := &Execution{When: "2031-05-06T08:59:41Z", Reason: `SIP;cause=408;text="Connection lost"`, By: "sip:ana@example.net"}
	uris := func(s string) []URIEntry {
		return []URIEntry{{URI: s + "1", DisplayText: "One", Purpose: "web-page", Modified: x}, {URI: s + "2"}}
	}
	side := func(name string) *Document {
		return &Document{State: Full, Version: 7, Description: &Description{DisplayText: name}, Users: &Users{State: Full},
			SidebarsByVal: &SidebarsByVal{State: Full, Entry: map[string]*Document{"sip:inner@b": {State: Full}}}}
	}
	return &Document{
		Entity: "sip:a@b", State: Full, Version: 9,
		Description: &Description{DisplayText: "T", Subject: "S", FreeText: "F", Keywords: []string{"a", "b"},
			ConfURIs: uris("sip:c"), ServiceURIs: uris("https://s.example/"), MaximumUserCount: &max,
			AvailableMedia: map[string]AvailableMedia{"a0": {DisplayText: "Main", Type: "audio", Status: "sendrecv"}, "v0": {Type: "video"}}},
		Host:            &Host{DisplayText: "H", WebPage: "https://h.example/", URIs: uris("sip:h")},
		ConferenceState: &ConferenceState{UserCount: &n, Active: &yes, Locked: &no},
		Users: &Users{State: Full, User: map[string]*User{"sip:u@b": {
			State: Full, DisplayText: "U", AssociatedAORs: uris("tel:+1555"), Roles: []string{"moderator", "presenter"},
			Languages: []string{"en", "zh-Hans"}, CascadedFocus: "sip:focus@other.example", Ext: &UserExt{UserMembers{Part: "part_1"}},
			Endpoint: map[string]*Endpoint{"sip:u@192.0.2.7": {
				State: Full, DisplayText: "E", Referred: x, Status: "disconnected", JoiningMethod: "dialed-out", JoiningInfo: x,
				DisconnectionMethod: "booted", DisconnectionInfo: &Execution{},
				Media: map[string]Media{"m1": {DisplayText: "i", Type: "audio", Label: "a0", SrcID: "4294967295", Status: "recvonly",
					Ext: MediaExt{MediaMembers{MutedBy: "focus", Source: "microphone", Stream: "str_1"}}}, "m2": {}},
				CallInfo: &CallInfo{DisplayText: "call", CallID: "c@h", FromTag: "f", ToTag: "t"},
				Ext:      &EndpointExt{EndpointMembers{Reachability: "ok", Kind: "sip"}},
			}},
		}}},
		SidebarsByRef: &SidebarsByRef{State: Full, Entry: map[string]URIEntry{"sip:s1@b": {DisplayText: "Side"}, "sip:s2@b": {Modified: x}}},
		SidebarsByVal: &SidebarsByVal{State: Full, Entry: map[string]*Document{"sip:v@b": side("Val")}},
		Ext:           &ConferenceExt{ConferenceMembers{Rev: 77}},
	}
}

// roster is a full document of n people who talk.
func roster(n int) *Document {
	d := &Document{Entity: "sip:a@b", State: Full, Version: 1, Users: &Users{State: Full, User: map[string]*User{}}}
	for i := range n {
		d.Users.User[fmt.Sprintf("sip:user%d@example.net", i)] = &User{
			State: Full, DisplayText: fmt.Sprint("User ", i), Roles: []string{"attendee"}, Endpoint: map[string]*Endpoint{"dev_1": {
				State: Full, Status: "connected", JoiningMethod: "dialed-in", JoiningInfo: &Execution{When: "2031-05-06T08:59:41Z"},
				Ext:   &EndpointExt{EndpointMembers{Reachability: "ok", Kind: "browser"}},
				Media: map[string]Media{"trk_1": {Type: "audio", Label: "a0", Status: "sendrecv", SrcID: "12345"}},
			}},
		}
	}
	return d
}

var states = []State{Full, Partial, Deleted}

func maybe[T any](r *rand.Rand, make func() *T) *T {
	if r.IntN(2) == 0 {
		return nil
	}
	return make()
}

func oneOf(r *rand.Rand, list ...string) string { return list[r.IntN(len(list))] }

// randomDocument is any document that the schema allows, of any state.
func randomDocument(r *rand.Rand, level int) *Document {
	number := func() *uint32 { n := r.Uint32(); return &n }
	boolean := func() *bool { b := r.IntN(2) == 0; return &b }
	d := &Document{State: states[r.IntN(3)], Version: r.Uint32() >> r.IntN(30) / 2}
	if level == 0 {
		d.Entity = "sip:room@example.net"
		d.Version++ // the root has one
	}
	d.Description = maybe(r, func() *Description {
		x := &Description{DisplayText: anyText(r), Subject: anyText(r), FreeText: anyText(r), ConfURIs: randomURIs(r),
			ServiceURIs: randomURIs(r), MaximumUserCount: maybe(r, number)}
		if r.IntN(2) == 0 {
			x.Keywords = []string{"release", "d\u00e9ployer"}[:1+r.IntN(2)]
		}
		for range r.IntN(3) {
			if x.AvailableMedia == nil {
				x.AvailableMedia = map[string]AvailableMedia{}
			}
			x.AvailableMedia[oneOf(r, "a0", "v0", "s0")] = AvailableMedia{Type: oneOf(r, "audio", "video", ""), DisplayText: anyText(r), Status: direction(r)}
		}
		return x
	})
	d.Host = maybe(r, func() *Host {
		return &Host{DisplayText: anyText(r), WebPage: oneOf(r, "", "https://h.example/?a=1&b=2"), URIs: randomURIs(r)}
	})
	d.ConferenceState = maybe(r, func() *ConferenceState {
		return &ConferenceState{UserCount: maybe(r, number), Active: maybe(r, boolean), Locked: maybe(r, boolean)}
	})
	d.Users = maybe(r, func() *Users { return randomUsers(r) })
	d.Ext = maybe(r, func() *ConferenceExt { return &ConferenceExt{ConferenceMembers{Rev: 1 + r.Uint64()>>1}} })
	d.SidebarsByRef = maybe(r, func() *SidebarsByRef {
		s := &SidebarsByRef{State: states[r.IntN(3)], Entry: map[string]URIEntry{}}
		for range 1 + r.IntN(3) {
			s.Entry[fmt.Sprintf("sip:side%d@example.net", r.IntN(5))] = URIEntry{DisplayText: anyText(r), Modified: maybe(r, func() *Execution { return randomExecution(r) })}
		}
		return s
	})
	if level < 2 {
		d.SidebarsByVal = maybe(r, func() *SidebarsByVal {
			s := &SidebarsByVal{State: states[r.IntN(3)]}
			for range r.IntN(3) {
				if s.Entry == nil {
					s.Entry = map[string]*Document{}
				}
				s.Entry[fmt.Sprintf("sip:val%d@example.net", r.IntN(5))] = randomDocument(r, level+1)
			}
			return s
		})
	}
	return d
}

func randomUsers(r *rand.Rand) *Users {
	u := &Users{State: states[r.IntN(3)]}
	for range r.IntN(4) {
		if u.User == nil {
			u.User = map[string]*User{}
		}
		u.User[fmt.Sprintf("sip:u%d@example.net;x=%s", r.IntN(9), oneOf(r, "a", "&"))] = randomUser(r)
	}
	return u
}

func randomUser(r *rand.Rand) *User {
	u := &User{State: states[r.IntN(3)], DisplayText: anyText(r), AssociatedAORs: randomURIs(r),
		Roles:         [][]string{nil, {"moderator"}, {"user", "a<b"}}[r.IntN(3)],
		Languages:     [][]string{nil, {"en"}, {"zh-Hans", "fr"}}[r.IntN(3)],
		CascadedFocus: oneOf(r, "", "sip:focus@other.example")}
	u.Ext = maybe(r, func() *UserExt { return &UserExt{UserMembers{Part: "part_" + oneOf(r, "1", "2")}} })
	for range r.IntN(3) {
		if u.Endpoint == nil {
			u.Endpoint = map[string]*Endpoint{}
		}
		u.Endpoint[oneOf(r, "dev-1", "sip:bob@192.0.2.7", `d "q" <x>`)] = randomEndpoint(r)
	}
	return u
}

func randomEndpoint(r *rand.Rand) *Endpoint {
	x := func() *Execution { return randomExecution(r) }
	e := &Endpoint{State: states[r.IntN(3)], DisplayText: anyText(r), Referred: maybe(r, x),
		Status:        oneOf(r, "", "pending", "dialing-out", "dialing-in", "alerting", "on-hold", "connected", "muted-via-focus", "disconnecting", "disconnected"),
		JoiningMethod: oneOf(r, "", "dialed-in", "dialed-out", "focus-owner"), JoiningInfo: maybe(r, x),
		DisconnectionMethod: oneOf(r, "", "departed", "booted", "failed", "busy"), DisconnectionInfo: maybe(r, x),
		CallInfo: maybe(r, func() *CallInfo {
			return &CallInfo{DisplayText: anyText(r), CallID: oneOf(r, "c@h", ""), FromTag: "f", ToTag: oneOf(r, "t", "")}
		})}
	e.Ext = maybe(r, func() *EndpointExt {
		return &EndpointExt{EndpointMembers{Reachability: oneOf(r, "ok", "suspended"), Kind: oneOf(r, "", "sip")}}
	})
	for range r.IntN(4) {
		if e.Media == nil {
			e.Media = map[string]Media{}
		}
		e.Media[oneOf(r, "1", "2", "m&m")] = Media{DisplayText: anyText(r), Type: oneOf(r, "", "audio"), Label: oneOf(r, "", "a0"),
			SrcID: oneOf(r, "", "4294967295"), Status: direction(r),
			Ext: MediaExt{MediaMembers{MutedBy: oneOf(r, "", "self"), Source: oneOf(r, "", "camera"), Stream: oneOf(r, "", "str_1")}}}
	}
	return e
}

func direction(r *rand.Rand) string {
	return oneOf(r, "", "sendrecv", "sendonly", "recvonly", "inactive")
}

func randomExecution(r *rand.Rand) *Execution {
	return &Execution{When: oneOf(r, "", "2031-05-06T08:59:41Z"), Reason: anyText(r), By: oneOf(r, "", "sip:ana@example.net")}
}

func randomURIs(r *rand.Rand) []URIEntry {
	var out []URIEntry
	for i := range r.IntN(3) {
		out = append(out, URIEntry{URI: fmt.Sprintf("sip:x%d@example.net?a&b", i), DisplayText: anyText(r), Purpose: oneOf(r, "", "streaming"),
			Modified: maybe(r, func() *Execution { return randomExecution(r) })})
	}
	return out
}

// anyText is empty or text with everything that needs care.
func anyText(r *rand.Rand) string {
	return oneOf(r, "", "one", "<two> & \"three\" 'four' ]]>", "\u4e2d\u6587 \U0001F600", "a\tb c\r\nd", "--><!-- <![CDATA[")
}
