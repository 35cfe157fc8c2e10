package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"parley/test/harness"
	"parley/test/testpeer"
)

// plain keeps no connections and goes through no proxy.
var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// call makes one request and returns the answer with its body.
func call(t *testing.T, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t, patience), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := plain.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// bare is a directory and an environment with nothing in them, so that the
// binary has nothing but itself.
func bare(t testing.TB, cmd *exec.Cmd) {
	cmd.Dir, cmd.Env = t.TempDir(), []string{"PATH=/nonexistent"}
}

// TestServeWithNothingButGo: what `go build` made serves the whole client and
// every surface, without files beside it.
func TestServeWithNothingButGo(t *testing.T) {
	s := harness.Start(t, harness.Options{Change: bare})
	res, page := call(t, "GET", s.URL+"/", "")
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") || res.Header.Get("Content-Security-Policy") == "" {
		t.Fatalf("/: %d %v", res.StatusCode, res.Header)
	}
	if _, room := call(t, "GET", s.URL+"/r/standup", ""); room != page {
		t.Error("/r/standup is another page than /")
	}
	assets := regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(page, -1)
	kinds := map[string]bool{}
	for _, a := range assets {
		res, b := call(t, "GET", s.URL+a[1], "")
		if res.StatusCode != 200 || b == "" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d, %d bytes, %v", a[1], res.StatusCode, len(b), res.Header)
		}
		kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
		kinds[kind] = true
	}
	if !kinds["text/javascript"] || !kinds["text/css"] {
		t.Errorf("the page brings %v by %v", kinds, assets)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		header, value      string
	}{
		{"GET", "/healthz", "", 200, "", ""},
		{"GET", "/config.json", "", 200, "Content-Type", "application/json"},
		{"GET", "/r/standup/status", "", 200, "Content-Type", "application/json"},
		{"OPTIONS", "/whip/standup", "", 204, "Accept-Post", "application/sdp"},
		{"OPTIONS", "/whep/standup", "", 204, "Accept-Post", "application/sdp"},
		{"GET", "/whip/standup", "", 405, "Allow", "POST, OPTIONS"},
		{"POST", "/whip/standup", "v=0", 415, "", ""},
		{"GET", "/ws", "", 400, "", ""}, // no subprotocol
		{"GET", "/auth/exchange", "", 405, "Allow", "POST"},
		{"GET", "/nothing/here", "", 404, "", ""},
		{"GET", "/assets/../../owner.key", "", 404, "", ""},
		{"GET", "/stats", "", 404, "", ""}, // only on the admin listener
		{"GET", "/debug/pprof/", "", 404, "", ""},
	} {
		res, body := call(t, c.method, s.URL+c.path, c.body)
		if res.StatusCode != c.status || !strings.HasPrefix(res.Header.Get(c.header), c.value) {
			t.Errorf("%s %s: %d %v %.80q; want %d %s %s", c.method, c.path, res.StatusCode, res.Header, body, c.status, c.header, c.value)
		}
	}
}

// TestUnreadyWhileStopping holds a connection over SIGTERM: what comes in after
// it is told so, or the connection ends, but nobody is let in.
func TestUnreadyWhileStopping(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	enter(t, s, "busy") // a person that does not read makes the goodbye last
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	ask := "GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"
	if _, err := io.WriteString(conn, ask); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	if n, err := conn.Read(b); err != nil || !bytes.HasPrefix(b[:n], []byte("HTTP/1.1 200")) {
		t.Fatalf("%v %q", err, b[:n])
	}
	s.Stop()
	_, _ = io.WriteString(conn, ask)
	if n, err := conn.Read(b); err == nil && !bytes.HasPrefix(b[:n], []byte("HTTP/1.1 503")) {
		t.Errorf("after the stop: %q", b[:n])
	}
	if _, err := plain.Get(s.URL + "/healthz"); err == nil {
		t.Error("still listening")
	}
}

// fails runs a `serve` that must fail and returns what it said and after how long.
func fails(t *testing.T, args ...string) (said string, took time.Duration) {
	t.Helper()
	cmd := harness.Command(t, append([]string{"serve"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	took = time.Since(began)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("%v: %v, want exit status 1; %s", args, err, out.String())
	}
	return out.String(), took
}

func TestConfigBadFileStopsWithinASecond(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":   {"dev: true\nhttpp: 127.0.0.1:1\n", ":2: httpp: "},
		"duplicate key": {"workers: 1\nworkers: 2\n", ":2: "},
		"bad port":      {"udp: 127.0.0.1:65536\n", ":1: udp: "},
		"zero port":     {"http: 127.0.0.1:0\n", ":1: http: "},
		"leftovers":     {"\nworkers: 2x\n", ":2: workers: "},
		"out of range":  {"dev: true\nlimits:\n  half-open: 0\n", ":3: limits.half-open: "},
		"port clash":    {"http: 127.0.0.1:9000\nadmin: 127.0.0.1:9000\n", ":2: admin: "},
		"not YAML":      {"workers: [\n", ":"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "parley.yaml")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			said, took := fails(t, "--config", file)
			for range 2 { // one of three on a busy machine
				if took <= time.Second {
					break
				}
				_, took = fails(t, "--config", file)
			}
			if took > time.Second || !strings.Contains(said, file+c.want) {
				t.Errorf("after %v: %q, want %q in it", took, said, file+c.want)
			}
		})
	}
}

// TestPortInUseStopsTheStart with the flag's name in the message.
func TestPortInUseStopsTheStart(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	web := strings.TrimPrefix(s.URL, "http://")
	if said, _ := fails(t, "--dev", "--http", web, "--udp", "127.0.0.1:9", "--data", t.TempDir()); !strings.Contains(said, "--http") {
		t.Errorf("HTTP port taken: %q", said)
	}
}

// TestFirstStartMakesAnOwner goes the way of a person who starts a server that
// is not for trying out: nobody gets in without the owner's link or a token.
func TestFirstStartMakesAnOwner(t *testing.T) {
	s := harness.Start(t, harness.Options{Closed: true})
	link := regexp.MustCompile(`Owner\s+(http://\S+)/#owner=([A-Za-z0-9_-]+)`).FindStringSubmatch(s.Log())
	if link == nil || link[1] != s.URL {
		t.Fatalf("no owner's link: %s", s.Log())
	}
	ctx := within(t, 2*patience)
	opt := testpeer.Options{URL: s.URL + "/whip/owned"}
	var refused *testpeer.StatusError
	for _, token := range []string{"", "wrong", link[2]} { // the key is not a token
		opt.Token = token
		if _, err := testpeer.Publish(ctx, opt); !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
			t.Errorf("WHIP with token %q: %v", token, err)
		}
	}
	if res, body := call(t, "POST", s.URL+"/auth/exchange", `{"owner":"`+strings.Repeat("A", len(link[2]))+`"}`); res.StatusCode != 401 {
		t.Errorf("wrong owner key: %d %s", res.StatusCode, body)
	}
	res, body := call(t, "POST", s.URL+"/auth/exchange", `{"owner":"`+link[2]+`","name":"Ana"}`)
	var got struct{ Token, Role string }
	if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != 200 || got.Token == "" || got.Role != "owner" {
		t.Fatalf("exchange: %d %v %s", res.StatusCode, err, res.Header)
	}
	opt.Token = got.Token
	p, err := testpeer.Publish(ctx, opt) // fails unless the answer is 201
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Connected(ctx); err != nil {
		t.Error(err)
	}
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
	if strings.Contains(s.Log(), got.Token) || strings.Count(s.Log(), link[2]) != 1 {
		t.Error("the log has a token, or the owner's key twice")
	}
	s.Stop()

	again := harness.Start(t, harness.Options{Closed: true, Data: s.Data})
	if strings.Contains(again.Log(), link[2]) {
		t.Error("the second start prints the owner's key")
	}
	opt.URL = again.URL + "/whip/owned"
	if p, err = testpeer.Publish(ctx, opt); err != nil {
		t.Fatalf("the token of before the restart: %v", err)
	}
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
}
