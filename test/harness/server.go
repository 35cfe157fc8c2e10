package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// readyWithin bounds a start; a slow machine under the race detector needs seconds.
	readyWithin = 20 * time.Second
	// StopWithin is what SIGTERM promises.
	StopWithin = 5 * time.Second
)

// Options of a server under test. The zero value is `serve --dev` with one
// worker on loopback.
type Options struct {
	Closed  bool       // without --dev
	Host    netip.Addr // of the UDP ports; zero: 127.0.0.1
	Workers int        // 0: one
	Data    string     // zero: a new directory
	Args    []string   // more flags
	// Change may change the command before it starts, such as its environment.
	Change func(testing.TB, *exec.Cmd)
}

// Server is a running binary.
type Server struct {
	URL   string // of pages and WHIP
	Admin string
	UDP   netip.AddrPort // of the first worker
	Data  string

	t      testing.TB
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of Wait; after exited is closed
	ended  bool  // Stop or Kill was called
	out    logBuffer
}

// logBuffer keeps what the server says on either stream.
type logBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Start runs a server until the test ends, when it must stop cleanly.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Data == "" {
		o.Data = t.TempDir()
	}
	if !o.Host.IsValid() {
		o.Host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	o.Workers = max(o.Workers, 1)
	for try := 1; ; try++ {
		s, err := start(t, o)
		if err == nil {
			t.Cleanup(s.finish)
			return s
		}
		// Between finding a port and using it, another process may have taken it.
		if try == 3 || !strings.Contains(err.Error(), "address already in use") {
			t.Fatal(err)
		}
	}
}

func start(t testing.TB, o Options) (*Server, error) {
	web, admin, udp, err := ports(o.Host, o.Workers)
	if err != nil {
		return nil, err
	}
	s := &Server{
		URL: "http://" + web, Admin: "http://" + admin, UDP: udp, Data: o.Data, t: t, exited: make(chan struct{}),
	}
	args := []string{
		"serve", "--http", web, "--admin", admin, "--udp", udp.String(), "--workers", strconv.Itoa(o.Workers), "--data", o.Data,
	}
	if !o.Closed {
		args = append(args, "--dev")
	}
	s.cmd = Command(t, append(args, o.Args...)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if o.Change != nil {
		o.Change(t, s.cmd)
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	if err := s.ready(); err != nil {
		_ = s.cmd.Process.Kill()
		<-s.exited
		return nil, fmt.Errorf("%w\n%s", err, s.Log())
	}
	return s, nil
}

// Command makes a call of the binary with a clean environment; it dies with the
// test process.
func Command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(Binary(t), args...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PARLEY_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "GORACE=halt_on_error=1 exitcode=66")
	return cmd
}

func (s *Server) ready() error {
	limit := time.NewTimer(readyWithin)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if code, _, err := s.Get("/healthz"); err == nil && code == http.StatusOK {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("the server ended at its start: %v", s.err)
		case <-limit.C:
			return errors.New("the server did not become ready")
		case <-tick.C:
		}
	}
}

// client never goes through a proxy and keeps no connection, so that none counts
// in the server's goroutines.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// Get reads a path of the public surface.
func (s *Server) Get(path string) (status int, body []byte, err error) {
	return get(s.URL + path)
}

func get(url string) (int, []byte, error) {
	res, err := client.Get(url)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	return res.StatusCode, b, err
}

// PID of the process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Log is what it wrote so far.
func (s *Server) Log() string { return s.out.String() }

// Exited is closed when the process is gone.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// Signal sends one to the process.
func (s *Server) Signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Errorf("signal: %v", err)
	}
}

// Stop ends the server with SIGTERM and returns how long that took. It must exit
// with status 0 within StopWithin.
func (s *Server) Stop() time.Duration {
	s.t.Helper()
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	return s.Await(began)
}

// Await waits for the end after a SIGTERM that was sent at began.
func (s *Server) Await(began time.Time) time.Duration {
	s.t.Helper()
	s.ended = true
	select {
	case <-s.exited:
	case <-time.After(3 * StopWithin):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
	took := time.Since(began)
	if took > StopWithin || s.err != nil {
		s.t.Errorf("SIGTERM: ended after %v with %v, want status 0 within %v\n%s", took, s.err, StopWithin, tail(s.Log()))
	}
	return took
}

// Kill ends the server at once.
func (s *Server) Kill() {
	s.ended = true
	_ = s.cmd.Process.Kill()
	<-s.exited
}

func (s *Server) finish() {
	select {
	case <-s.exited:
		if !s.ended {
			s.t.Errorf("the server ended by itself: %v", s.err)
		}
	default:
		s.Stop()
	}
	log := s.Log()
	for _, bad := range []string{"panic:", "fatal error:", "DATA RACE", "goroutine 1 ["} {
		if strings.Contains(log, bad) {
			s.t.Errorf("the server's log has %q", bad)
		}
	}
	if s.t.Failed() {
		s.t.Logf("server log:\n%s", tail(log))
	}
}

func tail(s string) string {
	const most = 8 << 10
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}

// ports finds two TCP ports on loopback and workers consecutive UDP ports.
func ports(host netip.Addr, workers int) (web, admin string, udp netip.AddrPort, err error) {
	var tcp [2]string
	for i := range tcp {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", udp, err
		}
		defer func() { _ = l.Close() }() // only at the end, so that they differ
		tcp[i] = l.Addr().String()
	}
	for range 50 {
		if udp, err = udpPorts(host, workers); err == nil {
			break
		}
	}
	return tcp[0], tcp[1], udp, err
}

func udpPorts(host netip.Addr, n int) (first netip.AddrPort, err error) {
	for i := range n {
		at := netip.AddrPortFrom(host, 0)
		if i > 0 {
			at = netip.AddrPortFrom(host, first.Port()+uint16(i))
		}
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err != nil {
			return first, err
		}
		defer func() { _ = c.Close() }()
		if i == 0 {
			first = c.LocalAddr().(*net.UDPAddr).AddrPort()
			first = netip.AddrPortFrom(first.Addr().Unmap(), first.Port())
		}
	}
	return first, nil
}
