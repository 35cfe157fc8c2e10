package main

import (
	"bytes"
	"strings"
	"testing"
)

const sample = `package p

func f(h *H) {
	h.SSRC = 1
	x := T{A: 1, B: 2}
	if x.A > h.SSRC+1 {
		h.send(x)
		h.n++
	}
}

func other() { g() }
`

func TestChanges(t *testing.T) {
	list, err := changes("x/p.go", []byte(sample), []string{"f"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range list {
		got = append(got, m.what)
		if bytes.Equal(m.text, []byte(sample)) || !bytes.Contains(m.text, []byte("func other() { g() }")) {
			t.Errorf("%v gives\n%s", m, m.text)
		}
	}
	want := "f: without: h.SSRC = 1|f: without: A: 1|f: without: B: 2|f: not: x.A > h.SSRC+1|f: -: h.SSRC+1|f: without: h.send(x)|f: without: h.n++"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("%s", s)
	}
	if _, err := changes("x/p.go", []byte(sample), []string{"gone"}); err == nil {
		t.Error("a target that went is not missed")
	}
}

// TestTargetsAreThere: every function named still is.
func TestTargetsAreThere(t *testing.T) {
	if all, err := mutants("../.."); err != nil || len(all) < 100 {
		t.Fatalf("%d, %v", len(all), err)
	}
}
