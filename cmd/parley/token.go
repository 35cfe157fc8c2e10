package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"parley/api"
	"parley/internal/auth"
	"parley/internal/base/ids"
)

// tokenCmd makes access tokens with the keys of a server.
type tokenCmd struct {
	Data     string        `name:"data" env:"PARLEY_DATA" type:"existingdir" default:"./data" placeholder:"DIR" help:"The server's data directory; its keys.json signs."`
	Room     string        `placeholder:"NAME" help:"Conference the token is for. Without it: any."`
	Identity string        `placeholder:"ID" help:"Who it is, the key of the roster, such as sip:ana@example.net. Default: a fresh one."`
	Name     string        `placeholder:"TEXT" help:"Name shown to others."`
	Role     string        `enum:"observer,attendee,presenter,moderator,owner" default:"attendee" help:"observer, attendee, presenter, moderator or owner: the most it may do."`
	Rights   []string      `placeholder:"RIGHT" help:"Only these of the role's rights: publish (microphone and camera), screen, chat; none for a listener. Default: all."`
	Expires  time.Duration `default:"12h" placeholder:"TIME" help:"How long it is good, such as 30m or 720h."`
	Service  bool          `help:"A token for a program that uses the administration API: role owner, and commands without having joined."`
}

// maxExpires bounds a token that nobody can take back.
const maxExpires = 366 * 24 * time.Hour

// Help is shown by parley token --help.
func (tokenCmd) Help() string {
	return `Prints one JWT access token and nothing else. Give it to a client as
"Authorization: Bearer TOKEN" (WHIP, WHEP, administration) or as auth.token of the WebSocket's hello.

A guest of one room, for an hour:
  parley token --room standup --name Ana --expires 1h
Someone who only listens and chats:
  parley token --room standup --rights chat
A program that creates and ends conferences:
  parley token --service --expires 720h

The server must have run once with the same --data, so that its key is there. A token cannot be taken back before
it expires, except by removing its key from keys.json. People are better invited by a link.`
}

// Run prints the token.
func (c *tokenCmd) Run() error {
	claims, err := c.claims()
	if err != nil {
		return err
	}
	a, err := openKeys(c.Data)
	if err != nil {
		return err
	}
	token, _, err := a.Mint(claims, c.Expires)
	if err != nil {
		return err
	}
	fmt.Println(token)
	return nil
}

func (c *tokenCmd) claims() (auth.Claims, error) {
	out := auth.Claims{Subject: c.Identity, Name: auth.CleanName(c.Name), Room: c.Room, Role: api.Role(c.Role), Service: c.Service}
	if c.Service {
		out.Role = api.RoleOwner
	}
	if out.Subject == "" {
		_, random, _ := strings.Cut(string(ids.NewParticipant()), "_")
		out.Subject = "token:" + random
	}
	if c.Rights != nil {
		out.Rights = []string{}
	}
	for _, r := range c.Rights {
		if r == "none" && len(c.Rights) == 1 {
			break
		}
		if !slices.Contains(auth.Rights(), r) {
			return out, fmt.Errorf("--rights: %q is not one of %s, or none alone", r, strings.Join(auth.Rights(), ", "))
		}
		out.Rights = append(out.Rights, r)
	}
	switch {
	case c.Room != "" && !ids.ValidName(c.Room):
		return out, fmt.Errorf("--room: %q is not a conference's name", c.Room)
	case c.Expires < time.Second || c.Expires > maxExpires:
		return out, fmt.Errorf("--expires: %v is not between a second and a year", c.Expires)
	}
	return out, nil
}

// openKeys reads a server's keys and never makes any: a token that no server
// knows would only puzzle.
func openKeys(dir string) (*auth.Authenticator, error) {
	for _, name := range []string{"keys.json", "owner.key"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return nil, fmt.Errorf("--data: no %s in %s; start the server once with this directory, or name the right one", name, dir)
		}
	}
	return auth.Open(auth.Config{Dir: dir})
}
