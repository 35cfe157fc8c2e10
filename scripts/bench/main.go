package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	rounds    int
	duration  time.Duration
	only      string
	old       string
	jsonPath  string
	cpu       int
	genCPU    int
	nice      int
	realtime  bool
	idle      int
	port      int
	publisher int // bit/s of video
	feedback  bool
}

// forwarding is one shape of conference under one profile.
type forwarding struct {
	Name        string
	Publishers  int
	Subscribers int
	CM          bool
	Rooms       int // 0 is one
	Sample      int // every how many-th packet is decrypted; 0: all
	Args        []string
}

// The meeting's subscribers are WHEP viewers of all ten publishers, so each
// published packet is forwarded ten times (nine in a meeting of browsers). Six
// meetings are what takes about 60 % of a core: the server at work, where the
// others mostly sleep.
var forwardings = []forwarding{
	{Name: "1x100 GCM", Publishers: 1, Subscribers: 100},
	{Name: "1x100 CM", Publishers: 1, Subscribers: 100, CM: true},
	{Name: "10x10 GCM", Publishers: 10, Subscribers: 10},
	{Name: "10x10 CM", Publishers: 10, Subscribers: 10, CM: true},
	{Name: "6 of 10x10 GCM", Publishers: 10, Subscribers: 10, Rooms: 6, Sample: 7},
}

// joining is one way to sit idle.
type joining struct {
	Name string
	Args []string
}

var joinings = []joining{
	{"idle WHEP", []string{"--via", "whep"}},
	{"idle WebSocket", []string{"--via", "ws"}},
	{"idle WebSocket+data", []string{"--via", "ws", "--data"}},
}

// tools are the programs under test, and where they leave things.
type tools struct {
	options
	dir                string
	server, old, floor string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of everything; medians count")
	flag.DurationVar(&o.duration, "duration", 6*time.Second, "measured part of one run")
	flag.StringVar(&o.only, "only", "", "comma-separated parts of names to run: 1x100, 10x10, 6 of, GCM, CM, idle")
	flag.StringVar(&o.old, "old", "", "another parley binary to alternate with")
	flag.StringVar(&o.jsonPath, "json", "", "also write the result to this file")
	flag.IntVar(&o.cpu, "cpu", 0, "core of the server and of the bare sender")
	flag.IntVar(&o.genCPU, "gen-cpu", 1, "core of generator and receivers")
	flag.IntVar(&o.nice, "nice", 0, "niceness of everything; negative needs root and helps against neighbours")
	flag.BoolVar(&o.realtime, "rt", false, "everything in the real-time class (root): helps where -nice does not, since niceness counts within a session only with sched_autogroup")
	flag.IntVar(&o.idle, "idle", 1000, "idle subscribers whose memory is weighed; 0: none")
	flag.IntVar(&o.port, "port", 18480, "first of three loopback ports to use")
	flag.IntVar(&o.publisher, "video-bitrate", 2_000_000, "bit/s of one publisher's video: 6 to 8 packets a frame")
	flag.BoolVar(&o.feedback, "feedback", false, "compare, in alternating order: nothing for rate control and repair negotiated, and all of it with receivers that tell 20 times a second what arrives")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.rounds < 1 || o.duration < time.Second {
		return errors.New("at least one round of a second")
	}
	if _, err := exec.LookPath("taskset"); err != nil {
		return errors.New("needs Linux and taskset (package util-linux)")
	}
	dir, err := os.MkdirTemp("", "parley-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := &tools{options: o, dir: dir, server: filepath.Join(dir, "parley"), old: o.old, floor: filepath.Join(dir, "floor")}
	say("building")
	for out, pkg := range map[string]string{t.server: "./cmd/parley", t.floor: "./bench/floor"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", out, pkg)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("build %s: %w", pkg, err)
		}
	}
	res := newResult(o)
	forward := t.forwardAll
	if o.feedback {
		forward = t.feedbackAll
	}
	if err := forward(ctx, res); err != nil {
		return err
	}
	if err := t.idleAll(ctx, res); err != nil {
		return err
	}
	res.finish()
	res.print(os.Stdout)
	if o.jsonPath == "" {
		return nil
	}
	b, err := json.MarshalIndent(res, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.jsonPath, append(b, '\n'), 0o644)
}

// wanted reports whether -only names it: every dash-free word group is a part of
// the name, groups are joined by commas.
func (o *options) wanted(name string) bool {
	if o.only == "" {
		return true
	}
	for part := range strings.SplitSeq(o.only, ",") {
		if strings.Contains(name, strings.TrimSpace(part)) {
			return true
		}
	}
	return false
}

func (t *tools) forwardAll(ctx context.Context, res *result) error {
	for round := range t.rounds {
		for _, f := range forwardings {
			if !t.wanted(f.Name) {
				continue
			}
			say("round %d/%d: %s", round+1, t.rounds, f.Name)
			r, err := t.forward(ctx, t.server, f)
			if err != nil {
				return err
			}
			row := res.row(f.Name)
			row.add(r)
			if err := t.floors(ctx, row, r, f); err != nil {
				return err
			}
			if t.old == "" {
				continue
			}
			say("round %d/%d: %s, old binary", round+1, t.rounds, f.Name)
			if r, err = t.forward(ctx, t.old, f); err != nil {
				return err
			}
			res.row(f.Name + " (old)").add(r)
		}
	}
	return nil
}

const (
	bare = " bare"
	told = " feedback"
)

// feedbackAll measures what rate control costs: each shape without and with it,
// one after the other, in turns which is first.
func (t *tools) feedbackAll(ctx context.Context, res *result) error {
	for round := range t.rounds {
		for _, f := range forwardings {
			if !t.wanted(f.Name) {
				continue
			}
			with, without := f, f
			with.Name, with.Args = f.Name+told, []string{"--feedback"}
			without.Name, without.Args = f.Name+bare, []string{"--bare"}
			order := []forwarding{without, with}
			if round%2 == 1 {
				order = []forwarding{with, without}
			}
			for _, x := range order {
				say("round %d/%d: %s", round+1, t.rounds, x.Name)
				r, err := t.forward(ctx, t.server, x)
				if err != nil {
					return err
				}
				res.row(x.Name).add(r)
			}
		}
	}
	return nil
}

func (t *tools) idleAll(ctx context.Context, res *result) error {
	for _, j := range joinings {
		if t.idle == 0 || !t.wanted(j.Name) {
			continue
		}
		say("%s: %d subscribers", j.Name, t.idle)
		m, err := t.weigh(ctx, t.server, j)
		if err != nil {
			return err
		}
		m.Name = j.Name
		res.Memory = append(res.Memory, *m)
	}
	return nil
}

// say writes a progress line.
func say(format string, a ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, a...))
}
