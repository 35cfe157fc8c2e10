package control_test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/conference/control"
	"parley/internal/conference/info"
	"parley/internal/conference/model"
)

// columns of testdata/moderation.txt.
var columns = []string{"owner", "moderator", "presenter", "attendee", "observer", "lobby", "outsider", "service"}

type expectation struct {
	method, name, params string
	codes                []string
}

func expectations(t *testing.T, file string) []expectation {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out []expectation
	for s := bufio.NewScanner(f); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		c := strings.Split(line, "|")
		if len(c) != 4 {
			t.Fatalf("cannot read %q", line)
		}
		e := expectation{strings.TrimSpace(c[0]), strings.TrimSpace(c[1]), strings.TrimSpace(c[2]), strings.Fields(c[3])}
		if len(e.codes) != len(columns) {
			t.Fatalf("%d codes in %q", len(e.codes), line)
		}
		out = append(out, e)
	}
	return out
}

// assembly is the world that the table speaks of, with the caller in it.
func assembly(t *testing.T, role string) (*hall, control.Caller, *strings.Replacer) {
	h := newHall(t, nil)
	host, hj := h.join("host", api.RoleOwner)
	other, oj := h.join("other", api.RoleAttendee, micP)
	me := caller("me", api.Role(role))
	mine, part := "", ""
	switch role {
	case "lobby", "outsider":
		me.By.Role = api.RoleAttendee
	case "service":
		me.By = control.Principal{Subject: "me", Service: true}
	default:
		p := api.JoinParams{Device: "d"}
		if role != "observer" {
			p.Tracks = []api.PublishParams{micP}
		}
		j := h.must(me, api.ConferenceJoin, p).(api.JoinResult)
		part = j.Part
		if len(j.Tracks) > 0 {
			mine = j.Tracks[0].Track
		}
	}
	yes := true
	h.must(host, api.PolicySet, api.SetPolicyParams{Policy: api.Policy{Lobby: &yes, Floors: []string{"a0", "v0", "sa0"}}})
	knock := h.must(caller("knock", api.RoleAttendee), api.ConferenceJoin, api.JoinParams{Device: "d"}).(control.Waiting)
	if role == "lobby" {
		part = h.must(me, api.ConferenceJoin, api.JoinParams{Device: "d"}).(control.Waiting).Ticket.Part
	}
	h.must(other, api.HandRaise, api.PartParams{})
	pending := h.must(other, api.FloorRequestMethod, api.FloorRequestParams{Floor: "a0"}).(api.FloorStatus)
	granted := h.must(other, api.FloorRequestMethod, api.FloorRequestParams{Floor: "v0"}).(api.FloorStatus)
	h.must(host, api.FloorGrant, api.FloorActionParams{Request: granted.Request})
	return h, me, strings.NewReplacer("$track", oj.Tracks[0].Track, "$mine", mine, "$other", oj.Part, "$host", hj.Part,
		"$knock", knock.Ticket.Part, "$me", part, "$pending", pending.Request, "$granted", granted.Request)
}

// TestCMD1_Moderation: each command x each role gives the code that the
// specification's table says, and a refusal changes nothing.
func TestCMD1_Moderation(t *testing.T) {
	for _, e := range expectations(t, "testdata/moderation.txt") {
		for i, role := range columns {
			if e.codes[i] == "." {
				continue
			}
			t.Run(fmt.Sprintf("%s %s by %s", e.method, e.name, role), func(t *testing.T) {
				want, err := strconv.Atoi(e.codes[i])
				if err != nil {
					t.Fatal(err)
				}
				h, me, names := assembly(t, role)
				params, err := control.Decode(e.method, []byte(names.Replace(e.params)))
				if err != nil {
					t.Fatal(err)
				}
				rev, events, effects := h.m.Conference().Rev, len(h.out.Events), len(h.out.Effects)
				_, fe := h.do(me, e.method, params)
				if got := codeOf(fe); got != want {
					t.Errorf("got %d (%v), want %d", got, fe, want)
				}
				if fe != nil && (h.m.Conference().Rev != rev || len(h.out.Events) != events || len(h.out.Effects) != effects) {
					t.Error("refused, yet changed something")
				}
				invariants(t, h)
			})
		}
	}
}

func codeOf(fe *fault.Error) int {
	if fe == nil {
		return 200
	}
	return fe.Code
}

// TestCMD3_ModerationAlready: each row of moderation that says "200 already",
// given twice: the second changes nothing and tells nobody.
func TestCMD3_ModerationAlready(t *testing.T) {
	for _, row := range []struct{ method, params string }{
		{api.ConferenceLock, `{"allowReturning":true}`},
		{api.ConferenceUnlock, `{}`},
		{api.PolicySet, `{"policy":{"chat":false,"maxFloorUsers":3},"title":"New"}`},
		{api.ParticipantExpel, `{"part":"$other"}`},
		{api.ParticipantExpel, `{"part":"$other","ban":true}`},
		{api.ParticipantSetRole, `{"part":"$other","role":"presenter"}`},
		{api.HandRaise, `{}`},
		{api.HandLower, `{"part":"$other"}`},
		{api.LobbyAdmit, `{"all":true}`},
		{api.LobbyReject, `{"all":true}`},
		{api.TrackMute, `{"medium":"audio","scope":"others"}`},
		{api.TrackMute, `{"part":"$other","medium":"audio"}`},
		{api.FloorRelease, `{"request":"$granted"}`},
		{api.FloorRelease, `{"request":"$pending"}`},
		{api.FloorGrant, `{"request":"$pending"}`},
	} {
		t.Run(row.method+" "+row.params, func(t *testing.T) {
			h, me, names := assembly(t, "moderator")
			params, err := control.Decode(row.method, []byte(names.Replace(row.params)))
			if err != nil {
				t.Fatal(err)
			}
			h.must(me, row.method, params)
			rev, events, effects := h.m.Conference().Rev, len(h.out.Events), len(h.out.Effects)
			res := h.must(me, row.method, params)
			if h.m.Conference().Rev != rev || len(h.out.Events) != events || len(h.out.Effects) != effects {
				t.Errorf("again changed something: rev %d to %d", rev, h.m.Conference().Rev)
			}
			if s := compact(res); !strings.Contains(s, `"already":true`) {
				t.Errorf("again answers %s", s)
			}
		})
	}
}

// TestCMD5_NobodyOpensAnothersMicrophone: an attendee is refused; a moderator
// clears the focus's flag and asks, and the microphone stays silent.
func TestCMD5_NobodyOpensAnothersMicrophone(t *testing.T) {
	for _, focusMuted := range []bool{false, true} {
		h := newHall(t, nil)
		mod, _ := h.join("mod", api.RoleModerator)
		_, j := h.join("ana", api.RoleAttendee, api.PublishParams{CID: "mic", Kind: "audio", Muted: true})
		bea, _ := h.join("bea", api.RoleAttendee)
		p := api.MuteParams{Track: j.Tracks[0].Track}
		if focusMuted {
			h.must(mod, api.TrackMute, p)
		}
		if _, fe := h.do(bea, api.TrackUnmute, p); codeOf(fe) != 403 {
			t.Errorf("an attendee: %v", fe)
		}
		for _, ask := range []api.MuteParams{p, {Part: j.Part, Medium: "audio"}, {Medium: "audio", Scope: "all"}} {
			h.out = control.Output{}
			h.must(mod, api.TrackUnmute, ask)
			asked := false
			for _, e := range h.out.Events {
				asked = asked || e.Name == "unmute.requested" && e.To == "sess_ana"
			}
			if asked != (ask.Scope == "") {
				t.Errorf("%+v: asked is %v", ask, asked)
			}
			for _, k := range h.m.Conference().Tracks {
				if !k.Muted() || !k.SelfMuted {
					t.Errorf("%+v: a moderator opened a microphone", ask)
				}
			}
			for _, e := range h.out.Effects {
				if m, ok := e.(control.MuteTrack); ok && !m.Muted {
					t.Errorf("%+v: forwarding resumed", ask)
				}
			}
		}
	}
}

// TestCMD6_LobbyHoldsNothing: who waits has no transport, no subscription and
// no published track, counts nowhere, and hears only of the lobby.
func TestCMD6_LobbyHoldsNothing(t *testing.T) {
	h, me, _ := assembly(t, "lobby")
	d := h.m.Device(me.Session)
	if d == nil || len(d.Media) != 0 || len(d.Receives) != 0 || d.MS != "" {
		t.Fatalf("who waits holds %+v", d)
	}
	if h.m.Users() != 2 {
		t.Errorf("%d users", h.m.Users())
	}
	for _, method := range control.Methods() {
		switch method {
		case api.ConferenceStart, api.ConferenceJoin, api.ConferenceLeave, api.ConferenceStatus:
			continue // who may knows the name, who waits may join again or leave
		}
		p, err := control.Decode(method, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, fe := h.do(me, method, p); codeOf(fe) != 403 {
			t.Errorf("%s from the lobby: %d", method, codeOf(fe))
		}
	}
	for _, e := range h.out.Events {
		if e.To == me.Session && !strings.HasPrefix(e.Name, "lobby.") {
			t.Errorf("who waits was told %s", e.Name)
		}
		if strings.HasPrefix(e.Name, "lobby.") && e.To == "" && e.Least != api.RoleModerator {
			t.Errorf("%s is for more than moderators", e.Name)
		}
	}
}

// Who comes back anonymous is so in the rows that name them, too: everybody's
// document says what a fresh one would say.
func TestHidingReachesTheRowsThatNameOne(t *testing.T) {
	h := newHall(t, nil)
	mod, _ := h.join("mod", api.RoleModerator)
	ana, res := h.join("ana", api.RoleAttendee)
	h.must(mod, api.ParticipantExpel, api.ExpelParams{Part: string(res.Part)})
	c, view := h.m.Conference(), info.View{Labels: control.Labels}
	by := func(d *info.Document) string {
		return d.Users.User[ana.By.Subject].Endpoint["d"].DisconnectionInfo.By
	}
	known := info.Build(c, h.m.Users(), view, nil)
	if by(known) != "mod" {
		t.Fatalf("put out by %q", by(known))
	}
	mod.Session = "sess_other"
	h.must(mod, api.ConferenceJoin, api.JoinParams{Device: "e", Anonymous: true})
	if got, want := by(info.Build(c, h.m.Users(), view, known)), model.AliasURI(1); got != want {
		t.Errorf("put out by %q, want %q", got, want)
	}
}
