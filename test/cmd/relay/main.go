// Command relay impairs UDP between a client and a server under test:
//
//	relay -listen 127.0.0.1:7000 -target 127.0.0.1:9000 -both "delay=40ms loss=0.05" -down "rate=3M"
//	relay -target 127.0.0.1:9000 -schedule "down 0s:3M,20s:300k,50s:3M"
//
// It prints its address. Then it carries out the orders that come on its
// standard input, one a line, each with one line of reply ("ok", JSON, or
// "error: …"); see relay.Do for the orders. It ends with its input when
// -control is set, else by SIGTERM, and prints its counters to standard error.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"parley/internal/simnet"
	"parley/internal/simnet/relay"
)

const usage = `usage: relay -target HOST:PORT [-both SETTINGS] [-up SETTINGS] [-down SETTINGS] [-schedule PLAN] [-control]

Impairs UDP between clients and a server. Up is the way to the server, down the
way back; all clients share one link each way. Prints its address, then a reply
to each order on its standard input.

`

const orders = `
settings, separated by spaces; what is not named stays:
  rate=2.5M            bit/s, with the 28 bytes of IPv4 and UDP; 0: unlimited
  queue-time=300ms     what the rate limit may let wait; queue=BYTES the same
  police=true          no queue: what is too much is lost
  delay=40ms jitter=10ms
  loss=0.05            at random
  burst=0.01/0.25      losses in a row: how likely one begins, how likely it ends
  reorder=0.02 reorder-by=30ms duplicate=0.01
  drop=true            loses everything

orders:
  up|down|both SETTINGS
  schedule up|down|both 0s:3M,20s:300k,50s:3M
  drop on|off          loses everything both ways
  rebind               new source ports toward the server, as a NAT gives them
  target HOST:PORT     another server, or the one that was not known at the start
  stats                counters of both ways, as JSON
`

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1)
	}
}

func run() error {
	// 28 bytes of IPv4 and UDP count on a link.
	cfg := relay.Config{Up: simnet.Config{Overhead: 28}, Down: simnet.Config{Overhead: 28}}
	listen := flag.String("listen", "127.0.0.1:0", "address clients send to")
	target := flag.String("target", "", "address of the server; may come later as an order")
	both := flag.String("both", "", "settings of both directions")
	upward := flag.String("up", "", "settings of the way to the server")
	downward := flag.String("down", "", "settings of the way to the client")
	plan := flag.String("schedule", "", "direction and rates to come, such as \"down 0s:3M,20s:300k\"")
	control := flag.Bool("control", false, "end with the standard input")
	flag.Uint64Var(&cfg.Seed, "seed", 1, "seed of both directions")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
		fmt.Fprint(flag.CommandLine.Output(), orders)
	}
	flag.Parse()
	var err error
	if cfg.Listen, err = netip.ParseAddrPort(*listen); err != nil {
		return err
	}
	if *target != "" {
		if cfg.Target, err = netip.ParseAddrPort(*target); err != nil {
			return err
		}
	}
	var wrong error
	if cfg.Up, wrong = relay.Edit(cfg.Up, *both+" "+*upward); wrong != nil {
		return wrong
	}
	if cfg.Down, wrong = relay.Edit(cfg.Down, *both+" "+*downward); wrong != nil {
		return wrong
	}
	r, err := relay.Start(cfg)
	if err != nil {
		return err
	}
	if *plan != "" {
		if _, err := r.Do("schedule " + *plan); err != nil {
			return errors.Join(err, r.Close())
		}
	}
	fmt.Println(r.Addr())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		obey(r)
	}()
	if !*control {
		ended = nil
	}
	select {
	case <-ctx.Done():
	case <-ended:
	}
	fmt.Fprintf(os.Stderr, "%+v\n", r.Stats())
	return r.Close()
}

// obey carries out what comes on the standard input.
func obey(r *relay.Relay) {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		reply, err := r.Do(in.Text())
		if err != nil {
			reply = "error: " + err.Error()
		}
		fmt.Println(reply)
	}
}
