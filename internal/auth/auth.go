package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
)

// Lifetimes of what we issue.
const (
	accessTTL     = 12 * time.Hour // a working day and its evening
	inviteTTL     = 7 * 24 * time.Hour
	maxInviteTTL  = 30 * 24 * time.Hour
	minInviteTTL  = time.Minute
	guestNameNone = "Guest"
)

// Config of an [Authenticator].
type Config struct {
	Dir string           // keeps keys.json and owner.key; empty: keys live as long as the process
	Dev bool             // anyone may come under any name
	Now func() time.Time // nil: wall clock of the start plus monotonic time
	Log *slog.Logger
}

// Authenticator checks tokens and issues them.
type Authenticator struct {
	cfg     Config
	keys    *keyRing
	owner   ids.Secret
	created bool
	failed  failures
}

// Open reads the keys of cfg.Dir, making them at the first start.
func Open(cfg Config) (*Authenticator, error) {
	if cfg.Now == nil {
		start := time.Now()
		cfg.Now = func() time.Time { return start.Add(time.Since(start)) }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	a := &Authenticator{cfg: cfg, keys: volatileKeys()}
	if cfg.Dir == "" {
		return a, nil
	}
	var err error
	if a.keys, err = loadKeys(cfg.Dir); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	if a.owner, a.created, err = loadOwner(cfg.Dir); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return a, nil
}

// Owner returns the owner's key and whether this start made it.
func (a *Authenticator) Owner() (key ids.Secret, created bool) { return a.owner, a.created }

// Mode is what /status and the client are told: "none" with --dev, else "token".
func (a *Authenticator) Mode() string {
	if a.cfg.Dev {
		return "none"
	}
	return "token"
}

// Authenticate says who a client is. Name is used for guests only. The error is
// a *fault.Error: 401 with one text, or 429 after too many failures.
func (a *Authenticator) Authenticate(token, name string, addr netip.Addr) (control.Principal, error) {
	if token == "" && a.cfg.Dev {
		return principal(a.guest(name)), nil
	}
	c, _, err := a.keys.verify(token, useAccess, a.cfg.Now)
	if err != nil {
		return control.Principal{}, a.refuse(addr)
	}
	if c.Anon && !a.cfg.Dev {
		return control.Principal{}, a.refuse(addr) // made by a --dev run on the same directory
	}
	return principal(c), nil
}

func (a *Authenticator) guest(name string) Claims {
	return Claims{Subject: newSubject("guest"), Name: orGuest(name), Role: api.RoleOwner, Anon: true}
}

func principal(c Claims) control.Principal {
	p := control.Principal{
		Subject: c.Subject, Name: c.Name, Role: c.Role, Room: c.Room, Trusted: !c.Anon, Service: c.Service && !c.Anon,
	}
	if c.Rights != nil {
		p.Limits = control.Limits{
			NoPublish: !slices.Contains(c.Rights, RightPublish),
			NoScreen:  !slices.Contains(c.Rights, RightScreen),
			NoChat:    !slices.Contains(c.Rights, RightChat),
		}
	}
	return p
}

func newSubject(kind string) string {
	_, random, _ := strings.Cut(string(ids.NewParticipant()), "_")
	return kind + ":" + random
}

func orGuest(name string) string {
	if name = CleanName(name); name != "" {
		return name
	}
	return guestNameNone
}

// refuse counts a failure and makes the one refusal.
func (a *Authenticator) refuse(addr netip.Addr) *fault.Error {
	if wait := a.failed.add(addr, a.cfg.Now()); wait > 0 {
		e := fault.New(429, "too-many", "Too many failed attempts")
		e.RetryAfter = wait
		return e
	}
	return fault.New(401, "unauthenticated", "A valid token is needed")
}

// Mint signs an access token.
func (a *Authenticator) Mint(c Claims, ttl time.Duration) (token string, expires time.Time, err error) {
	w := wireClaims{Name: c.Name, Room: c.Room, Role: c.Role, Rights: c.Rights}
	w.Subject = c.Subject
	if _, ok := w.claims(useAccess); !ok {
		return "", time.Time{}, fmt.Errorf("auth: subject, room or role cannot stand in a token")
	}
	now := a.cfg.Now()
	token, err = a.keys.mint(c, useAccess, now, ttl)
	return token, now.Add(ttl), err
}

// Invite signs an invite code for a room.
func (a *Authenticator) Invite(room string, role api.Role, ttl time.Duration) (string, error) {
	if !ids.ValidName(room) || rank[role] == 0 {
		return "", fmt.Errorf("auth: room or role cannot stand in an invite")
	}
	return a.keys.mint(Claims{Room: room, Role: role}, useInvite, a.cfg.Now(), ttl)
}

// isOwner compares in constant time; hashing first hides the length as well.
func (a *Authenticator) isOwner(key string) bool {
	want, got := sha256.Sum256([]byte(a.owner.Reveal())), sha256.Sum256([]byte(key))
	return a.owner != "" && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// OwnerLink is what the owner opens. The key stands in the fragment, which
// browsers do not send.
func OwnerLink(base string, key ids.Secret) string {
	return strings.TrimSuffix(base, "/") + "/#owner=" + key.Reveal()
}

// GuestLink is what an invited person opens.
func GuestLink(base, room, code string) string {
	return strings.TrimSuffix(base, "/") + "/r/" + url.PathEscape(room) + "#invite=" + code
}
