// Command relay impairs UDP between a client and a server under test:
//
//	relay -listen 127.0.0.1:7000 -target 127.0.0.1:9000 -delay 40ms -loss 0.05
package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"parley/internal/simnet"
	"parley/internal/simnet/relay"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1)
	}
}

func run() error {
	var cfg relay.Config
	listen := flag.String("listen", "127.0.0.1:0", "address clients send to")
	target := flag.String("target", "", "address of the server")
	var toBad, toGood float64
	link := &cfg.Up
	flag.Uint64Var(&cfg.Seed, "seed", 1, "seed of both directions")
	flag.DurationVar(&link.Delay, "delay", 0, "one-way delay")
	flag.DurationVar(&link.Jitter, "jitter", 0, "added delay, uniform")
	flag.Float64Var(&link.Loss, "loss", 0, "probability of loss, each way")
	flag.Float64Var(&toBad, "burst-start", 0, "probability that a loss burst begins")
	flag.Float64Var(&toGood, "burst-end", 0.25, "probability that it ends")
	flag.Float64Var(&link.Reorder, "reorder", 0, "probability of being held back")
	flag.DurationVar(&link.ReorderBy, "reorder-by", 0, "for how long")
	flag.Float64Var(&link.Duplicate, "duplicate", 0, "probability of arriving twice")
	flag.Int64Var(&link.Rate, "rate", 0, "bits per second, each way; 0: unlimited")
	flag.IntVar(&link.Queue, "queue", 0, "bytes that may wait; 0: 100 ms")
	flag.Parse()
	var err error
	if cfg.Listen, err = netip.ParseAddrPort(*listen); err != nil {
		return err
	}
	if cfg.Target, err = netip.ParseAddrPort(*target); err != nil {
		return err
	}
	if toBad > 0 {
		link.Burst = &simnet.GilbertElliott{ToBad: toBad, ToGood: toGood, LossBad: 1}
	}
	link.Overhead = 28
	cfg.Down = cfg.Up
	r, err := relay.Start(cfg)
	if err != nil {
		return err
	}
	fmt.Println(r.Addr())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	fmt.Fprintf(os.Stderr, "%+v\n", r.Stats())
	return r.Close()
}
