package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parley/api"
	"parley/internal/conference/control"
)

func TestRightsNarrowTheRole(t *testing.T) {
	a, _ := open(t, false)
	for _, tc := range []struct {
		rights []string
		want   control.Limits
	}{
		{nil, control.Limits{}},
		{[]string{}, control.Limits{NoPublish: true, NoScreen: true, NoChat: true}},
		{[]string{"chat"}, control.Limits{NoPublish: true, NoScreen: true}},
		{[]string{"publish", "screen", "chat"}, control.Limits{}},
	} {
		token, _, err := a.Mint(Claims{Subject: "s", Role: api.RolePresenter, Rights: tc.rights}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := a.Authenticate(token, "", addr(1)); err != nil || p.Limits != tc.want || p.Service {
			t.Errorf("%v: %+v %v", tc.rights, p, err)
		}
	}
	if _, _, err := a.Mint(Claims{Subject: "s", Rights: []string{"fly"}}, time.Hour); err == nil {
		t.Error("an unknown right was signed")
	}
	token, _, _ := a.Mint(Claims{Subject: "s", Role: api.RoleOwner, Service: true}, time.Hour)
	if p, err := a.Authenticate(token, "", addr(1)); err != nil || !p.Service {
		t.Errorf("%+v %v", p, err)
	}
}

func public(t *testing.T, k any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// TestA15_OneAlgorithmPerKey: another issuer's public key verifies its own
// algorithm and cannot be used as the secret of a symmetric one.
func TestA15_OneAlgorithmPerKey(t *testing.T) {
	edPub, ed, _ := ed25519.GenerateKey(rand.Reader)
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	edPEM, ecPEM := public(t, edPub), public(t, &ec.PublicKey)
	own := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	file, _ := json.Marshal(map[string]any{"keys": []map[string]string{
		{"kid": "ed", "alg": "EdDSA", "public": edPEM}, {"kid": "ec", "alg": "ES256", "public": ecPEM}, {"kid": "own", "alg": "HS256", "secret": own},
	}})
	ring, err := parseKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	if ring.sign == nil || ring.sign.id != "own" {
		t.Fatal("signs with a key it has only half of")
	}
	sign := func(m jwt.SigningMethod, kid string, key any) string {
		tok := jwt.NewWithClaims(m, jwt.MapClaims{"sub": "sip:a@x", "exp": start.Add(time.Hour).Unix()})
		tok.Header["kid"] = kid
		s, err := tok.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	now := func() time.Time { return start }
	for name, tok := range map[string]string{
		"EdDSA": sign(jwt.SigningMethodEdDSA, "ed", ed), "ES256": sign(jwt.SigningMethodES256, "ec", ec), "HS256": sign(jwt.SigningMethodHS256, "own", make([]byte, 32)),
	} {
		if _, _, err := ring.verify(tok, useAccess, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tok := range map[string]string{
		"public key as secret":      sign(jwt.SigningMethodHS256, "ed", []byte(edPEM)),
		"raw public key as secret":  sign(jwt.SigningMethodHS256, "ed", []byte(edPub)),
		"curve key as secret":       sign(jwt.SigningMethodHS256, "ec", []byte(ecPEM)),
		"key of another id":         sign(jwt.SigningMethodEdDSA, "ec", ed),
		"asymmetric for own key id": sign(jwt.SigningMethodEdDSA, "own", ed),
	} {
		if _, _, err := ring.verify(tok, useAccess, now); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestPublicKeysAreChecked(t *testing.T) {
	edPub, _, _ := ed25519.GenerateKey(rand.Reader)
	weak, _ := rsa.GenerateKey(rand.Reader, 2048)
	big, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	for name, tc := range map[string]struct{ alg, secret, public, want string }{
		"both halves":     {"EdDSA", "x", public(t, edPub), "secret:"},
		"no key":          {"EdDSA", "", "", "public: not PEM"},
		"other algorithm": {"ES256", "", public(t, edPub), "public: not a key for ES256"},
		"RSA":             {"EdDSA", "", public(t, &weak.PublicKey), "public: not a key for EdDSA"},
		"wrong curve":     {"ES256", "", public(t, &big.PublicKey), "public: not a key for ES256"},
		"RS256":           {"RS256", "", public(t, &weak.PublicKey), "alg: must be one of"},
		"public HS256":    {"HS256", "", public(t, edPub), "public:"},
		"garbage":         {"EdDSA", "", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "public: not a public key"},
	} {
		file, _ := json.Marshal(map[string]any{"keys": []map[string]string{{"kid": "k", "alg": tc.alg, "secret": tc.secret, "public": tc.public}}})
		if _, err := parseKeys(file); err == nil || !strings.Contains(err.Error(), "keys[0]."+tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
