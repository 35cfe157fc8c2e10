package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Busy marks a test that needs much of the machine, and Quiet one that measures
// time: packages of `go test ./...` run side by side, and a measuring test waits
// for the busy ones of other packages, and they for it.
func Busy(t testing.TB) { t.Helper(); lock(t, syscall.LOCK_SH) }

// Quiet is for tests that measure time; see Busy.
func Quiet(t testing.TB) { t.Helper(); lock(t, syscall.LOCK_EX) }

func lock(t testing.TB, how int) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("parley-test-%d.lock", os.Getuid())), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if err = syscall.Flock(int(f.Fd()), how); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // unlocks
}
