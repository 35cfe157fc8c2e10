package tracefile

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/internal/base/clock"
	"parley/internal/base/ids"
	"parley/internal/media/trace"
)

func at(n int) clock.Time { return clock.Time(time.Second) + clock.Time(n)*clock.Time(trace.Every) }

// run gives w what f emits, and everything is written when it returns.
func run(t *testing.T, w *Writer, f func()) {
	t.Helper()
	f()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, name string) *trace.Log {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, name+trace.Suffix))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := trace.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestOneFileForEachConnection(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "traces")
	w, err := New(Config{Dir: dir, Version: "9"})
	if err != nil {
		t.Fatal(err)
	}
	run(t, w, func() {
		a, b := w.Open("conn_a"), w.Open("conn_b")
		a.Emit(trace.Event{At: at(0), Data: trace.Opened{}})
		b.Emit(trace.Event{At: at(1), Data: trace.Opened{}})
		a.Emit(trace.Event{At: at(2), Data: trace.Sample{Target: 7}})
		a.Emit(trace.Event{At: at(3), Data: trace.Closed{}})
	})
	l := read(t, dir, Name("conn_a"))
	if len(l.Events) != 3 || l.Events[1].At != clock.Time(200*time.Millisecond) || l.Header.Version != "9" {
		t.Errorf("%+v", l)
	}
	if l = read(t, dir, Name("conn_b")); len(l.Events) != 1 {
		t.Errorf("%+v", l)
	}
	if s := w.Stats(); s != (Stats{Events: 4}) {
		t.Errorf("%+v", s)
	}
	info, err := os.Stat(filepath.Join(dir, Name("conn_a")+trace.Suffix))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: others may read it", info.Mode(), err)
	}
}

func TestTheNameTellsNothing(t *testing.T) {
	if n := Name("conn_secret"); strings.Contains(n, "secret") || len(n) != 16 || !ours.MatchString(n+trace.Suffix) {
		t.Errorf("%q", n)
	}
}

// A long call keeps its last two parts, which together are no larger than allowed.
func TestALongTraceGoesOnInAnotherPart(t *testing.T) {
	dir := t.TempDir()
	w, err := New(Config{Dir: dir, MaxBytes: 8000})
	if err != nil {
		t.Fatal(err)
	}
	media := trace.Configured{Rev: 3, Sections: []trace.Section{{Kind: "video", Send: true}}}
	run(t, w, func() {
		s := w.Open("conn_a")
		s.Emit(trace.Event{At: at(0), Data: media})
		for i := range 500 {
			s.Emit(trace.Event{At: at(i + 1), Data: trace.Sample{Target: 1_000_000}})
		}
		s.Emit(trace.Event{At: at(501), Data: trace.Closed{}})
	})
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v: not two parts", list, err)
	}
	total, next := int64(0), ""
	slices.SortFunc(list, func(a, b os.DirEntry) int {
		return cmp.Or(len(a.Name())-len(b.Name()), strings.Compare(a.Name(), b.Name()))
	})
	for i, e := range list {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if total += info.Size(); info.Size() > 4000 || !ours.MatchString(e.Name()) {
			t.Errorf("%s: %d bytes", e.Name(), info.Size())
		}
		l := read(t, dir, strings.TrimSuffix(e.Name(), trace.Suffix))
		if c, ok := l.Events[0].Data.(trace.Configured); !ok || c.Rev != 3 || l.Header.Name != Name("conn_a") {
			t.Errorf("%s begins with %+v", e.Name(), l.Events[0])
		}
		last := l.Events[len(l.Events)-1].Data
		if tr, ok := last.(trace.Truncated); ok && i == 0 {
			next = tr.Next
		} else if _, ok := last.(trace.Closed); !ok || i == 0 || e.Name() != next {
			t.Errorf("%s ends with %+v, %q was to come", e.Name(), last, next)
		}
		if i == 1 && l.Events[len(l.Events)-1].At != clock.Time(501*trace.Every) {
			t.Errorf("times of later parts count from the start, not %v", l.Events[len(l.Events)-1].At)
		}
	}
	if total > 8000 {
		t.Errorf("%d bytes together", total)
	}
	if len(w.names) != 2 {
		t.Errorf("%v", w.names)
	}
}

func TestSwitchedOffAndOnAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	w, err := New(Config{Dir: dir, Off: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("a directory for nothing: %v", err)
	}
	run(t, w, func() {
		if w.On() || w.Open("conn_a") != nil {
			t.Error("a trace although they are off")
		}
		for range 2 {
			if err := w.Switch(true); err != nil {
				t.Error(err)
			}
			s := w.Open("conn_a")
			s.Emit(trace.Event{At: at(0), Data: trace.Opened{}})
			s.Emit(trace.Event{At: at(1), Data: trace.Stopped{}})
			if err := w.Switch(false); err != nil {
				t.Error(err)
			}
		}
	})
	for _, name := range []string{Name("conn_a"), Name("conn_a") + "-2"} {
		if l := read(t, dir, name); len(l.Events) != 2 {
			t.Errorf("%s: %+v", name, l.Events)
		}
	}
	if s := w.Stats(); s.Open != 0 || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
}

// The hot path never waits for a disk.
func TestAFullQueueDropsAndSaysSo(t *testing.T) {
	dir := t.TempDir()
	w, err := New(Config{Dir: dir, Queue: 4})
	if err != nil {
		t.Fatal(err)
	}
	s := w.Open("conn_a")
	run(t, w, func() {
		for i := range 10 {
			s.Emit(trace.Event{At: at(i), Data: trace.Ready{}})
		}
	})
	if st := w.Stats(); st.Dropped != 6 || st.Events != 4 {
		t.Errorf("%+v", st)
	}
	l := read(t, dir, Name("conn_a"))
	found := false
	for _, e := range l.Events {
		if d, ok := e.Data.(trace.Dropped); ok && d.Count == 6 {
			found = true
		}
	}
	if !found {
		t.Errorf("the file does not tell of the gap: %+v", l.Events)
	}
}

func TestOldTracesMakeRoom(t *testing.T) {
	dir := t.TempDir()
	others := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(others, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, c := range []ids.Connection{"conn_1", "conn_2"} {
		name := filepath.Join(dir, Name(c)+trace.Suffix)
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Hour + time.Duration(i)*time.Minute)
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	w, err := New(Config{Dir: dir, MaxFiles: 2})
	if err != nil {
		t.Fatal(err)
	}
	run(t, w, func() { w.Open("conn_3").Emit(trace.Event{At: at(0), Data: trace.Opened{}}) })
	if _, err := os.Stat(filepath.Join(dir, Name("conn_1")+trace.Suffix)); !os.IsNotExist(err) {
		t.Errorf("the oldest is still there: %v", err)
	}
	for _, name := range []string{others, filepath.Join(dir, Name("conn_2")+trace.Suffix), filepath.Join(dir, Name("conn_3")+trace.Suffix)} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}

func TestTooManyAreNotTraced(t *testing.T) {
	w, err := New(Config{Dir: t.TempDir(), MaxOpen: 1})
	if err != nil {
		t.Fatal(err)
	}
	run(t, w, func() {
		a := w.Open("conn_a")
		if w.Open("conn_b") != nil {
			t.Error("a second one")
		}
		a.Emit(trace.Event{At: at(0), Data: trace.Opened{}})
		a.Emit(trace.Event{At: at(1), Data: trace.Closed{}})
	})
	if w.Open("conn_c") == nil {
		t.Error("the place of an ended one is not free")
	}
	if s := w.Stats(); s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

func TestADirectoryThatCannotBe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Dir: filepath.Join(name, "traces")}); err == nil {
		t.Error("no error")
	}
}

// A link in the way must not lead the writer to another file.
func TestALinkIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(dir, Name("conn_a")+trace.Suffix)); err != nil {
		t.Fatal(err)
	}
	w, err := New(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	run(t, w, func() { w.Open("conn_a").Emit(trace.Event{At: at(0), Data: trace.Opened{}}) })
	if b, err := os.ReadFile(victim); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
	if w.Stats().Refused != 1 {
		t.Errorf("%+v", w.Stats())
	}
}
