package tracefile

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"parley/internal/base/clock"
	"parley/internal/media/trace"
)

// file is one trace being written. When it has grown to its limit another part
// goes on, and the part before the last goes: the beginning of a long call is
// what can be spared.
type file struct {
	w     *Writer
	name  string // without number and suffix
	part  int    // 1 is the first
	f     *os.File
	out   *bufio.Writer
	start clock.Time
	wall  time.Time
	size  int64
	last  time.Time
	media trace.Configured // what was negotiated, told again in each part
	err   error
	told  bool
	buf   []byte
}

// partName is the name of a part in the directory.
func partName(name string, part int) string {
	if part <= 1 {
		return name + trace.Suffix
	}
	return fmt.Sprintf("%s-%d%s", name, part, trace.Suffix)
}

// begin makes the file of a part.
func (f *file) begin() {
	name := partName(f.name, f.part)
	x, err := os.OpenFile(filepath.Join(f.w.cfg.Dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // never another's, never through a link
	if err != nil {
		f.err = err
		return
	}
	f.w.names = append(f.w.names, name)
	f.f, f.out, f.size = x, bufio.NewWriterSize(x, 16<<10), 0
	f.write(trace.AppendHeader(nil, trace.Header{Name: f.name, Version: f.w.cfg.Version, Start: f.wall}))
}

// reserve is room for the record that says the file ends.
const reserve = 256

func (f *file) event(e trace.Event) {
	if f.out == nil {
		return
	}
	if c, ok := e.Data.(trace.Configured); ok {
		f.media = c
	}
	f.buf = trace.Append(f.buf[:0], f.start, e)
	if f.size+int64(len(f.buf))+reserve > f.w.limit() {
		if f.turn(e.At); f.out == nil {
			return
		}
		f.buf = trace.Append(f.buf[:0], f.start, e)
	}
	f.write(f.buf)
}

// turn goes on to the next part.
func (f *file) turn(now clock.Time) {
	f.write(trace.Append(nil, f.start, trace.Event{At: now, Data: trace.Truncated{Limit: f.w.limit(), Next: partName(f.name, f.part+1)}}))
	f.close()
	if f.err != nil {
		return
	}
	if f.part > 1 {
		f.w.remove(partName(f.name, f.part-1))
	}
	f.part++
	f.w.makeRoom()
	if f.begin(); f.out != nil && len(f.media.Sections) > 0 {
		f.write(trace.Append(nil, f.start, trace.Event{At: now, Data: f.media}))
	}
}

func (f *file) write(b []byte) {
	if f.out == nil {
		return
	}
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
