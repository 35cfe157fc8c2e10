package info

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// Group is what role and privacy come to: those of one group may see the same.
type Group uint8

// Groups of viewers.
const (
	Members    Group = iota // who is in: neither lobby, nor call-info, nor who the anonymous are
	Moderators              // everything
	Waiting                 // in the lobby: their own row alone
)

// View is a class of subscribers who may see the same.
type View struct {
	Anchor   clock.Anchor
	MaxUsers int
	Labels   [][3]string // label, type, text for people
	Group    Group
	Self     string // user entity of the one who waits
}

// GroupOf says which group a participant belongs to.
func GroupOf(p *model.Participant) Group {
	switch {
	case p.State == model.Lobby:
		return Waiting
	case policy.AtLeast(p.Role, api.RoleModerator):
		return Moderators
	}
	return Members
}

// Sees reports whether the view shows a participant's row. Who left without
// ever having come in was never seen by members, and is not now.
func (v View) Sees(p *model.Participant) bool {
	switch v.Group {
	case Moderators:
		return true
	case Waiting:
		return p.User == v.Self
	}
	if p.State == model.Left && p.Role == api.RoleLobby {
		return !p.JoinedAt.IsZero()
	}
	return p.State != model.Lobby
}

// Hides reports whether the view shows an alias for the user.
func (v View) Hides(c *model.Conference, user string) bool {
	return v.Group == Members && c.Alias(user) > 0
}

// Name is what the view calls a user.
func (v View) Name(c *model.Conference, user string) string {
	if v.Group != Members {
		return user
	}
	if n := c.Alias(user); n > 0 {
		return model.AliasURI(n)
	}
	return user
}

// Device is what the view calls a user's device. An installation keeps its name
// from conference to conference and would give its owner away.
func (v View) Device(c *model.Conference, user string, id ids.Device) string {
	if !v.Hides(c, user) {
		return string(id)
	}
	sum := sha256.Sum256([]byte(string(c.ID) + "\x00" + string(id)))
	return "dev-" + hex.EncodeToString(sum[:8])
}

// DisplayText is what people read instead of the name of one who is hidden.
func (v View) DisplayText(c *model.Conference, user string) string {
	return "Guest " + strconv.Itoa(c.Alias(user))
}
