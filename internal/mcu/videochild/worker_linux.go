package videochild

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"parley/internal/mcu/codec/videocodec"
	"parley/internal/media/payload"
)

// How a worker knows that it is one.
const (
	workerArg = "video-worker"
	workerEnv = "PARLEY_VIDEO_WORKER"
	socketFD  = 3
	filmFD    = 4
)

// idleNice is the niceness from which on a worker is in the class of the idle.
const idleNice = 19

// The hook runs before main, so that every binary that can start workers is one,
// test binaries included: a worker started from a binary that does not know the
// argument would be a second server, or a second test run.
func init() {
	if len(os.Args) < 2 || os.Args[1] != workerArg || os.Getenv(workerEnv) == "" {
		return
	}
	// A worker has few objects and little to collect; more processors would only
	// make its collector compete with the server.
	debug.SetGCPercent(200)
	switch os.Getenv(workerEnv) {
	case "decode":
		runtime.GOMAXPROCS(1)
		decodeMain(pair(socketFD))
	case "compose":
		if conn := socket(); conn != nil {
			composeMain(conn)
		}
	}
	os.Exit(0)
}

func socket() *net.UnixConn {
	f := os.NewFile(socketFD, "pair")
	if f == nil {
		return nil
	}
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return nil
	}
	u, _ := c.(*net.UnixConn)
	return u
}

// pair is a decoder's end of the socket pair: read and written on the one thread
// that decodes, with calls that wait in the kernel. Through Go's poller each
// picture would cost a hand-over between threads.
type pair int

func (p pair) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(p), b)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, err
		case n <= 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func (p pair) Write(b []byte) (int, error) {
	for done := 0; ; {
		n, err := unix.Write(int(p), b[done:])
		if err == unix.EINTR {
			continue
		}
		if done += max(n, 0); err != nil || done == len(b) {
			return done, err
		}
	}
}

// confine drops what a worker does not need, once its libraries are loaded.
func confine(files uint64, memory uint64) {
	_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	set := func(what int, v uint64) { _ = unix.Setrlimit(what, &unix.Rlimit{Cur: v, Max: v}) }
	set(unix.RLIMIT_CORE, 0)
	set(unix.RLIMIT_FSIZE, 0)
	set(unix.RLIMIT_NOFILE, files)
	if !raceBuild { // the race detector's shadow memory is larger than any limit
		set(unix.RLIMIT_DATA, memory)
	}
	nice()
}

// nice lowers the priority of all threads there are; new ones inherit it. Linux
// keeps it per thread. From idleNice on they get what nobody else wants: a thread
// of the server that wakes does not wait for one of these (M3).
func nice() {
	prio, _ := strconv.Atoi(os.Getenv("PARLEY_VIDEO_NICE"))
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil || prio == 0 {
		return
	}
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		_ = unix.Setpriority(unix.PRIO_PROCESS, id, prio)
		if prio >= idleNice {
			_ = unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE, Nice: int32(prio)}, 0)
		}
	}
}

// cpu reads a CPU clock.
func cpu(id int32) time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(id, &ts)
	return time.Duration(ts.Nano())
}

func threadCPU() time.Duration { return cpu(unix.CLOCK_THREAD_CPUTIME_ID) }

func processCPU() time.Duration { return cpu(unix.CLOCK_PROCESS_CPUTIME_ID) }

// Monotonic reads the clock that Coded.Due is told on.
func Monotonic() int64 { return int64(monotonic()) }

func monotonic() time.Duration { return cpu(unix.CLOCK_MONOTONIC) }

// decodeMain is a decoder process: units in, frames on the film, results out.
func decodeMain(conn pair) {
	runtime.LockOSThread()
	_ = unix.SetNonblock(socketFD, false)
	film, err := mapFilm(filmFD, true)
	if err != nil {
		return
	}
	for _, c := range []payload.Codec{payload.VP8, payload.H264, payload.AV1} {
		_ = videocodec.CanDecode(c) // loads the library while files may be opened
	}
	confine(16, decoderMemory(film))
	w := worker{film: film, in: reader{r: bufio.NewReaderSize(conn, 1<<16), max: maxToWorker}}
	for {
		kind, body, err := w.in.next()
		if err != nil || kind != kindUnit || len(body) < unitHead {
			return
		}
		r := w.unit(body)
		w.out = r.append(w.out[:0])
		if _, err := conn.Write(w.out); err != nil {
			return
		}
	}
}

// decoderMemory bounds what a decoder process may allocate: the Go runtime and
// the stacks of its threads (some 110 MiB of address space, hardly any of it
// used), and fourteen frames with their borders. At 1080p a decoder that is told
// to allocate for 16,383 × 16,383 by a header the server did not see gets nothing.
func decoderMemory(m *mapping) uint64 { return 144<<20 + 14*uint64(m.slot) }

type worker struct {
	film  *mapping
	in    reader
	out   []byte
	dec   videocodec.Decoder
	codec payload.Codec
	spent time.Duration
	all   time.Duration
	n     int
}

// unit decodes one picture. A new codec, or a keyframe after a failure, gets a
// new decoder: state that strangers have bent is not kept.
func (w *worker) unit(b []byte) Result {
	r := Result{Number: binary.BigEndian.Uint32(b), TS: binary.BigEndian.Uint32(b[4:]), State: Failed}
	codec, data := payload.Codec(b[8]), b[unitHead:]
	if w.dec != nil && codec != w.codec {
		w.drop()
	}
	if w.dec == nil {
		d, err := videocodec.NewDecoder(codec)
		if err != nil {
			return r
		}
		w.dec, w.codec = d, codec
	}
	began := threadCPU()
	f, err := w.dec.Decode(data)
	w.spent += threadCPU() - began
	if w.n++; w.n%15 == 1 {
		w.all = processCPU()
	}
	r.Codec, r.CPU = uint64(w.spent), uint64(w.all)
	switch {
	case err != nil:
		w.drop()
	case f == nil:
		r.State = Hidden
	case w.film.show(f, r.TS, b[9]&3):
		if r.State, r.W, r.H = Shown, f.W, f.H; b[9]&1 == 1 {
			r.W, r.H = f.H, f.W
		}
	default:
		w.drop() // larger than it claimed
	}
	return r
}

func (w *worker) drop() {
	if w.dec != nil {
		w.dec.Close()
		w.dec = nil
	}
}
