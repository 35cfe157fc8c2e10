// Package process holds the tests that need the real server as a process: how
// it starts and stops, what it serves, how fast people get in, and that what
// they leave behind is freed. Scenario ids are those of the reliability rules.
package process

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"parley/internal/load"
	"parley/test/harness"
	"parley/test/testpeer"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// patience bounds every wait for something that should be quick.
const patience = 30 * time.Second

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// publish puts one pion publisher into a room until the test ends.
func publish(t *testing.T, s *harness.Server, room string, opt testpeer.Options) *testpeer.Peer {
	t.Helper()
	opt.URL = s.URL + "/whip/" + room
	p, err := testpeer.Publish(within(t, patience), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Abandon() })
	if err := p.Connected(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	return p
}

// loader is a running `parley load`.
type loader struct {
	cmd  *exec.Cmd
	said chan string // its progress lines
}

func startLoad(t *testing.T, s *harness.Server, args ...string) *loader {
	t.Helper()
	l := &loader{cmd: harness.Command(t, append([]string{"load", "--url", s.URL}, args...)...), said: make(chan string, 1024)}
	l.cmd.Stderr = lines(l.said)
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.kill)
	return l
}

// kill ends it as a power cut does; nobody says goodbye.
func (l *loader) kill() {
	_ = l.cmd.Process.Kill()
	_ = l.cmd.Wait()
}

// joined waits until everybody is in.
func (l *loader) joined(t *testing.T) {
	t.Helper()
	limit := time.NewTimer(2 * patience)
	defer limit.Stop()
	var all []string
	for {
		select {
		case line := <-l.said:
			if all = append(all, line); strings.HasPrefix(line, "measuring") {
				return
			}
		case <-limit.C:
			t.Fatalf("load did not get in: %q", all)
		}
	}
}

// lines is a writer that passes on whole lines and never blocks.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		select {
		case l <- strings.TrimSpace(line):
		default:
		}
	}
	return len(b), nil
}

// runLoad runs `parley load` to its end.
func runLoad(t *testing.T, s *harness.Server, args ...string) load.Report {
	t.Helper()
	cmd := harness.Command(t, append([]string{"load", "--url", s.URL, "--server-pid", fmt.Sprint(s.PID()), "--json", "-"}, args...)...)
	out, err := cmd.Output()
	var r load.Report
	if jerr := json.Unmarshal(out, &r); err != nil || jerr != nil {
		t.Fatalf("load: %v, %v: %s", err, jerr, out)
	}
	return r
}

// quantile of durations; they are sorted in place.
func quantile(d []time.Duration, q float64) time.Duration {
	slices.Sort(d)
	return d[min(int(q*float64(len(d))), len(d)-1)]
}
