// Command mixbench measures what mixing sound costs: rooms of 10 to 1,000 legs,
// three of whom talk, with shared encoders, with an encoder each, and with G.711
// legs, all of which are decoded. It runs the benchmarks of internal/mcu/audiomix
// and prints their figures beside each other: `make bench`.
//
//	go run ./scripts/mixbench -time 200x -json result.json
//
// Figures are processor time, so that neighbours on the machine count little.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// figure is one benchmark's result.
type figure struct {
	Kind   string  `json:"kind"`
	Legs   int     `json:"legs"`
	Micros float64 `json:"cpuMicrosPerSlot"`
	PerLeg float64 `json:"cpuMicrosPerLeg"`
	Core   float64 `json:"legsPerCore"`
	Allocs float64 `json:"allocsPerSlot"`
}

var line = regexp.MustCompile(`^BenchmarkMix/(.+)/legs=(\d+)(?:-\d+)?\s+\d+\s+(.*)$`)

func main() {
	length := flag.String("time", "150x", "length of a benchmark, as -benchtime")
	out := flag.String("json", "", "also write the figures here")
	flag.Parse()
	if err := run(*length, *out); err != nil {
		fmt.Fprintln(os.Stderr, "mixbench:", err)
		os.Exit(1)
	}
}

func run(length, out string) error {
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "^BenchmarkMix$", "-benchtime", length, "-cpu", "1", "-timeout", "30m", "./internal/mcu/audiomix")
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var list []figure
	for s := bufio.NewScanner(pipe); s.Scan(); {
		if f, ok := parse(s.Text()); ok {
			list = append(list, f)
			fmt.Fprintf(os.Stderr, "%s, %d legs: %.0f µs\n", f.Kind, f.Legs, f.Micros)
		}
	}
	if err := cmd.Wait(); err != nil {
		return err
	}
	table(list)
	if out == "" {
		return nil
	}
	b, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(b, '\n'), 0o644)
}

func parse(s string) (f figure, ok bool) {
	m := line.FindStringSubmatch(s)
	if m == nil {
		return f, false
	}
	f.Kind = strings.ReplaceAll(m[1], "_", " ")
	f.Legs, _ = strconv.Atoi(m[2])
	fields := strings.Fields(m[3])
	for i := 0; i+1 < len(fields); i += 2 {
		v, _ := strconv.ParseFloat(fields[i], 64)
		switch fields[i+1] {
		case "cpu-µs/slot":
			f.Micros = v
		case "legs/core":
			f.Core = v
		case "allocs/op":
			f.Allocs = v
		}
	}
	f.PerLeg = f.Micros / float64(max(f.Legs, 1))
	return f, true
}

// table prints rows by kind, columns by room size.
func table(list []figure) {
	var kinds []string
	var legs []int
	for _, f := range list {
		if !slices.Contains(kinds, f.Kind) {
			kinds = append(kinds, f.Kind)
		}
		if !slices.Contains(legs, f.Legs) {
			legs = append(legs, f.Legs)
		}
	}
	fmt.Print("\nprocessor time of a 20 ms slot, per leg, and legs one core carries at that size\n\n| |")
	for _, n := range legs {
		fmt.Printf(" %d legs |", n)
	}
	fmt.Print("\n|---|", strings.Repeat("---|", len(legs)), "\n")
	for _, k := range kinds {
		fmt.Printf("| %s |", k)
		for _, n := range legs {
			for _, f := range list {
				if f.Kind == k && f.Legs == n {
					fmt.Printf(" %.0f µs, %.2f µs, %.0f |", f.Micros, f.PerLeg, f.Core)
				}
			}
		}
		fmt.Println()
	}
}
