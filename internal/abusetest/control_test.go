//go:build abuse && linux

package abusetest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// control is the untouched room: two publishers with Opus and VP8, four
// subscribers, in a process of its own.
type control struct {
	s      *server
	cmd    *exec.Cmd
	report string
	exited chan struct{}
	out    syncBuffer
	before *stats
}

type syncBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

const controlRoom = "control"

// control starts the room and waits until it is being measured.
func (s *server) control(t *testing.T, args ...string) *control {
	t.Helper()
	c := &control{s: s, report: filepath.Join(t.TempDir(), "control.json"), exited: make(chan struct{})}
	c.cmd = exec.Command(parley, append([]string{
		"load", "--url", s.url, "--room", controlRoom, "--publishers", "2", "--subscribers", "4",
		"--video-bitrate", "300000", "--warmup", "1s", "--duration", "15m", "--json", c.report,
		"--server-pid", strconv.Itoa(s.cmd.Process.Pid),
	}, args...)...)
	c.cmd.Env = cleanEnv()
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.cmd.Wait()
		close(c.exited)
	}()
	t.Cleanup(func() { _ = c.cmd.Process.Kill(); <-c.exited })
	limit := time.Now().Add(60 * time.Second)
	for !strings.Contains(c.out.String(), "measuring") {
		select {
		case <-c.exited:
			t.Fatalf("the control room ended:\n%s", c.out.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(limit) {
			t.Fatalf("the control room does not start:\n%s", c.out.String())
		}
	}
	c.before = s.stats(t, true)
	return c
}

const (
	// worst is the loss after NACK that the untouched room may see, percent.
	worst = 0.1
	// starved is the share of time in which the server's threads, summed, wanted a
	// core and got none, percent. Above it other work on the machine is measured as
	// well: a flood fills the socket's 4 MiB in a tenth of a second. Then
	// worstStarved counts, and the log says so.
	starved      = 30
	worstStarved = 0.5
)

// end holds the server to its former size, then stops the room and judges it.
func (c *control) end(t *testing.T) {
	t.Helper()
	c.s.recovered(t, c.before)
	c.judge(t)
}

func (c *control) judge(t *testing.T) {
	t.Helper()
	_ = c.cmd.Process.Signal(os.Interrupt)
	select {
	case <-c.exited:
	case <-time.After(30 * time.Second):
		t.Fatalf("the control room does not end:\n%s", c.out.String())
	}
	b, err := os.ReadFile(c.report)
	if err != nil {
		t.Fatalf("no report of the control room: %v\n%s", err, c.out.String())
	}
	var r struct {
		PacketsReceived, Lost, Retransmitted uint64
		LossPercent, Seconds                 float64
		ServerWaitPercent                    float64
		JoinsFailed                          int
		Errors                               []string
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	t.Logf("control room: %.0f s, %d packets, %d lost (%.3f %%), %d sent again", r.Seconds, r.PacketsReceived, r.Lost, r.LossPercent, r.Retransmitted)
	limit := float64(worst)
	if r.ServerWaitPercent > starved {
		t.Logf("the server waited %.0f %% of the time for a core", r.ServerWaitPercent)
		limit = worstStarved
	}
	if r.JoinsFailed > 0 || r.LossPercent > limit || float64(r.PacketsReceived) < 400*r.Seconds {
		t.Errorf("the control room suffered: %s", b)
	}
}
