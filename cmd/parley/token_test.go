package main

import (
	"net/netip"
	"testing"

	"parley/api"
	"parley/internal/auth"
)

func TestTokenClaims(t *testing.T) {
	dir := t.TempDir()
	a, err := auth.Open(auth.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var c cli
	p, err := newParser(&c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parse([]string{"token", "--data", dir, "--room", "standup", "--identity", "sip:ana@x", "--name", "Ana", "--role", "presenter", "--rights", "publish,chat", "--expires", "1h"}); err != nil {
		t.Fatal(err)
	}
	claims, err := c.Token.claims()
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := a.Mint(claims, c.Token.Expires)
	if err != nil {
		t.Fatal(err)
	}
	by, err := a.Authenticate(token, "", netip.Addr{})
	if err != nil || by.Subject != "sip:ana@x" || by.Room != "standup" || by.Role != api.RolePresenter || !by.Limits.NoScreen || by.Limits.NoChat || by.Limits.NoPublish {
		t.Fatalf("%+v %v", by, err)
	}
	for name, bad := range map[string]tokenCmd{
		"room": {Room: "a/b", Expires: 1e9}, "right": {Rights: []string{"fly"}, Expires: 1e9}, "ever": {Expires: 1 << 62}, "none": {},
	} {
		if _, err := bad.claims(); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if err := (&tokenCmd{Data: t.TempDir(), Expires: 1e9}).Run(); err == nil {
		t.Error("a token of no server")
	}
}
