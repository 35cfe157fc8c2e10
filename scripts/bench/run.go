package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"parley/internal/load"
)

const (
	// tooBusy is the share of its core above which the generator, not the
	// server, may be what was measured.
	tooBusy = 90
	// startPatience and stopPatience bound a server's coming and going.
	startPatience = 15 * time.Second
	stopPatience  = 10 * time.Second
	// sealed is what SRTP adds to a packet: the GCM tag; CM's is 10.
	sealed = 16
)

// server is one started server.
type server struct {
	cmd       *exec.Cmd
	http, adm string
}

// pinned runs a program on one core.
func (t *tools) pinned(ctx context.Context, cpu int, name string, args ...string) *exec.Cmd {
	args = append([]string{"-c", strconv.Itoa(cpu), name}, args...)
	cmd := exec.CommandContext(ctx, "taskset", args...)
	if t.nice != 0 {
		cmd = exec.CommandContext(ctx, "nice", append([]string{"-n", strconv.Itoa(t.nice), "taskset"}, args...)...)
	}
	if t.realtime {
		cmd = exec.CommandContext(ctx, "chrt", append([]string{"--rr", "1", "taskset"}, args...)...)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopPatience
	return cmd
}

func (t *tools) start(ctx context.Context, binary string) (*server, error) {
	at := func(i int) string { return "127.0.0.1:" + strconv.Itoa(t.port+i) }
	s := &server{http: "http://" + at(0), adm: "http://" + at(1)}
	data := filepath.Join(t.dir, "data")
	if err := os.RemoveAll(data); err != nil {
		return nil, err
	}
	s.cmd = t.pinned(ctx, t.cpu, binary, "serve", "--dev", "--http", at(0), "--admin", at(1), "--udp", at(2), "--data", data,
		"--workers", "1", "--log-level", "error", "--limits.half-open", "500", "--limits.participants", "5000", "--limits.per-address", "5000")
	log := &tail{}
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(startPatience); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		res, err := http.Get(s.http + "/healthz")
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return s, nil
		}
	}
	s.stop()
	return nil, fmt.Errorf("the server did not start: %s", log)
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait() // an error status says nothing about what was measured
}

// tail keeps the last of what a program printed.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-2000):]
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }

// drive runs the generator against a fresh server.
func (t *tools) drive(ctx context.Context, binary string, args ...string) (*load.Report, error) {
	s, err := t.start(ctx, binary)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	file := filepath.Join(t.dir, "report.json")
	args = append([]string{
		"load", "--url", s.http, "--stats", s.adm + "/stats", "--server-pid", strconv.Itoa(s.cmd.Process.Pid),
		"--json", file, "--video-bitrate", strconv.Itoa(t.publisher),
	}, args...)
	// Always this tree's generator, whatever server it drives.
	cmd := t.pinned(ctx, t.genCPU, t.server, args...)
	log := &tail{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("load: %w: %s", err, log)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r load.Report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	if r.Server == nil || r.PacketsIn == 0 && r.PacketsOut > 0 {
		return nil, fmt.Errorf("load found nothing: %v", r.Errors)
	}
	return &r, nil
}

// forward measures one shape; a void round is done again once.
func (t *tools) forward(ctx context.Context, binary string, f forwarding) (*load.Report, error) {
	args := []string{
		"--publishers", strconv.Itoa(f.Publishers), "--subscribers", strconv.Itoa(f.Subscribers),
		"--rooms", strconv.Itoa(max(f.Rooms, 1)), "--sample", strconv.Itoa(max(f.Sample, 1)),
		"--warmup", "3s", "--duration", t.duration.String(),
	}
	if f.CM {
		args = append(args, "--only-cm")
	}
	args = append(args, f.Args...)
	for range 2 {
		r, err := t.drive(ctx, binary, args...)
		if err != nil {
			return nil, err
		}
		if r.PacketsIn == 0 {
			return nil, errors.New("nothing was forwarded")
		}
		say("  %.2f µs per packet, %d packets, %.2f datagrams per message, %d lost, p50 %.2f ms, p99 %.2f ms, generator %.0f %%, waits %.1f %% and %.1f %%",
			r.CPUPerPacket, r.PacketsIn, r.Server.PerMessage, r.Lost, r.LatencyP50, r.LatencyP99, r.GeneratorBusy, r.ServerWait, r.GeneratorWait)
		if r.GeneratorBusy <= tooBusy {
			return r, nil
		}
		say("  void: the generator's core was full")
	}
	return nil, errors.New("the generator's core stays full: the machine is too busy to measure")
}

// bareCost is what sending alone costs, in µs of CPU per datagram.
type bareCost struct {
	One   float64 `json:"sendto"` // a call each, without pause
	Run   float64 `json:"gso"`    // runs as long as the server's, without pause
	Paced float64 `json:"paced"`  // the same runs at the server's pace
}

// floors runs the bare sender with the server's mean packet size and run
// length, at full speed and at the server's pace.
func (t *tools) floors(ctx context.Context, row *row, r *load.Report, f forwarding) error {
	size := int(r.BytesIn/r.PacketsIn) + sealed
	k := max(1, r.Server.PerMessage)
	// With many rooms, too, a flush is to the receivers of one.
	every := time.Duration(r.Seconds * 1e9 / float64(r.Server.Messages) * float64(f.Subscribers))
	one, run, err := t.between(ctx, f.Subscribers, size, k, 0)
	if err != nil {
		return err
	}
	_, paced, err := t.between(ctx, f.Subscribers, size, k, every)
	if err != nil {
		return err
	}
	row.floors = append(row.floors, bareCost{one, run, paced})
	say("  bare sender: %.2f µs by sendto, %.2f µs in runs of %.1f, %.2f µs with a flush every %.1f ms",
		one, run, k, paced, every.Seconds()*1000)
	return nil
}

// between interpolates a mean run between the whole numbers beside it, linear in
// 1/k, as the cost of a run is.
func (t *tools) between(ctx context.Context, receivers, size int, k float64, every time.Duration) (one, run float64, err error) {
	low, high := int(math.Floor(k)), int(math.Ceil(k))
	if one, run, err = t.bare(ctx, receivers, size, low, every); err != nil || high == low {
		return one, run, err
	}
	_, more, err := t.bare(ctx, receivers, size, high, every)
	x := (1/k - 1/float64(low)) / (1/float64(high) - 1/float64(low))
	return one, run + x*(more-run), err
}

// pacedFor is how long one paced round lasts.
const pacedFor = 300 * time.Millisecond

// bare returns µs per datagram, sendto one by one and as runs of k.
func (t *tools) bare(ctx context.Context, receivers, size, k int, every time.Duration) (one, run float64, err error) {
	sizes := strings.TrimSuffix(strings.Repeat(strconv.Itoa(size)+",", k), ",")
	flushes, rounds := max(10, 12000/receivers/k), 5
	if every > 0 {
		flushes, rounds = max(10, int(pacedFor/every)), 3
	}
	cmd := t.pinned(ctx, t.cpu, t.floor, "-receivers", strconv.Itoa(receivers), "-sizes", sizes, "-rounds", strconv.Itoa(rounds),
		"-interval", every.String(), "-flushes", strconv.Itoa(flushes), "-cpu", strconv.Itoa(t.cpu), "-recv-cpu", strconv.Itoa(t.genCPU))
	cmd.Stderr = os.Stderr
	b, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("floor: %w", err)
	}
	var out struct {
		Results []struct {
			Mode string  `json:"mode"`
			Ns   float64 `json:"ns_per_datagram"`
		} `json:"results"`
	}
	if err := json.Unmarshal(b, &out); err != nil {
		return 0, 0, err
	}
	for _, r := range out.Results {
		if r.Mode == "sendto" {
			one = r.Ns / 1000
		} else {
			run = r.Ns / 1000
		}
	}
	return one, run, nil
}

// weigh measures the memory of idle subscribers beside one silent publisher.
func (t *tools) weigh(ctx context.Context, binary string, j joining) (*memory, error) {
	args := append([]string{
		"--publishers", "1", "--idle", "--subscribers", strconv.Itoa(t.idle), "--join-rate", "100",
		"--warmup", "12s", "--duration", "1s", // DTLS keeps a little for 10 s after a handshake
	}, j.Args...)
	r, err := t.drive(ctx, binary, args...)
	if err != nil {
		return nil, err
	}
	s := r.Server
	say("  %.1f KiB heap, %.1f KiB resident per subscriber", s.HeapPerSub/1024, s.RSSPerSub/1024)
	return &memory{Subscribers: r.Subscribers, HeapKiB: s.HeapPerSub / 1024, RSSKiB: s.RSSPerSub / 1024, Goroutines: s.Goroutines}, nil
}
