package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parley/api"
)

// childDir makes the test binary a writer that is killed; see TestR11.
const childDir = "STORE_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func definitions(t *testing.T, s *Store) *Definitions {
	t.Helper()
	d, err := s.Definitions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func TestBucketComparesAndSets(t *testing.T) {
	b, err := open(t, t.TempDir()).Bucket(t.Context(), "x", 100)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := b.Get(ctx, "a"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	one, err := b.Put(ctx, "a", []byte("1"), 0)
	if err != nil || one == 0 {
		t.Fatal(one, err)
	}
	if _, err := b.Put(ctx, "a", []byte("2"), 0); !errors.Is(err, ErrConflict) {
		t.Fatalf("made twice: %v", err)
	}
	two, err := b.Put(ctx, "a", []byte("2"), one)
	if err != nil || two <= one {
		t.Fatal(two, err)
	}
	if _, err := b.Put(ctx, "a", []byte("3"), one); !errors.Is(err, ErrConflict) {
		t.Fatalf("over an old revision: %v", err)
	}
	if _, err := b.Put(ctx, "a", make([]byte, 101), two); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("too large: %v", err)
	}
	if e, err := b.Get(ctx, "a"); err != nil || string(e.Value) != "2" || e.Rev != two {
		t.Fatalf("%+v %v", e, err)
	}
	if err := b.Delete(ctx, "a", one); !errors.Is(err, ErrConflict) {
		t.Fatalf("deleted an old revision: %v", err)
	}
	if err := b.Delete(ctx, "a", two); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(ctx, "a"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := b.Put(ctx, "a", []byte("4"), 0); err != nil {
		t.Fatalf("made again: %v", err)
	}
	if l, err := b.List(ctx); err != nil || len(l) != 1 || l[0].Key != "a" {
		t.Fatalf("%+v %v", l, err)
	}
}

func TestWatchTellsWhatIsAndWhatComes(t *testing.T) {
	b, err := open(t, t.TempDir()).Bucket(t.Context(), "x", 100)
	if err != nil {
		t.Fatal(err)
	}
	rev, err := b.Put(t.Context(), "old", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan Entry, 10)
	var g sync.WaitGroup
	g.Go(func() { _ = b.Watch(ctx, func(e Entry) { got <- e }) })
	defer g.Wait()
	defer cancel()
	next := func() Entry {
		select {
		case e := <-got:
			return e
		case <-time.After(20 * time.Second):
			t.Fatal("nothing came")
			return Entry{}
		}
	}
	if e := next(); e.Key != "old" || e.Rev != rev {
		t.Fatalf("%+v", e)
	}
	if e := next(); e.Key != "" {
		t.Fatalf("%+v", e)
	}
	if err := b.Delete(t.Context(), "old", rev); err != nil {
		t.Fatal(err)
	}
	if e := next(); e.Key != "old" || !e.Deleted {
		t.Fatalf("%+v", e)
	}
}

func TestDefinitionsSurviveACleanStop(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Definitions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := api.Definition{URI: "a..b.", Title: "T", State: api.StateScheduled, Banned: []string{"sip:m@x"}, CreatedAt: "2031-01-01T00:00:00Z"}
	if _, err := d.Put(t.Context(), want, 0); err != nil {
		t.Fatal(err)
	}
	if got, _, ok := d.Get("a..b."); !ok || got.Title != "T" {
		t.Fatalf("own write not seen: %+v", got)
	}
	rev, err := d.Put(t.Context(), api.Definition{URI: "gone"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(t.Context(), "gone", rev); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := d.Get("gone"); ok {
		t.Fatal("own deletion not seen")
	}
	d.Close()
	s.Close()
	again := definitions(t, open(t, dir))
	all := again.All()
	if len(all) != 1 || all[0].URI != "a..b." || all[0].Banned[0] != "sip:m@x" {
		t.Fatalf("%+v", all)
	}
}

// TestAConflictIsSeenByTheNextRead: who starts again after a conflict starts
// from what is there, even when the news has not come round yet.
func TestAConflictIsSeenByTheNextRead(t *testing.T) {
	s := open(t, t.TempDir())
	d := definitions(t, s)
	if _, err := d.Put(t.Context(), api.Definition{URI: "n"}, 0); err != nil {
		t.Fatal(err)
	}
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			for done := 0; done < 25; {
				def, rev, _ := d.Get("n")
				def.Users++
				_, err := d.Put(context.Background(), def, rev)
				if err == nil {
					done++
					continue
				}
				if _, now, _ := d.Get("n"); !errors.Is(err, ErrConflict) || now == rev {
					t.Errorf("%v; revision %d before and %d after", err, rev, now)
					return
				}
			}
		})
	}
	g.Wait()
	if def, _, _ := d.Get("n"); def.Users != 100 {
		t.Errorf("%d of 100 changes", def.Users)
	}
}

func TestOldestEndedMakesPlace(t *testing.T) {
	d := definitions(t, open(t, t.TempDir()))
	d.limit = 3
	ctx := t.Context()
	for i, def := range []api.Definition{
		{URI: "planned", State: api.StateScheduled},
		{URI: "new", State: api.StateEnded, EndedAt: "2031-01-02T00:00:00Z"},
		{URI: "old", State: api.StateEnded, EndedAt: "2031-01-01T00:00:00Z"},
		{URI: "one more", State: api.StateActive},
	} {
		def.URI = strings.ReplaceAll(def.URI, " ", "-")
		if _, err := d.Put(ctx, def, 0); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if _, _, ok := d.Get("old"); ok {
		t.Fatal("the oldest stayed")
	}
	if _, _, ok := d.Get("new"); !ok {
		t.Fatal("a newer one went")
	}
	d.limit = 1
	for range 2 { // the ended one, then nothing is left to evict
		_, err := d.Put(ctx, api.Definition{URI: "x", State: api.StateActive}, 0)
		if err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
	}
	if _, err := d.Put(ctx, api.Definition{URI: "y"}, 0); !errors.Is(err, ErrFull) {
		t.Fatalf("no place: %v", err)
	}
}

// TestR11_KillNineLosesNothingAcknowledged: a process that is killed in the
// middle of writing has on disk whatever it was told is there.
func TestR11_KillNineLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	acked := map[string]string{}
	for round := range 3 {
		for k, v := range runUntilKilled(t, dir, 40+30*round) {
			acked[k] = v
		}
		s := open(t, dir)
		d := definitions(t, s)
		for uri, title := range acked {
			def, _, ok := d.Get(uri)
			if !ok || def.Title < title { // a later write may have landed without our hearing of it
				t.Errorf("round %d: %s: %q, acknowledged %q", round, uri, def.Title, title)
			}
		}
		d.Close()
		s.Close()
		if n := len(acked); n == 0 {
			t.Fatal("nothing was acknowledged")
		}
	}
	t.Logf("%d records over three kills", len(acked))
}

func runUntilKilled(t *testing.T, dir string, acks int) map[string]string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	lines := bufio.NewScanner(out)
	for n := 0; n < acks && lines.Scan(); n++ {
		uri, title, _ := strings.Cut(lines.Text(), " ")
		got[uri] = title
	}
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	return got
}

// child writes definitions for ever and says each one that was acknowledged.
func child(dir string) {
	s, err := Open(Config{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	d, err := s.Definitions(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pid := os.Getpid()
	for i := 0; ; i++ {
		uri, title := fmt.Sprintf("r%d-%d", pid, i%25), fmt.Sprintf("%08d", i)
		_, rev, _ := d.Get(uri)
		if _, err := d.Put(context.Background(), api.Definition{URI: uri, Title: title}, rev); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(uri, title)
	}
}

// TestHealsAfterAFailedWrite: once the journal has failed, writes are refused at
// once, and taken again when it could be opened anew; nothing is lost by that,
// and changes are still followed.
func TestHealsAfterAFailedWrite(t *testing.T) {
	s := open(t, t.TempDir())
	d := definitions(t, s)
	if _, err := d.Put(t.Context(), api.Definition{URI: "before"}, 0); err != nil {
		t.Fatal(err)
	}
	s.healEvery = time.Hour
	s.ail()
	if _, err := d.Put(t.Context(), api.Definition{URI: "during"}, 0); !errors.Is(err, ErrUnwell) {
		t.Fatalf("while it is unwell: %v", err)
	}
	s.healEvery = 0
	if _, err := d.Put(t.Context(), api.Definition{URI: "after"}, 0); err != nil {
		t.Fatal(err)
	}
	if l, err := d.b.List(t.Context()); err != nil || len(l) != 2 {
		t.Fatalf("%+v %v", l, err)
	}
}

func TestOneServerPerDirectory(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := Open(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("second server on one directory: %v", err)
	}
}

func TestBadDirectoriesSayWhy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: filepath.Join(file, "d")}); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Fatalf("below a file: %v", err)
	}
	if _, err := Open(Config{Dir: "/proc/self/store"}); err == nil || !strings.Contains(err.Error(), "/proc/self/store") {
		t.Fatalf("where nothing can be made: %v", err)
	}
}

// TestA27_NoListener: the embedded server opens no port of any kind.
func TestA27_NoListener(t *testing.T) {
	s := open(t, t.TempDir())
	if a := s.srv.Addr(); a != nil {
		t.Errorf("clients: %v", a)
	}
	for what, a := range map[string]net.Addr{
		"monitor": s.srv.MonitorAddr(), "cluster": s.srv.ClusterAddr(), "profiler": s.srv.ProfilerAddr(),
	} {
		if a != nil && a.(*net.TCPAddr) != nil {
			t.Errorf("%s: %v", what, a)
		}
	}
	if n := listening(t); n != 0 {
		t.Errorf("this process listens on %d ports", n)
	}
}

// listening counts this process's listening TCP sockets by the kernel's tables.
func listening(t *testing.T) (n int) {
	t.Helper()
	mine := map[string]bool{}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // another system: what the server says has to do
	}
	for _, f := range fds {
		if l, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil {
			mine[strings.TrimSuffix(strings.TrimPrefix(l, "socket:["), "]")] = true
		}
	}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		b, _ := os.ReadFile(table)
		for _, line := range strings.Split(string(b), "\n") {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && mine[f[9]] {
				n++
			}
		}
	}
	return n
}

func FuzzStoredDefinition(f *testing.F) {
	f.Add("a", []byte(`{"uri":"a","state":"ended"}`))
	f.Add("a", []byte(`[]`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		d := &Definitions{byURI: map[string]kept{}}
		d.follow(Entry{Key: key, Value: value, Rev: 1})
		for uri, k := range d.byURI {
			if uri != k.def.URI {
				t.Fatalf("%q under %q", k.def.URI, uri)
			}
		}
	})
}

func BenchmarkPut(b *testing.B) {
	s, err := Open(Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	d, err := s.Definitions(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	b.ReportAllocs()
	var rev uint64
	for b.Loop() {
		if rev, err = d.Put(context.Background(), api.Definition{URI: "a", Title: "Title"}, rev); err != nil {
			b.Fatal(err)
		}
	}
}
