package videochild

import (
	"encoding/binary"
	"errors"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"parley/internal/media/payload"
)

// Available tells whether this system can run workers.
const Available = true

// Settings of workers.
type Settings struct {
	Nice int // priority below the server's, 0..19
}

// DecoderEvents are a decoder's callbacks. Up and Died come on a goroutine of
// the decoder's, Result on the caller of Poll.
type DecoderEvents struct {
	// Up tells that a process is ready and knows nothing: a keyframe is needed.
	Up func()
	// Result of one unit, in order.
	Result func(Result)
	// Died tells that the process ended or was ended for not answering.
	Died func(error)
}

// Limits of a decoder.
const (
	inFlight = 8                      // units given to the process and not answered
	hangTime = 800 * time.Millisecond // for one unit; then the process is ended
	// starveTime is the same for a process that would run, had it a processor: it
	// comes after everybody else, and starting another one would not help.
	starveTime = 6 * time.Second
)

var errHung = errors.New("videochild: no answer in time")

// Decoder is one source's decoder process, started anew when it dies. Its owner
// polls for results as often as it turns anyway: a goroutine woken for each
// would cost as much as decoding a small picture.
type Decoder struct {
	Film *Film

	set    Settings
	events DecoderEvents
	quit   chan struct{}
	wg     sync.WaitGroup

	mu     sync.Mutex // guards what follows
	proc   *process   // nil: none now
	raw    syscall.RawConn
	rest   []byte // of a unit, that the socket did not take yet
	queue  [][]byte
	count  uint32
	oldest time.Time     // when the first unanswered unit was given
	since  time.Time     // the unit that used is about
	used   time.Duration // processor time of the process when that one was overdue
	open   int
	hung   bool
	in     []byte // of a result not yet whole
	got    []Result
}

// NewDecoder starts a decoder for frames of up to so many pixels.
func NewDecoder(set Settings, pixels int, events DecoderEvents) (*Decoder, error) {
	film, err := NewFilm(pixels)
	if err != nil {
		return nil, err
	}
	d := &Decoder{Film: film, set: set, events: events, quit: make(chan struct{})}
	d.wg.Go(d.run)
	return d, nil
}

// Submit gives one coded picture to the process and copies it; false when there
// is none, or it is behind: the picture is lost then, and those that need it.
// turn is by how many quarters the frame must be turned clockwise to be upright.
func (d *Decoder) Submit(codec payload.Codec, turn uint8, ts uint32, data []byte) (number uint32, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc == nil || d.open >= inFlight || len(data) > payload.MaxUnit {
		return 0, false
	}
	d.count++
	b := head(make([]byte, 0, headLen+unitHead+len(data)), kindUnit, unitHead+len(data))
	b = binary.BigEndian.AppendUint32(b, d.count)
	b = binary.BigEndian.AppendUint32(b, ts)
	b = append(b, byte(codec), turn&3)
	d.queue = append(d.queue, append(b, data...))
	if d.open++; d.open == 1 {
		d.oldest = time.Now()
	}
	d.flush()
	return d.count, true
}

// flush writes what the socket takes without waiting; with d.mu held. What it
// does not take waits for the next Submit or Poll.
func (d *Decoder) flush() {
	for {
		if len(d.rest) == 0 {
			if len(d.queue) == 0 {
				return
			}
			d.rest, d.queue = d.queue[0], d.queue[1:]
		}
		n, err := 0, error(nil)
		e := d.raw.Write(func(fd uintptr) bool {
			n, err = unix.Write(int(fd), d.rest)
			return true // never wait here
		})
		if e != nil || err != nil || n <= 0 {
			return // full, or dead: run sees that
		}
		d.rest = d.rest[n:]
	}
}

// Poll takes the answers that have come and calls Result for each. It ends a
// process that does not answer.
func (d *Decoder) Poll() {
	d.mu.Lock()
	d.got = d.got[:0]
	if d.proc != nil {
		d.flush()
		if d.open > 0 {
			d.fetch()
		}
		if d.open > 0 && !d.hung && d.silent() {
			d.hung = true
			_ = d.proc.cmd.Process.Kill()
		}
	}
	got := d.got
	d.mu.Unlock()
	for _, r := range got {
		d.events.Result(r)
	}
}

// silent tells that the process owes an answer for too long; with d.mu held. One
// that waits for a processor is judged by what it got of it.
func (d *Decoder) silent() bool {
	wait := time.Since(d.oldest)
	if wait <= hangTime || wait > starveTime {
		return wait > hangTime
	}
	used, ready := d.proc.used()
	if d.since != d.oldest {
		d.since, d.used = d.oldest, used
	}
	return !ready || used-d.used > hangTime/4
}

// fetch reads without waiting; with d.mu held.
func (d *Decoder) fetch() {
	var b [1024]byte
	for {
		n, err := 0, error(nil)
		e := d.raw.Read(func(fd uintptr) bool {
			n, err = unix.Read(int(fd), b[:])
			return true
		})
		if e != nil || err != nil || n <= 0 {
			return
		}
		d.in = append(d.in, b[:n]...)
		for len(d.in) >= headLen+resultLen {
			var r Result
			if binary.BigEndian.Uint32(d.in) != resultLen+1 || d.in[4] != kindResult || !r.parse(d.in[headLen:headLen+resultLen]) {
				_ = d.proc.cmd.Process.Kill() // talks nonsense
				return
			}
			d.in = append(d.in[:0], d.in[headLen+resultLen:]...)
			d.open, d.oldest = max(0, d.open-1), time.Now()
			d.got = append(d.got, r)
		}
		if n < len(b) { // there is no more
			return
		}
	}
}

// PID of the process, 0: none now. For tests and for operators.
func (d *Decoder) PID() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc == nil {
		return 0
	}
	return d.proc.cmd.Process.Pid
}

// Close ends the process and waits for it.
func (d *Decoder) Close() {
	close(d.quit)
	d.wg.Wait()
	d.Film.Close()
}

func (d *Decoder) run() {
	var b backoff
	for {
		began := time.Now()
		p, err := start(d.set.Nice, "decode", d.Film)
		if err == nil {
			err = d.serve(p)
		}
		if err == nil {
			return
		}
		d.events.Died(err)
		select {
		case <-d.quit:
			return
		case <-time.After(b.next(time.Since(began))):
		}
	}
}

// serve runs one process's life; nil: the decoder was closed.
func (d *Decoder) serve(p *process) error {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		p.stop()
		return err
	}
	d.mu.Lock()
	d.proc, d.raw, d.open, d.hung = p, raw, 0, false
	d.rest, d.queue, d.in = nil, nil, d.in[:0]
	d.mu.Unlock()
	d.events.Up()
	var end error
	select {
	case <-d.quit:
	case <-p.done:
		end = p.err
		if end == nil {
			end = errors.New("videochild: decoder left")
		}
	}
	d.mu.Lock()
	if d.hung && end != nil {
		end = errHung
	}
	d.proc = nil
	d.mu.Unlock()
	p.stop()
	return end
}
