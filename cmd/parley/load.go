package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"parley/internal/load"
)

// loadCmd drives a server with made-up publishers and subscribers.
type loadCmd struct {
	Scenario     string        `type:"path" placeholder:"FILE" help:"YAML file with any of these flags by name, to repeat a run."`
	URL          string        `name:"url" default:"http://127.0.0.1:8080" help:"Server to load. Only servers you run yourself."`
	Token        string        `env:"PARLEY_LOAD_TOKEN" placeholder:"TOKEN" help:"Access token, better given by the variable than on the command line."`
	Insecure     bool          `help:"Accept a self-signed certificate."`
	Room         string        `default:"load" help:"Conference to join."`
	Rooms        int           `default:"1" help:"How many conferences, ROOM-1, ROOM-2 and so on, each with so many publishers and subscribers."`
	Publishers   int           `default:"1" help:"How many publish, by WHIP."`
	Subscribers  int           `default:"10" help:"How many receive everything."`
	Via          string        `enum:"whep,ws" default:"whep" help:"How subscribers join: whep or ws."`
	Data         bool          `help:"With --via ws: a data channel each."`
	Cut          bool          `help:"With --via ws: halfway, reset every WebSocket at once and watch them come back."`
	OnlyCM       bool          `name:"only-cm" help:"Offer AES_CM_128_HMAC_SHA1_80 alone, as old clients do; otherwise GCM comes first."`
	Idle         bool          `help:"Publishers join and send nothing: memory of idle subscribers."`
	Codec        string        `enum:"VP8,VP9,H264,AV1" default:"VP8" help:"Video codec: VP8, VP9, H264 or AV1. The picture is made up, its framing is real."`
	Audio        bool          `default:"true" negatable:"" help:"Publish Opus, 50 packets a second."`
	Video        bool          `default:"true" negatable:"" help:"Publish video."`
	VideoBitrate int           `default:"1500000" help:"Video bit/s of one publisher (of its top layer)."`
	AudioBitrate int           `default:"32000" help:"Audio bit/s of one publisher."`
	FPS          int           `name:"fps" default:"30" help:"Video frames per second."`
	Simulcast    bool          `help:"Three layers by RID."`
	Feedback     bool          `help:"Subscribers tell what arrives by transport-wide numbers 20 times a second, as browsers do: the server's estimate, its pacing and its probes are at work."`
	Bare         bool          `help:"Offer no transport-wide numbers, no REMB and no RTX: a server without rate control and repair, to compare with --feedback."`
	Sections     int           `help:"Receiving sections of each kind; 0: as many as publishers."`
	Sample       int           `default:"1" help:"Decrypt every N-th received packet and take its latency; the rest is counted by its header."`
	GRO          bool          `name:"gro" help:"Receive runs of packets whole: cheaper here, and over loopback for the server too."`
	Warmup       time.Duration `default:"2s" help:"Between the last join and the measured part."`
	Duration     time.Duration `default:"10s" help:"Measured part."`
	JoinRate     int           `default:"50" help:"Joins per second."`
	ServerPID    int           `name:"server-pid" help:"Process id of a server on this machine: adds its CPU per forwarded packet and memory."`
	Stats        string        `placeholder:"URL" help:"The server's http://ADMIN/stats: adds allocations, GSO runs and memory per subscriber."`
	JSON         string        `name:"json" type:"path" placeholder:"FILE" help:"Write the report as JSON, - for standard output."`
}

// Run is called by kong; it fails when joins failed or packets were lost beyond repair.
func (c *loadCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	tty := isTerminal(os.Stderr)
	cfg := load.Config{
		URL: c.URL, Token: c.Token, Room: c.Room, Rooms: c.Rooms, Sample: c.Sample, GRO: c.GRO, Insecure: c.Insecure, Publishers: c.Publishers, Subscribers: c.Subscribers,
		Via: c.Via, Codec: c.Codec, Data: c.Data, Cut: c.Cut, Audio: c.Audio, Video: c.Video, VideoBPS: c.VideoBitrate, AudioBPS: c.AudioBitrate,
		FPS: c.FPS, Simulcast: c.Simulcast, Sections: c.Sections, Warmup: c.Warmup, Duration: c.Duration,
		JoinRate: c.JoinRate, ServerPID: c.ServerPID, Stats: c.Stats, OnlyCM: c.OnlyCM, Idle: c.Idle, Feedback: c.Feedback, Bare: c.Bare,
		Progress: func(line string) {
			if tty {
				fmt.Fprintf(os.Stderr, "\r\x1b[K%s", line)
			} else {
				fmt.Fprintln(os.Stderr, line)
			}
		},
	}
	rep, err := load.Run(ctx, cfg)
	if tty {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
	if rep == nil {
		return err
	}
	if err := c.write(rep); err != nil {
		return err
	}
	if rep.JoinsFailed > 0 {
		return fmt.Errorf("%d joins failed: %s", rep.JoinsFailed, strings.Join(rep.Errors, "; "))
	}
	return nil
}

func (c *loadCmd) write(rep *load.Report) error {
	if c.JSON != "-" {
		printReport(rep)
	}
	if c.JSON == "" {
		return nil
	}
	b, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	if c.JSON == "-" {
		_, err = fmt.Println(string(b))
		return err
	}
	return os.WriteFile(c.JSON, append(b, '\n'), 0o644)
}

func printReport(r *load.Report) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(k, format string, a ...any) { fmt.Fprintf(w, "%s\t%s\n", k, fmt.Sprintf(format, a...)) }
	row("joined", "%d publishers, %d subscribers, %d failed", r.Publishers, r.Subscribers, r.JoinsFailed)
	row("measured", "%.1f s", r.Seconds)
	row("packets", "%d published, %d received (%.0f/s, %.1f Mbit/s)", r.PacketsOut, r.PacketsIn, r.ForwardPerSec, r.PayloadMbitSec)
	row("lost", "%d (%.4f %%) after repair, %d retransmitted", r.Lost, r.LossPercent, r.Retransmitted)
	if r.Feedback+r.Probes > 0 {
		row("feedback", "%d messages about what arrived, %d packets of probes", r.Feedback, r.Probes)
	}
	if x := r.Cut; x != nil {
		row("cut", "%d of %d resumed, p50 %.0f ms, p95 %.0f ms, last %.0f ms, spread over %d slots of 50 ms", x.Resumed, x.Sockets, x.BackP50, x.BackP95, x.BackMax, x.Slots)
	}
	row("latency", "p50 %.2f ms, p95 %.2f ms, p99 %.2f ms", r.LatencyP50, r.LatencyP95, r.LatencyP99)
	row("until socket", "p50 %.2f ms, p99 %.2f ms (without the receiver's own delay)", r.SocketP50, r.SocketP99)
	row("join", "p50 %.0f ms, p95 %.0f ms; first packet p50 %.0f ms, p95 %.0f ms", r.JoinP50, r.JoinP95, r.FirstP50, r.FirstP95)
	if r.ServerCPU > 0 {
		row("server", "%.2f s CPU, %.2f µs per forwarded packet, %.1f MiB resident", r.ServerCPU, r.CPUPerPacket, float64(r.ServerRSS)/(1<<20))
	}
	if s := r.Server; s != nil {
		row("sending", "%d datagrams in %d messages (%.2f each), %d turns", s.Datagrams, s.Messages, s.PerMessage, s.Turns)
		row("garbage", "%d allocations (%.4f per forwarded packet), %d collections", s.Allocs, s.AllocsPerFwd, s.GCs)
		row("memory", "%.1f KiB heap and %.1f KiB resident per subscriber, %d goroutines", s.HeapPerSub/1024, s.RSSPerSub/1024, s.Goroutines)
	}
	row("generator", "%.2f s CPU, %.0f %% of this machine", r.OwnCPU, r.GeneratorBusy)
	row("neighbours", "server waited %.1f %%, generator %.1f %% of the time for a core", r.ServerWait, r.GeneratorWait)
	_ = w.Flush()
}

func isTerminal(f *os.File) bool {
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}
