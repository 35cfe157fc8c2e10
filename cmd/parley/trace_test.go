package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/trace"
)

// aTrace writes n samples of a trace.
func aTrace(t *testing.T, name string, n int) string {
	t.Helper()
	b := trace.AppendHeader(nil, trace.Header{Name: "0123456789abcdef", Version: "1"})
	for i := range n {
		b = trace.Append(b, 0, trace.Event{At: clock.Time(i) * clock.Time(trace.Every), Data: trace.Sample{Target: 1_000_000, Sent: uint64(i * 1000)}})
	}
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTraceDrawsSVGAndPNG(t *testing.T) {
	file := aTrace(t, "0123456789abcdef.sqlog", 100)
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		args []string
		out  string
		head string
	}{
		{nil, "0123456789abcdef.svg", "<svg "},
		{[]string{"--png"}, "0123456789abcdef.png", "\x89PNG"},
		{[]string{"-o", "x.png"}, "x.png", "\x89PNG"},
		{[]string{"-o", "x.svg"}, "x.svg", "<svg "},
		{[]string{"-o", "odd", "--png"}, "odd", "\x89PNG"},
	} {
		if err := run(append([]string{"trace", file, "-q"}, c.args...)); err != nil {
			t.Errorf("%v: %v", c.args, err)
			continue
		}
		if b, err := os.ReadFile(c.out); err != nil || !bytes.HasPrefix(b, []byte(c.head)) {
			t.Errorf("%v: %v, %q", c.args, err, b[:min(len(b), 20)])
		}
	}
	if err := run([]string{"trace", file, "-q"}); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("a picture is overwritten: %v", err)
	}
	if err := run([]string{"trace", file, "-q", "--force"}); err != nil {
		t.Error(err)
	}
}

func TestTraceSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, text string) string {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good := aTrace(t, "good.sqlog", 2)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"nowhere.sqlog"}, "no such file"},
		{[]string{dir}, "is a directory"},
		{[]string{write("empty", "")}, "the file is empty"},
		{[]string{write("text", "hello\nworld\n")}, "not a trace of parley"},
		{[]string{aTrace(t, "new.sqlog", 0)}, "no events yet"},
		{[]string{good, "-o", "x.gif"}, ".svg or .png"},
		{[]string{good, "-o", "x.svg", "--png"}, ".svg"},
		{[]string{good, "-o", "nowhere/x.svg"}, "no such file"},
		{nil, "FILE"},
	} {
		if err := run(append([]string{"trace", "-q"}, c.args...)); err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.want)) {
			t.Errorf("%v: %v, want something with %q", c.args, err, c.want)
		}
	}
	if list, _ := filepath.Glob("*.svg"); len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
}

func TestProgressOfALongTrace(t *testing.T) {
	var out bytes.Buffer
	p := &progress{r: strings.NewReader(strings.Repeat("x", 1000)), w: &out, size: 1000, start: time.Now().Add(-time.Second)}
	if _, err := io.ReadAll(p); err != nil {
		t.Fatal(err)
	}
	p.done()
	if s := out.String(); !strings.Contains(s, "%") || !strings.HasSuffix(s, "\r") {
		t.Errorf("%q", s)
	}
	if l := (&progress{read: 500, size: 1000}).line(); l != fmt.Sprintf("reading [%s%s]  50 %% of 0.0 MiB", strings.Repeat("#", 15), strings.Repeat(".", 15)) {
		t.Errorf("%q", l)
	}
	if l := (&progress{read: 3 << 20}).line(); l != "reading 3.0 MiB" {
		t.Errorf("%q", l)
	}
	// A short one says nothing.
	out.Reset()
	p = &progress{r: strings.NewReader("x"), w: &out, size: 1, start: time.Now().Add(time.Hour)}
	_, _ = io.ReadAll(p)
	p.done()
	if out.Len() != 0 {
		t.Errorf("%q", out.String())
	}
}
