package ws

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/base/fault"
	"parley/internal/conference/control"
	"parley/internal/signaling/origin"
	"parley/internal/signaling/porttest"
	"parley/internal/signaling/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every real wait; generous, for a slow machine under -race.
const patience = 30 * time.Second

type tokens struct{}

func (tokens) Authenticate(token, _ string, _ netip.Addr) (control.Principal, error) {
	if token != "good" {
		return control.Principal{}, fault.New(401, "unauthenticated", "A valid token is needed")
	}
	return control.Principal{Subject: "sip:ana@x", Role: api.RoleAttendee}, nil
}

type rig struct {
	t    *testing.T
	port *porttest.Port
	reg  *session.Registry
	h    *Handler
	srv  *httptest.Server
}

func newRig(t *testing.T, change func(*Config, *session.Config)) *rig {
	r := &rig{t: t, port: &porttest.Port{On: map[string]func(control.Caller, *api.Request, porttest.Reply){}}}
	sc := session.Config{Port: r.port, Auth: tokens{}, Now: clock.NewSystem().Now}
	wc := Config{}
	if change != nil {
		change(&wc, &sc)
	}
	r.reg = session.NewRegistry(sc)
	wc.Sessions = r.reg
	r.h = NewHandler(wc)
	r.srv = httptest.NewServer(r.h)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.reg.Run(ctx)
	}()
	t.Cleanup(func() {
		r.reg.Shutdown(api.Goodbye{Action: "disconnect", Reason: "test over"})
		now, stop := context.WithCancel(context.Background())
		stop()
		r.h.Close(now)
		cancel()
		<-done
		r.srv.Close()
	})
	return r
}

func (r *rig) url() string { return "ws" + strings.TrimPrefix(r.srv.URL, "http") }

func (r *rig) dial() *websocket.Conn {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, r.url(), &websocket.DialOptions{Subprotocols: []string{api.Subprotocol}})
	if err != nil {
		r.t.Fatal(err)
	}
	c.SetReadLimit(4 << 20)
	r.t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func send(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// next reads a frame that is no heartbeat.
func next(t *testing.T, c *websocket.Conn) map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		_, b, err := c.Read(ctx)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		var m map[string]any
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		if m["kind"] != "ping" {
			return m
		}
	}
}

// closeOf reads to the end and returns the close code; -1 for a cut.
func closeOf(c *websocket.Conn) websocket.StatusCode {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if _, _, err := c.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

const hello = `{"kind":"hello","versions":[1],"auth":{"token":"good"}}`

func (r *rig) join() (*websocket.Conn, map[string]any) {
	r.t.Helper()
	c := r.dial()
	send(r.t, c, hello)
	w := next(r.t, c)
	if w["kind"] != "welcome" {
		r.t.Fatalf("no welcome: %v", w)
	}
	return c, w
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		runtime.Gosched()
		<-time.After(time.Millisecond)
	}
}

func TestHelloRequestAndReply(t *testing.T) {
	r := newRig(t, nil)
	r.port.On["track.mute"] = func(c control.Caller, _ *api.Request, reply porttest.Reply) {
		reply(porttest.OK(map[string]bool{"muted": true}))
		r.port.Sink(c.Session).Notify(&api.Notify{Package: "conference", Event: "track.muted"})
	}
	c, w := r.join()
	if w["user"] != "sip:ana@x" || w["resumed"] != false || w["limits"] == nil {
		t.Fatalf("welcome %v", w)
	}
	send(t, c, `{"kind":"request","id":"1","method":"track.mute","conf":"room","params":{"track":"t"},"future":true}`)
	if m := next(t, c); m["kind"] != "response" || m["code"] != 200.0 || m["seq"] != 1.0 {
		t.Fatalf("response %v", m)
	}
	if m := next(t, c); m["kind"] != "notify" || m["event"] != "track.muted" || m["seq"] != 2.0 {
		t.Fatalf("notify %v", m)
	}
	send(t, c, `{"kind":"subscribe","id":"2","conf":"room","package":"conference"}`)
	if m := next(t, c); m["id"] != "2" || m["code"] != 200.0 {
		t.Fatalf("subscribe: %v", m)
	}
	if m := next(t, c); m["state"] != "full" {
		t.Fatalf("document: %v", m)
	}
	send(t, c, `{"kind":"ping","t":5}`)
	if m := next(t, c); m["kind"] != "pong" || m["t"] != 5.0 {
		t.Fatalf("pong: %v", m)
	}
	send(t, c, `{"kind":"goodbye","action":"disconnect","reason":"done"}`)
	if m := next(t, c); m["kind"] != "goodbye" {
		t.Fatalf("goodbye: %v", m)
	}
	if code := closeOf(c); code != websocket.StatusNormalClosure {
		t.Fatalf("closed with %d", code)
	}
	eventually(t, "port told", func() bool { return r.port.Count("closed goodbye") == 1 })
}

func TestHelloRefused(t *testing.T) {
	r := newRig(t, nil)
	texts := map[string]bool{}
	for _, tc := range []struct {
		name, frame string
		code        float64
		close       websocket.StatusCode
	}{
		{"no token", `{"kind":"hello","versions":[1]}`, 401, 4401},
		{"wrong token", `{"kind":"hello","versions":[1],"auth":{"token":"x"}}`, 401, 4401},
		{"no session", `{"kind":"hello","versions":[1],"resume":{"session":"s","token":"t","lastSeq":0}}`, 481, 4481},
		{"not hello", `{"kind":"request","id":"1","method":"a.b"}`, 400, 1008},
		{"not json", `hello`, 400, 1008},
		{"duplicate key", `{"kind":"hello","versions":[1],"auth":{"token":"x"},"auth":{"token":"good"}}`, 400, 1008},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := r.dial()
			send(t, c, tc.frame)
			m := next(t, c)
			if m["kind"] != "response" || m["code"] != tc.code || m["final"] != true {
				t.Fatalf("answer %v", m)
			}
			if tc.code == 401 {
				b, _ := json.Marshal(m)
				texts[string(b)] = true
			}
			if code := closeOf(c); code != tc.close {
				t.Fatalf("closed with %d", code)
			}
		})
	}
	if len(texts) != 1 { // S5: no oracle
		t.Fatalf("refusals differ: %v", texts)
	}
	c := r.dial()
	send(t, c, `{"kind":"hello","versions":[9],"auth":{"token":"good"}}`)
	if m := next(t, c); m["kind"] != "goodbye" || m["reason"] != "version" {
		t.Fatalf("version: %v", m)
	}
	if code := closeOf(c); code != 4505 {
		t.Fatalf("closed with %d", code)
	}
}

func TestNoHelloInTimeIsClosed(t *testing.T) {
	r := newRig(t, func(w *Config, _ *session.Config) { w.HelloWait = 50 * time.Millisecond })
	if code := closeOf(r.dial()); code != websocket.StatusPolicyViolation {
		t.Fatalf("closed with %d", code)
	}
}

func TestA16_ForeignOriginsAndOtherUpgradeRefusals(t *testing.T) {
	r := newRig(t, func(w *Config, _ *session.Config) { w.Origin = origin.Policy{Allowed: []string{"https://app.example"}} })
	for _, tc := range []struct {
		name, origin, protocol string
		method                 string
		code                   int
	}{
		{"A16 foreign origin", "https://evil.example", api.Subprotocol, "GET", 403},
		{"no subprotocol", "", "", "GET", 400},
		{"other subprotocol", "", "chat", "GET", 400},
		{"listed", "https://app.example", "chat, " + api.Subprotocol, "GET", 101},
		{"method", "", api.Subprotocol, "POST", 405},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, err := http.NewRequest(tc.method, r.srv.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Connection", "Upgrade")
			req.Header.Set("Upgrade", "websocket")
			req.Header.Set("Sec-WebSocket-Version", "13")
			req.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
			req.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate")
			if tc.origin != "" {
				req.Header.Set("Origin", tc.origin)
			}
			if tc.protocol != "" {
				req.Header.Set("Sec-WebSocket-Protocol", tc.protocol)
			}
			tr := &http.Transport{}
			defer tr.CloseIdleConnections()
			res, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.StatusCode != tc.code || res.Header.Get("Sec-WebSocket-Extensions") != "" {
				t.Fatalf("%d, extensions %q", res.StatusCode, res.Header.Get("Sec-WebSocket-Extensions"))
			}
		})
	}
}

func TestConnectionsPerAddress(t *testing.T) {
	r := newRig(t, func(w *Config, _ *session.Config) { w.PerAddress, w.Waiting = 3, 2 })
	r.join()
	r.join()
	first := r.dial() // seated ones do not count as waiting
	_, res, err := websocket.Dial(context.Background(), r.url(), &websocket.DialOptions{Subprotocols: []string{api.Subprotocol}})
	if err == nil || res.StatusCode != 429 || res.Header.Get("Retry-After") == "" {
		t.Fatalf("fourth: %v %v", res, err)
	}
	_ = first.CloseNow()
	eventually(t, "a place is free", func() bool { return r.h.Live() == 2 })
	r.dial()
}

func TestAddressesByNetwork(t *testing.T) {
	a := addresses{byNet: map[netip.Prefix]*count{}}
	for i := range 3 {
		if got := a.enter(netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)}), 2, 9); got != (i < 2) {
			t.Fatalf("IPv6 %d: %v", i, got)
		}
	}
	if !a.enter(netip.MustParseAddr("192.0.2.1"), 1, 9) || a.enter(netip.MustParseAddr("::ffff:192.0.2.1"), 1, 9) {
		t.Fatal("mapped address counts apart")
	}
	a.leave(netip.MustParseAddr("192.0.2.1"), true)
	a.leave(netip.MustParseAddr("2001::"), true)
	a.leave(netip.MustParseAddr("2001::1"), true)
	if len(a.byNet) != 0 {
		t.Fatalf("left over: %v", a.byNet)
	}
}

func TestA14_FramesRefused(t *testing.T) {
	r := newRig(t, nil)
	for _, tc := range []struct {
		name  string
		kind  websocket.MessageType
		data  []byte
		hello bool
		code  websocket.StatusCode
	}{
		{"binary", websocket.MessageBinary, []byte(`{"kind":"ack"}`), true, 1003},
		{"binary hello", websocket.MessageBinary, []byte(hello), false, 1003},
		{"invalid UTF-8", websocket.MessageText, []byte("{\"kind\":\"\xff\"}"), true, 1007},
		{"S1 256 KiB + 1", websocket.MessageText, []byte(strings.Repeat(" ", 256<<10+1)), true, 1009},
		{"hello over 8 KiB", websocket.MessageText, []byte(strings.Repeat(" ", 8<<10) + hello), false, 1009},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c *websocket.Conn
			if tc.hello {
				c, _ = r.join()
			} else {
				c = r.dial()
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := c.Write(ctx, tc.kind, tc.data); err != nil {
				t.Fatal(err)
			}
			if code := closeOf(c); code != tc.code {
				t.Fatalf("closed with %d, want %d", code, tc.code)
			}
		})
	}
}

func TestFrameOf256KiBPasses(t *testing.T) {
	r := newRig(t, nil)
	c, _ := r.join()
	frame := `{"kind":"request","id":"1","method":"a.b"}`
	send(t, c, frame+strings.Repeat(" ", 256<<10-len(frame)))
	if m := next(t, c); m["code"] != 200.0 {
		t.Fatalf("answer %v", m)
	}
}

// raw is a WebSocket client made of bytes.
func (r *rig) raw() (net.Conn, *bufio.Reader) {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.srv.Listener.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\n\r\n", api.Subprotocol)
	br := bufio.NewReader(conn)
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != 101 {
		r.t.Fatalf("upgrade: %v %v", res, err)
	}
	return conn, br
}

// masked builds a client frame with a zero mask (RFC 6455, section 5.2).
func masked(first byte, payload string) []byte {
	b := []byte{first}
	if n := len(payload); n < 126 {
		b = append(b, 0x80|byte(n))
	} else {
		b = append(b, 0x80|126)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// closeFrame reads server frames up to a close and returns its code.
func closeFrame(br *bufio.Reader) (int, error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(br, head[:]); err != nil {
			return 0, err
		}
		n := int(head[1])
		if n == 126 {
			var ext [2]byte
			if _, err := io.ReadFull(br, ext[:]); err != nil {
				return 0, err
			}
			n = int(binary.BigEndian.Uint16(ext[:]))
		}
		p := make([]byte, n)
		if _, err := io.ReadFull(br, p); err != nil {
			return 0, err
		}
		if head[0]&0xf == 8 && n >= 2 {
			return int(binary.BigEndian.Uint16(p)), nil
		}
	}
}

func TestS1_EmptyFragments(t *testing.T) {
	r := newRig(t, nil)
	conn, br := r.raw()
	if _, err := conn.Write(masked(0x81, hello)); err != nil {
		t.Fatal(err)
	}
	go func() { // until the server cuts
		bw := bufio.NewWriter(conn)
		_, _ = bw.Write(masked(0x01, "{"))
		empty := masked(0x00, "")
		for range 1_000_000 {
			if _, err := bw.Write(empty); err != nil {
				return
			}
		}
	}()
	if code, err := closeFrame(br); code != 1009 {
		t.Fatalf("close %d, %v", code, err)
	}
	_ = conn.Close()
	eventually(t, "connection gone", func() bool { return r.h.Live() == 0 })
}

func TestS1_ControlFrameFlood(t *testing.T) {
	r := newRig(t, nil)
	conn, br := r.raw()
	if _, err := conn.Write(masked(0x81, hello)); err != nil {
		t.Fatal(err)
	}
	go func() {
		ping := masked(0x89, strings.Repeat("p", 125))
		for range 100_000 {
			if _, err := conn.Write(ping); err != nil {
				return
			}
		}
	}()
	if code, _ := closeFrame(br); code != 1009 {
		t.Fatalf("close %d", code)
	}
	_ = conn.Close()
}

func TestS1_CompressedFrameIsRefused(t *testing.T) {
	r := newRig(t, nil)
	conn, br := r.raw()
	_, _ = conn.Write(masked(0x81, hello))
	_, _ = conn.Write(masked(0xC1, "\x00bomb")) // RSV1 without a negotiated extension
	if code, _ := closeFrame(br); code != 1002 {
		t.Fatalf("close %d", code)
	}
}

func TestBadRequestsAreAnsweredThenClosed(t *testing.T) {
	r := newRig(t, nil)
	c, _ := r.join()
	bad := []string{
		`{"kind":"nonsense","id":"n"}`, `not json`, `{"kind":"request","kind":"message"}`, `{"kind":"request","id":"1","params":"\u0000"}`,
		`{"kind":"request","id":"1","params":"\ud800"}`, `{"kind":"request","id":"1","params":1e999}`,
		`{"kind":"request","id":5}`, strings.Repeat("[", 40) + strings.Repeat("]", 40), `[]`, `"x"`, `null`, `{}`,
	}
	for i := range 20 {
		send(t, c, bad[i%len(bad)])
		m := next(t, c)
		if m["code"] != 400.0 || m["error"].(map[string]any)["reason"] != "bad-request" {
			t.Fatalf("%s: %v", bad[i%len(bad)], m)
		}
		if i == 0 && m["id"] != "n" {
			t.Fatalf("unknown kind answered without id: %v", m)
		}
		if i == 18 { // still of use one error before the end
			send(t, c, `{"kind":"request","id":"ok","method":"a.b"}`)
			if m := next(t, c); m["code"] != 200.0 {
				t.Fatalf("after errors: %v", m)
			}
		}
	}
	if code := closeOf(c); code != websocket.StatusPolicyViolation {
		t.Fatalf("closed with %d", code)
	}
	if r.port.Count("do") != 1 {
		t.Fatalf("port: %v", r.port.Calls())
	}
}

func TestS6_DuplicateKeysNeverReachTheFocus(t *testing.T) {
	r := newRig(t, nil)
	c, _ := r.join()
	send(t, c, `{"kind":"message","method":"chat.send","from":"boss","From":"me","params":{}}`)
	if m := next(t, c); m["code"] != 400.0 {
		t.Fatalf("answer %v", m)
	}
	send(t, c, `{"kind":"message","method":"chat.send","from":"sip:boss@x","params":{"text":"hi"}}`)
	eventually(t, "message", func() bool { return len(r.port.Messages()) == 1 })
	if m := r.port.Messages()[0]; m.From != "" {
		t.Fatalf("from %q", m.From)
	}
}

func TestS8_StalledReaderIsCut(t *testing.T) {
	r := newRig(t, func(w *Config, _ *session.Config) { w.WriteWait = 300 * time.Millisecond })
	stalled, _ := r.raw()
	_, _ = stalled.Write(masked(0x81, hello))
	eventually(t, "attached", func() bool { return len(r.port.Callers()) == 1 })
	sink := r.port.Sink(r.port.Callers()[0].Session)
	other, _ := r.join()
	body := json.RawMessage(`"` + strings.Repeat("x", 32<<10) + `"`)
	eventually(t, "cut", func() bool {
		sink.Notify(&api.Notify{Package: "conference", Body: body}) // returns at once whatever the reader does
		return r.port.Count("suspended") == 1
	})
	send(t, other, `{"kind":"request","id":"1","method":"a.b"}`)
	if m := next(t, other); m["code"] != 200.0 {
		t.Fatalf("the other: %v", m)
	}
}

func TestS8_QueueIsBounded(t *testing.T) {
	c := &conn{wake: make(chan struct{}, 1)}
	frame := make([]byte, 100<<10)
	n := 0
	for c.Send(frame) {
		n++
	}
	if n != 10 || !c.closed || len(c.queue) != 0 {
		t.Fatalf("took %d frames, closed %v, queue %d", n, c.closed, len(c.queue))
	}
}

func TestR1_ResumeOverASecondSocket(t *testing.T) {
	r := newRig(t, nil)
	c, w := r.join()
	var mu sync.Mutex
	var finish porttest.Reply
	r.port.On["slow.one"] = func(_ control.Caller, _ *api.Request, reply porttest.Reply) {
		mu.Lock()
		defer mu.Unlock()
		finish = reply
	}
	send(t, c, `{"kind":"request","id":"1","method":"slow.one"}`)
	eventually(t, "started", func() bool { return r.port.Count("do slow.one") == 1 })
	_ = c.CloseNow()
	eventually(t, "suspended", func() bool { return r.port.Count("suspended") == 1 })
	mu.Lock()
	finish(porttest.OK(nil))
	mu.Unlock()
	c2 := r.dial()
	send(t, c2, fmt.Sprintf(`{"kind":"hello","versions":[1],"resume":{"session":%q,"token":%q,"lastSeq":0}}`, w["session"], w["resumeToken"]))
	if m := next(t, c2); m["kind"] != "welcome" || m["resumed"] != true || m["session"] != w["session"] {
		t.Fatalf("welcome %v", m)
	}
	if m := next(t, c2); m["id"] != "1" || m["code"] != 200.0 {
		t.Fatalf("replay %v", m)
	}
	if r.port.Count("resumed") != 1 || r.port.Count("closed") != 0 {
		t.Fatalf("port: %v", r.port.Calls())
	}
}

func TestShutdownSaysGoodbye(t *testing.T) {
	r := newRig(t, nil)
	c, _ := r.join()
	r.reg.Shutdown(api.Goodbye{Action: "reconnect", Reason: "restarting"})
	if m := next(t, c); m["kind"] != "goodbye" || m["action"] != "reconnect" {
		t.Fatalf("frame %v", m)
	}
	if code := closeOf(c); code != websocket.StatusServiceRestart {
		t.Fatalf("closed with %d", code)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r.h.Close(ctx)
	if r.h.Live() != 0 {
		t.Fatal("connections left")
	}
}

// FuzzDispatch feeds frames of an open session: nothing may panic, and every
// frame that is refused is refused as bad-request.
func FuzzDispatch(f *testing.F) {
	for _, s := range []string{
		`{"kind":"request","id":"1","method":"a.b","params":{},"ttlMs":5,"ifRev":3,"ack":1}`, `{"kind":"subscribe","id":"2","conf":"r","package":"conference","expiresS":0}`,
		`{"kind":"message","method":"chat.send","to":["a"],"params":{"text":"x"}}`, `{"kind":"ping","t":1}`, `{"kind":"pong","t":-1}`, `{"kind":"ack","ack":18446744073709551615}`,
		`{"kind":"response","id":"x"}`, `{"kind":"request","id":"c","method":"request.cancel","params":{"id":"1"}}`, `{"kind":"request","id":"m","method":"media.candidate","params":{"candidates":[]}}`, `{"kind":"goodbye"}`, `{}`, `[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		reg := session.NewRegistry(session.Config{Port: &porttest.Port{}, Auth: tokens{}, Now: func() clock.Time { return 1e9 }})
		c := &conn{wake: make(chan struct{}, 1)}
		s, err := reg.Open(&api.Hello{Versions: []int{1}, Auth: &api.Auth{Token: "good"}}, "ws", netip.Addr{}, c)
		if err != nil {
			t.Fatal(err)
		}
		c.s = s
		if _, e := c.dispatch(b); e != nil && e.Reason != "bad-request" {
			t.Fatalf("refused as %v", e)
		}
		_, _ = decodeHello(b)
		for _, q := range c.queue {
			if !json.Valid(q) {
				t.Fatalf("sent %q", q)
			}
		}
	})
}

// TestS9_ClientBytesStayOutOfLogs sends what terminals and parsers stumble on.
func TestS9_ClientBytesStayOutOfLogs(t *testing.T) {
	var mu sync.Mutex
	var logged strings.Builder
	log := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return logged.Write(p)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := newRig(t, func(w *Config, s *session.Config) { w.Log, s.Log = log, log })
	c := r.dial()
	send(t, c, `{"kind":"hello","versions":[1],"client":{"name":"evil\r\nlevel=ERROR \u001b[2J%n"},"auth":{"token":"good","name":"x\u001b[2J"}}`)
	w := next(t, c)
	send(t, c, `{"kind":"request","id":"1","method":"evil\r\n\u001b[2J%n"}`)
	next(t, c)
	send(t, c, `{"kind":"evil\u001b[2J","id":"evil\r\n"}`)
	next(t, c)
	bad := r.dial()
	send(t, bad, `{"kind":"hello","versions":[1],"auth":{"token":"secret-token-4711"}}`)
	closeOf(bad)
	_ = c.CloseNow()
	eventually(t, "suspended", func() bool { return r.port.Count("suspended") == 1 })
	mu.Lock()
	defer mu.Unlock()
	for _, word := range []string{"evil", "\x1b", "%n", "secret-token", w["resumeToken"].(string)} {
		if strings.Contains(logged.String(), word) {
			t.Fatalf("log holds %q:\n%s", word, logged.String())
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
