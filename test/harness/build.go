package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// binary is built by the first test of a package that needs it.
var binary struct {
	sync.Once
	dir, path string
	err       error
}

// Binary returns the path of the parley binary, built from this tree.
func Binary(t testing.TB) string {
	t.Helper()
	binary.Do(build)
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}

func build() {
	b := &binary
	if b.path = os.Getenv("BINARY"); b.path != "" {
		b.path, b.err = filepath.Abs(b.path)
		return
	}
	if b.dir, b.err = os.MkdirTemp("", "parley-test-"); b.err != nil {
		return
	}
	b.path = filepath.Join(b.dir, "parley")
	args := []string{"build", "-o", b.path}
	if os.Getenv("RACE") != "" {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/parley")...)
	if cmd.Dir, b.err = root(); b.err != nil {
		return
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		b.err = fmt.Errorf("go build ./cmd/parley: %w\n%s", err, out)
	}
}

// root finds the server's module above the package under test.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "cmd", "parley")); err == nil {
			return d, nil
		}
	}
	return "", fmt.Errorf("no cmd/parley above %s", dir)
}

// Main runs a package's tests and removes what was built. Call it in TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
func Main(m *testing.M) int {
	defer func() {
		if binary.dir != "" {
			_ = os.RemoveAll(binary.dir)
		}
	}()
	return m.Run()
}
