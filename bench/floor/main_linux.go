//go:build linux && (amd64 || arm64)

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

type options struct {
	recv      bool
	addr      netip.Addr
	receivers int
	sizes     []int
	flushes   int
	rounds    int
	gro       bool
	cpu       int
	recvCPU   int
	interval  time.Duration
}

func parse(args []string) (o options, err error) {
	var addr, sizes string
	f := flag.NewFlagSet("floor", flag.ContinueOnError)
	f.BoolVar(&o.recv, "recv", false, "be the receiver: print ports, drain, answer each input line with the count")
	f.StringVar(&addr, "addr", "127.0.0.1", "address to send to")
	f.IntVar(&o.receivers, "receivers", 100, "sockets to send to")
	f.StringVar(&sizes, "sizes", "1100,1100,1100,1101,1101,1101", "datagram sizes of one flush, as libwebrtc cuts a frame")
	f.IntVar(&o.flushes, "flushes", 50, "flushes to every receiver in a round")
	f.IntVar(&o.rounds, "rounds", 9, "rounds of each mode, interleaved; the median counts")
	f.BoolVar(&o.gro, "gro", false, "receivers ask for UDP_GRO")
	f.IntVar(&o.cpu, "cpu", -1, "pin the sender to this CPU")
	f.DurationVar(&o.interval, "interval", 0, "from flush to flush, asleep between: receivers and caches go cold as a server's do; 0: no pause")
	f.IntVar(&o.recvCPU, "recv-cpu", -1, "pin the receiver to this CPU")
	if err = f.Parse(args); err != nil {
		return o, err
	}
	if o.addr, err = netip.ParseAddr(addr); err != nil || !o.addr.Is4() {
		return o, fmt.Errorf("-addr: want an IPv4 address")
	}
	for s := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1472 {
			return o, fmt.Errorf("-sizes: %q is not a size of 1 to 1472", s)
		}
		o.sizes = append(o.sizes, n)
	}
	if len(o.sizes) > 44 || o.receivers < 1 || o.receivers > 1000 || o.flushes < 1 || o.rounds < 1 {
		return o, errors.New("at most 44 sizes and 1 to 1000 receivers; flushes and rounds from 1")
	}
	return o, nil
}

func main() {
	o, err := parse(os.Args[1:])
	if err == nil {
		if o.recv {
			err = receive(o)
		} else {
			err = measure(o)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

// result is one mode's line in the output.
type result struct {
	Mode          string  `json:"mode"`
	NsPerDatagram float64 `json:"ns_per_datagram"` // median of rounds
	Min           float64 `json:"min"`
	Max           float64 `json:"max"`
	Datagrams     int     `json:"datagrams"`
	Received      int     `json:"received"` // fewer when the receiver could not keep up
	Blocked       int     `json:"blocked"`  // send buffer full
}

func measure(o options) error {
	if err := pin(o.cpu); err != nil {
		return err
	}
	c, err := startReceiver(o)
	if err != nil {
		return err
	}
	defer c.stop()
	s, err := newSender(o, c.ports)
	if err != nil {
		return err
	}
	modes := []struct {
		name string
		send func()
	}{{"sendto", s.one}, {fmt.Sprintf("gso-%d", len(o.sizes)), s.gso}}
	results := make([]result, len(modes))
	costs := make([][]float64, len(modes))
	for round := -1; round < o.rounds; round++ { // round -1 warms up
		for i, m := range modes {
			s.blocked = 0
			ns, got, err := c.timed(o, m.send)
			if err != nil {
				return err
			}
			if round < 0 {
				continue
			}
			n := o.flushes * o.receivers * len(o.sizes)
			costs[i] = append(costs[i], ns/float64(n))
			r := &results[i]
			r.Mode, r.Datagrams, r.Received, r.Blocked = m.name, r.Datagrams+n, r.Received+got, r.Blocked+s.blocked
		}
	}
	for i := range results {
		slices.Sort(costs[i])
		n := len(costs[i])
		results[i].NsPerDatagram, results[i].Min, results[i].Max = costs[i][n/2], costs[i][0], costs[i][n-1]
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"receivers": o.receivers, "sizes": o.sizes, "rounds": o.rounds, "gro": o.gro, "interval_ms": o.interval.Seconds() * 1000, "results": results,
	})
}

// child is the receiving process.
type child struct {
	cmd   *exec.Cmd
	in    *os.File
	out   *bufio.Scanner
	ports []uint16
}

func startReceiver(o options) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-recv", "-addr", o.addr.String(), "-receivers", strconv.Itoa(o.receivers),
		"-gro="+strconv.FormatBool(o.gro), "-recv-cpu", strconv.Itoa(o.recvCPU))
	cmd.Stderr = os.Stderr
	r, w, err := os.Pipe() // closing our end is how the child learns that we are gone
	if err != nil {
		return nil, err
	}
	cmd.Stdin = r
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err = cmd.Start(); err != nil {
		return nil, err
	}
	_ = r.Close()
	c := &child{cmd: cmd, in: w, out: bufio.NewScanner(out)}
	if !c.out.Scan() {
		c.stop()
		return nil, errors.New("receiver did not start")
	}
	return c, json.Unmarshal(c.out.Bytes(), &c.ports)
}

func (c *child) stop() {
	_ = c.in.Close()
	_ = c.cmd.Wait()
}

// timed runs one round and returns CPU nanoseconds and datagrams received.
func (c *child) timed(o options, send func()) (ns float64, got int, err error) {
	before := cpuTime()
	start := time.Now()
	for i := range o.flushes {
		send()
		if wait := time.Until(start.Add(time.Duration(i+1) * o.interval)); o.interval > 0 && wait > 0 {
			t := unix.NsecToTimespec(int64(wait))
			_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0) // the runtime's timers would be measured too
		}
	}
	ns = float64(cpuTime() - before)
	if _, err = c.in.WriteString("\n"); err != nil {
		return 0, 0, err
	}
	if !c.out.Scan() {
		return 0, 0, errors.New("receiver ended")
	}
	got, err = strconv.Atoi(c.out.Text())
	return ns, got, err
}

func cpuTime() int64 {
	var r unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &r) // cannot fail
	return r.Utime.Nano() + r.Stime.Nano()
}

// pin binds all threads of the process to one CPU.
func pin(cpu int) error {
	if cpu < 0 {
		return nil
	}
	var set unix.CPUSet
	set.Set(cpu)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil {
			return os.NewSyscallError("sched_setaffinity", err)
		}
	}
	return nil
}
