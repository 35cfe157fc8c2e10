package harness

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// Address is the one address, apart from loopback, of the namespace that Alone
// makes: from a net that nothing else uses (RFC 5737).
var Address = netip.MustParseAddr("198.51.100.1")

// inside marks the second life of a test binary, in the namespace.
const inside = "TEST_NAMESPACE"

// capNetAdmin lets the ip command make interfaces (capabilities(7)).
const capNetAdmin = 12

// whyNot says why there is no namespace; "" when there is.
var whyNot = "TestMain does not call harness.Alone"

// Alone runs a package's tests in a network namespace of their own, which holds
// loopback and one interface more with Address and leads nowhere. aiortc and
// Firefox refuse 127.0.0.1 as a candidate. The namespace has no name and ends
// with its last process, so nothing is left to clean up.
//
// It starts the test binary a second time; the first only waits. Where that is
// not allowed, tests run outside and NeedNamespace skips them.
func Alone(m *testing.M) int {
	if os.Getenv(inside) != "" {
		whyNot = ""
		if err := interfaces(); err != nil {
			fmt.Fprintln(os.Stderr, "namespace:", err)
			return 1
		}
		return Main(m)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		whyNot = "no ip command (package iproute2)"
		return Main(m)
	}
	runtime.LockOSThread() // Pdeathsig follows the thread that started the child
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid := os.Getuid(); uid != 0 { // where users may have namespaces, no root is needed
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.AmbientCaps = []uintptr{capNetAdmin}
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		whyNot = fmt.Sprintf("no network namespace without root: %v", err)
		return Main(m)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "in the namespace:", err)
	return 1
}

// NeedNamespace skips a test that has no namespace to run in.
func NeedNamespace(t testing.TB) {
	t.Helper()
	if whyNot != "" {
		t.Skip(whyNot)
	}
}

// interfaces brings up loopback and one more interface with Address. Kernels
// without the dummy device mostly have veth; what is sent to Address never
// leaves loopback either way.
func interfaces() error {
	if err := ip("link set lo up"); err != nil {
		return err
	}
	if err := ip("link add parley0 type dummy"); err != nil {
		if err := errors.Join(err, ip("link add parley0 type veth peer name parley1")); ip("link set parley1 up") != nil {
			return err
		}
	}
	if err := ip("addr add " + Address.String() + "/24 dev parley0"); err != nil {
		return err
	}
	return ip("link set parley0 up")
}

func ip(args string) error { return run("ip", strings.Fields(args)...) }

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
