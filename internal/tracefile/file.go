package tracefile

import (
	"bufio"
	"os"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/trace"
)

// file is one trace being written.
type file struct {
	f     *os.File
	out   *bufio.Writer
	start clock.Time
	size  int64
	limit int64
	last  time.Time
	ended bool // reached its limit
	err   error
	told  bool
	buf   []byte
}

func newFile(name string, limit int64, start clock.Time) *file {
	x := &file{start: start, limit: limit}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // never another's, never through a link
	if err != nil {
		x.err = err
		return x
	}
	x.f, x.out = f, bufio.NewWriterSize(f, 16<<10)
	return x
}

// reserve is room for the record that says the file ends.
const reserve = 256

func (f *file) event(e trace.Event) {
	if f.out == nil || f.ended {
		return
	}
	f.buf = trace.Append(f.buf[:0], f.start, e)
	if f.size+int64(len(f.buf))+reserve > f.limit {
		f.ended = true
		f.buf = trace.Append(f.buf[:0], f.start, trace.Event{At: e.At, Data: trace.Truncated{Limit: f.limit}})
	}
	f.write(f.buf)
}

func (f *file) write(b []byte) {
	n, err := f.out.Write(b)
	f.size += int64(n)
	f.keep(err)
}

// keep remembers the first error; nothing is written after it.
func (f *file) keep(err error) {
	if err != nil && f.err == nil {
		f.err = err
		f.close()
	}
}

func (f *file) close() {
	if f.out == nil {
		return
	}
	out, x := f.out, f.f
	f.out = nil
	err := out.Flush()
	if c := x.Close(); err == nil {
		err = c
	}
	if f.err == nil {
		f.err = err
	}
}
