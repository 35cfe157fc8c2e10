package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"parley/api"
	"parley/internal/base/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2031, 5, 6, 9, 0, 0, 0, time.UTC)

// watch is a clock the test moves.
type watch struct{ now time.Time }

func (w *watch) Now() time.Time { return w.now }

func open(t *testing.T, dev bool) (*Authenticator, *watch) {
	t.Helper()
	w := &watch{start}
	a, err := Open(Config{Dir: filepath.Join(t.TempDir(), "data"), Dev: dev, Now: w.Now})
	if err != nil {
		t.Fatal(err)
	}
	return a, w
}

func addr(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }

func TestDevLetsAnyNameIn(t *testing.T) {
	a, _ := open(t, true)
	one, err := a.Authenticate("", " An\u202ea\n\x1b[31m ", addr(1))
	if err != nil {
		t.Fatal(err)
	}
	two, _ := a.Authenticate("", "Ana", addr(1))
	if one.Subject == two.Subject || !strings.HasPrefix(one.Subject, "guest:") || one.Trusted || one.Room != "" {
		t.Fatalf("%+v %+v", one, two)
	}
	if one.Name != "Ana [31m" {
		t.Fatalf("name %q", one.Name)
	}
	if _, err := a.Authenticate("nonsense", "", addr(1)); fault.From(err).Code != 401 {
		t.Fatalf("a wrong token passed: %v", err)
	}
}

func TestTokenRoundTrip(t *testing.T) {
	a, w := open(t, false)
	token, exp, err := a.Mint(Claims{Subject: "sip:ana@x", Name: "Ana", Room: "standup", Role: api.RoleModerator}, time.Hour)
	if err != nil || !exp.Equal(start.Add(time.Hour)) {
		t.Fatal(err, exp)
	}
	p, err := a.Authenticate(token, "Somebody else", addr(1))
	if err != nil || p.Subject != "sip:ana@x" || p.Name != "Ana" || p.Room != "standup" || p.Role != api.RoleModerator || !p.Trusted {
		t.Fatalf("%+v %v", p, err)
	}
	w.now = start.Add(time.Hour + leeway - time.Second)
	if _, err := a.Authenticate(token, "", addr(1)); err != nil {
		t.Fatalf("inside the leeway: %v", err)
	}
	w.now = start.Add(time.Hour + time.Minute) // R15: leeway is at most 60 s
	if _, err := a.Authenticate(token, "", addr(1)); err == nil {
		t.Fatal("an expired token passed")
	}
}

// forge signs arbitrary claims with the server's own key.
func forge(a *Authenticator, header map[string]any, claims jwt.MapClaims) string {
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	t.Header["kid"] = a.keys.sign.id
	for k, v := range header {
		t.Header[k] = v
	}
	s, err := t.SignedString(a.keys.sign.secret)
	if err != nil {
		panic(err)
	}
	return s
}

func TestA15_TokensRefused(t *testing.T) {
	a, _ := open(t, false)
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"sub": "sip:a@x", "exp": start.Add(time.Hour).Unix()}
	}
	with := func(k string, v any) jwt.MapClaims {
		c := good()
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
		return c
	}
	if _, err := a.Authenticate(forge(a, nil, good()), "", addr(9)); err != nil {
		t.Fatalf("the base case: %v", err)
	}
	none, _ := jwt.NewWithClaims(jwt.SigningMethodNone, good()).SignedString(jwt.UnsafeAllowNoneSignatureType)
	hs512 := jwt.NewWithClaims(jwt.SigningMethodHS512, good())
	hs512.Header["kid"] = a.keys.sign.id
	strong, _ := hs512.SignedString(a.keys.sign.secret)
	other, _ := open(t, false)
	invite, _ := a.Invite("room", api.RoleAttendee, time.Hour)
	b64 := base64.RawURLEncoding.EncodeToString
	twice := fmt.Sprintf(`{"sub":"a","sub":"b","exp":%d}`, start.Add(time.Hour).Unix())
	signing := b64([]byte(`{"alg":"HS256","kid":"`+a.keys.sign.id+`"}`)) + "." + b64([]byte(twice))
	sig, _ := jwt.SigningMethodHS256.Sign(signing, a.keys.sign.secret)

	for name, token := range map[string]string{
		"empty": "", "garbage": "x.y.z", "two parts": "a.b", "alg none": none, "another algorithm": strong,
		"other server's key": forge(other, nil, good()), "unknown kid": forge(a, map[string]any{"kid": "k9"}, good()),
		"kid not a string": forge(a, map[string]any{"kid": 1}, good()),
		"no exp":           forge(a, nil, with("exp", nil)), "expired": forge(a, nil, with("exp", start.Add(-time.Hour).Unix())),
		"not yet": forge(a, nil, with("nbf", start.Add(time.Hour).Unix())), "no sub": forge(a, nil, with("sub", nil)),
		"sub with newline": forge(a, nil, with("sub", "a\nb")), "long sub": forge(a, nil, with("sub", strings.Repeat("x", 300))),
		"unknown role": forge(a, nil, with("role", "god")), "lobby role": forge(a, nil, with("role", "lobby")),
		"bad room": forge(a, nil, with("room", "../x")), "an invite": invite, "unknown use": forge(a, nil, with("use", "other")),
		"too large": forge(a, nil, with("name", strings.Repeat("x", 9<<10))), "anonymous, made with --dev": forge(a, nil, with("anon", true)),
		"duplicate claim": signing + "." + b64(sig), "name of wrong type": forge(a, nil, with("name", 5)),
	} {
		i := len(name)
		_, err := a.Authenticate(token, "", addr(100+i))
		e := fault.From(err)
		if e == nil || e.Code != 401 || e.Reason != "unauthenticated" || e.Message != "A valid token is needed" {
			t.Errorf("%s: %v", name, err)
		}
		a.failed.byAddr = nil
	}
}

func TestS5_TenFailuresThen429(t *testing.T) {
	a, w := open(t, false)
	good, _, _ := a.Mint(Claims{Subject: "sip:a@x"}, time.Hour)
	for i := range 30 {
		_, err := a.Authenticate("wrong", "", addr(1))
		want := 401
		if i >= 10 {
			want = 429
		}
		if e := fault.From(err); e.Code != want || (want == 429) != (e.RetryAfter > 0) {
			t.Fatalf("failure %d: %v", i+1, err)
		}
	}
	if _, err := a.Authenticate(good, "", addr(1)); err != nil {
		t.Fatalf("a neighbour's right token: %v", err)
	}
	if _, err := a.Authenticate("wrong", "", addr(2)); fault.From(err).Code != 401 {
		t.Fatalf("another address: %v", err)
	}
	w.now = start.Add(61 * time.Second)
	if _, err := a.Authenticate("wrong", "", addr(1)); fault.From(err).Code != 401 {
		t.Fatalf("a minute later: %v", err)
	}
}

func TestFailuresAreBounded(t *testing.T) {
	var f failures
	for i := range maxFailing + 5000 {
		f.add(netip.AddrFrom16([16]byte{0x20, 1, 0, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), start)
	}
	if len(f.byAddr) > maxFailing {
		t.Fatalf("%d windows", len(f.byAddr))
	}
	for i := range 20 { // one /64 is one
		f.add(netip.AddrFrom16([16]byte{0x20, 2, 15: byte(i)}), start)
	}
	if w := f.add(netip.MustParseAddr("2002::99"), start); w == 0 {
		t.Fatal("IPv6 addresses of one network count apart")
	}
	if Network(netip.MustParseAddr("::ffff:192.0.2.1")) != Network(netip.MustParseAddr("192.0.2.1")) {
		t.Fatal("mapped address counts apart")
	}
}

func call(t *testing.T, h http.Handler, method, path, bearer, body string) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var m map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &m)
	return w, m
}

func TestOwnerAndInviteExchange(t *testing.T) {
	a, _ := open(t, false)
	h := a.Handler(nil)
	key, created := a.Owner()
	if !created {
		t.Fatal("first start did not make a key")
	}
	w, m := call(t, h, "POST", "/auth/exchange", "", `{"owner":"`+key.Reveal()+`","name":"Ana"}`)
	if w.Code != 200 || m["role"] != "owner" || m["exp"].(float64) != float64(start.Add(accessTTL).Unix()) {
		t.Fatalf("%d %v", w.Code, m)
	}
	owner := m["token"].(string)
	p, err := a.Authenticate(owner, "", addr(1))
	if err != nil || p.Role != api.RoleOwner || p.Room != "" || !p.Trusted {
		t.Fatalf("%+v %v", p, err)
	}
	w, m = call(t, h, "POST", "/auth/invite", owner, `{"room":"standup","role":"presenter","expiresS":600}`)
	if w.Code != 200 || m["exp"].(float64) != float64(start.Add(10*time.Minute).Unix()) {
		t.Fatalf("%d %v", w.Code, m)
	}
	code := m["invite"].(string)
	w, m = call(t, h, "POST", "/auth/exchange", "", `{"invite":"`+code+`","name":"Bob"}`)
	if w.Code != 200 || m["room"] != "standup" || m["role"] != "presenter" {
		t.Fatalf("%d %v", w.Code, m)
	}
	guest := m["token"].(string)
	if p, err := a.Authenticate(guest, "", addr(1)); err != nil || p.Room != "standup" || p.Name != "Bob" {
		t.Fatalf("%+v %v", p, err)
	}
	_, m2 := call(t, h, "POST", "/auth/exchange", "", `{"invite":"`+code+`","name":"Bob"}`)
	if m2["user"] == m["user"] {
		t.Fatal("two guests of one invite share an identity")
	}
	w, _ = call(t, h, "POST", "/auth/invite", guest, `{"room":"standup"}`)
	if w.Code != 403 {
		t.Fatalf("a presenter invited: %d", w.Code)
	}
	if l := GuestLink("https://h/", "standup", "C"); l != "https://h/r/standup#invite=C" {
		t.Fatal(l)
	}
	if l := OwnerLink("https://h", "K"); l != "https://h/#owner=K" {
		t.Fatal(l)
	}
}

func TestExchangeRefusals(t *testing.T) {
	a, _ := open(t, false)
	h := a.Handler(nil)
	mod, _, _ := a.Mint(Claims{Subject: "m", Room: "one", Role: api.RoleModerator}, time.Hour)
	for _, tc := range []struct {
		name, method, path, bearer, body string
		code                             int
	}{
		{"get", "GET", "/auth/exchange", "", "", 405},
		{"put", "PUT", "/auth/invite", "", "", 405},
		{"no body", "POST", "/auth/exchange", "", "", 400},
		{"not json", "POST", "/auth/exchange", "", "owner=x", 400},
		{"duplicate key", "POST", "/auth/exchange", "", `{"owner":"a","owner":"b"}`, 400},
		{"wrong type", "POST", "/auth/exchange", "", `{"owner":5}`, 400},
		{"both", "POST", "/auth/exchange", "", `{"owner":"a","invite":"b"}`, 400},
		{"huge", "POST", "/auth/exchange", "", `{"owner":"` + strings.Repeat("x", 20<<10) + `"}`, 413},
		{"wrong key", "POST", "/auth/exchange", "", `{"owner":"wrong"}`, 401},
		{"wrong invite", "POST", "/auth/exchange", "", `{"invite":"wrong"}`, 401},
		{"name only", "POST", "/auth/exchange", "", `{"name":"Ana"}`, 401},
		{"invite without token", "POST", "/auth/invite", "", `{"room":"one"}`, 401},
		{"other room", "POST", "/auth/invite", mod, `{"room":"two"}`, 403},
		{"more than it has", "POST", "/auth/invite", mod, `{"room":"one","role":"owner"}`, 403},
		{"bad room", "POST", "/auth/invite", mod, `{"room":"a/b"}`, 400},
		{"bad role", "POST", "/auth/invite", mod, `{"room":"one","role":"god"}`, 400},
		{"negative", "POST", "/auth/invite", mod, `{"room":"one","expiresS":-1}`, 400},
		{"overflow clamps", "POST", "/auth/invite", mod, `{"room":"one","expiresS":9223372036854775807}`, 200},
		{"elsewhere", "POST", "/auth/other", "", "", 404},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, _ := call(t, h, tc.method, tc.path, tc.bearer, tc.body)
			if w.Code != tc.code {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if tc.code == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Fatal("no WWW-Authenticate")
			}
		})
	}
	for range 10 {
		call(t, h, "POST", "/auth/exchange", "", `{"owner":"wrong"}`)
	}
	if w, _ := call(t, h, "POST", "/auth/exchange", "", `{"owner":"wrong"}`); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Fatalf("after ten: %d", w.Code)
	}
}

func TestDevExchangeKeepsIdentity(t *testing.T) {
	a, _ := open(t, true)
	w, m := call(t, a.Handler(nil), "POST", "/auth/exchange", "", `{"name":"Ana"}`)
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	p, err := a.Authenticate(m["token"].(string), "", addr(1))
	if err != nil || p.Subject != m["user"] || p.Trusted {
		t.Fatalf("%+v %v", p, err)
	}
}

func TestKeysSurviveRestartAndStayClosed(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	key, _ := a.Owner()
	token, _, _ := a.Mint(Claims{Subject: "s"}, time.Hour)
	b, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if again, created := b.Owner(); created || again != key {
		t.Fatal("the owner's key changed")
	}
	if _, err := b.Authenticate(token, "", addr(1)); err != nil {
		t.Fatalf("old token: %v", err)
	}
	for _, name := range []string{ownerFile, keysFile} {
		path := filepath.Join(dir, name)
		if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
			t.Fatalf("%s has mode %v", name, info.Mode())
		}
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "chmod 600") {
			t.Fatalf("%s open to others: %v", name, err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKeyFileIsChecked(t *testing.T) {
	secret := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	for _, tc := range []struct{ name, text, want string }{
		{"empty", ``, "malformed"},
		{"none", `{"keys":[]}`, "empty"},
		{"shape", `{"keys":5}`, "form"},
		{"algorithm", `{"keys":[{"kid":"a","alg":"none","secret":"` + secret + `"}]}`, "keys[0].alg"},
		{"kid", `{"keys":[{"kid":"","alg":"HS256","secret":"` + secret + `"}]}`, "keys[0].kid"},
		{"twice", `{"keys":[{"kid":"a","alg":"HS256","secret":"` + secret + `"},{"kid":"a","alg":"HS256","secret":"` + secret + `"}]}`, "keys[1].kid"},
		{"sample", `{"keys":[{"kid":"a","alg":"HS256","secret":"devkey"}]}`, "keys[0].secret"},
		{"not base64", `{"keys":[{"kid":"a","alg":"HS256","secret":"%%"}]}`, "keys[0].secret"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parseKeys([]byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "devkey") {
				t.Fatalf("%v", err)
			}
		})
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ownerFile), []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir}); err == nil || strings.Contains(err.Error(), "short\n") {
		t.Fatalf("short owner key: %v", err)
	}
}

func TestS9_SecretsDoNotPrint(t *testing.T) {
	a, _ := open(t, false)
	key, _ := a.Owner()
	var buf bytes.Buffer
	log := slog.New(slog.NewTextHandler(&buf, nil))
	log.Info("x", "key", key)
	fmt.Fprintf(&buf, "%v %s %+v %#v", key, key, key, key)
	if strings.Contains(buf.String(), key.Reveal()) {
		t.Fatal("the key prints itself")
	}
}

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"Ana": "Ana", "  Ana \t María ": "Ana María", "a\r\nb": "a b", "\x1b[31mred": "[31mred", "%n": "%n",
		"李雷": "李雷", "\xff\xfeA": "A", "a\u202eb": "ab", "": "", "\n\t": "",
	} {
		if got := CleanName(in); got != want {
			t.Errorf("CleanName(%q) = %q, want %q", in, got, want)
		}
	}
	if got := CleanName(strings.Repeat("界", 1<<20)); len([]rune(got)) != 64 {
		t.Errorf("%d runes", len([]rune(got)))
	}
}

func FuzzVerify(f *testing.F) {
	a, err := Open(Config{Now: func() time.Time { return start }})
	if err != nil {
		f.Fatal(err)
	}
	good, _, _ := a.Mint(Claims{Subject: "sip:a@x"}, time.Hour)
	for _, s := range []string{good, "", "a.b.c", good[:len(good)-2], strings.ToUpper(good), "..", "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		c, _, err := a.keys.verify(token, useAccess, a.cfg.Now)
		if err == nil && token != good {
			t.Fatalf("accepted a token nobody signed: %+v", c)
		}
	})
}

func FuzzKeyFile(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kid":"a","alg":"HS256","secret":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`))
	f.Add([]byte(`{"keys":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if ring, err := parseKeys(b); err == nil && ring.sign != nil && len(ring.sign.secret) < secretBytes {
			t.Fatal("accepted a weak key")
		}
	})
}

func FuzzExchange(f *testing.F) {
	a, err := Open(Config{Now: func() time.Time { return start }})
	if err != nil {
		f.Fatal(err)
	}
	h := a.Handler(nil)
	for _, s := range []string{`{"owner":"x"}`, `{"invite":"x","name":"y"}`, `{}`, `[`, `{"owner":null}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/auth/exchange", strings.NewReader(body))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code < 400 || w.Code >= 500 {
			t.Fatalf("%d for %q", w.Code, body)
		}
	})
}
