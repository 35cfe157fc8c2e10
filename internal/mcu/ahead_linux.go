package mcu

import (
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	// audioNice is the niceness of the threads that mix sound.
	audioNice = -10
	// aheadPerCore bounds those threads; who mixes more rooms than that does not
	// do it beside pictures.
	aheadPerCore = 8
)

// stepAhead puts the calling goroutine on a thread of its own that goes before
// the server's other threads, where that is allowed (CAP_SYS_NICE): sound before
// all else (M3). The thread ends with the goroutine. What it returns is to be
// called then.
func (s *Server) stepAhead() (done func()) {
	if s.ahead.Add(1) > int64(aheadPerCore*runtime.NumCPU()) {
		s.ahead.Add(-1)
		return func() {}
	}
	runtime.LockOSThread()
	if unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), audioNice) != nil {
		runtime.UnlockOSThread()
	}
	return func() { s.ahead.Add(-1) }
}
