package admin

import (
	"context"
	"encoding/json"
	"errors"
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
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/conference/policy"
	"parley/internal/focus"
	"parley/internal/media/plane"
	"parley/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// still is a media side on which nothing happens.
type still struct{ plane.Plane }

func (still) Open(plane.Open) (plane.Local, error)                        { return plane.Local{}, errors.New("no media") }
func (still) Close(ids.Connection, string)                                {}
func (still) Unpublish(ids.Conference, ids.Track)                         {}
func (still) Mute(ids.Conference, ids.Track, bool)                        {}
func (still) EndConference(ids.Conference)                                {}
func (still) Contributors(ids.Conference, ids.Track, []plane.Contributor) {}
func (still) Unsubscribe(ids.Subscription)                                {}
func (still) Stats(ids.Connection) (plane.LinkStats, bool) {
	return plane.LinkStats{
		RTT: time.Millisecond, BytesIn: 5, RemoteAddr: netip.MustParseAddrPort("192.0.2.7:9"), RateIn: 70, Goodput: 30, ScoreIn: 3.4, ScoreOut: 4.6,
		Control: plane.RateControl{Target: 500_000, Feedback: "twcc"},
		In: []plane.StreamIn{
			{Track: "trk_1", Kind: plane.Audio, LossAfter: 0.25, Score: 3.4, Live: true},
			{Track: "trk_2", Kind: plane.Video, Live: false},
		},
		Out: []plane.StreamOut{{Track: "trk_3", Kind: plane.Video, State: "flowing", Freezes: 2, Score: 5}},
	}, true
}

type watch struct{ now time.Time }

// house is the real focus, store and keys behind the API.
type house struct {
	t     *testing.T
	f     *focus.Focus
	a     *auth.Authenticator
	h     *Handler
	w     *watch
	doc   object
	owner string
}

func open(t *testing.T) *house {
	t.Helper()
	st, err := store.Open(store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	defs, err := st.Definitions(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(defs.Close)
	h := &house{t: t, w: &watch{time.Now()}}
	h.f = focus.New(focus.Config{Plane: still{}, Clock: clock.NewSystem(), Policy: policy.Default(), Definitions: defs})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := h.f.Shutdown(ctx, "shutdown"); err != nil {
			t.Error(err)
		}
	})
	if h.a, err = auth.Open(auth.Config{}); err != nil {
		t.Fatal(err)
	}
	h.h = New(Config{Conferences: h.f, Definitions: defs, Auth: h.a, Policy: policy.Default(), Now: func() time.Time { return h.w.now }})
	h.owner = h.token(auth.Claims{Subject: "owner:1", Role: api.RoleOwner})
	if err := json.Unmarshal(openapi, &h.doc); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) token(c auth.Claims) string {
	tok, _, err := h.a.Mint(c, time.Hour)
	if err != nil {
		h.t.Fatal(err)
	}
	return tok
}

// ask sends a request and holds every answer against the document.
func (h *house) ask(method, path, token, body string, header ...string) (*httptest.ResponseRecorder, object) {
	h.t.Helper()
	r := httptest.NewRequest(method, Prefix+path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.h.ServeHTTP(w, r)
	var m object
	_ = json.Unmarshal(w.Body.Bytes(), &m)
	h.conform(method, path, w, m)
	return w, m
}

func (h *house) conform(method, path string, w *httptest.ResponseRecorder, m object) {
	h.t.Helper()
	path, _, _ = strings.Cut(path, "?")
	for i := range routes {
		r := &routes[i]
		if r.method != method || !matches(r.path, path) {
			continue
		}
		op := h.doc["paths"].(object)[Prefix+r.path].(object)[strings.ToLower(method)].(object)
		resp, ok := op["responses"].(object)[http.StatusText(0)+itoa(w.Code)].(object)
		if !ok {
			h.t.Errorf("%s %s: %d is not in the document: %s", method, path, w.Code, w.Body)
			return
		}
		content, _ := resp["content"].(object)
		if content == nil {
			if w.Body.Len() > 0 {
				h.t.Errorf("%s %s: %d with a body: %s", method, path, w.Code, w.Body)
			}
			return
		}
		schema := content["application/json"].(object)["schema"].(object)
		for _, wrong := range conforms(h.doc, schema, m, "$") {
			h.t.Errorf("%s %s: %d: %s", method, path, w.Code, wrong)
		}
		return
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

func matches(pattern, path string) bool {
	a, b := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && !strings.HasPrefix(a[i], "{") {
			return false
		}
	}
	return true
}

func (h *house) want(code int, method, path, body string, header ...string) object {
	h.t.Helper()
	w, m := h.ask(method, path, h.owner, body, header...)
	if w.Code != code {
		h.t.Fatalf("%s %s: %d, want %d: %s", method, path, w.Code, code, w.Body)
	}
	return m
}

// join puts somebody into a conference.
func (h *house) join(uri, who string) api.JoinResult {
	h.t.Helper()
	c := control.Caller{Session: ids.NewSession(), Dialect: "ws", By: control.Principal{Subject: who, Name: who, Role: api.RolePresenter, Trusted: true}}
	h.f.Attach(c, deaf{})
	got := make(chan *api.Response, 1)
	h.f.Do(c, &api.Request{ID: "j", Method: api.ConferenceJoin, Conf: uri, Params: json.RawMessage(`{"device":"d1","tracks":[{"cid":"m","kind":"audio","source":"microphone"}]}`)}, func(r *api.Response) {
		if r.Final {
			got <- r
		}
	})
	r := <-got
	var j api.JoinResult
	if r.Error != nil || json.Unmarshal(r.Result, &j) != nil {
		h.t.Fatalf("join: %+v", r.Error)
	}
	return j
}

func TestALifeOfAConference(t *testing.T) {
	h := open(t)
	m := h.want(201, "POST", "/conferences", `{"uri":"standup","title":"Daily","startsAt":"2031-05-06T09:00:00Z","endsAt":"2031-05-06T11:00:00+01:00","policy":{"lobby":false}}`)
	if m["state"] != "scheduled" || m["owner"] != "owner:1" || m["createdAt"] == nil {
		t.Fatalf("%v", m)
	}
	h.want(409, "POST", "/conferences", `{"uri":"standup"}`)
	h.want(409, "GET", "/conferences/standup/participants", "")
	h.want(200, "POST", "/conferences/standup/commands/conference.start", `{}`)
	ana := h.join("standup", "sip:ana@x")
	m = h.want(200, "GET", "/conferences/standup", "")
	live := m["live"].(object)
	if m["state"] != "active" || live["users"].(float64) != 1 || live["info"].(object)["entity"] != "standup" {
		t.Fatalf("%v", m)
	}
	m = h.want(200, "GET", "/conferences/standup/participants", "")
	if p := m["participants"].([]any)[0].(object); p["user"] != "sip:ana@x" {
		t.Fatalf("%v", m)
	}
	h.want(200, "GET", "/conferences/standup/participants/"+ana.Part, "")
	h.want(404, "GET", "/conferences/standup/participants/part_none", "")
	h.want(200, "GET", "/conferences/standup/devices", "")
	h.want(200, "GET", "/conferences/standup/sessions", "")
	h.want(200, "GET", "/conferences/standup/tracks", "")
	m = h.want(200, "GET", "/conferences/standup/connections", "")
	c := m["connections"].([]any)[0].(object)
	if c["stats"].(object)["rttMs"].(float64) != 1 {
		t.Fatalf("%v", m)
	}
	h.want(200, "GET", "/conferences/standup/connections/"+c["conn"].(string), "")
	m = h.want(200, "PATCH", "/conferences/standup", `{"policy":{"chat":false},"title":"Renamed"}`)
	if m["title"] != "Renamed" || m["policy"].(object)["chat"] != false || m["policy"].(object)["lobby"] != false {
		t.Fatalf("%v", m)
	}
	h.want(200, "POST", "/conferences/standup/commands/participant.expel", `{"part":"`+ana.Part+`","ban":true}`)
	m = h.want(200, "GET", "/conferences/standup", "")
	if b := m["banned"].([]any); len(b) != 1 || b[0] != "sip:ana@x" {
		t.Fatalf("%v", m)
	}
	h.want(409, "DELETE", "/conferences/standup", "")
	h.want(409, "POST", "/conferences/standup/reopen", `{}`)
	h.want(200, "POST", "/conferences/standup/commands/conference.end", `{}`)
	h.eventually(func() bool { return h.want(200, "GET", "/conferences/standup", "")["state"] == "ended" })
	m = h.want(200, "POST", "/conferences/standup/reopen", `{"startsAt":"2032-01-01T00:00:00Z"}`)
	if m["state"] != "scheduled" || m["endedAt"] != nil || len(m["banned"].([]any)) != 1 {
		t.Fatalf("%v", m)
	}
	h.want(200, "PATCH", "/conferences/standup", `{"banned":[]}`)
	h.want(200, "POST", "/conferences/standup/reopen", `{"start":true}`)
	h.want(204, "DELETE", "/conferences/standup?end=true", "")
	h.want(204, "DELETE", "/conferences/standup", "")
	h.want(404, "GET", "/conferences/standup", "")
}

// eventually waits for what happens behind an answer.
func (h *house) eventually(ok func() bool) {
	h.t.Helper()
	end := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(end) {
			h.t.Fatal("did not come about")
		}
	}
}

func TestListPages(t *testing.T) {
	h := open(t)
	for _, n := range []string{"a", "b", "c"} {
		h.want(201, "POST", "/conferences", `{"uri":"room-`+n+`","title":"About `+strings.ToUpper(n)+`"}`)
	}
	h.want(201, "POST", "/conferences", `{"start":true}`)
	// That it started is written behind.
	h.eventually(func() bool {
		return h.want(200, "GET", "/conferences?state=active", "")["total"].(float64) == 1
	})
	for path, want := range map[string][2]int{ // total, on this page
		"/conferences": {4, 4}, "/conferences?limit=2": {4, 2}, "/conferences?limit=2&offset=3": {4, 1}, "/conferences?offset=2147483647": {4, 0},
		"/conferences?state=scheduled": {3, 3}, "/conferences?state=active,ended": {1, 1}, "/conferences?q=about+b": {1, 1}, "/conferences?limit=99999": {4, 4},
	} {
		m := h.want(200, "GET", path, "")
		if int(m["total"].(float64)) != want[0] || len(m["conferences"].([]any)) != want[1] {
			t.Errorf("%s: %v", path, m)
		}
	}
	if m := h.want(200, "GET", "/conferences?limit=99999", ""); m["limit"].(float64) != 1000 {
		t.Errorf("%v", m["limit"])
	}
}

func TestBadRequestsNameTheField(t *testing.T) {
	h := open(t)
	h.want(201, "POST", "/conferences", `{"uri":"x"}`)
	for _, tc := range []struct {
		method, path, body string
		code               int
		field              string
	}{
		{"POST", "/conferences", `{"title":5}`, 400, "title"},
		{"POST", "/conferences", `{"titel":"x"}`, 400, "titel"},
		{"POST", "/conferences", `{"uri":"a/b"}`, 400, "uri"},
		{"POST", "/conferences", `{"uri":"conf_x"}`, 400, "uri"},
		{"POST", "/conferences", `{"title":"a\u0007"}`, 400, "title"},
		{"POST", "/conferences", `{"startsAt":"tomorrow"}`, 400, "startsAt"},
		{"POST", "/conferences", `{"startsAt":"2031-01-02T00:00:00Z","endsAt":"2031-01-01T00:00:00Z"}`, 400, "endsAt"},
		{"POST", "/conferences", `{"policy":{"maxUsers":"many"}}`, 400, "policy.maxUsers"},
		{"POST", "/conferences", `{"policy":{"maxUsers":9999999}}`, 400, "policy"},
		{"POST", "/conferences", `{"title":"a","title":"b"}`, 400, ""},
		{"POST", "/conferences", `{`, 400, ""},
		{"POST", "/conferences", `[]`, 400, "(body)"},
		{"POST", "/conferences", `{"title":"` + strings.Repeat("x", maxBody) + `"}`, 413, ""},
		{"PATCH", "/conferences/x", `{"banned":[""]}`, 400, "banned"},
		{"GET", "/conferences?offset=-1", "", 400, "offset"},
		{"GET", "/conferences?offset=99999999999999999999", "", 400, "offset"},
		{"GET", "/conferences?limit=x", "", 400, "limit"},
		{"GET", "/conferences?state=gone", "", 400, "state"},
		{"POST", "/conferences/x/commands/conference.join", `{}`, 405, ""},
		{"POST", "/conferences/x/commands/no.such", `{}`, 404, ""},
		{"POST", "/conferences/none/commands/conference.lock", `{}`, 404, ""},
		{"GET", "/conferences/a%2Fb", "", 404, ""},
	} {
		w, m := h.ask(tc.method, tc.path, h.owner, tc.body)
		field := ""
		if d, ok := m["data"].(object); ok {
			field, _ = d["field"].(string)
		}
		if w.Code != tc.code || field != tc.field {
			t.Errorf("%s %s %.60s: %d %q, want %d %q: %s", tc.method, tc.path, tc.body, w.Code, field, tc.code, tc.field, w.Body)
		}
	}
	r := httptest.NewRequest("POST", Prefix+"/conferences", strings.NewReader("{}"))
	r.Header.Set("Authorization", "Bearer "+h.owner)
	w := httptest.NewRecorder()
	if h.h.ServeHTTP(w, r); w.Code != 415 {
		t.Errorf("without a content type: %d", w.Code)
	}
}

func TestMethodsAndAddresses(t *testing.T) {
	h := open(t)
	for path, methods := range byPath() {
		for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			if methods[m] != nil {
				continue
			}
			w, _ := h.ask(m, strings.NewReplacer("{", "", "}", "").Replace(path), h.owner, "")
			if w.Code != 405 || w.Header().Get("Allow") == "" {
				t.Errorf("%s %s: %d", m, path, w.Code)
			}
		}
	}
	if w, _ := h.ask("GET", "/nothing", h.owner, ""); w.Code != 404 {
		t.Errorf("elsewhere: %d", w.Code)
	}
	if w, m := h.ask("GET", "/openapi.json", "", ""); w.Code != 200 || m["openapi"] != "3.1.0" {
		t.Errorf("document: %d", w.Code)
	}
}

func TestWhoMay(t *testing.T) {
	h := open(t)
	h.want(201, "POST", "/conferences", `{"uri":"mine"}`)
	h.want(201, "POST", "/conferences", `{"uri":"other"}`)
	tokens := map[string]string{
		"none": "", "wrong": "x.y.z",
		"moderator": h.token(auth.Claims{Subject: "m", Role: api.RoleModerator}),
		"attendee":  h.token(auth.Claims{Subject: "a"}),
		"room":      h.token(auth.Claims{Subject: "o", Role: api.RoleOwner, Room: "mine"}),
		"service":   h.token(auth.Claims{Subject: "s", Role: api.RoleOwner, Service: true}),
	}
	for _, tc := range []struct {
		token string
		codes [3]int // list, mine, other
	}{
		{"none", [3]int{401, 401, 401}}, {"wrong", [3]int{401, 401, 401}}, {"moderator", [3]int{403, 403, 403}},
		{"attendee", [3]int{403, 403, 403}}, {"room", [3]int{403, 200, 403}}, {"service", [3]int{200, 200, 200}},
	} {
		for i, path := range []string{"/conferences", "/conferences/mine", "/conferences/other"} {
			if w, _ := h.ask("GET", path, tokens[tc.token], ""); w.Code != tc.codes[i] {
				t.Errorf("%s %s: %d, want %d", tc.token, path, w.Code, tc.codes[i])
			}
		}
	}
}

// TestFiveWrongLoginsLockTheAddress: right tokens too, for 30 s, and nobody else.
func TestFiveWrongLoginsLockTheAddress(t *testing.T) {
	h := open(t)
	for i := range 6 {
		w, _ := h.ask("GET", "/conferences", "wrong", "")
		if want := map[bool]int{true: 401, false: 429}[i < 5]; w.Code != want {
			t.Fatalf("try %d: %d", i+1, w.Code)
		}
	}
	if w, _ := h.ask("GET", "/conferences", h.owner, ""); w.Code != 429 || w.Header().Get("Retry-After") != "30" {
		t.Fatalf("locked: %d %s", w.Code, w.Header().Get("Retry-After"))
	}
	r := httptest.NewRequest("GET", Prefix+"/conferences", nil)
	r.RemoteAddr = "198.51.100.9:1"
	r.Header.Set("Authorization", "Bearer "+h.owner)
	w := httptest.NewRecorder()
	if h.h.ServeHTTP(w, r); w.Code != 200 {
		t.Fatalf("another address: %d", w.Code)
	}
	h.w.now = h.w.now.Add(31 * time.Second)
	h.want(200, "GET", "/conferences", "")
}

func TestIfMatch(t *testing.T) {
	h := open(t)
	w, _ := h.ask("POST", "/conferences", h.owner, `{"uri":"x"}`)
	first := w.Header().Get("ETag")
	h.want(200, "PATCH", "/conferences/x", `{"title":"1"}`, "If-Match", first)
	h.want(412, "PATCH", "/conferences/x", `{"title":"2"}`, "If-Match", first)
	h.want(400, "PATCH", "/conferences/x", `{"title":"2"}`, "If-Match", "W/x")
	h.want(200, "PATCH", "/conferences/x", `{"title":"2"}`, "If-Match", "*")
}

func FuzzCreate(f *testing.F) {
	for _, s := range []string{`{}`, `{"uri":"x"}`, `{"policy":{"floors":["a0"]}}`, `{"policy":null}`, `[`, `{"startsAt":"2031-01-01T00:00:00Z"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		c := &call{h: &Handler{cfg: Config{Policy: policy.Default()}}, w: httptest.NewRecorder(), r: r}
		var in api.CreateConference
		if c.decode(&in) == nil {
			_ = c.check(in.Title, in.StartsAt, in.EndsAt, in.Policy)
		}
	})
}
