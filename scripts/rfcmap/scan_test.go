package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEveryListedCheckHasATest walks the whole tree.
func TestEveryListedCheckHasATest(t *testing.T) {
	if err := run("../..", "", "checks.txt"); err != nil {
		t.Fatal(err)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"TestSFM3_NACKServed":      "SFM-3",
		"TestRACE1_2_EndAndJoin":   "RACE-1 RACE-2",
		"TestA1_D1_Junk":           "A1 D1",
		"TestRFC3711_3_3_1_Index":  "",
		"TestSFM10_OriginLeaves":   "SFM-10",
		"TestQ15_2x_Something":     "Q15",
		"TestEveryNameMakesRecipe": "",
	} {
		var got []string
		for _, i := range ids(name) {
			got = append(got, i.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestAMissingTestFails: also one that only a comment or a helper is named after.
func TestAMissingTestFails(t *testing.T) {
	dir := t.TempDir()
	write := func(name, s string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a/x_test.go", "package a\n\nfunc TestSFM1_Is(t *testing.T) {}\n// TestSFM2_Comment(t *testing.T)\nfunc TestSFM3_Helper(x int) {}\n")
	write("a/x.go", "package a\n\nfunc TestSFM4_NoTestFile(t *testing.T) {}\n")
	write("a/testdata/y_test.go", "package y\n\nfunc TestSFM5_Data(t *testing.T) {}\n")
	write("e2e/z.test.mjs", "  test(\"MSH-1, X1: three in a mesh\", async () => {\n  // test(\"MSH-2: no\"\n")
	write("list", "SFM-1..5 MSH-1..2 X1 # five\nD9\n")
	err := run(dir, filepath.Join(dir, "map.md"), filepath.Join(dir, "list"))
	if err == nil || !strings.HasSuffix(err.Error(), "no test for SFM-2, SFM-3, SFM-4, SFM-5, MSH-2, D9") {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "map.md"))
	if err != nil || !strings.Contains(string(b), "| SFM-1 | TestSFM1_Is | a |\n") || strings.Contains(string(b), "SFM-2") {
		t.Fatalf("%v %s", err, b)
	}
	write("list", "SFM1..3 SFM-x")
	if run(dir, "", filepath.Join(dir, "list")) == nil {
		t.Fatal("nonsense accepted")
	}
}

func TestExpand(t *testing.T) {
	w, err := expand("SFM-1..3 D9 # x\n\nA2\n")
	if err != nil || !slices.Equal(w, []id{{"SFM", 1}, {"SFM", 2}, {"SFM", 3}, {"D", 9}, {"A", 2}}) {
		t.Fatal(w, err)
	}
}
