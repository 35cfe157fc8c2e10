package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// id is a check: a family and its number.
type id struct {
	family string
	number int
}

// String gives the spelling of the specifications: families of one letter
// (reliability) have no dash.
func (i id) String() string {
	if len(i.family) == 1 {
		return fmt.Sprintf("%s%d", i.family, i.number)
	}
	return fmt.Sprintf("%s-%d", i.family, i.number)
}

// proof is a test and the package directory it stands in.
type proof struct{ dir, test string }

var (
	testFunc = regexp.MustCompile(`(?m)^func (Test(?:B2B|[A-Z]+)[0-9]+_\w*)\(\w+ \*testing\.T\)`)
	webTest  = regexp.MustCompile(`(?m)^\s*test\("((?:(?:B2B|[A-Z]+)-?[0-9]+(?:, )?)+): ([^"]+)"`)
	webPart  = regexp.MustCompile(`^(B2B|[A-Z]+)-?([0-9]+)$`)
	part     = regexp.MustCompile(`^(B2B|[A-Z]+)([0-9]+)$`)
	only     = regexp.MustCompile(`^[0-9]+$`)
)

// ids reads the checks from a test's name.
func ids(test string) (list []id) {
	family := ""
	for w := range strings.SplitSeq(strings.TrimPrefix(test, "Test"), "_") {
		number := w
		if m := part.FindStringSubmatch(w); m != nil {
			family, number = m[1], m[2]
		} else if family == "" || !only.MatchString(w) {
			break
		}
		if family == "RFC" { // a section of an RFC, no check
			return nil
		}
		n, err := strconv.Atoi(number)
		if err != nil {
			break
		}
		list = append(list, id{family, n})
	}
	return list
}

// scan reads all test files below root.
func scan(root string) (map[id][]proof, error) {
	found := map[id][]proof{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if name == "node_modules" || name == "testdata" || (name != "." && name != ".." && strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, "_test.go") && !strings.HasSuffix(name, ".test.mjs") && !strings.HasSuffix(filepath.ToSlash(file), "soak/"+name) {
			return nil
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		if strings.HasSuffix(name, ".mjs") {
			scanWeb(found, path.Dir(filepath.ToSlash(rel)), b)
			return nil
		}
		for _, m := range testFunc.FindAllSubmatch(b, -1) {
			p := proof{path.Dir(filepath.ToSlash(rel)), string(m[1])}
			for _, i := range ids(p.test) {
				found[i] = append(found[i], p)
			}
		}
		return nil
	})
	return found, err
}

// scanWeb reads a browser test, whose title begins with its checks: "MSH-1, X1: ...".
func scanWeb(found map[id][]proof, dir string, b []byte) {
	for _, m := range webTest.FindAllSubmatch(b, -1) {
		p := proof{dir, strings.ReplaceAll(string(m[2]), "|", "/")}
		for w := range strings.SplitSeq(string(m[1]), ", ") {
			if one := webPart.FindStringSubmatch(w); one != nil {
				n, _ := strconv.Atoi(one[2]) // digits
				found[id{one[1], n}] = append(found[id{one[1], n}], p)
			}
		}
	}
}

// expand reads a list of checks: one or more to a line, "SFM-1..7" for a range,
// comments after #.
func expand(list string) (want []id, err error) {
	item := regexp.MustCompile(`^(B2B|[A-Z]+)-?([0-9]+)(?:\.\.([0-9]+))?$`)
	for line := range strings.Lines(list) {
		line, _, _ = strings.Cut(line, "#")
		for _, w := range strings.Fields(line) {
			m := item.FindStringSubmatch(w)
			if m == nil {
				return nil, fmt.Errorf("%q is no check", w)
			}
			from, _ := strconv.Atoi(m[2])
			to, _ := strconv.Atoi(cmp.Or(m[3], m[2]))
			for n := from; n <= to; n++ {
				want = append(want, id{m[1], n})
			}
		}
	}
	return want, nil
}

// missing returns the checks without a test.
func missing(found map[id][]proof, want []id) (gone []string) {
	for _, i := range want {
		if len(found[i]) == 0 {
			gone = append(gone, i.String())
		}
	}
	return gone
}

// render writes the map, family by family.
func render(found map[id][]proof) string {
	all := make([]id, 0, len(found))
	for i := range found {
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b id) int {
		return cmp.Or(cmp.Compare(a.family, b.family), cmp.Compare(a.number, b.number))
	})
	var b strings.Builder
	b.WriteString("# Checks and the tests that prove them\n\nMade by `go run ./scripts/rfcmap -o docs/rfc-map.md`; not edited by hand. A check\n" +
		"listed in `scripts/rfcmap/checks.txt` without a test fails `go test ./scripts/rfcmap`.\n")
	family := ""
	for _, i := range all {
		if i.family != family {
			family = i.family
			fmt.Fprintf(&b, "\n## %s\n\n| check | test | package |\n|---|---|---|\n", family)
		}
		ps := found[i]
		slices.SortFunc(ps, func(a, b proof) int {
			return cmp.Or(strings.Compare(a.dir, b.dir), strings.Compare(a.test, b.test))
		})
		for _, p := range ps {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", i, p.test, p.dir)
		}
	}
	return b.String()
}
