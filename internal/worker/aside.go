package worker

import (
	"time"

	"parley/internal/base/clock"
	"parley/internal/transport/udp"
)

const (
	// asideEvery is how late RTCP may be taken in: feedback comes each 50 ms or
	// more, and a repair that is asked for 5 ms later is still one in time.
	asideEvery = 5 * time.Millisecond
	// asideIdle is the same after asideQuiet without any.
	asideIdle  = 20 * time.Millisecond
	asideQuiet = time.Second
	// asideReads bounds what one turn takes in.
	asideReads = 8
)

// rtcpAside is the RTCP that the kernel puts aside so that it wakes nobody.
type rtcpAside struct {
	batch *udp.ReadBatch // nil: it comes with everything else
	read  clock.Time
	heard clock.Time // when there was some
}

// asideAt is when to look for RTCP if nothing else wakes the worker.
func (w *Worker) asideAt() clock.Time {
	a := &w.aside
	switch {
	case a.batch == nil || w.live == 0:
		return 0
	case a.read.Sub(a.heard) > asideQuiet:
		return a.read.Add(asideIdle)
	}
	return a.read.Add(asideEvery)
}

// readAside takes in the RTCP that came since the last time. An error comes again
// with the next Read.
func (w *Worker) readAside(now clock.Time) {
	a := &w.aside
	if a.batch == nil {
		return
	}
	a.read = now
	for range asideReads {
		n, err := w.sock.Aside(a.batch)
		if n == 0 || err != nil {
			return
		}
		a.heard = now
		for i := range a.batch.Items[:n] {
			w.datagram(now, &a.batch.Items[i])
		}
	}
}
