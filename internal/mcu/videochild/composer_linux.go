package videochild

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"parley/internal/mcu/compose"
)

// ComposerEvents are a composer's callbacks.
type ComposerEvents struct {
	// Up tells that a process is ready; it has been told all again and begins
	// every stream with a keyframe.
	Up     func()
	Coded  func(Coded)
	Load   func(Load)
	Failed func(stream uint32, text string)
	Died   func(error)
}

// Composer is a conference's composer process, started anew when it dies.
type Composer struct {
	set    Settings
	events ComposerEvents
	quit   chan struct{}
	wg     sync.WaitGroup

	mu    sync.Mutex // guards what follows
	films map[uint32]*Film
	scene []byte // the last one's message
	queue chan message
	seen  time.Time // when the process last said something
	full  bool      // it does not take what it is told
	pid   int
}

type message struct {
	b    []byte
	film *Film
}

// queueLen is more than a composer can be told in a second; beyond it hangs.
const queueLen = 512

// composerPatience is for a composer that says nothing; it speaks every second.
const composerPatience = 4 * time.Second

// NewComposer starts a composer.
func NewComposer(set Settings, events ComposerEvents) *Composer {
	c := &Composer{set: set, events: events, quit: make(chan struct{}), films: map[uint32]*Film{}}
	c.wg.Go(c.run)
	return c
}

// Map gives a source its film; until Unmap the film must stay open.
func (c *Composer) Map(source uint32, f *Film) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.films[source] = f
	c.put(message{b: number(kindMap, source), film: f})
}

// Unmap takes it away.
func (c *Composer) Unmap(source uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.films, source)
	c.put(message{b: number(kindUnmap, source)})
}

// Set tells the scene.
func (c *Composer) Set(s compose.Scene) {
	b, err := json.Marshal(s)
	if err != nil || len(b) > maxScene {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scene = append(head(nil, kindScene, len(b)), b...)
	c.put(message{b: c.scene})
}

// Key asks for a keyframe of a stream.
func (c *Composer) Key(stream uint32) { c.tell(number(kindKey, stream)) }

// Frame tells that a following stream's source has a new frame.
func (c *Composer) Frame(stream uint32) { c.tell(number(kindNew, stream)) }

// Rate changes a stream's rate, bit/s.
func (c *Composer) Rate(stream uint32, bps int) {
	b := binary.BigEndian.AppendUint32(head(nil, kindRate, 8), stream)
	c.tell(binary.BigEndian.AppendUint32(b, uint32(bps)))
}

func (c *Composer) tell(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(message{b: b})
}

// put queues a message; with c.mu held. Without a process it is dropped: films
// and scene are told when one comes up.
func (c *Composer) put(m message) {
	if c.queue == nil {
		return
	}
	select {
	case c.queue <- m:
	default:
		c.full = true // it hangs: watch ends it
	}
}

func number(kind byte, v uint32) []byte {
	return binary.BigEndian.AppendUint32(head(nil, kind, 4), v)
}

// PID of the process, 0: none now.
func (c *Composer) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pid
}

// Close ends the process and waits for it.
func (c *Composer) Close() {
	close(c.quit)
	c.wg.Wait()
}

func (c *Composer) run() {
	var b backoff
	for {
		began := time.Now()
		p, err := start(c.set.Nice, "compose", nil)
		if err == nil {
			err = c.serve(p)
		}
		if err == nil {
			return
		}
		c.events.Died(err)
		select {
		case <-c.quit:
			return
		case <-time.After(b.next(time.Since(began))):
		}
	}
}

func (c *Composer) serve(p *process) error {
	queue := make(chan message, queueLen)
	c.mu.Lock()
	c.queue, c.seen, c.full, c.pid = queue, time.Now(), false, p.cmd.Process.Pid
	for _, s := range slices.Sorted(maps.Keys(c.films)) {
		c.put(message{b: number(kindMap, s), film: c.films[s]})
	}
	if c.scene != nil {
		c.put(message{b: c.scene})
	}
	c.mu.Unlock()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { c.write(p, queue, stop) })
	wg.Go(func() { c.read(p) })
	c.events.Up()
	err := c.watch(p)
	c.mu.Lock()
	c.queue, c.pid = nil, 0
	c.mu.Unlock()
	p.stop()
	close(stop)
	wg.Wait()
	return err
}

func (c *Composer) watch(p *process) error {
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-c.quit:
			return nil
		case <-p.done:
			if p.err == nil {
				return errors.New("videochild: composer left")
			}
			return p.err
		case <-t.C:
			c.mu.Lock()
			full, wait := c.full, time.Since(c.seen)
			c.mu.Unlock()
			hung := wait > composerPatience
			if hung && wait < 5*composerPatience { // it may have got no processor
				_, ready := p.used()
				hung = !ready
			}
			if hung || full {
				return errHung
			}
		}
	}
}

func (c *Composer) write(p *process, queue chan message, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case m := <-queue:
			var err error
			if m.film != nil {
				err = p.pass(m)
			} else {
				_, err = p.conn.Write(m.b)
			}
			if err != nil {
				return
			}
		}
	}
}

// pass sends a message with a film's descriptor, which is held open meanwhile: a
// number that was closed could be another file by then. A film closed before is
// left out: its source is unmapped by one of the next messages.
func (p *process) pass(m message) (err error) {
	raw, e := m.film.f.SyscallConn()
	if e != nil {
		return nil
	}
	_ = raw.Control(func(fd uintptr) {
		_, _, err = p.conn.WriteMsgUnix(m.b, unix.UnixRights(int(fd)), nil)
	})
	return err
}

func (c *Composer) read(p *process) {
	in := reader{r: bufio.NewReaderSize(p.conn, 1<<16), max: maxCoded}
	for {
		kind, b, err := in.next()
		if err != nil || !c.handle(kind, b) {
			_ = p.cmd.Process.Kill()
			return
		}
		c.mu.Lock()
		c.seen = time.Now()
		c.mu.Unlock()
	}
}

func (c *Composer) handle(kind byte, b []byte) bool {
	switch kind {
	case kindCoded:
		var o Coded
		if !o.parse(b) {
			return false
		}
		c.events.Coded(o)
	case kindLoad:
		var l Load
		if !l.parse(b) {
			return false
		}
		c.events.Load(l)
	case kindFailed:
		if len(b) < 4 || len(b) > 256 {
			return false
		}
		c.events.Failed(binary.BigEndian.Uint32(b), string(b[4:]))
	default:
		return false
	}
	return true
}
