package auth

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/base/strictjson"
)

// algorithm is the one we sign with (RFC 7518, section 3.2).
const algorithm = "HS256"

// algorithms are the ones a key of the file may be for: ours, and two whose
// public half another issuer can give us (RFC 7518, section 3.4; RFC 8037).
var algorithms = []string{algorithm, "ES256", "EdDSA"}

// maxToken is the cap before anything is parsed (class A15).
const maxToken = 8 << 10

// leeway for clocks of others; scenario R15 allows at most 60 s.
const leeway = 30 * time.Second

// Uses of a token; one is never taken for the other.
const (
	useAccess = "access"
	useInvite = "invite"
)

// Claims of an access token or an invite code (RFC 7519, section 4, and ours:
// name, room, role, use, anon).
type Claims struct {
	Subject string   // identity, such as "sip:ana@example.net"
	Name    string   // display name
	Room    string   // conference the token is for; empty: any
	Role    api.Role // highest role; empty: attendee
	Anon    bool     // a guest nobody vouches for (--dev)
	Service bool     // a program that administers, see docs/api.md
	// Rights are the only ones granted of those the role has; nil: all of them.
	Rights []string
}

// Rights a token can name.
const (
	RightPublish = "publish" // microphone and camera
	RightScreen  = "screen"  // screen and its sound
	RightChat    = "chat"
)

// Rights lists all of them.
func Rights() []string { return []string{RightPublish, RightScreen, RightChat} }

func validRights(list []string) bool {
	return !slices.ContainsFunc(list, func(r string) bool { return !slices.Contains(Rights(), r) })
}

type wireClaims struct {
	jwt.RegisteredClaims
	Name string   `json:"name,omitempty"`
	Room string   `json:"room,omitempty"`
	Role api.Role `json:"role,omitempty"`
	Use  string   `json:"use,omitempty"`
	Anon bool     `json:"anon,omitempty"`

	Service bool     `json:"service,omitempty"`
	Rights  []string `json:"rights,omitzero"` // an empty list grants none
}

// rank orders the roles a token may grant.
var rank = map[api.Role]int{
	api.RoleObserver: 1, api.RoleAttendee: 2, api.RolePresenter: 3, api.RoleModerator: 4, api.RoleOwner: 5,
}

var errNoSigner = errors.New("auth: keys.json has no key of this server's own to sign with")

var errToken = errors.New("token refused") // the cause is for nobody

func (r *keyRing) mint(c Claims, use string, now time.Time, ttl time.Duration) (string, error) {
	w := wireClaims{Name: c.Name, Room: c.Room, Role: c.Role, Use: use, Anon: c.Anon, Service: c.Service, Rights: c.Rights}
	w.Subject = c.Subject
	w.ID = strings.TrimPrefix(string(ids.NewConnection()), "conn_") // never twice the same token
	w.IssuedAt = jwt.NewNumericDate(now)
	w.ExpiresAt = jwt.NewNumericDate(now.Add(ttl))
	if r.sign == nil {
		return "", errNoSigner
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, w)
	t.Header["kid"] = r.sign.id
	return t.SignedString(r.sign.secret)
}

// verify reads a token of one use.
func (r *keyRing) verify(text, use string, now func() time.Time) (Claims, time.Time, error) {
	if text == "" || len(text) > maxToken || !unambiguous(text) {
		return Claims{}, time.Time{}, errToken
	}
	parser := jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithLeeway(leeway),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(now), jwt.WithStrictDecoding())
	var w wireClaims
	if _, err := parser.ParseWithClaims(text, &w, r.keyOf); err != nil {
		return Claims{}, time.Time{}, errToken
	}
	if w.Use == "" {
		w.Use = useAccess // issuers other than us need not know the claim
	}
	if w.Use != use {
		return Claims{}, time.Time{}, errToken
	}
	c, ok := w.claims(use)
	if !ok {
		return Claims{}, time.Time{}, errToken
	}
	return c, w.ExpiresAt.Time, nil
}

func (r *keyRing) keyOf(t *jwt.Token) (any, error) {
	id, _ := t.Header["kid"].(string)
	k := r.byID[id]
	if k == nil || t.Method.Alg() != k.alg {
		return nil, errToken
	}
	return k.verifier, nil
}

func (w *wireClaims) claims(use string) (Claims, bool) {
	c := Claims{Subject: w.Subject, Name: CleanName(w.Name), Room: w.Room, Role: w.Role, Anon: w.Anon, Service: w.Service, Rights: w.Rights}
	if c.Role == "" {
		c.Role = api.RoleAttendee
	}
	switch {
	case rank[c.Role] == 0:
		return c, false
	case c.Room != "" && !ids.ValidName(c.Room):
		return c, false
	case !validRights(c.Rights):
		return c, false
	case use == useInvite:
		return c, c.Room != ""
	}
	return c, validSubject(c.Subject)
}

// unambiguous refuses header or payload texts that two readers read apart.
func unambiguous(text string) bool {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return false
	}
	for _, p := range parts[:2] {
		b, err := base64.RawURLEncoding.Strict().DecodeString(p)
		if err != nil || strictjson.Check(b) != nil {
			return false
		}
	}
	return true
}

// maxSubject bounds an identity; it is a roster key and travels in documents.
const maxSubject = 256

func validSubject(s string) bool {
	return s != "" && len(s) <= maxSubject && utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r) || !unicode.IsPrint(r)
	}) < 0
}

// maxName is in runes; enough for the longest names people have.
const maxName = 64

// CleanName makes a display name harmless: one line of printable characters,
// without bidirectional overrides, at most 64 of them.
func CleanName(s string) string {
	if len(s) > 4*utf8.UTFMax*maxName {
		s = s[:4*utf8.UTFMax*maxName]
	}
	s = strings.ToValidUTF8(s, "")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r) && r != '\u200d' && r != '\u200c': // joiners belong to scripts and emoji
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxName {
		s = strings.TrimSpace(string(runes[:maxName]))
	}
	return s
}
