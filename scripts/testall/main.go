// Command testall runs every test this project has, stage by stage, and closes
// with a table: what ran, what was skipped and why. In CI (CI=true) one skip is
// red. `-only a,b` runs some stages, `-list` names them, `-v` shows output live;
// otherwise a stage's output goes to test/results/NAME.log and is printed only
// if the stage fails.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stage is one line of the table.
type stage struct {
	name  string
	what  string
	dir   string
	cmd   []string
	env   []string
	count func(*bytes.Buffer, *result)
	needs func() string // why the stage cannot run here; "" if it can
}

type result struct {
	pass, fail, skip int
	skipped          []string // name: reason
	failed           []string
	err              error
	took             time.Duration
	missing          string
}

func stages() []stage {
	sh := func(s string) []string { return []string{"bash", "-euo", "pipefail", "-c", s} }
	node := []string{"NODE_NO_WARNINGS=1", "npm_config_fund=false", "npm_config_audit=false", "npm_config_update_notifier=false"}
	return []stage{
		{name: "packages", what: "Debian packages the tests need", cmd: sh("scripts/test-packages.sh")},
		{name: "format", what: "gofmt, go vet", cmd: sh(`test -z "$(gofmt -l $(git ls-files '*.go') | tee /dev/stderr)" && go vet ./... && go vet -tags=abuse ./internal/abusetest && (cd test && go vet ./...) && (cd web/build && go vet ./...)`)},
		{name: "house", what: "layers, package docs, one WebRTC stack", cmd: []string{"go", "test", "-json", "-count=1", "./internal/archtest"}, count: countGo},
		{name: "web-unit", what: "TypeScript: types, unit tests, committed bundle is fresh", dir: "web", env: node, cmd: sh("npm ci --no-progress && npx tsc --noEmit && npx vitest run --reporter=default && cd build && go run . -check"), count: countVitest},
		{name: "go-race", what: "Go unit, packet and scenario tests under -race", cmd: []string{"go", "test", "-json", "-race", "-shuffle=on", "-timeout=15m", "./..."}, count: countGo},
		{name: "abuse", what: "floods, hostile peers, unfinished joins, slow and greedy clients against the real binary", cmd: []string{"go", "test", "-json", "-tags=abuse", "-count=1", "-timeout=20m", "./internal/abusetest"}, count: countGo},
		{name: "peers", what: "against pion/webrtc, aiortc, GStreamer", dir: "test", cmd: []string{"go", "test", "-json", "-count=1", "-timeout=15m", "./..."}, count: countGo, needs: needs("gst-launch-1.0")},
		{name: "browsers", what: "Chromium and Firefox end to end", dir: "test/e2e", env: node, cmd: sh("npm ci --no-progress && ./all.sh tap"), count: countTAP, needs: needs("chromium", "firefox-esr")},
	}
}

func needs(tools ...string) func() string {
	return func() string {
		for _, t := range tools {
			if _, err := exec.LookPath(t); err != nil {
				return t + " is not installed (scripts/test-packages.sh installs it; root is needed)"
			}
		}
		return ""
	}
}

func main() {
	only := flag.String("only", "", "comma-separated stages to run")
	list := flag.Bool("list", false, "list the stages and stop")
	verbose := flag.Bool("v", false, "show output live")
	flag.Parse()
	all := stages()
	if *list {
		for _, s := range all {
			fmt.Printf("%-10s %s\n", s.name, s.what)
		}
		return
	}
	if *only != "" {
		want := strings.Split(*only, ",")
		all = slices.DeleteFunc(all, func(s stage) bool { return !slices.Contains(want, s.name) })
	}
	if err := os.MkdirAll("test/results", 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	results := make([]result, len(all))
	for i, s := range all {
		fmt.Printf("[%d/%d] %-10s %s ... ", i+1, len(all), s.name, s.what)
		if *verbose {
			fmt.Println()
		}
		results[i] = run(s, *verbose)
		fmt.Printf("%s (%.0fs)\n", verdict(results[i]), results[i].took.Seconds())
	}
	os.Exit(table(all, results))
}

func run(s stage, verbose bool) (r result) {
	if s.needs != nil {
		if r.missing = s.needs(); r.missing != "" {
			return r
		}
	}
	start := time.Now()
	var out bytes.Buffer
	log, err := os.Create(filepath.Join("test/results", s.name+".log"))
	if err != nil {
		r.err = err
		return r
	}
	defer log.Close()
	cmd := exec.Command(s.cmd[0], s.cmd[1:]...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), s.env...)
	var w io.Writer = io.MultiWriter(&out, log)
	if verbose {
		w = io.MultiWriter(w, os.Stdout)
	}
	cmd.Stdout, cmd.Stderr = w, w
	r.err = cmd.Run()
	r.took = time.Since(start)
	if s.count != nil {
		s.count(&out, &r)
	}
	if s.count == nil && r.err == nil {
		r.pass = 1
	}
	if r.err != nil && !verbose {
		fmt.Println()
		printTail(&out, s.count != nil && s.cmd[0] == "go")
	}
	return r
}

// printTail shows what a person needs of a failed stage.
func printTail(out *bytes.Buffer, isGoJSON bool) {
	text := out.String()
	if isGoJSON {
		text = failedOutput(out.Bytes())
	}
	if len(text) > 20000 {
		text = "…" + text[len(text)-20000:]
	}
	fmt.Println(text)
}

// event is one line of `go test -json`.
type event struct {
	Action, Package, Test, Output string
}

func events(b []byte, f func(event)) {
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 4<<20)
	for sc.Scan() {
		var e event
		if json.Unmarshal(sc.Bytes(), &e) == nil && e.Action != "" {
			f(e)
		} else if len(sc.Bytes()) > 0 && sc.Bytes()[0] != '{' {
			f(event{Action: "raw", Output: sc.Text() + "\n"})
		}
	}
}

// failedOutput keeps the output of failed tests and packages only.
func failedOutput(b []byte) string {
	failed := map[string]bool{}
	events(b, func(e event) {
		if e.Action == "fail" {
			failed[e.Package+"/"+e.Test] = true
		}
	})
	var s strings.Builder
	events(b, func(e event) {
		if e.Action == "raw" || strings.HasPrefix(e.Action, "build-output") || e.Action == "output" && failed[e.Package+"/"+e.Test] {
			s.WriteString(e.Output)
		}
	})
	return s.String()
}

func countGo(out *bytes.Buffer, r *result) {
	why := map[string]string{}
	events(out.Bytes(), func(e event) {
		if e.Test == "" {
			return
		}
		id := e.Package + "." + e.Test
		switch e.Action {
		case "output":
			if t := strings.TrimSpace(e.Output); !strings.HasPrefix(t, "===") && !strings.HasPrefix(t, "---") && t != "" {
				why[id] = t
			}
		case "pass":
			r.pass++
		case "fail":
			r.fail++
			r.failed = append(r.failed, id)
		case "skip":
			r.skip++
			r.skipped = append(r.skipped, id+": "+why[id])
		}
	})
}

var (
	vitestLine = regexp.MustCompile(`Tests\s+(?:(\d+) failed\D+)?(\d+) passed(?:\D+(\d+) skipped)?`)
	tapLine    = regexp.MustCompile(`(?m)^# (pass|fail|skipped) (\d+)$`)
	tapSkip    = regexp.MustCompile(`(?m)^\s*ok \d+ - (.*# SKIP.*)$`)
	tapFail    = regexp.MustCompile(`(?m)^not ok \d+ - (.*)$`)
	colour     = regexp.MustCompile("\x1b\\[[0-9;]*m")
)

func countVitest(out *bytes.Buffer, r *result) {
	if m := vitestLine.FindStringSubmatch(colour.ReplaceAllString(out.String(), "")); m != nil {
		r.fail, _ = strconv.Atoi(m[1])
		r.pass, _ = strconv.Atoi(m[2])
		r.skip, _ = strconv.Atoi(m[3])
	}
}

func countTAP(out *bytes.Buffer, r *result) {
	for _, m := range tapLine.FindAllStringSubmatch(out.String(), -1) {
		n, _ := strconv.Atoi(m[2])
		switch m[1] {
		case "pass":
			r.pass += n
		case "fail":
			r.fail += n
		case "skipped":
			r.skip += n
		}
	}
	for _, m := range tapSkip.FindAllStringSubmatch(out.String(), -1) {
		r.skipped = append(r.skipped, m[1])
	}
	for _, m := range tapFail.FindAllStringSubmatch(out.String(), -1) {
		r.failed = append(r.failed, m[1])
	}
}

func verdict(r result) string {
	switch {
	case r.missing != "":
		return "SKIPPED"
	case r.err != nil || r.fail > 0:
		return "FAILED"
	case r.pass == 0:
		return "RAN NOTHING"
	}
	return "ok"
}

// table prints the closing table and returns the exit status.
func table(all []stage, rs []result) int {
	ci := os.Getenv("CI") == "true"
	var pass, fail, skip int
	fmt.Printf("\n%-10s %-11s %7s %7s %7s %7s  %s\n", "stage", "result", "passed", "failed", "skipped", "seconds", "what")
	for i, s := range all {
		r := rs[i]
		fmt.Printf("%-10s %-11s %7d %7d %7d %7.0f  %s\n", s.name, verdict(r), r.pass, r.fail, r.skip, r.took.Seconds(), s.what)
		pass, fail, skip = pass+r.pass, fail+r.fail, skip+r.skip
		if (r.err != nil || r.pass == 0 && r.missing == "") && r.fail == 0 {
			fail++
		}
		if r.missing != "" {
			skip++
		}
	}
	for i, s := range all {
		if rs[i].missing != "" {
			fmt.Printf("skipped: %s: %s\n", s.name, rs[i].missing)
		}
		for _, k := range rs[i].skipped {
			fmt.Printf("skipped: %s: %s\n", s.name, k)
		}
		for _, k := range rs[i].failed {
			fmt.Printf("failed:  %s: %s\n", s.name, k)
		}
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", pass, fail, skip)
	if fail > 0 {
		return 1
	}
	if skip > 0 && ci {
		fmt.Println("in CI nothing may be skipped")
		return 1
	}
	return 0
}
