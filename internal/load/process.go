package load

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is what the kernel accounts to a process.
type process struct {
	cpu  float64 // seconds, user and system
	wait float64 // seconds its threads were ready to run and others had the core
	rss  uint64  // bytes
}

// ticks a second of /proc/PID/stat; fixed at 100 on every Linux Go runs on.
const ticks = 100

// readProcess reads /proc/PID; zeros when there is none. Scheduler accounts are
// finer than ticks and are used where the kernel has them.
func readProcess(pid int) (p process) {
	if pid == 0 {
		return p
	}
	dir := fmt.Sprintf("/proc/%d/", pid)
	if b, err := os.ReadFile(dir + "stat"); err == nil {
		// The name in parentheses may hold spaces; the rest is numbers.
		if _, rest, ok := strings.Cut(string(b), ") "); ok {
			f := strings.Fields(rest)
			if len(f) > 21 {
				u, _ := strconv.ParseFloat(f[11], 64)
				s, _ := strconv.ParseFloat(f[12], 64)
				pages, _ := strconv.ParseUint(f[21], 10, 64)
				p.cpu, p.rss = (u+s)/ticks, pages*uint64(os.Getpagesize())
			}
		}
	}
	if fine, wait := taskTimes(dir + "task"); fine > 0 {
		p.cpu, p.wait = fine, wait
	}
	return p
}

// taskTimes sums run and wait time of all threads, in seconds; threads that ended
// are missing, which a server with a steady set of threads does not have.
func taskTimes(dir string) (run, wait float64) {
	es, err := os.ReadDir(dir)
	if err != nil {
		return 0, 0
	}
	for _, e := range es {
		b, err := os.ReadFile(dir + "/" + e.Name() + "/schedstat")
		if err != nil {
			continue
		}
		if f := strings.Fields(string(b)); len(f) > 1 {
			n, _ := strconv.ParseFloat(f[0], 64)
			w, _ := strconv.ParseFloat(f[1], 64)
			run += n / float64(time.Second)
			wait += w / float64(time.Second)
		}
	}
	return run, wait
}

// ownCPU is this process's CPU so far, in seconds.
func ownCPU() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
