// Command quality measures media on bad networks: it runs the rooms of internal/simroom
// at full length with several seeds and writes what they reached beside what is
// asked into docs/quality-figures.md, and the traces of the first seed into
// docs/traces. It fails if a figure is missed.
//
//	go run ./scripts/quality
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	seeds  = flag.Int("seeds", 2, "how many seeds, from 1 on")
	out    = flag.String("out", "docs/quality-figures.md", "file to write")
	traces = flag.String("traces", "docs/traces", "directory for the traces of the first seed; empty: none")
)

// figure is one number that is asked for, as each seed reached it.
type figure struct {
	test, what, asked string
	got               []string
	missed            bool
}

func main() {
	flag.Parse()
	list, failed := []*figure{}, false
	for seed := 1; seed <= *seeds; seed++ {
		ok, err := measure(seed, &list)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		failed = failed || !ok
	}
	if err := os.WriteFile(*out, []byte(page(list)), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if failed {
		fmt.Fprintln(os.Stderr, "figures are missed: see", *out)
		os.Exit(1)
	}
}

// measure runs all rooms with one seed.
func measure(seed int, list *[]*figure) (ok bool, err error) {
	dir, err := os.MkdirTemp("", "quality")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "figures")
	args := []string{"test", "-count=1", "-timeout=60m", "./internal/simroom", "-seed", strconv.Itoa(seed), "-figures", file}
	if seed == 1 && *traces != "" {
		abs, err := filepath.Abs(*traces)
		if err != nil {
			return false, err
		}
		args = append(args, "-traces", abs)
	}
	c := exec.Command("go", args...)
	c.Env = append(os.Environ(), "SOAK=1")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	fmt.Println("seed", seed)
	ok = c.Run() == nil
	b, err := os.ReadFile(file)
	if err != nil {
		return false, fmt.Errorf("no figures: %w", err)
	}
	return ok, take(string(b), seed, list)
}

// take adds a run's lines: test, what, asked, got, whether that is enough. A
// test may ask the same several times; then the worst counts.
func take(text string, seed int, list *[]*figure) error {
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 5 {
			return fmt.Errorf("not a figure: %q", line)
		}
		i := slices.IndexFunc(*list, func(x *figure) bool { return x.test == f[0] && x.what == f[1] })
		if i < 0 {
			i = len(*list)
			*list = append(*list, &figure{test: f[0], what: f[1], asked: f[2]})
		}
		x := (*list)[i]
		for len(x.got) < seed {
			x.got = append(x.got, "")
		}
		if was := x.got[seed-1]; was == "" || worse(x.asked, f[3], was) {
			x.got[seed-1] = f[3]
		}
		x.missed = x.missed || f[4] != "true"
	}
	return nil
}

func worse(asked, a, b string) bool {
	x, _ := strconv.ParseFloat(a, 64)
	y, _ := strconv.ParseFloat(b, 64)
	if strings.HasPrefix(asked, ">") {
		return x < y
	}
	return x > y
}

var number = regexp.MustCompile(`^Test(Q|SFM|D)(\d+)`)

// place orders by the lines' ids.
func place(test string) int {
	m := number.FindStringSubmatch(test)
	if m == nil {
		return 1000
	}
	n, _ := strconv.Atoi(m[2])
	return 100*strings.Index("Q SFM D", m[1]) + n
}

// page is the document.
func page(list []*figure) string {
	slices.SortStableFunc(list, func(a, b *figure) int {
		return cmp.Or(cmp.Compare(place(a.test), place(b.test)), cmp.Compare(a.test, b.test))
	})
	var b strings.Builder
	b.WriteString(head)
	b.WriteString("| test | figure | asked |")
	for s := range *seeds {
		fmt.Fprintf(&b, " seed %d |", s+1)
	}
	b.WriteString("\n|---|---|---|" + strings.Repeat("---|", *seeds) + "\n")
	last := ""
	for _, f := range list {
		name := "`" + f.test + "`"
		if f.test == last {
			name = ""
		}
		last = f.test
		asked := f.asked
		if f.missed {
			asked += " **missed**"
		}
		for len(f.got) < *seeds {
			f.got = append(f.got, "")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, f.what, asked, strings.Join(f.got, " | "))
	}
	return b.String()
}

const head = `# Figures of media on bad networks

Written by

    go run ./scripts/quality

which is part of ` + "`make soak`" + `. It runs the rooms of ` + "`internal/simroom`" + ` at full length: publishers, the
server's own engine and receivers on a virtual clock, over links with the faults that a line asks for. Calls on lossy
paths take five minutes. Receivers decide as libwebrtc does (when to ask again, when to show a picture, what a freeze
is); publishers encode sizes and references and not pictures. The same seed gives the same packets everywhere. What
each line means is told beside its test; the traces of seed 1 are in [traces](traces/README.md). ` + "`go test`" + ` runs
the same rooms for a shorter time.

Two things are taken for granted: that the publisher's Opus encoder puts its in-band repair into packets ("with FEC"),
which browsers do once their own path loses something; and that a receiver knows its round trip, as browsers that send
do.

`
