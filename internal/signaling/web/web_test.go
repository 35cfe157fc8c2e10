package web

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parley/api"
	"parley/internal/auth"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/conference/control"
	"parley/internal/signaling/origin"
	"parley/internal/signaling/porttest"
	"parley/internal/signaling/session"
	"parley/internal/signaling/whip"
	"parley/internal/signaling/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type tokens struct{}

func (tokens) Authenticate(token, _ string, _ netip.Addr) (control.Principal, error) {
	switch token {
	case "any":
		return control.Principal{Subject: "a"}, nil
	case "standup":
		return control.Principal{Subject: "a", Room: "standup"}, nil
	}
	return control.Principal{}, &fault.Error{Code: 401, Reason: "unauthenticated", RetryAfter: time.Second}
}

func named(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Served-By", name) })
}

func surfaceOf(change func(*Config)) http.Handler {
	cfg := Config{
		Pages: named("pages"), WS: named("ws"), WHIP: named("whip"), Auth: named("auth"), Authn: tokens{},
		Status: func(conf string) (api.RoomStatus, bool) {
			return api.RoomStatus{Active: true, Title: "Morning", UserCount: 3}, conf == "standup"
		},
		AuthMode: "token", Version: "1.2.3", Origin: origin.Policy{Allowed: []string{"https://app.example"}},
	}
	if change != nil {
		change(&cfg)
	}
	return Handler(cfg)
}

func get(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for _, hd := range headers {
		k, v, _ := strings.Cut(hd, ": ")
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRoutes(t *testing.T) {
	h := surfaceOf(nil)
	for path, want := range map[string]string{
		"/": "pages", "/r/standup": "pages", "/assets/x.js": "pages", "/ws": "ws", "/whip/standup": "whip", "/whip/standup/id": "whip",
		"/whep/standup": "whip", "/auth/exchange": "auth", "/auth/invite": "auth", "/nothing": "pages",
	} {
		w := get(h, "POST", "https://meet.example"+path)
		if got := w.Header().Get("Served-By"); got != want {
			t.Errorf("%s served by %q, want %q", path, got, want)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Referrer-Policy") != "no-referrer" ||
			!strings.Contains(w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: headers %v", path, w.Header())
		}
	}
}

func TestConfig(t *testing.T) {
	h := surfaceOf(nil)
	w := get(h, "GET", "https://meet.example/config.json")
	var c map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil {
		t.Fatal(err)
	}
	if c["dev"] != false || c["version"] != "1.2.3" || c["wsUrl"] != "wss://meet.example/ws" || len(c["languages"].([]any)) != 2 {
		t.Fatalf("%v", c)
	}
	if w := get(h, "POST", "https://meet.example/config.json"); w.Code != 405 || w.Header().Get("Allow") == "" {
		t.Fatalf("POST: %d", w.Code)
	}
	plain := get(h, "GET", "http://127.0.0.1:8080/config.json")
	if !strings.Contains(plain.Body.String(), `"wsUrl":"ws://127.0.0.1:8080/ws"`) {
		t.Fatalf("plain: %s", plain.Body)
	}
	public := get(surfaceOf(func(c *Config) { c.PublicURL = "https://pub.example" }), "GET", "http://127.0.0.1/config.json")
	if !strings.Contains(public.Body.String(), `"wsUrl":"wss://pub.example/ws"`) {
		t.Fatalf("public: %s", public.Body)
	}
}

func TestStatusTellsOnlyThoseWhoMayKnow(t *testing.T) {
	h := surfaceOf(nil)
	const url = "https://meet.example/r/standup/status"
	full := get(h, "GET", url, "Authorization: Bearer standup")
	for _, want := range []string{`"active":true`, `"locked":false`, `"title":"Morning"`, `"userCount":3`, `"auth":"token"`, `"versions":[1]`, `"wsUrl":"wss://meet.example/ws"`} {
		if !strings.Contains(full.Body.String(), want) {
			t.Errorf("lacks %s: %s", want, full.Body)
		}
	}
	absent := get(h, "GET", "https://meet.example/r/absent/status", "Authorization: Bearer any")
	if !strings.Contains(absent.Body.String(), `"active":false`) {
		t.Errorf("absent: %s", absent.Body)
	}
	for _, tc := range []struct {
		name, method, path, auth string
		code                     int
	}{
		{"bad token", "GET", "/r/standup/status", "Bearer x", 401},
		{"post", "POST", "/r/standup/status", "Bearer any", 405},
		{"bad name", "GET", "/r/a%20b/status", "Bearer any", 404},
	} {
		if w := get(h, tc.method, "https://meet.example"+tc.path, "Authorization: "+tc.auth); w.Code != tc.code {
			t.Errorf("%s: %d", tc.name, w.Code)
		}
	}
	dev := get(surfaceOf(func(c *Config) { c.Dev, c.AuthMode = true, "none" }), "GET", url)
	if !strings.Contains(dev.Body.String(), `"active":true`) {
		t.Errorf("dev: %s", dev.Body)
	}
}

func TestS5_StatusIsNoOracle(t *testing.T) {
	h := surfaceOf(nil)
	for _, header := range []string{"X: y", "Authorization: Bearer wrong", "Authorization: Bearer standup"} {
		present, absent := "/r/standup/status", "/r/absent/status"
		if strings.HasSuffix(header, "standup") { // a token for neither
			present, absent = "/r/absent1/status", "/r/absent2/status"
		}
		a := get(h, "GET", "https://meet.example"+present, header)
		b := get(h, "GET", "https://meet.example"+absent, header)
		if a.Code != b.Code || a.Body.String() != b.Body.String() {
			t.Errorf("%s: %d %s / %d %s", header, a.Code, a.Body, b.Code, b.Body)
		}
	}
}

func TestCORSOnlyForListed(t *testing.T) {
	h := surfaceOf(nil)
	for origin, code := range map[string]int{"https://app.example": 204, "https://evil.example": 403} {
		w := get(h, "OPTIONS", "https://meet.example/auth/exchange", "Origin: "+origin)
		if w.Code != code || (w.Header().Get("Access-Control-Allow-Origin") == origin) != (code == 204) {
			t.Errorf("%s: %d %v", origin, w.Code, w.Header())
		}
	}
}

// TestS5_WrongTokensFromOneAddress goes through the real parts: a thousand
// names with wrong tokens get one text, ten times, then 429 alike.
func TestS5_WrongTokensFromOneAddress(t *testing.T) {
	a, err := auth.Open(auth.Config{})
	if err != nil {
		t.Fatal(err)
	}
	port := &porttest.Port{}
	reg := session.NewRegistry(session.Config{Port: port, Auth: a, Now: clock.NewSystem().Now})
	h := Handler(Config{
		Pages: http.NotFoundHandler(), WS: ws.NewHandler(ws.Config{Sessions: reg}), Auth: a.Handler(nil), Authn: a, AuthMode: a.Mode(),
		WHIP: whip.NewHandler(whip.Config{Port: port, Auth: a}),
	})
	seen := map[int]map[string]int{}
	for i := range 1000 {
		name := "standup"
		if i%2 == 0 {
			name = "absent" + strings.Repeat("x", i%40)
		}
		w := get(h, "POST", "https://meet.example/whip/"+name, "Authorization: Bearer wrong", "Content-Type: application/sdp")
		text := w.Body.String()
		if w.Code == 429 {
			text = "" // holds the time to wait
		}
		if seen[w.Code] == nil {
			seen[w.Code] = map[string]int{}
		}
		seen[w.Code][text]++
	}
	if len(seen) != 2 || len(seen[401]) != 1 || len(seen[429]) != 1 {
		t.Fatalf("answers %v", seen)
	}
	for text, n := range seen[401] {
		if n != 10 {
			t.Fatalf("%d times %s", n, text)
		}
	}
	if len(port.Calls()) != 0 {
		t.Fatalf("port: %v", port.Calls())
	}
}
