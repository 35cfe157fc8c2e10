package whip

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/conference/control"
	"parley/internal/signaling/origin"
	"parley/internal/signaling/porttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tokens: "ana" and "bo" may enter any room, "other" only one called other;
// dev takes a missing token.
type tokens struct{ dev bool }

var guests struct {
	sync.Mutex
	n int
}

func (a tokens) Authenticate(token, name string, _ netip.Addr) (control.Principal, error) {
	switch {
	case token == "" && a.dev:
		guests.Lock()
		defer guests.Unlock()
		guests.n++
		return control.Principal{Subject: fmt.Sprint("guest:", guests.n), Name: name, Role: api.RoleOwner}, nil
	case token == "ana" || token == "bo" || token == "ana2":
		return control.Principal{Subject: "sip:" + strings.TrimSuffix(token, "2") + "@x", Role: api.RoleAttendee, Trusted: true}, nil
	case token == "other":
		return control.Principal{Subject: "sip:o@x", Room: "other", Role: api.RoleAttendee, Trusted: true}, nil
	case token == "flood":
		return control.Principal{}, &fault.Error{Code: 429, Reason: "too-many", RetryAfter: 30 * time.Second}
	}
	return control.Principal{}, fault.New(401, "unauthenticated", "A valid token is needed")
}

const fingerprint = "a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"

// describe makes a description with an audio and a video section.
func describe(setup, ufrag, pwd, direction string, extra ...string) string {
	lines := []string{"v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1", "a=msid-semantic:WMS *"}
	for i, m := range []string{"audio 9 UDP/TLS/RTP/SAVPF 111|a=rtpmap:111 opus/48000/2", "video 9 UDP/TLS/RTP/SAVPF 96|a=rtpmap:96 VP8/90000"} {
		media, codec, _ := strings.Cut(m, "|")
		lines = append(lines, "m="+media, "c=IN IP4 0.0.0.0", fmt.Sprint("a=mid:", i), "a="+direction, "a=rtcp-mux", codec,
			"a=ice-ufrag:"+ufrag, "a=ice-pwd:"+pwd, fingerprint, "a=setup:"+setup)
		lines = append(lines, extra...)
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

const (
	pwd1 = "aaaaaaaaaaaaaaaaaaaaaaaa"
	pwd2 = "bbbbbbbbbbbbbbbbbbbbbbbb"
)

func offerSDP(direction string) string { return describe("actpass", "cli1", pwd1, direction) }

func answerSDP(ufrag string) string {
	return describe("passive", ufrag, "ssssssssssssssssssssssss", "inactive", "a=candidate:1 1 udp 2130706431 192.0.2.9 7800 typ host", "a=end-of-candidates")
}

type rig struct {
	t    *testing.T
	port *porttest.Port
	h    *Handler
	mu   sync.Mutex
	join *api.JoinParams
	redo *api.OfferParams
}

func newRig(t *testing.T, change func(*Config)) *rig {
	r := &rig{t: t, port: &porttest.Port{On: map[string]func(control.Caller, *api.Request, porttest.Reply){}}}
	r.port.On[api.ConferenceJoin] = func(_ control.Caller, req *api.Request, reply porttest.Reply) {
		p := new(api.JoinParams)
		if err := json.Unmarshal(req.Params, p); err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		r.join = p
		r.mu.Unlock()
		reply(porttest.OK(&api.JoinResult{MS: "ms_1", Answer: &api.AnswerResult{MS: "ms_1", Rev: 1, SDP: answerSDP("srv1")}}))
	}
	r.port.On[api.MediaOffer] = func(_ control.Caller, req *api.Request, reply porttest.Reply) {
		p := new(api.OfferParams)
		if err := json.Unmarshal(req.Params, p); err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		r.redo = p
		r.mu.Unlock()
		reply(porttest.OK(&api.AnswerResult{MS: "ms_1", Rev: 2, SDP: answerSDP("srv2")}))
	}
	cfg := Config{Port: r.port, Auth: tokens{}, Wait: 10 * time.Second}
	if change != nil {
		change(&cfg)
	}
	r.h = NewHandler(cfg)
	t.Cleanup(func() { r.h.Shutdown("test over") })
	return r
}

// do sends a request; headers are "Name: value" pairs.
func (r *rig) do(method, path, body string, headers ...string) *http.Response {
	r.t.Helper()
	req := httptest.NewRequest(method, "https://meet.example"+path, strings.NewReader(body))
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	return w.Result()
}

const (
	ana     = "Authorization: Bearer ana"
	isSDP   = "Content-Type: application/sdp"
	isFrag  = "Content-Type: application/trickle-ice-sdpfrag"
	anyETag = "If-Match: *"
)

func body(res *http.Response) string {
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

// publish makes a resource and returns its path and ETag.
func (r *rig) publish(headers ...string) (path, etag string) {
	r.t.Helper()
	if headers == nil {
		headers = []string{ana}
	}
	res := r.do("POST", "/whip/standup", offerSDP("sendonly"), append(headers, isSDP)...)
	if res.StatusCode != 201 {
		r.t.Fatalf("POST: %d %s", res.StatusCode, body(res))
	}
	return res.Header.Get("Location"), res.Header.Get("ETag")
}

func TestWHIPCreates(t *testing.T) {
	r := newRig(t, nil)
	res := r.do("POST", "/whip/standup", offerSDP("sendonly"), ana, isSDP)
	h := res.Header
	loc := h.Get("Location")
	if res.StatusCode != 201 || !strings.HasPrefix(loc, "/whip/standup/") || len(loc) < len("/whip/standup/")+32 ||
		!strings.HasPrefix(h.Get("ETag"), `"`) || h.Get("Accept-Patch") != typeFragment || h.Get("Content-Type") != typeSDP || h.Get("Link") != "" {
		t.Fatalf("%d %v", res.StatusCode, h)
	}
	if body(res) != answerSDP("srv1") {
		t.Fatal("not the answer")
	}
	j := r.join
	if j.Kind != "whip" || j.Device != "whip" || j.Subscribe != "none" || len(j.Tracks) != 2 || j.Tracks[0].Kind != "audio" || j.Tracks[1].Source != "camera" {
		t.Fatalf("join %+v", j)
	}
	if j.Offer.Tracks["0"] != j.Tracks[0].CID || j.Offer.Tracks["1"] != j.Tracks[1].CID || j.Offer.SDP != offerSDP("sendonly") {
		t.Fatalf("offer %+v", j.Offer)
	}
	c := r.port.Callers()[0]
	if c.Dialect != "whip" || c.By.Subject != "sip:ana@x" || !c.Addr.IsValid() {
		t.Fatalf("caller %+v", c)
	}
}

func TestWHEPCreates(t *testing.T) {
	r := newRig(t, nil)
	for i := range 2 { // a viewer may watch twice
		res := r.do("POST", "/whep/standup", offerSDP("recvonly"), ana, isSDP)
		if res.StatusCode != 201 || !strings.HasPrefix(res.Header.Get("Location"), "/whep/standup/") {
			t.Fatalf("%d: %d", i, res.StatusCode)
		}
	}
	if j := r.join; j.Kind != "whep" || j.Subscribe != "slots" || len(j.Tracks) != 0 || j.Role != api.RoleObserver {
		t.Fatalf("join %+v", j)
	}
}

func TestDevTakesMissingToken(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Auth = tokens{dev: true} })
	for range 2 { // two guests are two people
		if res := r.do("POST", "/whip/standup?name=Cam", offerSDP("sendrecv"), isSDP); res.StatusCode != 201 {
			t.Fatalf("%d %s", res.StatusCode, body(res))
		}
	}
	if r.join.Name != "Cam" {
		t.Fatalf("name %q", r.join.Name)
	}
	res := r.do("POST", "/whip/standup", offerSDP("sendonly"), isSDP)
	loc := res.Header.Get("Location")
	if res := r.do("DELETE", loc, ""); res.StatusCode != 200 {
		t.Fatalf("DELETE: %d", res.StatusCode)
	}
	if res := r.do("DELETE", loc, ""); res.StatusCode != 404 {
		t.Fatalf("DELETE again: %d", res.StatusCode)
	}
}

func TestPostRefusals(t *testing.T) {
	noMux := strings.ReplaceAll(offerSDP("sendonly"), "a=rtcp-mux\r\n", "")
	for _, tc := range []struct {
		name, path, body string
		headers          []string
		code             int
	}{
		{"no token", "/whip/standup", offerSDP("sendonly"), []string{isSDP}, 401},
		{"wrong token", "/whip/standup", offerSDP("sendonly"), []string{isSDP, "Authorization: Bearer nope"}, 401},
		{"other scheme", "/whip/standup", offerSDP("sendonly"), []string{isSDP, "Authorization: Basic ana"}, 401},
		{"token in the query", "/whip/standup?token=ana", offerSDP("sendonly"), []string{isSDP}, 401},
		{"wrong room", "/whip/standup", offerSDP("sendonly"), []string{isSDP, "Authorization: Bearer other"}, 403},
		{"wrong room that is absent", "/whip/absent", offerSDP("sendonly"), []string{isSDP, "Authorization: Bearer other"}, 403},
		{"too many failures", "/whip/standup", offerSDP("sendonly"), []string{isSDP, "Authorization: Bearer flood"}, 429},
		{"content type", "/whip/standup", offerSDP("sendonly"), []string{ana, "Content-Type: application/json"}, 415},
		{"no content type", "/whip/standup", offerSDP("sendonly"), []string{ana}, 415},
		{"empty", "/whip/standup", "", []string{ana, isSDP}, 400},
		{"not SDP", "/whip/standup", "hello", []string{ana, isSDP}, 400},
		{"unacceptable", "/whip/standup", noMux, []string{ana, isSDP}, 422},
		{"recvonly to WHIP", "/whip/standup", offerSDP("recvonly"), []string{ana, isSDP}, 422},
		{"inactive to WHIP", "/whip/standup", offerSDP("inactive"), []string{ana, isSDP}, 422},
		{"sendonly to WHEP", "/whep/standup", offerSDP("sendonly"), []string{ana, isSDP}, 422},
		{"too large", "/whip/standup", strings.Repeat("a", 128<<10+1), []string{ana, isSDP}, 413},
		{"bad name", "/whip/..%2fx", offerSDP("sendonly"), []string{ana, isSDP}, 404},
		{"deeper", "/whip/standup/x/y", offerSDP("sendonly"), []string{ana, isSDP}, 404},
		{"foreign origin", "/whip/standup", offerSDP("sendonly"), []string{ana, isSDP, "Origin: https://evil.example"}, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.Origin = origin.Policy{Allowed: []string{"https://app.example"}} })
			res := r.do("POST", tc.path, tc.body, tc.headers...)
			if res.StatusCode != tc.code {
				t.Fatalf("%d %s", res.StatusCode, body(res))
			}
			if tc.code == 401 && !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") {
				t.Fatal("no WWW-Authenticate")
			}
			if tc.code == 429 && res.Header.Get("Retry-After") != "30" {
				t.Fatal("no Retry-After")
			}
			if len(r.port.Calls()) != 0 || r.h.Live() != 0 {
				t.Fatalf("port: %v", r.port.Calls())
			}
		})
	}
}

func TestMethods(t *testing.T) {
	r := newRig(t, nil)
	for _, tc := range []struct {
		path, allow string
		methods     []string
	}{
		{"/whip/standup", allowEndpoint, []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE"}},
		{"/whep/standup", allowEndpoint, []string{"GET", "HEAD", "PUT"}},
		{"/whip/standup/x", allowResource, []string{"GET", "HEAD", "PUT", "POST"}},
	} {
		for _, m := range tc.methods {
			res := r.do(m, tc.path, "", ana)
			if res.StatusCode != 405 || res.Header.Get("Allow") != tc.allow {
				t.Errorf("%s %s: %d, Allow %q", m, tc.path, res.StatusCode, res.Header.Get("Allow"))
			}
		}
	}
}

func TestFocusRefusals(t *testing.T) {
	for _, tc := range []struct{ focus, http int }{
		{400, 400}, {403, 403}, {404, 404}, {409, 409}, {410, 404}, {413, 413}, {415, 415}, {423, 423}, {429, 429}, {480, 404},
		{486, 503}, {488, 422}, {500, 500}, {503, 503}, {504, 503}, {603, 403}, {999, 500},
	} {
		r := newRig(t, nil)
		r.port.On[api.ConferenceStart] = func(_ control.Caller, _ *api.Request, reply porttest.Reply) { reply(porttest.Refuse(403, "forbidden")) }
		r.port.On[api.ConferenceJoin] = func(_ control.Caller, _ *api.Request, reply porttest.Reply) { reply(porttest.Refuse(tc.focus, "x")) }
		res := r.do("POST", "/whip/standup", offerSDP("sendonly"), ana, isSDP)
		if res.StatusCode != tc.http {
			t.Errorf("%d became %d, want %d", tc.focus, res.StatusCode, tc.http)
		}
		if (tc.http == 503 || tc.http == 429) && res.Header.Get("Retry-After") == "" {
			t.Errorf("%d: no Retry-After", tc.focus)
		}
		if r.h.Live() != 0 || r.port.Count("closed") != 1 {
			t.Errorf("%d: left over, %v", tc.focus, r.port.Calls())
		}
	}
}

func TestInactiveConferenceIsStartedIfAllowed(t *testing.T) {
	r := newRig(t, nil)
	join := r.port.On[api.ConferenceJoin]
	started := false
	r.port.On[api.ConferenceStart] = func(_ control.Caller, _ *api.Request, reply porttest.Reply) {
		started = true
		reply(porttest.OK(nil))
	}
	r.port.On[api.ConferenceJoin] = func(c control.Caller, req *api.Request, reply porttest.Reply) {
		if !started {
			reply(porttest.Refuse(404, "not-found"))
			return
		}
		join(c, req, reply)
	}
	if res := r.do("POST", "/whep/standup", offerSDP("recvonly"), ana, isSDP); res.StatusCode != 201 {
		t.Fatalf("%d", res.StatusCode)
	}
}

// TestD12_RoomEndsBetweenStartAndJoin: whoever starts a room and is refused by a
// full node takes it away from those who came a moment later. They are told to
// come again, not that there is nothing.
func TestD12_RoomEndsBetweenStartAndJoin(t *testing.T) {
	for _, tc := range []struct{ first, start, second, http int }{
		{404, 200, 410, 503}, {404, 200, 404, 503}, {404, 410, 0, 503}, {410, 200, 200, 201}, {404, 403, 0, 404}, {410, 403, 0, 404},
	} {
		r := newRig(t, nil)
		join := r.port.On[api.ConferenceJoin]
		joins := 0
		r.port.On[api.ConferenceStart] = func(_ control.Caller, _ *api.Request, reply porttest.Reply) {
			if tc.start != 200 {
				reply(porttest.Refuse(tc.start, "x"))
				return
			}
			reply(porttest.OK(nil))
		}
		r.port.On[api.ConferenceJoin] = func(c control.Caller, req *api.Request, reply porttest.Reply) {
			code := tc.first
			if joins++; joins > 1 {
				code = tc.second
			}
			if code == 200 {
				join(c, req, reply)
				return
			}
			reply(porttest.Refuse(code, "x"))
		}
		res := r.do("POST", "/whip/standup", offerSDP("sendonly"), ana, isSDP)
		if res.StatusCode != tc.http || (tc.http == 503) != (res.Header.Get("Retry-After") != "") {
			t.Errorf("%+v: %d, Retry-After %q", tc, res.StatusCode, res.Header.Get("Retry-After"))
		}
	}
}

func TestSecondPublishOfADevice(t *testing.T) {
	r := newRig(t, nil)
	loc, _ := r.publish()
	if res := r.do("POST", "/whip/standup", offerSDP("sendonly"), ana, isSDP); res.StatusCode != 409 {
		t.Fatalf("same device: %d", res.StatusCode)
	}
	if res := r.do("POST", "/whip/standup?device=cam2", offerSDP("sendonly"), ana, isSDP); res.StatusCode != 201 {
		t.Fatalf("other device: %d", res.StatusCode)
	}
	if res := r.do("POST", "/whip/standup", offerSDP("sendonly"), "Authorization: Bearer bo", isSDP); res.StatusCode != 201 {
		t.Fatalf("other publisher: %d", res.StatusCode)
	}
	if res := r.do("DELETE", loc, "", ana); res.StatusCode != 200 {
		t.Fatalf("DELETE: %d", res.StatusCode)
	}
	r.publish()
}

func TestOverload(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxResources = 1 })
	r.publish()
	res := r.do("POST", "/whip/standup", offerSDP("sendonly"), "Authorization: Bearer bo", isSDP)
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Fatalf("%d", res.StatusCode)
	}
}

func TestFocusThatDoesNotAnswer(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Wait = 20 * time.Millisecond })
	r.port.On[api.ConferenceJoin] = func(_ control.Caller, _ *api.Request, reply porttest.Reply) { reply(&api.Response{Code: 182}) }
	res := r.do("POST", "/whip/standup", offerSDP("sendonly"), ana, isSDP)
	if res.StatusCode != 503 || r.h.Live() != 0 || r.port.Count("closed") != 1 {
		t.Fatalf("%d, %v", res.StatusCode, r.port.Calls())
	}
}

func TestDelete(t *testing.T) {
	r := newRig(t, nil)
	loc, _ := r.publish()
	for _, tc := range []struct {
		name, path, auth string
		code             int
	}{
		{"no token", loc, "", 401},
		{"another's", loc, "Bearer bo", 404},
		{"other conference", strings.Replace(loc, "standup", "retro", 1), "Bearer ana", 404},
		{"other surface", strings.Replace(loc, "whip", "whep", 1), "Bearer ana", 404},
		{"absent", "/whip/standup/nothing", "Bearer ana", 404},
		{"another token of the same person", loc, "Bearer ana2", 200},
		{"twice", loc, "Bearer ana", 404},
	} {
		res := r.do("DELETE", tc.path, "", "Authorization: "+tc.auth)
		if res.StatusCode != tc.code {
			t.Errorf("%s: %d", tc.name, res.StatusCode)
		}
	}
	if r.port.Count("closed deleted") != 1 {
		t.Fatalf("port: %v", r.port.Calls())
	}
}

func TestS5_AbsentAndForbiddenLookAlike(t *testing.T) {
	r := newRig(t, nil)
	loc, _ := r.publish()
	a := r.do("DELETE", loc, "", "Authorization: Bearer bo")
	b := r.do("DELETE", "/whip/standup/0000000000000000", "", "Authorization: Bearer bo")
	c := r.do("DELETE", "/whip/absent/0000000000000000", "", "Authorization: Bearer bo")
	if x := body(a); a.StatusCode != 404 || x != body(b) || x != body(c) {
		t.Fatal("answers differ")
	}
	x := r.do("POST", "/whip/standup", offerSDP("sendonly"), "Authorization: Bearer other", isSDP)
	y := r.do("POST", "/whip/absent", offerSDP("sendonly"), "Authorization: Bearer other", isSDP)
	if x.StatusCode != y.StatusCode || body(x) != body(y) {
		t.Fatal("a wrong room tells whether it exists")
	}
}

func fragment(ufrag, pwd string) string {
	s := "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 2130706431 198.51.100.1 39132 typ host\r\na=end-of-candidates\r\n"
	if ufrag != "" {
		s = "a=ice-ufrag:" + ufrag + "\r\na=ice-pwd:" + pwd + "\r\n" + s
	}
	return s
}

func TestTrickle(t *testing.T) {
	r := newRig(t, nil)
	loc, etag := r.publish()
	for _, tc := range []struct {
		name, match, body, kind string
		code                    int
	}{
		{"current", etag, fragment("cli1", pwd1), isFrag, 204},
		{"any", "*", fragment("cli1", pwd1), isFrag, 204},
		{"list", `"x", ` + etag, fragment("cli1", pwd1), isFrag, 204},
		{"without credentials", etag, fragment("", ""), isFrag, 204},
		{"no If-Match", "", fragment("cli1", pwd1), isFrag, 428},
		{"stale", `"other"`, fragment("cli1", pwd1), isFrag, 412},
		{"content type", etag, fragment("cli1", pwd1), isSDP, 415},
		{"empty", etag, "", isFrag, 400},
		{"garbage", etag, "hello", isFrag, 400},
		{"large", etag, strings.Repeat("a", 17<<10), isFrag, 413},
	} {
		res := r.do("PATCH", loc, tc.body, ana, tc.kind, "If-Match: "+tc.match)
		if res.StatusCode != tc.code {
			t.Errorf("%s: %d %s", tc.name, res.StatusCode, body(res))
		}
	}
	if r.port.Count("do media.offer") != 0 {
		t.Fatalf("port: %v", r.port.Calls())
	}
	if res := r.do("PATCH", loc, fragment("cli1", pwd1), isFrag, anyETag); res.StatusCode != 401 {
		t.Fatalf("no token: %d", res.StatusCode)
	}
	if res := r.do("PATCH", "/whip/standup/none", fragment("cli1", pwd1), ana, isFrag, anyETag); res.StatusCode != 404 {
		t.Fatalf("absent: %d", res.StatusCode)
	}
}

func TestICERestart(t *testing.T) {
	r := newRig(t, nil)
	loc, etag := r.publish()
	res := r.do("PATCH", loc, fragment("cli2", pwd2), ana, isFrag, anyETag)
	got := body(res)
	fresh := res.Header.Get("ETag")
	if res.StatusCode != 200 || fresh == "" || fresh == etag || res.Header.Get("Content-Type") != typeFragment {
		t.Fatalf("%d %v %s", res.StatusCode, res.Header, got)
	}
	for _, want := range []string{"a=ice-lite", "a=ice-ufrag:srv2", "a=mid:0", "a=candidate:1 1 udp 2130706431 192.0.2.9 7800 typ host", "a=end-of-candidates"} {
		if !strings.Contains(got, want) {
			t.Errorf("fragment lacks %q:\n%s", want, got)
		}
	}
	sent := r.redo
	if sent.MS != "ms_1" || strings.Contains(sent.SDP, "cli1") || strings.Contains(sent.SDP, pwd1) ||
		strings.Count(sent.SDP, "a=ice-ufrag:cli2\r\n") != 2 || strings.Count(sent.SDP, "a=ice-pwd:"+pwd2+"\r\n") != 2 || sent.Tracks["0"] != "mid-0" {
		t.Fatalf("offer %+v", sent)
	}
	if res := r.do("PATCH", loc, fragment("cli1", pwd1), ana, isFrag, "If-Match: "+etag); res.StatusCode != 412 {
		t.Fatalf("late trickle: %d", res.StatusCode)
	}
	if res := r.do("PATCH", loc, fragment("cli2", pwd2), ana, isFrag, "If-Match: "+fresh); res.StatusCode != 204 {
		t.Fatalf("trickle after restart: %d", res.StatusCode)
	}
	r.port.On[api.MediaOffer] = func(_ control.Caller, _ *api.Request, reply porttest.Reply) {
		reply(porttest.Refuse(488, "bad-sdp"))
	}
	if res := r.do("PATCH", loc, fragment("cli3", pwd1), ana, isFrag, anyETag); res.StatusCode != 422 {
		t.Fatalf("refused restart: %d", res.StatusCode)
	}
	if res := r.do("PATCH", loc, fragment("cli2", pwd2), ana, isFrag, "If-Match: "+fresh); res.StatusCode != 204 {
		t.Fatalf("the session did not survive a refused restart: %d", res.StatusCode)
	}
}

func TestGoodbyeEndsTheResource(t *testing.T) {
	r := newRig(t, nil)
	loc, _ := r.publish()
	sink := r.port.Sink(r.port.Callers()[0].Session)
	sink.Notify(&api.Notify{})
	sink.Message(&api.Message{})
	sink.Goodbye(api.Goodbye{Action: "disconnect", Reason: "link-failed"})
	r.h.ending.Wait()
	if res := r.do("DELETE", loc, "", ana); res.StatusCode != 404 {
		t.Fatalf("DELETE: %d", res.StatusCode)
	}
	if r.port.Count("closed link-failed") != 1 || r.h.Live() != 0 {
		t.Fatalf("port: %v", r.port.Calls())
	}
	r.publish() // the device is free again
}

func TestShutdown(t *testing.T) {
	r := newRig(t, nil)
	r.publish()
	if len(r.h.Sessions()) != 1 {
		t.Fatal("no session")
	}
	r.h.Shutdown("stopping")
	if r.port.Count("closed stopping") != 1 {
		t.Fatalf("port: %v", r.port.Calls())
	}
	if res := r.do("POST", "/whip/standup", offerSDP("sendonly"), ana, isSDP); res.StatusCode != 503 {
		t.Fatalf("POST: %d", res.StatusCode)
	}
}

func TestCORS(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Origin = origin.Policy{Allowed: []string{"https://app.example"}} })
	pre := func(path, origin string) *http.Response {
		return r.do("OPTIONS", path, "", "Origin: "+origin, "Access-Control-Request-Method: POST")
	}
	res := pre("/whip/standup", "https://app.example")
	h := res.Header
	if res.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != "https://app.example" ||
		!strings.Contains(h.Get("Access-Control-Allow-Headers"), "If-Match") || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "PATCH") {
		t.Fatalf("%d %v", res.StatusCode, h)
	}
	res = pre("/whip/standup", "https://evil.example")
	if res.StatusCode != 403 || res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Fatalf("foreign: %d %v", res.StatusCode, res.Header)
	}
	res = r.do("OPTIONS", "/whip/standup", "")
	if res.StatusCode != 204 || res.Header.Get("Accept-Post") != typeSDP || res.Header.Get("Allow") != allowEndpoint {
		t.Fatalf("plain OPTIONS: %d %v", res.StatusCode, res.Header)
	}
	res = r.do("POST", "/whip/standup", offerSDP("sendonly"), ana, isSDP, "Origin: https://app.example")
	if res.StatusCode != 201 || !strings.Contains(res.Header.Get("Access-Control-Expose-Headers"), "Location") || !slices.Contains(res.Header.Values("Vary"), "Origin") {
		t.Fatalf("POST: %d %v", res.StatusCode, res.Header)
	}
}

func TestConcurrentPublishersOfOneDevice(t *testing.T) {
	r := newRig(t, nil)
	codes := make(chan int, 16)
	for range 16 {
		go func() { codes <- r.do("POST", "/whip/standup", offerSDP("sendonly"), ana, isSDP).StatusCode }()
	}
	made := 0
	for range 16 {
		switch c := <-codes; c {
		case 201:
			made++
		case 409:
		default:
			t.Errorf("status %d", c)
		}
	}
	if made != 1 || r.h.Live() != 1 {
		t.Fatalf("%d resources", made)
	}
}

// FuzzHandler throws requests at the handler: no panic, no 5xx of our own, and
// nothing left behind by a refusal.
func FuzzHandler(f *testing.F) {
	f.Add("POST", "/whip/standup", offerSDP("sendonly"), "application/sdp", "")
	f.Add("POST", "/whep/standup", offerSDP("recvonly"), "application/sdp; charset=utf-8", "")
	f.Add("PATCH", "/whip/standup/x", fragment("cli2", pwd2), "application/trickle-ice-sdpfrag", "*")
	f.Add("DELETE", "/whip/standup/x", "", "", `"a", "b"`)
	f.Add("OPTIONS", "/whip//", "", "", "")
	f.Fuzz(func(t *testing.T, method, path, text, kind, match string) {
		r := newRig(t, func(c *Config) { c.Auth = tokens{dev: true} })
		res := r.do("POST", "/whip/standup", offerSDP("sendonly"), ana, isSDP)
		req := &http.Request{Method: method, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), RemoteAddr: "192.0.2.1:1", Host: "meet.example"}
		req.URL = httptest.NewRequest("GET", "/", nil).URL
		req.URL.Path = strings.Replace(path, "x", strings.TrimPrefix(res.Header.Get("Location"), "/whip/standup/"), 1)
		req.Header.Set("Authorization", "Bearer ana")
		req.Header.Set("Content-Type", kind)
		req.Header.Set("If-Match", match)
		w := httptest.NewRecorder()
		r.h.ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Fatalf("%d for %s %q", w.Code, method, path)
		}
		if w.Code >= 400 && r.h.Live() != 1 {
			t.Fatalf("%d resources after %d", r.h.Live(), w.Code)
		}
	})
}
