// Command mutate takes the lines away that rewrite packets, one at a time, and
// wants a test to notice: an assignment, a field, a call is removed, a condition
// turned round, a sum made a difference. It changes no file; the compiler is
// given the altered text in place of the real one.
//
//	go run ./scripts/mutate            # fails when a change goes unnoticed
//	go run ./scripts/mutate -list      # what would be changed
//	go run ./scripts/mutate -only through
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

func main() {
	root := flag.String("root", ".", "top of the source tree")
	list := flag.Bool("list", false, "only print what would be changed")
	only := flag.String("only", "", "changes whose description matches this expression")
	jobs := flag.Int("j", 2, "changes tried at once")
	flag.Parse()
	n, err := run(*root, *only, *list, *jobs)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
	}
	if err != nil || n > 0 {
		os.Exit(1)
	}
}

// run tries every change and returns how many went unnoticed.
func run(root, only string, list bool, jobs int) (survivors int, err error) {
	root, err = filepath.Abs(root)
	if err != nil {
		return 0, err
	}
	all, err := mutants(root)
	if err != nil {
		return 0, err
	}
	if all, err = keep(all, only); err != nil {
		return 0, err
	}
	if list {
		for _, m := range all {
			fmt.Println(m)
		}
		return 0, nil
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if out, ok := try(root, dir, -1, mutant{}); ok != passed {
		return 0, fmt.Errorf("the tests fail without any change:\n%s", out)
	}
	start := time.Now()
	verdicts := make([]verdict, len(all))
	var next, done int
	var mu sync.Mutex
	var g sync.WaitGroup
	for range jobs {
		g.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(all) {
					return
				}
				_, v := try(root, dir, i, all[i])
				mu.Lock()
				verdicts[i] = v
				done++
				if done%25 == 0 {
					fmt.Printf("%d of %d after %v\n", done, len(all), time.Since(start).Round(time.Second))
				}
				if v == passed {
					fmt.Printf("NOT NOTICED %v\n", all[i])
				}
				mu.Unlock()
			}
		})
	}
	g.Wait()
	var count [3]int
	for _, v := range verdicts {
		count[v]++
	}
	fmt.Printf("%d changes in %v: %d noticed, %d do not compile, %d not noticed\n",
		done, time.Since(start).Round(time.Second), count[failed], count[broken], count[passed])
	return count[passed], nil
}

func keep(all []mutant, only string) (out []mutant, err error) {
	want, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if want.MatchString(m.String()) {
			out = append(out, m)
		}
	}
	return out, nil
}

type verdict int

const (
	passed verdict = iota // nobody noticed
	failed
	broken // no legal program: nothing to notice
)

// tests are run in this order, the first failure ends it. Long runs and counts
// of allocations are left out: others notice what they would.
var tests = [][]string{
	{"./internal/media/rewrite"},
	{"./internal/media/topology"},
	{"-skip", "CMB4|DoesNotAllocate", "./internal/media/engine"},
	{"./internal/media/stream"},
}

// order puts the tests of the changed package first where it has such of its own.
func order(file string) [][]string {
	switch path.Base(path.Dir(file)) {
	case "topology", "stream":
		return tests[1:]
	case "engine":
		return [][]string{tests[2], tests[1]}
	}
	return tests
}

// try builds the packages with one change in place and runs their tests.
func try(root, dir string, i int, m mutant) (string, verdict) {
	args := []string{"test", "-vet=off", "-failfast", "-timeout", "120s"}
	if m.file != "" {
		text := filepath.Join(dir, fmt.Sprint(i, ".go"))
		over := filepath.Join(dir, fmt.Sprint(i, ".json"))
		b, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, m.file): text}})
		if err == nil {
			err = os.WriteFile(text, m.text, 0o600)
		}
		if err == nil {
			err = os.WriteFile(over, b, 0o600)
		}
		if err != nil {
			return err.Error(), broken
		}
		args = append(args, "-overlay", over)
	}
	for _, pkg := range order(m.file) {
		var out bytes.Buffer
		cmd := exec.Command("go", append(args[:len(args):len(args)], pkg...)...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = root, &out, &out
		if cmd.Run() == nil {
			continue
		}
		if strings.Contains(out.String(), "[build failed]") || strings.Contains(out.String(), "[setup failed]") {
			return out.String(), broken
		}
		return out.String(), failed
	}
	return "", passed
}
