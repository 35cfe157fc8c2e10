// Command rfcmap lists which test proves which numbered check of the
// specifications, by the names of the tests: TestSFM3_… proves SFM-3,
// TestRACE1_2_… proves RACE-1 and RACE-2, TestD14_A2_… proves D14 and A2.
//
//	go run ./scripts/rfcmap -o docs/rfc-map.md
//	go run ./scripts/rfcmap -check scripts/rfcmap/checks.txt   # fails on a missing one
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	root := flag.String("root", ".", "top of the source tree")
	out := flag.String("o", "", "file to write the map to")
	check := flag.String("check", "", "file with the ids that must have a test")
	flag.Parse()
	if err := run(*root, *out, *check); err != nil {
		fmt.Fprintln(os.Stderr, "rfcmap:", err)
		os.Exit(1)
	}
}

func run(root, out, check string) error {
	proofs, err := scan(root)
	if err != nil {
		return err
	}
	if out != "" {
		if err := os.WriteFile(out, []byte(render(proofs)), 0o644); err != nil {
			return err
		}
	}
	if check == "" {
		return nil
	}
	list, err := os.ReadFile(check)
	if err != nil {
		return err
	}
	want, err := expand(string(list))
	if err != nil {
		return err
	}
	if gone := missing(proofs, want); len(gone) > 0 {
		return fmt.Errorf("no test for %s", strings.Join(gone, ", "))
	}
	return nil
}
