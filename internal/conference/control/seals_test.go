package control_test

import (
	"testing"
	"time"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/policy"
)

func keysOf(name string) *api.E2EEKeys {
	seen := map[string]string{}
	return &api.E2EEKeys{
		Identity: spellKeys("id-of-"+name, seen), Key: spellKeys("key-of-"+name, seen), Sig: spellKeys("sig-of-"+name, seen),
	}
}

func sealedMachine(t *testing.T, p policy.Policy) *control.Machine {
	on := true
	return control.NewMachine(control.Config{
		ID: "conf_1", URI: "standup", IDs: countedIDs(), Policy: p, Anchor: clock.Anchor{Mono: epoch},
		Definition: api.Definition{Policy: api.Policy{E2EE: &on}},
	})
}

func callerBy(name, dialect string) control.Caller {
	return control.Caller{Session: ids.Session("sess_" + name), Dialect: dialect, By: control.Principal{Subject: name, Role: api.RoleModerator, Trusted: true}}
}

// Phones, recorders, WHIP and WHEP are told why they are refused, with or
// without keys; a browser that has them is let in.
func TestE1_WhoHasNoKeysIsRefused(t *testing.T) {
	for _, c := range []struct {
		dialect, kind string
		caps, keys    bool
		code          int
	}{
		{"ws", "browser", true, true, 0},
		{"ws", "browser", false, true, 403},
		{"ws", "browser", true, false, 403},
		{"ws", "bot", false, false, 403},
		{"ws", "recorder", true, true, 403},
		{"ws", "sip", true, true, 403},
		{"ws", "focus", true, true, 403},
		{"whip", "whip", false, false, 403},
		{"whep", "whep", false, false, 403},
		{"whip", "whip", true, true, 0}, // a WHIP client of somebody who does SFrame
		{"rtp", "rtp", false, false, 403},
		{"rtp", "rtp", true, true, 403},
		{"sip", "sip", true, true, 403},
	} {
		m := sealedMachine(t, policy.Default())
		p := api.JoinParams{Device: "d", Kind: c.kind, Caps: api.Caps{E2EE: c.caps}}
		if c.keys {
			p.E2EE = keysOf("ana")
		}
		var out control.Output
		res, err := m.Step(epoch, control.Command{Method: api.ConferenceJoin, Caller: callerBy("ana", c.dialect), Params: p}, &out)
		switch {
		case c.code == 0 && err != nil:
			t.Errorf("%+v: %v", c, err)
		case c.code == 0 && !res.(api.JoinResult).E2EE:
			t.Errorf("%+v: the result does not say that media is encrypted", c)
		case c.code != 0 && (err == nil || fault.From(err).Code != c.code || fault.From(err).Reason != "e2ee-required" || fault.From(err).Message == ""):
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Whatever its facts are, no leg of an encrypted conference is mixed, translated
// or left to peers: neither by the house's topology nor by what was kept.
func TestE1_NoLegIsMixed(t *testing.T) {
	for _, house := range api.Topologies() {
		p := policy.Default()
		p.Topology, p.AllowDiscouraged = house, true
		m := sealedMachine(t, p)
		for i, caps := range []api.Caps{{}, {Streams: 1}, {Compose: true, Streams: 2}, {P2P: true}} {
			name := string(rune('a' + i))
			caps.E2EE = true
			var out control.Output
			join := api.JoinParams{Device: "d", Caps: caps, E2EE: keysOf(name)}
			res, err := m.Step(epoch, control.Command{Method: api.ConferenceJoin, Caller: callerBy(name, "ws"), Params: join}, &out)
			if err != nil {
				t.Fatal(house, err)
			}
			if leg := m.Device(ids.Session("sess_" + name)).Leg; leg.Audio == "mix" || leg.Video == "mix" || leg.Audio == "none" || !policy.Blind(string(leg.Manner)) {
				t.Errorf("house %s, %+v: %+v (%+v)", house, caps, leg, res)
			}
		}
	}
}

// A device sends so many requests a second, and one more is told when to come again.
func TestE1_MessagesAreBounded(t *testing.T) {
	m := sealedMachine(t, policy.Default())
	var out control.Output
	step := func(now clock.Time, who, method string, p any) error {
		_, err := m.Step(now, control.Command{Method: method, Caller: callerBy(who, "ws"), Params: p}, &out)
		return err
	}
	for _, who := range []string{"ana", "bob"} {
		if err := step(epoch, who, api.ConferenceJoin, api.JoinParams{Device: "d", Caps: api.Caps{E2EE: true}, E2EE: keysOf(who)}); err != nil {
			t.Fatal(err)
		}
	}
	one := []api.E2EEMessage{{To: keysOf("bob").Key, Body: "c2VhbGVk"}}
	rev := m.Conference().Rev
	var err error
	n := 0
	for ; err == nil && n < 100; n++ {
		err = step(epoch, "ana", api.E2EESend, api.E2EESendParams{Messages: one})
	}
	if fault.From(err).Code != 429 || fault.From(err).RetryAfter != time.Second || n != 21 {
		t.Fatalf("after %d: %v", n, err)
	}
	if err := step(epoch.Add(time.Second), "ana", api.E2EESend, api.E2EESendParams{Messages: one}); err != nil {
		t.Errorf("a second later: %v", err)
	}
	if m.Conference().Rev != rev {
		t.Error("messages made revisions")
	}
	long := []api.E2EEMessage{{To: one[0].To, Body: string(make([]byte, api.MaxE2EEBody+1))}}
	if err := step(epoch.Add(time.Second), "ana", api.E2EESend, api.E2EESendParams{Messages: long}); fault.From(err).Code != 413 {
		t.Errorf("a long body: %v", err)
	}
	many := make([]api.E2EEMessage, api.MaxE2EEMessages+1)
	if err := step(epoch.Add(time.Second), "ana", api.E2EESend, api.E2EESendParams{Messages: many}); fault.From(err).Code != 413 {
		t.Errorf("many messages: %v", err)
	}
}
