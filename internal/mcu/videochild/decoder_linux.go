package videochild

import (
	"bufio"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"parley/internal/media/payload"
)

// Available tells whether this system can run workers.
const Available = true

// Settings of workers.
type Settings struct {
	Nice int // priority below the server's, 0..19
}

// DecoderEvents are a decoder's callbacks.
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
	inFlight = 8           // units given to the process and not answered
	hangTime = time.Second // for one unit; then the process is ended
)

var errHung = errors.New("videochild: no answer for a second")

// Decoder is one source's decoder process, started anew when it dies.
type Decoder struct {
	Film *Film

	set    Settings
	events DecoderEvents
	quit   chan struct{}
	wg     sync.WaitGroup

	mu     sync.Mutex // guards what follows
	up     bool
	queue  chan []byte
	count  uint32
	oldest time.Time // when the first unanswered unit was given; zero: none
	open   int
	pid    int
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
func (d *Decoder) Submit(codec payload.Codec, key bool, ts uint32, data []byte) (number uint32, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.up || d.open >= inFlight || len(data) > payload.MaxUnit {
		return 0, false
	}
	d.count++
	b := head(make([]byte, 0, headLen+unitHead+len(data)), kindUnit, unitHead+len(data))
	b = binary.BigEndian.AppendUint32(b, d.count)
	b = binary.BigEndian.AppendUint32(b, ts)
	b = append(b, byte(codec), 0)
	if key {
		b[len(b)-1] = 1
	}
	d.queue <- append(b, data...) // has room for inFlight
	if d.open++; d.open == 1 {
		d.oldest = time.Now()
	}
	return d.count, true
}

// PID of the process, 0: none now. For tests and for operators.
func (d *Decoder) PID() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pid
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
	queue := make(chan []byte, inFlight)
	d.mu.Lock()
	d.up, d.queue, d.open, d.oldest, d.pid = true, queue, 0, time.Time{}, p.cmd.Process.Pid
	d.mu.Unlock()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() { d.write(p, queue, stop) })
	wg.Go(func() { d.read(p) })
	d.events.Up()
	err := d.watch(p)
	d.mu.Lock()
	d.up, d.pid = false, 0
	d.mu.Unlock()
	p.stop()
	close(stop)
	wg.Wait()
	return err
}

// watch waits for an end: of the process, of its patience, or of the decoder.
func (d *Decoder) watch(p *process) error {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-d.quit:
			return nil
		case <-p.done:
			if p.err == nil {
				return errors.New("videochild: decoder left")
			}
			return p.err
		case <-t.C:
			d.mu.Lock()
			hung := d.open > 0 && time.Since(d.oldest) > hangTime
			d.mu.Unlock()
			if hung {
				return errHung
			}
		}
	}
}

func (d *Decoder) write(p *process, queue chan []byte, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case b := <-queue:
			if _, err := p.conn.Write(b); err != nil {
				return // watch sees the end
			}
		}
	}
}

func (d *Decoder) read(p *process) {
	in := reader{r: bufio.NewReader(p.conn), max: maxResult}
	for {
		kind, b, err := in.next()
		var r Result
		if err != nil || kind != kindResult || !r.parse(b) {
			_ = p.cmd.Process.Kill() // talks nonsense, or is gone already
			return
		}
		d.mu.Lock()
		d.open = max(0, d.open-1)
		d.oldest = time.Now()
		d.mu.Unlock()
		d.events.Result(r)
	}
}
