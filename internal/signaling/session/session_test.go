package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/conference/control"
	"parley/internal/signaling/porttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a registry on a virtual clock with a fake focus.
type rig struct {
	t    *testing.T
	now  clock.Time
	port *porttest.Port
	reg  *Registry
	mu   sync.Mutex
}

type tokens struct{}

func (tokens) Authenticate(token, _ string, _ netip.Addr) (control.Principal, error) {
	if token == "" || token == "bad" {
		return control.Principal{}, fault.New(401, "unauthenticated", "A valid token is needed")
	}
	return control.Principal{Subject: "sip:" + token + "@x", Name: token, Role: api.RoleAttendee, Trusted: true}, nil
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, now: clock.Time(time.Hour), port: &porttest.Port{On: map[string]func(control.Caller, *api.Request, porttest.Reply){}}}
	r.reg = NewRegistry(Config{Port: r.port, Auth: tokens{}, Now: r.clock})
	return r
}

func (r *rig) clock() clock.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// pass moves time on in driver's steps.
func (r *rig) pass(d time.Duration) {
	for ; d > 0; d -= tickEvery {
		r.mu.Lock()
		r.now = r.now.Add(min(d, tickEvery))
		r.mu.Unlock()
		r.reg.Tick()
	}
}

// wire is a channel that keeps what it is given.
type wire struct {
	mu     sync.Mutex
	frames []frame
	code   int
	reason string
}

type frame struct {
	Kind    string          `json:"kind"`
	ID      string          `json:"id"`
	Code    int             `json:"code"`
	Final   bool            `json:"final"`
	Dup     bool            `json:"dup"`
	Seq     uint64          `json:"seq"`
	Error   *api.Error      `json:"error"`
	Result  json.RawMessage `json:"result"`
	Event   string          `json:"event"`
	State   string          `json:"state"`
	Reason  string          `json:"reason"`
	Action  string          `json:"action"`
	Session string          `json:"session"`
	Token   string          `json:"resumeToken"`
	Resumed bool            `json:"resumed"`
	Resync  bool            `json:"resync"`
	T       int64           `json:"t"`
	size    int
}

func (w *wire) Send(b []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	var f frame
	if err := json.Unmarshal(b, &f); err != nil {
		panic(err)
	}
	f.size = len(b)
	w.frames = append(w.frames, f)
	return true
}

func (w *wire) Close(code int, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.code == 0 {
		w.code, w.reason = code, reason
	}
}

func (w *wire) all() []frame {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.frames)
}

// got returns the frames but welcome, pings and pongs.
func (w *wire) got() []frame {
	return slices.DeleteFunc(w.all(), func(f frame) bool { return f.Kind == "welcome" || f.Kind == "ping" || f.Kind == "pong" })
}

func (w *wire) last() frame {
	all := w.all()
	if len(all) == 0 {
		return frame{}
	}
	return all[len(all)-1]
}

func (w *wire) closed() (int, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.code, w.reason
}

func (r *rig) open() (*Session, *wire) {
	r.t.Helper()
	w := &wire{}
	s, err := r.reg.Open(&api.Hello{Versions: []int{1}, Auth: &api.Auth{Token: "ana"}}, "ws", netip.MustParseAddr("192.0.2.1"), w)
	if err != nil {
		r.t.Fatal(err)
	}
	return s, w
}

func (r *rig) resume(w *wire, session, token string, lastSeq uint64) (*Session, error) {
	return r.reg.Open(&api.Hello{Versions: []int{1}, Resume: &api.Resume{Session: session, Token: token, LastSeq: lastSeq}}, "ws", netip.Addr{}, w)
}

func request(id, method string) *api.Request {
	return &api.Request{ID: id, Method: method, Conf: "room"}
}

func code(err error) int { return fault.From(err).Code }

func TestWelcomeIsFirstAndNamesEverything(t *testing.T) {
	r := newRig(t)
	w := &wire{}
	s, err := r.reg.Open(&api.Hello{Versions: []int{7, 1}, Auth: &api.Auth{Token: "ana"}}, "ws", netip.Addr{}, w)
	if err != nil {
		t.Fatal(err)
	}
	f := w.all()[0]
	if f.Kind != "welcome" || f.Session != string(s.ID()) || f.Token == "" || f.Resumed || f.Seq != 0 {
		t.Fatalf("welcome %+v", f)
	}
	if got := r.port.Calls(); !slices.Equal(got, []string{"attach ws"}) {
		t.Fatalf("port: %v", got)
	}
}

func TestHelloRefusals(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		name        string
		hello       api.Hello
		code, close int
	}{
		{"no token", api.Hello{Versions: []int{1}}, 401, CloseUnauthenticated},
		{"bad token", api.Hello{Versions: []int{1}, Auth: &api.Auth{Token: "bad"}}, 401, CloseUnauthenticated},
		{"no version", api.Hello{Auth: &api.Auth{Token: "ana"}}, 505, CloseVersion},
		{"other version", api.Hello{Versions: []int{2, 3}, Auth: &api.Auth{Token: "ana"}}, 505, CloseVersion},
		{"unknown session", api.Hello{Versions: []int{1}, Resume: &api.Resume{Session: "sess_x", Token: "y"}}, 481, CloseNoSession},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := &wire{}
			_, err := r.reg.Open(&tc.hello, "ws", netip.Addr{}, w)
			if code(err) != tc.code || CloseCode(fault.From(err)) != tc.close {
				t.Fatalf("%v, close %d", err, CloseCode(fault.From(err)))
			}
			if len(w.all()) != 0 {
				t.Fatal("frames before a session")
			}
		})
	}
}

func TestSessionsAreLimited(t *testing.T) {
	r := newRig(t)
	r.reg.cfg.MaxSessions = 1
	r.open()
	_, err := r.reg.Open(&api.Hello{Versions: []int{1}, Auth: &api.Auth{Token: "bo"}}, "ws", netip.Addr{}, &wire{})
	if code(err) != 503 || fault.From(err).RetryAfter == 0 {
		t.Fatalf("second session: %v", err)
	}
}

func TestResponseComesBeforeNotify(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	r.port.On["track.mute"] = func(c control.Caller, _ *api.Request, reply porttest.Reply) {
		reply(&api.Response{Code: 100})
		reply(porttest.OK(nil))
		r.port.Sink(c.Session).Notify(&api.Notify{Package: "conference", Event: "track.muted"})
	}
	s.Request(w, request("1", "track.mute"))
	got := w.got()
	if len(got) != 3 || got[0].Code != 100 || got[1].Code != 200 || !got[1].Final || got[2].Event != "track.muted" {
		t.Fatalf("frames %+v", got)
	}
	for i, f := range got {
		if f.Seq != uint64(i+1) {
			t.Fatalf("frame %d has seq %d", i, f.Seq)
		}
	}
}

func TestRequestsStartInOrder(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	for i := range 60 {
		s.Request(w, request(fmt.Sprint("id", i), "a.b"))
	}
	calls := r.port.Calls()[1:]
	for i, c := range calls {
		if c != fmt.Sprintf("do a.b id%d", i) {
			t.Fatalf("call %d is %q", i, c)
		}
	}
}

func TestIdempotency(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	r.port.On["conference.join"] = func(_ control.Caller, _ *api.Request, reply porttest.Reply) {
		reply(porttest.OK(map[string]string{"part": "part_1"}))
	}
	s.Request(w, request("1", "conference.join"))
	again := request("1", "conference.join")
	again.Ack = 1 // confirms more than the first time: still the same request
	s.Request(w, again)
	other := request("1", "conference.join")
	other.Params = json.RawMessage(`{"x":1}`)
	s.Request(w, other)
	got := w.got()
	if len(got) != 3 || got[1].Code != 200 || !got[1].Dup || string(got[1].Result) != string(got[0].Result) {
		t.Fatalf("repeat: %+v", got)
	}
	if got[2].Code != 409 || got[2].Error.Reason != "id-reuse" {
		t.Fatalf("other body: %+v", got[2])
	}
	if n := r.port.Count("do conference.join"); n != 1 {
		t.Fatalf("committed %d times", n)
	}
	r.pass(10*time.Minute + time.Second) // heartbeat ends the channel long before; the memory is what counts
}

func TestOpenRequestRepeatedGetsOneFinal(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	var finish porttest.Reply
	r.port.On["slow.one"] = func(_ control.Caller, _ *api.Request, reply porttest.Reply) { finish = reply }
	s.Request(w, request("1", "slow.one"))
	s.Request(w, request("1", "slow.one"))
	finish(porttest.OK(nil))
	finish(porttest.OK(nil))
	finals := 0
	for _, f := range w.got() {
		if f.Final {
			finals++
		}
	}
	if finals != 1 || r.port.Count("do slow.one") != 1 {
		t.Fatalf("%d finals, %v", finals, r.port.Calls())
	}
}

func TestMemoryForgetsByAgeAndNumber(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	for i := range 2000 {
		r.mu.Lock()
		r.now = r.now.Add(50 * time.Millisecond)
		r.mu.Unlock()
		s.Request(w, request(fmt.Sprint(i), "a.b"))
	}
	if n := len(s.asked.byID); n < 1024 || n > 1281 {
		t.Fatalf("remembers %d ids", n)
	}
	s.Request(w, request("1999", "a.b"))
	if !w.last().Dup {
		t.Fatal("a fresh id was forgotten")
	}
	r.mu.Lock()
	r.now = r.now.Add(10*time.Minute + time.Second)
	r.mu.Unlock()
	s.mu.Lock()
	s.expire(r.clock())
	n := len(s.asked.byID)
	s.mu.Unlock()
	if n != 0 {
		t.Fatalf("remembers %d ids after ten minutes", n)
	}
}

func TestMemoryIsBoundedInBytes(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	big := strings.Repeat("x", 100<<10)
	r.port.On["big.one"] = func(_ control.Caller, _ *api.Request, reply porttest.Reply) { reply(porttest.OK(big)) }
	for i := range 40 {
		s.Request(w, request(fmt.Sprint(i), "big.one"))
	}
	if s.asked.bytes > maxRemembered+200<<10 {
		t.Fatalf("%d bytes remembered", s.asked.bytes)
	}
	if s.out.bytes > maxReplayBytes {
		t.Fatalf("%d bytes to replay", s.out.bytes)
	}
}

func TestTTLAndLateFinal(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	var late porttest.Reply
	r.port.On["slow.one"] = func(_ control.Caller, _ *api.Request, reply porttest.Reply) { late = reply }
	req := request("1", "slow.one")
	req.TTLMs = 1000
	s.Request(w, req)
	r.pass(900 * time.Millisecond)
	if len(w.got()) != 0 {
		t.Fatal("answered too early")
	}
	r.pass(500 * time.Millisecond)
	if f := w.last(); f.Code != 408 || !f.Final {
		t.Fatalf("after ttl: %+v", f)
	}
	n := len(w.all())
	late(porttest.OK(nil))
	if len(w.all()) != n {
		t.Fatal("a late final was sent")
	}
}

func TestLobbyStopsTTL(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	r.port.On["conference.join"] = func(_ control.Caller, _ *api.Request, reply porttest.Reply) { reply(&api.Response{Code: 182}) }
	s.Request(w, request("1", "conference.join"))
	for range 10 {
		r.pass(4 * time.Second)
		s.Ack(w, &api.Ack{Ack: 1})
	}
	if got := w.got(); len(got) != 1 || got[0].Code != 182 {
		t.Fatalf("frames %+v", got)
	}
}

func TestCancel(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	r.port.On["slow.one"] = func(control.Caller, *api.Request, porttest.Reply) {}
	s.Request(w, request("1", "slow.one"))
	cancel := func(id, target string) *api.Request {
		return &api.Request{ID: id, Method: api.RequestCancel, Params: json.RawMessage(`{"id":"` + target + `"}`)}
	}
	s.Request(w, cancel("2", "1"))
	s.Request(w, cancel("3", "1"))
	s.Request(w, cancel("4", "nobody"))
	var codes []int
	for _, f := range w.got() {
		codes = append(codes, f.Code)
	}
	if !slices.Equal(codes, []int{487, 200, 200, 404}) {
		t.Fatalf("codes %v", codes)
	}
}

func TestLimitsOfRequests(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	r.port.On["slow.one"] = func(control.Caller, *api.Request, porttest.Reply) {}
	for i := range 64 {
		s.Request(w, request(fmt.Sprint(i), "slow.one"))
	}
	s.Request(w, request("65", "slow.one"))
	if f := w.last(); f.Code != 429 || f.ID != "65" || f.Error.RetryAfterMs == 0 {
		t.Fatalf("65th: %+v", f)
	}
	for _, tc := range []struct {
		name string
		req  *api.Request
		code int
	}{
		{"no id", request("", "a.b"), 400},
		{"long id", request(strings.Repeat("x", 65), "a.b"), 400},
		{"control id", request("a\nb", "a.b"), 400},
		{"negative ttl", &api.Request{ID: "n", Method: "a.b", TTLMs: -1}, 400},
	} {
		s.Request(w, tc.req)
		if f := w.last(); f.Code != tc.code {
			t.Errorf("%s: %+v", tc.name, f)
		}
	}
}

func TestCandidatesAreLimited(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	many := func(n int) json.RawMessage {
		return json.RawMessage(`{"ms":"m","candidates":["c"` + strings.Repeat(`,"c"`, n-1) + `]}`)
	}
	s.Request(w, &api.Request{ID: "1", Method: api.MediaCandidate, Params: many(32)})
	s.Request(w, &api.Request{ID: "2", Method: api.MediaCandidate, Params: many(33)})
	got := w.got()
	if got[0].Code != 200 || got[1].Code != 413 {
		t.Fatalf("codes %d %d", got[0].Code, got[1].Code)
	}
}

func TestS3_FloodIsAnsweredThenClosed(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	limited := 0
	for i := 0; i < 14_000; i++ { // 2,000 a second
		r.mu.Lock()
		r.now = r.now.Add(500 * time.Microsecond)
		r.mu.Unlock()
		s.Request(w, request(fmt.Sprint("f", i), "a.b"))
		if c, _ := w.closed(); c != 0 {
			break
		}
	}
	for _, f := range w.got() {
		if f.Code == 429 {
			limited++
			if f.Error.Reason != "rate" || f.Error.RetryAfterMs == 0 || f.ID == "" {
				t.Fatalf("rate answer %+v", f)
			}
		}
	}
	if c, why := w.closed(); c != ClosePolicy || why != "rate" {
		t.Fatalf("closed %d %q", c, why)
	}
	since := r.clock().Sub(clock.Time(time.Hour))
	if since < 5*time.Second || since > 5200*time.Millisecond {
		t.Fatalf("closed after %v", since)
	}
	if passed := r.port.Count("do a.b"); passed > 100+50*6 || limited < 5_000 {
		t.Fatalf("%d passed, %d limited", passed, limited)
	}
	r.reg.Tick()
	if r.port.Count("closed rate") != 1 {
		t.Fatalf("port not told: %v", r.port.Count("closed"))
	}
}

func TestS3_SteadyRateIsNotLimited(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	for i := range 2000 {
		r.pass(20 * time.Millisecond)
		s.Request(w, request(fmt.Sprint(i), "a.b"))
	}
	if r.port.Count("do a.b") != 2000 {
		t.Fatalf("%d passed", r.port.Count("do a.b"))
	}
}

func TestHeartbeatBothWays(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	r.pass(4 * time.Second)
	ping := w.last()
	if ping.Kind != "ping" {
		t.Fatalf("no ping after 4 s: %+v", ping)
	}
	r.pass(250 * time.Millisecond)
	s.Pong(w, &api.Ping{T: ping.T})
	s.Ping(w, &api.Ping{T: 77})
	if f := w.last(); f.Kind != "pong" || f.T != 77 {
		t.Fatalf("pong %+v", f)
	}
	r.pass(8750 * time.Millisecond)
	if r.port.Count("suspended") != 0 {
		t.Fatal("lost too early")
	}
	r.pass(250 * time.Millisecond) // R2: noticed within 10 s
	if r.port.Count("suspended") != 1 {
		t.Fatal("not noticed")
	}
	if c, why := w.closed(); c == 0 || why != "heartbeat" {
		t.Fatalf("channel: %d %q", c, why)
	}
}

func TestGraceExpiry(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	s.Lost(w)
	s.Lost(w)
	r.pass(29 * time.Second)
	if r.port.Count("closed") != 0 {
		t.Fatal("closed in grace")
	}
	r.pass(1250 * time.Millisecond)
	if got := r.port.Calls(); !slices.Equal(got, []string{"attach ws", "suspended", "closed grace"}) {
		t.Fatalf("port: %v", got)
	}
	if _, err := r.resume(&wire{}, string(s.ID()), w.all()[0].Token, 0); code(err) != 481 {
		t.Fatalf("resume after grace: %v", err)
	}
	if st := r.reg.Stats(); st.Sessions != 0 || st.Expired != 1 {
		t.Fatalf("stats %+v", st)
	}
}

func TestR1_ResumeReplaysWithoutLoss(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	sink := r.port.Sink(s.ID())
	for range 5 {
		sink.Notify(&api.Notify{Package: "conference", Event: "before"})
	}
	var finish porttest.Reply
	r.port.On["slow.one"] = func(_ control.Caller, _ *api.Request, reply porttest.Reply) { finish = reply }
	s.Request(w, request("q", "slow.one"))
	s.Lost(w)
	finish(porttest.OK(nil)) // answered while away
	sink.Notify(&api.Notify{Package: "conference", Event: "after"})

	w2 := &wire{}
	s2, err := r.resume(w2, string(s.ID()), w.all()[0].Token, 3)
	if err != nil || s2 != s {
		t.Fatalf("resume: %v", err)
	}
	got := w2.all()
	if !got[0].Resumed || got[0].Resync || got[0].Seq != 7 || got[0].Token == w.all()[0].Token {
		t.Fatalf("welcome %+v", got[0])
	}
	var seqs []uint64
	for _, f := range got[1:] {
		seqs = append(seqs, f.Seq)
	}
	if !slices.Equal(seqs, []uint64{4, 5, 6, 7}) {
		t.Fatalf("replayed %v", seqs)
	}
	s.Request(w2, request("q", "slow.one")) // sent again, as the rules say
	if f := w2.last(); f.Code != 200 || !f.Dup {
		t.Fatalf("repeat after resume: %+v", f)
	}
	if calls := r.port.Calls(); !slices.Contains(calls, "resumed") || slices.Index(calls, "suspended") > slices.Index(calls, "resumed") {
		t.Fatalf("port: %v", calls)
	}
}

func TestResumeTokenIsGoodOnce(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	first := w.all()[0].Token
	s.Lost(w)
	w2 := &wire{}
	if _, err := r.resume(w2, string(s.ID()), "wrong", 0); code(err) != 481 {
		t.Fatalf("wrong token: %v", err)
	}
	if _, err := r.resume(w2, string(s.ID()), first, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := r.resume(&wire{}, string(s.ID()), first, 0); code(err) != 481 {
		t.Fatalf("old token: %v", err)
	}
	if c, _ := w2.closed(); c != 0 {
		t.Fatal("a refused resume hurt the session")
	}
}

func TestResumeTakesOverAnOpenChannel(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	w2 := &wire{}
	if _, err := r.resume(w2, string(s.ID()), w.all()[0].Token, 0); err != nil {
		t.Fatal(err)
	}
	if c, _ := w.closed(); c != CloseReplaced {
		t.Fatalf("old channel: %d", c)
	}
	s.Request(w, request("stale", "a.b"))
	s.Lost(w)
	if r.port.Count("do") != 0 || r.port.Count("suspended") != 0 || r.port.Count("resumed") != 0 {
		t.Fatalf("port: %v", r.port.Calls())
	}
}

func TestOverrunMeansResync(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	s.Subscribe(w, &api.Subscribe{ID: "s1", Conf: "room", Package: "conference"})
	s.Lost(w)
	sink := r.port.Sink(s.ID())
	for range 1001 {
		sink.Notify(&api.Notify{Package: "conference", Event: "x"})
	}
	if len(s.out.frames) != 1000 {
		t.Fatalf("kept %d", len(s.out.frames))
	}
	w2 := &wire{}
	if _, err := r.resume(w2, string(s.ID()), w.all()[0].Token, 1); err != nil {
		t.Fatal(err)
	}
	got := w2.all()
	if !got[0].Resumed || !got[0].Resync {
		t.Fatalf("welcome %+v", got[0])
	}
	if len(got) != 2 || got[1].State != "full" || got[1].Seq != got[0].Seq+1 {
		t.Fatalf("after welcome: %+v", got[1:])
	}
	if r.port.Count("subscribe room conference") != 2 {
		t.Fatalf("port: %v", r.port.Calls())
	}
}

func TestOverrunByBytes(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	s.Lost(w)
	body := json.RawMessage(`"` + strings.Repeat("x", 64<<10) + `"`)
	for range 20 {
		r.port.Sink(s.ID()).Notify(&api.Notify{Package: "conference", Body: body})
	}
	if s.out.bytes > 1<<20 {
		t.Fatalf("kept %d bytes", s.out.bytes)
	}
	w2 := &wire{}
	if _, err := r.resume(w2, string(s.ID()), w.all()[0].Token, 0); err != nil || !w2.all()[0].Resync {
		t.Fatalf("resume: %v", err)
	}
}

func TestAckFreesFrames(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	for range 10 {
		r.port.Sink(s.ID()).Notify(&api.Notify{Package: "conference"})
	}
	s.Ack(w, &api.Ack{Ack: 7})
	s.Ack(w, &api.Ack{Ack: 99}) // never sent: ignored
	if len(s.out.frames) != 3 || s.out.floor != 7 {
		t.Fatalf("%d kept, floor %d", len(s.out.frames), s.out.floor)
	}
}

func TestS7_GoodbyeMakesResumeImpossible(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	r.port.Sink(s.ID()).Goodbye(api.Goodbye{Action: "disconnect", Reason: "expelled"})
	if f := w.last(); f.Kind != "goodbye" || f.Reason != "expelled" {
		t.Fatalf("last frame %+v", f)
	}
	if c, _ := w.closed(); c != CloseNormal {
		t.Fatalf("closed %d", c)
	}
	if _, err := r.resume(&wire{}, string(s.ID()), w.all()[0].Token, 0); code(err) != 481 {
		t.Fatalf("resume: %v", err)
	}
	r.reg.Tick()
	if r.port.Count("closed expelled") != 1 {
		t.Fatalf("port: %v", r.port.Calls())
	}
}

func TestS6_MessageCarriesNoForgedSender(t *testing.T) {
	r := newRig(t)
	s, w := r.open()
	s.Message(w, &api.Message{Method: "chat.send", From: "sip:boss@x", Seq: 9, Params: json.RawMessage(`{"text":"hi"}`)})
	if m := r.port.Messages(); len(m) != 1 || m[0].From != "" || m[0].Seq != 0 {
		t.Fatalf("passed on %+v", m)
	}
	s.Message(w, &api.Message{ID: "m", Method: "chat.send", Params: json.RawMessage(`"` + strings.Repeat("x", 9<<10) + `"`)})
	if f := w.last(); f.Code != 413 {
		t.Fatalf("large chat: %+v", f)
	}
	s.Message(w, &api.Message{Method: "presence.update", Params: json.RawMessage(`"` + strings.Repeat("x", 2<<10) + `"`)})
	if len(r.port.Messages()) != 1 {
		t.Fatal("large messages passed")
	}
}

func TestShutdownSaysGoodbyeToAll(t *testing.T) {
	r := newRig(t)
	_, w1 := r.open()
	_, w2 := r.open()
	r.reg.Shutdown(api.Goodbye{Action: "reconnect", Reason: "draining", AfterMs: 500})
	for _, w := range []*wire{w1, w2} {
		if f := w.last(); f.Kind != "goodbye" || f.Action != "reconnect" {
			t.Fatalf("last frame %+v", f)
		}
		if c, _ := w.closed(); c != CloseRestart {
			t.Fatalf("closed %d", c)
		}
	}
	if r.port.Count("closed draining") != 2 {
		t.Fatalf("port: %v", r.port.Calls())
	}
	if _, err := r.reg.Open(&api.Hello{Versions: []int{1}, Auth: &api.Auth{Token: "ana"}}, "ws", netip.Addr{}, &wire{}); code(err) != 503 {
		t.Fatalf("open while draining: %v", err)
	}
}

// TestR1_ManySchedules resumes at random points under load from both sides and
// checks that the client misses nothing.
func TestR1_ManySchedules(t *testing.T) {
	for seed := range 30 {
		r := newRig(t)
		s, w := r.open()
		token, lastSeq := w.all()[0].Token, uint64(0)
		sink := r.port.Sink(s.ID())
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 300 {
				sink.Notify(&api.Notify{Package: "conference", Event: "x"})
			}
		}()
		for range 5 + seed%5 {
			s.Lost(w)
			for _, f := range w.all()[1:] {
				if f.Seq == 0 {
					continue
				}
				if f.Seq != lastSeq+1 {
					t.Fatalf("seed %d: seq %d after %d", seed, f.Seq, lastSeq)
				}
				lastSeq = f.Seq
			}
			w = &wire{}
			if _, err := r.resume(w, string(s.ID()), token, lastSeq); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			token = w.all()[0].Token
		}
		wg.Wait()
		for _, f := range w.all()[1:] {
			if f.Seq > 0 {
				lastSeq = f.Seq
			}
		}
		if lastSeq != 300 {
			t.Fatalf("seed %d: last seq %d", seed, lastSeq)
		}
	}
}

func TestCloseCodesCoverRefusals(t *testing.T) {
	if CloseCode(fault.New(400, "bad-request", "")) != ClosePolicy || CloseCode(fault.From(errors.New("x"))) != ClosePolicy {
		t.Fatal("default close code")
	}
}

// BenchmarkRequest is one request and its answer, from frame to frame.
func BenchmarkRequest(b *testing.B) {
	now := clock.Time(time.Hour)
	reg := NewRegistry(Config{Port: silent{}, Auth: tokens{}, Now: func() clock.Time { return now }})
	w := null{}
	s, err := reg.Open(&api.Hello{Versions: []int{1}, Auth: &api.Auth{Token: "ana"}}, "ws", netip.Addr{}, w)
	if err != nil {
		b.Fatal(err)
	}
	params := json.RawMessage(`{"track":"trk_55"}`)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(20 * time.Millisecond)
		s.Request(w, &api.Request{ID: strconv.Itoa(i), Method: "track.mute", Conf: "room", Params: params, Ack: uint64(i)})
	}
}

type null struct{}

func (null) Send([]byte) bool  { return true }
func (null) Close(int, string) {}

// silent answers at once and remembers nothing.
type silent struct{ control.Port }

func (silent) Attach(control.Caller, control.Sink) {}
func (silent) Do(_ control.Caller, _ *api.Request, reply func(*api.Response)) {
	reply(&api.Response{Code: 200, Final: true})
}
