package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"parley/internal/load"
)

// result is what is printed and written.
type result struct {
	When     time.Time     `json:"when"`
	Go       string        `json:"go"`
	Kernel   string        `json:"kernel"`
	CPU      string        `json:"cpu"`
	LoadAvg  string        `json:"loadAverage"` // at the start: who else was on the machine
	Rounds   int           `json:"rounds"`
	Measured time.Duration `json:"measuredNs"`
	Rows     []*row        `json:"forwarding"`
	Memory   []memory      `json:"memory"`
}

// row is one variant: all rounds, and their medians.
type row struct {
	Name       string         `json:"name"`
	CPU        float64        `json:"cpuMicrosPerForwardedPacket"`
	Floor      bareCost       `json:"bareMicros"`
	Ratio      bareCost       `json:"ratioToBare"`
	PerMessage float64        `json:"datagramsPerMessage"`
	P50        float64        `json:"latencyP50Ms"`
	P99        float64        `json:"latencyP99Ms"`
	SocketP50  float64        `json:"socketLatencyP50Ms"`
	SocketP99  float64        `json:"socketLatencyP99Ms"`
	Lost       uint64         `json:"lost"` // all rounds
	Packets    uint64         `json:"packets"`
	Allocs     float64        `json:"allocsPerForwardedPacket"`
	GCs        uint32         `json:"gcs"` // all rounds
	Generator  float64        `json:"generatorBusyPercent"`
	Wait       float64        `json:"serverWaitPercent"`
	GenWait    float64        `json:"generatorWaitPercent"`
	Runs       []*load.Report `json:"runs"`
	floors     []bareCost
}

type memory struct {
	Name        string  `json:"name"`
	Subscribers int     `json:"subscribers"`
	HeapKiB     float64 `json:"heapKiBPerSubscriber"`
	RSSKiB      float64 `json:"rssKiBPerSubscriber"`
	Goroutines  int     `json:"goroutines"`
}

func newResult(o options) *result {
	return &result{
		When: time.Now().UTC(), Go: runtime.Version(), Kernel: firstLine("/proc/sys/kernel/osrelease"), CPU: cpuModel(),
		LoadAvg: firstLine("/proc/loadavg"), Rounds: o.rounds, Measured: o.duration,
	}
}

func firstLine(path string) string {
	b, _ := os.ReadFile(path) // unknown is empty
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (r *result) row(name string) *row {
	for _, x := range r.Rows {
		if x.Name == name {
			return x
		}
	}
	x := &row{Name: name}
	r.Rows = append(r.Rows, x)
	return x
}

func (r *row) add(x *load.Report) { r.Runs = append(r.Runs, x) }

// finish takes the medians. Ratios are taken within a round, where both sides
// met the same neighbours on the machine.
func (r *result) finish() {
	for _, x := range r.Rows {
		of := func(f func(*load.Report) float64) float64 {
			var v []float64
			for _, run := range x.Runs {
				v = append(v, f(run))
			}
			return median(v)
		}
		x.CPU = of(func(l *load.Report) float64 { return l.CPUPerPacket })
		x.PerMessage = of(func(l *load.Report) float64 { return l.Server.PerMessage })
		x.P50 = of(func(l *load.Report) float64 { return l.LatencyP50 })
		x.P99 = of(func(l *load.Report) float64 { return l.LatencyP99 })
		x.SocketP50 = of(func(l *load.Report) float64 { return l.SocketP50 })
		x.SocketP99 = of(func(l *load.Report) float64 { return l.SocketP99 })
		x.Allocs = of(func(l *load.Report) float64 { return l.Server.AllocsPerFwd })
		x.Generator = of(func(l *load.Report) float64 { return l.GeneratorBusy })
		x.Wait = of(func(l *load.Report) float64 { return l.ServerWait })
		x.GenWait = of(func(l *load.Report) float64 { return l.GeneratorWait })
		for _, run := range x.Runs {
			x.Lost += run.Lost
			x.Packets += run.PacketsIn
			x.GCs += run.Server.GCs
		}
		x.compare()
	}
}

// compare takes the medians of the bare sender and of the ratios to it.
func (r *row) compare() {
	over := func(pick func(bareCost) float64) (cost, ratio float64) {
		var costs, ratios []float64
		for i, f := range r.floors {
			costs = append(costs, pick(f))
			ratios = append(ratios, r.Runs[i].CPUPerPacket/pick(f))
		}
		return median(costs), median(ratios)
	}
	r.Floor.One, r.Ratio.One = over(func(b bareCost) float64 { return b.One })
	r.Floor.Run, r.Ratio.Run = over(func(b bareCost) float64 { return b.Run })
	r.Floor.Paced, r.Ratio.Paced = over(func(b bareCost) float64 { return b.Paced })
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func (r *result) print(to io.Writer) {
	fmt.Fprintf(to, "\n%s, Linux %s, %s, load average %s at the start, median of %d rounds of %v\n\n",
		r.CPU, r.Kernel, r.Go, r.LoadAvg, r.Rounds, r.Measured)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(r.Rows) > 0 {
		fmt.Fprintln(w, "forwarding\tµs CPU/packet\tpaced GSO\tratio\thot GSO\tratio\thot sendto\tratio\tper message\tp50 ms\tp99 ms\tsocket p50\tp99\tlost\tallocs/packet\tGCs\tgenerator\twaits\t")
	}
	for _, x := range r.Rows {
		fmt.Fprintf(w, "%s\t%.2f\t%s\t%s\t%s\t%s\t%s\t%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%d of %d\t%.4f\t%d\t%.0f %%\t%.1f %%, %.1f %%\t\n", x.Name, x.CPU, num(x.Floor.Paced), num(x.Ratio.Paced),
			num(x.Floor.Run), num(x.Ratio.Run), num(x.Floor.One), num(x.Ratio.One), x.PerMessage, x.P50, x.P99, x.SocketP50, x.SocketP99, x.Lost, x.Packets, x.Allocs, x.GCs, x.Generator, x.Wait, x.GenWait)
	}
	_ = w.Flush()
	r.pairs(to)
	if len(r.Memory) > 0 {
		fmt.Fprintln(w, "\nmemory\tsubscribers\theap KiB each\tresident KiB each\tgoroutines\t")
	}
	for _, m := range r.Memory {
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t%d\t\n", m.Name, m.Subscribers, m.HeapKiB, m.RSSKiB, m.Goroutines)
	}
	_ = w.Flush()
}

// pairs prints new against old, and with feedback against without, round by round.
func (r *result) pairs(to io.Writer) {
	r.pairsOf(to, " (old)", "", "new/old")
	r.pairsOf(to, bare, told, "feedback/bare")
}

func (r *result) pairsOf(to io.Writer, below, above, what string) {
	for _, old := range r.Rows {
		name, found := strings.CutSuffix(old.Name, below)
		if !found {
			continue
		}
		x := r.row(name + above)
		var ratios []float64
		for i := range min(len(old.Runs), len(x.Runs)) {
			ratios = append(ratios, x.Runs[i].CPUPerPacket/old.Runs[i].CPUPerPacket)
		}
		fmt.Fprintf(to, "%s: %s per round %.2f, median %.2f\n", name, what, ratios, median(ratios))
	}
}

func num(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", v)
}
