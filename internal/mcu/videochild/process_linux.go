package videochild

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a running worker.
type process struct {
	cmd  *exec.Cmd
	conn *net.UnixConn
	done chan struct{} // closed when it is gone
	err  error         // why, after done
}

// start runs this binary as a worker with one end of a socket pair and, for
// decoders, a film. It inherits nothing else.
func start(nice int, role string, film *Film) (*process, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("videochild: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "pair"), os.NewFile(uintptr(fds[1]), "pair")
	defer ours.Close()
	defer theirs.Close()
	c, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("videochild: %w", err)
	}
	// By this name the file is found though an upgrade replaced it.
	cmd := exec.Command("/proc/self/exe", workerArg)
	cmd.Args[0] = os.Args[0]
	cmd.Env = []string{workerEnv + "=" + role, "PARLEY_VIDEO_NICE=" + strconv.Itoa(nice), "GOTRACEBACK=none"}
	if v := os.Getenv("LD_LIBRARY_PATH"); v != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+v)
	}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{theirs}
	if film != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, film.f)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's Ctrl-C is for the server
	if err := cmd.Start(); err != nil {
		c.Close()
		return nil, fmt.Errorf("videochild: %w", err)
	}
	p := &process{cmd: cmd, conn: c.(*net.UnixConn), done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		c.Close()
		close(p.done)
	}()
	return p, nil
}

// stop ends the worker at once and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// used is how much processor time the worker has had, and whether one of its
// threads is running or waits for a processor.
func (p *process) used() (cpu time.Duration, ready bool) {
	dir := "/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/task/"
	tasks, _ := os.ReadDir(dir)
	for _, t := range tasks {
		b, err := os.ReadFile(dir + t.Name() + "/stat")
		_, rest, ok := strings.Cut(string(b), ") ") // the name may have anything in it
		f := strings.Fields(rest)
		if err != nil || !ok || len(f) < 13 {
			continue
		}
		user, _ := strconv.ParseInt(f[11], 10, 64)
		system, _ := strconv.ParseInt(f[12], 10, 64)
		cpu += time.Duration(user+system) * (time.Second / 100) // USER_HZ
		ready = ready || f[0] == "R"
	}
	return cpu, ready
}

// backoff is how long to wait before the next start: at once after a first
// death, at most a second, so that a source that kills its decoder costs little
// and a tile is never dark for longer.
type backoff struct {
	wait time.Duration
}

func (b *backoff) next(lived time.Duration) time.Duration {
	if lived > 5*time.Second {
		b.wait = 0
	}
	w := b.wait
	b.wait = min(max(2*b.wait, 50*time.Millisecond), 700*time.Millisecond)
	return w
}
