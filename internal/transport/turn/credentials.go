package turn

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // fixed by the scheme
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/pion/stun/v4"
	pion "github.com/pion/turn/v5"
)

// issuer makes and checks credentials in the manner of the TURN REST API
// (draft-uberti-behave-turn-rest-00): the user name is an end, and a tag of user and
// session; the password is its HMAC under a key that lives as long as the process.
// The tags are keyed, so that a name in a packet tells nobody's identity.
type issuer struct {
	key      [32]byte
	lifetime time.Duration
	realm    string
	now      func() time.Time
}

func newIssuer(c *Config) *issuer {
	i := &issuer{lifetime: c.Lifetime, realm: c.Realm, now: c.Now}
	_, _ = rand.Read(i.key[:]) // never fails
	return i
}

// tagLen is 60 bits: enough that two users do not share a quota.
const tagLen = 12

func (i *issuer) tag(kind, of string) string {
	m := hmac.New(sha256.New, i.key[:])
	m.Write([]byte(kind + "\x00" + of))
	return strings.ToLower(base32.StdEncoding.EncodeToString(m.Sum(nil))[:tagLen])
}

// issue makes credentials for a user's session.
func (i *issuer) issue(user, session string) (name, password string) {
	end := i.now().Add(i.lifetime).Unix()
	name = strconv.FormatInt(end, 10) + ":" + i.tag("user", user) + "." + i.tag("session", session)
	return name, i.password(name)
}

func (i *issuer) password(name string) string {
	m := hmac.New(sha1.New, i.key[:])
	m.Write([]byte(name))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// check implements pion's AuthHandler: whose name it is, and the key that proves it.
// An allocation needs a name that has not ended; what it does later may come after.
func (i *issuer) check(r *pion.RequestAttributes) (user string, key []byte, ok bool) {
	end, user, ok := parseName(r.Username)
	if !ok || r.Realm != i.realm {
		return "", nil, false
	}
	limit := end
	if r.Method != stun.MethodAllocate {
		limit = end.Add(maxAge)
	}
	if i.now().After(limit) {
		return "", nil, false
	}
	return user, pion.GenerateAuthKey(r.Username, r.Realm, i.password(r.Username)), true
}

// parseName takes a user name apart: its end, and the tag that the quota is by.
func parseName(name string) (end time.Time, user string, ok bool) {
	at, tags, found := strings.Cut(name, ":")
	user, session, both := strings.Cut(tags, ".")
	if !found || !both || len(user) != tagLen || len(session) != tagLen || len(at) > 12 {
		return time.Time{}, "", false
	}
	sec, err := strconv.ParseInt(at, 10, 64)
	if err != nil || sec < 0 {
		return time.Time{}, "", false
	}
	return time.Unix(sec, 0), user, true
}
