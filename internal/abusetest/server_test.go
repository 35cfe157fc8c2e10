//go:build abuse && linux

package abusetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var parley string // the server under test, built by TestMain

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

// buildAndRun builds the server from this tree, unless ABUSE_BINARY names one.
func buildAndRun(m *testing.M) int {
	if parley = os.Getenv("ABUSE_BINARY"); parley != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "parley-abuse-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	parley = filepath.Join(dir, "parley")
	if out, err := exec.Command("go", "build", "-o", parley, "parley/cmd/parley").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// soak chooses between the figure for every change and the full one.
func soak[T any](short, full T) T {
	if os.Getenv("SOAK") != "" {
		return full
	}
	return short
}

// server is a running binary.
type server struct {
	url, admin string
	udp        netip.AddrPort // of the first worker
	data       string
	log        logbook
	secrets    sync.Map // string → what it is: must never be logged

	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of Wait
}

// logbook keeps lines and when they came.
type logbook struct {
	mu    sync.Mutex // guards all below
	rest  []byte
	lines []string
	count map[string]int // by second and cause
}

var cause = regexp.MustCompile(`msg=("(?:[^"\\]|\\.)*"|\S+)`)

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		line := string(l.rest[:i])
		l.rest = l.rest[i+1:]
		l.lines = append(l.lines, line)
		if m := cause.FindString(line); m != "" {
			if l.count == nil {
				l.count = map[string]int{}
			}
			l.count[strconv.FormatInt(time.Now().Unix(), 10)+" "+m]++
		}
	}
}

func (l *logbook) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n") + string(l.rest)
}

// start runs a server with one worker until the test ends. Without arguments it
// is open to all (--dev).
func start(t *testing.T, args ...string) *server {
	t.Helper()
	if len(args) == 0 {
		args = []string{"--dev"}
	}
	var err error
	for range 3 { // a port found free may be taken before it is used
		s := &server{data: t.TempDir(), exited: make(chan struct{})}
		if err = s.run(args); err == nil {
			t.Cleanup(func() { s.finish(t) })
			return s
		}
	}
	t.Fatal(err)
	return nil
}

func (s *server) run(args []string) error {
	web, admin := freePort("tcp"), freePort("tcp")
	s.url, s.admin = "http://"+web, "http://"+admin
	s.udp = netip.MustParseAddrPort(freePort("udp"))
	s.cmd = exec.Command(parley, append([]string{
		"serve", "--http", web, "--admin", admin, "--udp", s.udp.String(), "--workers", "1", "--data", s.data,
	}, args...)...)
	s.cmd.Env = append(cleanEnv(), "GODEBUG=netdns=go+2") // says every name it looks up
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	limit := time.Now().Add(20 * time.Second)
	for time.Now().Before(limit) {
		if code, _, err := fetch(s.url + "/healthz"); err == nil && code == 200 {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("the server ended: %v\n%s", s.err, s.log.text())
		case <-time.After(20 * time.Millisecond):
		}
	}
	_ = s.cmd.Process.Kill()
	return fmt.Errorf("the server is not ready\n%s", s.log.text())
}

func cleanEnv() (env []string) {
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PARLEY_") {
			env = append(env, kv)
		}
	}
	return env
}

func freePort(network string) string {
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		defer c.Close()
		return c.LocalAddr().String()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// plain keeps no connection, so that none counts in the server's goroutines.
var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}

func fetch(url string) (int, []byte, error) {
	res, err := plain.Get(url)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	return res.StatusCode, b, err
}

// owner returns the owner's key, which is a secret from then on.
func (s *server) owner(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.data, "owner.key"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// token exchanges the owner's key for an access token.
func (s *server) token(t *testing.T) string {
	t.Helper()
	key := s.owner(t)
	res, err := plain.Post(s.url+"/auth/exchange", "application/json", strings.NewReader(fmt.Sprintf(`{"owner":%q,"name":"Olga"}`, key)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got struct{ Token string }
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.Token == "" {
		t.Fatalf("exchange: %s %v", res.Status, err)
	}
	s.secret("access token", got.Token)
	return got.Token
}

func (s *server) secret(what, v string) {
	if v != "" {
		s.secrets.Store(v, what)
	}
}

// finish holds the server to the rules that stand after every attack: alive,
// a clean stop, few log lines, no secret among them.
func (s *server) finish(t *testing.T) {
	select {
	case <-s.exited:
		t.Errorf("the server died: %v", s.err)
	default:
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.exited:
			if s.err != nil {
				t.Errorf("SIGTERM: %v", s.err)
			}
		case <-time.After(20 * time.Second):
			_ = s.cmd.Process.Kill()
			t.Error("SIGTERM did not end the server")
			<-s.exited
		}
	}
	s.judgeLog(t)
}

// loudest is how many lines a second one cause may log.
const loudest = 10

func (s *server) judgeLog(t *testing.T) {
	text := s.log.text()
	for _, bad := range []string{"panic:", "fatal error:", "DATA RACE", "goroutine 1 [", "failed inside"} {
		if strings.Contains(text, bad) {
			t.Errorf("the log has %q", bad)
		}
	}
	for k, n := range s.log.count {
		if n > loudest {
			t.Errorf("%d log lines in one second: %s", n, k)
		}
	}
	for _, line := range s.log.lines {
		if len(line) > 2<<10 {
			t.Errorf("a log line of %d bytes: %.100q…", len(line), line)
		}
	}
	s.secrets.Range(func(v, what any) bool {
		if strings.Contains(text, v.(string)) {
			t.Errorf("the log tells a secret: %v", what)
		}
		return true
	})
	if t.Failed() {
		t.Logf("server log:\n%s", text[max(0, len(text)-8<<10):])
	}
}
